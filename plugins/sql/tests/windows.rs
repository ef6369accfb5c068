//! Windows on the time of events: which rows they have, when they close, and what becomes of rows
//! that come too late.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of a test fails the test")]

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampSecondArray};
use common::{Collected, batch, build, finish, plan, plan_error, show};
use gristmill_stage::{Partitioning, Snapshot};
use proptest::prelude::*;
use serde_json::{Value, json};

type Row = (Option<i64>, Option<String>, i64);

fn table(rows: &[Row]) -> RecordBatch {
    batch([
        (
            "at",
            Arc::new(rows.iter().map(|row| row.0).collect::<TimestampSecondArray>()) as ArrayRef,
        ),
        ("k", Arc::new(rows.iter().map(|row| row.1.clone()).collect::<StringArray>())),
        ("v", Arc::new(rows.iter().map(|row| Some(row.2)).collect::<Int64Array>())),
    ])
}

fn options(window: Value, group_by: Value) -> Value {
    json!({
        "window": window,
        "group_by": group_by,
        "select": { "n": "count(*)", "sum": "sum(v)", "distinct": "count(DISTINCT v)" },
    })
}

/// Rows in batches of `size`; the stage is stopped and restored after each if so asked.
fn run(options: &Value, rows: &RecordBatch, size: usize, restart: bool) -> Collected {
    let make = |snapshot| build("aggregate", options, &rows.schema(), snapshot, 3).unwrap();
    let mut stage = make(Snapshot::Stateless);
    let mut out = Collected::default();
    for start in (0..rows.num_rows()).step_by(size) {
        assert!(stage.ready());
        stage.process(rows.slice(start, size.min(rows.num_rows() - start)), &mut out).unwrap();
        loop {
            if restart {
                let snapshot = stage.snapshot().unwrap();
                stage = make(snapshot);
            }
            if !stage.holding() {
                break;
            }
            assert!(!stage.ready(), "it takes no rows while it holds some back");
            let before = out.emitted.len();
            stage.wake(&mut out).unwrap();
            assert!(out.emitted.len() <= before + 1, "one batch per call");
        }
    }
    finish(stage.as_mut(), &mut out).unwrap();
    out
}

struct Windows {
    size: i64,
    slide: i64,
    lateness: i64,
    merge: bool,
}

