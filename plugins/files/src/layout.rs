//! JSON that is no JSON lines: found before the run, since every line of it would be rejected.

use gristmill_stage::{Error, Result};
use serde::de::IgnoredAny;
use serde_json::{Deserializer, Map, Value};

use crate::current::failed;
use crate::paths::Input;
use crate::records::{Part, Records};

/// How much of a file is looked at.
const LINES: usize = 100;
const BYTES: usize = 1 << 20;

/// Looks at the beginning of a file.
///
/// # Errors
/// When it is an array, or an object over several lines.
pub(crate) fn check(records: &mut Records, input: &Input) -> Result<()> {
    let wrong = |what: &str, command: &str| {
        Err(Error::option("path", format!("{} {what}", input.name())).help(format!(
            "`read` takes JSON lines, an object on each line; `{command} FILE` makes them of it"
        )))
    };
    let first = records.next(LINES, BYTES).map_err(|e| failed(input, e))?;
    let found = match first {
        Part::Records { records: lines, .. } => {
            let start = lines.first().map_or(0, |line| line.start);
            let end = lines.last().map_or(0, |line| line.end);
            look(&records.text()[start..end])
        }
        Part::TooLong { head, .. } if head.trim_ascii_start().starts_with(b"[") => Some(b'['),
        Part::TooLong { .. } | Part::Wait | Part::End => None,
    };
    match found {
        Some(b'[') => wrong("is a JSON array", "jq -c '.[]'"),
        Some(_) => wrong("has JSON objects that go over several lines", "jq -c ."),
        None => Ok(()),
    }
}

/// What the text begins with, if that is an array or goes over several lines. A line that is only
/// broken is left to be rejected.
fn look(text: &[u8]) -> Option<u8> {
    let text = text.trim_ascii();
    let first = *text.first().filter(|byte| matches!(byte, b'[' | b'{'))?;
    let line = text.iter().position(|byte| *byte == b'\n').unwrap_or(text.len());
    let mut values = Deserializer::from_slice(text).into_iter::<IgnoredAny>();
    let found = match values.next()? {
        Ok(_) if first == b'[' => values.byte_offset() > line || line == text.len(),
        Ok(_) => values.byte_offset() > line,
        // It may end after what was looked at, or it may be a line that was cut off.
        Err(error) if error.is_eof() && line < text.len() => {
            let is_row = |line| serde_json::from_slice::<Map<String, Value>>(line).is_ok();
            !text.split(|byte| *byte == b'\n').any(is_row)
        }
        Err(_) => false,
    };
    found.then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_told_from_other_json() {
        for (text, found) in [
            ("[{\"a\":1},\n{\"a\":2}]\n", Some(b'[')),
            ("\n[\n{\"a\":1},\n{\"a\":2}\n]\n", Some(b'[')),
            ("[{\"a\":1},{\"a\":2}]", Some(b'[')),
            ("[\n  {\n    \"a\": 1\n  },\n", Some(b'[')),
            ("{\n  \"a\": 1\n}\n{\n  \"a\": 2\n}\n", Some(b'{')),
            ("{\n  \"a\": [\n", Some(b'{')),
            ("{\"a\":1}\n{\"a\":\n", None),
            ("{\"a\":\n{\"a\":2}\n", None),
            ("{\"a\":\"x\n{\"a\":2}\n", None),
            ("{\"a\":", None),
            ("[1,2]\n{\"a\":2}\n", None),
            ("no JSON\n", None),
            ("", None),
        ] {
            assert_eq!(look(text.as_bytes()), found, "{text}");
        }
    }
}
