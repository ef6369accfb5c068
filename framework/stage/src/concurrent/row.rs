//! One row of a shared batch, and the gathering of rows into new columns.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_select::interleave::interleave;

use crate::Result;

/// One row of a batch that is shared with the other rows of it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Row {
    batch: Arc<RecordBatch>,
    index: usize,
}

impl Row {
    /// Row `index` of `batch`, which must have that many rows.
    pub fn new(batch: Arc<RecordBatch>, index: usize) -> Self {
        debug_assert!(index < batch.num_rows());
        Self { batch, index }
    }

    /// The batch that it is a row of.
    pub fn batch(&self) -> &RecordBatch {
        &self.batch
    }

    /// Which row of the [`batch`](Self::batch) it is.
    pub fn index(&self) -> usize {
        self.index
    }

    /// The row as a batch of one, without a copy.
    pub fn slice(&self) -> RecordBatch {
        self.batch.slice(self.index, 1)
    }
}

/// Rows of several batches of one schema, ready to be gathered column by column.
pub struct Selection {
    batches: Vec<Arc<RecordBatch>>,
    /// For each row the batch and the index in it.
    rows: Vec<(usize, usize)>,
}

impl Selection {
    /// These rows, in this order.
    pub fn new<'a>(rows: impl IntoIterator<Item = &'a Row>) -> Self {
        let mut known = HashMap::new();
        let mut batches: Vec<Arc<RecordBatch>> = Vec::new();
        let mut last = None;
        let rows = rows
            .into_iter()
            .map(|row| {
                let address = Arc::as_ptr(&row.batch);
                // Neighbours come from the same batch mostly.
                let place = match last {
                    Some((same, place)) if same == address => place,
                    _ => *known.entry(address).or_insert_with(|| {
                        batches.push(Arc::clone(&row.batch));
                        batches.len() - 1
                    }),
                };
                last = Some((address, place));
                (place, row.index)
            })
            .collect();
        Self { batches, rows }
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The values of column `index` of the input, for these rows.
    ///
    /// # Errors
    /// When they do not fit one array (text beyond 2 GiB), or there are no rows.
    pub fn column(&self, index: usize) -> Result<ArrayRef> {
        let columns: Vec<&dyn Array> =
            self.batches.iter().map(|batch| batch.column(index).as_ref()).collect();
        Ok(interleave(&columns, &self.rows)?)
    }

    /// The rows as one batch of the schema that they have; `None` without rows.
    ///
    /// # Errors
    /// As [`column`](Self::column).
    pub fn batch(&self) -> Result<Option<RecordBatch>> {
        let Some(first) = self.batches.first() else { return Ok(None) };
        let columns =
            (0..first.num_columns()).map(|index| self.column(index)).collect::<Result<Vec<_>>>()?;
        let options = arrow_array::RecordBatchOptions::new().with_row_count(Some(self.rows.len()));
        Ok(Some(RecordBatch::try_new_with_options(first.schema(), columns, &options)?))
    }
}

/// The bytes that an average row of `batch` takes.
pub(super) fn row_bytes(batch: &RecordBatch) -> usize {
    let bytes: usize = batch
        .columns()
        .iter()
        .map(|column| column.to_data().get_slice_memory_size().unwrap_or(0))
        .sum();
    bytes / batch.num_rows().max(1)
}
