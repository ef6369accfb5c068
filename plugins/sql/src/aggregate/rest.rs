//! Groups that are still to be emitted.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::SchemaRef;
use gristmill_stage::{BatchTarget, Output, Result};

use super::groups::unfit;
use super::plan::Prepared;
use crate::evaluate::evaluate;

/// Keys and results, of which the last step is still to be computed, or states. They are emitted about
/// a batch at a time.
pub(crate) struct Rest {
    gathered: VecDeque<RecordBatch>,
    batch: BatchTarget,
}

impl Rest {
    pub(crate) fn new(batch: BatchTarget) -> Self {
        Self { gathered: VecDeque::new(), batch }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.gathered.is_empty()
    }

    /// Adds keys and results of groups.
    pub(crate) fn push(&mut self, gathered: RecordBatch) {
        if gathered.num_rows() > 0 {
            self.gathered.push_back(gathered);
        }
    }

    /// Adds what was held when the stage was stopped.
    pub(crate) fn restore(&mut self, part: &RecordBatch, prepared: &Prepared) -> Result<()> {
        self.restore_as(part, &prepared.gathered)
    }

    /// Adds what was held, batches of that schema.
    pub(crate) fn restore_as(&mut self, part: &RecordBatch, schema: &SchemaRef) -> Result<()> {
        if part.schema() != *schema {
            return Err(unfit());
        }
        self.push(part.clone());
        Ok(())
    }

    /// What is held.
    pub(crate) fn parts(&self) -> impl Iterator<Item = &RecordBatch> {
        self.gathered.iter()
    }

    /// Takes about a batch out.
    pub(crate) fn next(&mut self) -> Option<RecordBatch> {
        let rest = self.gathered.pop_front()?;
        let rows = rest.num_rows().min(self.rows_per_batch(&rest));
        let now = rest.slice(0, rows);
        if rows < rest.num_rows() {
            self.gathered.push_front(rest.slice(rows, rest.num_rows() - rows));
        }
        Some(now)
    }

    /// Emits about a batch.
    pub(crate) fn emit(&mut self, prepared: &Prepared, out: &mut dyn Output) -> Result<()> {
        let Some(now) = self.next() else { return Ok(()) };
        let evaluated = evaluate(&prepared.finals, now, out)?;
        let leading = prepared.output.fields().len() - prepared.finals.len();
        let mut columns: Vec<ArrayRef> = evaluated.rows.columns()[..leading].to_vec();
        columns.extend(evaluated.columns);
        out.emit(RecordBatch::try_new(Arc::clone(&prepared.output), columns)?)
    }

    fn rows_per_batch(&self, rest: &RecordBatch) -> usize {
        // A slice counts the memory of what it was cut from, so count by its share of bytes.
        let bytes: usize = rest
            .columns()
            .iter()
            .map(|column| column.to_data().get_slice_memory_size().unwrap_or(0))
            .sum();
        let each = bytes / rest.num_rows().max(1) + 1;
        (self.batch.bytes / each).clamp(1, self.batch.rows.max(1))
    }
}
