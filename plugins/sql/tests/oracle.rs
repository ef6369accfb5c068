//! Random queries over random tables give what an interpreter gives that knows no columns: in one
//! batch or in several, stopped and restored, put together of the states of several workers, and in two steps.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails the test")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use common::{Collected, batch, build, finish, plan};
use gristmill_stage::{Snapshot, State, Steps};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Map, Value, json};

#[derive(Debug, Clone)]
struct Row {
    k: Option<String>,
    j: Option<i64>,
    f: Option<f64>,
    v: Option<i64>,
    s: Option<String>,
}

fn row() -> impl Strategy<Value = Row> {
    let float = select(vec![0.0, -0.0, f64::NAN, -f64::NAN, 1.5, f64::INFINITY, f64::NEG_INFINITY]);
    let value = prop_oneof![1 => Just(None), 5 => (-9..9_i64).prop_map(Some)];
    (
        prop::option::weighted(0.8, "[ab]{0,2}"),
        prop::option::weighted(0.8, -1..2_i64),
        prop::option::weighted(0.8, float),
        value,
        prop::option::weighted(0.7, "[xyz]{0,2}"),
    )
        .prop_map(|(k, j, f, v, s)| Row { k, j, f, v, s })
}

fn table(rows: &[Row]) -> RecordBatch {
    let texts = |of: fn(&Row) -> &Option<String>| -> ArrayRef {
        Arc::new(rows.iter().map(|row| of(row).clone()).collect::<StringArray>())
    };
    let numbers = |of: fn(&Row) -> Option<i64>| -> ArrayRef {
        Arc::new(rows.iter().map(of).collect::<Int64Array>())
    };
    batch([
        ("k", texts(|row| &row.k)),
        ("j", numbers(|row| row.j)),
        ("f", Arc::new(rows.iter().map(|row| row.f).collect::<Float64Array>())),
        ("v", numbers(|row| row.v)),
        ("s", texts(|row| &row.s)),
    ])
}

fn show(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "∅".to_owned(), |value| value.to_string())
}

/// One NaN, one zero.
fn float(value: f64) -> String {
    if value.is_nan() { "NaN".to_owned() } else { format!("{:?}", value + 0.0) }
}

/// A key in SQL, and of a row.
type Key = (&'static str, fn(&Row) -> String);

const KEYS: [Key; 5] = [
    ("k", |row| show(row.k.clone())),
    ("j", |row| show(row.j)),
    ("f", |row| show(row.f.map(float))),
    ("j + v", |row| show(row.j.zip(row.v).map(|(j, v)| j + v))),
    ("upper(k)", |row| show(row.k.as_ref().map(|k| k.to_uppercase()))),
];

/// A condition in SQL, and whether it is true of a row.
type Condition = (&'static str, fn(&Row) -> bool);

const CONDITIONS: [Condition; 8] = [
    ("", |_| true),
    ("v > 2", |row| row.v.is_some_and(|v| v > 2)),
    ("NOT (v > 2)", |row| row.v.is_some_and(|v| v <= 2)),
    ("k IS NULL OR v = 1", |row| row.k.is_none() || row.v == Some(1)),
    ("k = 'a' AND v IS NOT NULL", |row| row.k.as_deref() == Some("a") && row.v.is_some()),
    ("s LIKE 'x%'", |row| row.s.as_ref().is_some_and(|s| s.starts_with('x'))),
    ("j IN (0, 1)", |row| row.j.is_some_and(|j| j >= 0)),
    ("false", |_| false),
];

/// An aggregate in SQL, with `{}` where its filter stands, and of rows.
type Aggregate = (&'static str, fn(&[&Row]) -> String);

fn values(rows: &[&Row]) -> Vec<i64> {
    rows.iter().filter_map(|row| row.v).collect()
}

fn texts<'a>(rows: &[&'a Row]) -> Vec<&'a String> {
    rows.iter().filter_map(|row| row.s.as_ref()).collect()
}

fn some<T>(values: &[i64], of: impl Fn(&[i64]) -> T) -> Option<T> {
    (!values.is_empty()).then(|| of(values))
}

