//! A bounded queue of batches: the one thing that stands between two workers.
//!
//! One lock guards the batches and their sums, so what the bound admits, what the gauges say and
//! what is in the queue are always the same. A batch is either in the caller's hand or in the
//! queue, never in between: a send that is given up loses nothing.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow_array::RecordBatch;
use event_listener::Event;
use gristmill_config::Bound;

use crate::trace::SpanContext;

/// A batch with its measures, taken once.
#[derive(Debug, Clone)]
pub struct Parcel {
    /// The rows.
    pub batch: RecordBatch,
    /// Bytes of the Arrow buffers that the rows use.
    pub bytes: usize,
    /// The span that made it, if its trace is recorded.
    pub trace: Option<SpanContext>,
}

impl Parcel {
    /// Measures a batch.
    pub fn new(batch: RecordBatch, trace: Option<SpanContext>) -> Self {
        let bytes = Self::measure(&batch);
        Self { batch, bytes, trace }
    }

    /// The bytes that the rows of a batch use of their buffers.
    pub fn measure(batch: &RecordBatch) -> usize {
        batch
            .columns()
            .iter()
            .map(|column| {
                let data = column.to_data();
                data.get_slice_memory_size().unwrap_or_else(|_| column.get_array_memory_size())
            })
            .sum()
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.batch.num_rows()
    }
}

/// What taking from a queue gives.
#[derive(Debug)]
pub enum Taken {
    /// The oldest batch.
    Parcel(Parcel),
    /// Nothing now.
    Empty,
    /// Nothing now and never again: all senders have ended.
    Ended,
}

/// Why a batch was not taken in.
#[derive(Debug)]
pub enum Refused {
    /// There is no room now.
    Full(Parcel),
    /// The taker has left; there never will be, and the batch is dropped.
    Closed,
}

/// How full a queue is, and what went through it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Level {
    /// Rows in it.
    pub rows: usize,
    /// Bytes in it.
    pub bytes: usize,
    /// Rows that came in since the start.
    pub rows_in: u64,
    /// Rows that were taken out since the start.
    pub rows_out: u64,
    /// Rows that were left unread when the taker closed the queue.
    pub rows_left: u64,
}

impl std::ops::AddAssign for Level {
    fn add_assign(&mut self, other: Self) {
        self.rows += other.rows;
        self.bytes += other.bytes;
        self.rows_in += other.rows_in;
        self.rows_out += other.rows_out;
        self.rows_left += other.rows_left;
    }
}

/// The queue itself; shared by its senders and takers.
#[derive(Debug)]
pub struct Queue {
    state: Mutex<State>,
    bound: Bound,
    /// Told when room appears.
    space: Event,
    /// Told when the last taker has left.
    left: Event,
    /// Told when something can be taken; one for all queues that a worker takes from.
    readable: Arc<Event>,
}

#[derive(Debug)]
struct State {
    parcels: VecDeque<Parcel>,
    level: Level,
    senders: usize,
    takers: usize,
    /// A batch beyond the bound waits for the queue to be empty; nothing overtakes it.
    large_waits: bool,
}

