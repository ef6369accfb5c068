//! What a stage did with a batch.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use gristmill_config::Mode;

use super::SpanContext;

/// One call of a stage, in a trace that is recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// The trace, and the span itself.
    pub context: SpanContext,
    /// The span that made the batch; none where a trace begins.
    pub parent: Option<NonZeroU64>,
    /// Spans that made other batches of which rows may be in what came out.
    pub links: Vec<SpanContext>,
    /// Whose call it was.
    pub stage: Arc<SpanStage>,
    /// When the call began.
    pub start: SystemTime,
    /// How long it took.
    pub took: Duration,
    /// Rows that the call was given.
    pub rows_in: u64,
    /// Rows that came out in it.
    pub rows_out: u64,
    /// Rows that were rejected in it.
    pub rejected: u64,
    /// Why it failed, if it did; without secrets.
    pub error: Option<String>,
}

/// A worker of a stage, as spans name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpanStage {
    /// Name of the stage.
    pub name: String,
    /// Its kind.
    pub kind: String,
    /// How its workers run.
    pub mode: Mode,
    /// Which of its workers it is, from 0.
    pub worker: usize,
}

impl SpanStage {
    /// What a span of it is called: `stage NAME`, or `process NAME` where the call is one in a child process.
    pub fn span_name(&self) -> String {
        let place = if self.mode == Mode::Process { "process" } else { "stage" };
        format!("{place} {}", self.name)
    }
}
