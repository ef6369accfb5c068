//! What the counters said in the last minutes.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Recent;
use super::Times;
use crate::meter::{Amount, TimeSplit};

/// So many samples are kept; one a second makes five minutes.
const KEPT: usize = 300;
/// How far the rates of a view look back.
pub const WINDOW: Duration = Duration::from_secs(10);
/// Samples are this far apart at least.
const APART: Duration = Duration::from_millis(900);

/// What a worker had done at some time.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) taken: Amount,
    pub(super) sent: Amount,
    pub(super) rejected: u64,
    pub(super) times: TimeSplit,
    /// Processor time, that of child processes included, and that of those alone.
    pub(super) cpu: Duration,
    pub(super) children: Duration,
    /// Time that its child process was ready to run and had no processor.
    pub(super) delayed: Option<Duration>,
    /// Child processes that died.
    pub(super) deaths: u64,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.taken += other.taken;
        self.sent += other.sent;
        self.rejected += other.rejected;
        self.times.busy += other.times.busy;
        self.times.waiting += other.times.waiting;
        self.times.blocked += other.times.blocked;
        self.cpu += other.cpu;
        self.children += other.children;
        self.delayed = sum(self.delayed, other.delayed);
        self.deaths += other.deaths;
    }
}

fn sum(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    match (one, other) {
        (Some(a), Some(b)) => Some(a + b),
        (one, other) => one.or(other),
    }
}

/// All counters at one time.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    pub(super) at: Duration,
    /// Each worker of each stage.
    pub(super) workers: Vec<Vec<Counts>>,
    /// Each edge.
    pub(super) edges: Vec<EdgeSample>,
    /// Time that the threads of each pool had work.
    pub(super) pools: Vec<Duration>,
    /// Processor time of the program.
    pub(super) cpu: Duration,
    /// Time that its threads were ready to run and had no processor.
    pub(super) delayed: Duration,
    /// Processor time of all programs of the machine.
    pub(super) machine: Duration,
}

/// An edge at one time.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct EdgeSample {
    /// Rows that went in.
    pub(super) rows: u64,
    /// How full it is.
    pub(super) fill: f64,
    /// How full the fullest of its queues is.
    pub(super) fullest: f64,
}

impl Sample {
    /// Processor time of all child processes.
    pub(super) fn children(&self) -> Duration {
        self.workers.iter().flatten().map(|counts| counts.children).sum()
    }

    /// All workers of a stage together.
    pub(super) fn stage(&self, stage: usize) -> Counts {
        let mut sum = Counts::default();
        self.workers[stage].iter().for_each(|counts| sum += *counts);
        sum
    }
}

/// The samples of the last minutes, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Samples(VecDeque<Sample>);

impl Samples {
    /// Whether it is time for another.
    pub(super) fn is_due(&self, now: Duration) -> bool {
        self.0.back().is_none_or(|last| now.saturating_sub(last.at) >= APART)
    }

    pub(super) fn keep(&mut self, sample: Sample) {
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back(sample);
    }

    /// The samples of the window that ends now, the oldest first.
    pub(super) fn window(&self, now: Duration) -> impl Iterator<Item = &Sample> {
        let start = now.saturating_sub(WINDOW);
        // One more, so that the window is not shorter than it says.
        let first = self.0.partition_point(|sample| sample.at < start).saturating_sub(1);
        self.0.iter().skip(first)
    }

    /// Everything between two samples, for curves.
    pub(super) fn history(&self, stages: usize, edges: usize) -> History {
        let pairs: Vec<_> = self.0.iter().zip(self.0.iter().skip(1)).collect();
        let stage = |stage: usize| StageHistory {
            recent: pairs
                .iter()
                .map(|(then, now)| between(then, now, then.stage(stage), now.stage(stage)))
                .collect(),
        };
        let edge = |edge: usize| pairs.iter().map(|(_, now)| now.edges[edge].fill).collect();
        History {
            at: pairs.iter().map(|(_, now)| now.at.as_secs_f64()).collect(),
            stages: (0..stages).map(stage).collect(),
            fill: (0..edges).map(edge).collect(),
        }
    }
}

/// What happened in the last minutes, a value for each second or so.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct History {
    /// Seconds since the start.
    pub at: Vec<f64>,
    /// Each stage.
    pub stages: Vec<StageHistory>,
    /// How full each edge was, from 0 to 1.
    pub fill: Vec<Vec<f64>>,
}

/// A stage in the last minutes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StageHistory {
    /// What happened up to each time.
    pub recent: Vec<Recent>,
}

/// What happened between two samples.
pub(super) fn between(then: &Sample, now: &Sample, before: Counts, after: Counts) -> Recent {
    let seconds = now.at.saturating_sub(then.at).as_secs_f64().max(1e-9);
    let rate = |before: u64, after: u64| after.saturating_sub(before) as f64 / seconds;
    let spent = |before: Duration, after: Duration| after.saturating_sub(before).as_secs_f64();
    let [busy, waiting, blocked] = [
        spent(before.times.busy, after.times.busy),
        spent(before.times.waiting, after.times.waiting),
        spent(before.times.blocked, after.times.blocked),
    ];
    let all = busy + waiting + blocked;
    let share = |part: f64| if all > 0.0 { part / all } else { 0.0 };
    Recent {
        rows_in: rate(before.taken.rows, after.taken.rows),
        rows_out: rate(before.sent.rows, after.sent.rows),
        batches_in: rate(before.taken.batches, after.taken.batches),
        batches_out: rate(before.sent.batches, after.sent.batches),
        bytes_in: rate(before.taken.bytes, after.taken.bytes),
        bytes_out: rate(before.sent.bytes, after.sent.bytes),
        rejected: rate(before.rejected, after.rejected),
        times: Times { busy: share(busy), waiting: share(waiting), blocked: share(blocked) },
        processors: Some(spent(before.cpu, after.cpu) / seconds),
        delayed: after
            .delayed
            .map(|delayed| spent(before.delayed.unwrap_or_default(), delayed) / seconds),
        deaths: rate(before.deaths, after.deaths),
    }
}
