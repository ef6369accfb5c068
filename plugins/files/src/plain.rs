//! The layouts of columns between stages: texts, bytes and lists with offsets of 32 bits, and values
//! in place of dictionaries.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::{DataType, FieldRef, Fields, Schema, SchemaRef};
use gristmill_stage::Result;

/// The type with the plain layout.
pub(crate) fn data_type(kind: &DataType) -> DataType {
    match kind {
        DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::LargeBinary | DataType::BinaryView => DataType::Binary,
        DataType::Dictionary(_, values) => data_type(values),
        DataType::RunEndEncoded(_, values) => data_type(values.data_type()),
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item) => DataType::List(field(item)),
        DataType::FixedSizeList(item, size) => DataType::FixedSizeList(field(item), *size),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(field).collect::<Fields>()),
        DataType::Map(entries, sorted) => DataType::Map(field(entries), *sorted),
        other => other.clone(),
    }
}

fn field(field: &FieldRef) -> FieldRef {
    let plain = data_type(field.data_type());
    match plain == *field.data_type() {
        true => field.clone(),
        false => Arc::new(field.as_ref().clone().with_data_type(plain)),
    }
}

/// The columns with plain layouts.
pub(crate) fn schema(schema: &Schema) -> SchemaRef {
    Arc::new(Schema::new(schema.fields().iter().map(field).collect::<Fields>()))
}

/// A column in the layout of a type.
pub(crate) fn column(column: &ArrayRef, kind: &DataType) -> Result<ArrayRef> {
    match column.data_type() == kind {
        true => Ok(column.clone()),
        false => Ok(arrow_cast::cast(column, kind)?),
    }
}

/// The columns of a batch in the layouts of a schema, which has them in the same order.
pub(crate) fn batch(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let columns = batch.columns().iter().zip(schema.fields());
    let columns = columns.map(|(from, to)| column(from, to.data_type()));
    let columns = columns.collect::<Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(schema.clone(), columns, &options)?)
}
