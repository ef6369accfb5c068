//! Columns to the bytes of a file.

use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use arrow_json::writer::make_encoder;
use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef};
use gristmill_stage::{Error, Result, json};

use crate::write::WriteFormat;

/// Turns batches of the input into bytes.
pub(crate) struct Encoder {
    format: WriteFormat,
    delimiter: u8,
    /// The input columns to write, in order.
    columns: Vec<usize>,
    schema: SchemaRef,
}

impl Encoder {
    /// Writes these columns of the input, all of them when none are named.
    ///
    /// # Errors
    /// A column that the input does not have or that cannot be written.
    pub(crate) fn new(
        input: &SchemaRef,
        format: WriteFormat,
        delimiter: u8,
        names: Option<&[String]>,
    ) -> Result<Self> {
        let columns = match names {
            None => (0..input.fields().len()).collect(),
            Some(names) => chosen(input, names)?,
        };
        let schema = Arc::new(input.project(&columns)?);
        let encoder = Self { format, delimiter, columns, schema };
        // Whether a type can be written is known only to the writers: let them try.
        for (at, field) in encoder.schema.fields().iter().enumerate() {
            let tried = Self {
                columns: vec![0],
                schema: Arc::new(encoder.schema.project(&[at])?),
                ..encoder
            };
            let field = Arc::new(field.as_ref().clone().with_nullable(true));
            let column = new_null_array(field.data_type(), 1);
            let batch =
                RecordBatch::try_new(Arc::new(Schema::new(vec![field.clone()])), vec![column])?;
            tried.encode(&batch, &mut Vec::new()).map_err(|e| {
                let (name, kind) = (field.name(), field.data_type());
                Error::column(
                    name,
                    format!("column `{name}` ({kind}) cannot be written: {}", e.message()),
                )
            })?;
        }
        Ok(encoder)
    }

    /// What stands before the first row.
    pub(crate) fn header(&self, bytes: &mut Vec<u8>) -> Result<()> {
        if self.format == WriteFormat::Jsonl {
            return Ok(());
        }
        let text = |field: &FieldRef| Field::new(field.name(), DataType::Utf8, true);
        let fields: Vec<Field> = self.schema.fields().iter().map(text).collect();
        let empty = RecordBatch::new_empty(Arc::new(Schema::new(fields)));
        self.csv(true, &empty, bytes)
    }

    /// Adds the rows of a batch to `bytes`.
    pub(crate) fn encode(&self, batch: &RecordBatch, bytes: &mut Vec<u8>) -> Result<()> {
        let batch = batch.project(&self.columns)?;
        if self.format == WriteFormat::Jsonl {
            return json::write_lines(&batch, bytes);
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

    fn csv(&self, header: bool, batch: &RecordBatch, bytes: &mut Vec<u8>) -> Result<()> {
        let builder =
            arrow_csv::WriterBuilder::new().with_header(header).with_delimiter(self.delimiter);
        Ok(builder.build(bytes).write(batch)?)
    }
}

fn chosen(input: &SchemaRef, names: &[String]) -> Result<Vec<usize>> {
    if names.is_empty() {
        return Err(
            Error::option("columns", "no columns are named").help("leave it out to write all")
        );
    }
    let mut columns = Vec::with_capacity(names.len());
    for (n, name) in names.iter().enumerate() {
        let option = format!("columns.{n}");
        let at = input.index_of(name).map_err(|_| {
            Error::column(name, format!("the input has no column `{name}`")).at(&option)
        })?;
        if columns.contains(&at) {
            return Err(Error::option(option, format!("column `{name}` is named twice")));
        }
        columns.push(at);
    }
    Ok(columns)
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
