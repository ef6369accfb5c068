//! The traits that a stage implements. All calls are synchronous and short; the runner makes them
//! one at a time, from one thread at a time.

use std::time::Duration;

use arrow_array::RecordBatch;

use crate::{Cause, Error, Result, Snapshot};

/// A stage that was built: one worker's instance.
pub enum Stage {
    /// Starts data.
    Source(Box<dyn Source>),
    /// Turns batches into batches. A sink is a transform that never emits.
    Transform(Box<dyn Transform>),
}

impl Stage {
    /// Boxes a source.
    pub fn source(source: impl Source + 'static) -> Self {
        Self::Source(Box::new(source))
    }

    /// Boxes a transform or a sink.
    pub fn transform(transform: impl Transform + 'static) -> Self {
        Self::Transform(Box::new(transform))
    }
}

/// When a source wants its next [`poll`](Source::poll).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// As soon as there is room downstream.
    Now,
    /// At this time on the [clock](crate::Clock) of the run, or when its waker is woken.
    At(Duration),
    /// When its waker is woken, and not before.
    Wait,
    /// Never: the source is at its end.
    Done,
}

/// Starts data: reads a file, makes requests, listens to a queue.
pub trait Source: Send {
    /// Emits the next rows, about a batch of them at the most, and says when to come again.
    fn poll(&mut self, out: &mut dyn Output) -> Result<Next>;

    /// The run is to end in order: nothing more is wanted. Says whether [`poll`](Source::poll) must be
    /// called until it is [`Next::Done`], because rows were taken that nobody can take again, such as
    /// the bytes of a pipe. Called once at the most.
    fn stop(&mut self) -> Result<bool> {
        Ok(false)
    }

    /// The position from which an equal source would go on. Called between polls.
    fn snapshot(&mut self) -> Result<Snapshot> {
        Ok(Snapshot::Stateless)
    }

    /// What was emitted before the snapshot of this epoch is durable downstream.
    fn committed(&mut self, epoch: u64) -> Result<()> {
        let _ = epoch;
        Ok(())
    }
}

/// Turns batches into batches, or, as a sink, only takes them.
///
/// What one call may emit is bounded by about a batch (see
/// [`BatchTarget`](crate::BatchTarget)). A stage that has more holds the rest, is not
/// [`ready`](Transform::ready), and returns from [`wake_at`](Transform::wake_at) a time that has
/// come: it is then woken as soon as there is room downstream.
pub trait Transform: Send {
    /// Takes one batch of the input schema. It may be empty.
    fn process(&mut self, batch: RecordBatch, out: &mut dyn Output) -> Result<()>;

    /// Whether the stage takes input now. Asked before each batch.
    fn ready(&self) -> bool {
        true
    }

    /// True once the stage needs no more input, whatever else comes: the runner ends its inputs.
    fn done(&self) -> bool {
        false
    }

    /// True while rows that were taken in will come out by themselves, without further input:
    /// calls in flight, a rest held back. State that waits for the end (a sum) does not count.
    fn holding(&self) -> bool {
        false
    }

    /// Its time has come ([`wake_at`](Transform::wake_at)), or its
    /// [waker](crate::BuildContext::waker) was woken.
    fn wake(&mut self, out: &mut dyn Output) -> Result<()> {
        let _ = out;
        Ok(())
    }

    /// When to call [`wake`](Transform::wake), on the [clock](crate::Clock) of the run. A time that
    /// has passed means at once.
    fn wake_at(&self) -> Option<Duration> {
        None
    }

    /// The input is at its end. Emits what is held, about a batch of it at the most; while the
    /// stage is [`holding`](Transform::holding) it is woken, and `finish` is then called again.
    fn finish(&mut self, out: &mut dyn Output) -> Result<()> {
        let _ = out;
        Ok(())
    }

    /// All that was taken in and is not yet emitted or rejected. Called between the other calls;
    /// the stage goes on afterwards as if it had not been asked.
    fn snapshot(&mut self) -> Result<Snapshot> {
        Ok(Snapshot::Stateless)
    }

    /// The snapshot of this epoch is durable everywhere: what was staged before it may be
    /// published.
    fn committed(&mut self, epoch: u64) -> Result<()> {
        let _ = epoch;
        Ok(())
    }
}

/// Where a stage puts its rows during a call.
pub trait Output {
    /// Hands on a batch of the stage's output schema. Empty batches are dropped.
    fn emit(&mut self, batch: RecordBatch) -> Result<()>;

    /// Hands on a batch by one of the outputs that the stage has named
    /// ([`Planned::ports`](crate::Planned::ports)), by its place among them. The first is the one
    /// that [`emit`](Output::emit) stands for, and the only one of a stage that names none.
    fn emit_to(&mut self, port: usize, batch: RecordBatch) -> Result<()> {
        match port {
            0 => self.emit(batch),
            _ => Err(Error::internal(format!("nobody takes rows from output {port} here"))),
        }
    }

    /// Sends rows to the dead letters, with the reason in a sentence. The rows are as they came in:
    /// of any schema.
    fn reject(&mut self, rows: RecordBatch, reason: &str) -> Result<()>;

    /// The same, with the class that the reason belongs to; [`reject`](Output::reject) is for those
    /// that are to blame on the data.
    fn reject_as(&mut self, rows: RecordBatch, cause: Cause, reason: &str) -> Result<()> {
        let _ = cause;
        self.reject(rows, reason)
    }
}
