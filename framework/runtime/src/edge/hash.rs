//! Dealing rows out by the hash of some columns.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type};
use arrow_array::{Array, ArrayRef, RecordBatch, UInt32Array};
use arrow_row::{RowConverter, SortField};
use arrow_schema::{DataType, Schema};
use arrow_select::take::take_record_batch;
use gristmill_stage::{Error, Result};
use xxhash_rust::xxh3::xxh3_64;

/// Splits batches by the hash of some columns. The hash is the same in every process and on every
/// machine: XXH3 over Arrow's row format.
pub struct HashSplit {
    columns: Vec<usize>,
    converter: RowConverter,
}

impl HashSplit {
    /// A splitter by these columns of the schema.
    ///
    /// # Errors
    /// When a column is missing or has a type without a row format.
    pub fn new(columns: &[String], schema: &Schema) -> Result<Self> {
        let columns = columns
            .iter()
            .map(|name| {
                schema
                    .index_of(name)
                    .map_err(|_| Error::column(name, format!("there is no column `{name}`")))
            })
            .collect::<Result<Vec<_>>>()?;
        let fields = columns
            .iter()
            .map(|&index| SortField::new(schema.field(index).data_type().clone()))
            .collect();
        Ok(Self { columns, converter: RowConverter::new(fields)? })
    }

    /// The rows for each of `n` workers that gets any, in their order.
    ///
    /// # Errors
    /// When the batch is not of the schema.
    pub fn split(&mut self, batch: &RecordBatch, n: usize) -> Result<Vec<(usize, RecordBatch)>> {
        if n == 1 {
            return Ok(vec![(0, batch.clone())]);
        }
        let keys: Vec<ArrayRef> =
            self.columns.iter().map(|&index| one_zero(batch.column(index))).collect();
        let rows = self.converter.convert_columns(&keys)?;
        let mut parts = vec![Vec::new(); n];
        for (index, row) in rows.iter().enumerate() {
            let hash = xxh3_64(row.data());
            // Scales the hash to 0..n without the bias of a remainder.
            let worker = (u128::from(hash) * n as u128) >> 64;
            parts[worker as usize].push(index as u32);
        }
        parts
            .into_iter()
            .enumerate()
            .filter(|(_, rows)| !rows.is_empty())
            .map(|(worker, rows)| {
                let part = if rows.len() == batch.num_rows() {
                    batch.clone()
                } else {
                    take_record_batch(batch, &UInt32Array::from(rows))?
                };
                Ok((worker, part))
            })
            .collect()
    }
}

/// -0.0 equals 0.0, so both must hash alike; adding 0.0 turns the one into the other.
fn one_zero(column: &ArrayRef) -> ArrayRef {
    match column.data_type() {
        DataType::Float64 => {
            Arc::new(column.as_primitive::<Float64Type>().unary::<_, Float64Type>(|x| x + 0.0))
        }
        DataType::Float32 => {
            Arc::new(column.as_primitive::<Float32Type>().unary::<_, Float32Type>(|x| x + 0.0))
        }
        _ => column.clone(),
    }
}
