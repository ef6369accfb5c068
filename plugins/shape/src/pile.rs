//! Rows in memory that are to be sorted.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_row::Rows;
use arrow_select::concat::concat_batches;
use gristmill_stage::Result;

use crate::keys::Keys;
use crate::ordered::Ordered;
use crate::weigh::total;

/// Batches with their keys.
pub(crate) struct Pile {
    keys: Arc<Keys>,
    batches: Vec<RecordBatch>,
    rows: Vec<Rows>,
    /// Batches that wait to become one: what is done for each batch should be done for many rows.
    small: Vec<RecordBatch>,
    small_rows: usize,
    small_bytes: usize,
    bytes: usize,
}

/// Rows and bytes that are worth a batch.
const ROWS: usize = 8192;
const BYTES: usize = 8 << 20;
/// What a row takes while it is sorted, besides itself and its key.
const OVERHEAD: usize = 40;

/// A row by where it is, and by the first bytes of its key that differ from those of others, which
/// decide most comparisons.
struct Sortable {
    prefix: u64,
    batch: u32,
    row: u32,
}

impl Pile {
    pub(crate) fn new(keys: Arc<Keys>) -> Self {
        Self {
            keys,
            batches: Vec::new(),
            rows: Vec::new(),
            small: Vec::new(),
            small_rows: 0,
            small_bytes: 0,
            bytes: 0,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.batches.is_empty() && self.small.is_empty()
    }

    /// What the rows take in memory, about.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes + self.small_bytes
    }

    /// Adds rows.
    pub(crate) fn add(&mut self, batch: RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let bytes = total(&batch);
        if self.small_rows + batch.num_rows() > ROWS || self.small_bytes + bytes > BYTES {
            self.seal()?;
        }
        self.small_rows += batch.num_rows();
        self.small_bytes += bytes;
        self.small.push(batch);
        Ok(())
    }

    /// Makes one batch of those that wait.
    fn seal(&mut self) -> Result<()> {
        let Some(first) = self.small.first() else { return Ok(()) };
        let batch = match self.small.len() {
            1 => first.clone(),
            _ => concat_batches(first.schema_ref(), &self.small)?,
        };
        let rows = self.keys.of(&batch)?;
        self.bytes += self.small_bytes + rows.size() + batch.num_rows() * OVERHEAD;
        self.batches.push(batch);
        self.rows.push(rows);
        self.small.clear();
        (self.small_rows, self.small_bytes) = (0, 0);
        Ok(())
    }

    /// All rows in order; of equal ones those that came first are first.
    pub(crate) fn sort(mut self) -> Result<Ordered> {
        self.seal()?;
        let count = self.rows.iter().map(Rows::num_rows).sum();
        let skip = self.common();
        let mut order: Vec<Sortable> = Vec::with_capacity(count);
        for (batch, rows) in (0_u32..).zip(&self.rows) {
            let prefixes = rows.iter().map(|row| prefix(&row.data()[skip..]));
            let sortable = |(row, prefix)| Sortable { prefix, batch, row };
            order.extend((0_u32..).zip(prefixes).map(sortable));
        }
        let key = |at: &Sortable| self.rows[at.batch as usize].row(at.row as usize);
        order.sort_unstable_by(|a, b| {
            a.prefix
                .cmp(&b.prefix)
                .then_with(|| key(a).cmp(&key(b)))
                .then_with(|| (a.batch, a.row).cmp(&(b.batch, b.row)))
        });
        let order = order.into_iter().map(|at| (at.batch as usize, at.row as usize));
        Ok(Ordered::new(self.batches, order.collect()))
    }

    /// How many bytes all keys begin with alike.
    fn common(&self) -> usize {
        let mut keys = self.rows.iter().flat_map(Rows::iter).map(|row| row.data());
        let Some(first) = keys.next() else { return 0 };
        keys.fold(first.len(), |length, key| {
            first[..length].iter().zip(key).take_while(|(a, b)| a == b).count()
        })
    }
}

/// The first of some bytes as a number that compares as they do.
fn prefix(key: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    let length = key.len().min(8);
    bytes[..length].copy_from_slice(&key[..length]);
    u64::from_be_bytes(bytes)
}
