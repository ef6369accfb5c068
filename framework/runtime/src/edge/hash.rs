//! Dealing rows out by the hash of some columns.

use arrow_array::{RecordBatch, UInt32Array};
use arrow_row::{RowConverter, SortField};
use arrow_schema::Schema;
use arrow_select::take::take_record_batch;
use gristmill_stage::keys::canonical;
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
        let keys = self.columns.iter().map(|&index| canonical(batch.column(index)));
        let keys = keys.collect::<Result<Vec<_>, _>>()?;
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::types::Float64Type;
    use arrow_array::{ArrayRef, Float32Array, Float64Array, ListArray, StructArray};
    use arrow_schema::{DataType, Field};

    use super::*;

    /// The workers, of many, that the rows of a column go to.
    fn workers(column: ArrayRef) -> Vec<usize> {
        let batch = RecordBatch::try_from_iter_with_nullable([("key", column, true)]).unwrap();
        let mut split = HashSplit::new(&["key".to_owned()], &batch.schema()).unwrap();
        let mut workers = vec![0; batch.num_rows()];
        for (row, at) in workers.iter_mut().enumerate() {
            *at = split.split(&batch.slice(row, 1), 100_000).unwrap()[0].0;
        }
        workers
    }

    #[test]
    fn equal_floats_go_to_one_worker() {
        let other_nan = f64::from_bits(f64::NAN.to_bits() | 1);
        let keys = vec![0.0, -0.0, f64::NAN, -f64::NAN, other_nan, 1.5];
        let narrow =
            Float32Array::from_iter_values([0.0, -0.0, f32::NAN, -f32::NAN, -f32::NAN, 1.5]);
        let lists = keys.iter().map(|&key| Some([Some(7.0), Some(key)]));
        let lists = ListArray::from_iter_primitive::<Float64Type, _, _>(lists);
        let keys: ArrayRef = Arc::new(Float64Array::from(keys));
        let field = Arc::new(Field::new("x", DataType::Float64, true));
        let structs = StructArray::from(vec![(field, Arc::clone(&keys))]);
        let columns: [ArrayRef; 4] = [keys, Arc::new(narrow), Arc::new(lists), Arc::new(structs)];
        for column in columns {
            let at = workers(column);
            assert_eq!((at[0], at[2], at[2]), (at[1], at[3], at[4]));
            assert!(at[0] != at[2] && at[0] != at[5] && at[2] != at[5]);
        }
    }
}
