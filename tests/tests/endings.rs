//! How runs end: by a panic, by an error, by a stage that has enough, by a reader that leaves, by
//! being dropped. A failed run publishes nothing, and a good one publishes all, once.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a test fails by panicking"
)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use arrow_schema::SchemaRef;
use gristmill_config::{Source as Yaml, Variables, load};
use gristmill_runtime::{Feed, Outcome, Report, Run, RunOptions};
use gristmill_stage::{
    BuildContext, Error, ErrorKind, Kind, Output, Planned, Registry, Result, Role, Stage, Transform,
};
use serde_json::{Value, json};

fn batch(values: impl IntoIterator<Item = i64>) -> RecordBatch {
    let column: ArrayRef = Arc::new(Int64Array::from_iter_values(values));
    RecordBatch::try_from_iter([("n", column)]).unwrap()
}

/// What a test stage does when it sees this number.
#[derive(Debug, Clone, Copy, PartialEq)]
enum At {
    Panic,
    Error,
    Close,
    /// Passes it on and has enough.
    Enough,
    /// Rejects it and fails.
    RejectAndFail,
}

/// A transform or a sink that hands rows on until it sees a number.
#[derive(Clone)]
struct Trip {
    name: &'static str,
    role: Role,
    number: i64,
    at: At,
    /// Rows that a sink took; published by `finish`.
    taken: Arc<Mutex<Vec<i64>>>,
    published: Arc<AtomicUsize>,
    done: bool,
}

impl Trip {
    fn new(name: &'static str, role: Role, number: i64, at: At) -> Self {
        let (taken, published) = Default::default();
        Self { name, role, number, at, taken, published, done: false }
    }
}

impl Kind for Trip {
    fn name(&self) -> &str {
        self.name
    }
    fn summary(&self) -> &str {
        "trips"
    }
    fn role(&self) -> Role {
        self.role
    }
    fn example(&self) -> &str {
        "type: trip"
    }
    fn input(&self) -> &str {
        "n"
    }
    fn output(&self) -> &str {
        "n"
    }
    fn options(&self) -> Value {
        json!({ "type": "object", "properties": {} })
    }
    fn plan(&self, _: &Value, input: Option<&SchemaRef>) -> Result<Planned> {
        Ok(match self.role {
            Role::Sink => Planned::sink(),
            _ => Planned::emits(input.unwrap().clone()),
        })
    }
    fn build(&self, _: &Value, _: BuildContext) -> Result<Stage> {
        Ok(Stage::transform(self.clone()))
    }
}

