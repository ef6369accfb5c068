//! The most frequent values: exact while there are few, within their bound always.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of a test fails the test")]

mod common;

use std::collections::BTreeMap;
use std::slice::from_ref;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use common::{Collected, batch, build, finish, plan_error, run};
use gristmill_stage::{Snapshot, State};
use proptest::prelude::*;
use serde_json::{Value, json};

fn texts(values: &[Option<&str>]) -> RecordBatch {
    let values: StringArray = values.iter().copied().collect();
    batch([("v", Arc::new(values) as ArrayRef)])
}

fn select(expression: &str) -> Value {
    json!({ "select": { "top": expression } })
}

#[test]
fn the_most_frequent_come_first() {
    let rows = texts(&[Some("b"), Some("a"), None, Some("c"), Some("b"), Some("a"), None, None]);
    let out = run("aggregate", select("approx_top_k(v, 2)"), from_ref(&rows));
    assert_eq!(out.rows(), ["[{value: a, count: 2, error: 0}, {value: b, count: 2, error: 0}]"]);
    let filtered = select("approx_top_k(v, 5) FILTER (WHERE v <> 'a')");
    let out = run("aggregate", filtered, from_ref(&rows));
    assert_eq!(out.rows(), ["[{value: b, count: 2, error: 0}, {value: c, count: 1, error: 0}]"]);
    let out = run("aggregate", select("approx_top_k(v, 5)"), &[rows.slice(0, 0)]);
    assert_eq!(out.rows(), ["[]"]);
    let most = run("aggregate", select("approx_top_k(v, 1)[1]['count'] * 10"), &[rows]);
    assert_eq!(most.rows(), ["20"]);
}

#[test]
fn values_of_any_type() {
    let numbers = Float64Array::from(vec![f64::NAN, -0.0, 0.0, -f64::NAN, f64::NAN]);
    let rows = batch([("v", Arc::new(numbers) as ArrayRef)]);
    let out = run("aggregate", select("approx_top_k(v, 2)"), &[rows]);
    assert_eq!(
        out.rows(),
        ["[{value: NaN, count: 3, error: 0}, {value: 0.0, count: 2, error: 0}]"]
    );
}

#[test]
fn what_it_takes_is_checked_before_a_run() {
    let rows = texts(&[]);
    for (expression, told) in [
        ("approx_top_k(v)", "how many"),
        ("approx_top_k(v, 0)", "0 values to return are not between 1 and 10000"),
        ("approx_top_k(v, 10, 9)", "9 counters are not between 10 and 1000000"),
        ("approx_top_k(DISTINCT v, 3)", "cannot have DISTINCT"),
        ("approx_top_k(v, length(v))", "the number of values to return is a constant"),
    ] {
        let error = plan_error("aggregate", select(expression), &rows);
        assert!(error.message().contains(told), "{expression}: {}", error.message());
        assert_eq!(error.option_path(), Some("select.top"));
    }
}

/// Groups with their values.
fn table(rows: &[(i64, i64)]) -> RecordBatch {
    let column = |of: fn(&(i64, i64)) -> i64| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(rows.iter().map(of)))
    };
    batch([("g", column(|row| row.0)), ("v", column(|row| row.1))])
}

/// Value, count and error of what is told of each group.
fn told(out: &Collected) -> BTreeMap<i64, Vec<(i64, i64, i64)>> {
    let mut told = BTreeMap::new();
    for batch in &out.emitted {
        let groups = batch.column(0).as_primitive::<Int64Type>();
        for (row, group) in groups.values().iter().enumerate() {
            let list = batch.column(1).as_list::<i32>().value(row);
            let parts = list.as_struct();
            let part = |n: usize| parts.column(n).as_primitive::<Int64Type>().clone();
            let (values, counts, errors) = (part(0), part(1), part(2));
            let each = (0..list.len()).map(|n| (values.value(n), counts.value(n), errors.value(n)));
            assert!(told.insert(*group, each.collect()).is_none());
        }
    }
    told
}

/// Few values are frequent, many are rare.
fn rows() -> impl Strategy<Value = Vec<(i64, i64)>> {
    let value = prop_oneof![2 => 0..4_i64, 1 => 0..20_i64, 2 => 0..1000_i64];
    prop::collection::vec((0..2_i64, value), 0..600)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn counts_are_within_their_bound(
        rows in rows(),
        k in 1..8_usize,
        more in 0..20_usize,
        size in 1..200_usize,
        cut in 0..600_usize,
    ) {
        let counters = k + more;
        let options = json!({
            "group_by": ["g"], "select": { "top": format!("approx_top_k(v, {k}, {counters})") },
        });
        let schema = table(&[]).schema();
        let make = |snapshot| build("aggregate", &options, &schema, snapshot, 100).unwrap();
        let once = told(&run("aggregate", options.clone(), &[table(&rows)]));

        // In batches, with another that takes its place in between, all is the same.
        let (mut stage, mut out) = (make(Snapshot::Stateless), Collected::default());
        for part in rows.chunks(size) {
            stage.process(table(part), &mut out).unwrap();
            stage = make(stage.snapshot().unwrap());
        }
        finish(stage.as_mut(), &mut out).unwrap();
        prop_assert_eq!(told(&out), once.clone());

        // Two parts, and one that adds them up.
        let (first, second) = rows.split_at(cut.min(rows.len()));
        let parts = [first, second].map(|part| {
            let mut stage = make(Snapshot::Stateless);
            stage.process(table(part), &mut Collected::default()).unwrap();
            match stage.snapshot().unwrap() {
                Snapshot::State(State { parts, .. }) => parts,
                other => panic!("{other:?}"),
            }
        });
        let (mut stage, mut out) = (make(Snapshot::parts(1, parts.concat())), Collected::default());
        finish(stage.as_mut(), &mut out).unwrap();

        for told in [once, told(&out)] {
            let mut exact: BTreeMap<i64, BTreeMap<i64, i64>> = BTreeMap::new();
            for (group, value) in &rows {
                *exact.entry(*group).or_default().entry(*value).or_default() += 1;
            }
            prop_assert_eq!(told.keys().collect::<Vec<_>>(), exact.keys().collect::<Vec<_>>());
            for (group, exact) in exact {
                let top = &told[&group];
                let all: i64 = exact.values().sum();
                prop_assert!(top.len() <= k);
                prop_assert!(top.windows(2).all(|two| two[0].1 >= two[1].1), "{:?}", top);
                for (value, count, error) in top {
                    let exact = exact.get(value).copied().unwrap_or(0);
                    prop_assert!(exact <= *count && count - error <= exact, "{} is {}", value, exact);
                    prop_assert!(error * counters as i64 <= all, "{} of {}", error, all);
                }
                let missed = exact.iter().filter(|(value, _)| top.iter().all(|own| own.0 != **value));
                let least = if top.len() < k { all / counters as i64 } else { top[k - 1].1 };
                for (value, count) in missed {
                    prop_assert!(*count <= least, "{} of {} was missed: {:?}", count, value, top);
                }
                if exact.len() <= 2 * counters {
                    prop_assert!(top.iter().all(|own| own.2 == 0), "all could be kept: {:?}", top);
                }
            }
        }
    }
}
