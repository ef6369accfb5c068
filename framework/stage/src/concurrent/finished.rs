//! Results that wait to be emitted.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::{BatchTarget, Result};

use super::Row;

/// A row whose call has ended.
pub(super) struct Done<O> {
    /// The place of the row in the input.
    pub(super) seq: u64,
    pub(super) row: Row,
    pub(super) result: Result<O>,
    pub(super) bytes: usize,
}

/// Results that wait to be emitted: those whose turn it is, and, where order is kept, those that
/// still wait for an earlier row.
pub(super) struct Finished<O> {
    target: BatchTarget,
    ordered: bool,
    ready: VecDeque<Done<O>>,
    ready_bytes: usize,
    early: BTreeMap<u64, Done<O>>,
    early_bytes: usize,
    /// The row that must be ready next, where order is kept.
    next: u64,
    /// Since when the oldest ready row waits.
    since: Duration,
    /// From how many rows on a batch is full. Small at first, so that the first rows get on their
    /// way at once, and doubled with each batch.
    full_at: usize,
}

/// Rows of the first batch.
const FIRST: usize = 8;
/// From so many bytes on a batch is full, even if larger ones are asked for: its rows are still in the
/// cache when they become columns, and the memory is soon used again.
const FULL: usize = 1 << 20;

impl<O> Finished<O> {
    pub(super) fn new(target: BatchTarget, ordered: bool) -> Self {
        Self {
            target: BatchTarget { rows: target.rows.max(1), bytes: target.bytes.max(1) },
            ordered,
            ready: VecDeque::new(),
            ready_bytes: 0,
            early: BTreeMap::new(),
            early_bytes: 0,
            next: 0,
            since: Duration::ZERO,
            full_at: target.rows.clamp(1, FIRST),
        }
    }

    /// Adds a result. The clock is read only if it is the first to wait.
    pub(super) fn push(&mut self, done: Done<O>, now: impl FnOnce() -> Duration) {
        let waited = !self.ready.is_empty();
        if !self.ordered {
            self.make_ready(done);
        } else if done.seq == self.next {
            self.make_ready(done);
            while let Some(done) = self.early.remove(&self.next) {
                self.early_bytes -= done.bytes;
                self.make_ready(done);
            }
        } else {
            self.early_bytes += done.bytes;
            self.early.insert(done.seq, done);
        }
        if !waited && !self.ready.is_empty() {
            self.since = now();
        }
    }

    fn make_ready(&mut self, done: Done<O>) {
        self.next = done.seq + 1;
        self.ready_bytes += done.bytes;
        self.ready.push_back(done);
    }

    /// Takes about one batch.
    pub(super) fn take(&mut self, now: Duration) -> Vec<Done<O>> {
        let mut bytes = 0;
        let mut rows = 0;
        for done in self.ready.iter().take(self.target.rows) {
            if rows > 0 && bytes + done.bytes > self.full_bytes() {
                break;
            }
            bytes += done.bytes;
            rows += 1;
        }
        self.ready_bytes -= bytes;
        self.since = now;
        self.full_at = self.full_at.saturating_mul(2).min(self.target.rows);
        self.ready.drain(..rows).collect()
    }

    /// Whether a batch would be full.
    pub(super) fn is_full(&self) -> bool {
        self.ready.len() >= self.full_at || self.ready_bytes >= self.full_bytes()
    }

    fn full_bytes(&self) -> usize {
        self.target.bytes.min(FULL)
    }

    /// Since when the oldest row that could be emitted waits, if there is one.
    pub(super) fn since(&self) -> Option<Duration> {
        (!self.ready.is_empty()).then_some(self.since)
    }

    /// Whether further calls may begin: one batch may wait and a second one fill.
    pub(super) fn has_room(&self) -> bool {
        self.ready.len() + self.early.len() < self.target.rows.saturating_mul(2)
            && self.ready_bytes + self.early_bytes < self.target.bytes.saturating_mul(2)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.early.is_empty()
    }

    /// All rows that wait, with their places in the input.
    pub(super) fn rows(&self) -> impl Iterator<Item = (u64, &Row)> {
        self.ready.iter().chain(self.early.values()).map(|done| (done.seq, &done.row))
    }
}
