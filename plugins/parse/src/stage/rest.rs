//! What is left of a batch: input rows that are not parsed yet, and output rows that wait.

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{Array, ArrayRef, RecordBatch, UInt32Array, UInt64Array};
use arrow_schema::SchemaRef;
use arrow_select::concat::concat_batches;
use arrow_select::take::take;
use gristmill_stage::{BatchTarget, Error, ErrorKind, Result, Snapshot, State};
use std::sync::Arc;

use crate::text::Texts;

/// Version of the snapshot, and its parts.
const VERSION: u32 = 2;
/// Input rows that were parsed, and have not all come out.
const REST: &str = "rest";
/// How far they have come out.
const PLACE: &str = "place";

/// The rest of a batch.
pub(super) struct Rest {
    pub(super) batch: RecordBatch,
    /// The row to parse next.
    pub(super) next: usize,
    /// Output rows of that row which came out before a restart.
    pub(super) skip: usize,
    /// The rows before this one were rejected, if they had to be, before a restart.
    pub(super) told: usize,
    /// Output rows that wait.
    pub(super) held: Option<Held>,
}

/// Output rows, of which the first have come out.
pub(super) struct Held {
    /// The fields.
    pub(super) columns: Vec<ArrayRef>,
    /// The input row of each output row; they never decrease.
    pub(super) origins: Vec<u32>,
    /// How many have come out.
    pub(super) out: usize,
    /// What the fields of one row take, about.
    pub(super) row_size: usize,
}

impl Rest {
    /// All of a batch.
    pub(super) fn new(batch: RecordBatch) -> Self {
        Self { batch, next: 0, skip: 0, told: 0, held: None }
    }

    /// What a snapshot holds.
    pub(super) fn restore(snapshot: &Snapshot, input: &SchemaRef) -> Result<Option<Self>> {
        let Some(state) = snapshot.state(VERSION)? else {
            return Ok(None);
        };
        let misfit =
            || Error::new(ErrorKind::Restore, "the snapshot does not fit the input of parse");
        // Rows that were not begun may have been taken out, to be given again as input.
        let parts: Vec<_> =
            [REST, State::ROWS].iter().filter_map(|name| state.part(name)).collect();
        if parts.is_empty() {
            return Ok(None);
        }
        if parts.iter().any(|part| part.schema() != *input) {
            return Err(misfit());
        }
        let mut rest = Self::new(concat_batches(input, parts)?);
        if let Some(place) = state.part(PLACE) {
            let number = |name: &str| {
                let column = place.column_by_name(name)?.as_primitive_opt::<UInt64Type>()?;
                usize::try_from(column.values().first().copied()?).ok()
            };
            (rest.skip, rest.told) = number("skip").zip(number("told")).ok_or_else(misfit)?;
            rest.told = rest.told.min(rest.batch.num_rows());
        }
        Ok(Some(rest))
    }

    /// All that has not come out.
    pub(super) fn snapshot(&self) -> Result<Snapshot> {
        let (first, skip, told) = match &self.held {
            Some(held) => {
                let first = held.origins.get(held.out).copied().unwrap_or_default();
                let start = held.origins.partition_point(|origin| *origin < first);
                // Of a row that was begun before a restart, the origins tell all output rows.
                (first as usize, held.out - start, self.told.max(self.next))
            }
            None => (self.next, self.skip, self.told.max(self.next)),
        };
        let mut parts = Vec::new();
        // Rows that were begun, and the place in them; and rows that might as well come in anew.
        if skip > 0 || told > first {
            let rest = self.batch.slice(first, told - first);
            let column =
                |number: usize| Arc::new(UInt64Array::from(vec![number as u64])) as ArrayRef;
            let columns = [("skip", column(skip)), ("told", column(told - first))];
            parts.push((REST.to_owned(), rest));
            parts.push((PLACE.to_owned(), RecordBatch::try_from_iter(columns)?));
        }
        if told < self.batch.num_rows() {
            let rows = self.batch.slice(told, self.batch.num_rows() - told);
            parts.push((State::ROWS.to_owned(), rows));
        }
        Ok(Snapshot::parts(VERSION, parts))
    }

    /// Takes the output rows that go into the next batch: the kept columns, and the fields.
    pub(super) fn take(
        &mut self,
        keep: &[usize],
        target: BatchTarget,
    ) -> Result<Option<Vec<ArrayRef>>> {
        let Some(mut held) = self.held.take() else {
            return Ok(None);
        };
        let waiting = held.origins.get(held.out..).unwrap_or_default();
        if waiting.is_empty() {
            return Ok(None);
        }
        let kept = self.batch.project(keep)?;
        let rows = held.fit(waiting, &kept, target);
        let origins = &waiting[..rows];
        // Column by column, since there may be none.
        let mut columns = match contiguous(origins) {
            Some(start) => kept.slice(start, rows).columns().to_vec(),
            None => {
                let origins = UInt32Array::from(origins.to_vec());
                let taken = kept.columns().iter().map(|column| take(column, &origins, None));
                taken.collect::<Result<_, _>>()?
            }
        };
        columns.extend(held.columns.iter().map(|column| column.slice(held.out, rows)));
        held.out += rows;
        if held.out < held.origins.len() {
            self.held = Some(held);
        }
        Ok(Some(columns))
    }
}

impl Held {
    /// How many of the rows that wait go into one batch. One at least.
    fn fit(&self, waiting: &[u32], kept: &RecordBatch, target: BatchTarget) -> usize {
        let most = waiting.len().min(target.rows.max(1));
        // Rows that are not copied take nothing more than they do already.
        if contiguous(waiting).is_some() && self.out == 0 {
            return most;
        }
        let (mut bytes, mut last) = (0, None);
        for (rows, origin) in waiting.iter().take(most).enumerate() {
            let of_kept = match last {
                Some((same, size)) if same == origin => size,
                _ => kept.columns().iter().map(|c| size(c, *origin as usize)).sum::<usize>(),
            };
            last = Some((origin, of_kept));
            bytes += of_kept + self.row_size;
            if bytes >= target.bytes {
                return rows + 1;
            }
        }
        most
    }
}

/// The first row, when these are neighbours, each there once.
fn contiguous(rows: &[u32]) -> Option<usize> {
    let first = *rows.first()?;
    let alone = rows.iter().zip(first..).all(|(row, expected)| *row == expected);
    alone.then_some(first as usize)
}

/// Bytes of one value, about.
fn size(column: &ArrayRef, row: usize) -> usize {
    match Texts::new(column) {
        Some(texts) => texts.get(row).map_or(0, |text| text.len()) + size_of::<u32>(),
        None => {
            let value = column.to_data().slice(row, 1);
            value.get_slice_memory_size().unwrap_or(size_of::<u64>())
        }
    }
}
