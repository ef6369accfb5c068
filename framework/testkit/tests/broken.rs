//! Stages that break the contract on purpose, each in one way; the suite must find each.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a test fails by panicking"
)]

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use gristmill_stage::arrow_array::cast::AsArray;
use gristmill_stage::arrow_array::types::Int64Type;
use gristmill_stage::arrow_array::{Array, ArrayRef, Int64Array, RecordBatch};
use gristmill_stage::arrow_schema::{DataType, Field, Schema, SchemaRef};
use gristmill_stage::{
    BuildContext, Clock, Error, Kind, Lineage, Next, Output, Planned, Result, Role, Snapshot,
    Source, Stage, Transform,
};
use gristmill_testkit::conformance::{Failures, Report, Settings, check};
use gristmill_testkit::{Harness, rows};
use serde_json::{Value, json};

/// What is wrong with the stage.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Flaw {
    None,
    /// Nothing either: its snapshots are in one order and then in another.
    Reorders,
    /// Its snapshot leaves out the last row.
    ForgetsRow,
    /// Its snapshot empties it.
    SnapshotDisturbs,
    /// It does not look at what it should go on from.
    IgnoresRestored,
    /// It emits all it has at once.
    EmitsAtOnce,
    /// It names its column otherwise than planned.
    OtherSchema,
    /// It drops nulls without a word.
    LosesNulls,
    /// It rejects without a reason.
    NoReason,
    /// It loses what a batch leaves over.
    LosesRests,
    /// It reads the nulls of a slice from the start of their buffer.
    IgnoresOffsets,
    /// It panics on empty batches.
    PanicsOnEmpty,
    /// It never takes input and is never to be woken.
    NeverReady,
    /// It is never done with its end.
    NeverEnds,
    /// It says that it needs no column.
    NeedsMore,
    /// It takes no more than 5000 rows of a batch.
    LosesLarge,
    /// It makes a row of a batch without rows.
    AddsOfEmpty,
    /// One that is dropped with rows in hand leaves them to the next.
    LeavesBehind,
}

thread_local! {
    /// What a stage has left behind.
    static LEFT: Cell<Vec<i64>> = const { Cell::new(Vec::new()) };
}

/// Doubles its numbers, three of each, holding what one call may not emit; rejects nulls.
struct Triple {
    flaw: Flaw,
    held: Vec<i64>,
    most: usize,
    output: SchemaRef,
}

impl Triple {
    fn put(&mut self, out: &mut dyn Output) -> Result<()> {
        let most = if self.flaw == Flaw::EmitsAtOnce { usize::MAX } else { self.most };
        let rest = self.held.split_off(self.held.len().min(most));
        let now = std::mem::replace(&mut self.held, rest);
        let column: ArrayRef = Arc::new(Int64Array::from(now));
        if self.flaw == Flaw::OtherSchema {
            return out.emit(RecordBatch::try_from_iter([("m", column)])?);
        }
        out.emit(RecordBatch::try_new(Arc::clone(&self.output), vec![column])?)
    }
}

impl Transform for Triple {
    fn process(&mut self, batch: RecordBatch, out: &mut dyn Output) -> Result<()> {
        assert!(self.flaw != Flaw::PanicsOnEmpty || batch.num_rows() > 0, "no rows");
        if self.flaw == Flaw::AddsOfEmpty && batch.num_rows() == 0 {
            self.held.push(0);
        }
        let batch = match self.flaw {
            Flaw::LosesLarge => batch.slice(0, batch.num_rows().min(5000)),
            _ => batch,
        };
        let numbers = batch.column(0).as_primitive::<Int64Type>();
        for (row, n) in numbers.iter().enumerate() {
            let n = match numbers.nulls() {
                Some(nulls) if self.flaw == Flaw::IgnoresOffsets => {
                    let valid = nulls.buffer().as_slice()[row / 8] >> (row % 8) & 1 == 1;
                    valid.then(|| numbers.value(row))
                }
                _ => n,
            };
            match n {
                Some(n) => self.held.extend([2 * n; 3]),
                None if self.flaw == Flaw::LosesNulls => {}
                None => {
                    let reason = if self.flaw == Flaw::NoReason { "" } else { "`n` is null" };
                    out.reject(batch.slice(row, 1), reason)?;
                }
            }
        }
        self.put(out)?;
        if self.flaw == Flaw::LosesRests {
            self.held.clear();
        }
        Ok(())
    }

    fn ready(&self) -> bool {
        self.held.is_empty() && self.flaw != Flaw::NeverReady
    }

    fn holding(&self) -> bool {
        !self.held.is_empty() || self.flaw == Flaw::NeverEnds
    }

    fn wake(&mut self, out: &mut dyn Output) -> Result<()> {
        self.put(out)
    }

    fn wake_at(&self) -> Option<Duration> {
        self.holding().then_some(Duration::ZERO)
    }

