//! Whether the collector can be reached, and what people are told of it: one line, however long it lasts.

use std::sync::atomic::{AtomicBool, Ordering};

/// What is known of the collector, shared by all that send to it.
#[derive(Debug, Default)]
pub(crate) struct Health {
    failing: AtomicBool,
    warned: AtomicBool,
    lacking: AtomicBool,
}

impl Health {
    /// Something has got through.
    pub(crate) fn well(&self, place: &str) {
        if self.failing.swap(false, Ordering::Relaxed) {
            tracing::info!("{place} takes metrics and traces again");
        }
    }

    /// Something has not got through.
    pub(crate) fn ill(&self, place: &str, trouble: &str) {
        self.failing.store(true, Ordering::Relaxed);
        if self.warned.swap(true, Ordering::Relaxed) {
            tracing::debug!("{place} does not take metrics and traces: {trouble}");
        } else {
            tracing::warn!(
                "{place} does not take metrics and traces: {trouble}; the run goes on, and this is tried \
                 again without another word"
            );
        }
    }

    /// Whether the last that was sent has not got through.
    pub(crate) fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }

    /// So many spans were dropped so far. When the collector does not answer, that was told already.
    pub(crate) fn dropped(&self, spans: u64) {
        if spans > 0
            && !self.warned.load(Ordering::Relaxed)
            && !self.lacking.swap(true, Ordering::Relaxed)
        {
            tracing::warn!(
                "spans come faster than the collector takes them, and {spans} were dropped so far; a lower \
                 `--otlp-sample` records fewer"
            );
        }
    }
}
