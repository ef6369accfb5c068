//! Approximate quantiles are near the exact ones by rank, and the same to the last bit however the
//! rows come in batches and wherever the stage is stopped and restored.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails the test")]

mod common;

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef, Float64Array, Int64Array, RecordBatch};
use common::{Collected, batch, build, finish, run};
use gristmill_stage::{Snapshot, State};
use proptest::prelude::*;
use serde_json::{Value, json};

const SHARES: [f64; 9] = [0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0];

/// How far from its rank, as a share of all, a quantile may be with `centroids`: what the two
/// centroids around it hold, and that grows toward the middle.
fn bound(share: f64, centroids: f64) -> f64 {
    8.0 * (share.min(1.0 - share) / 2.0).sqrt() / centroids + 4.0 / (centroids * centroids)
}

/// How far a value is from a rank among `sorted` values with their weights, as a share of all.
fn distance(value: f64, share: f64, sorted: &[(f64, f64)]) -> f64 {
    let weight = |keep: &dyn Fn(f64) -> bool| -> f64 {
        sorted.iter().filter(|(other, _)| keep(*other)).map(|(_, weight)| weight).sum()
    };
    let (all, below, upto) = (weight(&|_| true), weight(&|x| x < value), weight(&|x| x <= value));
    let rank = share * all;
    (below - rank).max(rank - upto).max(0.0) / all
}

/// Values of many shapes; those of `draws` give each its place.
fn values(shape: usize, draws: &[u32]) -> Vec<f64> {
    let unit = |draw: u32| f64::from(draw) / f64::from(u32::MAX);
    let of = |(index, draw): (usize, &u32)| match shape {
        0 => unit(*draw),
        1 => -(1.0 - unit(*draw)).max(1e-12).ln() * 100.0,
        2 => f64::from(draw % 7),
        3 => index as f64,
        4 => -(index as f64),
        5 => (unit(*draw) * 40.0 - 20.0).exp(),
        _ => {
            if draw % 10 == 0 {
                unit(*draw) * 1e6
            } else {
                unit(*draw)
            }
        }
    };
    draws.iter().enumerate().map(of).collect()
}

fn table(values: &[f64], draws: &[u32]) -> RecordBatch {
    let weights = draws.iter().map(|draw| i64::from(draw % 5));
    batch([
        (
            "group",
            Arc::new(Int64Array::from_iter_values((0..).take(values.len()).map(|n| n % 2)))
                as ArrayRef,
        ),
        ("x", Arc::new(Float64Array::from(values.to_vec()))),
        ("w", Arc::new(Int64Array::from_iter_values(weights))),
    ])
}

fn options(of: impl Fn(f64) -> String) -> Value {
    let select: serde_json::Map<String, Value> =
        SHARES.iter().map(|share| (format!("q{share}"), json!(of(*share)))).collect();
    json!({ "group_by": ["group"], "select": select })
}

/// In batches of these sizes, stopped and restored after each if so asked.
fn pieces(options: &Value, rows: &RecordBatch, sizes: &[usize], restart: bool) -> Vec<RecordBatch> {
    let mut stage = build("aggregate", options, &rows.schema(), Snapshot::Stateless, 100).unwrap();
    let mut out = Collected::default();
    let (mut start, mut sizes) = (0, sizes.iter().cycle());
    while start < rows.num_rows() {
        let size = (*sizes.next().unwrap()).min(rows.num_rows() - start);
        stage.process(rows.slice(start, size), &mut out).unwrap();
        start += size;
        if restart {
            let snapshot = stage.snapshot().unwrap();
            stage = build("aggregate", options, &rows.schema(), snapshot, 100).unwrap();
        }
    }
    finish(stage.as_mut(), &mut out).unwrap();
    out.emitted
}

