//! What a stage has put out.

use std::fmt::Display;

use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch};
use arrow_schema::SchemaRef;
use gristmill_stage::{BatchTarget, Cause, Output, Result};

/// All that came out of a stage.
#[derive(Debug, Clone, Default)]
pub struct Collected {
    /// The emitted batches in order, without empty ones.
    pub batches: Vec<RecordBatch>,
    /// The output that each of them left by, by its place among those of the stage.
    pub ports: Vec<usize>,
    /// The rejected rows in order.
    pub rejected: Vec<Rejected>,
    /// Breaches of the contract, each as a sentence.
    pub violations: Vec<String>,
}

/// Rows that a stage has refused.
#[derive(Debug, Clone)]
pub struct Rejected {
    /// The rows as they came in.
    pub rows: RecordBatch,
    /// The class of the reason.
    pub cause: Cause,
    /// Why, in a sentence.
    pub reason: String,
}

impl Collected {
    /// The number of rows that were emitted.
    pub fn rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }

    /// The number of rows that were rejected.
    pub fn rejected_rows(&self) -> usize {
        self.rejected.iter().map(|rejected| rejected.rows.num_rows()).sum()
    }

    /// Adds what came out later.
    pub fn append(&mut self, later: Self) {
        self.batches.extend(later.batches);
        self.ports.extend(later.ports);
        self.rejected.extend(later.rejected);
        self.violations.extend(later.violations);
    }

    pub(crate) fn violation(&mut self, what: impl Display) {
        let what = what.to_string();
        if !self.violations.contains(&what) {
            self.violations.push(what);
        }
    }
}

/// The output of one call: collects, and measures against what the contract allows.
pub(crate) struct Recorder<'a> {
    pub(crate) collected: &'a mut Collected,
    pub(crate) schema: &'a SchemaRef,
    pub(crate) sink: bool,
    outputs: usize,
    rows: usize,
    bytes: usize,
}

impl<'a> Recorder<'a> {
    pub(crate) fn new(
        collected: &'a mut Collected,
        schema: &'a SchemaRef,
        sink: bool,
        outputs: usize,
    ) -> Self {
        Self { collected, schema, sink, outputs, rows: 0, bytes: 0 }
    }

    /// Ends the call. It may have emitted about a batch, or about as much as it was given where that
    /// is more: twice that is "about". A row that is larger goes alone.
    pub(crate) fn end(self, call: &str, target: BatchTarget, given: Option<&(usize, usize)>) {
        let (given_rows, given_bytes) = given.copied().unwrap_or_default();
        let (most_rows, most_bytes) = (
            target.rows.max(given_rows).saturating_mul(2),
            target.bytes.max(given_bytes).saturating_mul(2),
        );
        if self.rows > most_rows {
            self.collected.violation(format!(
                "one call of `{call}` emitted {} rows; about {} are the target, so hold the rest",
                self.rows,
                most_rows / 2
            ));
        }
        let without_largest = self.bytes - self.bytes / self.rows.max(1);
        if without_largest > most_bytes {
            self.collected.violation(format!(
                "one call of `{call}` emitted {} bytes; about {} are the target, so hold the rest",
                self.bytes,
                most_bytes / 2
            ));
        }
    }
}

impl Output for Recorder<'_> {
    fn emit(&mut self, batch: RecordBatch) -> Result<()> {
        self.emit_to(0, batch)
    }

    fn emit_to(&mut self, port: usize, batch: RecordBatch) -> Result<()> {
        if port >= self.outputs {
            let outputs = self.outputs;
            self.collected.violation(format!("emitted a batch by output {port} of {outputs}"));
        }
        if self.sink {
            self.collected.violation("a sink emitted a batch");
        } else if batch.schema_ref().fields() != self.schema.fields() {
            self.collected.violation(format!(
                "emitted a batch of another schema than planned:\n  planned {}\n  emitted {}",
                columns(self.schema),
                columns(batch.schema_ref())
            ));
        }
        if batch.num_rows() > 0 {
            self.rows += batch.num_rows();
            self.bytes += bytes(&batch);
            self.collected.batches.push(batch);
            self.collected.ports.push(port);
        }
        Ok(())
    }

    fn reject(&mut self, rows: RecordBatch, reason: &str) -> Result<()> {
        self.reject_as(rows, Cause::default(), reason)
    }

    fn reject_as(&mut self, rows: RecordBatch, cause: Cause, reason: &str) -> Result<()> {
        if reason.trim().is_empty() {
            self.collected.violation("rejected rows without a reason");
        }
        if rows.num_rows() > 0 {
            self.collected.rejected.push(Rejected { rows, cause, reason: reason.to_owned() });
        }
        Ok(())
    }
}

/// The bytes that a batch shows, which for slices are fewer than what it keeps alive.
pub(crate) fn bytes(batch: &RecordBatch) -> usize {
    batch.columns().iter().map(|column| shown(column)).sum()
}

fn shown(column: &dyn Array) -> usize {
    let nulls = column.nulls().map_or(0, |nulls| nulls.len().div_ceil(8));
    let items = |first: usize, last: usize, values: &dyn Array| {
        shown(&values.slice(first, last.saturating_sub(first)))
    };
    // Arrow counts all items of a list, also those that a slice does not show.
    if let Some(list) = column.as_list_opt::<i32>() {
        let (first, last) = ends(list.value_offsets());
        return nulls + 4 * list.value_offsets().len() + items(first, last, list.values());
    }
    if let Some(list) = column.as_list_opt::<i64>() {
        let (first, last) = ends(list.value_offsets());
        return nulls + 8 * list.value_offsets().len() + items(first, last, list.values());
    }
    if let Some(map) = column.as_map_opt() {
        let (first, last) = ends(map.value_offsets());
        return nulls + 4 * map.value_offsets().len() + items(first, last, map.entries());
    }
    if let Some(fields) = column.as_struct_opt() {
        return nulls + fields.columns().iter().map(|column| shown(column)).sum::<usize>();
    }
    // A layout that cannot say it is counted by what it keeps alive.
    column.to_data().get_slice_memory_size().unwrap_or_else(|_| column.get_array_memory_size())
}

/// Where the items begin and end that a slice of lists shows.
fn ends<T: TryInto<usize> + Copy>(offsets: &[T]) -> (usize, usize) {
    let at = |offset: Option<&T>| offset.and_then(|at| (*at).try_into().ok()).unwrap_or_default();
    (at(offsets.first()), at(offsets.last()))
}

/// A schema in a line.
pub(crate) fn columns(schema: &SchemaRef) -> String {
    let field = |f: &std::sync::Arc<arrow_schema::Field>| {
        let null = if f.is_nullable() { "" } else { " not null" };
        format!("{}: {}{null}", f.name(), f.data_type())
    };
    format!("[{}]", schema.fields().iter().map(field).collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows;

    #[test]
    fn slices_count_as_much_as_they_show() {
        let all = rows!([
            { "n": 1, "t": "a", "l": [1, 2, 3], "s": { "l": [1] } },
            { "n": 2, "t": "b", "l": [4], "s": { "l": [2, 3] } },
            { "n": 3, "t": "c", "l": [5, 6], "s": { "l": [] } },
        ]);
        let parts: usize = (0..3).map(|row| bytes(&all.slice(row, 1))).sum();
        let shared = 3 * 2 * 4;
        assert!(parts.abs_diff(bytes(&all)) <= shared, "{parts} and {}", bytes(&all));
    }
}
