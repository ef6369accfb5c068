//! What holds a pipeline up: which stage, why, by which numbers, and what to change.
//!
//! [`find`] reads a view as a person would: where do rows pile up, and what does the stage behind
//! them do with its time? A stage limits when it is busy while those before it are blocked and those
//! behind it wait. Why it is busy shows in the processors that it uses, in its workers against each
//! other, in its pool, and in the size of its batches. The rules are in `rules`, what they measure
//! in `look`, what is said of it in `words`.

mod look;
mod rules;
mod words;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::RunView;

/// A share of the time that is most of it.
const MOST: f64 = 0.5;

/// So much of what there is, is all of it.
const ALL: f64 = 0.9;

/// What the time of a stage says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It holds the others up.
    Limits,
    /// It is at work most of the time.
    Busy,
    /// It has no input most of the time.
    Waiting,
    /// It has no room for its output most of the time.
    Blocked,
    /// None of these.
    Mixed,
    /// All its workers are at their end.
    Complete,
}

/// Why a pipeline is not faster.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// All stages are at their end.
    Over,
    /// The stage computes all the time, with the workers that it has.
    Computes,
    /// The stage is at work, but waits for something outside: a server, a program, a disk.
    Outside,
    /// The sink waits for where it writes to: a disk, a database, the reader of a pipe.
    Sink,
    /// The source gets its rows slowly.
    SlowInput,
    /// The source gets no rows at all.
    NoInput,
    /// One worker of several has most of the rows, as they are dealt out by hash.
    Skew,
    /// Workers wait for their turn, as the stage keeps the order.
    Order,
    /// The pool has too few threads for its stages.
    Pool,
    /// All processors of the machine are in use.
    Machine,
    /// Batches are so small that each costs more than its rows.
    Batches,
    /// Child processes die again and again.
    Deaths,
    /// Rejected rows are written slower than they come.
    Rejected,
    /// No stage is at work most of the time.
    Nothing,
    /// The run is too young to say, or this program does not know the cause that another one names.
    #[default]
    #[serde(other)]
    Unknown,
}

impl Cause {
    /// It as one word, as in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Over => "over",
            Self::Computes => "computes",
            Self::Outside => "outside",
            Self::Sink => "sink",
            Self::SlowInput => "slow_input",
            Self::NoInput => "no_input",
            Self::Skew => "skew",
            Self::Order => "order",
            Self::Pool => "pool",
            Self::Machine => "machine",
            Self::Batches => "batches",
            Self::Deaths => "deaths",
            Self::Rejected => "rejected",
            Self::Nothing => "nothing",
            Self::Unknown => "unknown",
        }
    }

    /// Whether a stage with this cause holds the others up.
    const fn limits(self) -> bool {
        !matches!(self, Self::Unknown | Self::Over | Self::NoInput | Self::Nothing)
    }
}

/// What holds the others up.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Limit {
    /// Index of the stage that limits, if one does.
    pub stage: Option<usize>,
    /// How busy it is, or the busiest worker of it.
    pub busy: f64,
    /// Why.
    #[serde(default)]
    pub cause: Cause,
    /// The worker, if it is one of several.
    #[serde(default)]
    pub worker: Option<usize>,
    /// Stages of other branches that have nothing to do meanwhile, as the stage that feeds them is
    /// held back.
    #[serde(default)]
    pub starved: Vec<usize>,
    /// The numbers that say so.
    #[serde(default)]
    pub evidence: BTreeMap<String, f64>,
    /// All of it in a few sentences.
    #[serde(default)]
    pub words: String,
}

/// Finds what limits, puts it into the view, and tells every stage its state.
pub(super) fn find(view: &mut RunView) {
    for stage in &mut view.stages {
        let times = stage.recent.times;
        stage.state = match () {
            () if stage.ending == "complete" => State::Complete,
            () if times.busy >= MOST => State::Busy,
            () if times.waiting >= MOST => State::Waiting,
            () if times.blocked >= MOST => State::Blocked,
            () => State::Mixed,
        };
    }
    let mut limit = rules::diagnose(&look::Look::at(view));
    limit.words = words::of(&look::Look::at(view), &limit);
    limit.stage = limit.stage.filter(|_| limit.cause.limits());
    if let Some(stage) = limit.stage {
        view.stages[stage].state = State::Limits;
    }
    view.limit = limit;
}
