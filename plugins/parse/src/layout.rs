//! The checked options: which columns come in, and which go out.

use std::sync::Arc;

use arrow_schema::{Schema, SchemaRef};
use encoding_rs::Encoding;
use gristmill_stage::{Error, Result};

use crate::charset::can_label;
use crate::format::{self, Compiled};
use crate::options::{Format, Keep, OnError, Options};
use crate::text::is_text;
use crate::time::Zone;

/// Everything that is known before the first row.
pub(crate) struct Layout {
    /// The parsed column: its index and its name.
    pub(crate) column: usize,
    pub(crate) name: String,
    /// Indices of the kept columns.
    pub(crate) keep: Vec<usize>,
    /// The kept columns, then the fields.
    pub(crate) output: SchemaRef,
    /// The fields and what finds them.
    pub(crate) compiled: Compiled,
    /// The charset of the bytes, when the options name it.
    pub(crate) charset: Option<&'static Encoding>,
    /// The column that says what it is.
    pub(crate) charset_column: Option<usize>,
}

impl Layout {
    /// Checks the options against the input. Of the kept columns it emits those that are `wanted`, or
    /// all.
    pub(crate) fn new(
        options: &Options,
        input: &SchemaRef,
        wanted: Option<&SchemaRef>,
    ) -> Result<Self> {
        let column = parsed_column(options, input)?;
        let charset = match &options.charset {
            None => None,
            Some(label) => Some(Encoding::for_label(label.as_bytes()).ok_or_else(|| {
                Error::option("charset", format!("`{label}` is not a charset that is known"))
                    .help("write it like `utf-8`, `windows-1252` or `shift_jis`")
            })?),
        };
        let charset_column = charset_column(options, input)?;
        if options.max_bytes.0 == 0 {
            return Err(Error::option("max_bytes", "must be at least 1"));
        }
        if options.max_depth == 0 {
            return Err(Error::option("max_depth", "must be at least 1"));
        }
        Zone::new(options.zone.as_deref(), "zone")?;
        let compiled = format::compile(options)?;
        let wants = |name: &str| wanted.is_none_or(|wanted| wanted.index_of(name).is_ok());
        let mut keep = kept_columns(options, column, input, &wants)?;
        keep.retain(|index| wants(input.field(*index).name()));
        let mut output: Vec<_> = keep.iter().map(|at| input.fields()[*at].clone()).collect();
        for field in compiled.fields.iter() {
            if output.iter().any(|kept| *kept.name() == field.name) {
                let place = match (options.fields.0.is_empty(), options.format) {
                    (true, Format::Regex | Format::Pattern) => "pattern".to_owned(),
                    (true, Format::Csv) => "columns".to_owned(),
                    (true, _) => "format".to_owned(),
                    (false, _) => format!("fields.{}", field.name),
                };
                let message = format!("the column `{}` of the input is kept already", field.name);
                return Err(Error::option(place, message)
                    .help("give the field another name, or leave the column out of `keep`"));
            }
            output.push(Arc::new(field.arrow(options.on_error == OnError::Null)));
        }
        let (name, output) = (options.column.clone(), Arc::new(Schema::new(output)));
        Ok(Self { column, name, keep, output, compiled, charset, charset_column })
    }
}

fn parsed_column(options: &Options, input: &SchemaRef) -> Result<usize> {
    let name = &options.column;
    let Some((index, field)) = input.column_with_name(name) else {
        let message = format!("the input has no column `{name}` to parse");
        return Err(Error::column(name, message).at("column"));
    };
    if !is_text(field.data_type()) {
        let message = format!("column `{name}` is of type {}, not text", field.data_type());
        return Err(Error::column(name, message)
            .at("column")
            .help("name a column of text or bytes"));
    }
    Ok(index)
}

fn charset_column(options: &Options, input: &SchemaRef) -> Result<Option<usize>> {
    let Some(name) = &options.charset_column else {
        return Ok(None);
    };
    if options.charset.is_some() {
        let message = "`charset` and `charset_column` exclude each other";
        return Err(Error::option("charset_column", message)
            .help("`charset` holds, whatever is said of the bytes"));
    }
    let Some((index, field)) = input.column_with_name(name) else {
        let message = format!("the input has no column `{name}` for the charset");
        return Err(Error::column(name, message).at("charset_column"));
    };
    if !can_label(field.data_type()) {
        let message = format!("column `{name}` is of type {}, not text", field.data_type());
        return Err(Error::column(name, message)
            .at("charset_column")
            .help("name a column of text, or the `headers` of `fetch`"));
    }
    Ok(Some(index))
}

fn kept_columns(
    options: &Options,
    parsed: usize,
    input: &SchemaRef,
    wants: &dyn Fn(&str) -> bool,
) -> Result<Vec<usize>> {
    let all = 0..input.fields().len();
    let names = match &options.keep {
        None => return Ok(all.filter(|index| *index != parsed).collect()),
        Some(Keep::All) => return Ok(all.collect()),
        Some(Keep::Columns(names)) => names,
    };
    let mut keep = Vec::with_capacity(names.len());
    for (at, name) in names.iter().enumerate().filter(|(_, name)| wants(name)) {
        let place = format!("keep[{at}]");
        let Some((index, _)) = input.column_with_name(name) else {
            let message = format!("the input has no column `{name}` to keep");
            return Err(Error::column(name, message).at(place));
        };
        if keep.contains(&index) {
            return Err(Error::option(place, format!("column `{name}` is named twice")));
        }
        keep.push(index);
    }
    Ok(keep)
}
