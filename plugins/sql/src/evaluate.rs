//! Running expressions over a batch so that a row on which one fails is rejected, and only that.

use arrow_array::{Array, ArrayRef, RecordBatch, new_empty_array};
use gristmill_stage::{Output, Result};

use crate::expression::Compiled;

/// Rows that could be computed, and what was computed of them.
pub(crate) struct Evaluated {
    /// The rows, as they came in.
    pub(crate) rows: RecordBatch,
    /// A column per expression.
    pub(crate) columns: Vec<ArrayRef>,
}

/// Evaluates all expressions on all rows. When one fails, the batch is halved until the failing
/// rows stand alone: these are rejected with the reason, the others go on in their order. A batch
/// without bad rows is evaluated once; each bad row costs a few evaluations of smaller parts more.
pub(crate) fn evaluate(
    expressions: &[Compiled],
    batch: RecordBatch,
    out: &mut dyn Output,
) -> Result<Evaluated> {
    let reason = match columns(expressions, &batch) {
        Ok(columns) => {
            return Ok(Evaluated { rows: batch, columns });
        }
        Err(reason) => reason,
    };
    let mut parts = Parts { expressions, batch: &batch, good: Vec::new(), bad: Vec::new() };
    parts.divide(0, batch.num_rows(), reason);
    let Parts { good, bad, .. } = parts;
    reject(&batch, bad, out)?;
    join(&batch, expressions, &good)
}

fn columns(expressions: &[Compiled], batch: &RecordBatch) -> Result<Vec<ArrayRef>, String> {
    expressions.iter().map(|expression| expression.evaluate(batch)).collect()
}

/// A stretch of rows that could be computed.
struct Good {
    start: usize,
    rows: usize,
    columns: Vec<ArrayRef>,
}

struct Parts<'a> {
    expressions: &'a [Compiled],
    batch: &'a RecordBatch,
    good: Vec<Good>,
    bad: Vec<(usize, String)>,
}

impl Parts<'_> {
    /// Divides rows that are known to fail together, for `reason`.
    fn divide(&mut self, start: usize, rows: usize, reason: String) {
        if rows <= 1 {
            self.bad.push((start, reason));
            return;
        }
        let half = rows / 2;
        for (start, rows) in [(start, half), (start + half, rows - half)] {
            match columns(self.expressions, &self.batch.slice(start, rows)) {
                Ok(columns) => self.good.push(Good { start, rows, columns }),
                Err(reason) => self.divide(start, rows, reason),
            }
        }
    }
}

/// Rejects bad rows, neighbours with the same reason together.
fn reject(batch: &RecordBatch, bad: Vec<(usize, String)>, out: &mut dyn Output) -> Result<()> {
    let mut bad = bad.into_iter().peekable();
    while let Some((start, reason)) = bad.next() {
        let mut rows = 1;
        while bad.next_if(|(row, other)| *row == start + rows && *other == reason).is_some() {
            rows += 1;
        }
        out.reject(batch.slice(start, rows), &reason)?;
    }
    Ok(())
}

fn join(batch: &RecordBatch, expressions: &[Compiled], good: &[Good]) -> Result<Evaluated> {
    let slices: Vec<RecordBatch> =
        good.iter().map(|part| batch.slice(part.start, part.rows)).collect();
    let rows = arrow_select::concat::concat_batches(&batch.schema(), &slices)?;
    let columns = expressions.iter().enumerate().map(|(index, expression)| {
        let parts: Vec<&dyn Array> = good.iter().map(|part| part.columns[index].as_ref()).collect();
        if parts.is_empty() {
            return Ok(new_empty_array(expression.data_type()));
        }
        arrow_select::concat::concat(&parts)
    });
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    Ok(Evaluated { rows, columns })
}