impl Queue {
    /// An empty queue for this many senders and takers. `readable` is notified for each batch.
    pub fn new(bound: Bound, senders: usize, takers: usize, readable: Arc<Event>) -> Self {
        let state = State {
            parcels: VecDeque::new(),
            level: Level::default(),
            senders,
            takers,
            large_waits: false,
        };
        Self { state: Mutex::new(state), bound, space: Event::new(), left: Event::new(), readable }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code that can panic runs under the lock, so its content is whole even if poisoned.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a batch in if it fits. One that is larger than the bound fits into an empty queue.
    ///
    /// # Errors
    /// Gives the batch back when there is no room; says when there is nobody to take it.
    pub fn push(&self, parcel: Parcel) -> Result<(), Refused> {
        {
            let mut state = self.lock();
            if state.takers == 0 {
                return Err(Refused::Closed);
            }
            let large = parcel.rows() > self.bound.rows || parcel.bytes > self.bound.bytes;
            let fits = !state.large_waits
                && state.level.rows + parcel.rows() <= self.bound.rows
                && state.level.bytes + parcel.bytes <= self.bound.bytes;
            if !(fits || state.parcels.is_empty() && (large || !state.large_waits)) {
                state.large_waits |= large;
                return Err(Refused::Full(parcel));
            }
            state.large_waits &= !large;
            state.level.rows += parcel.rows();
            state.level.bytes += parcel.bytes;
            state.level.rows_in += parcel.rows() as u64;
            state.parcels.push_back(parcel);
        }
        self.readable.notify_additional(1);
        Ok(())
    }

    /// Takes the oldest batch, if there is one.
    pub fn take(&self) -> Taken {
        let parcel = {
            let mut state = self.lock();
            let Some(parcel) = state.parcels.pop_front() else {
                return if state.senders == 0 { Taken::Ended } else { Taken::Empty };
            };
            state.level.rows -= parcel.rows();
            state.level.bytes -= parcel.bytes;
            state.level.rows_out += parcel.rows() as u64;
            parcel
        };
        // Senders may want different amounts of room, so each looks for itself.
        self.space.notify(usize::MAX);
        Taken::Parcel(parcel)
    }

    /// Told when there may be room. Listen first, then try again, then wait.
    pub fn space(&self) -> &Event {
        &self.space
    }

    /// One sender will send no more. With the last, the takers see the end.
    pub fn end(&self) {
        let last = {
            let mut state = self.lock();
            state.senders = state.senders.saturating_sub(1);
            state.senders == 0
        };
        if last {
            self.readable.notify(usize::MAX);
        }
    }

    /// One taker has left. With the last, what is in the queue is dropped and senders are told.
    pub fn leave(&self) {
        let dropped = {
            let mut state = self.lock();
            state.takers = state.takers.saturating_sub(1);
            if state.takers > 0 {
                return;
            }
            state.level.rows_left += state.level.rows as u64;
            state.level.rows = 0;
            state.level.bytes = 0;
            std::mem::take(&mut state.parcels)
        };
        // Dropping a batch may run a plugin's release callback: not under the lock.
        drop(dropped);
        self.space.notify(usize::MAX);
        self.left.notify(usize::MAX);
    }

    /// Told when the last taker has left.
    pub fn left(&self) -> &Event {
        &self.left
    }

    /// Whether all takers have left.
    pub fn is_closed(&self) -> bool {
        self.lock().takers == 0
    }

    /// How full it is.
    pub fn level(&self) -> Level {
        self.lock().level
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{ArrayRef, Int64Array};

    fn parcel(rows: usize) -> Parcel {
        let column: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows as i64));
        Parcel::new(RecordBatch::try_from_iter([("n", column)]).unwrap(), None)
    }

    fn queue(rows: usize, bytes: usize) -> Queue {
        Queue::new(Bound { rows, bytes }, 1, 1, Arc::default())
    }

    #[test]
    fn both_bounds_hold_and_a_large_batch_passes_alone() {
        let by_rows = queue(10, usize::MAX);
        assert!(by_rows.push(parcel(6)).is_ok());
        assert!(matches!(by_rows.push(parcel(5)), Err(Refused::Full(_))));
        assert!(by_rows.push(parcel(4)).is_ok());
        assert_eq!(by_rows.level().rows, 10);

        let by_bytes = queue(usize::MAX, 64);
        assert!(by_bytes.push(parcel(100)).is_ok(), "larger than the bound, alone");
        assert!(matches!(by_bytes.push(parcel(1)), Err(Refused::Full(_))));
        assert!(matches!(by_bytes.take(), Taken::Parcel(p) if p.rows() == 100));
        assert!(by_bytes.push(parcel(8)).is_ok());
        assert_eq!(
            by_bytes.level(),
            Level { rows: 8, bytes: 64, rows_in: 108, rows_out: 100, rows_left: 0 }
        );
    }

    #[test]
    fn nothing_overtakes_a_large_batch_that_waits() {
        let queue = queue(10, usize::MAX);
        assert!(queue.push(parcel(1)).is_ok());
        assert!(matches!(queue.push(parcel(99)), Err(Refused::Full(_))));
        assert!(matches!(queue.push(parcel(1)), Err(Refused::Full(_))));
        assert!(matches!(queue.take(), Taken::Parcel(_)));
        assert!(matches!(queue.push(parcel(1)), Err(Refused::Full(_))));
        assert!(queue.push(parcel(99)).is_ok());
        assert!(matches!(queue.take(), Taken::Parcel(_)));
        assert!(queue.push(parcel(1)).is_ok());
    }

    #[test]
    fn the_end_is_seen_after_the_last_batch() {
        let queue = queue(10, 1000);
        assert!(queue.push(parcel(1)).is_ok());
        queue.end();
        assert!(matches!(queue.take(), Taken::Parcel(_)));
        assert!(matches!(queue.take(), Taken::Ended));
    }

    #[test]
    fn what_a_taker_leaves_behind_is_counted() {
        let queue = queue(10, 1000);
        assert!(queue.push(parcel(3)).is_ok());
        queue.leave();
        assert!(matches!(queue.push(parcel(1)), Err(Refused::Closed)));
        assert_eq!(queue.level(), Level { rows_in: 3, rows_left: 3, ..Level::default() });
    }

    #[test]
    fn a_slice_counts_only_its_own_bytes() {
        let whole = parcel(1000);
        assert_eq!(whole.bytes, 8000);
        assert_eq!(Parcel::new(whole.batch.slice(10, 5), None).bytes, 40);
    }
}
