//! How long the threads of a pool are at work.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long the threads of a pool were at work, all together.
#[derive(Debug, Default)]
pub(crate) struct Occupied(Mutex<Vec<Arc<Turn>>>);

/// How long one worker had a thread.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    nanos: AtomicU64,
    /// Since when it has one now; zero if it has none.
    since: AtomicU64,
}

impl Occupied {
    /// The time until now.
    pub(crate) fn time(&self, now: Duration) -> Duration {
        let turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of = |turn: &Arc<Turn>| {
            let since = match turn.since.load(Ordering::Relaxed) {
                0 => 0,
                since => nanos(now).saturating_sub(since),
            };
            turn.nanos.load(Ordering::Relaxed) + since
        };
        Duration::from_nanos(turns.iter().map(of).sum())
    }

    /// One more worker that will have a thread now and then.
    pub(crate) fn join(&self) -> Arc<Turn> {
        let turn = Arc::<Turn>::default();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(turn.clone());
        turn
    }
}

impl Turn {
    /// The worker has a thread from now on.
    pub(crate) fn begins(&self, now: Duration) {
        self.since.store(nanos(now).max(1), Ordering::Relaxed);
    }

    /// It has none any more, after so long.
    pub(crate) fn ends(&self, after: Duration) {
        self.since.store(0, Ordering::Relaxed);
        self.nanos.fetch_add(nanos(after), Ordering::Relaxed);
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
