//! Messages to bytes.

use std::io::IoSlice;

use arrow_buffer::Buffer;
use arrow_schema::{ArrowError, Schema};
use gristmill_stage::{Error, Result, Snapshot};
use serde::Serialize;

use crate::columns::{BatchEncoder, schema_bytes};
use crate::frame::{Flags, HEADER, Header, Kind};
use crate::message::{Commit, CommitHead, Limits, Message, Side, StateHead};
use crate::{WireError, table};

/// Bytes on their way out, in pieces for a vectored write. Columns are not copied into it.
#[derive(Debug, Default)]
pub struct Outgoing {
    pieces: Vec<Buffer>,
    /// How much of the first piece has left.
    sent: usize,
    len: usize,
    /// What the other side takes in one frame.
    limit: u64,
}

impl Outgoing {
    /// Bytes that are left.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether all has left.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What is left, as far as one write takes it.
    pub fn slices(&self) -> Vec<IoSlice<'_>> {
        /// No machine takes more in one write.
        const MOST: usize = 1024;
        let pieces = self.pieces.iter().take(MOST).enumerate();
        pieces
            .map(|(i, piece)| IoSlice::new(&piece[if i == 0 { self.sent } else { 0 }..]))
            .collect()
    }

    /// So many bytes have left.
    pub fn advance(&mut self, bytes: usize) {
        self.len = self.len.saturating_sub(bytes);
        let mut left = self.sent + bytes;
        let gone = self.pieces.iter().take_while(|piece| {
            let gone = piece.len() <= left;
            left -= if gone { piece.len() } else { 0 };
            gone
        });
        let gone = gone.count();
        self.pieces.drain(..gone);
        self.sent = left;
    }

    fn frame(&mut self, kind: Kind, flags: u8, number: u64, payload: Vec<Buffer>) -> Result<()> {
        let len: usize = payload.iter().map(Buffer::len).sum();
        let most = kind.most(self.limit).min(u64::from(u32::MAX));
        let fits = u32::try_from(len).ok().filter(|len| u64::from(*len) <= most);
        let header = Header {
            len: fits.ok_or_else(|| {
                Error::data(format!("{len} bytes are too many for a frame `{kind:?}`"))
                    .help(format!("the other side takes {most} at once; make batches smaller"))
            })?,
            kind,
            flags: Flags(flags),
            number,
        };
        self.pieces.push(Buffer::from(&header.to_bytes()[..]));
        self.pieces.extend(payload.into_iter().filter(|piece| !piece.is_empty()));
        self.len += HEADER + len;
        Ok(())
    }
}

/// Makes bytes of messages, one after the other on one connection.
pub struct Encoder {
    batches: Option<BatchEncoder>,
    limit: u64,
}

impl Default for Encoder {
    fn default() -> Self {
        Self { batches: None, limit: Limits::default().frame }
    }
}

impl Encoder {
    /// An encoder for the beginning of a connection.
    pub fn new() -> Self {
        Self::default()
    }

    /// Says of which schema the batches will be that are sent.
    ///
    /// # Errors
    /// When the Arrow IPC format has no form for it.
    pub fn sends(&mut self, schema: &Schema) -> Result<()> {
        self.batches = Some(BatchEncoder::new(schema)?);
        Ok(())
    }

    /// Says how large frames may be: the limit in the other side's hello.
    pub fn limit(&mut self, frame: u64) {
        self.limit = frame;
    }

