//! Rows that wait to go out, and cutting them into batches.

use std::collections::VecDeque;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use serde::Serialize;

use super::to_batch;
use crate::{BatchTarget, BuildContext, Output, Result};

/// Where a [`RowTransform`](super::RowTransform) puts the rows it makes.
#[derive(Debug)]
pub struct Rows<T>(VecDeque<T>);

impl<T> Rows<T> {
    pub(super) fn new() -> Self {
        Self(VecDeque::new())
    }

    /// Adds a row.
    pub fn push(&mut self, row: T) {
        self.0.push_back(row);
    }

    pub(super) fn truncate(&mut self, len: usize) {
        self.0.truncate(len);
    }

    /// How many rows wait to go out.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether no row waits.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T> Extend<T> for Rows<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, rows: I) {
        self.0.extend(rows);
    }
}

/// Rows that are tried before it is known how many bytes a row has.
const FIRST: usize = 1024;

/// Turns rows into batches of the size that the runner asks for.
pub(super) struct Cutter {
    schema: SchemaRef,
    target: BatchTarget,
    /// Rows that make a batch of about the right number of bytes, as far as is known.
    rows: usize,
    /// Batches that are made and not yet emitted.
    ready: VecDeque<RecordBatch>,
}

impl Cutter {
    pub(super) fn new(context: &BuildContext) -> Self {
        let target = context.batch();
        let rows = target.rows.clamp(1, FIRST);
        Self { schema: context.output().clone(), target, rows, ready: VecDeque::new() }
    }

    /// Whether no made batch waits.
    pub(super) fn is_empty(&self) -> bool {
        self.ready.is_empty()
    }

    /// How many rows make a batch now.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Puts back a batch that was made before.
    pub(super) fn put(&mut self, batch: RecordBatch) {
        self.ready.push_back(batch);
    }

    /// Emits one batch, if there is one.
    pub(super) fn emit<T: Serialize>(
        &mut self,
        rows: &mut Rows<T>,
        out: &mut dyn Output,
    ) -> Result<bool> {
        if self.ready.is_empty() && !rows.is_empty() {
            let count = rows.len().min(self.rows);
            let taken: Vec<T> = rows.0.drain(..count).collect();
            let batch = to_batch(&self.schema, &taken)?;
            self.cut(batch);
        }
        match self.ready.pop_front() {
            None => Ok(false),
            Some(batch) => out.emit(batch).map(|()| true),
        }
    }

    /// Learns the size of a row from the batch, and cuts it up when it has become far too large.
    fn cut(&mut self, batch: RecordBatch) {
        let rows = batch.num_rows();
        let bytes = batch.get_array_memory_size().max(1);
        let fitting = (rows as u128 * self.target.bytes as u128 / bytes as u128) as usize;
        self.rows = fitting.clamp(1, self.target.rows.max(1));
        if bytes / 2 <= self.target.bytes || self.rows >= rows {
            self.ready.push_back(batch);
            return;
        }
        for start in (0..rows).step_by(self.rows) {
            self.ready.push_back(batch.slice(start, self.rows.min(rows - start)));
        }
    }

    /// All that waits, as batches in order, for a snapshot.
    pub(super) fn held<T: Serialize>(&self, rows: &mut Rows<T>) -> Result<Vec<RecordBatch>> {
        let mut batches: Vec<RecordBatch> = self.ready.iter().cloned().collect();
        if !rows.is_empty() {
            batches.push(to_batch(&self.schema, rows.0.make_contiguous())?);
        }
        Ok(batches)
    }
}
