//! Numbers as they stand: the readers would make 1 of 1.9, and infinity of 1e999.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, RecordBatch, RecordBatchOptions};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef};

/// The schema to read by: whole numbers as their text, at any depth.
pub(crate) fn whole_as_text(schema: &SchemaRef) -> SchemaRef {
    as_text(schema, DataType::is_integer)
}

/// The schema to look at numbers by: all of them as their text.
pub(crate) fn numbers_as_text(schema: &SchemaRef) -> SchemaRef {
    as_text(schema, DataType::is_numeric)
}

fn as_text(schema: &SchemaRef, which: fn(&DataType) -> bool) -> SchemaRef {
    let fields = schema.fields().iter().map(|inner| field(inner, which));
    Arc::new(Schema::new(fields.collect::<Fields>()))
}

fn field(field: &Arc<Field>, which: fn(&DataType) -> bool) -> Arc<Field> {
    Arc::new(field.as_ref().clone().with_data_type(text(field.data_type(), which)))
}

fn text(data_type: &DataType, which: fn(&DataType) -> bool) -> DataType {
    match data_type {
        number if which(number) => DataType::Utf8,
        DataType::List(item) => DataType::List(field(item, which)),
        DataType::Struct(fields) => {
            DataType::Struct(fields.iter().map(|inner| field(inner, which)).collect())
        }
        other => other.clone(),
    }
}

/// What was read, in the columns of `schema`.
///
/// # Errors
/// When a number is not whole where it must be, or out of range.
pub(crate) fn numbers(read: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, String> {
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    let mut columns = Vec::with_capacity(read.num_columns());
    for (column, field) in read.columns().iter().zip(schema.fields()) {
        columns.push(match column.data_type() == field.data_type() {
            true => column.clone(),
            false => cast_with_options(column, field.data_type(), &strict)
                .map_err(|error| error.to_string())?,
        });
    }
    let options = RecordBatchOptions::new().with_row_count(Some(read.num_rows()));
    RecordBatch::try_new_with_options(schema.clone(), columns, &options).map_err(|e| e.to_string())
}

/// Whether a number is infinite, at any depth. It may be written so, or be too large.
pub(crate) fn has_infinity(rows: &RecordBatch) -> bool {
    rows.columns().iter().any(|column| infinite(column))
}

fn infinite(column: &dyn Array) -> bool {
    match column.data_type() {
        DataType::Float64 => {
            column.as_primitive::<Float64Type>().iter().flatten().any(f64::is_infinite)
        }
        DataType::List(_) => infinite(column.as_list::<i32>().values()),
        DataType::Struct(_) => column.as_struct().columns().iter().any(|inner| infinite(inner)),
        _ => false,
    }
}

/// The first number that is too large for a column of `schema`; the rows have numbers as text.
pub(crate) fn too_large(rows: &RecordBatch, schema: &SchemaRef) -> Option<String> {
    let columns = rows.columns().iter().zip(schema.fields());
    columns.into_iter().find_map(|(column, field)| larger(column, field.data_type()))
}

fn larger(column: &dyn Array, data_type: &DataType) -> Option<String> {
    match data_type {
        DataType::Float64 => {
            let large = |text: &&str| {
                let written = text.trim_start_matches(['+', '-']).starts_with(['i', 'I']);
                !written && text.parse::<f64>().is_ok_and(f64::is_infinite)
            };
            column.as_string_opt::<i32>()?.iter().flatten().find(large).map(str::to_owned)
        }
        DataType::List(item) => larger(column.as_list_opt::<i32>()?.values(), item.data_type()),
        DataType::Struct(fields) => {
            let inner = column.as_struct_opt()?.columns().iter().zip(fields);
            inner.into_iter().find_map(|(column, field)| larger(column, field.data_type()))
        }
        _ => None,
    }
}
