//! What a run keeps for a child process, so that its death loses nothing and doubles nothing.
//!
//! Rows go to the child in numbered batches and stay here until the child commits. What the child puts
//! out counts only when it commits, too. When it dies, what it put out since its last commit is
//! forgotten, and another child gets the snapshot of that commit and the batches since. Nothing here
//! waits or sends, so all of it can be tested without a process.

mod come;
mod traced;

use std::collections::VecDeque;

use arrow_array::RecordBatch;
use gristmill_stage::{Cause, Error, Snapshot, State};
use gristmill_wire::{Called, Commit};

pub(crate) use self::come::{Come, Outcome};
use self::traced::{Awaited, Traced};
use crate::edge::Parcel;
use crate::trace::SpanContext;

/// Batches that the child has before it has begun with them, so that it never waits.
const AHEAD: usize = 2;
/// Of so many children that die on a batch, the batch is to blame.
const DEATHS: u32 = 3;

/// What to send next.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Send {
    /// A batch with its number.
    Batch(u64, RecordBatch),
    /// A demand to commit.
    Barrier { epoch: u64, drained: bool },
}

/// A batch that the child has not committed.
#[derive(Debug)]
struct Item {
    batch: RecordBatch,
    bytes: usize,
    /// Its number, once it was sent to the present child.
    sent: Option<u64>,
    /// Whether the child has been through it.
    called: bool,
    /// Children that died on it, as far as one can tell.
    deaths: u32,
    /// The span that made it, if its trace is recorded.
    trace: Option<SpanContext>,
    /// The span that the call with it will be, once it was sent to the present child.
    awaited: Option<Awaited>,
}

impl Item {
    fn new(batch: RecordBatch, bytes: usize, deaths: u32, trace: Option<SpanContext>) -> Self {
        Self { batch, bytes, sent: None, called: false, deaths, trace, awaited: None }
    }
}

/// A barrier that was sent and not answered.
#[derive(Debug, Clone, Copy)]
struct Asked {
    epoch: u64,
    drained: bool,
}

/// The books of one child process.
#[derive(Debug)]
pub(crate) struct Ledger {
    items: VecDeque<Item>,
    snapshot: Snapshot,
    snapshot_bytes: usize,
    /// Came out since the last commit.
    pending: Vec<Come>,
    /// Counts, and has not left.
    accepted: VecDeque<Come>,
    number: u64,
    epoch: u64,
    asked: Option<Asked>,
    holding: bool,
    /// So many batches at the front go one at a time, each with a commit, to find which of them kills.
    careful: usize,
    /// Rows held in the snapshot are worked off before anything else is sent.
    settle: bool,
    /// Children that died on the rows in the snapshot.
    held_deaths: u32,
    /// Deaths since anything got on.
    deaths: u32,
    keep: usize,
    finished: bool,
    /// Whether anything has ever counted.
    counted: bool,
    traced: Traced,
}

impl Ledger {
    /// Books that keep about `keep` bytes of batches before they ask for a snapshot.
    pub(crate) fn new(keep: usize) -> Self {
        Self {
            items: VecDeque::new(),
            snapshot: Snapshot::Stateless,
            snapshot_bytes: 0,
            pending: Vec::new(),
            accepted: VecDeque::new(),
            number: 0,
            epoch: 0,
            asked: None,
            holding: false,
            careful: 0,
            settle: false,
            held_deaths: 0,
            deaths: 0,
            keep,
            finished: false,
            counted: false,
            traced: Traced::default(),
        }
    }

    /// The snapshot that the next child goes on from.
    pub(crate) fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Bytes of that snapshot.
    pub(crate) fn snapshot_bytes(&self) -> usize {
        self.snapshot_bytes
    }

    /// Whether the stage is at its end.
    pub(crate) fn finished(&self) -> bool {
        self.finished
    }

    /// What may be kept: a large state is not asked for again and again.
    fn bound(&self) -> usize {
        self.keep.max(self.snapshot_bytes.saturating_mul(2))
    }

    fn kept(&self) -> usize {
        self.items.iter().map(|item| item.bytes).sum()
    }

    /// Whether another batch is welcome.
    pub(crate) fn has_room(&self) -> bool {
        let waiting = self.items.iter().filter(|item| !item.called).count();
        !self.finished && waiting < AHEAD && (self.items.is_empty() || self.kept() < self.bound())
    }

