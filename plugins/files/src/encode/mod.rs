//! Rows to the bytes of a file.
//!
//! A format is a file here, an implementation of [`Encode`], and a line in [`Encoding::encoder`].

mod arrow;
mod compressed;
mod held;
mod parquet;
mod text;

use std::fs::File;
use std::io::Take;

use arrow_array::{RecordBatch, new_null_array};
use arrow_schema::{Schema, SchemaRef};
use gristmill_stage::{Error, Result};

pub(crate) use self::held::RowGroup;
use self::text::Text;
use crate::plain;
use crate::write_options::{WriteCompression, WriteFormat};

/// What an encoder holds besides the bytes that it has made: named parts of a snapshot.
pub(crate) type Parts = Vec<(String, RecordBatch)>;

/// Takes bytes and empties the buffer.
pub(crate) type Drain<'a> = &'a mut dyn FnMut(&mut Vec<u8>) -> Result<()>;

/// Turns the rows of one file into its bytes, which it adds to `bytes`.
pub(crate) trait Encode: Send {
    /// What stands before the first row, where no row stands before it.
    fn begin(&mut self, bytes: &mut Vec<u8>) -> Result<()> {
        let _ = bytes;
        Ok(())
    }

    /// Takes rows.
    fn rows(&mut self, batch: &RecordBatch, bytes: &mut Vec<u8>) -> Result<()>;

    /// Completes the file.
    fn end(&mut self, bytes: &mut Vec<u8>) -> Result<()> {
        let _ = bytes;
        Ok(())
    }

    /// Bytes of rows that are held until they make a block.
    fn held(&self) -> usize {
        0
    }

    /// Makes a block of them at once.
    fn let_go(&mut self, bytes: &mut Vec<u8>) -> Result<()> {
        let _ = bytes;
        Ok(())
    }

    /// What is held, so that an equal encoder can go on after the bytes so far.
    fn save(&mut self, bytes: &mut Vec<u8>) -> Result<Parts> {
        let _ = bytes;
        Ok(Vec::new())
    }

    /// Whether an equal encoder can simply add to the bytes. One that cannot takes them over.
    fn adds(&self) -> bool {
        false
    }

    /// Whether the bytes of two encoders, one after the other, are a file.
    fn restarts(&self) -> bool {
        false
    }

    /// Goes on where another was saved: what it had written is written again, into another file.
    fn take_over(
        &mut self,
        written: Option<Take<File>>,
        parts: &Parts,
        to: Drain<'_>,
    ) -> Result<()>;
}

/// How the files of a stage are encoded.
pub(crate) struct Encoding {
    pub(crate) format: WriteFormat,
    pub(crate) compression: WriteCompression,
    pub(crate) delimiter: u8,
    pub(crate) header: bool,
    pub(crate) group: RowGroup,
    /// The input columns to write, in order, and what they are.
    columns: Vec<usize>,
    schema: SchemaRef,
}

impl Encoding {
    /// Writes these columns of the input, all of them when none are named.
    ///
    /// # Errors
    /// A column that the input does not have.
    pub(crate) fn new(
        input: &SchemaRef,
        names: Option<&[String]>,
        format: WriteFormat,
    ) -> Result<Self> {
        let columns = match names {
            None => (0..input.fields().len()).collect(),
            Some(names) => chosen(input, names)?,
        };
        let chosen = input.project(&columns)?;
        let schema = match format.is_columnar() {
            true => plain::schema(&chosen),
            false => SchemaRef::new(chosen),
        };
        let (compression, group) = (WriteCompression::None, RowGroup::default());
        Ok(Self { format, compression, delimiter: b',', header: true, group, columns, schema })
    }

    /// That every column can be written. Only the writers know: let them try.
    pub(crate) fn check(&self) -> Result<()> {
        if self.schema.fields().is_empty() && self.format.is_columnar() {
            return Err(Error::schema("there is no column to write"));
        }
        for field in self.schema.fields() {
            let nullable = field.as_ref().clone().with_nullable(true);
            let schema = SchemaRef::new(Schema::new(vec![nullable]));
            let tried = self.of(schema.clone()).and_then(|mut encoder| {
                let column = new_null_array(field.data_type(), 1);
                let batch = RecordBatch::try_new(schema, vec![column])?;
                let mut bytes = Vec::new();
                encoder.rows(&batch, &mut bytes)?;
                encoder.end(&mut bytes)
            });
            tried.map_err(|e| {
                let (name, kind) = (field.name(), field.data_type());
                Error::column(
                    name,
                    format!("column `{name}` ({kind}) cannot be written: {}", e.message()),
                )
            })?;
        }
        Ok(())
    }

    /// The columns of a batch of the input that are written.
    pub(crate) fn columns(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let batch = batch.project(&self.columns)?;
        match self.format.is_columnar() {
            true => plain::batch(&batch, &self.schema),
            false => Ok(batch),
        }
    }

    /// What encodes one file.
    pub(crate) fn encoder(&self) -> Result<Box<dyn Encode>> {
        self.of(self.schema.clone())
    }

    fn of(&self, schema: SchemaRef) -> Result<Box<dyn Encode>> {
        Ok(match self.format {
            WriteFormat::Parquet => {
                Box::new(parquet::Parquet::new(schema, self.compression, self.group)?)
            }
            WriteFormat::Arrow => Box::new(arrow::Arrow::new(schema, self.compression)?),
            WriteFormat::Jsonl | WriteFormat::Csv | WriteFormat::Tsv => {
                let json = self.format == WriteFormat::Jsonl;
                let text = Text { json, delimiter: self.delimiter, header: self.header, schema };
                match self.compression {
                    WriteCompression::Gzip => Box::new(compressed::gzip(text)),
                    WriteCompression::Zstd => Box::new(compressed::zstd(text)?),
                    _ => Box::new(text),
                }
            }
        })
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
