//! Dealing rows out to several workers.

use std::hash::{DefaultHasher, Hash, Hasher};

use arrow_array::{RecordBatch, UInt32Array};
use arrow_select::take::take_record_batch;
use gristmill_stage::{Partitioning, Result};
use serde_json::Value;

use crate::table::json_rows;

/// What each worker gets, or `None` if there can be only one.
pub(crate) fn shares(
    partitioning: Partitioning,
    batches: &[RecordBatch],
    workers: usize,
) -> Result<Option<Vec<Vec<RecordBatch>>>> {
    Ok(match partitioning {
        Partitioning::Single(_) => None,
        Partitioning::Any => Some(in_turn(batches, workers)),
        Partitioning::Keyed(columns) => Some(by_key(batches, &columns, workers)?),
    })
}

/// The batches dealt out one by one.
pub(crate) fn in_turn(batches: &[RecordBatch], workers: usize) -> Vec<Vec<RecordBatch>> {
    let turn = |worker: usize| batches.iter().skip(worker).step_by(workers).cloned().collect();
    (0..workers).map(turn).collect()
}

/// The rows dealt out so that those with an equal key meet.
fn by_key(
    batches: &[RecordBatch],
    columns: &[String],
    workers: usize,
) -> Result<Vec<Vec<RecordBatch>>> {
    let mut shares = vec![Vec::new(); workers];
    for batch in batches {
        let mut rows = vec![Vec::new(); workers];
        for (i, mut row) in json_rows([batch])?.into_iter().enumerate() {
            let mut hasher = DefaultHasher::new();
            one_zero(&mut row);
            for column in columns {
                row.get(column).map(Value::to_string).hash(&mut hasher);
            }
            rows[(hasher.finish() % workers as u64) as usize].push(i as u32);
        }
        for (share, rows) in shares.iter_mut().zip(rows) {
            share.push(take_record_batch(batch, &UInt32Array::from(rows))?);
        }
    }
    Ok(shares)
}

/// Makes 0.0 of -0.0, which are equal as keys, also in lists and structs. NaNs are null in JSON
/// already, so all of them meet, and nulls with them.
fn one_zero(value: &mut Value) {
    match value {
        Value::Number(number) if number.is_f64() => {
            let sum = number.as_f64().map(|n| n + 0.0);
            if let Some(sum) = sum.and_then(serde_json::Number::from_f64) {
                *number = sum;
            }
        }
        Value::Array(values) => values.iter_mut().for_each(one_zero),
        Value::Object(columns) => columns.values_mut().for_each(one_zero),
        _ => {}
    }
}
