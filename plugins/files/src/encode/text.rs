//! JSON lines, CSV and TSV.

use std::fs::File;
use std::io::Take;
use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_json::writer::make_encoder;
use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef};
use gristmill_stage::{Result, json};

use super::{Drain, Encode, Parts};

/// Rows as lines of text.
pub(super) struct Text {
    /// JSON lines, and not values between delimiters.
    pub(super) json: bool,
    pub(super) delimiter: u8,
    pub(super) header: bool,
    pub(super) schema: SchemaRef,
}

impl Text {
    fn csv(&self, header: bool, batch: &RecordBatch, bytes: &mut Vec<u8>) -> Result<()> {
        let builder =
            arrow_csv::WriterBuilder::new().with_header(header).with_delimiter(self.delimiter);
        Ok(builder.build(bytes).write(batch)?)
    }
}

impl Encode for Text {
    fn begin(&mut self, bytes: &mut Vec<u8>) -> Result<()> {
        if self.json || !self.header {
            return Ok(());
        }
        let text = |field: &FieldRef| Field::new(field.name(), DataType::Utf8, true);
        let fields: Vec<Field> = self.schema.fields().iter().map(text).collect();
        let empty = RecordBatch::new_empty(Arc::new(Schema::new(fields)));
        self.csv(true, &empty, bytes)
    }

    fn rows(&mut self, batch: &RecordBatch, bytes: &mut Vec<u8>) -> Result<()> {
        if self.json {
            return json::write_lines(batch, bytes);
        }
        let flat = |(field, column): (&FieldRef, &ArrayRef)| match nested(field.data_type()) {
            true => texts(field, column),
            false => Ok(column.clone()),
        };
        let columns = batch.schema_ref().fields().iter().zip(batch.columns()).map(flat);
        let columns = columns.collect::<Result<Vec<ArrayRef>>>()?;
        let field = |(field, column): (&FieldRef, &ArrayRef)| {
            Field::new(field.name(), column.data_type().clone(), true)
        };
        let fields: Vec<Field> = self.schema.fields().iter().zip(&columns).map(field).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let schema = Arc::new(Schema::new(fields));
        let flat = RecordBatch::try_new_with_options(schema, columns, &options)?;
        self.csv(false, &flat, bytes)
    }

    fn adds(&self) -> bool {
        true
    }

    fn restarts(&self) -> bool {
        true
    }

    fn take_over(&mut self, _: Option<Take<File>>, _: &Parts, _: Drain<'_>) -> Result<()> {
        Ok(())
    }
}

/// Whether CSV has no form for values of this type. A dictionary is as its values are.
fn nested(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, values) => nested(values),
        DataType::RunEndEncoded(..) => true,
        other => other.is_nested(),
    }
}

/// The values as JSON texts.
fn texts(field: &FieldRef, column: &ArrayRef) -> Result<ArrayRef> {
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
    Ok(Arc::new(texts.finish()))
}
