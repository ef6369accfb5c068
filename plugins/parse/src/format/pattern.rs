//! Any text, by a pattern such as `{user} [{time:timestamp:%d/%b/%Y}] {status:int64}`.

use gristmill_stage::option::ColumnType;
use gristmill_stage::{Error, Result};
use memchr::memmem::Finder;
use serde::Deserialize;
use serde::de::IntoDeserializer;

use super::parts::{Part, Takers};
use super::{Extract, Found, Locator, line};
use crate::cells::{Cells, Misfit};
use crate::options::Options;

/// Checks the pattern and the fields.
pub(super) fn compile(options: &Options) -> Result<Found> {
    let Some(text) = &options.pattern else {
        return Err(Error::option("", "`format: pattern` needs a `pattern`")
            .help("write `pattern: '{user} took {ms:int64} ms'`"));
    };
    let wrong = |what: String| {
        Error::option("pattern", format!("`{text}` is not a pattern: {what}"))
            .help("write it like `{user} [{time:timestamp:%d/%b/%Y}] {status:int64}`")
    };
    let (mut parts, mut steps) = (Vec::<Part>::new(), Vec::new());
    let mut pieces = read(text).map_err(wrong)?.into_iter();
    // The text before the first value; later ones end the value before them.
    let mut first = String::new();
    while let Some(piece) = pieces.next() {
        let part = match piece {
            Piece::Text(text) => {
                first = text;
                continue;
            }
            Piece::Skip => None,
            Piece::Value(part) if parts.iter().any(|other| other.name == part.name) => {
                return Err(wrong(format!("`{}` is in it twice", part.name)));
            }
            Piece::Value(part) => {
                parts.push(part);
                Some(parts.len() - 1)
            }
        };
        let end = match pieces.next() {
            None => None,
            Some(Piece::Text(text)) => Some(text),
            Some(_) => return Err(wrong("nothing stands between two of its values".to_owned())),
        };
        let name = part.and_then(|at| parts.get(at)).map_or("", |part| &part.name).to_owned();
        let end = end.map(|end| Finder::new(end.as_bytes()).into_owned());
        steps.push(Step { part, name, end });
    }
    if parts.is_empty() {
        return Err(wrong("it has no named values".to_owned()));
    }
    let (fields, takers) = Takers::new(options, Locator::Group, &parts)?;
    Ok(Found { fields, extract: Box::new(Pattern { first, steps, takers }) })
}

/// A piece of the pattern.
enum Piece {
    Text(String),
    Skip,
    Value(Part),
}

/// Takes the pattern apart. Texts are never empty and never neighbours.
fn read(pattern: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut text = String::new();
    let mut rest = pattern;
    while let Some(at) = rest.find(['{', '}']) {
        text.push_str(&rest[..at]);
        let (brace, after) = rest[at..].split_at(1);
        if let Some(after) = after.strip_prefix(brace) {
            text.push_str(brace);
            rest = after;
            continue;
        }
        if brace == "}" {
            return Err("a `}` closes nothing; a brace that is meant is written `}}`".to_owned());
        }
        let (inside, after) = after.split_once('}').ok_or("a `{` is not closed")?;
        if !text.is_empty() {
            pieces.push(Piece::Text(std::mem::take(&mut text)));
        }
        pieces.push(value(inside)?);
        rest = after;
    }
    text.push_str(rest);
    if !text.is_empty() {
        pieces.push(Piece::Text(text));
    }
    Ok(pieces)
}

/// What stands between braces: `name`, `name:type`, `name:timestamp:layout`.
fn value(inside: &str) -> Result<Piece, String> {
    let mut words = inside.splitn(3, ':');
    let name = words.next().unwrap_or_default().trim();
    let kind = match words.next().map(str::trim) {
        None => ColumnType::String,
        Some(word) => {
            let known: Result<_, serde::de::value::Error> =
                ColumnType::deserialize(word.into_deserializer());
            known.map_err(|_| {
                format!(
                    "`{word}` is no type; types are string, int64, float64, boolean, timestamp, \
                     date, json"
                )
            })?
        }
    };
    let layout = words.next().map(str::to_owned);
    if layout.is_some() && !matches!(kind, ColumnType::Timestamp | ColumnType::Date) {
        return Err(format!("`{inside}` says how a time is written, and is none"));
    }
    match name {
        "" | "_" => Ok(Piece::Skip),
        name => Ok(Piece::Value(Part { layout, ..Part::of(name, kind) })),
    }
}

struct Pattern {
    /// What the text begins with.
    first: String,
    steps: Vec<Step>,
    takers: Takers,
}

/// A value, and the text that ends it. Without one it goes to the end.
struct Step {
    part: Option<usize>,
    name: String,
    end: Option<Finder<'static>>,
}

impl Extract for Pattern {
    fn extract(&mut self, text: &str, cells: &mut Cells) -> Result<(), Misfit> {
        let text = line(text);
        let mut rest = text.strip_prefix(&*self.first).ok_or_else(|| {
            Misfit(format!("the text does not begin with {:?} as `pattern` does", self.first))
        })?;
        for (at, step) in self.steps.iter().enumerate() {
            let last = at + 1 == self.steps.len();
            let value = match &step.end {
                None => std::mem::take(&mut rest),
                // The last text must be at the very end, wherever else it stands.
                Some(end) if last => {
                    let end = std::str::from_utf8(end.needle()).unwrap_or_default();
                    let value = rest.strip_suffix(end).ok_or_else(|| missing(step, end))?;
                    rest = "";
                    value
                }
                Some(end) => {
                    let needle = end.needle();
                    let found = match needle {
                        [one] => memchr::memchr(*one, rest.as_bytes()),
                        _ => end.find(rest.as_bytes()),
                    };
                    let found = found.ok_or_else(|| {
                        missing(step, std::str::from_utf8(needle).unwrap_or_default())
                    })?;
                    let value = &rest[..found];
                    rest = &rest[found + needle.len()..];
                    value
                }
            };
            if let Some(part) = step.part {
                self.takers.put(part, value, cells)?;
            }
        }
        Ok(())
    }
}

fn missing(step: &Step, end: &str) -> Misfit {
    match step.name.as_str() {
        "" => Misfit(format!("the text has no {end:?} where `pattern` has it")),
        name => Misfit(format!("the text has no {end:?} after `{name}` as `pattern` has")),
    }
}
