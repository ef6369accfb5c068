//! Arrow IPC files: a block is a batch as it was written.
//!
//! The decoder believes what a file says of its lengths, so that is checked first.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_ipc::convert::fb_to_schema;
use arrow_ipc::reader::{FileDecoder, read_footer_length};
use arrow_ipc::{Block, root_as_footer, root_as_message};
use arrow_schema::{ArrowError, SchemaRef};
use gristmill_stage::{Error, Result};

use super::{Blocks, fit, projection};
use crate::plain;

/// What a file begins and ends with.
const MAGIC: &[u8; 6] = b"ARROW1";
/// The end of a file: the length of its footer and [`MAGIC`].
const TRAILER: u64 = 10;
/// The most that a batch may take without its compression. Texts have offsets of 31 bits, so no batch
/// with plain layouts is much larger.
const MOST_BYTES: u64 = 4 << 30;
/// Rows without columns take no bytes, and nobody writes so many.
const MOST_ROWS: i64 = 1 << 32;

/// An Arrow IPC file.
pub(super) struct Arrow {
    file: File,
    length: u64,
    blocks: Vec<Block>,
    decoder: FileDecoder,
    wanted: SchemaRef,
    block: usize,
    /// Rows of the block that are passed over; `None` when it was read.
    row: Option<u64>,
}

/// Opens a file; its schema is that of all of its columns.
pub(super) fn open(path: &Path, wanted: Option<&SchemaRef>) -> Result<(SchemaRef, Arrow)> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let footer = footer(&mut file, length)?;
    let footer = root_as_footer(&footer).map_err(|e| broken(&e.to_string()))?;
    let ipc = footer.schema().ok_or_else(|| broken("it has no schema"))?;
    if !ipc.endianness().equals_to_target_endianness() {
        return Err(broken("its numbers have the bytes of another machine's order"));
    }
    let native = Arc::new(fb_to_schema(ipc));
    let schema = plain::schema(&native);
    let wanted = wanted.unwrap_or(&schema).clone();
    let columns = projection(&schema, &wanted)?;
    let decoder = FileDecoder::new(native, footer.version()).with_projection(columns);
    let blocks = footer.recordBatches().into_iter().flatten().copied().collect();
    let mut arrow = Arrow { file, length, blocks, decoder, wanted, block: 0, row: None };
    for block in footer.dictionaries().into_iter().flatten() {
        let bytes = arrow.read(block)?;
        arrow.decoder.read_dictionary(block, &bytes).map_err(wrong)?;
    }
    Ok((schema, arrow))
}

fn footer(file: &mut File, length: u64) -> Result<Vec<u8>> {
    let mut head = [0; MAGIC.len()];
    let begun = file.read_exact(&mut head).is_ok() && head == *MAGIC;
    let (mut trailer, least) = ([0; TRAILER as usize], MAGIC.len() as u64 + TRAILER);
    if begun && length >= least {
        file.seek(SeekFrom::Start(length - TRAILER))?;
        file.read_exact(&mut trailer)?;
    }
    if !begun {
        let error = Error::data("it is no Arrow IPC file");
        return Err(match head.starts_with(&[0xFF; 4]) {
            true => error.help("it is an Arrow stream; write it as a file"),
            false => error,
        });
    }
    if !trailer.ends_with(MAGIC) {
        return Err(Error::data("the Arrow IPC file is cut short")
            .help("its end, which says what is in it, is missing"));
    }
    let size = read_footer_length(trailer).map_err(wrong)? as u64;
    if size > length - least {
        return Err(broken("its footer is longer than the file"));
    }
    file.seek(SeekFrom::Start(length - TRAILER - size))?;
    let mut footer = Vec::new();
    file.take(size).read_to_end(&mut footer)?;
    Ok(footer)
}

fn broken(what: &str) -> Error {
    Error::data(format!("its Arrow IPC data is broken: {what}"))
}

