//! Groups by keys of every type, in several batches, are those that the bytes of whole rows tell
//! apart, in the order of first appearance.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails the test")]

mod common;

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::types::{Int8Type, Int32Type};
use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, DictionaryArray,
    Float32Array, Float64Array, Int8Array, Int64Array, LargeStringArray, PrimitiveArray,
    RecordBatch, StringArray, StructArray, TimestampMicrosecondArray, UInt64Array,
};
use arrow_row::{RowConverter, SortField};
use arrow_schema::{DataType, Field};
use common::{Collected, build, finish, run, show};
use gristmill_stage::Snapshot;
use gristmill_stage::keys::canonical;
use proptest::prelude::*;
use serde_json::{Value, json};

/// Draws make values: most of a few, some of many, and nulls.
fn number(draw: u64) -> Option<i64> {
    match draw % 8 {
        0 => None,
        7 => Some((draw >> 3) as i64),
        6 => Some((draw >> 3) as i64 % 100_000 - 50_000),
        _ => Some((draw >> 3) as i64 % 5 - 2),
    }
}

fn float(draw: u64) -> Option<f64> {
    let some = [0.0, -0.0, f64::NAN, -f64::NAN, f64::INFINITY, 1.5];
    number(draw).map(|n| some.get(n as usize).copied().unwrap_or(n as f64 / 4.0))
}

fn text(draw: u64) -> Option<String> {
    number(draw).map(|n| if n == 0 { String::new() } else { format!("t{n}") })
}

/// Makes a column of draws.
type Make = fn(&[u64]) -> ArrayRef;

const COLUMNS: [Make; 16] = [
    |d| Arc::new(d.iter().map(|d| number(*d)).collect::<Int64Array>()),
    |d| Arc::new(d.iter().map(|d| number(*d).map(|n| n as i8)).collect::<Int8Array>()),
    |d| Arc::new(d.iter().map(|d| number(*d).map(|n| n as u64)).collect::<UInt64Array>()),
    |d| Arc::new(d.iter().map(|d| number(*d).map(|n| n > 0)).collect::<BooleanArray>()),
    |d| Arc::new(d.iter().map(|d| float(*d)).collect::<Float64Array>()),
    |d| Arc::new(d.iter().map(|d| float(*d).map(|x| x as f32)).collect::<Float32Array>()),
    |d| Arc::new(d.iter().map(|d| text(*d)).collect::<StringArray>()),
    |d| Arc::new(d.iter().map(|d| text(*d)).collect::<LargeStringArray>()),
    |d| Arc::new(d.iter().map(|d| text(*d).map(String::into_bytes)).collect::<BinaryArray>()),
    |d| {
        let texts: Vec<_> = d.iter().map(|d| text(*d)).collect();
        Arc::new(texts.iter().map(Option::as_deref).collect::<DictionaryArray<Int32Type>>())
    },
    |d| {
        // A dictionary with a value that is null, and one that no row has.
        let values: ArrayRef = Arc::new(Int64Array::from(vec![Some(7), None, Some(9), Some(-7)]));
        let keys: PrimitiveArray<Int8Type> =
            d.iter().map(|d| number(*d).map(|n| n.rem_euclid(3) as i8)).collect();
        Arc::new(DictionaryArray::new(keys, values))
    },
    |d| {
        // One of far more values than rows.
        let values: ArrayRef =
            Arc::new((0..900).map(|n| Some(format!("v{n}"))).collect::<StringArray>());
        let keys: PrimitiveArray<Int32Type> =
            d.iter().map(|d| number(*d).map(|n| n.rem_euclid(900) as i32)).collect();
        Arc::new(DictionaryArray::new(keys, values))
    },
    |d| {
        let times = d.iter().map(|d| number(*d).map(|n| n % (1 << 50)));
        Arc::new(times.collect::<TimestampMicrosecondArray>().with_timezone("Europe/Berlin"))
    },
    |d| Arc::new(d.iter().map(|d| number(*d).map(|n| n as i32 % 90_000)).collect::<Date32Array>()),
    |d| Arc::new(d.iter().map(|d| number(*d).map(i128::from)).collect::<Decimal128Array>()),
    |d| {
        let field = Arc::new(Field::new("x", DataType::Float64, true));
        let values: ArrayRef = Arc::new(d.iter().map(|d| float(*d)).collect::<Float64Array>());
        Arc::new(StructArray::from(vec![(field, values)]))
    },
];