const AGGREGATES: [Aggregate; 18] = [
    ("count(*){}", |rows| rows.len().to_string()),
    ("count(v){}", |rows| values(rows).len().to_string()),
    ("count(s){}", |rows| texts(rows).len().to_string()),
    ("count(DISTINCT v){}", |rows| values(rows).iter().collect::<BTreeSet<_>>().len().to_string()),
    ("count(DISTINCT s){}", |rows| texts(rows).iter().collect::<BTreeSet<_>>().len().to_string()),
    ("sum(v){}", |rows| show(some(&values(rows), |v| v.iter().sum::<i64>()))),
    ("sum(DISTINCT v){}", |rows| {
        show(some(&values(rows), |v| v.iter().collect::<BTreeSet<_>>().into_iter().sum::<i64>()))
    }),
    ("sum(v / 4.0){}", |rows| {
        show(some(&values(rows), |v| float(v.iter().sum::<i64>() as f64 / 4.0)))
    }),
    ("avg(v){}", |rows| {
        show(some(&values(rows), |v| float(v.iter().sum::<i64>() as f64 / v.len() as f64)))
    }),
    ("min(v){}", |rows| show(values(rows).into_iter().min())),
    ("max(v){}", |rows| show(values(rows).into_iter().max())),
    ("min(s){}", |rows| show(texts(rows).into_iter().min())),
    ("max(s){}", |rows| show(texts(rows).into_iter().max())),
    ("bool_or(v > 5){}", |rows| show(some(&values(rows), |v| v.iter().any(|v| *v > 5)))),
    ("bool_and(v > 5){}", |rows| show(some(&values(rows), |v| v.iter().all(|v| *v > 5)))),
    ("bit_xor(v){}", |rows| show(some(&values(rows), |v| v.iter().fold(0, |a, b| a ^ b)))),
    ("median(v * 2){}", |rows| {
        let mut values = values(rows);
        values.sort_unstable();
        let half = values.len() / 2;
        let middle = |v: &[i64]| if v.len() % 2 == 1 { v[half] * 2 } else { v[half - 1] + v[half] };
        show(some(&values, |v| float(middle(v) as f64)))
    }),
    ("CASE WHEN count(v){} > 2 THEN 'many' ELSE 'few' END", |rows| {
        if values(rows).len() > 2 { "many" } else { "few" }.to_owned()
    }),
];

#[derive(Debug, Clone)]
struct Query {
    keys: Vec<usize>,
    /// Aggregates, each with a condition.
    select: Vec<(usize, usize)>,
}

fn query() -> impl Strategy<Value = Query> {
    let keys = subsequence((0..KEYS.len()).collect::<Vec<_>>(), 0..=3).prop_shuffle();
    let select = prop::collection::vec((0..AGGREGATES.len(), 0..CONDITIONS.len()), 1..7);
    (keys, select).prop_map(|(keys, select)| Query { keys, select })
}

impl Query {
    fn options(&self) -> Value {
        let named = |key: usize| (format!("key{key}"), json!(KEYS[key].0));
        let group_by: Map<String, Value> = self.keys.iter().map(|key| named(*key)).collect();
        let select = self.select.iter().enumerate().map(|(place, (aggregate, condition))| {
            let filter = match CONDITIONS[*condition].0 {
                "" => String::new(),
                condition => format!(" FILTER (WHERE {condition})"),
            };
            (format!("a{place}"), json!(AGGREGATES[*aggregate].0.replace("{}", &filter)))
        });
        json!({ "group_by": group_by, "select": select.collect::<Map<_, _>>() })
    }

    /// The groups, row by row.
    fn interpret(&self, rows: &[Row]) -> Vec<String> {
        let mut groups: BTreeMap<Vec<String>, Vec<&Row>> = BTreeMap::new();
        if self.keys.is_empty() {
            groups.insert(Vec::new(), Vec::new());
        }
        for row in rows {
            let key = self.keys.iter().map(|key| KEYS[*key].1(row)).collect();
            groups.entry(key).or_default().push(row);
        }
        let line = |(mut key, rows): (Vec<String>, Vec<&Row>)| {
            for (aggregate, condition) in &self.select {
                let kept = rows.iter().filter(|row| CONDITIONS[*condition].1(row));
                key.push(AGGREGATES[*aggregate].1(&kept.copied().collect::<Vec<_>>()));
            }
            key.join("|")
        };
        let mut lines: Vec<String> = groups.into_iter().map(line).collect();
        lines.sort();
        lines
    }
}

