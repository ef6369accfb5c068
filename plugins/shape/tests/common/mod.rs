//! Rows, and stages of this crate that they go through.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of tests fails the test")]

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow_schema::SchemaRef;
use gristmill_stage::{BatchTarget, Error, Registry};
use gristmill_testkit::{Collected, Driven, Harness};
use proptest::prelude::*;
use serde_json::Value;

/// A row: its place, a number with few values, a fraction with odd ones, a text.
pub type Row = (i64, Option<i64>, Option<f64>, Option<String>);

pub fn registry() -> Registry {
    let mut registry = Registry::new();
    gristmill_shape::register(&mut registry);
    registry
}

/// Rows with many that are equal in some columns, each with its place.
pub fn rows(most: usize) -> impl Strategy<Value = Vec<Row>> {
    let number = prop::option::weighted(0.9, -3..4_i64);
    let odd = [0.0, -0.0, f64::NAN, -f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1.5, -2.5];
    let fraction = prop::option::weighted(0.9, prop::sample::select(odd.to_vec()));
    let text = prop::option::weighted(0.9, "[ab]{0,3}");
    prop::collection::vec((number, fraction, text), 0..most).prop_map(|rows| {
        (0..).zip(rows).map(|(n, (number, fraction, text))| (n, number, fraction, text)).collect()
    })
}

/// The rows as a batch of the columns `n`, `k`, `x` and `s`.
pub fn batch(rows: &[Row]) -> RecordBatch {
    let columns: [(&str, ArrayRef); 4] = [
        ("n", Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.0)))),
        ("k", Arc::new(Int64Array::from_iter(rows.iter().map(|row| row.1)))),
        ("x", Arc::new(Float64Array::from_iter(rows.iter().map(|row| row.2)))),
        ("s", Arc::new(StringArray::from_iter(rows.iter().map(|row| row.3.as_deref())))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true)))
        .unwrap()
}

/// The rows in batches of so many.
pub fn cut(whole: &RecordBatch, rows: usize) -> Vec<RecordBatch> {
    let rows = rows.max(1);
    let starts = (0..whole.num_rows()).step_by(rows);
    starts.map(|at| whole.slice(at, rows.min(whole.num_rows() - at))).collect()
}

/// A stage that emits batches of at most so many rows.
pub fn start(kind: &str, options: &Value, input: &SchemaRef, rows: usize) -> Driven {
    let harness = Harness::new().with_batch(BatchTarget { rows, ..BatchTarget::default() });
    harness.build(registry().get(kind).unwrap().as_ref(), options, Some(input)).unwrap()
}

/// What comes of these batches. Nothing may be rejected, nor the contract be broken.
pub fn through(
    kind: &str,
    options: &Value,
    batches: &[RecordBatch],
    rows: usize,
) -> Vec<RecordBatch> {
    let Some(first) = batches.first() else { return Vec::new() };
    let mut stage = start(kind, options, &first.schema(), rows);
    stage.run_transform(batches.iter().cloned()).unwrap();
    clean(stage.into_collected())
}

pub fn clean(collected: Collected) -> Vec<RecordBatch> {
    assert!(collected.violations.is_empty(), "{:?}", collected.violations);
    assert!(collected.rejected.is_empty(), "{:?}", collected.rejected);
    collected.batches
}

/// The column `n` of all rows.
pub fn places(batches: &[RecordBatch]) -> Vec<i64> {
    let column = |batch: &RecordBatch| {
        batch.column_by_name("n").unwrap().as_primitive::<Int64Type>().values().to_vec()
    };
    batches.iter().flat_map(column).collect()
}

/// The error of a plan.
pub fn refused(kind: &str, options: &Value, input: &SchemaRef) -> Error {
    registry().get(kind).unwrap().plan(options, Some(input)).unwrap_err()
}
