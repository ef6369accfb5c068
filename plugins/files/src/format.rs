//! Formats, and the columns that a user declares.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use arrow_schema::{Field, Schema, SchemaRef};
use gristmill_stage::option::ColumnType;
use gristmill_stage::{Error, Result};
use schemars::{JsonSchema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

use crate::compression::Compression;

/// How rows are written in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// A JSON object per line.
    Jsonl,
    /// Values between commas; the first record names the columns.
    Csv,
    /// Values between tabs; the first record names the columns.
    Tsv,
    /// Plain text: one column, `line`.
    Lines,
    /// Apache Parquet.
    Parquet,
    /// An Arrow IPC file, as Feather (version 2) files are.
    Arrow,
}

impl Format {
    /// The format that the ending of a path stands for.
    pub(crate) fn of(path: &str) -> Option<Self> {
        let (_, ending) = Compression::of(path).1.rsplit_once('.')?;
        match ending.to_ascii_lowercase().as_str() {
            "jsonl" | "ndjson" | "json" => Some(Self::Jsonl),
            "csv" => Some(Self::Csv),
            "tsv" => Some(Self::Tsv),
            "txt" | "log" | "lines" => Some(Self::Lines),
            "parquet" | "pq" => Some(Self::Parquet),
            "arrow" | "feather" | "ipc" => Some(Self::Arrow),
            _ => None,
        }
    }

    /// Whether it holds columns in blocks, and not rows as text.
    pub(crate) fn is_columnar(self) -> bool {
        matches!(self, Self::Parquet | Self::Arrow)
    }

    /// The byte between two values of a record.
    pub(crate) fn delimiter(self, option: Option<char>) -> Result<u8> {
        let chosen = match (option, self) {
            (None, Self::Tsv) => return Ok(b'\t'),
            (None, _) => return Ok(b','),
            (Some(chosen), _) => chosen,
        };
        match u8::try_from(chosen) {
            Ok(byte) if byte.is_ascii() && !matches!(byte, b'"' | b'\n' | b'\r') => Ok(byte),
            _ => Err(Error::option("delimiter", format!("{chosen:?} cannot part values"))
                .help("an ASCII character other than a quote or a line end, such as `;`")),
        }
    }
}

/// Whether the ending of a path is one that databases have.
pub(crate) fn is_database(path: &str) -> bool {
    let ending = path.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
    matches!(ending.as_deref(), Some("sqlite" | "sqlite3" | "db"))
}

/// Columns with their types, in the order in which they were written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns(pub Vec<(String, ColumnType)>);

impl Columns {
    /// The schema: a column each, all of which may be null.
    pub(crate) fn schema(&self) -> SchemaRef {
        let field = |(name, kind): &(String, ColumnType)| Field::new(name, kind.data_type(), true);
        Arc::new(Schema::new(self.0.iter().map(field).collect::<Vec<_>>()))
    }

    /// The names of the columns that take any JSON value.
    pub(crate) fn json(&self) -> Vec<String> {
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
