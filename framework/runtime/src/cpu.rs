//! The processor time of a worker, in modes in which threads are not its own as well as in those in
//! which they are.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use gristmill_stage::Clock;
use tracing::Instrument;

use crate::meter::Meter;
use crate::occupied::Turn;
use crate::process::thread_cpu;
use crate::worker::Worker;

/// The clock of a thread of its own is read this often at the most.
const OFTEN: Duration = Duration::from_millis(10);
/// To read the clock of a thread takes up to a microsecond, and twice that would be more than a
/// hundredth of a poll that is much shorter than this: of such only some are measured.
const SHORT: u64 = 400_000;
/// One of so many, on average; the others used as great a share of their time.
const ONE_OF: u64 = 32;
/// What was measured counts less and less with each poll that is measured after it.
const FADES: f64 = 15.0 / 16.0;

/// A worker's future, which counts the processor time that it takes. What it leaves to others, such as
/// async work on the threads of a pool, is not in it.
pub(crate) struct Measured<F> {
    future: Pin<Box<F>>,
    used: Used,
}

/// The life of a worker whose thread others use as well: its polls count, and are its turn.
pub(crate) fn on_shared_thread(
    worker: Worker,
    turn: Arc<Turn>,
) -> Measured<impl Future<Output = ()>> {
    measured(worker, Way::polls(turn))
}

/// The life of a worker with a thread of its own: all that happens on it counts, also what other tasks
/// do between the polls.
pub(crate) fn on_own_thread(worker: Worker) -> Measured<impl Future<Output = ()>> {
    measured(worker, Way::Thread { last: 0, at: Duration::ZERO })
}

fn measured(worker: Worker, way: Way) -> Measured<impl Future<Output = ()>> {
    let used = Used { meter: worker.meter.clone(), clock: worker.clock.clone(), way };
    // What is logged in calls of the stage is about the stage.
    let span = tracing::error_span!("worker", stage = &*worker.stage, worker = worker.instance);
    Measured { future: Box::pin(worker.run().instrument(span)), used }
}

impl<F: Future> Future for Measured<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let Self { future, used } = self.get_mut();
        used.poll(|| future.as_mut().poll(cx))
    }
}

/// What is counted, and where.
struct Used {
    meter: Arc<Meter>,
    clock: Arc<dyn Clock>,
    way: Way,
}

enum Way {
    /// The thread is the worker's own: its clock, when it was read last, and what it said.
    Thread { last: u64, at: Duration },
    /// So many polls are not measured before the next that is, by chance, and the share of their time for
    /// which polls used the processor lately.
    Polls { left: u64, chance: u64, share: Share, turn: Arc<Turn> },
}

impl Way {
    fn polls(turn: Arc<Turn>) -> Self {
        Self::Polls { left: 0, chance: 1, share: Share { used: 0.0, took: 0.0 }, turn }
    }
}

/// Nanoseconds of the processor that some polls used, of those that they took.
struct Share {
    used: f64,
    took: f64,
}

impl Share {
    fn learn(&mut self, used: u64, took: u64) {
        self.used = self.used * FADES + used as f64;
        self.took = self.took * FADES + took as f64;
    }

    /// What a poll has used that took so long.
    fn of(&self, took: u64) -> u64 {
        (took as f64 * (self.used / self.took.max(1.0)).min(1.0)) as u64
    }
}

impl Used {
    fn poll<T>(&mut self, poll: impl FnOnce() -> Poll<T>) -> Poll<T> {
        match &mut self.way {
            Way::Thread { last, at } => {
                let polled = poll();
                let now = self.clock.now();
                if polled.is_ready() || now.saturating_sub(*at) >= OFTEN {
                    let read = thread_cpu();
                    self.meter.used_cpu(read.saturating_sub(*last));
                    (*last, *at) = (read, now);
                }
                polled
            }
            Way::Polls { left, chance, share, turn } => {
                let start = self.clock.now();
                turn.begins(start);
                let before = (*left == 0).then(thread_cpu);
                let polled = poll();
                let used = before.map(|before| thread_cpu().saturating_sub(before));
                let took = self.clock.now().saturating_sub(start);
                turn.ends(took);
                let took = nanos(took);
                self.meter.used_cpu(used.unwrap_or_else(|| share.of(took)));
                *left = match used {
                    None => *left - 1,
                    Some(used) => {
                        share.learn(used, took);
                        let one_of = if took < SHORT { ONE_OF } else { 1 };
                        // By chance, so that polls which take turns are all measured (xorshift).
                        *chance ^= *chance << 13;
                        *chance ^= *chance >> 7;
                        *chance ^= *chance << 17;
                        *chance % (2 * one_of - 1)
                    }
                };
                polled
            }
        }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use gristmill_stage::{Readings, SystemClock};

    use super::*;

    fn used(way: Way) -> Used {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
        let meter = Arc::new(Meter::new(clock.clone(), None, Arc::new(Readings::default())));
        Used { meter, clock, way }
    }

    /// Uses the processor for so many nanoseconds; for none, lies still for a while.
    fn spin(nanos: u64) -> Poll<()> {
        if nanos == 0 {
            std::thread::sleep(Duration::from_micros(60));
        }
        let start = thread_cpu();
        while thread_cpu() < start + nanos {}
        Poll::Pending
    }

    /// What is counted of these polls, by what they have used.
    fn counted(mut used: Used, polls: impl Iterator<Item = u64>) -> f64 {
        let start = thread_cpu();
        polls.for_each(|nanos| assert!(used.poll(|| spin(nanos)).is_pending()));
        assert!(used.poll(|| Poll::Ready(())).is_ready());
        used.meter.cpu().as_secs_f64() * 1e9 / (thread_cpu() - start) as f64
    }

    #[test]
    fn short_and_long_polls_are_counted_alike() {
        let own = || Way::Thread { last: thread_cpu(), at: Duration::ZERO };
        let polls = || Way::polls(Arc::default());
        for way in [polls, own] as [fn() -> Way; 2] {
            let short = counted(used(way()), (0..16_000).map(|_| 10_000));
            let turns = counted(used(way()), (0..16_000).map(|n| 5_000 + n % 2 * 30_000));
            let long = counted(used(way()), (0..40).map(|_| 1_000_000));
            let lies = counted(used(way()), (0..8_000).map(|n| n % 2 * 60_000));
            for share in [short, turns, long, lies] {
                assert!((0.75..1.25).contains(&share), "{short} {turns} {long} {lies}");
            }
        }
    }
}
