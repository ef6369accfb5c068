//! Rows that the database did not take: kept until it is certain that the others are in it, and
//! then rejected.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, StringArray, UInt64Array};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use arrow_select::take::take_record_batch;
use gristmill_stage::{Cause, Error, Output, Result};

use crate::spool::{Pieces, Spool};

/// Rows of a batch by their number, each with the reason.
pub(crate) type Refused = Vec<(usize, String)>;

/// Keeps rows with their reasons in a file.
pub(crate) struct Kept(Spool);

impl Kept {
    pub(crate) fn create(path: &Path, rows: &Schema) -> Result<Self> {
        Spool::create(path, with_reason(rows)).map(Self)
    }

    /// Adds rows of a batch.
    pub(crate) fn add(&mut self, batch: &RecordBatch, refused: Refused) -> Result<()> {
        if refused.is_empty() {
            return Ok(());
        }
        let rows: UInt64Array = refused.iter().map(|(row, _)| *row as u64).collect();
        let rows = take_record_batch(batch, &rows)?;
        let reasons: StringArray = refused.into_iter().map(|(_, why)| Some(why)).collect();
        let mut columns: Vec<ArrayRef> = rows.columns().to_vec();
        columns.push(Arc::new(reasons));
        self.0.push(RecordBatch::try_new(with_reason(&rows.schema()), columns)?)
    }

    pub(crate) fn finish(mut self) -> Result<()> {
        self.0.flush().map(|_| ())
    }
}

/// The columns, and the reason behind them.
fn with_reason(rows: &Schema) -> SchemaRef {
    let mut fields: Vec<_> = rows.fields().iter().cloned().collect();
    fields.push(Arc::new(Field::new("reason", DataType::Utf8, false)));
    Arc::new(Schema::new(fields))
}

/// Takes what was kept, of one part after the other, and rejects it.
pub(crate) struct Letters {
    parts: VecDeque<PathBuf>,
    open: Option<Pieces>,
    /// Of the last piece.
    rest: Option<RecordBatch>,
    /// Rows of the present part that were rejected, or are to be passed over.
    pub(crate) emitted: u64,
    passed: u64,
}

impl Letters {
    /// Of the first part, the first `emitted` rows were rejected before.
    pub(crate) fn new(parts: impl IntoIterator<Item = PathBuf>, emitted: u64) -> Self {
        let parts = parts.into_iter().collect();
        Self { parts, open: None, rest: None, emitted, passed: 0 }
    }

    /// Rejects about `most` rows. Says how many parts are done with, and whether that was all.
    pub(crate) fn emit(&mut self, most: usize, out: &mut dyn Output) -> Result<(u64, bool)> {
        let mut left = most.max(1);
        let mut done = 0;
        while left > 0 {
            let Some(batch) = self.rest.take() else {
                if !self.advance(&mut done)? {
                    return Ok((done, true));
                }
                continue;
            };
            let now = batch.num_rows().min(left);
            reject(&batch.slice(0, now), out)?;
            left -= now;
            self.emitted += now as u64;
            self.passed += now as u64;
            self.keep(batch.slice(now, batch.num_rows() - now));
        }
        Ok((done, false))
    }

    /// Reads more. False at the end of all.
    fn advance(&mut self, done: &mut u64) -> Result<bool> {
        let Some(path) = self.parts.front() else { return Ok(false) };
        let pieces = match &mut self.open {
            Some(pieces) => pieces,
            none => none.insert(Pieces::open(path, u64::MAX)?),
        };
        match pieces.next()? {
            Some(batch) => {
                let over = (self.emitted - self.passed).min(batch.num_rows() as u64) as usize;
                self.passed += over as u64;
                self.keep(batch.slice(over, batch.num_rows() - over));
            }
            None => {
                self.parts.pop_front();
                self.open = None;
                (self.emitted, self.passed) = (0, 0);
                *done += 1;
            }
        }
        Ok(true)
    }

    fn keep(&mut self, rest: RecordBatch) {
        self.rest = (rest.num_rows() > 0).then_some(rest);
    }
}

/// Rejects rows together that have the same reason.
fn reject(batch: &RecordBatch, out: &mut dyn Output) -> Result<()> {
    let Some((reasons, columns)) = batch.columns().split_last() else { return Ok(()) };
    let reasons = reasons.as_any().downcast_ref::<StringArray>();
    let reasons = reasons.ok_or_else(|| Error::internal("a reason is no text"))?;
    let fields: Vec<_> = batch.schema_ref().fields().iter().take(columns.len()).cloned().collect();
    let rows = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns.to_vec())?;
    let mut start = 0;
    while start < rows.num_rows() {
        let why = reasons.value(start);
        let same = (start..rows.num_rows()).take_while(|row| reasons.value(*row) == why).count();
        out.reject_as(rows.slice(start, same), Cause::Refused, why)?;
        start += same;
    }
    Ok(())
}