    /// The bytes of a message.
    ///
    /// # Errors
    /// When rows or schemas have no form in the Arrow IPC format, or are larger than
    /// the other side takes.
    pub fn encode(&mut self, message: &Message) -> Result<Outgoing> {
        let mut out = Outgoing { limit: self.limit, ..Outgoing::default() };
        let none = Vec::new;
        match message {
            Message::Hello(hello) => out.frame(Kind::Hello, 0, 0, json(hello)?)?,
            Message::Open(open, snapshot) => {
                let restored = parts(&mut out, snapshot)?;
                let mut open = open.clone();
                open.restored = restored;
                out.frame(Kind::Open, 0, 0, json(&open)?)?;
            }
            Message::Schema(side, schema) => {
                let flags = if *side == Side::Output { Flags::OUTPUT } else { 0 };
                out.frame(Kind::Schema, flags, 0, vec![schema_bytes(schema)?.into()])?;
            }
            Message::Batch(number, rows) => {
                let batches = self
                    .batches
                    .as_mut()
                    .ok_or_else(|| WireError::new("rows are sent before their schema is known"))?;
                out.frame(Kind::Batch, 0, *number, batches.encode(rows)?)?;
            }
            Message::Trace(of) => {
                let trace = Buffer::from(&of.trace_bytes()[..]);
                out.frame(Kind::Trace, 0, of.span.get(), vec![trace])?;
            }
            Message::Credit(bytes) => out.frame(Kind::Credit, 0, *bytes, none())?,
            Message::End => out.frame(Kind::End, 0, 0, none())?,
            Message::Stop => out.frame(Kind::Stop, 0, 0, none())?,
            Message::Barrier { epoch, drained } => {
                let flags = if *drained { Flags::DRAINED } else { 0 };
                out.frame(Kind::Barrier, flags, *epoch, none())?;
            }
            Message::Committed(epoch) => out.frame(Kind::Committed, 0, *epoch, none())?,
            Message::Describe => out.frame(Kind::Describe, 0, 0, none())?,
            Message::Plan(question) => out.frame(Kind::Plan, 0, 0, json(question)?)?,
            Message::Described(kinds) => out.frame(Kind::Described, 0, 0, json(kinds)?)?,
            Message::Planned(answer) => out.frame(Kind::Planned, 0, 0, json(answer)?)?,
            Message::Opened => out.frame(Kind::Opened, 0, 0, none())?,
            Message::Called(called) => {
                let flag = |set: bool, flag: u8| if set { flag } else { 0 };
                let flags =
                    flag(called.holding, Flags::HOLDING) | flag(called.measured, Flags::MEASURED);
                let numbers = std::iter::once(called.nanos).chain(called.start);
                let bytes: Vec<u8> = numbers.flat_map(u64::to_le_bytes).collect();
                out.frame(Kind::Called, flags, called.batch, vec![bytes.into()])?;
            }
            Message::Reject(rejected) => {
                let payload = table::encode(&rejected.reason, &rejected.rows)?;
                out.frame(Kind::Reject, 0, rejected.cause as u64, payload)?;
            }
            Message::Commit(commit) => write_commit(&mut out, commit)?,
            Message::Heartbeat(beat) => out.frame(Kind::Heartbeat, 0, 0, json(beat)?)?,
            Message::Log(log) => out.frame(Kind::Log, 0, 0, json(log)?)?,
            Message::Error(fault) => out.frame(Kind::Error, 0, 0, json(fault)?)?,
        }
        Ok(out)
    }
}

fn write_commit(out: &mut Outgoing, commit: &Commit) -> Result<()> {
    let state = parts(out, &commit.snapshot)?;
    let flags = if commit.finished { Flags::FINISHED } else { 0 };
    // Most commits have nothing to say but that they are one.
    let payload = match (commit.epoch, state) {
        (0, None) => Vec::new(),
        (epoch, state) => json(&CommitHead { epoch, state })?,
    };
    out.frame(Kind::Commit, flags, commit.through, payload)
}

/// A frame for every part, and what belongs to the state besides.
fn parts(out: &mut Outgoing, snapshot: &Snapshot) -> Result<Option<StateHead>> {
    let Snapshot::State(state) = snapshot else { return Ok(None) };
    for (name, rows) in &state.parts {
        out.frame(Kind::Part, 0, 0, table::encode(name, rows)?)?;
    }
    Ok(Some(StateHead { version: state.version, parts: state.parts.len() }))
}

fn json(value: &impl Serialize) -> Result<Vec<Buffer>> {
    let text = serde_json::to_vec(value).map_err(|e| ArrowError::JsonError(e.to_string()))?;
    Ok(vec![text.into()])
}
