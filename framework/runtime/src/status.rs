//! What a run says of itself, while it runs and at its end.

use std::path::PathBuf;
use std::time::Duration;

use gristmill_config::{Bound, Mode};
use gristmill_stage::reading::{Figure, Series};
use gristmill_stage::{Cause, ErrorKind};
use hdrhistogram::Histogram;

use crate::control::Failure;
use crate::edge::Level;
use crate::meter::{Amount, Exemplars, Meter, TimeSplit};
use crate::process::ProcessStatus;

/// How a run came to its end.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// All input was worked through.
    Done,
    /// It was asked to stop, and what had been read is complete.
    Stopped,
    /// It was broken off before all was published; [`StageStatus::ending`] tells what was.
    Aborted,
    /// A stage failed; [`StageStatus::ending`] tells what was published before.
    Failed(Failure),
}

impl Outcome {
    /// It as one word.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Stopped => "stopped",
            Self::Aborted => "aborted",
            Self::Failed(_) => "failed",
        }
    }
}

/// How far a stage is on its way to the end. For a sink this says whether its rows are published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It is at work, or was when the run was broken off; nothing of it is published.
    Open = 0,
    /// It was publishing, or only some of its workers are at their end: what it publishes may be
    /// there or not.
    Closing = 1,
    /// All its workers came to their end, and what it publishes is there.
    Complete = 2,
}

impl Ending {
    /// It as one word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closing => "closing",
            Self::Complete => "complete",
        }
    }

    /// That of a stage with these workers.
    pub(crate) fn of<'a>(meters: impl IntoIterator<Item = &'a Meter>) -> Self {
        let mut endings = meters.into_iter().map(Meter::ending);
        let first = endings.next().unwrap_or(Self::Open);
        if endings.all(|ending| ending == first) { first } else { Self::Closing }
    }
}

/// A run at its end.
#[derive(Debug, Clone)]
pub struct Report {
    /// How it ended.
    pub outcome: Outcome,
    /// How long it took.
    pub took: Duration,
    /// Its stages, in the order of the plan.
    pub stages: Vec<StageStatus>,
    /// Rows rejected in all stages.
    pub rejected: u64,
    /// Where they are.
    pub rejected_path: PathBuf,
}

/// What a stage has done so far, all its workers together.
#[derive(Debug, Clone)]
pub struct StageStatus {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: String,
    /// How its workers run.
    pub mode: Mode,
    /// How many there are.
    pub workers: usize,
    /// How far it came.
    pub ending: Ending,
    /// What came in.
    pub taken: Amount,
    /// What went out; each batch counted once, however many stages get it.
    pub sent: Amount,
    /// Rows rejected.
    pub rejected: u64,
    /// The same by the class of the reason, those that happened.
    pub causes: Vec<(Cause, u64)>,
    /// Errors by kind, those that happened.
    pub errors: Vec<(ErrorKind, u64)>,
    /// Time of all workers.
    pub times: TimeSplit,
    /// Processor time of all workers, their child processes included.
    pub cpu: Duration,
    /// Median duration of a call with a batch.
    pub call_p50: Duration,
    /// The duration that 99 of 100 calls stay under.
    pub call_p99: Duration,
    /// Its child processes, if it runs in some.
    pub process: Option<ProcessStatus>,
    /// What its kind tells of its work, all workers together.
    pub readings: Vec<Series>,
    /// The queues in front of it.
    pub queues: Vec<QueueStatus>,
}

/// The queues of one edge, added up.
#[derive(Debug, Clone)]
pub struct QueueStatus {
    /// The stage that feeds it.
    pub from: String,
    /// How full it is.
    pub level: Level,
    /// What it may hold.
    pub bound: Bound,
}

/// Sums up the workers of a stage.
#[derive(Debug, Clone)]
pub(crate) struct Sum {
    pub taken: Amount,
    pub sent: Amount,
    pub rejected: Vec<(Cause, u64)>,
    pub errors: Vec<(ErrorKind, u64)>,
    pub times: TimeSplit,
    pub cpu: Duration,
    pub durations: Option<Figure>,
    pub exemplars: Exemplars,
}

impl Sum {
    pub(crate) fn of<'a>(meters: impl IntoIterator<Item = &'a Meter>) -> Self {
        let mut sum = Self {
            taken: Amount::default(),
            sent: Amount::default(),
            rejected: Cause::ALL.map(|cause| (cause, 0)).to_vec(),
            errors: ErrorKind::ALL.map(|kind| (kind, 0)).to_vec(),
            times: TimeSplit::default(),
            cpu: Duration::ZERO,
            durations: None,
            exemplars: Exemplars::new(),
        };
        for meter in meters {
            sum.taken += meter.taken();
            sum.sent += meter.sent();
            for ((_, total), (_, count)) in sum.rejected.iter_mut().zip(meter.rejects()) {
                *total += count;
            }
            sum.cpu += meter.cpu();
            sum.add_durations(meter);
            sum.add_exemplars(meter);
            for ((_, total), (_, count)) in sum.errors.iter_mut().zip(meter.errors()) {
                *total += count;
            }
            let times = meter.times();
            sum.times.busy += times.busy;
            sum.times.waiting += times.waiting;
            sum.times.blocked += times.blocked;
        }
        sum
    }

    fn add_durations(&mut self, meter: &Meter) {
        let Some(Figure::Histogram { counts: more, sum: with }) = meter.durations() else { return };
        match &mut self.durations {
            Some(Figure::Histogram { counts, sum }) => {
                counts.iter_mut().zip(more).for_each(|(count, more)| *count += more);
                *sum += with;
            }
            first => *first = Some(Figure::Histogram { counts: more, sum: with }),
        }
    }

    /// Of several workers, the latest counts.
    fn add_exemplars(&mut self, meter: &Meter) {
        let more = meter.exemplars();
        self.exemplars.resize(self.exemplars.len().max(more.len()), None);
        for (one, other) in self.exemplars.iter_mut().zip(more) {
            if other.is_some_and(|other| one.is_none_or(|one| one.at < other.at)) {
                *one = other;
            }
        }
    }

    /// Rows rejected, whatever the reason.
    pub(crate) fn rejects(&self) -> u64 {
        self.rejected.iter().map(|(_, count)| count).sum()
    }
}

/// Median and 99th percentile of the calls of some workers.
pub(crate) fn call_times<'a>(meters: impl IntoIterator<Item = &'a Meter>) -> [Duration; 2] {
    let Ok(mut calls) = Histogram::<u64>::new(2) else { return [Duration::ZERO; 2] };
    for meter in meters {
        meter.add_calls_to(&mut calls);
    }
    [0.5, 0.99].map(|q| Duration::from_nanos(calls.value_at_quantile(q)))
}
