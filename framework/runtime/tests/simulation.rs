//! Seeded simulation of the loop: a chain of workers with tiny queues and a clock that only the
//! test moves, under random schedules. No row may be lost, doubled or stuck.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a test fails by panicking"
)]

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use arrow_schema::SchemaRef;
use gristmill_runtime::{Action, Driver, Event, Need};
use gristmill_stage::{Clock, Next, Output, Result, Source, Stage, Transform};
use proptest::prelude::*;

#[derive(Default)]
struct TestClock(AtomicU64);

impl TestClock {
    fn advance_to(&self, time: Duration) {
        self.0.fetch_max(time.as_nanos() as u64, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::SeqCst))
    }
    fn wall(&self) -> SystemTime {
        UNIX_EPOCH + self.now()
    }
}

fn batch(values: impl IntoIterator<Item = i64>) -> RecordBatch {
    let column: ArrayRef = Arc::new(Int64Array::from_iter_values(values));
    RecordBatch::try_from_iter([("n", column)]).unwrap()
}

fn schema() -> SchemaRef {
    batch([]).schema()
}

fn values(batch: &RecordBatch) -> Vec<i64> {
    batch.column(0).as_primitive::<Int64Type>().values().to_vec()
}

/// Counts up; sometimes pauses, sometimes emits nothing.
struct Counter {
    next: i64,
    end: i64,
    step: i64,
    clock: Arc<TestClock>,
}

impl Source for Counter {
    fn poll(&mut self, out: &mut dyn Output) -> Result<Next> {
        let to = (self.next + self.step).min(self.end);
        out.emit(batch(self.next..to))?;
        self.next = to;
        Ok(match self.next {
            next if next == self.end => Next::Done,
            next if next % 3 == 0 => Next::At(self.clock.now() + Duration::from_millis(7)),
            _ => Next::Now,
        })
    }
}

/// Hands on every row; rejects those that divide by 5.
struct Picky;

impl Transform for Picky {
    fn process(&mut self, rows: RecordBatch, out: &mut dyn Output) -> Result<()> {
        let (bad, good): (Vec<_>, Vec<_>) = values(&rows).into_iter().partition(|n| n % 5 == 0);
        out.reject(batch(bad), "divides by 5")?;
        out.emit(batch(good))
    }
}

/// Holds rows for a while, like calls in flight, and hands them on one at a time.
struct Slow {
    held: VecDeque<(Duration, i64)>,
    clock: Arc<TestClock>,
}

