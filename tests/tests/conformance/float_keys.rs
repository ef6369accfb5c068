//! Groups of `aggregate` by floating-point keys: -0.0 and 0.0 are one group, every NaN is in one, and
//! null is another, also inside of lists and structs, in one worker, in several, and after a restart.

use std::sync::Arc;

use arrow_array::builder::{Float64Builder, ListBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, Float32Array, Float64Array, RecordBatch, StructArray};
use arrow_schema::{DataType, Field};
use gristmill_testkit::conformance::{Settings, check};
use gristmill_testkit::{Driven, Harness};
use serde_json::{Value, json};

/// Three zeros, four NaNs, two nulls, an infinity and a number.
fn keys() -> Vec<Option<f64>> {
    let other_nan = f64::from_bits(f64::NAN.to_bits() | 1);
    vec![
        Some(-0.0),
        Some(f64::NAN),
        None,
        Some(0.0),
        Some(-f64::NAN),
        Some(1.5),
        Some(other_nan),
        Some(f64::INFINITY),
        None,
        Some(-0.0),
        Some(f64::NAN),
    ]
}

/// How often each is there: number (bits, one NaN), or null.
fn expected() -> Vec<(Option<u64>, i64)> {
    let bits = |key: f64| Some(key.to_bits());
    let mut all = vec![
        (bits(0.0), 3),
        (bits(f64::NAN), 4),
        (None, 2),
        (bits(1.5), 1),
        (bits(f64::INFINITY), 1),
    ];
    all.sort_unstable();
    all
}

fn batch(key: ArrayRef) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable([("key", key, true)]).unwrap()
}

fn options() -> Value {
    json!({ "group_by": ["key"], "select": { "n": "count(*)" } })
}

fn aggregate(harness: &Harness, input: &RecordBatch) -> Driven {
    let registry = crate::registry();
    let kind = registry.get("aggregate").unwrap();
    harness.build(kind.as_ref(), &options(), Some(&input.schema())).unwrap()
}

/// Groups the rows, in single batches, with a restart after `restart` of them.
fn groups(input: &RecordBatch, restart: usize) -> RecordBatch {
    let row = |row: usize| input.slice(row, 1);
    let mut stage = aggregate(&Harness::new(), input);
    (0..restart).for_each(|n| assert!(stage.process(row(n)).unwrap()));
    let mut stage = aggregate(&Harness::new().with_restored(stage.snapshot().unwrap()), input);
    stage.run_transform((restart..input.num_rows()).map(row)).unwrap();
    let mut batches = stage.into_collected().batches;
    assert_eq!(batches.len(), 1);
    batches.remove(0)
}

/// Groups the rows every way, and that the suite finds nothing.
fn assert_groups(input: ArrayRef, key: impl Fn(&ArrayRef) -> Float64Array) {
    let input = batch(input);
    for restart in 0..=input.num_rows() {
        let groups = groups(&input, restart);
        let counts = groups.column(1).as_primitive::<Int64Type>();
        let keys = key(groups.column(0));
        let mut found: Vec<_> = keys
            .iter()
            .map(|key| key.map(f64::to_bits))
            .zip(counts.values().iter().copied())
            .collect();
        found.sort_unstable();
        assert_eq!(found, expected(), "{:?}, restarted after {restart}", input.schema());
    }
    let registry = crate::registry();
    let kind = registry.get("aggregate").unwrap();
    let (first, second) = (input.slice(0, 4), input.slice(4, input.num_rows() - 4));
    let report = check(kind.as_ref(), &options(), vec![first, second], &Settings::new()).unwrap();
    assert_eq!(report.rows, 5);
    assert!(report.checks.contains(&"workers"), "{report:?}");
}

#[test]
fn floats_of_64_bits() {
    assert_groups(Arc::new(Float64Array::from(keys())), |key| {
        key.as_primitive::<Float64Type>().clone()
    });
}

#[test]
fn floats_of_32_bits() {
    let keys: Float32Array = keys()
        .into_iter()
        .map(|key| {
            key.map(|key| if key.is_nan() { f32::NAN.copysign(key as f32) } else { key as f32 })
        })
        .collect();
    assert_groups(Arc::new(keys), |key| {
        let wide = |key: f32| if key.is_nan() { f64::NAN } else { f64::from(key) };
        key.as_primitive::<Float32Type>().unary(wide)
    });
}

#[test]
fn floats_in_structs() {
    let field = Arc::new(Field::new("x", DataType::Float64, true));
    let keys: ArrayRef = Arc::new(Float64Array::from(keys()));
    let keys = StructArray::from(vec![(field, keys)]);
    assert_groups(Arc::new(keys), |key| {
        key.as_struct().column(0).as_primitive::<Float64Type>().clone()
    });
}

#[test]
fn floats_in_lists() {
    let mut lists = ListBuilder::new(Float64Builder::new());
    for key in keys() {
        lists.values().append_value(7.0);
        lists.values().append_option(key);
        lists.append(true);
    }
    assert_groups(Arc::new(lists.finish()), |key| {
        let lists = key.as_list::<i32>();
        let last = |list: ArrayRef| {
            let list = list.as_primitive::<Float64Type>();
            list.is_valid(1).then(|| list.value(1))
        };
        lists.iter().map(|list| list.and_then(last)).collect()
    });
}
