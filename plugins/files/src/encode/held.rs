//! Rows that are held until they make a block of a file.

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use arrow_select::concat::concat_batches;
use gristmill_stage::{Error, ErrorKind, Result};

use super::Parts;

/// How large a block is, at the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RowGroup {
    pub(crate) rows: usize,
    pub(crate) bytes: usize,
}

impl Default for RowGroup {
    fn default() -> Self {
        Self { rows: 64 << 10, bytes: 16 << 20 }
    }
}

/// The part of a snapshot with the rows that are held.
const HELD: &str = "held";

/// Rows of one schema.
pub(super) struct Held {
    schema: SchemaRef,
    most: RowGroup,
    batches: Vec<RecordBatch>,
    rows: usize,
    bytes: usize,
}

impl Held {
    pub(super) fn new(schema: SchemaRef, most: RowGroup) -> Self {
        Self { schema, most, batches: Vec::new(), rows: 0, bytes: 0 }
    }

    /// Takes as many rows of a batch as there is room for, and says how many these were.
    pub(super) fn take(&mut self, batch: &RecordBatch) -> usize {
        let rows = batch.num_rows().min(self.most.rows.saturating_sub(self.rows).max(1));
        self.push(batch.slice(0, rows));
        rows
    }

    fn push(&mut self, batch: RecordBatch) {
        let size = |column: &arrow_array::ArrayRef| {
            column.to_data().get_slice_memory_size().unwrap_or_default()
        };
        self.bytes += batch.columns().iter().map(size).sum::<usize>();
        self.rows += batch.num_rows();
        self.batches.push(batch);
    }

    pub(super) fn is_full(&self) -> bool {
        self.rows >= self.most.rows || self.bytes >= self.most.bytes
    }

    /// What the rows take.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Hands out all rows.
    pub(super) fn empty(&mut self) -> Vec<RecordBatch> {
        (self.rows, self.bytes) = (0, 0);
        std::mem::take(&mut self.batches)
    }

    pub(super) fn one(&self) -> Result<RecordBatch> {
        Ok(concat_batches(&self.schema, &self.batches)?)
    }

    pub(super) fn save(&self) -> Result<Parts> {
        if self.is_empty() {
            return Ok(Vec::new());
        }
        Ok(vec![(HELD.to_owned(), self.one()?)])
    }

    pub(super) fn restore(&mut self, parts: &Parts) -> Result<()> {
        for (_, batch) in parts.iter().filter(|(name, _)| name == HELD) {
            if batch.schema_ref().fields() != self.schema.fields() {
                let text = "the rows of the snapshot have other columns";
                return Err(Error::new(ErrorKind::Restore, text));
            }
            self.push(batch.clone());
        }
        Ok(())
    }
}
