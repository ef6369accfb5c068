//! A source from an iterator.

use serde::Serialize;

use super::cut::{Cutter, Rows};
use crate::{BuildContext, Cause, Next, Output, Result, Snapshot, Source, Stage};

/// Layout of the snapshot: the position, a number.
const VERSION: u32 = 1;

/// Makes a source of an iterator. `make` is given the position to start from: how many rows have
/// gone out before, 0 at first. An `Err` from the iterator ends the run.
///
/// ```
/// # use gristmill_stage::{BuildContext, Result, Stage, rows};
/// # #[derive(serde::Serialize)]
/// # struct Row { n: u64 }
/// fn numbers(context: BuildContext) -> Result<Stage> {
///     rows::source(context, |position| Ok((position..1000).map(|n| Ok(Row { n }))))
/// }
/// ```
pub fn source<T, I>(context: BuildContext, make: impl FnOnce(u64) -> Result<I>) -> Result<Stage>
where
    T: Serialize + Send + 'static,
    I: Iterator<Item = Result<T>> + Send + 'static,
{
    let position = context.restored().value::<u64>(VERSION)?.unwrap_or(0);
    Ok(Stage::source(RowSource {
        rows: make(position)?,
        emitted: position,
        held: Rows::new(),
        cutter: Cutter::new(&context),
    }))
}

struct RowSource<T, I> {
    rows: I,
    /// Rows that were emitted, those before a restore included.
    emitted: u64,
    held: Rows<T>,
    cutter: Cutter,
}

impl<T, I> Source for RowSource<T, I>
where
    T: Serialize + Send,
    I: Iterator<Item = Result<T>> + Send,
{
    fn poll(&mut self, out: &mut dyn Output) -> Result<Next> {
        if self.cutter.is_empty() {
            while self.held.len() < self.cutter.rows() {
                match self.rows.next() {
                    None => break,
                    Some(row) => self.held.push(row?),
                }
            }
        }
        let mut counted = Counted { out, rows: 0 };
        let emitted = self.cutter.emit(&mut self.held, &mut counted)?;
        self.emitted += counted.rows;
        Ok(if emitted { Next::Now } else { Next::Done })
    }

    fn snapshot(&mut self) -> Result<Snapshot> {
        // What is held comes again from the iterator.
        Snapshot::of(VERSION, &self.emitted)
    }
}

/// Counts the rows that are emitted.
struct Counted<'a> {
    out: &'a mut dyn Output,
    rows: u64,
}

impl Output for Counted<'_> {
    fn emit(&mut self, batch: arrow_array::RecordBatch) -> Result<()> {
        self.rows += batch.num_rows() as u64;
        self.out.emit(batch)
    }

    fn reject(&mut self, rows: arrow_array::RecordBatch, reason: &str) -> Result<()> {
        self.out.reject(rows, reason)
    }

    fn reject_as(
        &mut self,
        rows: arrow_array::RecordBatch,
        cause: Cause,
        reason: &str,
    ) -> Result<()> {
        self.out.reject_as(rows, cause, reason)
    }
}
