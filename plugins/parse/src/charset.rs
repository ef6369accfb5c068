//! The charset of bytes, found in the order in which browsers look for it.

use arrow_array::cast::AsArray;
use arrow_array::{Array, MapArray};
use arrow_schema::DataType;
use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

use crate::text::{Raw, Texts, is_text};

/// A declaration further into the text does not count, as in browsers.
pub(crate) const HEAD: usize = 1024;

/// What is known of the charset of a text, besides its bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Charset {
    /// What holds, whatever the bytes say.
    pub(crate) forced: Option<&'static Encoding>,
    /// What whoever sent it says.
    pub(crate) sent: Option<&'static Encoding>,
    /// Finds what the text says of itself.
    pub(crate) declared: fn(&[u8]) -> Option<&'static Encoding>,
    /// Whether to guess when nothing is said.
    pub(crate) guess: bool,
}

impl Charset {
    /// The charset of the bytes, and the length of their byte order mark.
    pub(crate) fn of(self, bytes: &[u8]) -> (&'static Encoding, usize) {
        match (self.forced, Encoding::for_bom(bytes)) {
            (Some(forced), Some((marked, length))) if forced == marked => (forced, length),
            (Some(forced), _) => (forced, 0),
            (None, Some((marked, length))) => (marked, length),
            (None, None) => {
                let said = self.sent.or_else(|| (self.declared)(bytes));
                (said.unwrap_or_else(|| if self.guess { guess(bytes) } else { UTF_8 }), 0)
            }
        }
    }
}

fn guess(bytes: &[u8]) -> &'static Encoding {
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Allow);
    detector.feed(bytes, true);
    detector.guess(None, Utf8Detection::Allow)
}

/// The charset that a text declares by a label which can be read as ASCII. Then it is not UTF-16,
/// whatever the label.
pub(crate) fn by_label(label: &[u8]) -> Option<&'static Encoding> {
    if label.trim_ascii().eq_ignore_ascii_case(b"x-user-defined") {
        return Encoding::for_label(b"windows-1252");
    }
    let encoding = Encoding::for_label(label)?;
    Some(if encoding == UTF_16LE || encoding == UTF_16BE { UTF_8 } else { encoding })
}

/// The column that says what the charset is.
pub(crate) enum Labels<'a> {
    Text(Texts<'a>),
    Map { map: &'a MapArray, keys: Texts<'a>, values: Texts<'a> },
}

/// Whether a column of this type can say it.
pub(crate) fn can_label(kind: &DataType) -> bool {
    match kind {
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) => fields.iter().all(|field| is_text(field.data_type())),
            _ => false,
        },
        kind => is_text(kind),
    }
}

impl<'a> Labels<'a> {
    pub(crate) fn new(column: &'a dyn Array) -> Option<Self> {
        match column.as_map_opt() {
            None => Texts::new(column).map(Self::Text),
            Some(map) => {
                let (keys, values) = (Texts::new(map.keys())?, Texts::new(map.values())?);
                Some(Self::Map { map, keys, values })
            }
        }
    }

    /// What is said in this row, if it is a charset.
    pub(crate) fn get(&self, row: usize) -> Option<&'static Encoding> {
        match self {
            Self::Text(texts) => said(texts.get(row)?),
            Self::Map { map, .. } if map.is_null(row) => None,
            Self::Map { map, keys, values } => {
                let offsets = map.value_offsets();
                let place = |at: usize| usize::try_from(*offsets.get(at)?).ok();
                let mut entries = place(row)?..place(row + 1)?;
                let is_type = |key: Raw<'_>| key.bytes().eq_ignore_ascii_case(b"content-type");
                said(values.get(entries.find(|at| keys.get(*at).is_some_and(is_type))?)?)
            }
        }
    }
}

/// The charset in `text/html; charset="koi8-r"`, or of a label alone.
fn said(text: Raw<'_>) -> Option<&'static Encoding> {
    let text = std::str::from_utf8(text.bytes()).ok()?.trim();
    if !text.contains(['/', ';', '=']) {
        return Encoding::for_label(text.as_bytes());
    }
    text.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let value = value.trim().trim_matches(['"', '\'']);
        let is_charset = name.trim().eq_ignore_ascii_case("charset");
        is_charset.then(|| Encoding::for_label(value.as_bytes())).flatten()
    })
}

#[cfg(test)]
mod tests {
    use arrow_array::StringArray;
    use arrow_array::builder::{MapBuilder, StringBuilder};

    use super::*;

    #[test]
    fn the_order_is_that_of_browsers() {
        let known = |label: &str| Encoding::for_label(label.as_bytes());
        let none = Charset { forced: None, sent: None, declared: |_| None, guess: false };
        let declared = Charset { declared: |_| Encoding::for_label(b"koi8-r"), ..none };
        let sent = Charset { sent: known("gbk"), ..declared };
        let forced = Charset { forced: known("shift_jis"), ..sent };
        let mark = b"\xef\xbb\xbfa";
        for (charset, bytes, name) in [
            (none, &b"a"[..], "UTF-8"),
            (declared, b"a", "KOI8-R"),
            (sent, b"a", "GBK"),
            (sent, mark, "UTF-8"),
            (forced, mark, "Shift_JIS"),
        ] {
            assert_eq!(charset.of(bytes).0.name(), name);
        }
        let guessing = Charset { guess: true, ..none };
        let (text, _, _) = encoding_rs::WINDOWS_1251.encode("Съешь ещё этих мягких булок");
        assert_eq!(guessing.of(&text).0.name(), "windows-1251");
        assert_eq!(guessing.of("Съешь ещё".as_bytes()).0.name(), "UTF-8");
        assert_eq!(Charset { guess: true, ..declared }.of(&text).0.name(), "KOI8-R");
    }

    #[test]
    fn labels_are_read_from_texts_and_headers() {
        let texts = StringArray::from(vec![
            Some("koi8-r"),
            Some("text/html; Charset=\"GBK\"; x=y"),
            Some("text/html"),
            Some("klingon"),
            None,
        ]);
        let labels = Labels::new(&texts).expect("text");
        let names = |labels: &Labels<'_>, rows: usize| -> Vec<_> {
            (0..rows).map(|row| labels.get(row).map(Encoding::name)).collect()
        };
        assert_eq!(names(&labels, 5), [Some("KOI8-R"), Some("GBK"), None, None, None]);

        let mut map = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
        for (key, value) in [("server", "gbk"), ("Content-Type", "text/html;charset=koi8-r")] {
            map.keys().append_value(key);
            map.values().append_value(value);
        }
        map.append(true).expect("a row");
        map.append(true).expect("an empty row");
        map.append(false).expect("null");
        let map = map.finish();
        let labels = Labels::new(&map).expect("a map");
        assert_eq!(names(&labels, 3), [Some("KOI8-R"), None, None]);
        assert_eq!(names(&Labels::new(&map.slice(1, 2)).expect("a map"), 2), [None, None]);
    }
}