/// Row by row: groups of windows as `start|key|count|sum|distinct`, and the rejected rows.
fn naive(rows: &[Row], keyed: bool, windows: &Windows) -> (Vec<String>, Vec<String>) {
    let Windows { size, slide, lateness, merge } = *windows;
    let mut groups: BTreeMap<(i64, Option<Option<String>>), Vec<i64>> = BTreeMap::new();
    let mut rejected = Vec::new();
    let mut latest: Option<i64> = None;
    for row in rows {
        let reject = |why: &str| format!("{} <- {why}", show(&table(std::slice::from_ref(row)))[0]);
        let Some(time) = row.0 else {
            rejected.push(reject("window.time: there is no time"));
            continue;
        };
        let closed = latest.map_or(i64::MIN, |latest| latest - lateness);
        latest = latest.max(Some(time));
        let starts = (-200..400).map(|n| n * slide);
        let open: Vec<i64> = starts.filter(|start| start + size > closed).collect();
        let mut own: Vec<i64> =
            open.iter().copied().filter(|s| *s <= time && time < s + size).collect();
        if own.is_empty() && merge {
            own = vec![open[0]];
        }
        if own.is_empty() {
            rejected.push(reject("window: it came after its windows were closed"));
        }
        for start in own {
            groups.entry((start, keyed.then(|| row.1.clone()))).or_default().push(row.2);
        }
    }
    let time = |seconds: i64| {
        show(&table(&[(Some(seconds), None, 0)]))[0].split('|').next().unwrap().to_owned()
    };
    let line = |((start, key), values): (&(i64, Option<Option<String>>), &Vec<i64>)| {
        let key = key.iter().map(|key| format!("|{}", key.as_deref().unwrap_or("∅")));
        let mut distinct = values.clone();
        distinct.sort_unstable();
        distinct.dedup();
        let (sum, n) = (values.iter().sum::<i64>(), values.len());
        let key: String = key.collect();
        format!("{}|{}{key}|{n}|{sum}|{}", time(*start), time(start + size), distinct.len())
    };
    (groups.iter().map(line).collect(), rejected)
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    // Times that grow, and jump back and forth.
    let row = (prop::option::weighted(0.95, -25..25_i64), prop::option::of("[ab]"), 0..4_i64);
    prop::collection::vec(row, 0..80).prop_map(|rows| {
        let place = |(n, row): (i64, Row)| (row.0.map(|jump| n * 2 + jump), row.1, row.2);
        (-20..).zip(rows).map(place).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn as_row_by_row(
        rows in rows(),
        (size, slide) in (1..20_i64).prop_flat_map(|size| (Just(size), 1..=size)),
        lateness in 0..20_i64,
        merge in any::<bool>(),
        keyed in any::<bool>(),
        batch in 1..30_usize,
        restart in any::<bool>(),
    ) {
        let windows = Windows { size, slide, lateness, merge };
        let window = json!({
            "time": "at", "size": format!("{size}s"), "slide": format!("{slide}s"),
            "lateness": format!("{lateness}s"), "late": if merge { "merge" } else { "reject" },
        });
        let options = options(window, if keyed { json!(["k"]) } else { json!([]) });
        let (expected, rejected) = naive(&rows, keyed, &windows);
        let sorted = |mut lines: Vec<String>| { lines.sort(); lines };
        let (expected, rejected) = (sorted(expected), sorted(rejected));
        for (batch, restart) in [(1000, false), (batch, restart)] {
            let out = run(&options, &table(&rows), batch, restart);
            prop_assert_eq!(&sorted(out.rows()), &expected, "{}", options);
            prop_assert_eq!(&sorted(out.rejects()), &rejected, "{}", options);
        }
    }
}

#[test]
fn a_window_is_emitted_when_it_is_closed() {
    let row = |at: i64, v: i64| (Some(at), Some("a".to_owned()), v);
    let window = json!({ "time": "at", "size": "10s", "lateness": "5s" });
    let options = json!({ "window": window, "group_by": ["k"], "select": { "sum": "sum(v)" } });
    let schema = table(&[]).schema();
    let mut stage = build("aggregate", &options, &schema, Snapshot::Stateless, 100).unwrap();
    let mut out = Collected::default();
    let mut given = |rows: &[Row]| {
        stage.process(table(rows), &mut out).unwrap();
        std::mem::take(&mut out.emitted).iter().flat_map(show).collect::<Vec<_>>()
    };
    let line = |start: &str, end: &str, sum: i64| {
        vec![format!("1970-01-01T00:00:{start}|1970-01-01T00:00:{end}|a|{sum}")]
    };
    assert!(given(&[row(1, 1), row(9, 2)]).is_empty());
    assert!(given(&[row(14, 4)]).is_empty(), "a row may come 5 seconds late");
    assert!(given(&[row(3, 8)]).is_empty(), "and this one does");
    assert_eq!(given(&[row(15, 16)]), line("00", "10", 11));
    assert!(given(&[row(2, 32)]).is_empty(), "its window is closed");
    assert_eq!(given(&[row(40, 64)]), line("10", "20", 20));
    finish(stage.as_mut(), &mut out).unwrap();
    assert_eq!(out.rows(), line("40", "50", 64), "the end closes all");
    assert_eq!(
        out.rejects(),
        ["1970-01-01T00:00:02|a|32 <- window: it came after its windows were closed"]
    );
}

#[test]
fn bounds_are_columns() {
    let schema = table(&[]).schema();
    let window = json!({ "time": "at", "size": "10s" });
    let with = |group_by: Value, select: Value| json!({ "window": window, "group_by": group_by, "select": select });
    let select = json!({ "half": "window_start + interval '5 seconds'", "n": "count(*)" });
    let planned = plan("aggregate", &with(json!(["k"]), select), &schema).unwrap();
    let names: Vec<_> = planned.output.fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(names, ["window_start", "window_end", "k", "half", "n"]);
    assert_eq!(planned.partitioning, Partitioning::Keyed(vec!["k".to_owned()]));

    let taken = with(json!(["k"]), json!({ "window_end": "count(*)" }));
    let error = plan_error("aggregate", taken, &table(&[]));
    assert_eq!(error.message(), "`window_end` is a column of the window already");
    let taken = with(json!({ "window_start": "k" }), json!({}));
    let error = plan_error("aggregate", taken, &table(&[]));
    assert_eq!(error.message(), "`window_start` is a column of the window");
}

#[test]
fn windows_that_cannot_be() {
    for (window, at, message) in [
        (json!({ "time": "v", "size": "1s" }), "window.time", "it is a int64, not a timestamp"),
        (json!({ "time": "nope", "size": "1s" }), "window.time", "there is no column `nope`"),
        (json!({ "time": "at", "size": "0s" }), "window.size", "a window must have a length"),
        (
            json!({ "time": "at", "size": "1500ms" }),
            "window.size",
            "the times of the rows have whole seconds only",
        ),
        (
            json!({ "time": "at", "size": "1s", "slide": "2s" }),
            "window.slide",
            "rows between the windows would get lost",
        ),
        (
            json!({ "time": "at", "size": "1d", "slide": "1s" }),
            "window.slide",
            "a row would belong to 86400 windows at once",
        ),
        (
            json!({ "time": "at", "size": "1s", "slide": "0s" }),
            "window.slide",
            "windows must begin some time after each other",
        ),
    ] {
        let error = plan_error("aggregate", options(window, json!(["k"])), &table(&[]));
        assert_eq!((error.option_path(), error.message()), (Some(at), message));
    }
}

#[test]
fn times_at_the_ends_of_all_time() {
    let rows = [i64::MIN, i64::MAX, 0].map(|at| (Some(at), None, 1));
    let out =
        run(&options(json!({ "time": "at", "size": "1s" }), json!([])), &table(&rows), 3, false);
    assert_eq!(out.rows(), ["1970-01-01T00:00:00|1970-01-01T00:00:01|1|1|1"]);
    let far = out.rejected.iter().map(|(rows, why)| (rows.num_rows(), why.as_str()));
    assert_eq!(far.collect::<Vec<_>>(), [(2, "window.time: the time is too far off")]);
}

#[test]
fn windows_are_bounded_like_groups() {
    let rows: Vec<Row> = (0..20).map(|at| (Some(at), None, 1)).collect();
    let mut options = options(json!({ "time": "at", "size": "1s", "lateness": "1d" }), json!([]));
    options["max_groups"] = json!(10);
    let rows = table(&rows);
    let mut stage = build("aggregate", &options, &rows.schema(), Snapshot::Stateless, 3).unwrap();
    let error = stage.process(rows, &mut Collected::default()).unwrap_err();
    assert_eq!(error.message(), "there are more than 10 groups in open windows");
}
