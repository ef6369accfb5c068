//! One text in several encodings, labelled rightly and wrongly.

/// The text on every page of `/charset/…`.
const TEXT: &str = "Crème brûlée für 3½ £ – señor Åström";

/// What to send for a name: the content type and the bytes.
pub(crate) struct Encoded {
    pub(crate) content_type: &'static str,
    pub(crate) bytes: Vec<u8>,
}

/// The page in the encoding of that name.
pub(crate) fn encode(name: &str) -> Option<Encoded> {
    let plain = page("");
    let (content_type, bytes) = match name {
        "utf-8" | "utf8" => ("text/html; charset=utf-8", plain.into_bytes()),
        "latin1" | "iso-8859-1" => ("text/html; charset=iso-8859-1", latin1(&plain)),
        "utf-16le" | "utf-16" => ("text/html; charset=utf-16le", utf16(&plain, u16::to_le_bytes)),
        "utf-16be" => ("text/html; charset=utf-16be", utf16(&plain, u16::to_be_bytes)),
        // Only the page itself says what it is.
        "meta" => ("text/html", latin1(&page("<meta charset=\"iso-8859-1\">\n"))),
        // Nothing says what it is.
        "none" => ("text/html", latin1(&plain)),
        // The label is a lie: these bytes are no UTF-8.
        "wrong" => ("text/html; charset=utf-8", latin1(&plain)),
        // There is no such encoding.
        "unknown" => ("text/html; charset=x-klingon", plain.into_bytes()),
        _ => return None,
    };
    Some(Encoded { content_type, bytes })
}

fn page(meta: &str) -> String {
    format!(
        "<!doctype html>\n<html>\n<head>\n{meta}<title>{TEXT}</title>\n</head>\n<body>\n\
         <h1>{TEXT}</h1>\n<span class=\"price\">3.50</span>\n</body>\n</html>\n"
    )
}

/// The text in windows-1252, which is what the web means by ISO-8859-1. The only character of the
/// text that differs between the two is the dash.
fn latin1(text: &str) -> Vec<u8> {
    text.chars()
        .map(|c| match c {
            '–' => 0x96,
            c => u8::try_from(u32::from(c)).unwrap_or(b'?'),
        })
        .collect()
}

/// The text in UTF-16, with a byte order mark.
fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(bytes).collect()
}
