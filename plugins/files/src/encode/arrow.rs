//! Arrow IPC files.

use std::fs::File;
use std::io::{Read, Take};

use arrow_array::RecordBatch;
use arrow_ipc::CompressionType;
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::{FileWriter, IpcWriteOptions};
use arrow_schema::SchemaRef;
use gristmill_stage::{Error, Result};

use super::held::{Held, RowGroup};
use super::{Drain, Encode, Parts};
use crate::write_options::WriteCompression;

/// What stands before the first message.
const MAGIC: usize = 8;

/// An Arrow IPC file.
pub(super) struct Arrow {
    writer: FileWriter<Vec<u8>>,
    held: Held,
}

impl Arrow {
    pub(super) fn new(schema: SchemaRef, compression: WriteCompression) -> Result<Self> {
        let compression = match compression {
            WriteCompression::Zstd => Some(CompressionType::ZSTD),
            WriteCompression::Lz4 => Some(CompressionType::LZ4_FRAME),
            _ => None,
        };
        let options = IpcWriteOptions::default().try_with_compression(compression)?;
        let writer = FileWriter::try_new_with_options(Vec::new(), &schema, options)?;
        Ok(Self { writer, held: Held::new(schema, RowGroup::default()) })
    }

    fn write(&mut self, bytes: &mut Vec<u8>) -> Result<()> {
        self.writer.write(&self.held.one()?)?;
        self.held.empty();
        bytes.append(self.writer.get_mut());
        Ok(())
    }
}

impl Encode for Arrow {
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
        self.writer.finish()?;
        bytes.append(self.writer.get_mut());
        Ok(())
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
        self.held.save()
    }

    fn take_over(
        &mut self,
        written: Option<Take<File>>,
        parts: &Parts,
        to: Drain<'_>,
    ) -> Result<()> {
        if let Some(mut written) = written.filter(|written| written.limit() > 0) {
            let broken = |e| Error::io(format!("what was written is broken: {e}"));
            written.read_exact(&mut [0; MAGIC])?;
            // Up to its footer the file is a stream.
            let batches = StreamReader::try_new_buffered(written, None).map_err(broken)?;
            let mut bytes = Vec::new();
            for batch in batches {
                self.writer.write(&batch.map_err(broken)?)?;
                bytes.append(self.writer.get_mut());
                to(&mut bytes)?;
            }
        }
        self.held.restore(parts)
    }
}