    /// Takes a batch.
    pub(crate) fn take(&mut self, parcel: Parcel) {
        self.items.push_back(Item::new(parcel.batch, parcel.bytes, 0, parcel.trace));
    }

    /// What to send next, if it is time to send anything.
    pub(crate) fn next(&mut self) -> Option<Send> {
        if self.finished {
            return None;
        }
        if self.careful > 0 || self.settle {
            return self.next_carefully();
        }
        let ahead = self.items.iter().filter(|i| i.sent.is_some() && !i.called).count();
        if ahead < AHEAD
            && let Some(item) = self.items.iter_mut().find(|item| item.sent.is_none())
        {
            return Some(send(item, &mut self.number));
        }
        let full = self.kept() >= self.bound();
        (full && self.asked.is_none()).then(|| self.ask(false))
    }

    /// One batch at a time, each with a commit before the next.
    fn next_carefully(&mut self) -> Option<Send> {
        if self.asked.is_some() {
            return None;
        }
        let sent = self.items.front().is_some_and(|item| item.sent.is_some());
        if self.settle || sent {
            return Some(self.ask(true));
        }
        let item = self.items.front_mut()?;
        Some(send(item, &mut self.number))
    }

    fn ask(&mut self, drained: bool) -> Send {
        self.epoch += 1;
        self.asked = Some(Asked { epoch: self.epoch, drained });
        Send::Barrier { epoch: self.epoch, drained }
    }

    /// Whether every batch was sent, and none is under suspicion.
    pub(crate) fn all_sent(&self) -> bool {
        let sent = self.items.iter().all(|item| item.sent.is_some());
        sent && self.careful == 0 && !self.settle
    }

    /// The child put something out.
    pub(crate) fn came(&mut self, come: Come) {
        self.pending.push(come);
    }

    /// The child has returned from a call.
    pub(crate) fn called(&mut self, called: Called) {
        self.holding = called.holding;
        for item in &mut self.items {
            item.called |= item.sent.is_some_and(|number| number <= called.batch);
        }
    }

    /// The child commits: what it put out counts, and what it is through with is forgotten.
    pub(crate) fn commit(&mut self, commit: Commit) {
        let before = self.items.len();
        while self
            .items
            .front()
            .is_some_and(|item| item.sent.is_some_and(|number| number <= commit.through))
        {
            self.items.pop_front();
        }
        let done = before - self.items.len();
        if done > 0 || !self.pending.is_empty() {
            self.deaths = 0;
            self.held_deaths = 0;
        }
        self.counted |= !self.pending.is_empty();
        self.careful = if self.items.is_empty() { 0 } else { self.careful.saturating_sub(done) };
        self.accepted.extend(self.pending.drain(..));
        self.traced_through();
        self.snapshot_bytes = bytes_of(&commit.snapshot);
        self.snapshot = commit.snapshot;
        if let Some(asked) = self.asked.take_if(|asked| asked.epoch == commit.epoch) {
            self.settle &= !asked.drained;
        }
        if commit.finished {
            self.finished = true;
            self.holding = false;
            self.items.clear();
        }
    }

    /// The stage failed: what it rejected before is rejected all the same.
    pub(crate) fn failed(&mut self, error: &Error) {
        self.broke_off(error);
        let is_reject = |come: &Come| matches!(come.outcome, Outcome::Reject(..));
        self.accepted.extend(self.pending.drain(..).filter(is_reject));
    }

    /// The next outcome that counts.
    pub(crate) fn pop(&mut self) -> Option<Come> {
        self.accepted.pop_front()
    }

    /// Whether outcomes that count wait to leave.
    pub(crate) fn has_outcomes(&self) -> bool {
        !self.accepted.is_empty()
    }

    /// Whether rows that were taken will still come out by themselves.
    pub(crate) fn is_holding(&self) -> bool {
        let under_way = self.holding || self.items.iter().any(|item| !item.called);
        self.has_outcomes() || !self.pending.is_empty() || (under_way && !self.finished)
    }

    /// Whether a source would begin anew though rows of it have counted.
    pub(crate) fn begins_anew(&self) -> bool {
        self.counted && self.snapshot == Snapshot::Stateless
    }

