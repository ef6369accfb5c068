//! Sessions: which rows they have, when they close, and what becomes of rows that come too late.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of a test fails the test")]

mod common;

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow_array::{
    ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray, TimestampSecondArray,
};
use common::{Collected, batch, build, finish, plan_error, show};
use gristmill_stage::{Snapshot, State, Transform};
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
        "select": {
            "n": "count(*)", "sum": "sum(v)", "distinct": "count(DISTINCT v)",
            "first": "min(v)", "all": "array_agg(v ORDER BY v)", "few": "sum(v) FILTER (WHERE v > 2)",
        },
    })
}

/// Wakes a stage until it takes rows again; it is stopped and restored after each call if so asked.
fn settle(
    stage: &mut Box<dyn Transform>,
    out: &mut Collected,
    make: &dyn Fn(Snapshot) -> Box<dyn Transform>,
    restart: bool,
) {
    loop {
        if restart {
            let snapshot = stage.snapshot().unwrap();
            *stage = make(snapshot);
        }
        if !stage.holding() {
            return;
        }
        assert!(!stage.ready(), "it takes no rows while it holds some back");
        let before = out.emitted.len();
        stage.wake(out).unwrap();
        assert!(out.emitted.len() <= before + 1, "one batch per call");
    }
}

/// Rows in batches of `size`.
fn run(options: &Value, rows: &RecordBatch, size: usize, restart: bool) -> Collected {
    let make = |snapshot| build("aggregate", options, &rows.schema(), snapshot, 3).unwrap();
    let mut stage = make(Snapshot::Stateless);
    let mut out = Collected::default();
    for start in (0..rows.num_rows()).step_by(size) {
        assert!(stage.ready());
        stage.process(rows.slice(start, size.min(rows.num_rows() - start)), &mut out).unwrap();
        settle(&mut stage, &mut out, &make, restart);
    }
    finish(stage.as_mut(), &mut out).unwrap();
    out
}

#[derive(Debug, Clone, Copy)]
struct Rules {
    gap: i64,
    lateness: i64,
    merge: bool,
}

/// A session as the rows that it has, each with the time at which it counts.
type Open = Vec<(i64, i64)>;

/// Row by row: sessions as `start|end|key|…`, and the rejected rows.
fn naive(rows: &[Row], keyed: bool, rules: Rules) -> (Vec<String>, Vec<String>) {
    let Rules { gap, lateness, merge } = rules;
    let mut open: Vec<(Option<Option<String>>, Open)> = Vec::new();
    let (mut closed, mut rejected) = (Vec::new(), Vec::new());
    let mut latest: Option<i64> = None;
    let first = |rows: &Open| rows.iter().map(|row| row.0).min().unwrap();
    let last = |rows: &Open| rows.iter().map(|row| row.0).max().unwrap();
    for row in rows {
        let reject = |why: &str| format!("{} <- {why}", show(&table(std::slice::from_ref(row)))[0]);
        let Some(time) = row.0 else {
            rejected.push(reject("window.time: there is no time"));
            continue;
        };
        let watermark = latest.map_or(i64::MIN, |latest| latest - lateness);
        latest = latest.max(Some(time));
        let (over, still) = open.into_iter().partition(|(_, rows)| last(rows) + gap <= watermark);
        open = still;
        let over: Vec<_> = over;
        closed.extend(over);
        let key = keyed.then(|| row.1.clone());
        let near = |at: i64, (other, rows): &(_, Open)| {
            *other == key && first(rows) < at + gap && last(rows) + gap > at
        };
        let late = time + gap <= watermark && !open.iter().any(|one| near(time, one));
        if late && !merge {
            rejected.push(reject("window: it came after its session was closed"));
            continue;
        }
        let at = if late { watermark - gap + 1 } else { time };
        let (own, others): (Vec<_>, Vec<_>) = open.into_iter().partition(|one| near(at, one));
        open = others;
        let mut own: Open = own.into_iter().flat_map(|(_, rows)| rows).collect();
        own.push((at, row.2));
        open.push((key, own));
    }
    closed.extend(open);
    let time = |seconds: i64| {
        show(&table(&[(Some(seconds), None, 0)]))[0].split('|').next().unwrap().to_owned()
    };
    let line = |(key, rows): &(Option<Option<String>>, Open)| {
        let key = key.iter().map(|key| format!("|{}", key.as_deref().unwrap_or("∅")));
        let key: String = key.collect();
        let mut values: Vec<i64> = rows.iter().map(|row| row.1).collect();
        values.sort_unstable();
        let (sum, n) = (values.iter().sum::<i64>(), values.len());
        let few: Vec<i64> = values.iter().copied().filter(|value| *value > 2).collect();
        let few =
            if few.is_empty() { "∅".to_owned() } else { few.iter().sum::<i64>().to_string() };
        let distinct = values.iter().collect::<BTreeSet<_>>().len();
        let bounds = format!("{}|{}", time(first(rows)), time(last(rows) + gap));
        format!("{bounds}{key}|{n}|{sum}|{distinct}|{}|{values:?}|{few}", values[0])
    };
    (closed.iter().map(line).collect(), rejected)
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    // Times that grow, and jump back and forth.
    let row = (prop::option::weighted(0.95, -25..25_i64), prop::option::of("[ab]"), 0..4_i64);
    prop::collection::vec(row, 0..80).prop_map(|rows| {
        let place = |(n, row): (i64, Row)| (row.0.map(|jump| n * 2 + jump), row.1, row.2);
        (-20..).zip(rows).map(place).collect()
    })
}

