//! Cuts a stream of bytes into frames.

use arrow_buffer::{Buffer, MutableBuffer};

use crate::WireError;
use crate::frame::{Frame, HEADER, Header};

/// What is read at a time while no large payload is under way.
const CHUNK: usize = 64 << 10;
/// A payload gets so many bytes ahead of what has come in, at the most: who announces much and
/// sends little costs little.
const AHEAD: usize = 16 << 20;

/// Cuts bytes into frames. Read into [`space`](FrameReader::space), tell how much came with
/// [`advance`](FrameReader::advance), and take frames with [`next`](FrameReader::next) until there is
/// none. Large payloads are read straight into the buffer that their columns will stand in.
#[derive(Debug)]
pub struct FrameReader {
    limit: usize,
    chunk: Vec<u8>,
    start: usize,
    end: usize,
    large: Option<Large>,
}

/// A payload that is larger than what was read of it.
#[derive(Debug)]
struct Large {
    header: Header,
    payload: MutableBuffer,
    filled: usize,
}

impl FrameReader {
    /// A reader that refuses payloads of more than `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { limit, chunk: vec![0; CHUNK], start: 0, end: 0, large: None }
    }

    /// Where to read to. Never empty.
    pub fn space(&mut self) -> &mut [u8] {
        if let Some(large) = &mut self.large {
            return large.space();
        }
        if self.start > 0 {
            self.chunk.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        &mut self.chunk[self.end..]
    }

    /// So many bytes of the space were filled.
    pub fn advance(&mut self, bytes: usize) {
        match &mut self.large {
            Some(large) => large.filled = (large.filled + bytes).min(large.payload.len()),
            None => self.end = (self.end + bytes).min(self.chunk.len()),
        }
    }

    /// Whether a frame has begun and not ended: an end of the stream now is a broken one.
    pub fn is_amid(&self) -> bool {
        self.large.is_some() || self.start < self.end
    }

    /// The next whole frame, if it has come in.
    ///
    /// # Errors
    /// When what came in is no frame, or one that is too large.
    #[expect(clippy::should_implement_trait, reason = "more frames may follow after none")]
    pub fn next(&mut self) -> Result<Option<Frame>, WireError> {
        if let Some(large) = self.large.take_if(|large| large.is_whole()) {
            return Ok(Some(frame(large.header, large.payload.into())));
        }
        if self.large.is_some() {
            return Ok(None);
        }
        let Some(head) = self.chunk[self.start..self.end].first_chunk::<HEADER>() else {
            return Ok(None);
        };
        let header = Header::parse(*head, self.limit)?;
        let body = self.start + HEADER;
        let len = header.len as usize;
        if len <= self.end - body {
            let payload = Buffer::from(&self.chunk[body..body + len]);
            self.start = body + len;
            return Ok(Some(frame(header, payload)));
        }
        if HEADER + len <= self.chunk.len() {
            return Ok(None);
        }
        let come = &self.chunk[body..self.end];
        let mut payload = MutableBuffer::from_len_zeroed(len.min(AHEAD));
        payload.as_slice_mut()[..come.len()].copy_from_slice(come);
        self.large = Some(Large { header, filled: come.len(), payload });
        (self.start, self.end) = (0, 0);
        Ok(None)
    }
}

impl Large {
    fn is_whole(&self) -> bool {
        self.filled == self.header.len as usize
    }

    fn space(&mut self) -> &mut [u8] {
        if self.filled == self.payload.len() {
            self.payload.resize((self.filled * 2).min(self.header.len as usize), 0);
        }
        &mut self.payload.as_slice_mut()[self.filled..]
    }
}

fn frame(header: Header, payload: Buffer) -> Frame {
    let Header { kind, flags, number, .. } = header;
    Frame { kind, flags, number, payload }
}
