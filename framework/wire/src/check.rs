//! What bytes in the Arrow IPC format say of themselves, held against their length before anybody
//! believes it. The format's reader checks columns; what it does not check is how much memory a few
//! bytes can ask for.

use arrow_ipc::{DictionaryBatch, Message, RecordBatch, root_as_message_with_opts};
use flatbuffers::VerifierOptions;

use crate::WireError;
use crate::shape::Shape;

/// Before the length of every message.
const CONTINUATION: [u8; 4] = [0xFF; 4];
/// Rows without columns take no bytes, and nobody sends so many.
const MOST_ROWS: i64 = 1 << 32;

/// What a payload is made of.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) schemas: usize,
    pub(crate) batches: usize,
    pub(crate) ended: bool,
}

/// Goes through the messages of a payload.
///
/// # Errors
/// When one of them goes beyond the payload, is compressed, or would grow when it is read.
pub(crate) fn content(payload: &[u8]) -> Result<Content, WireError> {
    content_of(payload, None)
}

/// As [`content`], of rows that have this shape.
pub(crate) fn content_of(payload: &[u8], shape: Option<&Shape>) -> Result<Content, WireError> {
    let mut content = Content::default();
    let mut rest = payload;
    while !rest.is_empty() {
        if content.ended {
            return Err(wrong("there is more after its end"));
        }
        let size = length(rest)?;
        if size == 0 {
            content.ended = true;
            rest = &rest[8..];
            continue;
        }
        let short = || wrong("it is shorter than it says");
        let metadata = rest.get(8..).and_then(|rest| rest.get(..size)).ok_or_else(short)?;
        let message = metadata_of(metadata)?;
        let body = usize::try_from(message.bodyLength()).map_err(|_| short())?;
        rest = rest[8 + size..].get(body..).ok_or_else(short)?;
        if message.header_as_schema().is_some() {
            content.schemas += 1;
        } else if let Some(batch) = message.header_as_record_batch() {
            rows(&batch, message.bodyLength())?;
            if shape.is_some_and(|shape| !shape.fits(&batch)) {
                return Err(wrong("it has other columns than were announced"));
            }
            content.batches += 1;
        } else if let Some(dictionary) = message.header_as_dictionary_batch() {
            words(&dictionary, message.bodyLength())?;
        } else {
            return Err(wrong("it is neither a schema nor rows nor a dictionary"));
        }
    }
    Ok(content)
}

/// The length of the metadata that follows.
fn length(rest: &[u8]) -> Result<usize, WireError> {
    let Some((CONTINUATION, after)) = rest.split_first_chunk::<4>().map(|(c, r)| (*c, r)) else {
        return Err(wrong("a message begins with FF FF FF FF"));
    };
    let size = after.first_chunk().ok_or_else(|| wrong("it is shorter than it says"))?;
    Ok(u32::from_le_bytes(*size) as usize)
}

/// The metadata, if it is no larger when it is read than it is now: parts of it can be pointed at from
/// many places, and each of them would become a copy.
fn metadata_of(metadata: &[u8]) -> Result<Message<'_>, WireError> {
    let options = VerifierOptions {
        max_tables: metadata.len() / 8 + 8,
        max_apparent_size: metadata.len() * 16 + 1024,
        ..VerifierOptions::default()
    };
    root_as_message_with_opts(&options, metadata).map_err(|e| wrong(&e.to_string()))
}

fn rows(batch: &RecordBatch<'_>, body: i64) -> Result<(), WireError> {
    if batch.compression().is_some() {
        return Err(wrong("it is compressed"));
    }
    if !(0..=MOST_ROWS).contains(&batch.length()) {
        return Err(wrong(&format!("{} is no number of rows", batch.length())));
    }
    let mut sum = 0_i64;
    for buffer in batch.buffers().into_iter().flatten() {
        let (offset, length) = (buffer.offset(), buffer.length());
        let end = offset.checked_add(length).filter(|_| offset >= 0 && length >= 0);
        if end.is_none_or(|end| end > body) {
            return Err(wrong("a column goes beyond it"));
        }
        sum = sum.saturating_add(length);
    }
    // Columns that share their bytes would be copied each, if they are not aligned.
    if sum > body {
        return Err(wrong("its columns are larger than it is"));
    }
    Ok(())
}

fn words(dictionary: &DictionaryBatch<'_>, body: i64) -> Result<(), WireError> {
    if dictionary.isDelta() {
        return Err(wrong("it adds to a dictionary, and dictionaries are sent whole"));
    }
    let data = dictionary.data().ok_or_else(|| wrong("a dictionary has no words"))?;
    rows(&data, body)
}

fn wrong(what: &str) -> WireError {
    WireError::new(format!("rows that cannot be read: {what}"))
}
