//! Numbers of JSON as they stand: the reader would make 1 of 1.9, and infinity of 1e999.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, RecordBatch, RecordBatchOptions};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef};

/// The schema to read by: whole numbers as their text, at any depth.
pub(crate) fn as_text(schema: &SchemaRef) -> SchemaRef {
    Arc::new(Schema::new(schema.fields().iter().map(field).collect::<Fields>()))
}

fn field(field: &Arc<Field>) -> Arc<Field> {
    Arc::new(field.as_ref().clone().with_data_type(text(field.data_type())))
}

fn text(data_type: &DataType) -> DataType {
    match data_type {
        whole if whole.is_integer() => DataType::Utf8,
        DataType::List(item) => DataType::List(field(item)),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(field).collect()),
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
        let wrong = |e: arrow_schema::ArrowError| {
            let text = e.to_string();
            let text = text.strip_prefix("Cast error: ").unwrap_or(&text);
            format!("field '{}': {text}", field.name())
        };
        let column = match column.data_type() == field.data_type() {
            true => column.clone(),
            false => cast_with_options(column, field.data_type(), &strict).map_err(wrong)?,
        };
        if let Some(floats) = column.as_primitive_opt::<Float64Type>()
            && floats.iter().flatten().any(f64::is_infinite)
        {
            return Err(format!("field '{}': a number is out of range", field.name()));
        }
        columns.push(column);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(read.num_rows()));
    RecordBatch::try_new_with_options(schema.clone(), columns, &options).map_err(|e| e.to_string())
}
