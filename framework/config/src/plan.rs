//! The checked pipeline: graph, schemas, workers, bounds. Plain data; nothing here runs.

use std::path::PathBuf;
use std::time::Duration;

use arrow_schema::SchemaRef;
use gristmill_stage::{BatchTarget, Comparison, Program, Role};
use serde_json::Value;

use crate::Secrets;

/// A pipeline that was checked: everything in it fits together.
#[derive(Clone)]
pub struct Plan {
    /// Name of the pipeline; a label value in the metrics.
    pub name: String,
    /// The stages, each after all those that it takes its input from.
    pub stages: Vec<StagePlan>,
    /// The edges between them.
    pub edges: Vec<EdgePlan>,
    /// The pools; the first is the one named `default`.
    pub pools: Vec<PoolPlan>,
    /// Where rejected rows go.
    pub rejected: RejectedPlan,
    /// The SHA-256 of the file as it was read, in hexadecimal digits.
    pub sha256: String,
    /// Values that must not appear in any output.
    pub secrets: Secrets,
    /// What is worth a look, but hinders nothing.
    pub warnings: Vec<String>,
}

/// Index of a stage in [`Plan::stages`].
pub type StageId = usize;
/// Index of an edge in [`Plan::edges`].
pub type EdgeId = usize;
/// Index of a pool in [`Plan::pools`].
pub type PoolId = usize;

/// One stage of the plan.
#[derive(Clone)]
pub struct StagePlan {
    /// Its name; unique in the pipeline.
    pub name: String,
    /// Whether it is the second of two steps: its words are those of the stage before it.
    pub second: bool,
    /// The kind, as the registry knows it.
    pub kind: String,
    /// Where it stands.
    pub role: Role,
    /// What stood under `with`, variables put in.
    pub options: Value,
    /// How its workers run.
    pub mode: Mode,
    /// How many workers it has; at least 1.
    pub workers: usize,
    /// Whether it may have more or fewer of them and give the same rows.
    pub scales: bool,
    /// The pool its workers run on, if they are pooled; async work of threaded workers does not
    /// use it.
    pub pool: PoolId,
    /// How its child processes are kept, if it runs in some.
    pub process: ProcessPlan,
    /// The program that its child processes run, if it is not this one. It then has no other mode.
    pub program: Option<Program>,
    /// Whether output keeps the order of the input.
    pub ordered: bool,
    /// Schema of what comes in; no columns for a source.
    pub input: SchemaRef,
    /// Schema of what goes out; no columns for a sink.
    pub output: SchemaRef,
    /// The names of its outputs, if it has several.
    pub ports: Vec<String>,
    /// Schema of what would go out if every column were used.
    pub offered: SchemaRef,
    /// Comparisons of its columns: rows for which one is not true make no difference further on. Only
    /// there when the stage uses them.
    pub hints: Vec<Comparison>,
    /// The edges it takes from.
    pub inputs: Vec<EdgeId>,
    /// The edges it feeds; each gets every batch of the output that it begins at.
    pub outputs: Vec<EdgeId>,
    /// The size its batches should have.
    pub batch: BatchTarget,
    /// The most bytes that one of its workers holds inside, as the kind says.
    pub holds: u64,
    /// Whether its calls may wait for something outside, so that it must not share a thread.
    pub blocks: bool,
    /// Whether its rows come only once, as those of stdin.
    pub once: bool,
    /// The files that it reads.
    pub reads: Vec<PathBuf>,
    /// The files that it writes.
    pub writes: Vec<PathBuf>,
    /// Remarks of the kind.
    pub notes: Vec<String>,
}

/// How the workers of a stage run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// An operating-system thread each, with an async runtime of its own where the stage asks.
    Threaded,
    /// Tasks on a shared work-stealing pool.
    Pooled,
    /// A child process each.
    Process,
}

impl Mode {
    /// Every mode, the one that costs least first.
    pub const ALL: [Self; 3] = [Self::Pooled, Self::Threaded, Self::Process];

    /// The word in the YAML; a label value in the metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Threaded => "threaded",
            Self::Pooled => "pooled",
            Self::Process => "process",
        }
    }
}

/// How the workers of a stage shall run, in place of what its `run` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunChoice {
    /// The name of the stage.
    pub stage: String,
    /// How its workers run.
    pub mode: Mode,
    /// How many there are.
    pub workers: usize,
}

