//! Values in quotes, with backslashes.

use memchr::memchr2;

/// The text up to the quote that ends it, and what follows that quote. The text begins after the
/// opening quote. None when nothing ends it.
pub(super) fn quoted(text: &str) -> Option<(&str, &str)> {
    let bytes = text.as_bytes();
    let mut from = 0;
    loop {
        let at = from + memchr2(b'"', b'\\', bytes.get(from..)?)?;
        if bytes[at] == b'"' {
            return Some((text.get(..at)?, text.get(at + 1..)?));
        }
        from = at + 2;
    }
}

/// The text without escapes: `\"`, `\\`, `\n`, `\t`, `\r`, `\xhh` and `\uhhhh`; other backslashes
/// are themselves. Bytes that are no UTF-8 become U+FFFD. The buffer is used if there are escapes.
pub(super) fn unescape<'a>(text: &'a str, buffer: &'a mut String) -> &'a str {
    let Some(mut at) = memchr::memchr(b'\\', text.as_bytes()) else {
        return text;
    };
    let bytes = text.as_bytes();
    let mut plain = bytes[..at].to_vec();
    while let Some(&byte) = bytes.get(at) {
        let rest = bytes.get(at + 1..).unwrap_or_default();
        let (made, length): (Option<u32>, usize) = match (byte, rest) {
            (b'\\', [mark @ (b'"' | b'\\' | b'\'' | b'/'), ..]) => (Some(u32::from(*mark)), 2),
            (b'\\', [b'n', ..]) => (Some(10), 2),
            (b'\\', [b't', ..]) => (Some(9), 2),
            (b'\\', [b'r', ..]) => (Some(13), 2),
            (b'\\', [b'x', hex @ ..]) => (hexadecimal(hex, 2), 4),
            (b'\\', [b'u', hex @ ..]) => (hexadecimal(hex, 4), 6),
            _ => (None, 1),
        };
        match made {
            // A byte of UTF-8, maybe not a whole character: all but `\u` are.
            Some(code) if length < 6 => plain.push(u8::try_from(code).unwrap_or(b'?')),
            Some(code) => {
                let made = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
                plain.extend_from_slice(made.encode_utf8(&mut [0; 4]).as_bytes());
            }
            None => {
                plain.push(byte);
                at += 1;
                continue;
            }
        }
        at += length;
    }
    buffer.clear();
    buffer.push_str(&String::from_utf8_lossy(&plain));
    buffer
}

fn hexadecimal(text: &[u8], digits: usize) -> Option<u32> {
    let mut code = 0;
    for digit in text.get(..digits)? {
        code = code * 16 + char::from(*digit).to_digit(16)?;
    }
    Some(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_escapes() {
        assert_eq!(quoted(r#"a\"b\\" c"#), Some((r#"a\"b\\"#, " c")));
        assert_eq!(quoted(r#"" c"#), Some(("", " c")));
        for open in ["", "a", r#"a\""#, "a\\", "\\é"] {
            assert_eq!(quoted(open), None, "{open}");
        }
        let mut buffer = String::new();
        for (text, plain) in [
            ("a", "a"),
            (r#"a\"\\"#, r#"a"\"#),
            (r"\x41\xc3\xa9\n\u00e9", "Aé\né"),
            (r"\xff", "\u{fffd}"),
            (r"\ud800", "\u{fffd}"),
            (r"\q\x4\u12", r"\q\x4\u12"),
            ("é\\", "é\\"),
        ] {
            assert_eq!(unescape(text, &mut buffer), plain, "{text}");
        }
    }
}
