//! The rows that were rejected lately.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::view::RejectedSample;

/// So many rejected rows are remembered for those who look at the run.
const SAMPLES: usize = 20;
/// How many rows were rejected, and the latest of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Latest {
    count: Arc<AtomicU64>,
    samples: Arc<Mutex<VecDeque<RejectedSample>>>,
}

impl Latest {
    /// Rows rejected so far in the whole run.
    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Counts rows, and returns how many there are by now.
    pub(crate) fn add(&self, rows: u64) -> u64 {
        self.count.fetch_add(rows, Ordering::Relaxed) + rows
    }

    /// Some of the latest, the last one first.
    pub(crate) fn samples(&self) -> Vec<RejectedSample> {
        let samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        samples.iter().rev().cloned().collect()
    }

    /// Remembers a row.
    pub(crate) fn keep(&self, sample: RejectedSample) {
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        if samples.len() == SAMPLES {
            samples.pop_front();
        }
        samples.push_back(sample);
    }
}
