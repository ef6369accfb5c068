//! The heart: tells the run, again and again, that the process lives, and since when the stage has been
//! in a call.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use gristmill_stage::{Clock, Readings, Result};
use gristmill_wire::{Heartbeat, Message, Told};

use super::outbox::Outbox;
use crate::process::proc;

/// The present call of the stage.
pub(super) struct Calls {
    clock: Arc<dyn Clock>,
    outbox: Arc<Outbox>,
    readings: Arc<Readings>,
    /// Nanoseconds on the clock at its beginning; 0 outside of calls.
    since: AtomicU64,
}

impl Calls {
    /// Starts to beat; ends when the calls are dropped.
    pub(super) fn watch(
        clock: Arc<dyn Clock>,
        outbox: Arc<Outbox>,
        readings: Arc<Readings>,
        every: Duration,
    ) -> Result<Arc<Self>> {
        let calls = Arc::new(Self { clock, outbox, readings, since: AtomicU64::new(0) });
        let watched: Weak<Self> = Arc::downgrade(&calls);
        std::thread::Builder::new().name("heart".to_owned()).spawn(move || {
            loop {
                std::thread::sleep(every);
                let Some(calls) = watched.upgrade() else { return };
                calls.beat();
            }
        })?;
        Ok(calls)
    }

    /// Tells of itself now.
    pub(super) fn beat(&self) {
        let told = self.readings.read();
        let readings = told.iter().filter(|series| series.is_set()).map(Told::of).collect();
        let mut beat = Heartbeat { readings, ..proc::own() };
        let since = self.since.load(Ordering::Relaxed);
        if since > 0 {
            beat.call = nanos(self.clock.now()).saturating_sub(since);
        }
        // A heartbeat has a form in any case, and nobody needs to hear it.
        let _ = self.outbox.say(&Message::Heartbeat(beat));
    }

    /// A call begins; returns the time.
    pub(super) fn begin(&self) -> Duration {
        let now = self.clock.now();
        self.since.store(nanos(now).max(1), Ordering::Relaxed);
        now
    }

    /// It has ended; returns the time.
    pub(super) fn end(&self) -> Duration {
        self.since.store(0, Ordering::Relaxed);
        self.clock.now()
    }
}

pub(super) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
