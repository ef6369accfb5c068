//! The frame: sixteen bytes, then the payload.

use arrow_buffer::Buffer;

use crate::WireError;

/// Bytes of the header in front of every payload.
pub const HEADER: usize = 16;

/// What a frame is. The numbers are part of the protocol and never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// Both: version, features, limits.
    Hello = 1,
    /// Host: what to build.
    Open = 2,
    /// Host: a schema.
    Schema = 3,
    /// Both: one part of a snapshot.
    Part = 4,
    /// Both: rows.
    Batch = 5,
    /// Both: more bytes may be sent.
    Credit = 6,
    /// Host: the input is at its end.
    End = 7,
    /// Host: the source must stop.
    Stop = 8,
    /// Host: send a commit.
    Barrier = 9,
    /// Host: the snapshot of an epoch is durable.
    Committed = 10,
    /// Host: which kinds are there?
    Describe = 11,
    /// Host: what would come of a stage?
    Plan = 12,
    /// Host: the trace that the next rows belong to.
    Trace = 13,
    /// Worker: the stage is built.
    Opened = 16,
    /// Worker: a call of the stage has returned.
    Called = 17,
    /// Worker: rejected rows.
    Reject = 18,
    /// Worker: all so far counts.
    Commit = 19,
    /// Worker: it lives.
    Heartbeat = 20,
    /// Worker: a line for the log.
    Log = 21,
    /// Worker: the stage failed.
    Error = 22,
    /// Worker: its kinds.
    Described = 23,
    /// Worker: what comes of a stage.
    Planned = 24,
}

impl Kind {
    const ALL: [Self; 22] = [
        Self::Hello,
        Self::Open,
        Self::Schema,
        Self::Part,
        Self::Batch,
        Self::Credit,
        Self::End,
        Self::Stop,
        Self::Barrier,
        Self::Committed,
        Self::Describe,
        Self::Plan,
        Self::Trace,
        Self::Opened,
        Self::Called,
        Self::Reject,
        Self::Commit,
        Self::Heartbeat,
        Self::Log,
        Self::Error,
        Self::Described,
        Self::Planned,
    ];

    fn of(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == number)
    }

    /// Whether its payload counts against the credit of the sender.
    pub fn costs_credit(self) -> bool {
        matches!(self, Self::Batch | Self::Reject)
    }

    /// The largest payload, for a side that takes `limit` bytes. Only rows may need all of it.
    pub(crate) fn most(self, limit: u64) -> u64 {
        match self {
            Self::Batch | Self::Reject | Self::Part => limit,
            _ => limit.min(MOST_WORDS),
        }
    }
}

/// JSON becomes much larger when it is read.
const MOST_WORDS: u64 = 16 << 20;

/// Bits of a header whose meaning depends on the kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Flags(pub u8);

impl Flags {
    /// [`Kind::Schema`]: of what the stage puts out, not of what it takes.
    pub const OUTPUT: u8 = 1;
    /// [`Kind::Barrier`]: only once nothing that was taken in is still under way.
    pub const DRAINED: u8 = 1;
    /// [`Kind::Called`]: rows that were taken in will come out by themselves.
    pub const HOLDING: u8 = 1;
    /// [`Kind::Called`]: the call was one that counts as a batch.
    pub const MEASURED: u8 = 2;
    /// [`Kind::Commit`]: the stage is at its end.
    pub const FINISHED: u8 = 1;

    pub(crate) fn has(self, flag: u8) -> bool {
        self.0 & flag != 0
    }
}

/// The header of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) len: u32,
    pub(crate) kind: Kind,
    pub(crate) flags: Flags,
    pub(crate) number: u64,
}

impl Header {
    pub(crate) fn to_bytes(self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[0..4].copy_from_slice(&self.len.to_le_bytes());
        bytes[4] = self.kind as u8;
        bytes[5] = self.flags.0;
        bytes[8..16].copy_from_slice(&self.number.to_le_bytes());
        bytes
    }

    pub(crate) fn parse(bytes: [u8; HEADER], limit: usize) -> Result<Self, WireError> {
        let [a, b, c, d, kind, flags, _, _, number @ ..] = bytes;
        let len = u32::from_le_bytes([a, b, c, d]);
        let kind = Kind::of(kind).ok_or_else(|| {
            WireError::new(format!("there is no frame of kind {kind}; are these frames at all?"))
        })?;
        let most = kind.most(limit as u64);
        if u64::from(len) > most {
            return Err(WireError::new(format!(
                "a frame `{kind:?}` of {len} bytes is larger than the limit of {most}"
            )));
        }
        Ok(Self { len, kind, flags: Flags(flags), number: u64::from_le_bytes(number) })
    }
}

/// A whole frame that came in.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// What it is.
    pub kind: Kind,
    /// Bits for that kind.
    pub flags: Flags,
    /// A number for that kind.
    pub number: u64,
    /// The rest.
    pub payload: Buffer,
}
