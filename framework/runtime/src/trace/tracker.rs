//! The spans of one worker. It is told of each call of the stage, and finds out which batches what came
//! out of it was made of.

use std::collections::VecDeque;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use gristmill_config::Secrets;
use gristmill_stage::{Clock, Error, Result};

use super::dice::Dice;
use super::{Span, SpanContext, SpanStage, Tracing};
use crate::drive::{Action, Need};
use crate::edge::Parcel;

/// So many batches that have not come out are remembered; the oldest are forgotten.
const REMEMBERED: usize = 32;

/// What a call of the stage was given.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Given {
    pub(crate) rows: u64,
    /// The span that made the batch, if its trace is recorded.
    pub(crate) from: Option<SpanContext>,
    /// The span that the call was told to be, if it was told.
    pub(crate) span: Option<NonZeroU64>,
}

/// One call of the stage, and what came of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Call {
    pub(crate) given: Option<Given>,
    /// On the clock of the run.
    pub(crate) start: Duration,
    pub(crate) end: Duration,
    pub(crate) rows_out: u64,
    pub(crate) rejected: u64,
    /// Whether rows that were taken will still come out by themselves.
    pub(crate) holding: bool,
    pub(crate) error: Option<Error>,
}

impl Given {
    pub(crate) fn of(parcel: &Parcel) -> Self {
        Self { rows: parcel.rows() as u64, from: parcel.trace, span: None }
    }
}

impl Call {
    /// The call that began and ended at these times, and all that came of it.
    pub(crate) fn of(
        given: Option<Given>,
        [start, end]: [Duration; 2],
        actions: &[Action],
        driven: &Result<Need>,
    ) -> Self {
        let (mut rows_out, mut rejected) = (0, 0);
        for action in actions {
            match action {
                Action::Emit { batch, .. } => rows_out += batch.num_rows() as u64,
                Action::Reject { rows, .. } => rejected += rows.num_rows() as u64,
            }
        }
        let (holding, error) = match driven {
            Ok(need) => (need.holding, None),
            Err(error) => (false, Some(error.clone())),
        };
        Self { given, start, end, rows_out, rejected, holding, error }
    }
}

/// The spans of one worker; none at all when nothing is traced.
#[derive(Debug, Default)]
pub(crate) struct Tracker(Option<Box<Tracked>>);

/// What a tracker must know to name a span.
pub(crate) struct Naming {
    pub(crate) stage: SpanStage,
    pub(crate) source: bool,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) secrets: Secrets,
}

struct Tracked {
    tracing: Tracing,
    stage: Arc<SpanStage>,
    source: bool,
    clock: Arc<dyn Clock>,
    secrets: Secrets,
    dice: Dice,
    /// Whether a source has put out its first batch.
    begun: bool,
    /// Rows that were taken, and rows that came out.
    taken: u64,
    out: u64,
    /// Whether rows that were taken were still to come out before the present call.
    holding: bool,
    /// Batches of which rows are still to come out, in the order in which they came.
    under_way: VecDeque<UnderWay>,
    /// Batches of which nothing came out: the stage keeps them in its state, or has dropped their rows.
    kept: VecDeque<SpanContext>,
}

/// A batch of which rows are still to come out.
struct UnderWay {
    context: SpanContext,
    /// Its rows are those from here to there, of all that were taken.
    from: u64,
    to: u64,
}

impl std::fmt::Debug for Tracked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tracked").field("stage", &self.stage).finish_non_exhaustive()
    }
}

impl Tracker {
    /// The tracker of a worker.
    pub(crate) fn new(tracing: Tracing, naming: Naming) -> Self {
        let Naming { stage, source, clock, secrets } = naming;
        Self(Some(Box::new(Tracked {
            tracing,
            stage: Arc::new(stage),
            source,
            clock,
            secrets,
            dice: Dice::new(),
            begun: false,
            taken: 0,
            out: 0,
            holding: false,
            under_way: VecDeque::new(),
            kept: VecDeque::new(),
        })))
    }

    /// Whether nothing is traced.
    pub(crate) fn is_off(&self) -> bool {
        self.0.is_none()
    }

    /// The time; zero when nothing is traced, and nobody needs it.
    pub(crate) fn now(&self) -> Duration {
        self.0.as_ref().map_or(Duration::ZERO, |tracked| tracked.clock.now())
    }

    /// A span for a call that is yet to come.
    pub(crate) fn span(&mut self) -> Option<NonZeroU64> {
        self.0.as_mut().map(|tracked| tracked.dice.span())
    }