/// How the child processes of a stage are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessPlan {
    /// What each may use.
    pub limits: ProcessLimits,
    /// How long one call of the stage may take before its process counts as hung; none: for ever.
    pub timeout: Option<Duration>,
    /// So many deaths in a row, without a batch done in between, end the run.
    pub restarts: u32,
    /// Environment variables that are handed on besides those that every child gets.
    pub env: Vec<String>,
}

/// What one child process may use. The operating system holds it to that.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ProcessLimits {
    /// Bytes of its own memory (`RLIMIT_DATA`).
    pub memory: Option<u64>,
    /// Processor time of one process (`RLIMIT_CPU`), in whole seconds.
    pub cpu: Option<Duration>,
    /// Open files (`RLIMIT_NOFILE`).
    pub open_files: Option<u64>,
}

impl Default for ProcessPlan {
    fn default() -> Self {
        Self {
            limits: ProcessLimits::default(),
            timeout: Some(Duration::from_secs(60)),
            restarts: 50,
            env: Vec::new(),
        }
    }
}

impl StagePlan {
    /// The most bytes of batches that a run keeps for each child process of the stage, to send them
    /// again if it dies.
    pub fn kept_bytes(&self) -> u64 {
        match self.mode {
            Mode::Threaded | Mode::Pooled => 0,
            Mode::Process => KEPT_BATCHES * self.batch.bytes as u64,
        }
    }
}

/// Batches that are kept for a child process: two under way, two that came out.
const KEPT_BATCHES: u64 = 4;

/// The bounded channel between two stages.
#[derive(Debug, Clone)]
pub struct EdgePlan {
    /// The stage that feeds it.
    pub from: StageId,
    /// The output of that stage, by its place in [`StagePlan::ports`]; 0 if it has one.
    pub port: usize,
    /// The stage that takes from it.
    pub to: StageId,
    /// Schema of the batches.
    pub schema: SchemaRef,
    /// What each of its queues may hold.
    pub bound: Bound,
    /// How rows are dealt out to the workers of the next stage.
    pub distribution: Distribution,
}

/// What a queue may hold. A batch that is larger passes alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// The most rows.
    pub rows: usize,
    /// The most bytes.
    pub bytes: usize,
}

/// How the rows of an edge are dealt out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Distribution {
    /// One queue; whichever worker is free takes the next batch.
    Shared,
    /// A queue for each worker; rows equal in these columns go to the same.
    Hash(Vec<String>),
    /// A queue for each worker; each gets every batch.
    Broadcast,
}

/// Threads that pooled workers share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolPlan {
    /// Its name.
    pub name: String,
    /// How many threads run stages.
    pub threads: usize,
    /// The processors that they may run on; empty means any.
    pub cpus: Vec<usize>,
    /// Niceness of the threads, -20 to 19.
    pub nice: Option<i32>,
}

/// Where rejected rows go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedPlan {
    /// A JSON lines file, made when the first row is rejected.
    pub path: PathBuf,
    /// The run fails when more rows than this are rejected.
    pub limit: Option<u64>,
}

impl Plan {
    /// What an edge takes from, as it stands after `from`: a stage, or one of its outputs.
    pub fn origin(&self, edge: EdgeId) -> String {
        let EdgePlan { from, port, .. } = self.edges[edge];
        let StagePlan { name, ports, .. } = &self.stages[from];
        ports.get(port).map_or_else(|| name.clone(), |port| format!("{name}.{port}"))
    }

    /// How many queues an edge has.
    pub fn queues(&self, edge: EdgeId) -> usize {
        let edge = &self.edges[edge];
        match edge.distribution {
            Distribution::Shared => 1,
            Distribution::Hash(_) | Distribution::Broadcast => self.stages[edge.to].workers,
        }
    }

    /// The most bytes that all edges together can hold, single batches beyond the bound apart.
    pub fn edge_bytes(&self) -> u64 {
        (0..self.edges.len())
            .map(|id| self.edges[id].bound.bytes as u64 * self.queues(id) as u64)
            .fold(0, u64::saturating_add)
    }

    /// The most bytes that the workers have in hand: a batch that came in and one that goes out
    /// for each, and what the stages say that they hold.
    pub fn worker_bytes(&self) -> u64 {
        self.stages
            .iter()
            .map(|stage| {
                let hand = 2 * stage.batch.bytes as u64;
                hand.saturating_add(stage.holds + stage.kept_bytes())
                    .saturating_mul(stage.workers as u64)
            })
            .fold(0, u64::saturating_add)
    }
}
