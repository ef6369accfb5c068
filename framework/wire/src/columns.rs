//! Schemas and batches as messages of the Arrow IPC format: the schema once, then batches alone.

use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_ipc::reader::StreamDecoder;
use arrow_ipc::writer::StreamEncoder;
use arrow_schema::{ArrowError, Schema, SchemaRef};

use crate::WireError;
use crate::check::{Content, content, content_of};
use crate::shape::Shape;

/// The marker at the end of an Arrow IPC stream.
const END_OF_STREAM: [u8; 8] = [0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0];

/// The schema as an encapsulated message.
pub(crate) fn schema_bytes(schema: &Schema) -> Result<Vec<u8>, ArrowError> {
    let mut bytes = Vec::new();
    for buffer in StreamEncoder::try_new(schema)?.finish()? {
        bytes.extend_from_slice(&buffer);
    }
    bytes.truncate(bytes.len().saturating_sub(END_OF_STREAM.len()));
    Ok(bytes)
}

/// The schema of such a message.
pub(crate) fn read_schema(payload: &Buffer) -> Result<SchemaRef, WireError> {
    if content(payload)? != (Content { schemas: 1, ..Content::default() }) {
        return Err(WireError::new("a frame of a schema holds one schema and nothing else"));
    }
    let schema = shielded(|| arrow_ipc::convert::try_schema_from_ipc_buffer(payload))?;
    Ok(schema.into())
}

/// Makes messages of batches of one schema.
pub(crate) struct BatchEncoder {
    encoder: StreamEncoder,
    /// Bytes at the front that are the schema, which was sent before.
    skip: usize,
}

impl BatchEncoder {
    pub(crate) fn new(schema: &Schema) -> Result<Self, ArrowError> {
        let skip = schema_bytes(schema)?.len();
        Ok(Self { encoder: StreamEncoder::try_new(schema)?, skip })
    }

    /// The dictionaries that changed, and the rows; nothing is copied.
    pub(crate) fn encode(&mut self, rows: &RecordBatch) -> Result<Vec<Buffer>, ArrowError> {
        let mut buffers = self.encoder.encode(rows)?;
        let mut skip = std::mem::take(&mut self.skip);
        buffers.retain_mut(|buffer| {
            let part = skip.min(buffer.len());
            buffer.advance(part);
            skip -= part;
            !buffer.is_empty()
        });
        Ok(buffers)
    }
}

/// Reads batches of one schema.
#[derive(Debug)]
pub(crate) struct Batches {
    decoder: StreamDecoder,
    shape: Shape,
}

impl Batches {
    /// Of this schema.
    pub(crate) fn new(schema: &Schema) -> Result<Self, WireError> {
        let bytes = schema_bytes(schema).map_err(|e| WireError::new(e.to_string()))?;
        let mut decoder = StreamDecoder::new();
        shielded(|| decoder.decode(&mut bytes.into()))?;
        Ok(Self { decoder, shape: Shape::of(schema) })
    }

    /// The one batch in this payload.
    pub(crate) fn decode(&mut self, payload: Buffer) -> Result<RecordBatch, WireError> {
        let content = content_of(&payload, Some(&self.shape))?;
        if content != (Content { batches: 1, ..Content::default() }) {
            return Err(WireError::new("a frame of rows holds one batch, after its dictionaries"));
        }
        let decoder = &mut self.decoder;
        shielded(|| feed(decoder, payload))?
            .ok_or_else(|| WireError::new("a frame of rows holds no rows"))
    }
}

/// Feeds all of the payload; it may hold one batch, at its end.
fn feed(
    decoder: &mut StreamDecoder,
    mut payload: Buffer,
) -> Result<Option<RecordBatch>, ArrowError> {
    let batch = match decoder.decode(&mut payload)? {
        Some(batch) => Some(batch),
        // Rows without columns have no body, and the decoder waits for one more byte before it
        // looks; it does not take that byte.
        None => decoder.decode(&mut Buffer::from(&END_OF_STREAM[..1]))?,
    };
    if !payload.is_empty() {
        return Err(ArrowError::IpcError("there is more in the frame than one batch".to_owned()));
    }
    Ok(batch)
}

/// The format's reader checks most of what it reads, but a length that lies may still make it panic.
pub(crate) fn shielded<T>(read: impl FnOnce() -> Result<T, ArrowError>) -> Result<T, WireError> {
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(WireError::new(format!("rows that cannot be read: {error}"))),
        Err(_) => Err(WireError::new("rows that cannot be read: their lengths do not fit")),
    }
}
