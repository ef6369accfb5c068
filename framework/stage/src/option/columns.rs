//! Columns with their types, as a user declares them.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use arrow_schema::{Field, Schema, SchemaRef};
use schemars::{JsonSchema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

use super::ColumnType;

/// Columns with their types, in the order in which they were written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns(pub Vec<(String, ColumnType)>);

impl Columns {
    /// The schema: a column each, all of which may be null.
    pub fn schema(&self) -> SchemaRef {
        let field = |(name, kind): &(String, ColumnType)| Field::new(name, kind.data_type(), true);
        Arc::new(Schema::new(self.0.iter().map(field).collect::<Vec<_>>()))
    }

    /// The names of the columns that take any JSON value.
    pub fn json(&self) -> Vec<String> {
        let json = self.0.iter().filter(|(_, kind)| *kind == ColumnType::Json);
        json.map(|(name, _)| name.clone()).collect()
    }
}

impl<'de> Deserialize<'de> for Columns {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Columns;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("columns with their types, `{ name: string, price: float64 }`")
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Columns, A::Error> {
                let mut columns = Vec::new();
                while let Some(column) = map.next_entry()? {
                    columns.push(column);
                }
                Ok(Columns(columns))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

impl JsonSchema for Columns {
    fn schema_name() -> Cow<'static, str> {
        "Columns".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> schemars::Schema {
        let kind = generator.subschema_for::<ColumnType>();
        json_schema!({ "type": "object", "additionalProperties": kind })
    }
}
