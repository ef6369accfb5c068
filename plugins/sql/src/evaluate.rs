//! Running expressions over a batch so that a row on which one fails is rejected, and only that.

use std::collections::BTreeSet;

use arrow_array::{Array, ArrayRef, RecordBatch, new_empty_array};
use gristmill_stage::{Output, Result};

use crate::columns::{alone, joined, shares_values};
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
///
/// A cast of a dictionary or a list looks at all values that the column holds, also at those of rows
/// that are not in the batch, or not in the part of it. So each part gets columns of its own values.
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
    let read: BTreeSet<usize> = expressions.iter().flat_map(Compiled::reads).collect();
    let shared = read.into_iter().filter(|index| shares_values(batch.column(*index).data_type()));
    let shared: Vec<usize> = shared.collect();
    let mut parts = Parts { expressions, batch: &batch, shared, good: Vec::new(), bad: Vec::new() };
    if parts.shared.is_empty() {
        parts.divide(0, batch.num_rows(), reason);
    } else {
        parts.add(0, batch.num_rows());
    }
    let Parts { good, bad, .. } = parts;
    reject(&batch, bad, out)?;
    join(&batch, expressions, &good)
}

/// The bytes of these columns, without what they share with other rows.
pub(crate) fn bytes_of(columns: &[ArrayRef]) -> usize {
    let bytes = columns.iter().map(|column| column.to_data().get_slice_memory_size().unwrap_or(0));
    bytes.sum()
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
    /// Columns whose slices have the values of other rows under them.
    shared: Vec<usize>,
    good: Vec<Good>,
    bad: Vec<(usize, String)>,
}

impl Parts<'_> {
    /// Computes rows, and divides them if they fail.
    fn add(&mut self, start: usize, rows: usize) {
        let mut part = self.batch.slice(start, rows);
        if !self.shared.is_empty() {
            part = alone(part.clone(), &self.shared).unwrap_or(part);
        }
        match columns(self.expressions, &part) {
            Ok(columns) => self.good.push(Good { start, rows, columns }),
            Err(reason) => self.divide(start, rows, reason),
        }
    }

    /// Divides rows that are known to fail together, for `reason`.
    fn divide(&mut self, start: usize, rows: usize, reason: String) {
        if rows <= 1 {
            self.bad.push((start, reason));
            return;
        }
        let half = rows / 2;
        self.add(start, half);
        self.add(start + half, rows - half);
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
        let parts: Vec<ArrayRef> =
            good.iter().map(|part| ArrayRef::clone(&part.columns[index])).collect();
        if parts.is_empty() {
            return Ok(new_empty_array(expression.data_type()));
        }
        joined(&parts, expression.data_type())
    });
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    Ok(Evaluated { rows, columns })
}
