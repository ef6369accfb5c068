//! The formats, a file each behind [`Extract`].

mod html;
mod json;
mod regex;

use std::sync::Arc;

use encoding_rs::Encoding;
use gristmill_stage::{Error, Result};

use crate::cells::{Cells, Misfit};
use crate::field::Field;
use crate::options::{FieldMap, FieldOptions, Format, Options};

/// Finds the values of the fields in a text.
///
/// A text gives one row today. A format that gives more puts row after row and asks after each
/// whether there is room; the stage already holds its place in the input batch.
pub(crate) trait Extract: Send {
    /// Puts the values of this text into the row at hand.
    ///
    /// # Errors
    /// Why the text does not fit. What was put before is taken back by the caller.
    fn extract(&mut self, text: &str, cells: &mut Cells) -> Result<(), Misfit>;

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

/// Checks format and fields.
pub(crate) fn compile(options: &Options) -> Result<Compiled> {
    if options.pattern.is_some() && options.format != Format::Regex {
        return Err(Error::option("pattern", "`pattern` is for `format: regex` only"));
    }
    match options.format {
        Format::Html => html::compile(options),
        Format::Json => json::compile(options),
        Format::Regex => regex::compile(options),
    }
}

/// The word of the options under which a format finds its fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Locator {
    Css,
    Path,
    Group,
}

impl Locator {
    const ALL: [Self; 3] = [Self::Css, Self::Path, Self::Group];

    const fn name(self) -> &'static str {
        match self {
            Self::Css => "css",
            Self::Path => "path",
            Self::Group => "group",
        }
    }

    const fn format(self) -> &'static str {
        match self {
            Self::Css => "html",
            Self::Path => "json",
            Self::Group => "regex",
        }
    }

    fn of(self, field: &FieldMap) -> Option<&String> {
        match self {
            Self::Css => field.css.as_ref(),
            Self::Path => field.path.as_ref(),
            Self::Group => field.group.as_ref(),
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
    options.fields.0.iter().map(|(name, field)| one(name, field, needs)).collect()
}

fn one(name: &str, field: &FieldOptions, needs: Locator) -> Result<Written> {
    let place = format!("fields.{name}");
    let map = match field {
        FieldOptions::Short(locator) => {
            let (locator, map) = (locator.clone(), FieldMap::default());
            return Ok(Written { name: name.to_owned(), locator, path: place, map });
        }
        FieldOptions::Long(map) => map.as_ref().clone(),
    };
    let needed = needs.name();
    for other in Locator::ALL {
        if other != needs && other.of(&map).is_some() {
            let (word, format) = (other.name(), other.format());
            let message = format!("`{word}` is for `format: {format}`");
            return Err(Error::option(format!("{place}.{word}"), message)
                .help(format!("for `format: {}` write `{needed}: …`", needs.format())));
        }
    }
    for (word, given) in [("attr", map.attr.is_some()), ("html", map.html.is_some())] {
        if given && needs != Locator::Css {
            let message = format!("`{word}` is for `format: html`");
            return Err(Error::option(format!("{place}.{word}"), message));
        }
    }
    // A group is named like its field unless it says otherwise.
    let locator = match (needs.of(&map), needs) {
        (Some(locator), _) => locator.clone(),
        (None, Locator::Group) => name.to_owned(),
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
