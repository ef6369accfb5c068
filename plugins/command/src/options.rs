//! The options of `command`.

use std::sync::Arc;
use std::time::Duration;

use arrow_schema::{DataType, Field, Schema};
use gristmill_stage::option::{ByteSize, ColumnType, Columns, Time};
use gristmill_stage::{Error, Result};
use schemars::JsonSchema;
use serde::Deserialize;

/// Options of `command`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CommandOptions {
    /// The program and its arguments: `[jq, -c, "select(.price > 10)"]`. A program without a slash is
    /// looked for on PATH. No shell sees them; `[sh, -c, "grep -v foo | sort"]` starts one.
    ///
    /// It is started anew for every batch, is given its rows as JSON lines and then the end of its input,
    /// and what it puts out takes their place, in whatever number. So it never sees more than a batch at a
    /// time: a sum over all rows, or a sorting of them, is for other kinds. When it ends with another code
    /// than 0 the rows of the batch are rejected with its last lines on stderr; lines that do not fit the
    /// columns are rejected as they are. Which row a line comes from, nobody knows. A Ctrl-C does not reach
    /// it: it is through with its batch first, or with its `timeout`.
    #[schemars(length(min = 1))]
    pub(crate) command: Vec<String>,
    /// Columns of the lines that come out, with their types; members of other names are left out, and
    /// missing ones are null. `string` takes numbers and booleans as their text, `json` any value.
    /// Default: the columns of the input.
    #[serde(default)]
    pub(crate) columns: Option<Columns>,
    /// A program that takes longer for a batch is killed, and the batch rejected.
    #[serde(default = "timeout")]
    pub(crate) timeout: Time,
    /// A program that puts out more than this for a batch is killed, and the batch rejected.
    #[serde(default = "max_output")]
    pub(crate) max_output: ByteSize,
}

fn timeout() -> Time {
    Time(Duration::from_secs(60))
}

fn max_output() -> ByteSize {
    ByteSize(64 << 20)
}

impl CommandOptions {
    /// The columns that come out.
    pub(crate) fn columns(&self, input: &Schema) -> Result<Columns> {
        if let Some(columns) = &self.columns {
            return match columns.0.is_empty() {
                false => Ok(columns.clone()),
                true => Err(Error::option("columns", "there must be a column")
                    .help("write them as `{ name: string, price: float64 }`")),
            };
        }
        let column = |field: &Arc<Field>| {
            let kind = kind_of(field.data_type());
            let name = field.name();
            let text =
                || format!("`{name}` is {}, which is none that can be read", field.data_type());
            kind.map(|kind| (name.clone(), kind)).ok_or_else(|| {
                Error::option("", text()).help("say which `columns` come out, and of which types")
            })
        };
        Ok(Columns(input.fields().iter().map(column).collect::<Result<_>>()?))
    }
}

/// The type that takes the values of a column without a change.
fn kind_of(data_type: &DataType) -> Option<ColumnType> {
    Some(match data_type {
        DataType::Dictionary(_, values) => return kind_of(values),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => ColumnType::String,
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => ColumnType::Int64,
        DataType::UInt8 | DataType::UInt16 | DataType::UInt32 => ColumnType::Int64,
        DataType::Float64 => ColumnType::Float64,
        DataType::Boolean => ColumnType::Boolean,
        DataType::Date32 => ColumnType::Date,
        own if *own == ColumnType::Timestamp.data_type() => ColumnType::Timestamp,
        _ => return None,
    })
}
