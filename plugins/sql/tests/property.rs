//! However the rows are split into batches, and wherever the stage is stopped and restored, the
//! result is that of a plain loop over a map.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails the test")]

mod common;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use common::{Collected, batch, build, finish};
use gristmill_stage::Snapshot;
use proptest::prelude::*;
use serde_json::{Value, json};

type Row = (Option<String>, Option<i64>, Option<i64>);

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let key = prop_oneof![Just(None), "[abc]{0,2}".prop_map(Some)];
    let value = prop_oneof![1 => Just(None), 4 => (-50..50_i64).prop_map(Some)];
    prop::collection::vec((key, prop::option::of(0..3_i64), value), 0..200)
}

fn to_batch(rows: &[Row]) -> RecordBatch {
    batch([
        ("k", Arc::new(rows.iter().map(|r| r.0.clone()).collect::<StringArray>()) as ArrayRef),
        ("j", Arc::new(rows.iter().map(|r| r.1).collect::<Int64Array>())),
        ("v", Arc::new(rows.iter().map(|r| r.2).collect::<Int64Array>())),
        ("f", Arc::new(rows.iter().map(|r| r.2.map(|v| v as f64 / 4.0)).collect::<Float64Array>())),
    ])
}

#[derive(Default)]
struct Group {
    rows: i64,
    values: Vec<i64>,
    odd: i64,
}

fn show(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "∅".to_owned(), |v| v.to_string())
}

/// The same by hand, in the order of first appearance.
fn naive(rows: &[Row], keys: impl Fn(&Row) -> String) -> Vec<String> {
    let mut order = Vec::new();
    let mut groups: HashMap<String, Group> = HashMap::new();
    for row in rows {
        let key = keys(row);
        let group = groups.entry(key.clone()).or_insert_with(|| {
            order.push(key);
            Group::default()
        });
        group.rows += 1;
        group.odd += i64::from(row.2.is_some_and(|v| v % 2 != 0));
        group.values.extend(row.2);
    }
    let line = |key: &String| {
        let Group { rows, values, odd } = &groups[key];
        let some = !values.is_empty();
        let sum: i64 = values.iter().sum();
        let distinct = values.iter().collect::<HashSet<_>>().len();
        let mean = sum as f64 / values.len() as f64;
        let half = values.iter().map(|v| *v as f64 / 4.0).reduce(f64::min);
        [
            key.clone(),
            rows.to_string(),
            values.len().to_string(),
            show(some.then_some(sum)),
            show(some.then(|| format!("{mean:?}"))),
            show(values.iter().min()),
            show(values.iter().max()),
            distinct.to_string(),
            odd.to_string(),
            show(half.map(|v| format!("{v:?}"))),
        ]
        .join("|")
    };
    order.iter().map(line).collect()
}

fn options(group_by: Value) -> Value {
    json!({ "group_by": group_by, "select": {
        "rows": "count(*)", "n": "count(v)", "sum": "sum(v)", "mean": "avg(v)",
        "min": "min(v)", "max": "max(v)", "distinct": "count(distinct v)",
        "odd": "count(*) filter (where v % 2 <> 0)", "half": "min(f)",
    } })
}

/// Runs in batches of the given sizes; after the batches named in `stops` the stage is asked for a
/// snapshot, and thrown away for a restored one where that says so.
fn pieces(options: &Value, rows: &[Row], sizes: &[usize], stops: &[(usize, bool)]) -> Vec<String> {
    let all = to_batch(rows);
    let make = |snapshot| build("aggregate", options, &all.schema(), snapshot, 7).unwrap();
    let mut stage = make(Snapshot::Stateless);
    let mut out = Collected::default();
    let (mut start, mut count) = (0, 0);
    while start < rows.len() {
        let size = sizes[count % sizes.len()].min(rows.len() - start);
        stage.process(all.slice(start, size), &mut out).unwrap();
        start += size;
        count += 1;
        for (_, rebuild) in stops.iter().filter(|(after, _)| *after == count) {
            let snapshot = stage.snapshot().unwrap();
            if *rebuild {
                stage = make(snapshot);
            }
        }
    }
    finish(stage.as_mut(), &mut out).unwrap();
    out.rows()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn splits_and_stops_change_nothing(
        rows in rows(),
        sizes in prop::collection::vec(1..40_usize, 1..6),
        stops in prop::collection::vec((0..20_usize, any::<bool>()), 0..4),
    ) {
        type Key = fn(&Row) -> String;
        let cases: [(Value, Key); 3] = [
            (json!(["k"]), |r| show(r.0.clone())),
            (json!(["j"]), |r| show(r.1)),
            (json!(["k", "j"]), |r| format!("{}|{}", show(r.0.clone()), show(r.1))),
        ];
        for (group_by, key) in cases {
            let options = options(group_by);
            let expected = naive(&rows, key);
            prop_assert_eq!(&pieces(&options, &rows, &[1000], &[]), &expected);
            prop_assert_eq!(&pieces(&options, &rows, &sizes, &stops), &expected);
        }
    }
}

/// Functions whose result is the same after a snapshot to the last bit.
const FUNCTIONS: [&str; 22] = [
    "count(*)",
    "count(distinct k)",
    "sum(v)",
    "sum(distinct v)",
    "avg(v)",
    "avg(distinct v)",
    "min(k)",
    "max(f)",
    "median(v)",
    "percentile_cont(v, 0.3)",
    "array_agg(v)",
    "array_agg(distinct v order by v)",
    "array_agg(v order by f, k)",
    "first_value(v)",
    "last_value(k)",
    "first_value(v order by v, k)",
    "string_agg(k, ',')",
    "bool_and(v > -40)",
    "bit_xor(v)",
    "approx_distinct(v)",
    "nth_value(v, 3)",
    "any_value(k) is null",
];

#[test]
fn every_function_survives_a_stop() {
    let rows: Vec<Row> = (0..300_i64)
        .map(|n| {
            let key = (n % 7 != 0).then(|| format!("k{}", n % 5));
            (key, Some(n % 3), (n % 11 != 0).then_some((n * 37) % 101 - 50))
        })
        .collect();
    for function in FUNCTIONS {
        for group_by in [json!([]), json!(["j"]), json!(["k", "j"])] {
            let options = json!({ "group_by": group_by, "select": { "x": function } });
            let whole = pieces(&options, &rows, &[300], &[]);
            let stopped =
                pieces(&options, &rows, &[13], &[(1, false), (2, true), (9, true), (9, false)]);
            assert_eq!(whole, stopped, "{options}");
        }
    }
}
