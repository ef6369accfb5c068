//! How a worker knows of which span the rows came that it sends.

use std::sync::{Arc, Mutex, PoisonError};

use super::{Call, SpanContext, Tracker};

/// The span of one batch, on its way between a worker and its stage where that is in a child process: a
/// stage is given rows and puts out rows, and nothing else.
#[derive(Debug, Clone, Default)]
pub(crate) struct Handed(Arc<Mutex<Option<SpanContext>>>);

impl Handed {
    pub(crate) fn put(&self, context: Option<SpanContext>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = context;
    }

    pub(crate) fn take(&self) -> Option<SpanContext> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// How a worker knows it.
#[derive(Debug)]
pub(crate) enum Trail {
    /// The stage is here: the call tells.
    Here(Tracker),
    /// The stage is in a child process, and whoever speaks with it tells.
    There(Handed),
}

impl Trail {
    /// Before a call: it is given a batch of this span.
    pub(crate) fn before(&self, context: Option<SpanContext>) {
        if let Self::There(handed) = self {
            handed.put(context);
        }
    }

    /// After a call: the span that what came out of it came of.
    pub(crate) fn after(&mut self, call: impl FnOnce() -> Call) -> Option<SpanContext> {
        match self {
            Self::Here(tracker) if tracker.is_off() => None,
            Self::Here(tracker) => tracker.made(&call()),
            Self::There(handed) => handed.take(),
        }
    }
}
