//! Tells when all workers of a run have ended.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Counts down as workers end.
pub(crate) struct Latch {
    left: Mutex<usize>,
    over: Condvar,
}

impl Latch {
    /// Of so many workers.
    pub(crate) fn new(count: usize) -> Arc<Self> {
        Arc::new(Self { left: Mutex::new(count), over: Condvar::new() })
    }

    /// Waits until all have ended, for this long at the most. True when they have.
    pub(crate) fn wait(&self, time: Option<Duration>) -> bool {
        let left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        match time {
            None => {
                drop(self.over.wait_while(left, |left| *left > 0));
                true
            }
            Some(time) => match self.over.wait_timeout_while(left, time, |left| *left > 0) {
                Ok((left, _)) => *left == 0,
                Err(poisoned) => *poisoned.into_inner().0 == 0,
            },
        }
    }
}

/// Releases the latch by one, also when the worker's future is dropped or panics.
pub(crate) struct Released(Arc<Latch>);

impl Released {
    /// One worker of the latch.
    pub(crate) fn when_dropped(latch: Arc<Latch>) -> Self {
        Self(latch)
    }
}

impl Drop for Released {
    fn drop(&mut self) {
        *self.0.left.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.over.notify_all();
    }
}
