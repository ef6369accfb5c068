//! Any text, by the named groups of a regular expression.

use gristmill_stage::{Error, Result};
use regex::{CaptureLocations, Regex};

use super::{Extract, Found, Locator, written};
use crate::cells::{Cells, Misfit};
use crate::convert;
use crate::field::Field;
use crate::options::{FieldMap, Options};

/// Checks the pattern and the fields.
pub(super) fn compile(options: &Options) -> Result<Found> {
    let Some(pattern) = &options.pattern else {
        return Err(Error::option("", "`format: regex` needs a `pattern`")
            .help(r"write `pattern: '(?<user>\w+) (?<ms>\d+)ms'`"));
    };
    let regex = convert::compile(pattern, "pattern")?;
    let names: Vec<(usize, &str)> = regex
        .capture_names()
        .enumerate()
        .filter_map(|(index, name)| Some((index, name?)))
        .collect();
    if names.is_empty() {
        return Err(Error::option("pattern", "the pattern has no named groups")
            .help("name the parts that you need: `(?<name>…)`"));
    }
    let mut fields = Vec::new();
    let mut wanted = Vec::new();
    if options.fields.0.is_empty() {
        for (index, name) in &names {
            // Text, whatever it is; zones and types come with `fields`.
            fields.push(Field::new(name, &FieldMap::default(), false)?);
            wanted.push(Wanted { group: *index, all: false });
        }
    } else {
        for field in written(options, Locator::Group)? {
            let Some((group, _)) = names.iter().find(|(_, name)| *name == field.locator) else {
                let known: Vec<_> = names.iter().map(|(_, name)| format!("`{name}`")).collect();
                let message = format!("the pattern has no group `{}`", field.locator);
                return Err(Error::option(field.path, message)
                    .help(format!("its groups are {}", known.join(", "))));
            };
            wanted.push(Wanted { group: *group, all: field.map.all });
            fields.push(Field::new(&field.name, &field.map, false)?);
        }
    }
    let many = wanted.iter().any(|w| w.all);
    let places = regex.capture_locations();
    Ok(Found { fields, extract: Box::new(Groups { regex, wanted, many, places }) })
}

/// One field: its group, and whether the group of every match is taken.
struct Wanted {
    group: usize,
    all: bool,
}

struct Groups {
    regex: Regex,
    wanted: Vec<Wanted>,
    /// Whether any field wants more than the first match.
    many: bool,
    places: CaptureLocations,
}

impl Extract for Groups {
    fn extract(&mut self, text: &str, cells: &mut Cells) -> Result<(), Misfit> {
        let mut at = 0;
        let mut first = true;
        while let Some(found) = self.regex.captures_read_at(&mut self.places, text, at) {
            for (index, wanted) in self.wanted.iter().enumerate() {
                if !first && !wanted.all {
                    continue;
                }
                let range = self.places.get(wanted.group);
                if let Some(group) = range.and_then(|(start, end)| text.get(start..end)) {
                    cells.put(index, group)?;
                } else if wanted.all {
                    cells.put_null(index);
                }
            }
            first = false;
            // After an empty match the next one starts at the next character.
            at = match found.is_empty() {
                false => found.end(),
                true => found.end() + text[found.end()..].chars().next().map_or(1, char::len_utf8),
            };
            if !self.many || at > text.len() {
                break;
            }
        }
        if first { Err(Misfit("the text does not match `pattern`".to_owned())) } else { Ok(()) }
    }
}
