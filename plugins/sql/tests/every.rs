//! Results that are emitted while the input goes on.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of a test fails the test")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampSecondArray};
use arrow_schema::SchemaRef;
use common::{Collected, batch, finish, plan, plan_error, registry, show};
use gristmill_stage::{BatchTarget, BuildContext, Clock, Snapshot, Stage, Transform};
use gristmill_testkit::SimClock;
use proptest::prelude::*;
use serde_json::{Value, json};

type Row = (i64, Option<String>, i64);

fn table(rows: &[Row]) -> RecordBatch {
    batch([
        (
            "at",
            Arc::new(rows.iter().map(|row| Some(row.0)).collect::<TimestampSecondArray>())
                as ArrayRef,
        ),
        ("k", Arc::new(rows.iter().map(|row| row.1.clone()).collect::<StringArray>())),
        ("v", Arc::new(rows.iter().map(|row| Some(row.2)).collect::<Int64Array>())),
    ])
}

fn build(options: &Value, clock: &Arc<SimClock>, restored: Snapshot) -> Box<dyn Transform> {
    let input: SchemaRef = table(&[]).schema();
    let planned = plan("aggregate", options, &input).unwrap();
    let context = BuildContext::new("it", Arc::clone(clock) as Arc<dyn Clock>)
        .with_schemas(input, planned.output)
        .with_batch(BatchTarget { rows: 3, bytes: 8 << 20 })
        .with_restored(restored);
    match registry().get("aggregate").unwrap().build(options, context).unwrap() {
        Stage::Transform(stage) => stage,
        Stage::Source(_) => panic!("it is no source"),
    }
}

fn seconds(seconds: u64) -> Option<Duration> {
    Some(Duration::from_secs(seconds))
}

#[test]
fn results_come_when_they_are_due() {
    let clock = Arc::new(SimClock::new());
    let options = json!({ "every": "10s", "group_by": ["k"], "select": { "sum": "sum(v)", "n": "count(*)" } });
    let row = |key: &str, v: i64| (0, Some(key.to_owned()), v);
    let mut stage = build(&options, &clock, Snapshot::Stateless);
    let mut out = Collected::default();
    assert_eq!(stage.wake_at(), None, "there is nothing to tell");
    clock.set(Duration::from_secs(4));
    stage.process(table(&[row("a", 1), row("b", 2)]), &mut out).unwrap();
    assert_eq!(stage.wake_at(), seconds(10));
    assert!(!stage.holding(), "nothing is held back");
    clock.set(Duration::from_secs(9));
    stage.process(table(&[row("a", 4)]), &mut out).unwrap();
    stage.wake(&mut out).unwrap();
    assert!(out.emitted.is_empty(), "it is not time");
    // Woken later than it is due, and it was due all the same.
    clock.set(Duration::from_secs(12));
    stage.wake(&mut out).unwrap();
    let first = ["2026-01-01T00:00:10Z|false|a|5|2", "2026-01-01T00:00:10Z|false|b|2|1"];
    assert_eq!(out.rows(), first);
    assert_eq!(stage.wake_at(), None, "nothing has come since");
    clock.set(Duration::from_secs(35));
    stage.process(table(&[row("a", 8)]), &mut out).unwrap();
    assert_eq!(stage.wake_at(), seconds(40));
    // Another takes its place.
    stage = build(&options, &clock, stage.snapshot().unwrap());
    assert_eq!(stage.wake_at(), seconds(40));
    clock.set(Duration::from_secs(40));
    stage.wake(&mut out).unwrap();
    let second = ["2026-01-01T00:00:40Z|false|a|13|3", "2026-01-01T00:00:40Z|false|b|2|1"];
    assert_eq!(out.rows()[2..], second, "what did not change is there, too");
    stage.process(table(&[row("c", 16)]), &mut out).unwrap();
    clock.set(Duration::from_secs(41));
    finish(stage.as_mut(), &mut out).unwrap();
    let last = ["a|13|3", "b|2|1", "c|16|1"].map(|row| format!("2026-01-01T00:00:41Z|true|{row}"));
    assert_eq!(out.rows()[4..], last);
    assert_eq!(stage.wake_at(), None, "it is at its end");
}

