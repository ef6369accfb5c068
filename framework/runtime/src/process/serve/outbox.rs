//! What the child says.

use std::io::{ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, PoisonError};

use arrow_schema::Schema;
use gristmill_stage::Result;
use gristmill_wire::{Encoder, Message};

/// The way to the run, for the stage's thread and for the heart.
pub(super) struct Outbox(Mutex<(UnixStream, Encoder)>);

impl Outbox {
    pub(super) fn new(socket: UnixStream) -> Self {
        Self(Mutex::new((socket, Encoder::new())))
    }

    /// Says of which schema the batches will be.
    pub(super) fn sends(&self, schema: &Schema) -> Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1.sends(schema)
    }

    /// Says how large frames may be.
    pub(super) fn limit(&self, frame: u64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1.limit(frame);
    }

    /// Says something; returns how many bytes it took. When the run is gone, nobody hears it; the
    /// inbox learns of that.
    pub(super) fn say(&self, message: &Message) -> Result<u64> {
        let mut both = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (socket, encoder) = &mut *both;
        let mut out = encoder.encode(message)?;
        let bytes = out.len() as u64;
        while !out.is_empty() {
            match socket.write_vectored(&out.slices()) {
                Ok(written) => out.advance(written),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        Ok(bytes)
    }
}