fn assert_near(results: &[RecordBatch], rows: &RecordBatch, weighted: bool, centroids: f64) {
    let column =
        |name: &str| arrow_cast::cast(&rows[name], &arrow_schema::DataType::Float64).unwrap();
    let column = |name: &str| column(name).as_primitive::<Float64Type>().clone();
    let (groups, numbers, weights) = (column("group"), column("x"), column("w"));
    for result in results {
        for row in 0..result.num_rows() {
            let group = result.column(0).as_primitive::<arrow_array::types::Int64Type>().value(row);
            let own = (0..rows.num_rows()).filter(|at| groups.value(*at) as i64 == group);
            let own: Vec<(f64, f64)> = own
                .map(|at| (numbers.value(at), if weighted { weights.value(at) } else { 1.0 }))
                .filter(|(_, weight)| *weight > 0.0)
                .collect();
            for (share, column) in SHARES.iter().zip(&result.columns()[1..]) {
                let column = column.as_primitive::<Float64Type>();
                assert_eq!(column.is_null(row), own.is_empty());
                if own.is_empty() {
                    continue;
                }
                let (value, all) = (column.value(row), own.iter().map(|x| x.1).sum::<f64>());
                let heaviest = own.iter().map(|x| x.1).fold(0.0, f64::max);
                let far = distance(value, *share, &own);
                let most = bound(*share, centroids) + heaviest / all;
                assert!(
                    far <= most,
                    "{value} at {share} of {}: off by {far}, not {most}",
                    own.len()
                );
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn near_by_rank_whatever_the_batches(
        shape in 0..7_usize,
        draws in prop::collection::vec(any::<u32>(), 1..3000),
        sizes in prop::collection::vec(100..900_usize, 1..5),
        workers in 2..4_usize,
    ) {
        let rows = table(&values(shape, &draws), &draws);
        for (weighted, centroids, function) in [
            (false, 100.0, "approx_percentile_cont(x, "),
            (false, 400.0, "approx_percentile_cont(x, "),
            (true, 100.0, "approx_percentile_cont_with_weight(x, w, "),
        ] {
            let options = options(|share| format!("{function}{share}, {centroids})"));
            let whole = pieces(&options, &rows, &[rows.num_rows()], false);
            assert_near(&whole, &rows, weighted, centroids);
            prop_assert_eq!(&pieces(&options, &rows, &sizes, false), &whole);
            prop_assert_eq!(&pieces(&options, &rows, &sizes, true), &whole);
            assert_near(&merged(&options, &rows, workers), &rows, weighted, centroids);
        }
    }
}

/// What comes of the states of several workers together.
fn merged(options: &Value, rows: &RecordBatch, workers: usize) -> Vec<RecordBatch> {
    let mut parts = Vec::new();
    let share = rows.num_rows().div_ceil(workers);
    for start in (0..rows.num_rows()).step_by(share) {
        let mut stage =
            build("aggregate", options, &rows.schema(), Snapshot::Stateless, 9).unwrap();
        let part = rows.slice(start, share.min(rows.num_rows() - start));
        stage.process(part, &mut Collected::default()).unwrap();
        let Snapshot::State(state) = stage.snapshot().unwrap() else { unreachable!() };
        parts.extend(state.parts);
    }
    let all = Snapshot::State(State { version: 1, parts });
    let mut stage = build("aggregate", options, &rows.schema(), all, 100).unwrap();
    let mut out = Collected::default();
    finish(stage.as_mut(), &mut out).unwrap();
    out.emitted
}

fn one(function: &str, values: Vec<Option<f64>>, weights: Vec<Option<f64>>) -> String {
    let rows = batch([
        ("x", Arc::new(Float64Array::from(values)) as ArrayRef),
        ("w", Arc::new(Float64Array::from(weights))),
    ]);
    run("aggregate", json!({ "select": { "q": function } }), &[rows]).rows().remove(0)
}

#[test]
fn what_is_no_number() {
    const INF: f64 = f64::INFINITY;
    let beyond =
        || vec![Some(f64::NAN), Some(1.0), None, Some(INF), Some(-INF), Some(2.0), Some(INF)];
    for (share, expected) in [
        (0.0, "-inf"),
        (0.1, "-inf"),
        (0.3, "1."),
        (0.6, "inf"),
        (0.8, "inf"),
        (0.9, "NaN"),
        (1.0, "NaN"),
    ] {
        let function = format!("approx_percentile_cont(x, {share})");
        let found = one(&function, beyond(), vec![None; 7]);
        assert!(found.starts_with(expected), "{function}: {found}");
        // A weight that is nothing to count does not count.
        let weights = [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0].map(Some).to_vec();
        let function = format!("approx_percentile_cont_with_weight(x, w, {share})");
        let found = one(&function, beyond(), weights);
        assert!(found.starts_with(expected), "{function}: {found}");
    }
    let weights = vec![Some(1.0), Some(f64::NAN), Some(-1.0), Some(0.0), Some(INF), None];
    let values: Vec<_> = (1..=6).map(|n| Some(f64::from(n))).collect();
    assert_eq!(one("approx_percentile_cont_with_weight(x, w, 1)", values, weights), "1.0");
    assert_eq!(one("approx_median(x)", vec![None], vec![None]), "∅");
    assert_eq!(one("approx_median(x)", vec![Some(-INF)], vec![None]), "-inf");
    assert_eq!(one("approx_median(x)", vec![Some(INF)], vec![None]), "inf");
    assert_eq!(
        one("approx_median(x) FILTER (WHERE x > 1)", vec![Some(1.0), Some(9.0)], vec![None; 2]),
        "9.0"
    );
    let descending = "approx_percentile_cont(0.99) WITHIN GROUP (ORDER BY x DESC)";
    let values: Vec<_> = (0..1000).map(|n| Some(f64::from(n))).collect();
    let low: f64 = one(descending, values, vec![None; 1000]).parse().unwrap();
    assert!((low - 10.0).abs() < 5.0, "{low}");
}