impl Transform for Trip {
    fn process(&mut self, rows: RecordBatch, out: &mut dyn Output) -> Result<()> {
        let values = rows.column(0).as_primitive::<Int64Type>().values().to_vec();
        if values.contains(&self.number) {
            match self.at {
                At::Panic => panic!("tripped"),
                At::Error => return Err(Error::data("tripped")),
                At::Close => return Err(Error::closed("left")),
                At::Enough => self.done = true,
                At::RejectAndFail => {
                    out.reject(rows, "no good")?;
                    return Err(Error::data("tripped"));
                }
            }
        }
        if self.role == Role::Sink {
            self.taken.lock().unwrap().extend(values);
            return Ok(());
        }
        out.emit(rows)
    }
    fn done(&self) -> bool {
        self.done
    }
    fn finish(&mut self, _: &mut dyn Output) -> Result<()> {
        self.published.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

/// Feeds 1 to 100, one row a batch, through a tripping transform into a sink, in both modes.
fn each_mode(transform: (i64, At), sink: (i64, At), check: impl Fn(Report, &Trip, &str)) {
    for mode in ["threaded", "pooled"] {
        let folder = tempfile::tempdir().unwrap();
        let mut registry = Registry::new();
        let feed = Feed::new("feed", batch([]).schema(), (1..=100).map(|n| batch([n])).collect());
        registry.add_kind(feed.unwrap().kind());
        registry.add_kind(Arc::new(Trip::new("trip", Role::Transform, transform.0, transform.1)));
        let sink = Trip::new("sink", Role::Sink, sink.0, sink.1);
        registry.add_kind(Arc::new(sink.clone()));
        let letters = folder.path().join("rejected.jsonl");
        let yaml = format!(
            "channel: {{ rows: 1 }}\nrejected: {}\nstages:\n  - {{ type: feed, run: {{ mode: {mode} }} }}\n  \
             - {{ type: trip, run: {{ mode: {mode} }} }}\n  - {{ type: sink, run: {{ mode: {mode} }} }}\n",
            letters.display()
        );
        let plan = load(&Yaml::new("p.yaml", yaml.as_str()), &Variables::new(), &registry).unwrap();
        let report = Run::start(plan, &registry, RunOptions::default()).unwrap().wait();
        let letters = std::fs::read_to_string(letters).unwrap_or_default();
        check(report, &sink, &letters);
    }
}

const NEVER: (i64, At) = (-1, At::Error);

fn failed(report: &Report) -> (&str, u64, ErrorKind) {
    match &report.outcome {
        Outcome::Failed(failure) => (&failure.stage, failure.batch, failure.error.kind()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_panic_names_stage_and_batch_and_publishes_nothing() {
    each_mode((37, At::Panic), NEVER, |report, sink, _| {
        assert_eq!(failed(&report), ("trip", 37, ErrorKind::Panic));
        assert_eq!(sink.published.load(Ordering::SeqCst), 0);
    });
}

#[test]
fn an_error_of_the_last_stage_stops_the_first() {
    each_mode(NEVER, (5, At::Error), |report, sink, _| {
        assert_eq!(failed(&report), ("sink", 5, ErrorKind::Data));
        assert_eq!(sink.published.load(Ordering::SeqCst), 0);
        assert!(report.stages[0].sent.rows < 100, "the source stopped early");
    });
}

#[test]
fn rows_rejected_before_a_failure_are_kept() {
    each_mode((7, At::RejectAndFail), NEVER, |report, _, letters| {
        assert_eq!(failed(&report), ("trip", 7, ErrorKind::Data));
        assert_eq!(report.rejected, 1);
        assert!(letters.contains("\"n\":7"), "{letters}");
    });
}

#[test]
fn a_stage_that_has_enough_ends_the_run_in_peace() {
    each_mode((10, At::Enough), NEVER, |report, sink, _| {
        assert!(matches!(report.outcome, Outcome::Done), "{:?}", report.outcome);
        assert_eq!(*sink.taken.lock().unwrap(), (1..=10).collect::<Vec<_>>());
        assert_eq!(sink.published.load(Ordering::SeqCst), 1);
    });
}

#[test]
fn a_sink_whose_reader_left_ends_the_run_in_peace() {
    each_mode(NEVER, (10, At::Close), |report, sink, _| {
        assert!(matches!(report.outcome, Outcome::Done), "{:?}", report.outcome);
        assert_eq!(sink.taken.lock().unwrap().len(), 9);
    });
}

#[test]
fn a_transform_cannot_leave_in_peace() {
    each_mode((10, At::Close), NEVER, |report, sink, _| {
        assert_eq!(failed(&report), ("trip", 10, ErrorKind::Closed));
        assert_eq!(sink.published.load(Ordering::SeqCst), 0);
    });
}

#[test]
fn a_run_that_is_dropped_publishes_nothing() {
    let mut registry = Registry::new();
    let feed = Feed::new("feed", batch([]).schema(), vec![batch(0..1000); 100_000]);
    registry.add_kind(feed.unwrap().kind());
    let sink = Trip::new("sink", Role::Sink, NEVER.0, NEVER.1);
    registry.add_kind(Arc::new(sink.clone()));
    let yaml = "stages:\n  - type: feed\n  - { type: sink, run: { mode: threaded } }\n";
    let plan = load(&Yaml::new("p.yaml", yaml), &Variables::new(), &registry).unwrap();
    let run = Run::start(plan, &registry, RunOptions::default()).unwrap();
    let stopper = run.stopper();
    drop(run);
    drop((stopper, registry));
    // The workers hold clones of it until they have ended.
    while Arc::strong_count(&sink.published) > 1 {
        std::thread::yield_now();
    }
    assert_eq!(sink.published.load(Ordering::SeqCst), 0);
}