fn rules() -> impl Strategy<Value = Rules> {
    (1..12_i64, 0..20_i64, any::<bool>()).prop_map(|(gap, lateness, merge)| Rules {
        gap,
        lateness,
        merge,
    })
}

fn window(rules: Rules) -> Value {
    json!({
        "time": "at", "gap": format!("{}s", rules.gap), "lateness": format!("{}s", rules.lateness),
        "late": if rules.merge { "merge" } else { "reject" },
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn as_row_by_row(
        rows in rows(),
        rules in rules(),
        keyed in any::<bool>(),
        batch in 1..30_usize,
        restart in any::<bool>(),
    ) {
        let options = options(window(rules), if keyed { json!(["k"]) } else { json!([]) });
        let (expected, rejected) = naive(&rows, keyed, rules);
        let (expected, rejected) = (sorted(expected), sorted(rejected));
        for (batch, restart) in [(1000, false), (batch, restart)] {
            let out = run(&options, &table(&rows), batch, restart);
            prop_assert_eq!(&sorted(out.rows()), &expected, "{}", options);
            prop_assert_eq!(&sorted(out.rejects()), &rejected, "{}", options);
        }
    }

    /// Each worker has groups of its own and the times of its own rows; one goes on from the
    /// snapshots of all.
    #[test]
    fn workers_add_up(rows in rows(), rules in rules(), at in 0..80_usize) {
        let rules = Rules { lateness: 200, ..rules };
        let options = options(window(rules), json!(["k"]));
        let make = |snapshot| build("aggregate", &options, &table(&[]).schema(), snapshot, 3).unwrap();
        let (mut out, mut parts) = (Collected::default(), Vec::new());
        let at = at.min(rows.len());
        for worker in [None, Some("a"), Some("b")] {
            let mut stage = make(Snapshot::Stateless);
            let own = rows[..at].iter().filter(|row| row.1.as_deref() == worker);
            let own: Vec<Row> = own.cloned().collect();
            stage.process(table(&own), &mut out).unwrap();
            let Snapshot::State(State { parts: own, .. }) = stage.snapshot().unwrap() else {
                panic!("no state")
            };
            parts.extend(own);
        }
        let mut stage = make(Snapshot::parts(1, parts));
        stage.process(table(&rows[at..]), &mut out).unwrap();
        finish(stage.as_mut(), &mut out).unwrap();
        let (expected, rejected) = naive(&rows, true, rules);
        prop_assert_eq!(sorted(out.rows()), sorted(expected));
        prop_assert_eq!(sorted(out.rejects()), sorted(rejected));
    }
}

#[test]
fn a_session_is_emitted_when_it_is_closed() {
    let row = |at: i64, key: &str, v: i64| (Some(at), Some(key.to_owned()), v);
    let window = json!({ "time": "at", "gap": "10s", "lateness": "5s" });
    let options = json!({ "window": window, "group_by": ["k"], "select": { "sum": "sum(v)" } });
    let schema = table(&[]).schema();
    let mut stage = build("aggregate", &options, &schema, Snapshot::Stateless, 100).unwrap();
    let mut out = Collected::default();
    let mut given = |rows: &[Row]| {
        stage.process(table(rows), &mut out).unwrap();
        std::mem::take(&mut out.emitted).iter().flat_map(show).collect::<Vec<_>>()
    };
    let line = |start: &str, end: &str, key: &str, sum: i64| {
        format!("1970-01-01T00:00:{start}|1970-01-01T00:00:{end}|{key}|{sum}")
    };
    assert!(given(&[row(1, "a", 1), row(10, "a", 2), row(20, "a", 4)]).is_empty());
    assert!(given(&[row(12, "b", 8)]).is_empty());
    assert!(given(&[row(11, "a", 16)]).is_empty(), "what was two sessions is one");
    assert!(
        given(&[row(26, "b", 32)]).is_empty(),
        "the end of the first of b is 22, and it may be 5 late"
    );
    assert_eq!(given(&[row(27, "b", 64)]), [line("12", "22", "b", 8)]);
    assert!(given(&[row(12, "b", 128)]).is_empty(), "its session is closed");
    assert!(given(&[row(12, "a", 256)]).is_empty(), "that of the other group is not");
    assert_eq!(given(&[row(40, "c", 512)]), [line("01", "30", "a", 279)]);
    finish(stage.as_mut(), &mut out).unwrap();
    let rest = sorted(out.rows());
    assert_eq!(rest, [line("26", "37", "b", 96), line("40", "50", "c", 512)], "the end closes all");
    assert_eq!(
        out.rejects(),
        ["1970-01-01T00:00:12|b|128 <- window: it came after its session was closed"]
    );
}

/// Far more sessions than are open at once, and one that goes on all the time.
#[test]
fn what_is_held_is_bounded_by_what_is_open() {
    const ROWS: i64 = 120_000;
    let times = (0..ROWS).map(|n| n * 10);
    let keys = (0..ROWS).map(|n| if n % 3 == 0 { -1 } else { n });
    let rows = batch([
        ("at", Arc::new(TimestampMillisecondArray::from_iter_values(times)) as ArrayRef),
        ("k", Arc::new(Int64Array::from_iter_values(keys))),
        ("v", Arc::new(Int64Array::from_iter_values(0..ROWS))),
    ]);
    let options = json!({
        "window": { "time": "at", "gap": "1s" }, "group_by": ["k"],
        "select": { "n": "count(*)", "sum": "sum(v)", "mean": "avg(v)" },
        "max_groups": 200,
    });
    let make = |snapshot| build("aggregate", &options, &rows.schema(), snapshot, 8192).unwrap();
    let mut stage = make(Snapshot::Stateless);
    let mut out = Collected::default();
    let mut held = 0;
    for start in (0..rows.num_rows()).step_by(50) {
        stage.process(rows.slice(start, 50), &mut out).unwrap();
        settle(&mut stage, &mut out, &make, false);
        if start % 20_000 == 0 {
            let Snapshot::State(state) = stage.snapshot().unwrap() else { panic!("no state") };
            held = held.max(state.parts.iter().map(|(_, part)| part.num_rows()).sum());
        }
    }
    finish(stage.as_mut(), &mut out).unwrap();
    let emitted = out.rows();
    assert_eq!(emitted.len(), 1 + ROWS as usize / 3 * 2);
    let long: Vec<_> = emitted.iter().filter(|line| line.contains("|-1|")).collect();
    let sum: i64 = (0..ROWS).step_by(3).sum();
    let mean = sum as f64 / (ROWS / 3) as f64;
    assert_eq!(
        long,
        [&format!("1970-01-01T00:00:00|1970-01-01T00:20:00.970|-1|{}|{sum}|{mean:?}", ROWS / 3)]
    );
    assert!(held < 1000, "{held} rows of states of what is open");
}

#[test]
fn sessions_that_cannot_be() {
    for (window, at, message) in [
        (json!({ "time": "at" }), "window", "nothing says how long a window is"),
        (
            json!({ "time": "at", "gap": "1s", "size": "1s" }),
            "window.gap",
            "a window cannot have both a `size` and a `gap`",
        ),
        (
            json!({ "time": "at", "gap": "1s", "slide": "1s" }),
            "window.slide",
            "sessions begin with their first row",
        ),
        (
            json!({ "time": "at", "gap": "0s" }),
            "window.gap",
            "there must be a gap between sessions",
        ),
        (
            json!({ "time": "at", "gap": "10ms" }),
            "window.gap",
            "the times of the rows have whole seconds only",
        ),
    ] {
        let error = plan_error("aggregate", options(window, json!(["k"])), &table(&[]));
        assert_eq!((error.option_path(), error.message()), (Some(at), message));
    }
}

#[test]
fn sessions_are_bounded_like_groups() {
    let rows: Vec<Row> = (0..20).map(|at| (Some(at * 2), None, 1)).collect();
    let mut options = options(json!({ "time": "at", "gap": "1s", "lateness": "1d" }), json!([]));
    options["max_groups"] = json!(10);
    let rows = table(&rows);
    let mut stage = build("aggregate", &options, &rows.schema(), Snapshot::Stateless, 3).unwrap();
    let error = stage.process(rows, &mut Collected::default()).unwrap_err();
    assert_eq!(error.message(), "there are more than 10 open sessions");
}

#[test]
fn times_at_the_ends_of_all_time() {
    let rows = [i64::MIN, i64::MAX, 0].map(|at| (Some(at), None, 1));
    let out =
        run(&options(json!({ "time": "at", "gap": "1s" }), json!([])), &table(&rows), 3, false);
    assert_eq!(out.rows(), ["1970-01-01T00:00:00|1970-01-01T00:00:01|1|1|1|1|[1]|∅"]);
    let far = out.rejected.iter().map(|(rows, why)| (rows.num_rows(), why.as_str()));
    assert_eq!(far.collect::<Vec<_>>(), [(2, "window.time: the time is too far off")]);
}
