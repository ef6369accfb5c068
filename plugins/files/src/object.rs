//! JSON objects by their members, with the values as they are written.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, MapAccess};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// The members of an object in their order; the text of each value is as it stands in the line.
pub(crate) struct Object<'a>(pub(crate) Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(Name(name)) = map.next_key()? {
                    members.push((name, map.next_value()?));
                }
                Ok(Object(members))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

/// A name, borrowed unless it holds an escape.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// The lines with the values of these members as texts. Other values are not touched: numbers keep
/// all of their digits.
///
/// # Errors
/// When a line is no JSON object.
pub(crate) fn with_texts(lines: &[u8], names: &[String]) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(lines.len() + lines.len() / 8);
    for line in lines.split(|byte| *byte == b'\n') {
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let Object(members) = serde_json::from_slice(line).map_err(|e| e.to_string())?;
        let mut open = b'{';
        for (name, value) in members {
            out.push(open);
            open = b',';
            quote(&name, &mut out);
            out.push(b':');
            let value = value.get();
            match value != "null" && names.iter().any(|wanted| *wanted == name) {
                true => quote(value, &mut out),
                false => out.extend_from_slice(value.as_bytes()),
            }
        }
        out.extend_from_slice(if open == b'{' { b"{}\n" } else { b"}\n" });
    }
    Ok(out)
}

fn quote(text: &str, out: &mut Vec<u8>) {
    // Writing a text into memory cannot fail.
    let _ = serde_json::to_writer(out, text);
}
