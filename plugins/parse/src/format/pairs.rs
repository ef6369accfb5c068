//! Keys and values: logfmt, pairs with separators of one's choice, and query strings.

use gristmill_stage::option::ColumnType;
use gristmill_stage::{Error, Result};
use url::form_urlencoded;

use super::escape::{quoted, unescape};
use super::{Extract, Found, Locator, line, no_fields, written};
use crate::cells::{Cells, Misfit};
use crate::field::Field;
use crate::options::{Format, Options};

/// The key of all pairs together.
const ALL: &str = "$";

/// Checks the fields.
pub(super) fn compile(options: &Options) -> Result<Found> {
    let (mut fields, mut keys, mut whole) = (Vec::new(), Vec::new(), Vec::new());
    for (index, field) in written(options, Locator::Key)?.into_iter().enumerate() {
        if field.locator == ALL {
            if field.map.all || field.map.kind != Some(ColumnType::Json) {
                let message =
                    "the key `$` is all pairs as an object, so the field needs `type: json`";
                return Err(Error::option(field.path, message));
            }
            whole.push(index);
        }
        keys.push(field.locator);
        fields.push(Field::new(&field.name, &field.map, false)?);
    }
    if fields.is_empty() {
        return Err(no_fields("fields: { level: level, took: { type: float64 } }"));
    }
    let separator = |given: &Option<String>, option: &str| match given.as_deref() {
        Some("") => Err(Error::option(option, format!("`{option}` is empty"))
            .help("leave it out for white space")),
        given => Ok(given.map(str::to_owned)),
    };
    let syntax = match options.format {
        Format::Query => Syntax::Query,
        _ => Syntax::Pairs {
            between: separator(&options.pair_separator, "pair_separator")?,
            within: separator(&options.key_separator, "key_separator")?
                .unwrap_or_else(|| "=".to_owned()),
        },
    };
    let twice = keys.iter().enumerate().any(|(at, key)| keys[..at].contains(key));
    let taken = Taken { keys, twice, whole, next: 0, object: String::new() };
    Ok(Found { fields, extract: Box::new(Pairs { syntax, taken, buffer: String::new() }) })
}

enum Syntax {
    Query,
    /// What stands between pairs, white space if nothing else, and what stands within one.
    Pairs {
        between: Option<String>,
        within: String,
    },
}

struct Pairs {
    syntax: Syntax,
    taken: Taken,
    buffer: String,
}

/// What the fields take.
struct Taken {
    /// The key of each field.
    keys: Vec<String>,
    /// Whether two fields take the same key.
    twice: bool,
    /// The fields that take all pairs.
    whole: Vec<usize>,
    /// The field whose key probably comes next, as lines of one program are alike.
    next: usize,
    /// All pairs of the text at hand as JSON, without the brace at the end.
    object: String,
}

impl Extract for Pairs {
    fn extract(&mut self, text: &str, cells: &mut Cells) -> Result<(), Misfit> {
        let taken = &mut self.taken;
        taken.next = 0;
        taken.object.clear();
        match &self.syntax {
            Syntax::Query => {
                let text = text.strip_prefix('?').unwrap_or(text);
                for (key, value) in form_urlencoded::parse(text.as_bytes()) {
                    taken.take(&key, &value, cells)?;
                }
            }
            Syntax::Pairs { between, within } => {
                let mut rest = line(text);
                let mut pairs = 0;
                while let Some(pair) = pair(&mut rest, between.as_deref(), within)? {
                    let value = match pair.quoted {
                        true => unescape(pair.value, &mut self.buffer),
                        false => pair.value,
                    };
                    if pair.key.is_empty() && !pair.has_value {
                        continue;
                    }
                    pairs += usize::from(pair.has_value);
                    taken.take(pair.key, value, cells)?;
                }
                if pairs == 0 {
                    return Err(Misfit(format!(
                        "the text has no pair of the form `key{within}value`"
                    )));
                }
            }
        }
        taken.finish(cells)
    }
}

impl Taken {
    fn take(&mut self, key: &str, value: &str, cells: &mut Cells) -> Result<(), Misfit> {
        if !self.whole.is_empty() {
            self.object.push(if self.object.is_empty() { '{' } else { ',' });
            push_json(&mut self.object, key);
            self.object.push(':');
            push_json(&mut self.object, value);
        }
        let (fields, first) = (self.keys.len(), self.next);
        let mut found = false;
        for step in 0..fields {
            let index = (first + step) % fields;
            if self.keys.get(index).is_some_and(|wanted| wanted == key) && !cells.is_set(index) {
                cells.put(index, value)?;
                if !found {
                    self.next = (index + 1) % fields;
                    found = true;
                }
                if !self.twice {
                    break;
                }
            }
        }
        Ok(())
    }

    fn finish(&mut self, cells: &mut Cells) -> Result<(), Misfit> {
        if self.object.is_empty() {
            self.object.push('{');
        }
        self.object.push('}');
        self.whole.iter().try_for_each(|index| cells.put(*index, &self.object))
    }
}

fn push_json(object: &mut String, text: &str) {
    // A text is always JSON.
    object.push_str(&serde_json::to_string(text).unwrap_or_default());
}

/// A pair, as it stands in the text.
struct Pair<'a> {
    key: &'a str,
    value: &'a str,
    has_value: bool,
    quoted: bool,
}

/// Takes the next pair off the text. The value of a key without a separator is `true`.
fn pair<'a>(
    rest: &mut &'a str,
    between: Option<&str>,
    within: &str,
) -> Result<Option<Pair<'a>>, Misfit> {
    let text = rest.trim_start();
    if text.is_empty() {
        *rest = text;
        return Ok(None);
    }
    let pair_end = |text: &str| match between {
        None => text.bytes().position(|byte| byte.is_ascii_whitespace()),
        Some(between) => find(text, between),
    };
    let after = |text: &'a str, end: usize| match between {
        None => &text[end..],
        Some(between) => text[end..].strip_prefix(between).unwrap_or_default(),
    };
    let value_at = find(text, within);
    let end = pair_end(value_at.map_or(text, |at| &text[..at]));
    let value_at = match (end, value_at) {
        (None, Some(at)) => at,
        (end, _) => {
            let end = end.or_else(|| pair_end(text)).unwrap_or(text.len());
            *rest = after(text, end);
            let key = text[..end].trim();
            return Ok(Some(Pair { key, value: "true", has_value: false, quoted: false }));
        }
    };
    let key = text[..value_at].trim();
    let value = &text[value_at + within.len()..];
    let trimmed = if between.is_some() { value.trim_start() } else { value };
    if let Some(inside) = trimmed.strip_prefix('"') {
        let (value, tail) = quoted(inside)
            .ok_or_else(|| Misfit(format!("the value of `{key}` has no quote at its end")))?;
        let end = pair_end(tail).unwrap_or(tail.len());
        if !tail[..end].trim().is_empty() {
            return Err(Misfit(format!("the value of `{key}` goes on after its quote")));
        }
        *rest = after(tail, end);
        return Ok(Some(Pair { key, value, has_value: true, quoted: true }));
    }
    let end = pair_end(value).unwrap_or(value.len());
    *rest = after(value, end);
    Ok(Some(Pair { key, value: value[..end].trim(), has_value: true, quoted: false }))
}

fn find(text: &str, mark: &str) -> Option<usize> {
    match mark.as_bytes() {
        [one] => memchr::memchr(*one, text.as_bytes()),
        more => memchr::memmem::find(text.as_bytes(), more),
    }
}
