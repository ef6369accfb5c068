//! The bytes of Protobuf messages.
//!
//! OTLP needs three of its rules: a field is a key and a value; a value is a number of a fixed length, a
//! number of variable length, or so many bytes; a message within a message is bytes. A library with its
//! code generator would be three crates more to build, and would make a copy of every label on the way.

/// A message, field after field. What is zero or empty is left out, as it means the same.
#[derive(Debug, Default)]
pub(crate) struct Message(Vec<u8>);

const VARINT: u32 = 0;
const EIGHT_BYTES: u32 = 1;
const BYTES: u32 = 2;

impl Message {
    fn varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    fn key(&mut self, field: u32, kind: u32) {
        self.varint(u64::from(field << 3 | kind));
    }

    /// A whole number, a truth value or a member of an enumeration.
    pub(crate) fn number(&mut self, field: u32, number: u64) {
        if number != 0 {
            self.whole(field, number);
        }
    }

    /// A whole number, also zero.
    pub(crate) fn whole(&mut self, field: u32, number: u64) {
        self.key(field, VARINT);
        self.varint(number);
    }

    /// A number of eight bytes.
    pub(crate) fn fixed(&mut self, field: u32, number: u64) {
        if number != 0 {
            self.key(field, EIGHT_BYTES);
            self.0.extend(number.to_le_bytes());
        }
    }

    /// A fraction; also zero is said, as without it the field is not there at all.
    pub(crate) fn double(&mut self, field: u32, number: f64) {
        self.key(field, EIGHT_BYTES);
        self.0.extend(number.to_le_bytes());
    }

    /// Any number of numbers of eight bytes.
    pub(crate) fn packed(&mut self, field: u32, numbers: impl ExactSizeIterator<Item = [u8; 8]>) {
        if numbers.len() > 0 {
            self.key(field, BYTES);
            self.varint(numbers.len() as u64 * 8);
            numbers.for_each(|number| self.0.extend(number));
        }
    }

    /// Bytes, or a text.
    pub(crate) fn bytes(&mut self, field: u32, bytes: impl AsRef<[u8]>) {
        if !bytes.as_ref().is_empty() {
            self.raw(field, bytes.as_ref());
        }
    }

    /// Bytes, or a text, also when there are none.
    pub(crate) fn some_bytes(&mut self, field: u32, bytes: impl AsRef<[u8]>) {
        self.raw(field, bytes.as_ref());
    }

    /// A message, also when there is nothing in it.
    pub(crate) fn message(&mut self, field: u32, fill: impl FnOnce(&mut Self)) {
        let mut inner = Self::default();
        fill(&mut inner);
        self.raw(field, &inner.0);
    }

    fn raw(&mut self, field: u32, bytes: &[u8]) {
        self.key(field, BYTES);
        self.varint(bytes.len() as u64);
        self.0.extend(bytes);
    }

    /// All of it.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

/// The fields of a message that came in: their numbers, and what stands in them. Ends where it is broken.
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

/// What stands in a field.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl<'a> Fields<'a> {
    fn varint(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.0.split_first()?;
            self.0 = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn split(&mut self, length: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (u64, Field<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let key = self.varint()?;
        let field = match key & 7 {
            0 => Field::Number(self.varint()?),
            1 => Field::Bytes(self.split(8)?),
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Field::Bytes(self.split(length)?)
            }
            5 => Field::Bytes(self.split(4)?),
            _ => return None,
        };
        Some((key >> 3, field))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_as_the_encoding_has_them() {
        let mut message = Message::default();
        // The first two are the examples of Protobuf's documentation.
        message.number(1, 150);
        message.bytes(2, "testing");
        message.fixed(3, 1);
        message.double(4, 0.0);
        message.packed(5, [1.0f64, 2.0].iter().map(|number| number.to_le_bytes()));
        message.message(6, |_| {});
        message.number(7, 0);
        message.bytes(8, "");
        let bytes = message.into_bytes();
        assert!(bytes.starts_with(b"\x08\x96\x01\x12\x07testing\x19\x01\0\0\0\0\0\0\0\x21"));
        let fields: Vec<_> = Fields(&bytes).collect();
        assert_eq!(fields.len(), 6);
        assert_eq!(fields[0], (1, Field::Number(150)));
        assert_eq!(fields[1], (2, Field::Bytes(b"testing")));
        assert!(matches!(fields[4], (5, Field::Bytes(packed)) if packed.len() == 16));
        assert_eq!(fields[5], (6, Field::Bytes(b"")));
    }

    #[test]
    fn broken_bytes_are_the_end() {
        for broken in
            [&b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"[..], b"\x08", b"\x12\x05ab", b"\x0b"]
        {
            assert_eq!(Fields(broken).count(), 0, "{broken:?}");
        }
        assert_eq!(Fields(&[0xff; 20]).count(), 0);
    }
}
