//! Puts groups together that lie in several files.
//!
//! Files are sorted by the hash of the keys, and groups of one hash lie in one block. So what the
//! blocks in hand have up to the smallest of their last hashes is all that there is of these groups.

use std::sync::Arc;

use arrow_array::{RecordBatch, UInt32Array};
use arrow_schema::Schema;
use arrow_select::take::take_record_batch;
use datafusion_common::hash_utils::{RandomState, create_hashes};
use gristmill_stage::{BatchTarget, Error, Result};

use super::groups::Groups;
use super::plan::Prepared;
use super::spill::{Run, RunReader, RunWriter};
use crate::wording;

/// Files that are being merged.
pub(crate) struct Merge {
    cursors: Vec<Cursor>,
    /// How many groups of each file do not count any more.
    gone: Vec<u64>,
    keys: usize,
}

/// A place in a file.
struct Cursor {
    reader: RunReader,
    /// What is left of the block there; no rows at the end of the file.
    block: RecordBatch,
    hashes: Vec<u64>,
}

impl Merge {
    pub(crate) fn open(runs: &[Run], prepared: &Prepared) -> Result<Self> {
        let keys = prepared.key_types.len();
        let open = |run: &Run| {
            let mut reader = run.read()?;
            let block = reader.next()?;
            let block = block.unwrap_or_else(|| RecordBatch::new_empty(Arc::new(Schema::empty())));
            let hashes = hashes(&block, keys)?;
            Ok(Cursor { reader, block, hashes })
        };
        let cursors = runs.iter().map(open).collect::<Result<Vec<_>>>()?;
        Ok(Self { cursors, gone: runs.iter().map(|run| run.gone).collect(), keys })
    }

    /// How many groups of each file do not count any more.
    pub(crate) fn gone(&self) -> &[u64] {
        &self.gone
    }

    /// Whether no groups are left.
    pub(crate) fn is_over(&self) -> bool {
        self.cursors.iter().all(|cursor| cursor.hashes.is_empty())
    }

    /// The next groups, whole: about as many as are wanted.
    pub(crate) fn next(&mut self, wanted: BatchTarget, prepared: &Prepared) -> Result<Groups> {
        let mut groups = Groups::new(prepared)?;
        loop {
            let last = self.cursors.iter().filter_map(|cursor| cursor.hashes.last().copied());
            let Some(last) = last.min() else { break };
            for (cursor, gone) in self.cursors.iter_mut().zip(&mut self.gone) {
                let count = cursor.hashes.partition_point(|hash| *hash <= last);
                if count > 0 {
                    groups.merge(&cursor.block.slice(0, count), prepared)?;
                    cursor.pass(count, self.keys)?;
                    *gone += count as u64;
                }
            }
            if groups.len() >= wanted.rows || groups.size() >= wanted.bytes {
                break;
            }
        }
        Ok(groups)
    }
}

impl Cursor {
    /// Goes on by so many groups.
    fn pass(&mut self, count: usize, keys: usize) -> Result<()> {
        let left = self.hashes.len() - count;
        self.block = self.block.slice(count, left);
        self.hashes.drain(..count);
        if left == 0
            && let Some(block) = self.reader.next()?
        {
            self.hashes = hashes(&block, keys)?;
            self.block = block;
        }
        Ok(())
    }
}

/// Adds groups to a file, sorted, in blocks of about that size. All of them are behind those that are
/// there already.
pub(crate) fn write(
    groups: &RecordBatch,
    keys: usize,
    block: BatchTarget,
    writer: &mut RunWriter,
) -> Result<()> {
    let hashes = hashes(groups, keys)?;
    let mut order: Vec<u32> = (0..u32::try_from(hashes.len()).unwrap_or(u32::MAX)).collect();
    order.sort_unstable_by_key(|number| hashes[*number as usize]);
    let each = groups.get_array_memory_size() / groups.num_rows().max(1) + 1;
    let target = (block.bytes / each).clamp(1, block.rows);
    let mut rest = order.as_slice();
    while !rest.is_empty() {
        let mut rows = target;
        loop {
            rows = whole(rest, rows, &hashes);
            let taken = take_record_batch(groups, &UInt32Array::from(rest[..rows].to_vec()))?;
            // Groups can be of very different sizes.
            let fits = taken.get_array_memory_size() <= 2 * block.bytes;
            if fits || whole(rest, rows / 2, &hashes) == rows {
                writer.write(&taken)?;
                break;
            }
            rows /= 2;
        }
        rest = &rest[rows..];
    }
    Ok(())
}

/// At least so many, at least one, and all that have the hash of the last.
fn whole(order: &[u32], rows: usize, hashes: &[u64]) -> usize {
    let rows = rows.clamp(1, order.len());
    let last = hashes[order[rows - 1] as usize];
    let more = order[rows..].iter().take_while(|number| hashes[**number as usize] == last);
    rows + more.count()
}

/// The hash of each group's keys: the same in every process.
fn hashes(groups: &RecordBatch, keys: usize) -> Result<Vec<u64>> {
    let mut hashes = vec![0; groups.num_rows()];
    if groups.num_rows() > 0 {
        create_hashes(&groups.columns()[..keys], &RandomState::with_seed(0), &mut hashes)
            .map_err(|error| Error::internal(wording::plain(&error)))?;
    }
    Ok(hashes)
}