    fn snapshot(&mut self) -> Result<Snapshot> {
        if self.flaw == Flaw::Reorders {
            self.held.reverse();
        }
        let snapshot = match self.flaw {
            Flaw::ForgetsRow => self.held[..self.held.len().saturating_sub(1)].to_vec(),
            _ => self.held.clone(),
        };
        if self.flaw == Flaw::SnapshotDisturbs {
            self.held.clear();
        }
        Snapshot::of(1, &snapshot)
    }
}

impl Drop for Triple {
    fn drop(&mut self) {
        if self.flaw == Flaw::LeavesBehind && !self.held.is_empty() {
            LEFT.set(std::mem::take(&mut self.held));
        }
    }
}

impl Kind for Flaw {
    fn name(&self) -> &str {
        "triple"
    }
    fn summary(&self) -> &str {
        "Triples."
    }
    fn role(&self) -> Role {
        Role::Transform
    }
    fn example(&self) -> &str {
        "type: triple"
    }
    fn input(&self) -> &str {
        "n"
    }
    fn output(&self) -> &str {
        "n"
    }
    fn options(&self) -> Value {
        json!({})
    }
    fn plan(&self, _: &Value, _: Option<&SchemaRef>) -> Result<Planned> {
        let planned = Planned::emits(Schema::new(vec![Field::new("n", DataType::Int64, false)]));
        Ok(match self {
            Self::NeedsMore => planned.lineage(Lineage::new()),
            _ => planned.lineage(Lineage::new().needs(["n"])),
        })
    }
    fn build(&self, _: &Value, context: BuildContext) -> Result<Stage> {
        let restored = context.restored().value(1)?.unwrap_or_default();
        let held = match self {
            Flaw::IgnoresRestored => Vec::new(),
            Flaw::LeavesBehind if !LEFT.take().is_empty() => vec![-1],
            _ => restored,
        };
        let output = Arc::clone(context.output());
        Ok(Stage::transform(Triple { flaw: *self, held, most: context.batch().rows, output }))
    }
}

fn run(flaw: Flaw) -> Result<Report, Failures> {
    let numbers: Vec<Value> = (0..40).map(|n| json!({ "n": (n % 7 != 3).then_some(n) })).collect();
    let whole = gristmill_testkit::table(&Value::Array(numbers)).map_err(|e| e.to_string());
    let input = whole.map(|whole| vec![whole.slice(0, 15), whole.slice(15, 25)]);
    check(&flaw, &Value::Null, input.unwrap_or_default(), &Settings::new().large(8192))
}

#[test]
fn a_sound_stage_passes() {
    let report = run(Flaw::None).unwrap();
    assert_eq!((report.rows, report.rejected), (34 * 3, 6));
    for name in [
        "plain",
        "splitting",
        "empty",
        "large",
        "bounded",
        "snapshot",
        "restore",
        "layout",
        "workers",
        "narrow",
        "cancelled",
    ] {
        assert!(report.checks.contains(&name), "{name}");
    }
}

#[test]
fn a_state_without_an_order_may_come_in_any() {
    assert!(run(Flaw::Reorders).unwrap().checks.contains(&"snapshot"));
}

#[test]
fn every_flaw_is_found() {
    for (flaw, check, text) in [
        (Flaw::ForgetsRow, "restore", "missing"),
        (Flaw::SnapshotDisturbs, "snapshot", "differ"),
        (Flaw::IgnoresRestored, "restore", "missing"),
        (Flaw::EmitsAtOnce, "bounded", "hold the rest"),
        (Flaw::OtherSchema, "plain", "planned [n: Int64 not null]"),
        (Flaw::NoReason, "plain", "without a reason"),
        (Flaw::LosesRests, "bounded", "missing"),
        (Flaw::IgnoresOffsets, "splitting", "instead of"),
        (Flaw::IgnoresOffsets, "layout", "instead of"),
        (Flaw::PanicsOnEmpty, "splitting", "`process` panicked: no rows"),
        (Flaw::NeverEnds, "plain", "stuck"),
        (Flaw::NeedsMore, "narrow", "panicked"),
        (Flaw::LosesLarge, "large", "missing"),
        (Flaw::AddsOfEmpty, "empty", "1 without rows, and not none"),
        (Flaw::LeavesBehind, "cancelled", "another one after that"),
    ] {
        let failures = run(flaw).expect_err(&format!("{flaw:?}"));
        assert!(failures.has(check), "{flaw:?}: {failures}");
        assert!(failures.to_string().contains(text), "{flaw:?}: {failures}");
    }
}

#[test]
fn rows_that_vanish_are_counted() {
    let settings = Settings::new().one_to_one();
    let input = vec![rows!([{ "n": 1 }, { "n": null }])];
    let failures = check(&Flaw::LosesNulls, &Value::Null, input, &settings).unwrap_err();
    assert!(failures.has("accounting"), "{failures}");
}

#[test]
fn what_never_gets_ready_does_not_hang() {
    let harness = Harness::new().with_patience(Duration::from_millis(1));
    let batch = rows!([{ "n": 1 }]);
    let mut stage = harness.build(&Flaw::NeverReady, &Value::Null, Some(&batch.schema())).unwrap();
    let error = stage.run_transform([batch]).unwrap_err();
    assert!(error.message().contains("stuck: after `ready`"), "{error}");
}

