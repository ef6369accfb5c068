//! The formats, a file each behind [`Extract`].

mod access;
mod csv;
mod escape;
mod html;
mod json;
mod pairs;
mod parts;
mod pattern;
mod regex;
mod syslog;
mod url;
mod xml;

use std::sync::Arc;
use std::time::SystemTime;

use encoding_rs::Encoding;
use gristmill_stage::{Error, Result};

use crate::cells::{Cells, Misfit};
use crate::field::Field;
use crate::options::{FieldMap, FieldOptions, Format, Options};

/// Finds the values of the fields in a text.
///
/// A text gives one row, or as many as it has matches of `rows`. All rows of a text are made at
/// once, within the bound of `Cells`, and the stage hands them on batch by batch: a page as a tree
/// cannot wait in a stage, which may go to another thread, and to parse it anew for each batch would
/// take time by the square of its length.
pub(crate) trait Extract: Send {
    /// Puts the values of this text into the row at hand, or row after row, each ended by
    /// [`Cells::end_match`].
    ///
    /// # Errors
    /// Why the text does not fit. What was put before is taken back by the caller.
    fn extract(&mut self, text: &str, cells: &mut Cells) -> Result<(), Misfit>;

    /// Whether a text gives rows of its own.
    fn gives_rows(&self) -> bool {
        false
    }

    /// Says what time of day it is, for times that leave a part of the date out.
    fn now(&mut self, _: SystemTime) {}

    /// The charset that the bytes of a text declare.
    fn declared(&self) -> fn(&[u8]) -> Option<&'static Encoding> {
        |_| None
    }
}

/// A format with its fields, checked.
pub(crate) struct Compiled {
    /// The output columns.
    pub(crate) fields: Arc<[Field]>,
    /// What finds their values.
    pub(crate) extract: Box<dyn Extract>,
}

/// What a format makes of the options.
struct Found {
    fields: Vec<Field>,
    extract: Box<dyn Extract>,
}

/// Checks format and fields.
pub(crate) fn compile(options: &Options) -> Result<Compiled> {
    only_where_meant(options)?;
    let Found { mut fields, extract } = match options.format {
        Format::Html => html::compile(options),
        Format::Json => json::compile(options),
        Format::Regex => regex::compile(options),
        Format::Pattern => pattern::compile(options),
        Format::Xml => xml::compile(options),
        Format::Csv => csv::compile(options),
        Format::Logfmt | Format::KeyValue | Format::Query => pairs::compile(options),
        Format::Url => url::compile(options),
        Format::Combined | Format::Common => access::compile(options),
        Format::Syslog => syslog::compile(options),
    }?;
    let nulls = match (&options.nulls, options.format) {
        (Some(nulls), _) => nulls.clone(),
        (None, Format::Combined | Format::Common | Format::Syslog) => vec!["-".to_owned()],
        (None, Format::Csv) => vec![String::new()],
        (None, _) => Vec::new(),
    };
    let nulls: Arc<[String]> = nulls.into();
    fields.iter_mut().for_each(|field| field.nulls = nulls.clone());
    Ok(Compiled { fields: fields.into(), extract })
}

/// That no option is given that the format does not look at.
fn only_where_meant(options: &Options) -> Result<()> {
    let meant: [(&str, bool, &[Format]); 7] = [
        ("rows", options.rows.is_some(), &[Format::Html, Format::Xml]),
        ("pattern", options.pattern.is_some(), &[Format::Regex, Format::Pattern]),
        ("columns", !options.columns.is_empty(), &[Format::Csv]),
        ("delimiter", options.delimiter.is_some(), &[Format::Csv]),
        ("quote", options.quote.is_some(), &[Format::Csv]),
        ("pair_separator", options.pair_separator.is_some(), &[Format::KeyValue]),
        ("key_separator", options.key_separator.is_some(), &[Format::KeyValue]),
    ];
    for (option, given, formats) in meant {
        if given && !formats.contains(&options.format) {
            let names: Vec<_> = formats.iter().map(|format| format.name()).collect();
            let message = format!("`{option}` is for `format: {}` only", names.join("` or `"));
            return Err(Error::option(option, message));
        }
    }
    Ok(())
}

