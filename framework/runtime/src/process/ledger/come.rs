//! What comes of a child's work.

use arrow_array::RecordBatch;
use gristmill_stage::Cause;

use crate::trace::SpanContext;

/// What came of a child's work.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Outcome {
    /// Rows came out, by the output of that number.
    Emit(u64, RecordBatch),
    /// Rows were rejected.
    Reject(RecordBatch, Cause, String),
}

/// An outcome, and what it took of the child's credit.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Come {
    pub(crate) outcome: Outcome,
    pub(crate) credit: u64,
    /// The span that it came of, if its trace is recorded.
    pub(crate) trace: Option<SpanContext>,
}

impl Come {
    /// What came just now; of which call is known when that has returned.
    pub(crate) fn new(outcome: Outcome, credit: u64) -> Self {
        Self { outcome, credit, trace: None }
    }
}