impl Slow {
    fn release(&mut self, out: &mut dyn Output) -> Result<()> {
        match self.held.front() {
            Some((due, n)) if *due <= self.clock.now() => {
                out.emit(batch([*n]))?;
                self.held.pop_front();
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl Transform for Slow {
    fn process(&mut self, rows: RecordBatch, _: &mut dyn Output) -> Result<()> {
        let due = self.clock.now() + Duration::from_millis(3);
        self.held.extend(values(&rows).into_iter().map(|n| (due, n)));
        Ok(())
    }
    fn ready(&self) -> bool {
        self.held.len() < 4
    }
    fn holding(&self) -> bool {
        !self.held.is_empty()
    }
    fn wake(&mut self, out: &mut dyn Output) -> Result<()> {
        self.release(out)
    }
    fn wake_at(&self) -> Option<Duration> {
        self.held.front().map(|(due, _)| *due)
    }
}

/// Takes everything in and hands it on at the end, two rows a call.
struct AtEnd(Vec<i64>, bool);

impl Transform for AtEnd {
    fn process(&mut self, rows: RecordBatch, _: &mut dyn Output) -> Result<()> {
        self.0.extend(values(&rows));
        Ok(())
    }
    fn finish(&mut self, out: &mut dyn Output) -> Result<()> {
        self.1 = true;
        let rest = self.0.len().saturating_sub(2);
        out.emit(batch(self.0.split_off(rest)))
    }
    fn holding(&self) -> bool {
        self.1 && !self.0.is_empty()
    }
    fn wake_at(&self) -> Option<Duration> {
        self.holding().then_some(Duration::ZERO)
    }
}

struct Node {
    driver: Driver,
    need: Need,
    unsent: VecDeque<RecordBatch>,
    input_ended: bool,
}

struct World {
    nodes: Vec<Node>,
    /// Queue i stands in front of node i; the one past the end collects the result.
    queues: Vec<VecDeque<RecordBatch>>,
    ended: Vec<bool>,
    capacity: usize,
    clock: Arc<TestClock>,
    rejected: Vec<i64>,
}

impl World {
    fn new(stages: Vec<Stage>, capacity: usize, clock: Arc<TestClock>) -> Self {
        let count = stages.len();
        let nodes = stages.into_iter().map(|stage| {
            let driver = Driver::new(stage, schema(), schema(), false);
            let need = driver.first_need().unwrap();
            Node { driver, need, unsent: VecDeque::new(), input_ended: false }
        });
        Self {
            nodes: nodes.collect(),
            queues: vec![VecDeque::new(); count + 1],
            ended: vec![false; count + 1],
            capacity,
            clock,
            rejected: Vec::new(),
        }
    }

    /// Lets one node do one thing, as an executor would. False if it can do nothing now.
    fn step(&mut self, at: usize) -> bool {
        let last = at + 1 == self.nodes.len();
        let node = &mut self.nodes[at];
        if let Some(batch) = node.unsent.pop_front() {
            if !last && self.queues[at + 1].len() >= self.capacity {
                node.unsent.push_front(batch);
                return false;
            }
            self.queues[at + 1].push_back(batch);
            return true;
        }
        if node.need.ended {
            return !std::mem::replace(&mut self.ended[at + 1], true);
        }
        let event = if node.need.at.is_some_and(|due| due <= self.clock.now()) {
            Event::Wake
        } else if node.need.input && !self.queues[at].is_empty() {
            self.queues[at].pop_front().map(Event::Batch).unwrap()
        } else if node.need.input && self.ended[at] && !node.input_ended {
            node.input_ended = true;
            Event::InputEnded
        } else {
            return false;
        };
        let mut actions = Vec::new();
        node.need = node.driver.drive(event, &mut actions).unwrap();
        for action in actions {
            match action {
                Action::Emit { batch, .. } => node.unsent.push_back(batch),
                Action::Reject { rows, .. } => self.rejected.extend(values(&rows)),
            }
        }
        true
    }

    /// Runs to the end; panics if nobody can go on.
    fn run(&mut self, mut choose: impl FnMut(usize) -> usize) {
        while !self.ended[self.nodes.len()] {
            let start = choose(self.nodes.len());
            let moved = (0..self.nodes.len()).any(|i| self.step((start + i) % self.nodes.len()));
            if !moved {
                // A time that has come is of a node that waits for room.
                let now = self.clock.now();
                let times = self.nodes.iter().filter_map(|node| node.need.at);
                let due = times.filter(|due| *due > now).min();
                self.clock.advance_to(due.expect("nobody can go on and no time is awaited"));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn no_row_is_lost_doubled_or_stuck(
        rows in 0i64..60,
        step in 1i64..9,
        capacity in 1usize..4,
        order in proptest::sample::select(vec![[0, 1, 2], [2, 1, 0], [1, 2, 0], [1, 0, 2]]),
        seed in any::<u64>(),
    ) {
        let clock = Arc::new(TestClock::default());
        let mut stages =
            vec![Stage::source(Counter { next: 0, end: rows, step, clock: clock.clone() })];
        for kind in order {
            stages.push(match kind {
                0 => Stage::transform(Picky),
                1 => Stage::transform(Slow { held: VecDeque::new(), clock: clock.clone() }),
                _ => Stage::transform(AtEnd(Vec::new(), false)),
            });
        }
        let mut world = World::new(stages, capacity, clock);
        let mut state = seed | 1;
        world.run(|n| {
            // Xorshift: a schedule that the seed alone decides.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % n as u64) as usize
        });
        let mut out: Vec<i64> = world.queues.last().unwrap().iter().flat_map(values).collect();
        out.sort_unstable();
        world.rejected.sort_unstable();
        prop_assert_eq!(out, (0..rows).filter(|n| n % 5 != 0).collect::<Vec<_>>());
        prop_assert_eq!(world.rejected, (0..rows).filter(|n| n % 5 == 0).collect::<Vec<_>>());
    }
}

#[test]
fn a_panic_is_an_error_of_the_stage() {
    struct Bomb;
    impl Transform for Bomb {
        fn process(&mut self, _: RecordBatch, _: &mut dyn Output) -> Result<()> {
            panic!("boom")
        }
    }
    let mut driver = Driver::new(Stage::transform(Bomb), schema(), schema(), false);
    let error = driver.drive(Event::Batch(batch([1])), &mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), gristmill_stage::ErrorKind::Panic);
    assert!(error.message().contains("boom"), "{error}");
}

#[test]
fn a_stage_is_held_to_its_plan() {
    struct Liar;
    impl Transform for Liar {
        fn process(&mut self, _: RecordBatch, out: &mut dyn Output) -> Result<()> {
            let column: ArrayRef = Arc::new(arrow_array::StringArray::from(vec!["x"]));
            out.emit(RecordBatch::try_from_iter([("n", column)])?)
        }
    }
    let mut driver = Driver::new(Stage::transform(Liar), schema(), schema(), false);
    let error = driver.drive(Event::Batch(batch([1])), &mut Vec::new()).unwrap_err();
    assert!(error.message().contains("n: Utf8"), "{error}");
    assert!(error.message().contains("n: Int64"), "{error}");

    let mut sink = Driver::new(Stage::transform(Liar), schema(), schema(), true);
    let error = sink.drive(Event::Batch(batch([1])), &mut Vec::new()).unwrap_err();
    assert!(error.message().contains("sink"), "{error}");
}