/// The word of the options under which a format finds its fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Locator {
    Css,
    Path,
    Group,
    Key,
}

impl Locator {
    const ALL: [Self; 4] = [Self::Css, Self::Path, Self::Group, Self::Key];

    const fn name(self) -> &'static str {
        match self {
            Self::Css => "css",
            Self::Path => "path",
            Self::Group => "group",
            Self::Key => "key",
        }
    }

    /// The formats that have it.
    const fn formats(self) -> &'static str {
        match self {
            Self::Css => "`format: html`",
            Self::Path => "`format: json` and `xml`",
            Self::Group => "`format: regex` and `pattern`",
            Self::Key => "formats of named parts or pairs",
        }
    }

    fn of(self, field: &FieldMap) -> Option<&String> {
        match self {
            Self::Css => field.css.as_ref(),
            Self::Path => field.path.as_ref(),
            Self::Group => field.group.as_ref(),
            Self::Key => field.key.as_ref(),
        }
    }
}

/// A field as written: its locator, the place of the locator in the options, and the rest.
struct Written {
    name: String,
    locator: String,
    path: String,
    map: FieldMap,
}

/// The fields as written, each with the locator that the format needs and no other.
fn written(options: &Options, needs: Locator) -> Result<Vec<Written>> {
    let fields = options.fields.0.iter();
    fields.map(|(name, field)| one(name, field, needs, options)).collect()
}

fn one(name: &str, field: &FieldOptions, needs: Locator, options: &Options) -> Result<Written> {
    let place = format!("fields.{name}");
    let mut map = match field {
        FieldOptions::Short(locator) => {
            let map = FieldMap { zone: options.zone.clone(), ..FieldMap::default() };
            let locator = locator.clone();
            return Ok(Written { name: name.to_owned(), locator, path: place, map });
        }
        FieldOptions::Long(map) => map.as_ref().clone(),
    };
    let (needed, format) = (needs.name(), options.format.name());
    for other in Locator::ALL {
        if other != needs && other.of(&map).is_some() {
            let word = other.name();
            let message = format!("`{word}` is for {}", other.formats());
            return Err(Error::option(format!("{place}.{word}"), message)
                .help(format!("for `format: {format}` write `{needed}: …`")));
        }
    }
    let html =
        [("attr", map.attr.is_some()), ("html", map.html.is_some()), ("outside", map.outside)];
    for (word, given) in html {
        if given && needs != Locator::Css {
            let message = format!("`{word}` is for `format: html`");
            return Err(Error::option(format!("{place}.{word}"), message));
        }
    }
    // A time zone that the field does not look at is no mistake when it is that of the stage.
    if map.zone.is_none() {
        map.zone.clone_from(&options.zone);
    }
    // A group or a key is named like its field unless it says otherwise.
    let locator = match (needs.of(&map), needs) {
        (Some(locator), _) => locator.clone(),
        (None, Locator::Group | Locator::Key) => name.to_owned(),
        (None, _) => {
            return Err(Error::option(
                place,
                format!("field `{name}` does not say where it is found"),
            )
            .help(format!("write `{needed}: …`")));
        }
    };
    let path = match needs.of(&map) {
        Some(_) => format!("{place}.{needed}"),
        None => place,
    };
    Ok(Written { name: name.to_owned(), locator, path, map })
}

/// The error for a format that was given no fields.
fn no_fields(example: &str) -> Error {
    Error::option("fields", "there are no fields to find").help(format!("write `{example}`"))
}

/// The text without the end of its line.
fn line(text: &str) -> &str {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
}

#[cfg(test)]
mod tests;
