//! Parquet: a block is a row group. Its pages are read one by one, and only those of the columns that
//! are wanted.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use gristmill_stage::{BatchTarget, Comparison, Error, Result};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
    ParquetRecordBatchReaderBuilder,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::RowGroupMetaData;

use super::{Blocks, bounds, fit, projection};
use crate::plain;

/// A Parquet file.
pub(super) struct Parquet {
    file: File,
    metadata: ArrowReaderMetadata,
    mask: ProjectionMask,
    wanted: SchemaRef,
    target: BatchTarget,
    /// The block that is being read, and the row after the last that was.
    block: usize,
    row: u64,
    /// How many rows to decode at once.
    rows: usize,
    reader: Option<ParquetRecordBatchReader>,
}

/// Opens a file; its schema is that of all of its columns.
pub(super) fn open(
    path: &Path,
    wanted: Option<&SchemaRef>,
    target: BatchTarget,
) -> Result<(SchemaRef, Parquet)> {
    let mut file = File::open(path)?;
    check(&mut file)?;
    let metadata = metadata(&file).map_err(wrong)?;
    let schema = plain::schema(metadata.schema());
    let wanted = wanted.unwrap_or(&schema).clone();
    let columns = projection(&schema, &wanted)?;
    let mask = ProjectionMask::roots(metadata.parquet_schema(), columns);
    let (block, row, rows) = (0, 0, 1);
    let parquet = Parquet { file, metadata, mask, wanted, target, block, row, rows, reader: None };
    Ok((schema, parquet))
}

/// That it begins and ends as such a file does, for an error in plain words.
fn check(file: &mut File) -> Result<()> {
    const MAGIC: &[u8] = b"PAR1";
    let (mut head, mut tail) = ([0; 4], [0; 4]);
    let ends = file.read_exact(&mut head).and_then(|()| {
        file.seek(SeekFrom::End(-4))?;
        file.read_exact(&mut tail)
    });
    match ends {
        _ if head == *b"PARE" || tail == *b"PARE" => Err(Error::data("it is encrypted")),
        Ok(()) if head == MAGIC && tail == MAGIC => Ok(()),
        _ if head == MAGIC => Err(Error::data("the Parquet file is cut short")
            .help("its end, which says what is in it, is missing")),
        _ => Err(Error::data("it is no Parquet file")),
    }
}

/// With plain layouts where the decoder can make them itself.
fn metadata(file: &File) -> Result<ArrowReaderMetadata, ParquetError> {
    let native = ArrowReaderMetadata::load(file, ArrowReaderOptions::new())?;
    let plain = plain::schema(native.schema());
    if plain.fields() == native.schema().fields() {
        return Ok(native);
    }
    let options = ArrowReaderOptions::new().with_schema(plain);
    let supplied = ArrowReaderMetadata::try_new(Arc::clone(native.metadata()), options);
    Ok(supplied.unwrap_or(native))
}

fn wrong(error: ParquetError) -> Error {
    match error {
        ParquetError::External(inner) => Error::data(format!("its Parquet data: {inner}")),
        ParquetError::General(text) | ParquetError::EOF(text) => {
            Error::data(format!("its Parquet data is broken: {text}"))
        }
        ParquetError::NYI(text) => {
            Error::data(format!("its Parquet data is of a kind that cannot be read: {text}"))
        }
        other => Error::data(format!("its Parquet data is broken: {other}")),
    }
}

impl Parquet {
    /// About how many rows make a batch of the size that is wanted.
    fn fitting(&self, group: &RowGroupMetaData) -> usize {
        let leaves = group.columns().iter().enumerate();
        let wanted = leaves.filter(|(at, _)| self.mask.leaf_included(*at));
        // What texts take without their dictionary, where the file says so.
        let size = |column: &parquet::file::metadata::ColumnChunkMetaData| {
            column.uncompressed_size().max(column.unencoded_byte_array_data_bytes().unwrap_or(0))
        };
        let bytes: i64 = wanted.map(|(_, column)| size(column).max(0)).sum();
        let a_row = bytes as f64 / group.num_rows().max(1) as f64;
        ((self.target.bytes as f64 / a_row.max(1.0)) as usize).clamp(1, self.target.rows.max(1))
    }

    fn reopen(&mut self) -> Result<()> {
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(
            self.file.try_clone()?,
            self.metadata.clone(),
        );
        let skipped = usize::try_from(self.row).unwrap_or(usize::MAX);
        let reader = builder
            .with_row_groups(vec![self.block])
            .with_projection(self.mask.clone())
            .with_offset(skipped)
            .with_batch_size(self.rows)
            .build();
        self.reader = Some(reader.map_err(wrong)?);
        Ok(())
    }
}

impl Blocks for Parquet {
    fn count(&self) -> usize {
        self.metadata.metadata().num_row_groups()
    }

    fn may_hold(&self, block: usize, hints: &[Comparison]) -> bool {
        let group = self.metadata.metadata().row_group(block);
        hints.iter().all(|hint| bounds::may_hold(&self.metadata, group, hint))
    }

    fn start(&mut self, block: usize, row: u64) -> Result<()> {
        (self.block, self.row) = (block, row);
        self.rows = self.fitting(self.metadata.metadata().row_group(block));
        self.reopen()
    }

    fn next(&mut self) -> Result<Option<RecordBatch>> {
        let Some(reader) = &mut self.reader else { return Ok(None) };
        let Some(batch) = reader.next().transpose().map_err(|e| Error::data(e.to_string()))? else {
            self.reader = None;
            return Ok(None);
        };
        self.row += batch.num_rows() as u64;
        let (rows, bytes) = (batch.num_rows(), batch.get_array_memory_size());
        // What a value takes is known only now. A reader has one size for all of its batches.
        if rows > 1 && bytes / 4 > self.target.bytes {
            self.rows = (rows as f64 * self.target.bytes as f64 / bytes as f64).max(1.0) as usize;
            self.reopen()?;
        }
        fit(&batch, &self.wanted).map(Some)
    }
}
