//! The values of a column while it grows.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, BooleanArray, Date32Array, Float64Array, Int64Array, StringArray,
    TimestampMicrosecondArray,
};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use gristmill_stage::Result;
use gristmill_stage::option::ColumnType;

use crate::convert::Scalar;

/// The values of one column, with something in the place of nulls.
#[derive(Debug)]
pub(super) enum Values {
    Text { bytes: String, ends: Vec<i32> },
    Int(Vec<i64>),
    Float(Vec<f64>),
    Bool(Vec<bool>),
    Timestamp(Vec<i64>),
    Date(Vec<i32>),
}

impl Values {
    /// No values yet.
    pub(super) fn new(kind: ColumnType) -> Self {
        match kind {
            ColumnType::String | ColumnType::Json => {
                Self::Text { bytes: String::new(), ends: vec![0] }
            }
            ColumnType::Int64 => Self::Int(Vec::new()),
            ColumnType::Float64 => Self::Float(Vec::new()),
            ColumnType::Boolean => Self::Bool(Vec::new()),
            ColumnType::Timestamp => Self::Timestamp(Vec::new()),
            ColumnType::Date => Self::Date(Vec::new()),
        }
    }

    /// Adds a value; anything that is not of the column's type adds the empty value.
    pub(super) fn push(&mut self, value: Option<Scalar<'_>>) {
        match (self, value) {
            (Self::Text { bytes, ends }, value) => {
                if let Some(Scalar::Text(text)) = value {
                    bytes.push_str(text);
                }
                // `Cells` keeps a batch below 2 GiB; see `Cells::new`.
                ends.push(i32::try_from(bytes.len()).unwrap_or(i32::MAX));
            }
            (Self::Int(all), Some(Scalar::Int(value)))
            | (Self::Timestamp(all), Some(Scalar::Timestamp(value))) => all.push(value),
            (Self::Int(all) | Self::Timestamp(all), _) => all.push(0),
            (Self::Float(all), Some(Scalar::Float(value))) => all.push(value),
            (Self::Float(all), _) => all.push(0.0),
            (Self::Bool(all), Some(Scalar::Bool(value))) => all.push(value),
            (Self::Bool(all), _) => all.push(false),
            (Self::Date(all), Some(Scalar::Date(value))) => all.push(value),
            (Self::Date(all), _) => all.push(0),
        }
    }

    /// Leaves the first values.
    pub(super) fn truncate(&mut self, len: usize) {
        match self {
            Self::Text { bytes, ends } => {
                ends.truncate(len + 1);
                let end = ends.last().copied().unwrap_or_default();
                bytes.truncate(usize::try_from(end).unwrap_or_default());
            }
            Self::Int(all) | Self::Timestamp(all) => all.truncate(len),
            Self::Float(all) => all.truncate(len),
            Self::Bool(all) => all.truncate(len),
            Self::Date(all) => all.truncate(len),
        }
    }

    /// The values as a column.
    pub(super) fn finish(self, nulls: Option<NullBuffer>) -> Result<ArrayRef> {
        Ok(match self {
            Self::Text { bytes, ends } => Arc::new(StringArray::try_new(
                OffsetBuffer::new(ScalarBuffer::from(ends)),
                Buffer::from_vec(bytes.into_bytes()),
                nulls,
            )?),
            Self::Int(all) => Arc::new(Int64Array::try_new(all.into(), nulls)?),
            Self::Float(all) => Arc::new(Float64Array::try_new(all.into(), nulls)?),
            Self::Bool(all) => Arc::new(BooleanArray::new(BooleanBuffer::from(all), nulls)),
            Self::Timestamp(all) => Arc::new(
                TimestampMicrosecondArray::try_new(all.into(), nulls)?.with_timezone("UTC"),
            ),
            Self::Date(all) => Arc::new(Date32Array::try_new(all.into(), nulls)?),
        })
    }
}