#[test]
fn a_window_has_results_until_it_is_closed() {
    let clock = Arc::new(SimClock::new());
    for (window, ends) in [
        (json!({ "time": "at", "size": "10s" }), ["10", "20"]),
        (json!({ "time": "at", "gap": "4s" }), ["06", "16"]),
    ] {
        let start = clock.now().as_secs();
        let time = |add: u64| format!("2026-01-01T00:00:{:02}Z", start + add);
        let options = json!({ "every": "5s", "window": window, "select": { "sum": "sum(v)" } });
        let mut stage = build(&options, &clock, Snapshot::Stateless);
        let mut out = Collected::default();
        stage.process(table(&[(0, None, 1), (2, None, 2)]), &mut out).unwrap();
        clock.advance(Duration::from_secs(5));
        stage.wake(&mut out).unwrap();
        clock.advance(Duration::from_secs(1));
        stage.process(table(&[(10, None, 4), (12, None, 8)]), &mut out).unwrap();
        clock.advance(Duration::from_secs(4));
        stage.wake(&mut out).unwrap();
        finish(stage.as_mut(), &mut out).unwrap();
        let line = |add, last: bool, begin: &str, end: &str, sum: i64| {
            format!("{}|{last}|1970-01-01T00:00:{begin}|1970-01-01T00:00:{end}|{sum}", time(add))
        };
        let expected = [
            line(5, false, "00", ends[0], 3),
            line(6, true, "00", ends[0], 3),
            line(10, false, "10", ends[1], 12),
            line(10, true, "10", ends[1], 12),
        ];
        assert_eq!(out.rows(), expected);
    }
}

/// What happens to a stage.
#[derive(Debug, Clone)]
enum Step {
    Rows(Vec<Row>),
    Pass(u64),
    Wake,
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let row = (0..40_i64, prop::option::of("[abc]"), 0..9_i64);
    let step = prop_oneof![
        3 => prop::collection::vec(row, 0..8).prop_map(Step::Rows),
        2 => (0..12_u64).prop_map(Step::Pass),
        2 => Just(Step::Wake),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 0..25).prop_map(|mut steps| {
        // Times of events go on, by and large.
        for (n, step) in (0..).zip(&mut steps) {
            if let Step::Rows(rows) = step {
                rows.iter_mut().for_each(|row| row.0 += n * 4);
            }
        }
        steps
    })
}

/// What a stage gives at the end of these rows.
fn all_of(options: &Value, rows: &[Row]) -> Vec<String> {
    let mut options = options.clone();
    options.as_object_mut().unwrap().remove("every");
    let mut stage = build(&options, &Arc::default(), Snapshot::Stateless);
    let mut out = Collected::default();
    for row in rows {
        stage.process(table(std::slice::from_ref(row)), &mut out).unwrap();
        while stage.holding() {
            stage.wake(&mut out).unwrap();
        }
    }
    finish(stage.as_mut(), &mut out).unwrap();
    let mut rows = out.rows();
    rows.sort();
    rows
}

