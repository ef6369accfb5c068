//! A run at one moment, as data: what the page, the terminal and `explain` show all come from a
//! [`RunView`].
//!
//! It is served as JSON under `/api/view`, and once a second as an event under `/api/events`. Fields
//! are added, never changed; who reads it leaves out what it does not know.

mod history;
mod limit;
mod observer;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use history::{History, WINDOW};
pub use limit::{Cause, Limit, State};
pub(crate) use observer::Observer;

/// A run at one moment. All times are in seconds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunView {
    /// The version of the Gristmill that runs.
    pub version: String,
    /// Name of the pipeline.
    pub pipeline: String,
    /// The time of day, since 1970.
    pub at: f64,
    /// Since the start.
    pub elapsed: f64,
    /// How many seconds each `recent` looks back.
    pub window: f64,
    /// Whether the run was asked to stop.
    pub stopping: bool,
    /// The whole program, its child processes apart.
    pub program: ProgramView,
    /// The stages, each after those that it takes from.
    pub stages: Vec<StageView>,
    /// The channels between them.
    pub edges: Vec<EdgeView>,
    /// The threads that pooled stages share.
    #[serde(default)]
    pub pools: Vec<PoolView>,
    /// Rejected rows.
    pub rejected: RejectedView,
    /// What holds the others up.
    pub limit: Limit,
}

/// The whole program.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ProgramView {
    /// How many processors it may use.
    pub processors: usize,
    /// How many it used lately, its child processes included.
    pub recent_processors: f64,
    /// For how many more it had work, and did not get them; its child processes included.
    #[serde(default)]
    pub recent_delayed: f64,
    /// How many were in use lately by all programs of the machine, this one included.
    #[serde(default)]
    pub recent_machine: f64,
    /// Processor time, its child processes apart.
    pub cpu: f64,
    /// Bytes resident, its child processes apart.
    pub memory: u64,
}

/// Threads that pooled stages share.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PoolView {
    /// Its name.
    pub name: String,
    /// How many there are.
    pub threads: usize,
    /// How many of them had work lately.
    pub recent_busy: f64,
}

/// A stage and all its workers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StageView {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: String,
    /// `source`, `transform` or `sink`.
    pub role: String,
    /// `threaded`, `pooled` or `process`.
    pub mode: String,
    /// The pool that its workers share with others, if they do.
    pub pool: Option<String>,
    /// Whether its output keeps the order of its input.
    pub ordered: bool,
    /// Whether it may have more workers and give the same rows.
    #[serde(default)]
    pub scales: bool,
    /// Rows in the batches that it should emit, at the most.
    pub batch_rows: usize,
    /// `open`, `closing` or `complete`.
    pub ending: String,
    /// What came in.
    pub taken: Flow,
    /// What went out; each batch counted once, however many stages get it.
    pub sent: Flow,
    /// Rows rejected.
    pub rejected: u64,
    /// Errors by kind, those that happened.
    pub errors: BTreeMap<String, u64>,
    /// Time of all workers.
    pub times: Times,
    /// Processor time, where it is known.
    pub cpu: Option<f64>,
    /// Median duration of a call with a batch.
    pub call_p50: f64,
    /// The duration that 99 of 100 calls stay under.
    pub call_p99: f64,
    /// What happened lately, all workers together.
    pub recent: Recent,
    /// What its time says.
    pub state: State,
    /// Each of its workers.
    pub workers: Vec<WorkerView>,
}

/// Rows, batches and bytes that went one way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    /// Rows.
    pub rows: u64,
    /// Batches.
    pub batches: u64,
    /// Bytes of Arrow buffers.
    pub bytes: u64,
}

/// Seconds, or shares of them, of the three things that a worker does with its time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Times {
    /// In calls of the stage, or waiting for work that the stage itself has under way.
    pub busy: f64,
    /// Ready for input that was not there.
    pub waiting: f64,
    /// With output for which there was no room.
    pub blocked: f64,
}

/// What happened in the last seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Recent {
    /// Rows taken per second.
    pub rows_in: f64,
    /// Rows emitted per second.
    pub rows_out: f64,
    /// Batches taken per second.
    pub batches_in: f64,
    /// Batches emitted per second.
    pub batches_out: f64,
    /// Bytes taken per second.
    pub bytes_in: f64,
    /// Bytes emitted per second.
    pub bytes_out: f64,
    /// Rows rejected per second.
    pub rejected: f64,
    /// Shares of the workers' time; they sum to one, or are zero if no worker was there.
    pub times: Times,
    /// Processors in use, where it is known.
    pub processors: Option<f64>,
    /// For how many more its child processes had work, and did not get them.
    #[serde(default)]
    pub delayed: Option<f64>,
    /// Child processes that died, per second.
    #[serde(default)]
    pub deaths: f64,
}

/// One worker of a stage.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WorkerView {
    /// What happened lately.
    pub recent: Recent,
    /// Rows that it took.
    pub rows_in: u64,
    /// Rows that it emitted.
    pub rows_out: u64,
    /// Its child processes, one after the other, if it runs in some.
    pub child: Option<ChildView>,
}

/// The child processes of a worker.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ChildView {
    /// The present one; none between two of them.
    pub pid: Option<u32>,
    /// Processor time of all.
    pub cpu: f64,
    /// Bytes resident now.
    pub memory: u64,
    /// The most bytes that one of them ever had resident.
    pub peak_memory: u64,
    /// How many died and were replaced, by cause; those that happened.
    pub deaths: BTreeMap<String, u64>,
}

/// The queues of a channel, added up.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EdgeView {
    /// Index of the stage that feeds it.
    pub from: usize,
    /// The output of that stage, if it has several.
    pub output: Option<String>,
    /// Index of the stage that takes from it.
    pub to: usize,
    /// `shared`, `hash(…)` or `broadcast`.
    pub distribution: String,
    /// How many queues there are: one, or one for each worker that takes.
    pub queues: usize,
    /// Rows in it.
    pub rows: usize,
    /// Bytes in it.
    pub bytes: usize,
    /// Rows that it can hold.
    pub limit_rows: usize,
    /// Bytes that it can hold.
    pub limit_bytes: usize,
    /// Rows that went in since the start.
    pub passed: u64,
    /// Rows per second that went in lately.
    pub recent_rows: f64,
    /// How full it was lately, from 0 to 1: by rows or by bytes, whichever is more.
    pub recent_fill: f64,
    /// How full the fullest of its queues was lately.
    #[serde(default)]
    pub recent_fullest: f64,
}

/// Rejected rows.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RejectedView {
    /// How many.
    pub rows: u64,
    /// The file that they are in.
    pub path: String,
    /// Some of the latest, the last one first.
    pub samples: Vec<RejectedSample>,
}

/// A rejected row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RejectedSample {
    /// The stage that rejected it.
    pub stage: String,
    /// Why.
    pub reason: String,
    /// When, as RFC 3339.
    pub time: String,
    /// The row as JSON, cut if it is long.
    pub row: String,
}

/// A run at its end: the last event of all.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EndView {
    /// `done`, `stopped`, `aborted` or `failed`.
    pub outcome: String,
    /// What failed.
    pub error: Option<String>,
    /// How long the run took.
    pub took: f64,
    /// The run as it was at its end.
    pub view: RunView,
}

/// What a run is told for those who look at it, and does not need itself.
#[derive(Debug, Clone, Default)]
pub struct Description {
    /// The pipeline as it was written, without secrets.
    pub yaml: String,
    /// The plan in words, without secrets.
    pub plan: String,
}