    /// The stage begins anew, and what it had taken comes again.
    pub(crate) fn begins_anew(&mut self) {
        if let Some(tracked) = &mut self.0 {
            (tracked.taken, tracked.out, tracked.holding) = (0, 0, false);
            tracked.under_way.clear();
            tracked.kept.clear();
        }
    }

    /// A call has returned. Gives the span that made what came out of it, if its trace is recorded.
    pub(crate) fn made(&mut self, call: &Call) -> Option<SpanContext> {
        self.0.as_mut()?.made(call)
    }
}

impl Tracked {
    fn made(&mut self, call: &Call) -> Option<SpanContext> {
        let was_holding = std::mem::replace(&mut self.holding, call.holding);
        let rows = call.given.map_or(0, |given| given.rows);
        let came = call.rows_out + call.rejected;
        self.taken += rows;
        self.out += came;
        let made = self.record(call, was_holding);
        match (made, call.given) {
            (Some(context), Some(Given { from: Some(_), .. })) => {
                self.remember(context, rows, came, call.holding);
            }
            // What else was kept comes out in the calls that follow.
            (Some(context), None) if call.holding && self.under_way.is_empty() => {
                self.under_way.push_back(UnderWay { context, from: 0, to: self.taken });
            }
            _ => {}
        }
        self.forget(call.holding);
        made
    }

    /// Records a span, if there is a trace for it.
    fn record(&mut self, call: &Call, was_holding: bool) -> Option<SpanContext> {
        let given = call.given.and_then(|given| given.from);
        let came = call.rows_out + call.rejected > 0;
        let mut others: Vec<SpanContext> = Vec::new();
        if came && was_holding {
            let out = self.under_way.iter().filter(|one| one.from < self.out);
            others.extend(out.map(|one| one.context));
        }
        let parent = given.or_else(|| (!others.is_empty()).then(|| others.remove(0)));
        if came && call.given.is_none() && parent.is_none() {
            others.extend(self.kept.drain(..));
        }
        if parent.is_none() && others.is_empty() && call.error.is_none() && !self.begins(call) {
            return None;
        }
        let (trace, parent) = match parent {
            Some(parent) => (parent.trace, Some(parent.span)),
            None => (self.dice.trace(), None),
        };
        let span = call.given.and_then(|given| given.span);
        let span = span.unwrap_or_else(|| self.dice.span());
        let context = SpanContext { trace, span };
        self.tell(call, context, parent, others);
        Some(context)
    }

    /// Whether what a source puts out begins a trace that is recorded. Its first batch does, so that a
    /// short run has a trace as well.
    fn begins(&mut self, call: &Call) -> bool {
        if !self.source || call.rows_out == 0 {
            return false;
        }
        let share = self.tracing.share();
        let first = !std::mem::replace(&mut self.begun, true) && share > 0.0;
        first || self.dice.falls_within(share)
    }

    fn tell(
        &self,
        call: &Call,
        context: SpanContext,
        parent: Option<NonZeroU64>,
        links: Vec<SpanContext>,
    ) {
        // The time of day may have been set since the start, so it is taken from now.
        let ago = self.clock.now().saturating_sub(call.start);
        let now = self.clock.wall();
        let error = call.error.as_ref().map(|error| {
            let text = format!("{}: {}", error.kind().name(), error.message());
            self.secrets.redact(&text).into_owned()
        });
        self.tracing.tell(Span {
            context,
            parent,
            links,
            stage: self.stage.clone(),
            start: now.checked_sub(ago).unwrap_or(now),
            took: call.end.saturating_sub(call.start),
            rows_in: call.given.map_or(0, |given| given.rows),
            rows_out: call.rows_out,
            rejected: call.rejected,
            error,
        });
    }

    fn remember(&mut self, context: SpanContext, rows: u64, came: u64, holding: bool) {
        if holding {
            if self.under_way.len() == REMEMBERED {
                self.under_way.pop_front();
            }
            let (from, to) = (self.taken - rows, self.taken);
            self.under_way.push_back(UnderWay { context, from, to });
        } else if came == 0 {
            if self.kept.len() == REMEMBERED {
                self.kept.pop_front();
            }
            self.kept.push_back(context);
        }
    }

    /// Forgets batches all of whose rows have come out. Rows come out about in the order in which they
    /// went in, and about as many; of the last batch any number may come out.
    fn forget(&mut self, holding: bool) {
        if !holding {
            self.under_way.clear();
            self.out = self.taken;
            return;
        }
        while self.under_way.front().is_some_and(|one| one.to <= self.out && one.to < self.taken) {
            self.under_way.pop_front();
        }
    }
}

#[cfg(test)]
#[path = "tracker_tests.rs"]
mod tests;
