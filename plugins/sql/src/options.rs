//! The forms in which people write expressions in YAML.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// The text of an SQL expression. A number or a truth value in YAML counts as its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expression(pub String);

/// Names and their expressions, in the order in which they were written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Named(pub Vec<(String, Expression)>);

/// Columns by name, or columns computed under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Select {
    /// Columns of the input.
    Columns(Vec<String>),
    /// Names and expressions.
    Named(Named),
}

/// What rows are grouped by: columns of the input, or expressions under a name.
pub type GroupBy = Select;

impl Default for Select {
    fn default() -> Self {
        Self::Columns(Vec::new())
    }
}

struct ExpressionVisitor;

impl Visitor<'_> for ExpressionVisitor {
    type Value = Expression;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an SQL expression")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Expression, E> {
        Ok(Expression(text.to_owned()))
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Expression, E> {
        Ok(Expression(value.to_string()))
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Expression, E> {
        Ok(Expression(value.to_string()))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Expression, E> {
        Ok(Expression(value.to_string()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Expression, E> {
        Ok(Expression(value.to_string()))
    }
}

impl<'de> Deserialize<'de> for Expression {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ExpressionVisitor)
    }
}

impl JsonSchema for Expression {
    fn schema_name() -> Cow<'static, str> {
        "Expression".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "An SQL expression.",
            "type": ["string", "number", "boolean"],
        })
    }
}

struct NamedVisitor;

impl<'de> Visitor<'de> for NamedVisitor {
    type Value = Named;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("names and expressions, like `total: price * amount`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Named, A::Error> {
        let mut entries: Vec<(String, Expression)> = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            if entries.iter().any(|(other, _)| *other == name) {
                return Err(A::Error::custom(format!("`{name}` is there twice")));
            }
            entries.push((name, map.next_value()?));
        }
        Ok(Named(entries))
    }
}

impl<'de> Deserialize<'de> for Named {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(NamedVisitor)
    }
}

impl JsonSchema for Named {
    fn schema_name() -> Cow<'static, str> {
        "Named".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "additionalProperties": generator.subschema_for::<Expression>(),
        })
    }
}

struct SelectVisitor;

impl<'de> Visitor<'de> for SelectVisitor {
    type Value = Select;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of columns, or names and expressions")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Select, A::Error> {
        let mut columns: Vec<String> = Vec::new();
        while let Some(column) = list.next_element::<String>()? {
            if columns.contains(&column) {
                return Err(A::Error::custom(format!("`{column}` is there twice")));
            }
            columns.push(column);
        }
        Ok(Select::Columns(columns))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Select, A::Error> {
        NamedVisitor.visit_map(map).map(Select::Named)
    }
}

impl<'de> Deserialize<'de> for Select {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SelectVisitor)
    }
}

impl JsonSchema for Select {
    fn schema_name() -> Cow<'static, str> {
        "Select".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                { "type": "array", "items": { "type": "string" }, "uniqueItems": true },
                generator.subschema_for::<Named>(),
            ],
        })
    }
}
