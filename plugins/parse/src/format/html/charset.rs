//! The charset that a page declares in its head.

use encoding_rs::Encoding;

use crate::charset::{HEAD, by_label};

/// What `<meta charset=…>` or `<meta http-equiv=… content="…; charset=…">` says.
pub(super) fn declared(page: &[u8]) -> Option<&'static Encoding> {
    let mut rest = &page[..page.len().min(HEAD)];
    while let Some(start) = rest.iter().position(|byte| *byte == b'<') {
        rest = &rest[start + 1..];
        if rest.starts_with(b"!--") {
            let end = rest.windows(3).position(|w| w == b"-->")?;
            rest = &rest[end..];
        } else if rest.len() > 4
            && rest[..4].eq_ignore_ascii_case(b"meta")
            && (rest[4].is_ascii_whitespace() || rest[4] == b'/')
        {
            let end = rest.iter().position(|byte| *byte == b'>').unwrap_or(rest.len());
            if let Some(encoding) = in_tag(&rest[..end]) {
                return Some(encoding);
            }
            rest = &rest[end..];
        }
    }
    None
}

fn in_tag(tag: &[u8]) -> Option<&'static Encoding> {
    const WORD: &[u8] = b"charset";
    let mut from = 0;
    while let Some(found) =
        tag[from..].windows(WORD.len()).position(|w| w.eq_ignore_ascii_case(WORD))
    {
        from += found + WORD.len();
        let Some(value) = tag[from..].trim_ascii_start().strip_prefix(b"=") else {
            continue;
        };
        let value = value.trim_ascii_start();
        let value = value.strip_prefix(b"\"").or(value.strip_prefix(b"'")).unwrap_or(value);
        let ends = |byte: &u8| byte.is_ascii_whitespace() || b"\"';/".contains(byte);
        let end = value.iter().position(ends).unwrap_or(value.len());
        if let Some(encoding) = by_label(&value[..end]) {
            return Some(encoding);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declarations_are_found() {
        for (page, name) in [
            (r#"<html><head><meta charset="windows-1251">"#, Some("windows-1251")),
            ("<META CHARSET=latin1 >", Some("windows-1252")),
            (
                r#"<meta http-equiv="Content-Type" content="text/html; charset=shift_jis">"#,
                Some("Shift_JIS"),
            ),
            ("<meta charset = 'utf-16'>", Some("UTF-8")),
            ("<!-- <meta charset=koi8-r> --><meta charset=utf-8>", Some("UTF-8")),
            ("<meta charset=x-user-defined>", Some("windows-1252")),
            ("<meta charset=klingon>", None),
            ("<metadata charset=koi8-r>", None),
            ("<meta charset", None),
            ("<meta", None),
            ("<!-- <meta charset=koi8-r>", None),
            ("", None),
        ] {
            assert_eq!(declared(page.as_bytes()).map(Encoding::name), name, "{page}");
        }
        let late = format!("{}<meta charset=koi8-r>", " ".repeat(HEAD));
        assert_eq!(declared(late.as_bytes()), None);
    }
}
