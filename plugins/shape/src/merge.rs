//! Several files of sorted rows as one.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_row::{Row, Rows};
use arrow_schema::SchemaRef;
use gristmill_stage::{BatchTarget, Result};

use crate::keys::Keys;
use crate::ordered::{Place, gather};
use crate::spill::{Folder, Run, RunReader};
use crate::weigh::total;

/// Files that are being merged, of which a block each is in memory.
pub(crate) struct Merge {
    keys: Arc<Keys>,
    readers: Vec<RunReader>,
    /// The next row of each file that has one, the first of them on top.
    heads: BinaryHeap<Box<Head>>,
    blocks: Vec<Block>,
    /// Which block is the present one of a file.
    current: Vec<usize>,
    /// Rows that have left each file.
    gone: Vec<u64>,
}

struct Block {
    rows: RecordBatch,
    /// Bytes of a row, about.
    each: usize,
}

struct Head {
    keys: Rows,
    at: usize,
    run: usize,
}

impl Head {
    fn key(&self) -> Row<'_> {
        self.keys.row(self.at)
    }
}

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Head {}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Head {
    /// The greatest is on top of a heap, and the first row should be. Rows of earlier files came
    /// before equal ones of later files.
    fn cmp(&self, other: &Self) -> Ordering {
        other.key().cmp(&self.key()).then(other.run.cmp(&self.run))
    }
}

impl Merge {
    /// Opens these files.
    pub(crate) fn open(
        folder: &Folder,
        runs: &[Run],
        keys: &Arc<Keys>,
        schema: &SchemaRef,
    ) -> Result<Self> {
        let readers = runs.iter().map(|run| folder.read(run, schema));
        let mut merge = Self {
            keys: Arc::clone(keys),
            readers: readers.collect::<Result<Vec<_>>>()?,
            heads: BinaryHeap::new(),
            blocks: Vec::new(),
            current: vec![0; runs.len()],
            gone: runs.iter().map(|run| run.gone).collect(),
        };
        (0..runs.len()).try_for_each(|run| merge.load(run))?;
        Ok(merge)
    }

    /// Reads the next block of a file, if there is one.
    fn load(&mut self, run: usize) -> Result<()> {
        if let Some(rows) = self.readers[run].next()? {
            let keys = self.keys.of(&rows)?;
            self.current[run] = self.blocks.len();
            self.blocks.push(Block { each: total(&rows) / rows.num_rows().max(1), rows });
            self.heads.push(Box::new(Head { keys, at: 0, run }));
        }
        Ok(())
    }

    /// Whether all rows have left.
    pub(crate) fn is_over(&self) -> bool {
        self.heads.is_empty()
    }

    /// How many rows have left each file.
    pub(crate) fn gone(&self) -> &[u64] {
        &self.gone
    }

    /// The next rows, about a batch of them; `None` when there are no more.
    pub(crate) fn next(&mut self, target: BatchTarget) -> Result<Option<RecordBatch>> {
        let mut order: Vec<Place> = Vec::new();
        let mut bytes = 0_usize;
        while order.len() < target.rows.max(1) {
            let Some(mut head) = self.heads.peek_mut() else { break };
            let (run, block) = (head.run, self.current[head.run]);
            bytes = bytes.saturating_add(self.blocks[block].each);
            if bytes > target.bytes && !order.is_empty() {
                break;
            }
            order.push((block, head.at));
            self.gone[run] += 1;
            head.at += 1;
            if head.at == head.keys.num_rows() {
                PeekMut::pop(head);
                self.load(run)?;
            }
        }
        if order.is_empty() {
            return Ok(None);
        }
        let blocks: Vec<RecordBatch> = self.blocks.iter().map(|block| block.rows.clone()).collect();
        let next = gather(&blocks, &order)?;
        self.forget();
        Ok(Some(next))
    }

    /// Lets go of the blocks that are used up.
    fn forget(&mut self) {
        if self.blocks.len() == self.heads.len() {
            return;
        }
        let mut old: Vec<Option<Block>> = self.blocks.drain(..).map(Some).collect();
        for head in &self.heads {
            if let Some(block) = old[self.current[head.run]].take() {
                self.current[head.run] = self.blocks.len();
                self.blocks.push(block);
            }
        }
    }
}
