//! JSON values, by paths. A text is read once; what no path leads to is skipped, not built.

mod path;
mod pick;

use gristmill_stage::option::ColumnType;
use gristmill_stage::{Error, Result};

use self::pick::{Paths, Spans};
use super::{Extract, Found, Locator, no_fields, written};
use crate::cells::{Cells, Misfit};
use crate::field::Field;
use crate::options::Options;

/// Checks the fields.
pub(super) fn compile(options: &Options) -> Result<Found> {
    let mut fields = Vec::new();
    let mut wanted = Vec::new();
    let mut paths = Paths::default();
    for (index, field) in written(options, Locator::Path)?.into_iter().enumerate() {
        let steps = path::read(&field.locator).map_err(|what| {
            Error::option(&field.path, format!("`{}` is not a path: {what}", field.locator))
                .help("write it like `a.b[0].c` or `a.\"x.y\"`")
        })?;
        paths.add(&steps, index);
        wanted.push(Wanted {
            kind: field.map.kind.unwrap_or_default(),
            all: field.map.all,
            // A number can be a time once the field says how it is written.
            texts: field.map.pick.is_some() || field.map.format.is_some(),
        });
        fields.push(Field::new(&field.name, &field.map, false)?);
    }
    if fields.is_empty() {
        return Err(no_fields("fields: { id: id, city: address.city }"));
    }
    let spans = vec![None; fields.len()];
    let extract = Json { wanted, paths, spans, text: String::new() };
    Ok(Found { fields, extract: Box::new(extract) })
}

/// One field: what it takes.
struct Wanted {
    kind: ColumnType,
    all: bool,
    texts: bool,
}

struct Json {
    wanted: Vec<Wanted>,
    paths: Paths,
    /// Where the value of each field stands in the text at hand.
    spans: Spans,
    /// The JSON string at hand, without its escapes.
    text: String,
}

impl Extract for Json {
    fn extract(&mut self, text: &str, cells: &mut Cells) -> Result<(), Misfit> {
        self.spans.fill(None);
        pick::pick(text, &self.paths, &mut self.spans)
            .map_err(|error| Misfit(format!("the text is not JSON: {error}")))?;
        for (index, (wanted, span)) in self.wanted.iter().zip(&self.spans).enumerate() {
            let Some(raw) = span.clone().and_then(|span| text.get(span)) else {
                continue;
            };
            if raw == "null" {
                continue;
            }
            if !wanted.all {
                put(wanted, index, raw, &mut self.text, cells)?;
            } else if raw.starts_with('[') {
                cells.open(index);
                for item in pick::items(raw) {
                    match item {
                        "null" => cells.put_null(index),
                        item => put(wanted, index, item, &mut self.text, cells)?,
                    }
                }
            } else {
                cells.misfit(index, raw, "is not an array, as `all` wants")?;
            }
        }
        Ok(())
    }
}

/// Puts one JSON value that is not null.
fn put(
    wanted: &Wanted,
    index: usize,
    raw: &str,
    buffer: &mut String,
    cells: &mut Cells,
) -> Result<(), Misfit> {
    let first = raw.as_bytes().first().copied().unwrap_or_default();
    let fits = match (wanted.kind, first) {
        (ColumnType::Json, _) => return cells.put(index, raw),
        (ColumnType::String, _) | (_, b'"') => true,
        (ColumnType::Boolean, first) => matches!(first, b't' | b'f'),
        (ColumnType::Int64 | ColumnType::Float64, first) => first == b'-' || first.is_ascii_digit(),
        // Seconds since 1970 are a timestamp only when `format: "%s"` says so.
        (ColumnType::Timestamp | ColumnType::Date, _) => wanted.texts && first.is_ascii_digit(),
    };
    if !fits {
        return cells.misfit(index, raw, &format!("is not of type {}", wanted.kind.name()));
    }
    if first == b'"' {
        buffer.clear();
        return match pick::unescape(raw, buffer) {
            Ok(text) => cells.put(index, text),
            Err(_) => cells.misfit(index, raw, "has an escape that is not valid"),
        };
    }
    if wanted.kind == ColumnType::Int64
        && let Some(whole) = whole(raw)
    {
        return cells.put(index, &whole.to_string());
    }
    cells.put(index, raw)
}

/// A JSON number such as `5.0` or `1e3`, if it is whole and small enough to be exact.
fn whole(raw: &str) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if !raw.contains(['.', 'e', 'E']) {
        return None;
    }
    let number: f64 = raw.parse().ok()?;
    (number.fract() == 0.0 && number.abs() <= EXACT).then_some(number as i64)
}

#[cfg(test)]
mod tests;
