//! The words for the type of a column.

use arrow_schema::{DataType, TimeUnit};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The type of a column.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ColumnType {
    /// Text.
    #[default]
    String,
    /// A whole number of 64 bits.
    Int64,
    /// A floating-point number of 64 bits.
    Float64,
    /// `true` or `false`.
    Boolean,
    /// A point in time, in microseconds, UTC.
    Timestamp,
    /// A day, `2026-11-23`.
    Date,
    /// Any JSON value, kept as its text.
    Json,
}

impl ColumnType {
    /// The word in the YAML.
    pub const fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Int64 => "int64",
            Self::Float64 => "float64",
            Self::Boolean => "boolean",
            Self::Timestamp => "timestamp",
            Self::Date => "date",
            Self::Json => "json",
        }
    }

    /// The Arrow type of the column.
    pub fn data_type(self) -> DataType {
        match self {
            Self::String | Self::Json => DataType::Utf8,
            Self::Int64 => DataType::Int64,
            Self::Float64 => DataType::Float64,
            Self::Boolean => DataType::Boolean,
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::Date => DataType::Date32,
        }
    }
}
