//! Rows in an order of their own, handed out a batch at a time.

use arrow_array::RecordBatch;
use arrow_select::interleave::interleave_record_batch;
use gristmill_stage::{BatchTarget, Result};

use crate::weigh::{fit, weigh};

/// A row by its batch and its place in it.
pub(crate) type Place = (usize, usize);

/// Rows that are ready, in order.
pub(crate) struct Ordered {
    batches: Vec<RecordBatch>,
    weights: Vec<Vec<usize>>,
    order: Vec<Place>,
    /// How many of them have left.
    left: usize,
}

impl Ordered {
    pub(crate) fn new(batches: Vec<RecordBatch>, order: Vec<Place>) -> Self {
        let weights = batches.iter().map(weigh).collect();
        Self { batches, weights, order, left: 0 }
    }

    /// A batch as it is.
    pub(crate) fn one(batch: RecordBatch) -> Self {
        let order = (0..batch.num_rows()).map(|row| (0, row)).collect();
        Self::new(vec![batch], order)
    }

    /// Whether all rows have left.
    pub(crate) fn is_empty(&self) -> bool {
        self.left == self.order.len()
    }

    /// The rows that have not left, as one batch.
    pub(crate) fn rest(&self) -> Result<Option<RecordBatch>> {
        let rest = &self.order[self.left..];
        if rest.is_empty() { Ok(None) } else { gather(&self.batches, rest).map(Some) }
    }

    /// The next rows, about a batch of them; `None` when there are no more.
    pub(crate) fn next(&mut self, target: BatchTarget) -> Result<Option<RecordBatch>> {
        let rest = &self.order[self.left..];
        if rest.is_empty() {
            return Ok(None);
        }
        let weights = rest.iter().map(|(batch, row)| self.weights[*batch][*row]);
        let rows = fit(weights, target.rows, target.bytes);
        let next = gather(&self.batches, &rest[..rows])?;
        self.left += rows;
        Ok(Some(next))
    }
}

/// These rows, as a batch of their own.
pub(crate) fn gather(batches: &[RecordBatch], order: &[Place]) -> Result<RecordBatch> {
    let batches: Vec<&RecordBatch> = batches.iter().collect();
    Ok(interleave_record_batch(&batches, order)?)
}
