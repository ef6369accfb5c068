//! The output columns, as they are written.

use std::borrow::Cow;
use std::fmt;

use gristmill_stage::option::ColumnType;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, MapAccess, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

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
    /// For html: a CSS selector. The first element that matches counts, in the order of the page. With
    /// `rows`, `:scope` is the element of the row.
    #[serde(default)]
    pub(crate) css: Option<String>,
    /// For json: a path such as `a.b[0].c`, `a."x.y"`, or `$` for the whole value. For xml: a path
    /// such as `a/b` or `a/b/@c`; with `rows` from the element of the row on, which itself is `.`.
    #[serde(default)]
    pub(crate) path: Option<String>,
    /// For regex and pattern: the name of a group. When left out: the name of the field.
    #[serde(default)]
    pub(crate) group: Option<String>,
    /// For the formats made of named parts or pairs: which part, or the key. When left out: the name
    /// of the field.
    #[serde(default)]
    pub(crate) key: Option<String>,
    /// For html with `rows`: look in the whole page instead, so that all of its rows have the same.
    #[serde(default)]
    pub(crate) outside: bool,
    /// For html: take this attribute of the element instead of its text.
    #[serde(default)]
    pub(crate) attr: Option<String>,
    /// For html: take the HTML in the element, or with the element, instead of its text.
    #[serde(default)]
    pub(crate) html: Option<HtmlPart>,
    /// Take all and make the column a list: every match, every value of the key, or for json every
    /// item of the array.
    #[serde(default)]
    pub(crate) all: bool,
    /// The type of the column, or with `all` of the items of the list. A `boolean` is `true`, `yes`
    /// or `1`, or `false`, `no` or `0`, in any case; a `float64` is never infinite or NaN. When left
    /// out: that of the format's own column, else string.
    #[serde(default, rename = "type")]
    pub(crate) kind: Option<ColumnType>,
    /// A row without this field does not fit. With `all`: at least one.
    #[serde(default)]
    pub(crate) required: bool,
    /// The value when the field is missing; else that is null.
    #[serde(default)]
    pub(crate) default: Option<Value>,
    /// For text of html: make every run of white space one space, and none at the ends. For other
    /// values: cut white space at the ends. On for xml and for html text and attributes, else off;
    /// numbers, booleans and times are always trimmed.
    #[serde(default)]
    pub(crate) trim: Option<bool>,
    /// For timestamp and date: how it is written, as in `strftime` (`%d.%m.%Y %H:%M`). When left
    /// out: RFC 3339, or `YYYY-MM-DD` for a date.
    #[serde(default)]
    pub(crate) format: Option<String>,
    /// For timestamp: the time zone when none is written, as `zone` of the stage, which it overrides.
    #[serde(default)]
    pub(crate) zone: Option<String>,
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
