//! The parsed column: its texts, or its bytes decoded.

use std::borrow::Cow;

use arrow_array::cast::AsArray;
use arrow_array::{
    Array, BinaryArray, BinaryViewArray, LargeBinaryArray, LargeStringArray, StringArray,
    StringViewArray,
};
use arrow_schema::DataType;

use crate::charset::Charset;

/// Whether a column of this type can be parsed.
pub(crate) fn is_text(kind: &DataType) -> bool {
    use DataType::{Binary, BinaryView, LargeBinary, LargeUtf8, Utf8, Utf8View};
    matches!(kind, Utf8 | LargeUtf8 | Utf8View | Binary | LargeBinary | BinaryView)
}

/// The column, by its type.
pub(crate) enum Texts<'a> {
    Utf8(&'a StringArray),
    LargeUtf8(&'a LargeStringArray),
    Utf8View(&'a StringViewArray),
    Binary(&'a BinaryArray),
    LargeBinary(&'a LargeBinaryArray),
    BinaryView(&'a BinaryViewArray),
}

/// One value of the column.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Raw<'a> {
    Text(&'a str),
    Bytes(&'a [u8]),
}

impl<'a> Texts<'a> {
    /// The column, if it can be parsed.
    pub(crate) fn new(column: &'a dyn Array) -> Option<Self> {
        Some(match column.data_type() {
            DataType::Utf8 => Self::Utf8(column.as_string_opt()?),
            DataType::LargeUtf8 => Self::LargeUtf8(column.as_string_opt()?),
            DataType::Utf8View => Self::Utf8View(column.as_string_view_opt()?),
            DataType::Binary => Self::Binary(column.as_binary_opt()?),
            DataType::LargeBinary => Self::LargeBinary(column.as_binary_opt()?),
            DataType::BinaryView => Self::BinaryView(column.as_binary_view_opt()?),
            _ => return None,
        })
    }

    /// The value in this row; `None` is null.
    pub(crate) fn get(&self, row: usize) -> Option<Raw<'a>> {
        match self {
            Self::Utf8(all) => all.is_valid(row).then(|| Raw::Text(all.value(row))),
            Self::LargeUtf8(all) => all.is_valid(row).then(|| Raw::Text(all.value(row))),
            Self::Utf8View(all) => all.is_valid(row).then(|| Raw::Text(all.value(row))),
            Self::Binary(all) => all.is_valid(row).then(|| Raw::Bytes(all.value(row))),
            Self::LargeBinary(all) => all.is_valid(row).then(|| Raw::Bytes(all.value(row))),
            Self::BinaryView(all) => all.is_valid(row).then(|| Raw::Bytes(all.value(row))),
        }
    }
}

impl<'a> Raw<'a> {
    /// Length in bytes, before decoding.
    pub(crate) fn len(self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
        }
    }

    /// The bytes, before decoding.
    pub(crate) fn bytes(self) -> &'a [u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }

    /// The text, without a byte order mark.
    pub(crate) fn decode(self, charset: Charset) -> Cow<'a, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text.strip_prefix('\u{feff}').unwrap_or(text)),
            Self::Bytes(bytes) => {
                let (encoding, mark) = charset.of(bytes);
                encoding.decode_without_bom_handling(bytes.get(mark..).unwrap_or_default()).0
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use encoding_rs::{Encoding, UTF_8};

    use super::*;

    fn forced(forced: Option<&'static Encoding>) -> Charset {
        Charset { forced, sent: None, declared: |_| None, guess: false }
    }

    #[test]
    fn bytes_are_decoded_by_mark_charset_or_utf8() {
        let windows = Encoding::for_label(b"windows-1252");
        for (bytes, charset, text) in [
            (&b"\xef\xbb\xbfa"[..], None, "a"),
            (b"\xff\xfea\0b\0", None, "ab"),
            (b"caf\xe9", None, "caf\u{fffd}"),
            (b"caf\xe9", windows, "café"),
            (b"\xef\xbb\xbfa", Some(UTF_8), "a"),
            (b"", None, ""),
        ] {
            assert_eq!(Raw::Bytes(bytes).decode(forced(charset)), text);
        }
        assert_eq!(Raw::Text("\u{feff}a").decode(forced(None)), "a");
    }
}