/// Rows without what is said of the emission: those of open windows, and the final ones.
fn parts(out: &Collected) -> Vec<(String, bool, String)> {
    let rows = out.emitted.iter().flat_map(|batch| {
        let last = batch.column(1).as_boolean().clone();
        let rest: Vec<usize> = (2..batch.num_columns()).collect();
        let times = show(&batch.project(&[0]).unwrap());
        let rest = show(&batch.project(&rest).unwrap());
        (0..batch.num_rows()).map(move |n| (times[n].clone(), last.value(n), rest[n].clone()))
    });
    rows.collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    /// At each emission, what is final by then and what is told of the rest is what would come out
    /// if the input was at its end.
    #[test]
    fn results_so_far_are_those_of_the_rows_so_far(
        steps in steps(),
        window in prop_oneof![
            Just(Value::Null),
            Just(json!({ "time": "at", "size": "10s", "slide": "4s", "lateness": "5s" })),
            Just(json!({ "time": "at", "gap": "3s", "lateness": "8s", "late": "merge" })),
        ],
        keyed in any::<bool>(),
    ) {
        let mut options = json!({
            "every": "5s",
            "group_by": if keyed { json!(["k"]) } else { json!([]) },
            "select": {
                "n": "count(*)", "sum": "sum(v)", "few": "count(DISTINCT v)",
                "p": "approx_median(v)", "s": "array_agg(v ORDER BY v)",
            },
        });
        if !window.is_null() {
            options["window"] = window;
        }
        let clock = Arc::new(SimClock::new());
        let mut stage = build(&options, &clock, Snapshot::Stateless);
        let (mut out, mut rows, mut last) = (Collected::default(), Vec::new(), Vec::new());
        let mut fresh = false;
        for step in steps {
            match step {
                Step::Rows(new) => {
                    fresh |= !new.is_empty();
                    stage.process(table(&new), &mut out).unwrap();
                    rows.extend(new);
                }
                Step::Pass(time) => clock.advance(Duration::from_secs(time)),
                Step::Restart => stage = build(&options, &clock, stage.snapshot().unwrap()),
                Step::Wake => {}
            }
            // A stage that was restored tells again what it may have told, but no sooner.
            while stage.holding() {
                stage.wake(&mut out).unwrap();
                stage = build(&options, &clock, stage.snapshot().unwrap());
            }
            last.extend(parts(&std::mem::take(&mut out)).into_iter().map(|(_, is_final, row)| {
                assert!(is_final, "results so far come when they are due");
                row
            }));
            let due = stage.wake_at().is_some_and(|at| at <= clock.now());
            prop_assert!(!due || !rows.is_empty());
            if !due {
                continue;
            }
            stage.wake(&mut out).unwrap();
            while stage.holding() {
                prop_assert!(!stage.ready());
                stage = build(&options, &clock, stage.snapshot().unwrap());
                stage.wake(&mut out).unwrap();
            }
            let told = parts(&std::mem::take(&mut out));
            prop_assert!(told.iter().all(|row| !row.1 && row.0 == told[0].0));
            let mut all: Vec<String> = told.into_iter().map(|row| row.2).chain(last.clone()).collect();
            all.sort();
            prop_assert_eq!(all, all_of(&options, &rows));
            fresh = false;
        }
        prop_assert!(!fresh || stage.wake_at().is_some(), "rows that came are told of");
        finish(stage.as_mut(), &mut out).unwrap();
        let told = parts(&out);
        prop_assert!(told.iter().all(|row| row.1));
        let mut all: Vec<String> = told.into_iter().map(|row| row.2).chain(last).collect();
        all.sort();
        prop_assert_eq!(all, all_of(&options, &rows));
    }
}

#[test]
fn its_columns_are_told() {
    let with = |options: Value| {
        let mut all = json!({ "every": "1s", "group_by": ["k"], "select": { "n": "count(*)" } });
        all.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
        all
    };
    let window = json!({ "time": "at", "size": "10s" });
    let planned = plan("aggregate", &with(json!({ "window": window })), &table(&[]).schema());
    let output = planned.unwrap().output;
    let names: Vec<_> = output.fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(names, ["emitted_at", "is_final", "window_start", "window_end", "k", "n"]);
    for (options, at, message) in [
        (
            json!({ "every": "0s" }),
            "every",
            "there must be a millisecond between results at the least",
        ),
        (
            json!({ "select": { "is_final": "count(*)" } }),
            "select.is_final",
            "`is_final` is a column of `every` already",
        ),
        (
            json!({ "group_by": { "emitted_at": "k" } }),
            "group_by",
            "`emitted_at` is a column of `every`",
        ),
    ] {
        let error = plan_error("aggregate", with(options), &table(&[]));
        assert_eq!((error.option_path(), error.message()), (Some(at), message));
    }
}
