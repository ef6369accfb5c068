//! What stands under `with`.

use std::borrow::Cow;
use std::fmt;

use gristmill_stage::option::{ByteSize, ColumnType};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, MapAccess, SeqAccess, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// Options of `parse`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Options {
    /// The input column to parse: text or bytes.
    #[serde(default = "Options::body")]
    pub(crate) column: String,
    /// What the text is.
    pub(crate) format: Format,
    /// The output columns, in this order: a name, and where its value is found. Short for
    /// `{ css: … }`, `{ path: … }` or `{ group: … }`: the selector, path or group alone.
    #[serde(default)]
    pub(crate) fields: Fields,
    /// For `format: regex`: the regular expression. Its named groups, `(?<name>…)`, are the columns
    /// when `fields` is left out. The first match counts.
    #[serde(default)]
    pub(crate) pattern: Option<String>,
    /// The input columns to keep in front of the fields: a list of names, or `all`. When left out:
    /// all but the parsed one.
    #[serde(default)]
    pub(crate) keep: Option<Keep>,
    /// What becomes of a row that does not fit: `reject` sends the whole row to the rejected rows,
    /// `null` keeps it with null in the fields that could not be read.
    #[serde(default)]
    pub(crate) on_error: OnError,
    /// The charset of a column of bytes, such as `windows-1252`. When left out: from the byte order
    /// mark, else for html from `<meta charset>`, else UTF-8. Bytes that are wrong in the charset
    /// become U+FFFD.
    #[serde(default)]
    pub(crate) charset: Option<String>,
    /// A longer text does not fit.
    #[serde(default = "Options::ten_mebibytes")]
    pub(crate) max_bytes: ByteSize,
    /// For `format: html`: a page with elements nested deeper than this does not fit.
    #[serde(default = "Options::depth")]
    pub(crate) max_depth: u32,
}

impl Options {
    fn body() -> String {
        "body".to_owned()
    }

    fn ten_mebibytes() -> ByteSize {
        ByteSize(10 << 20)
    }

    fn depth() -> u32 {
        512
    }
}

/// What the text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    /// A web page; fields are found by CSS selectors.
    Html,
    /// One JSON value; fields are found by paths.
    Json,
    /// Any text; fields are the named groups of `pattern`.
    Regex,
}

/// What becomes of a row that does not fit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OnError {
    /// The row is rejected, with the reason.
    #[default]
    Reject,
    /// The row stays, with null in the fields that could not be read.
    Null,
}

/// Which input columns are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Keep {
    /// Every one, the parsed one too.
    All,
    /// These.
    Columns(Vec<String>),
}

impl<'de> Deserialize<'de> for Keep {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Keep;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of columns, or `all`")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Keep, E> {
                match text {
                    "all" => Ok(Keep::All),
                    _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Keep, A::Error> {
                let mut columns = Vec::new();
                while let Some(column) = list.next_element()? {
                    columns.push(column);
                }
                Ok(Keep::Columns(columns))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for Keep {
    fn schema_name() -> Cow<'static, str> {
        "Keep".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                { "const": "all" },
                { "type": "array", "items": { "type": "string" } },
            ],
        })
    }
}

/// The fields, in the order written.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fields(pub(crate) Vec<(String, FieldOptions)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of fields by name")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    fields.push(entry);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

impl JsonSchema for Fields {
    fn schema_name() -> Cow<'static, str> {
        "Fields".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let field = generator.subschema_for::<FieldMap>();
        json_schema!({
            "type": "object",
            "additionalProperties": { "anyOf": [{ "type": "string" }, field] },
        })
    }
}

/// Where a field is found, short or long.
#[derive(Debug, Clone)]
pub(crate) enum FieldOptions {
    /// The selector, path or group alone.
    Short(String),
    /// All that can be said.
    Long(Box<FieldMap>),
}

impl<'de> Deserialize<'de> for FieldOptions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = FieldOptions;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a selector, path or group, or a map that says more")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<FieldOptions, E> {
                Ok(FieldOptions::Short(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<FieldOptions, A::Error> {
                let field = FieldMap::deserialize(MapAccessDeserializer::new(map))?;
                Ok(FieldOptions::Long(Box::new(field)))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// A field in its long form.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FieldMap {
    /// For html: a CSS selector. The first element that matches counts, in the order of the page.
    #[serde(default)]
    pub(crate) css: Option<String>,
    /// For json: a path such as `a.b[0].c`, `a."x.y"`, or `$` for the whole value.
    #[serde(default)]
    pub(crate) path: Option<String>,
    /// For regex: the name of a group.
    #[serde(default)]
    pub(crate) group: Option<String>,
    /// For html: take this attribute of the element instead of its text.
    #[serde(default)]
    pub(crate) attr: Option<String>,
    /// For html: take the HTML in the element, or with the element, instead of its text.
    #[serde(default)]
    pub(crate) html: Option<HtmlPart>,
    /// Take all and make the column a list: every match, or for json every item of the array.
    #[serde(default)]
    pub(crate) all: bool,
    /// The type of the column, or with `all` of the items of the list. A `boolean` is `true`, `yes`
    /// or `1`, or `false`, `no` or `0`, in any case; a `float64` is never infinite or NaN.
    #[serde(default, rename = "type")]
    pub(crate) kind: ColumnType,
    /// A row without this field does not fit. With `all`: at least one.
    #[serde(default)]
    pub(crate) required: bool,
    /// The value when the field is missing; else that is null.
    #[serde(default)]
    pub(crate) default: Option<Value>,
    /// For text of html: make every run of white space one space, and none at the ends. For other
    /// values: cut white space at the ends. On for html text and attributes, else off; numbers,
    /// booleans and times are always trimmed.
    #[serde(default)]
    pub(crate) trim: Option<bool>,
    /// For timestamp and date: how it is written, as in `strftime` (`%d.%m.%Y %H:%M`). Without an
    /// offset it is taken as UTC. When left out: RFC 3339, or `YYYY-MM-DD` for a date.
    #[serde(default)]
    pub(crate) format: Option<String>,
    /// A regular expression; its first group, or the whole match, is taken out of the text before
    /// the type is looked at: `[0-9.]+`.
    #[serde(default)]
    pub(crate) pick: Option<String>,
    /// For int64 and float64: the marks in the number when it is not written `1234.5`.
    #[serde(default)]
    pub(crate) number: Option<NumberMarks>,
}

/// Which HTML of an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum HtmlPart {
    /// What is in the element.
    Inner,
    /// The element with what is in it.
    Outer,
}

/// The marks in a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NumberMarks {
    /// Stands between digits and means nothing: the `.` in `1.234,50`.
    #[serde(default)]
    pub(crate) thousands: Option<char>,
    /// Stands before the fraction.
    #[serde(default = "NumberMarks::point")]
    pub(crate) decimal: char,
}

impl NumberMarks {
    fn point() -> char {
        '.'
    }
}
