//! Parquet.
//!
//! Rows are held until they make a row group, which is then encoded at once: so what a snapshot has
//! to keep is plain rows, and the row groups that are in the file already.

use std::fs::File;
use std::io::Take;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BinaryArray, RecordBatch};
use arrow_schema::SchemaRef;
use gristmill_stage::{Error, ErrorKind, Result};
use parquet::arrow::arrow_writer::{ArrowRowGroupWriterFactory, compute_leaves};
use parquet::arrow::{ArrowSchemaConverter, add_encoded_arrow_schema_to_metadata};
use parquet::basic::{Compression, GzipLevel, ZstdLevel};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::ParquetError;
use parquet::file::metadata::{
    FileMetaData, ParquetMetaData, ParquetMetaDataReader, ParquetMetaDataWriter,
};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;

use super::held::{Held, RowGroup};
use super::{Drain, Encode, Parts};
use crate::write_options::WriteCompression;

/// The part of a snapshot that says which row groups are in the file.
const FOOTER: &str = "footer";

/// A Parquet file.
pub(super) struct Parquet {
    writer: SerializedFileWriter<Vec<u8>>,
    columns: ArrowRowGroupWriterFactory,
    schema: SchemaRef,
    held: Held,
}

impl Parquet {
    pub(super) fn new(
        schema: SchemaRef,
        compression: WriteCompression,
        group: RowGroup,
    ) -> Result<Self> {
        let compression = match compression {
            WriteCompression::None => Compression::UNCOMPRESSED,
            WriteCompression::Gzip => Compression::GZIP(GzipLevel::default()),
            WriteCompression::Zstd => Compression::ZSTD(ZstdLevel::try_new(3).map_err(wrong)?),
            WriteCompression::Lz4 => Compression::LZ4_RAW,
            WriteCompression::Snappy => Compression::SNAPPY,
        };
        let mut properties = WriterProperties::builder()
            .set_compression(compression)
            // Without indexes of pages: row groups that are copied after a restart have none, and a
            // file has them for all of its row groups or for none.
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_offset_index_disabled(true)
            .set_created_by(concat!("gristmill ", env!("CARGO_PKG_VERSION")).to_owned())
            .build();
        let columns = ArrowSchemaConverter::new().convert(&schema).map_err(wrong)?;
        // So that types which Parquet does not tell apart are read again as they were.
        add_encoded_arrow_schema_to_metadata(&schema, &mut properties);
        let root = columns.root_schema_ptr();
        let writer =
            SerializedFileWriter::new(Vec::new(), root, Arc::new(properties)).map_err(wrong)?;
        let columns = ArrowRowGroupWriterFactory::new(&writer, schema.clone());
        Ok(Self { writer, columns, schema: schema.clone(), held: Held::new(schema, group) })
    }

    fn drain(&mut self, bytes: &mut Vec<u8>) -> Result<()> {
        self.writer.flush()?;
        bytes.append(self.writer.inner_mut());
        Ok(())
    }

    /// Writes what is held as a row group.
    fn write(&mut self, bytes: &mut Vec<u8>) -> Result<()> {
        let number = self.writer.flushed_row_groups().len();
        let mut columns = self.columns.create_column_writers(number).map_err(wrong)?;
        for batch in self.held.empty() {
            let mut leaves = columns.iter_mut();
            for (field, column) in self.schema.fields().iter().zip(batch.columns()) {
                for leaf in compute_leaves(field, column).map_err(wrong)? {
                    let writer = leaves.next();
                    let writer = writer.ok_or_else(|| Error::internal("a column has no writer"))?;
                    writer.write(&leaf).map_err(wrong)?;
                }
            }
        }
        let mut group = self.writer.next_row_group().map_err(wrong)?;
        for column in columns {
            let chunk = column.close().map_err(wrong)?;
            chunk.append_to_row_group(&mut group).map_err(wrong)?;
        }
        group.close().map_err(wrong)?;
        self.drain(bytes)
    }

