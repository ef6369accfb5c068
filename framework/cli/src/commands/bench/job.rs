//! What a measured run is told, and what it tells.

use std::path::PathBuf;
use std::time::Duration;

use gristmill_config::{Mode, RunChoice};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How the workers of one stage run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// The name of the stage.
    pub stage: String,
    /// The word of its mode.
    pub mode: String,
    /// How many workers it has.
    pub workers: usize,
}

impl Setting {
    /// A setting of a stage.
    pub fn new(stage: &str, mode: Mode, workers: usize) -> Self {
        Self { stage: stage.to_owned(), mode: mode.name().to_owned(), workers }
    }

    /// The same for the checker of pipelines.
    pub fn choice(&self) -> Option<RunChoice> {
        let mode = Mode::ALL.into_iter().find(|mode| mode.name() == self.mode)?;
        Some(RunChoice { stage: self.stage.clone(), mode, workers: self.workers })
    }

    /// `threaded ×2`.
    pub fn words(&self) -> String {
        format!("{} ×{}", self.mode, self.workers)
    }
}

/// What to run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Part {
    /// All of the pipeline.
    Whole,
    /// All that comes before a stage; its input is kept in a file.
    Record {
        /// The stage.
        stage: String,
        /// Where its input goes.
        sample: PathBuf,
    },
    /// One stage alone; a source has no sample.
    Alone {
        /// The stage.
        stage: String,
        /// Its input.
        sample: Option<PathBuf>,
        /// How many times it is given that.
        passes: usize,
    },
}

/// One run, as its process is told on stdin.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Job {
    /// What errors call the pipeline.
    pub name: String,
    /// Its text.
    pub text: String,
    /// Values of variables.
    pub set: Vec<(String, String)>,
    /// How stages run, in place of what the text says.
    pub settings: Vec<Setting>,
    /// What of it runs.
    pub part: Part,
    /// The most rows to take from each source.
    pub rows: Option<u64>,
    /// Whether sinks do their work.
    pub keep_sinks: bool,
    /// Where the kinds of plugins are to be found.
    pub providers: Vec<Value>,
    /// Where the demo site is.
    pub demo: Option<String>,
    /// A folder for the result and for rejected rows.
    pub folder: PathBuf,
}

impl Job {
    /// Where the process puts its [`Answer`]: a file, because stdout belongs to the stages.
    pub fn answer(&self) -> PathBuf {
        self.folder.join("answer.json")
    }
}

/// What a run tells.
pub type Answer = Result<Figures, String>;

/// What a run came to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Figures {
    /// Rows that went in.
    pub rows: u64,
    /// How long it took.
    pub seconds: f64,
    /// Processor time of the process and its children.
    pub cpu_seconds: f64,
    /// The most memory that the process had, and its children at their most, added up.
    pub peak_bytes: u64,
    /// Rows rejected.
    pub rejected: u64,
    /// What each stage did.
    pub stages: Vec<StageFigures>,
}

/// What a stage did in a run, all its workers together.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StageFigures {
    /// Its name.
    pub stage: String,
    /// How many workers it had.
    pub workers: usize,
    /// Rows in.
    pub rows_in: u64,
    /// Rows out.
    pub rows_out: u64,
    /// Seconds in its calls.
    pub busy: f64,
    /// Seconds without input.
    pub waiting: f64,
    /// Seconds without room for its output.
    pub blocked: f64,
    /// Median time of a batch, in seconds.
    pub p50: f64,
    /// The time that 99 of 100 batches stay under, in seconds.
    pub p99: f64,
}

impl Figures {
    /// Rows per second.
    pub fn rate(&self) -> f64 {
        self.rows as f64 / self.seconds.max(1e-9)
    }

    /// Processors in use, on the average.
    pub fn processors(&self) -> f64 {
        self.cpu_seconds / self.seconds.max(1e-9)
    }

    /// What a stage did.
    pub fn stage(&self, name: &str) -> Option<&StageFigures> {
        self.stages.iter().find(|stage| stage.stage == name)
    }

    /// The shares of busy, waiting and blocked of a stage in the time of the whole run.
    pub fn shares(&self, name: &str) -> Option<[f64; 3]> {
        let stage = self.stage(name)?;
        let all = self.seconds.max(1e-9) * stage.workers as f64;
        Some([stage.busy, stage.waiting, stage.blocked].map(|part| (part / all).min(1.0)))
    }
}

/// Seconds as a duration.
pub fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}