    /// A child died before its stage was built. Returns how many have died since anything got on.
    pub(crate) fn stillborn(&mut self) -> u32 {
        self.deaths += 1;
        self.deaths
    }

    /// The child died. `reason` is what stands beside a row that is to blame. Returns how many have
    /// died since anything got on.
    pub(crate) fn died(&mut self, reason: &str) -> u32 {
        self.deaths += 1;
        self.traced_anew();
        self.pending.clear();
        // The next child begins with all its credit.
        self.accepted.iter_mut().for_each(|come| come.credit = 0);
        self.asked = None;
        let in_play = self.items.iter().filter(|item| item.sent.is_some()).count();
        let held = has_rows(&self.snapshot);
        self.suspect(in_play);
        for item in &mut self.items {
            (item.sent, item.called, item.awaited) = (None, false, None);
        }
        self.careful = self.careful.max(in_play);
        if in_play == 0 && held {
            self.held_deaths += 1;
            if self.held_deaths >= DEATHS {
                self.unhold();
            }
        }
        // Only what was alone is found guilty.
        if in_play == 1 && self.items.front().is_some_and(|item| item.deaths >= DEATHS) {
            self.divide(reason);
        }
        self.settle = has_rows(&self.snapshot);
        // Until the next child says of itself.
        self.holding = matches!(self.snapshot, Snapshot::State(_));
        self.deaths
    }

    /// Notes on which batch the child died, as far as one can tell: the one that it was working on, or
    /// the only one that it had.
    fn suspect(&mut self, in_play: usize) {
        let mut sent = self.items.iter_mut().filter(|item| item.sent.is_some());
        let suspect = match in_play {
            1 => sent.next(),
            _ => sent.find(|item| !item.called),
        };
        if let Some(item) = suspect {
            item.deaths += 1;
        }
    }

    /// Puts two halves in the place of the first batch, or rejects it if it is a single row.
    fn divide(&mut self, reason: &str) {
        let Some(item) = self.items.pop_front() else { return };
        let rows = item.batch.num_rows();
        if rows <= 1 {
            self.careful = self.careful.saturating_sub(1);
            let outcome = Outcome::Reject(item.batch, Cause::Died, reason.to_owned());
            self.accepted.push_back(Come { trace: item.trace, ..Come::new(outcome, 0) });
            return;
        }
        let middle = rows / 2;
        for (from, to) in [(middle, rows), (0, middle)] {
            let count = to - from;
            // One more death divides a half; a single row gets another chance, as the death may
            // have come from elsewhere.
            let deaths = if count == 1 { DEATHS - 2 } else { DEATHS - 1 };
            let bytes = item.bytes / 2;
            let batch = item.batch.slice(from, count);
            self.items.push_front(Item::new(batch, bytes, deaths, item.trace));
        }
        self.careful += 1;
    }

    /// Takes the rows out of the snapshot, to be sent like any others.
    fn unhold(&mut self) {
        self.held_deaths = 0;
        let Snapshot::State(State { parts, .. }) = &mut self.snapshot else { return };
        let (rows, others): (Vec<_>, Vec<_>) =
            std::mem::take(parts).into_iter().partition(|(name, _)| name == State::ROWS);
        *parts = others;
        for (_, batch) in rows.into_iter().rev() {
            let bytes = Parcel::measure(&batch);
            self.items.push_front(Item::new(batch, bytes, DEATHS - 1, None));
            self.careful += 1;
        }
    }
}

fn send(item: &mut Item, number: &mut u64) -> Send {
    *number += 1;
    item.sent = Some(*number);
    Send::Batch(*number, item.batch.clone())
}

/// Whether a snapshot holds rows that were taken and not worked off.
fn has_rows(snapshot: &Snapshot) -> bool {
    matches!(snapshot, Snapshot::State(state)
        if state.parts.iter().any(|(name, rows)| name == State::ROWS && rows.num_rows() > 0))
}

fn bytes_of(snapshot: &Snapshot) -> usize {
    match snapshot {
        Snapshot::Stateless => 0,
        Snapshot::State(state) => state.parts.iter().map(|(_, rows)| Parcel::measure(rows)).sum(),
    }
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
