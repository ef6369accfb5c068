//! Frames to messages.

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_schema::Schema;
use gristmill_stage::{Cause, Snapshot, State};
use serde::de::DeserializeOwned;

use crate::columns::{Batches, read_schema};
use crate::frame::{Flags, Frame, Kind};
use crate::message::{Called, Commit, CommitHead, Message, Open, Rejected, Side, StateHead};
use crate::trace::SpanContext;
use crate::{WireError, table};

/// Makes messages of the frames of one connection, in their order.
#[derive(Debug, Default)]
pub struct Decoder {
    batches: Option<Batches>,
    parts: Vec<(String, RecordBatch)>,
    part_bytes: usize,
}

/// Parts of one snapshot, in bytes, at the most.
const MOST_PARTS: usize = 4 << 30;

impl Decoder {
    /// A decoder for the beginning of a connection. A worker's learns the schema of its batches from
    /// the host.
    pub fn new() -> Self {
        Self::default()
    }

    /// Says of which schema the batches must be that come in.
    ///
    /// # Errors
    /// When the Arrow IPC format has no form for it.
    pub fn expects(&mut self, schema: &Schema) -> Result<(), WireError> {
        self.batches = Some(Batches::new(schema)?);
        Ok(())
    }

    /// The message of a frame; none for a part of a snapshot, which comes with the message that
    /// follows the parts.
    ///
    /// # Errors
    /// When the frame breaks the protocol. Nothing that follows can be trusted then.
    pub fn decode(&mut self, frame: Frame) -> Result<Option<Message>, WireError> {
        let Frame { kind, flags, number, payload } = frame;
        Ok(Some(match kind {
            Kind::Hello => Message::Hello(json(&payload, "hello")?),
            Kind::Open => {
                let mut open: Open = json(&payload, "open")?;
                let snapshot = self.snapshot(open.restored.take())?;
                Message::Open(Box::new(open), snapshot)
            }
            Kind::Schema => {
                let schema = read_schema(&payload)?;
                let side = if flags.has(Flags::OUTPUT) { Side::Output } else { Side::Input };
                if side == Side::Input {
                    self.expects(&schema)?;
                }
                Message::Schema(side, schema)
            }
            Kind::Part => {
                self.part_bytes += payload.len();
                if self.part_bytes > MOST_PARTS {
                    return Err(WireError::new("a snapshot is larger than 4 GiB"));
                }
                self.parts.push(table::decode(payload)?);
                return Ok(None);
            }
            Kind::Batch => {
                let batches = self
                    .batches
                    .as_mut()
                    .ok_or_else(|| WireError::new("rows came before their schema"))?;
                Message::Batch(number, batches.decode(payload)?)
            }
            Kind::Trace => Message::Trace(SpanContext::read(&payload, number)?),
            Kind::Credit => Message::Credit(number),
            Kind::End => Message::End,
            Kind::Stop => Message::Stop,
            Kind::Barrier => Message::Barrier { epoch: number, drained: flags.has(Flags::DRAINED) },
            Kind::Committed => Message::Committed(number),
            Kind::Describe => Message::Describe,
            Kind::Plan => Message::Plan(json(&payload, "plan")?),
            Kind::Described => Message::Described(json(&payload, "described")?),
            Kind::Planned => Message::Planned(json(&payload, "planned")?),
            Kind::Opened => Message::Opened,
            Kind::Called => Message::Called(called(flags, number, &payload)?),
            Kind::Reject => {
                let (reason, rows) = table::decode(payload)?;
                Message::Reject(Rejected { reason, cause: Cause::said(number), rows })
            }
            Kind::Commit => {
                let head: CommitHead = match payload.is_empty() {
                    true => CommitHead::default(),
                    false => json(&payload, "commit")?,
                };
                Message::Commit(Box::new(Commit {
                    through: number,
                    epoch: head.epoch,
                    finished: flags.has(Flags::FINISHED),
                    snapshot: self.snapshot(head.state)?,
                }))
            }
            Kind::Heartbeat => Message::Heartbeat(json(&payload, "heartbeat")?),
            Kind::Log => Message::Log(json(&payload, "log")?),
            Kind::Error => Message::Error(json(&payload, "error")?),
        }))
    }

    /// The snapshot of the parts that have come.
    fn snapshot(&mut self, head: Option<StateHead>) -> Result<Snapshot, WireError> {
        let parts = std::mem::take(&mut self.parts);
        self.part_bytes = 0;
        let announced = head.map_or(0, |head| head.parts);
        if parts.len() != announced {
            return Err(WireError::new(format!(
                "a snapshot has {} parts and not {announced}",
                parts.len()
            )));
        }
        Ok(match head {
            None => Snapshot::Stateless,
            Some(head) => Snapshot::State(State { version: head.version, parts }),
        })
    }
}

fn called(flags: Flags, batch: u64, payload: &Buffer) -> Result<Called, WireError> {
    let (nanos, rest) = payload
        .split_first_chunk()
        .ok_or_else(|| WireError::new("a frame of a call must have eight bytes"))?;
    Ok(Called {
        batch,
        nanos: u64::from_le_bytes(*nanos),
        start: rest.first_chunk().map(|start| u64::from_le_bytes(*start)),
        measured: flags.has(Flags::MEASURED),
        holding: flags.has(Flags::HOLDING),
    })
}

fn json<T: DeserializeOwned>(payload: &Buffer, what: &str) -> Result<T, WireError> {
    serde_json::from_slice(payload)
        .map_err(|e| WireError::new(format!("a frame `{what}` cannot be read: {e}")))
}
