//! Values on their way from a column of Arrow into a column of a database.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, Int64Type, UInt64Type};
use arrow_array::{Array, ArrayRef, RecordBatch, new_null_array};
use arrow_cast::cast;
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_json::writer::make_encoder;
use arrow_schema::{DataType, Field, FieldRef};
use gristmill_stage::{Error, Result, json};

/// A value that every database has a form for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell<'a> {
    Null,
    Bool(bool),
    Int(i64),
    /// An integer that may be more than an `i64` holds.
    Large(u64),
    Single(f32),
    Double(f64),
    Text(Cow<'a, str>),
    Bytes(&'a [u8]),
}

/// What values of a type become, as far as databases tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    Bool,
    Number,
    Text,
    Bytes,
    /// Dates, times and spans.
    Time,
    /// Lists and structs, as JSON.
    Nested,
    /// Always null.
    Nothing,
}

/// The class of a type; a dictionary is as its values are.
pub(crate) fn class(data_type: &DataType) -> Class {
    match data_type {
        DataType::Null => Class::Nothing,
        DataType::Boolean => Class::Bool,
        DataType::Dictionary(_, values) => class(values),
        DataType::RunEndEncoded(_, values) => class(values.data_type()),
        DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::FixedSizeBinary(_) => Class::Bytes,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Class::Text,
        kind if kind.is_numeric() => Class::Number,
        kind if kind.is_temporal() => Class::Time,
        _ => Class::Nested,
    }
}

/// A column whose values can be taken one by one.
pub(crate) struct Column {
    values: ArrayRef,
    /// Rows whose value has no form, and why.
    wrong: BTreeMap<usize, String>,
    /// Whether a null is refused: no row has that key, and SQLite would make one up.
    key: bool,
}

impl Column {
    /// # Errors
    /// When values of this type have no form in a database.
    pub(crate) fn new(field: &FieldRef, column: &ArrayRef) -> Result<Self> {
        let fine = |values| Ok(Self { values, wrong: BTreeMap::new(), key: false });
        let to = |data_type| fine(cast(column, &data_type)?);
        match plain(column.data_type()) {
            DataType::Null | DataType::Boolean => fine(column.clone()),
            DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => {
                to(DataType::Int64)
            }
            DataType::UInt8 | DataType::UInt16 | DataType::UInt32 => to(DataType::Int64),
            DataType::UInt64 => to(DataType::UInt64),
            DataType::Float16 | DataType::Float32 => to(DataType::Float32),
            DataType::Float64 => to(DataType::Float64),
            DataType::Utf8 => to(DataType::Utf8),
            DataType::LargeUtf8 | DataType::Utf8View => to(DataType::LargeUtf8),
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView => {
                to(DataType::LargeBinary)
            }
            DataType::FixedSizeBinary(_) => to(DataType::LargeBinary),
            kind if class(kind) == Class::Nested => nested(field, column),
            kind => shown(&cast(column, kind)?),
        }
    }

    /// The value in a row.
    ///
    /// # Errors
    /// Why it has no form.
    pub(crate) fn cell(&self, row: usize) -> Result<Cell<'_>, String> {
        if let Some(why) = self.wrong.get(&row) {
            return Err(why.clone());
        }
        let values = &self.values;
        if values.is_null(row) || values.data_type() == &DataType::Null {
            return match self.key {
                true => Err("it is part of the key, and null".to_owned()),
                false => Ok(Cell::Null),
            };
        }
        Ok(match values.data_type() {
            DataType::Boolean => Cell::Bool(values.as_boolean().value(row)),
            DataType::Int64 => Cell::Int(values.as_primitive::<Int64Type>().value(row)),
            DataType::UInt64 => Cell::Large(values.as_primitive::<UInt64Type>().value(row)),
            DataType::Float32 => Cell::Single(values.as_primitive::<Float32Type>().value(row)),
            DataType::Float64 => Cell::Double(values.as_primitive::<Float64Type>().value(row)),
            DataType::LargeUtf8 => Cell::Text(values.as_string::<i64>().value(row).into()),
            DataType::LargeBinary => Cell::Bytes(values.as_binary::<i64>().value(row)),
            _ => Cell::Text(values.as_string::<i32>().value(row).into()),
        })
    }
}

/// Takes these columns of a batch; those of the key must have values.
///
/// # Errors
/// As [`Column::new`].
pub(crate) fn columns(batch: &RecordBatch, at: &[usize], key: &[String]) -> Result<Vec<Column>> {
    let column = |at: &usize| {
        let field = &batch.schema_ref().fields()[*at];
        let column = Column::new(field, batch.column(*at))?;
        Ok(Column { key: key.contains(field.name()), ..column })
    };
    at.iter().map(column).collect()
}

/// Looks whether values of the field have a form.
///
/// # Errors
/// With the column.
pub(crate) fn check(field: &Field) -> Result<()> {
    let field = Arc::new(field.clone().with_nullable(true));
    let column = new_null_array(field.data_type(), 1);
    Column::new(&field, &column).map(|_| ()).map_err(|e| {
        let (name, kind) = (field.name(), field.data_type());
        let text = format!("column `{name}` ({kind}) cannot be written: {}", e.message());
        Error::column(name, text)
    })
}

/// The type of the values themselves.
fn plain(data_type: &DataType) -> &DataType {
    match data_type {
        DataType::Dictionary(_, values) => plain(values),
        DataType::RunEndEncoded(_, values) => plain(values.data_type()),
        other => other,
    }
}

/// The values as JSON.
fn nested(field: &FieldRef, column: &ArrayRef) -> Result<Column> {
    let options = json::options();
    let mut encoder = make_encoder(field, column.as_ref(), &options)?;
    let mut texts = StringBuilder::with_capacity(column.len(), column.len() * 16);
    let mut bytes = Vec::new();
    for row in 0..column.len() {
        if encoder.is_null(row) {
            texts.append_null();
            continue;
        }
        bytes.clear();
        encoder.encode(row, &mut bytes);
        texts.append_value(String::from_utf8_lossy(&bytes));
    }
    Ok(Column { values: Arc::new(texts.finish()), wrong: BTreeMap::new(), key: false })
}

/// The values as Arrow shows them: ISO 8601 for times, all digits of decimals.
fn shown(column: &ArrayRef) -> Result<Column> {
    let options = FormatOptions::new().with_display_error(false);
    let formatter = ArrayFormatter::try_new(column.as_ref(), &options)?;
    let mut texts = StringBuilder::with_capacity(column.len(), column.len() * 20);
    let mut wrong = BTreeMap::new();
    for row in 0..column.len() {
        if column.is_null(row) {
            texts.append_null();
            continue;
        }
        match formatter.value(row).try_to_string() {
            Ok(text) => texts.append_value(text),
            Err(e) => {
                texts.append_null();
                wrong.insert(row, e.to_string());
            }
        }
    }
    Ok(Column { values: Arc::new(texts.finish()), wrong, key: false })
}
