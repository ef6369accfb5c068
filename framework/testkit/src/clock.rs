//! Time that a test sets.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use gristmill_stage::Clock;

/// A clock that stands still until it is moved. The run begins at zero, the time of day at
/// 2026-01-01 00:00:00 UTC.
#[derive(Debug, Default)]
pub struct SimClock {
    nanos: AtomicU64,
}

/// 2026-01-01 as seconds since 1970.
const WALL: Duration = Duration::from_secs(1_767_225_600);

impl SimClock {
    /// A clock at zero.
    pub fn new() -> Self {
        Self::default()
    }

    /// Goes on to `time` after the start; stays where it is when that is past already.
    pub fn set(&self, time: Duration) {
        self.nanos.fetch_max(nanos(time), Ordering::SeqCst);
    }

    /// Goes on by `span`.
    pub fn advance(&self, span: Duration) {
        self.nanos.fetch_add(nanos(span), Ordering::SeqCst);
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl Clock for SimClock {
    fn now(&self) -> Duration {
        Duration::from_nanos(self.nanos.load(Ordering::SeqCst))
    }

    fn wall(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + WALL + self.now()
    }
}
