//! One output column: its name, its type, and what holds when its value is missing.

use std::sync::Arc;

use arrow_schema::{DataType, Field as ArrowField};
use gristmill_stage::option::ColumnType;
use gristmill_stage::{Error, Result};
use serde_json::Value;

use crate::convert::Convert;
use crate::options::FieldMap;

/// A checked field.
#[derive(Debug, Clone)]
pub(crate) struct Field {
    /// The name of the column.
    pub(crate) name: String,
    /// How its texts become values.
    pub(crate) convert: Convert,
    /// Whether all matches are taken, as a list.
    pub(crate) list: bool,
    /// Whether a row without it does not fit.
    pub(crate) required: bool,
    /// What stands in for a missing value.
    pub(crate) default: Option<Missing>,
    /// Texts that stand for a missing value.
    pub(crate) nulls: Arc<[String]>,
}

/// What stands in for a missing value: written as the type is written in the YAML, whatever the
/// marks and patterns of the input.
#[derive(Debug, Clone)]
pub(crate) struct Missing {
    /// The value as text.
    pub(crate) text: String,
    /// How that text is read.
    pub(crate) convert: Convert,
}

impl Field {
    /// Checks what all formats have in common. `trim` is what holds when the field does not say.
    pub(crate) fn new(name: &str, options: &FieldMap, trim: bool) -> Result<Self> {
        let path = format!("fields.{name}");
        let convert = Convert::new(options, &path, trim)?;
        let default = match &options.default {
            None | Some(Value::Null) => None,
            Some(_) if options.all => {
                let message = "`default` has no meaning with `all`";
                return Err(Error::option(format!("{path}.default"), message)
                    .help("a list without items is empty"));
            }
            Some(_) if options.required => {
                let message = "`default` has no meaning with `required`";
                return Err(Error::option(format!("{path}.default"), message));
            }
            Some(value) => Some(Missing::new(value, options, &path)?),
        };
        Ok(Self {
            name: name.to_owned(),
            convert,
            list: options.all,
            required: options.required,
            default,
            nulls: Arc::default(),
        })
    }

    /// Whether the text stands for a missing value.
    pub(crate) fn is_null(&self, text: &str) -> bool {
        self.nulls.iter().any(|null| null == text)
    }

    /// The column in the output schema. `lenient` when rows that do not fit stay, with nulls.
    pub(crate) fn arrow(&self, lenient: bool) -> ArrowField {
        let kind = self.convert.kind.data_type();
        let kind = match self.list {
            false => kind,
            true => DataType::List(Arc::new(ArrowField::new_list_field(kind, true))),
        };
        let never_null = !lenient && (self.required || self.default.is_some());
        ArrowField::new(&self.name, kind, !never_null)
    }
}

impl Missing {
    fn new(value: &Value, options: &FieldMap, path: &str) -> Result<Self> {
        let kind = options.kind.unwrap_or_default();
        let zone = options.zone.clone();
        let plain = FieldMap { kind: Some(kind), zone, ..FieldMap::default() };
        let convert = Convert::new(&plain, path, false)?;
        let text = match value {
            Value::String(text) if kind != ColumnType::Json => text.clone(),
            other => other.to_string(),
        };
        convert
            .read(&text)
            .map_err(|why| Error::option(format!("{path}.default"), format!("`{text}` {why}")))?;
        Ok(Self { text, convert })
    }
}
