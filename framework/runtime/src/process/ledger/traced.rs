//! Which spans the work of a child belongs to, found out from what it says of its calls. So a span is the
//! same whatever language the child is written in, and whether it knows what a trace is or not.

use std::num::NonZeroU64;
use std::time::Duration;

use gristmill_stage::{Error, Role};
use gristmill_wire::Called;

use super::{Ledger, Outcome};
use crate::trace::{Call, Given, SpanContext, Tracker};

/// The span that the call with a batch will be, and when the batch was sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Awaited {
    span: NonZeroU64,
    sent: Duration,
}

/// What is traced of a child.
#[derive(Debug, Default)]
pub(super) struct Traced {
    tracker: Tracker,
    source: bool,
    /// So many of the pending outcomes have a call that they came of.
    told: usize,
    /// When the last call returned.
    last: Duration,
}

impl Ledger {
    /// Has its spans recorded.
    #[must_use]
    pub(crate) fn traced_by(mut self, tracker: Tracker, role: Role) -> Self {
        self.traced = Traced { tracker, source: role == Role::Source, ..Traced::default() };
        self
    }

    /// The span of the call that will be given this batch, for the child, if the trace is recorded. The
    /// batch is sent now.
    pub(crate) fn awaits(&mut self, number: u64) -> Option<SpanContext> {
        let item = self.items.iter_mut().find(|item| item.sent == Some(number))?;
        let from = item.trace?;
        let span = self.traced.tracker.span()?;
        item.awaited = Some(Awaited { span, sent: self.traced.tracker.now() });
        Some(SpanContext { trace: from.trace, span })
    }

    /// The child has returned from a call: what came since the one before came of it. Gives its span, if
    /// it is recorded. Before the call is noted.
    pub(crate) fn trace(&mut self, called: &Called) -> Option<SpanContext> {
        let told = std::mem::take(&mut self.traced.told).min(self.pending.len());
        self.traced.told = self.pending.len();
        if self.traced.tracker.is_off() {
            return None;
        }
        let takes = called.measured && !self.traced.source;
        let given = if takes { self.given(called.batch) } else { None };
        let now = self.traced.tracker.now();
        let took = Duration::from_nanos(called.nanos);
        // When it does not say when it began, it has returned just now.
        let start = called.start.map_or(now.saturating_sub(took), Duration::from_nanos);
        let awaited = self.awaited(called.batch).filter(|_| takes);
        let sent = awaited.map_or(Duration::ZERO, |awaited| awaited.sent);
        let (start, holding) = (start.min(now).max(sent), called.holding);
        self.traced.last = now;
        let mut call = Call { given, start, end: start + took, holding, ..Call::default() };
        for come in &self.pending[told..] {
            match &come.outcome {
                Outcome::Emit(_, rows) => call.rows_out += rows.num_rows() as u64,
                Outcome::Reject(rows, ..) => call.rejected += rows.num_rows() as u64,
            }
        }
        let made = self.traced.tracker.made(&call);
        self.pending[told..].iter_mut().for_each(|come| come.trace = made);
        made
    }

    fn awaited(&self, number: u64) -> Option<Awaited> {
        self.items.iter().find(|item| item.sent == Some(number))?.awaited
    }

    fn given(&self, number: u64) -> Option<Given> {
        let item = self.items.iter().find(|item| item.sent == Some(number))?;
        let span = item.awaited.map(|awaited| awaited.span);
        Some(Given { rows: item.batch.num_rows() as u64, from: item.trace, span })
    }

    /// The child has failed or died, and this is why: so says the span of the batch that it was working on.
    pub(crate) fn broke_off(&mut self, error: &Error) {
        if self.traced.tracker.is_off() {
            return;
        }
        let item = self.items.iter().find(|item| item.sent.is_some() && !item.called);
        let given = item.and_then(|item| self.given(item.sent?));
        let sent = item.and_then(|item| item.awaited).map(|awaited| awaited.sent);
        let end = self.traced.tracker.now();
        let start = sent.map_or(end, |sent| sent.max(self.traced.last));
        let error = Some(error.clone());
        self.traced.tracker.made(&Call { given, start, end, error, ..Call::default() });
    }

    /// Another child begins, and is given again what has not been committed.
    pub(super) fn traced_anew(&mut self) {
        self.traced.tracker.begins_anew();
        self.traced.told = 0;
    }

    /// What was pending has been committed.
    pub(super) fn traced_through(&mut self) {
        self.traced.told = 0;
    }
}

#[cfg(test)]
#[path = "traced_tests.rs"]
mod tests;