/// What is wrong with a source that counts, when it is stopped.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Stopped {
    AtOnce,
    /// It emits what it has in hand; nothing is wrong with that.
    Later,
    /// It emits a row of its own.
    Adds,
    /// It does not end.
    Never,
}

struct Counts {
    how: Stopped,
    next: i64,
    stopped: bool,
}

impl Source for Counts {
    fn poll(&mut self, out: &mut dyn Output) -> Result<Next> {
        match self.how {
            Stopped::Adds if self.stopped => out.emit(rows!([{ "n": -1 }]))?,
            Stopped::Never if self.stopped => return Ok(Next::Now),
            _ => out.emit(rows!([{ "n": (self.next) }]))?,
        }
        self.next += 1;
        Ok(if self.stopped || self.next > 30 { Next::Done } else { Next::Now })
    }

    fn stop(&mut self) -> Result<bool> {
        self.stopped = true;
        Ok(self.how != Stopped::AtOnce)
    }

    fn snapshot(&mut self) -> Result<Snapshot> {
        Snapshot::of(1, &self.next)
    }
}

impl Kind for Stopped {
    fn name(&self) -> &str {
        "counts"
    }
    fn summary(&self) -> &str {
        "Counts."
    }
    fn role(&self) -> Role {
        Role::Source
    }
    fn example(&self) -> &str {
        "type: counts"
    }
    fn input(&self) -> &str {
        "none"
    }
    fn output(&self) -> &str {
        "n"
    }
    fn options(&self) -> Value {
        json!({})
    }
    fn plan(&self, _: &Value, _: Option<&SchemaRef>) -> Result<Planned> {
        Ok(Planned::emits(rows!([{ "n": 1 }]).schema().as_ref().clone()).single("it counts"))
    }
    fn build(&self, _: &Value, context: BuildContext) -> Result<Stage> {
        let next = context.restored().value(1)?.unwrap_or_default();
        Ok(Stage::source(Counts { how: *self, next, stopped: false }))
    }
}

#[test]
fn a_source_that_is_stopped_ends_with_rows_of_its_own() {
    let run = |how| check(&how, &Value::Null, Vec::new(), &Settings::new().ordered().seeds(4));
    for how in [Stopped::AtOnce, Stopped::Later] {
        assert!(run(how).unwrap().checks.contains(&"cancelled"));
    }
    for (how, text) in
        [(Stopped::Adds, "is another than in the whole run"), (Stopped::Never, "stuck")]
    {
        let failures = run(how).expect_err(&format!("{how:?}"));
        assert!(failures.has("cancelled"), "{how:?}: {failures}");
        assert!(failures.to_string().contains(text), "{how:?}: {failures}");
    }
}

/// A stage that hangs or ends the process can be told by what was begun last.
#[test]
fn each_run_is_named_before_it_begins() {
    let begun = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let told = begun.clone();
    let watch = move |check: &str, how: &str| told.borrow_mut().push(format!("{check}: {how}"));
    let input = vec![rows!([{ "n": 1 }, { "n": null }])];
    let settings = Settings::new().seeds(2).large(10).watch(watch);
    check(&Flaw::None, &Value::Null, input, &settings).unwrap();
    let begun = begun.borrow();
    for run in [
        "plain: as it is",
        "splitting: cut with seed 1",
        "empty: no batch",
        "large: 10 rows",
        "restore: seed 1",
        "layout: slices of larger columns",
        "workers: 3 of them",
    ] {
        assert!(begun.iter().any(|named| named == run), "{run}: {begun:?}");
    }
}

/// Emits a number each second.
struct Ticks {
    clock: Arc<dyn Clock>,
    next: u64,
}

impl Source for Ticks {
    fn poll(&mut self, out: &mut dyn Output) -> Result<Next> {
        let time = Duration::from_secs(self.next);
        if self.clock.now() < time {
            return Ok(Next::At(time));
        }
        let now =
            i64::try_from(self.clock.now().as_secs()).map_err(|e| Error::data(e.to_string()))?;
        out.emit(rows!([{ "n": now }]))?;
        self.next += 1;
        Ok(if self.next > 3600 { Next::Done } else { Next::At(Duration::from_secs(self.next)) })
    }
}

#[test]
fn an_hour_of_simulated_time_is_short() {
    let harness = Harness::new();
    let clock = Arc::new(gristmill_testkit::SimClock::new());
    // Not the harness's clock: then time stands still for the source, and that is noticed.
    let still = Ticks { clock: Arc::clone(&clock) as _, next: 1 };
    let error = harness.start(Stage::source(still), rows!([{ "n": 1 }]).schema()).run_source();
    assert!(error.unwrap_err().message().contains("stuck"));
    let ticks = Ticks { clock: harness.clock(), next: 0 };
    let mut stage = harness.start(Stage::source(ticks), rows!([{ "n": 1 }]).schema());
    stage.run_source().unwrap();
    assert_eq!(stage.collected().rows(), 3601);
    assert_eq!(harness.clock().now(), Duration::from_secs(3600));
}