/// A part of the rows, so that columns begin in the middle of their buffers.
fn table(columns: &[usize], draws: &[[u64; 4]]) -> RecordBatch {
    let columns = columns.iter().enumerate().map(|(place, column)| {
        let padding = [1, 2];
        let draws: Vec<u64> = padding.into_iter().chain(draws.iter().map(|d| d[place])).collect();
        (format!("k{place}"), COLUMNS[*column](&draws), true)
    });
    RecordBatch::try_from_iter_with_nullable(columns).unwrap().slice(2, draws.len())
}

/// Keys and counts by the bytes of whole rows.
fn by_rows(batches: &[RecordBatch]) -> Vec<String> {
    let mut order = Vec::new();
    let mut counts: HashMap<Vec<u8>, usize> = HashMap::new();
    for batch in batches {
        let plain = |column: &ArrayRef| {
            let column = match column.data_type() {
                DataType::Dictionary(_, values) => arrow_cast::cast(column, values).unwrap(),
                _ => Arc::clone(column),
            };
            canonical(&column).unwrap()
        };
        let columns: Vec<ArrayRef> = batch.columns().iter().map(plain).collect();
        let fields = columns.iter().map(|c| SortField::new(c.data_type().clone())).collect();
        let rows = RowConverter::new(fields).unwrap().convert_columns(&columns).unwrap();
        let names = batch.schema().fields().iter().map(|f| f.name().clone()).collect::<Vec<_>>();
        let columns = names.into_iter().zip(columns).map(|(name, column)| (name, column, true));
        let shown = show(&RecordBatch::try_from_iter_with_nullable(columns).unwrap());
        for (row, shown) in rows.iter().zip(shown) {
            let key = row.as_ref().to_vec();
            *counts.entry(key.clone()).or_insert_with(|| {
                order.push((key, shown));
                0
            }) += 1;
        }
    }
    order.iter().map(|(key, shown)| format!("{shown}|{}", counts[key])).collect()
}

fn options(columns: usize) -> Value {
    let keys: Vec<String> = (0..columns).map(|place| format!("k{place}")).collect();
    json!({ "group_by": keys, "select": { "n": "count(*)" } })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn keys_of_every_type(
        columns in prop::collection::vec(0..COLUMNS.len(), 1..=4),
        rows in prop::collection::vec(prop::collection::vec(any::<[u64; 4]>(), 1..40), 1..4),
        restart in any::<bool>(),
    ) {
        let batches: Vec<_> = rows.iter().map(|rows| table(&columns, rows)).collect();
        let options = options(columns.len());
        let expected = by_rows(&batches);
        prop_assert_eq!(&run("aggregate", options.clone(), &batches).rows(), &expected);
        if restart {
            let mut stage =
                build("aggregate", &options, &batches[0].schema(), Snapshot::Stateless, 7).unwrap();
            let mut out = Collected::default();
            for batch in batches {
                let schema = batch.schema();
                stage.process(batch, &mut out).unwrap();
                stage = build("aggregate", &options, &schema, stage.snapshot().unwrap(), 7).unwrap();
            }
            finish(stage.as_mut(), &mut out).unwrap();
            prop_assert_eq!(&out.rows(), &expected);
        }
    }
}

/// Keys of more values than any table without hashes takes, alone and in pairs.
#[test]
fn many_groups() {
    let rows = 100_000;
    for wide in [1, 1_000_000_007] {
        let column = |of: fn(i64) -> i64| -> ArrayRef {
            Arc::new(Int64Array::from_iter_values((0..rows).map(|n| of(n) * wide)))
        };
        let columns =
            [("k0", column(|n| n % 60_000)), ("k1", column(|n| n % 7)), ("k2", column(|n| n))];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let batches: Vec<_> =
            (0..rows as usize).step_by(10_000).map(|start| batch.slice(start, 10_000)).collect();
        for (keys, groups) in [(1, 60_000), (2, 100_000), (3, 100_000)] {
            let out = run("aggregate", options(keys), &batches);
            let emitted = out.emitted.iter().map(|batch| batch.num_rows()).sum::<usize>();
            assert_eq!(emitted, groups, "{keys} keys");
            let first = out.emitted[0].columns()[..keys].to_vec();
            let expected = batch.slice(0, out.emitted[0].num_rows()).columns()[..keys].to_vec();
            assert_eq!(first, expected, "in the order of first appearance");
        }
    }
}
