//! Rows with their schema: a whole Arrow IPC stream after a text. For rejected rows and parts of
//! snapshots, whose schemas are not known before.

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_ipc::reader::StreamDecoder;
use arrow_ipc::writer::StreamEncoder;
use arrow_schema::ArrowError;

use crate::WireError;
use crate::check::{Content, content};
use crate::columns::shielded;

/// The length of the text in four bytes, the text, zeros up to a multiple of 64, then the stream.
pub(crate) fn encode(text: &str, rows: &RecordBatch) -> Result<Vec<Buffer>, ArrowError> {
    let mut head = Vec::with_capacity((text.len() + 4).next_multiple_of(ALIGN));
    let len = u32::try_from(text.len()).map_err(|e| ArrowError::IpcError(e.to_string()))?;
    head.extend_from_slice(&len.to_le_bytes());
    head.extend_from_slice(text.as_bytes());
    head.resize(head.len().next_multiple_of(ALIGN), 0);
    let mut buffers = vec![Buffer::from(head)];
    let mut encoder = StreamEncoder::try_new(&rows.schema())?;
    buffers.extend(encoder.encode(rows)?);
    buffers.extend(encoder.finish()?);
    Ok(buffers)
}

/// So that columns can be used where they came in.
const ALIGN: usize = 64;

pub(crate) fn decode(mut payload: Buffer) -> Result<(String, RecordBatch), WireError> {
    let short = || WireError::new("a frame of rows with a text is too short");
    let len = u32::from_le_bytes(*payload.first_chunk().ok_or_else(short)?) as usize;
    let text = payload.get(4..).and_then(|rest| rest.get(..len)).ok_or_else(short)?;
    let text =
        std::str::from_utf8(text).map_err(|_| WireError::new("a text is not UTF-8"))?.to_owned();
    let head = (len + 4).next_multiple_of(ALIGN);
    if head > payload.len() {
        return Err(short());
    }
    payload.advance(head);
    if content(&payload)? != (Content { schemas: 1, batches: 1, ended: true }) {
        return Err(WireError::new(format!("with `{text}` there is no stream of one batch")));
    }
    let mut decoder = StreamDecoder::new();
    let rows = shielded(|| decoder.decode(&mut payload))?
        .ok_or_else(|| WireError::new(format!("there are no rows with `{text}`")))?;
    Ok((text, rows))
}