fn wrong(error: ArrowError) -> Error {
    match error {
        ArrowError::IpcError(text) | ArrowError::ParseError(text) => broken(&text),
        other => broken(&other.to_string()),
    }
}

impl Arrow {
    /// The bytes of a block, when what they say of their lengths can be true.
    fn read(&mut self, block: &Block) -> Result<Buffer> {
        let place = |n: i64| u64::try_from(n).ok();
        let (offset, body) = (place(block.offset()), place(block.bodyLength()));
        let meta = place(i64::from(block.metaDataLength())).filter(|length| *length >= 8);
        let (Some(offset), Some(meta), Some(body)) = (offset, meta, body) else {
            return Err(broken("a block has no place"));
        };
        let size = meta
            .checked_add(body)
            .filter(|size| offset.checked_add(*size).is_some_and(|end| end <= self.length));
        let size = size.ok_or_else(|| broken("a block goes beyond the file"))?;
        self.file.seek(SeekFrom::Start(offset))?;
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
        (&self.file).take(size).read_to_end(&mut bytes)?;
        if bytes.len() as u64 != size {
            return Err(broken("it became shorter while it was read"));
        }
        let (metadata, body) = bytes.split_at(usize::try_from(meta).unwrap_or(bytes.len()));
        message(metadata, body)?;
        Ok(Buffer::from_vec(bytes))
    }
}

/// Checks what the metadata of a block says of its body.
fn message(metadata: &[u8], body: &[u8]) -> Result<()> {
    let start = if metadata.starts_with(&[0xFF; 4]) { 8 } else { 4 };
    let message = root_as_message(&metadata[start..]).map_err(|e| broken(&e.to_string()))?;
    let dictionary = message.header_as_dictionary_batch().and_then(|words| words.data());
    let Some(batch) = message.header_as_record_batch().or(dictionary) else {
        return Err(broken("a block holds neither rows nor a dictionary"));
    };
    if !(0..=MOST_ROWS).contains(&batch.length()) {
        return Err(broken(&format!("{} is no number of rows", batch.length())));
    }
    let mut sum = 0_u64;
    for buffer in batch.buffers().into_iter().flatten() {
        let offset = usize::try_from(buffer.offset()).ok();
        let length = usize::try_from(buffer.length()).ok();
        let bytes = offset.zip(length).and_then(|(at, length)| body.get(at..)?.get(..length));
        let bytes = bytes.ok_or_else(|| broken("a column goes beyond its block"))?;
        let claimed = match (batch.compression(), bytes.first_chunk()) {
            (Some(_), Some(claimed)) if i64::from_le_bytes(*claimed) >= 0 => {
                u64::from_le_bytes(*claimed)
            }
            _ => bytes.len() as u64,
        };
        sum = sum.saturating_add(claimed);
    }
    match sum > MOST_BYTES {
        true => Err(Error::data(format!("a batch of the Arrow IPC file takes {sum} bytes"))
            .help("write the file in smaller batches")),
        false => Ok(()),
    }
}

impl Blocks for Arrow {
    fn count(&self) -> usize {
        self.blocks.len()
    }

    fn start(&mut self, block: usize, row: u64) -> Result<()> {
        (self.block, self.row) = (block, Some(row));
        Ok(())
    }

    fn next(&mut self) -> Result<Option<RecordBatch>> {
        let Some(row) = self.row.take() else { return Ok(None) };
        let Some(block) = self.blocks.get(self.block).copied() else { return Ok(None) };
        let bytes = self.read(&block)?;
        let Some(batch) = self.decoder.read_record_batch(&block, &bytes).map_err(wrong)? else {
            return Ok(None);
        };
        let skipped = usize::try_from(row).unwrap_or(usize::MAX).min(batch.num_rows());
        if skipped == batch.num_rows() {
            return Ok(None);
        }
        fit(&batch.slice(skipped, batch.num_rows() - skipped), &self.wanted).map(Some)
    }
}