    /// The row groups so far, as the end of a Parquet file.
    fn footer(&self) -> Result<RecordBatch> {
        let groups = self.writer.flushed_row_groups().to_vec();
        let rows = groups.iter().map(|group| group.num_rows()).sum();
        let columns = Arc::new(self.writer.schema_descr().clone());
        let file = FileMetaData::new(1, rows, None, None, columns, None);
        let metadata = ParquetMetaData::new(file, groups);
        let mut bytes = Vec::new();
        ParquetMetaDataWriter::new(&mut bytes, &metadata).finish().map_err(wrong)?;
        let column: ArrayRef = Arc::new(BinaryArray::from(vec![bytes.as_slice()]));
        Ok(RecordBatch::try_from_iter([(FOOTER, column)])?)
    }

    /// Copies the row groups of a file that was not ended.
    fn copy(&mut self, file: &File, footer: &RecordBatch, to: Drain<'_>) -> Result<()> {
        let footer = footer.columns().first().and_then(|column| column.as_binary_opt::<i32>());
        let footer = footer.filter(|footer| footer.len() == 1).map(|footer| footer.value(0));
        let footer =
            footer.ok_or_else(|| Error::new(ErrorKind::Restore, "the snapshot has no footer"))?;
        let footer = bytes::Bytes::copy_from_slice(footer);
        let metadata = ParquetMetaDataReader::new().parse_and_finish(&footer).map_err(wrong)?;
        let mut bytes = Vec::new();
        for group in metadata.row_groups() {
            let mut copy = self.writer.next_row_group().map_err(wrong)?;
            for column in group.columns() {
                let close = ColumnCloseResult {
                    bytes_written: u64::try_from(column.compressed_size()).unwrap_or(0),
                    rows_written: u64::try_from(group.num_rows()).unwrap_or(0),
                    metadata: column.clone(),
                    bloom_filter: None,
                    column_index: None,
                    offset_index: None,
                };
                copy.append_column(file, close).map_err(wrong)?;
            }
            copy.close().map_err(wrong)?;
            self.drain(&mut bytes)?;
            to(&mut bytes)?;
        }
        Ok(())
    }
}

fn wrong(error: ParquetError) -> Error {
    match error {
        ParquetError::General(text) | ParquetError::NYI(text) => Error::data(text),
        other => Error::data(other.to_string()),
    }
}

impl Encode for Parquet {
    fn rows(&mut self, batch: &RecordBatch, bytes: &mut Vec<u8>) -> Result<()> {
        let mut from = 0;
        while from < batch.num_rows() {
            from += self.held.take(&batch.slice(from, batch.num_rows() - from));
            if self.held.is_full() {
                self.write(bytes)?;
            }
        }
        Ok(())
    }

    fn end(&mut self, bytes: &mut Vec<u8>) -> Result<()> {
        self.let_go(bytes)?;
        self.writer.finish().map_err(wrong)?;
        self.drain(bytes)
    }

    fn held(&self) -> usize {
        self.held.bytes()
    }

    fn let_go(&mut self, bytes: &mut Vec<u8>) -> Result<()> {
        match self.held.is_empty() {
            true => Ok(()),
            false => self.write(bytes),
        }
    }

    fn save(&mut self, _: &mut Vec<u8>) -> Result<Parts> {
        let mut parts = self.held.save()?;
        if !self.writer.flushed_row_groups().is_empty() {
            parts.push((FOOTER.to_owned(), self.footer()?));
        }
        Ok(parts)
    }

    fn take_over(
        &mut self,
        written: Option<Take<File>>,
        parts: &Parts,
        to: Drain<'_>,
    ) -> Result<()> {
        let footer = parts.iter().find(|(name, _)| name == FOOTER);
        if let (Some(written), Some((_, footer))) = (written, footer) {
            self.copy(written.get_ref(), footer, to)?;
        }
        self.held.restore(parts)
    }
}