/// Deals the rows out to workers, each of which takes its rows in batches of `size` and may be
/// stopped after each; and puts their states together.
fn aggregate(query: &Query, rows: &[Row], workers: usize, size: usize, stop: bool) -> Vec<String> {
    let (options, all) = (query.options(), table(rows));
    let make = |snapshot| build("aggregate", &options, &all.schema(), snapshot, 5).unwrap();
    let mut stages: Vec<_> = (0..workers).map(|_| make(Snapshot::Stateless)).collect();
    let mut out = Collected::default();
    for (number, start) in (0..rows.len()).step_by(size).enumerate() {
        let stage = &mut stages[number % workers];
        stage.process(all.slice(start, size.min(rows.len() - start)), &mut out).unwrap();
        if stop {
            let snapshot = stage.snapshot().unwrap();
            *stage = make(snapshot);
        }
    }
    let mut last = stages.remove(0);
    if !stages.is_empty() {
        let states = std::iter::once(&mut last).chain(&mut stages).map(|stage| {
            let Snapshot::State(state) = stage.snapshot().unwrap() else { unreachable!() };
            state.parts
        });
        let parts = states.collect::<Vec<_>>().into_iter().flatten().collect();
        last = make(Snapshot::State(State { version: 1, parts }));
    }
    finish(last.as_mut(), &mut out).unwrap();
    assert!(out.rejects().is_empty(), "{:?}", out.rejects());
    let mut lines = out.rows();
    lines.sort();
    lines
}

/// As a plan does it with several workers: in two steps.
fn in_steps(query: &Query, rows: &[Row], workers: usize, size: usize, stop: bool) -> Vec<String> {
    let (whole, all) = (query.options(), table(rows));
    let steps = plan("aggregate", &whole, &all.schema()).unwrap().steps.unwrap();
    let first = Steps::options(&whole, &steps.first);
    let second = Steps::options(&whole, &steps.second);
    let states = plan("aggregate", &first, &all.schema()).unwrap().output;
    let gather = |snapshot| build("aggregate", &first, &all.schema(), snapshot, 5).unwrap();
    let mut stages: Vec<_> = (0..workers).map(|_| gather(Snapshot::Stateless)).collect();
    let mut between = Collected::default();
    for (number, start) in (0..rows.len()).step_by(size).enumerate() {
        let stage = &mut stages[number % workers];
        stage.process(all.slice(start, size.min(rows.len() - start)), &mut between).unwrap();
        if stop {
            let snapshot = stage.snapshot().unwrap();
            *stage = gather(snapshot);
        }
    }
    stages.iter_mut().for_each(|stage| finish(stage.as_mut(), &mut between).unwrap());
    assert!(between.rejects().is_empty(), "{:?}", between.rejects());
    let merge = |snapshot| build("aggregate", &second, &states, snapshot, 5).unwrap();
    let mut last = merge(Snapshot::Stateless);
    let mut out = Collected::default();
    for batch in between.emitted {
        assert_eq!(batch.schema(), states);
        last.process(batch, &mut out).unwrap();
        if stop {
            let snapshot = last.snapshot().unwrap();
            last = merge(snapshot);
        }
    }
    finish(last.as_mut(), &mut out).unwrap();
    let mut lines = out.rows();
    lines.sort();
    lines
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 350, ..ProptestConfig::default() })]

    #[test]
    fn as_row_by_row(
        query in query(),
        rows in prop::collection::vec(row(), 0..60),
        size in 1..20_usize,
        workers in 1..5_usize,
        stop in any::<bool>(),
    ) {
        let expected = query.interpret(&rows);
        prop_assert_eq!(&aggregate(&query, &rows, 1, 100, false), &expected, "{}", query.options());
        prop_assert_eq!(&aggregate(&query, &rows, 1, size, stop), &expected, "{}", query.options());
        prop_assert_eq!(&aggregate(&query, &rows, workers, size, stop), &expected, "{}", query.options());
        prop_assert_eq!(&in_steps(&query, &rows, workers, size, stop), &expected, "{}", query.options());
    }
}
