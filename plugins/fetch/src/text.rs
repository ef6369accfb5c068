//! Bytes of a page to text.

use encoding_rs::{Encoding, UTF_8};

/// How much of a page is searched for `<meta charset>`, as browsers do.
const PRESCAN: usize = 1024;

/// The text of a body. The charset is that of its byte order mark, else that of the Content-Type
/// header, else, for HTML, that of `<meta charset>` near the beginning, else UTF-8. What does not
/// decode becomes U+FFFD.
pub(crate) fn decode(body: Vec<u8>, content_type: Option<&str>) -> String {
    let (encoding, mark) = match Encoding::for_bom(&body) {
        Some(found) => found,
        None => (declared(&body, content_type), 0),
    };
    if encoding == UTF_8 && mark == 0 {
        // The common case, without a copy.
        return String::from_utf8(body)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
    }
    encoding.decode_without_bom_handling(&body[mark..]).0.into_owned()
}

fn declared(body: &[u8], content_type: Option<&str>) -> &'static Encoding {
    let content_type = content_type.unwrap_or_default();
    if let Some(encoding) = charset(content_type) {
        return encoding;
    }
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    let html = essence.is_empty() || essence.to_ascii_lowercase().contains("html");
    match html.then(|| meta(&body[..body.len().min(PRESCAN)])).flatten() {
        // A page that can be read this far is not in UTF-16, whatever it says.
        Some(encoding) if encoding.is_ascii_compatible() => encoding,
        _ => UTF_8,
    }
}

/// The charset parameter of a Content-Type.
fn charset(content_type: &str) -> Option<&'static Encoding> {
    content_type.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let value = value.trim().trim_matches(['"', '\'']);
        name.trim()
            .eq_ignore_ascii_case("charset")
            .then(|| Encoding::for_label(value.as_bytes()))?
    })
}

/// The charset of the first `<meta>` that names one, in either form:
/// `<meta charset=x>`, `<meta http-equiv="Content-Type" content="text/html; charset=x">`.
fn meta(head: &[u8]) -> Option<&'static Encoding> {
    let head: Vec<u8> = head.to_ascii_lowercase();
    let mut rest = &head[..];
    while let Some(start) = find(rest, b"<") {
        rest = &rest[start..];
        if rest.starts_with(b"<!--") {
            rest = &rest[find(rest, b"-->")?..];
        } else if rest.starts_with(b"<meta") {
            let end = find(rest, b">").unwrap_or(rest.len());
            if let Some(encoding) = attribute(&rest[..end]) {
                return Some(encoding);
            }
        }
        rest = &rest[1..];
    }
    None
}

fn attribute(tag: &[u8]) -> Option<&'static Encoding> {
    let mut rest = &tag[find(tag, b"charset")? + b"charset".len()..];
    rest = rest.trim_ascii_start().strip_prefix(b"=")?.trim_ascii_start();
    rest = rest.strip_prefix(b"\"").or_else(|| rest.strip_prefix(b"'")).unwrap_or(rest);
    let ends = |b: &u8| b.is_ascii_whitespace() || matches!(b, b'"' | b'\'' | b';' | b'/' | b'>');
    let end = rest.iter().position(ends).unwrap_or(rest.len());
    Encoding::for_label(&rest[..end])
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_charset_is_found_where_it_stands() {
        let latin = b"caf\xe9".to_vec();
        let meta = |tag: &[u8]| [tag, b"<p>caf\xe9"].concat();
        for (body, content_type, text) in [
            (b"caf\xc3\xa9".to_vec(), None, "café"),
            (latin.clone(), Some("text/html; charset=ISO-8859-1"), "café"),
            (latin.clone(), Some("text/plain; format=flowed; Charset=\"latin1\""), "café"),
            (latin.clone(), None, "caf\u{fffd}"),
            (latin.clone(), Some("text/html; charset=no-such"), "caf\u{fffd}"),
            (b"\xef\xbb\xbfcaf\xc3\xa9".to_vec(), Some("text/html; charset=latin1"), "café"),
            (b"\xff\xfec\0a\0f\0\xe9\0".to_vec(), Some("text/html"), "café"),
            (b"\xfe\xff\0c\0a\0f\0\xe9".to_vec(), None, "café"),
        ] {
            assert_eq!(decode(body, content_type), text);
        }
        for tag in [
            &b"<META CharSet = 'windows-1252' />"[..],
            b"<html><!-- <meta charset=utf-8> --><meta charset=latin1>",
            b"<meta name=x><meta http-equiv=content-type content=\"text/html; charset=iso-8859-1\">",
        ] {
            assert!(decode(meta(tag), Some("text/html")).ends_with("café"));
        }
    }

    #[test]
    fn a_false_charset_harms_nothing() {
        let page = b"<meta charset=utf-16><p>hi".to_vec();
        assert!(decode(page, Some("text/html")).ends_with("hi"));
        // Only pages name their charset inside.
        assert!(
            decode(b"<meta charset=latin1>\xe9".to_vec(), Some("text/csv")).ends_with('\u{fffd}')
        );
        assert_eq!(decode(Vec::new(), Some("text/html; charset=")), "");
        assert_eq!(decode(b"<meta charset".to_vec(), None), "<meta charset");
        assert_eq!(decode(b"<!-- <meta".to_vec(), None), "<!-- <meta");
    }
}
