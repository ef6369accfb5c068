//! The source of files that hold columns in blocks.

use std::path::PathBuf;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use gristmill_stage::{
    BatchTarget, BuildContext, Comparison, Error, ErrorKind, Next, Output, Result, Snapshot,
    Source, Stage,
};
use serde::{Deserialize, Serialize};

use super::{Blocks, contained, open};
use crate::format::Format;
use crate::paths::Input;
use crate::skip::skip;

/// Layout of the snapshot: a [`Position`].
const VERSION: u32 = 1;

/// Where reading goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Position {
    /// The number of the file, and its name.
    number: usize,
    file: String,
    block: usize,
    /// Rows of the block that were emitted.
    row: u64,
}

/// Builds a worker that reads its share of the blocks of these files.
pub(crate) fn build(inputs: Vec<Input>, format: Format, context: &BuildContext) -> Result<Stage> {
    let path = |input| match input {
        Input::File(path) => Ok(path),
        Input::Stdin => Err(Error::internal("stdin was planned as columns")),
    };
    let files = inputs.into_iter().map(path).collect::<Result<Vec<_>>>()?;
    let restored: Option<Position> = context.restored().value(VERSION)?;
    let (number, block, row) = match restored {
        None => (0, 0, 0),
        Some(position) => {
            let name = files.get(position.number).map(|file| file.display().to_string());
            if name.unwrap_or_default() != position.file {
                let text = format!("the file {} that was being read is gone", position.file);
                return Err(Error::new(ErrorKind::Restore, text));
            }
            (position.number, position.block, position.row)
        }
    };
    let (instance, instances) = (context.instance(), context.instances().max(1));
    Ok(Stage::source(Reader {
        files,
        format,
        schema: context.output().clone(),
        hints: context.hints().to_vec(),
        target: context.batch(),
        share: (instance, instances),
        number,
        block,
        row,
        open: None,
        rest: None,
    }))
}

struct Reader {
    files: Vec<PathBuf>,
    format: Format,
    schema: SchemaRef,
    /// Rows for which one of these is not true are of no use.
    hints: Vec<Comparison>,
    target: BatchTarget,
    /// Which worker this is, and of how many.
    share: (usize, usize),
    /// The file that is being read, the block of it, and how many rows of that were emitted.
    number: usize,
    block: usize,
    row: u64,
    open: Option<Open>,
    /// Rows that were read and not yet emitted.
    rest: Option<RecordBatch>,
}

struct Open {
    blocks: Box<dyn Blocks>,
    /// Whether the block was begun.
    begun: bool,
}

impl Reader {
    /// Block `n` of file `m` is for worker `m + n`: also many files of one block are shared evenly.
    fn is_mine(&self, block: usize) -> bool {
        (self.number + block) % self.share.1 == self.share.0
    }

    /// The next rows. `None` when a block or a file came to its end, or all did.
    fn next(&mut self) -> Result<Option<RecordBatch>> {
        if self.rest.is_some() {
            return Ok(self.rest.take());
        }
        let Some(path) = self.files.get(self.number) else { return Ok(None) };
        let mut open = match self.open.take() {
            Some(open) => open,
            None => {
                let (_, blocks) = open(self.format, path, Some(&self.schema), self.target)?;
                Open { blocks, begun: false }
            }
        };
        let count = open.blocks.count();
        // A block that was begun is gone on with; the others may be of no use.
        while self.block < count
            && !open.begun
            && !(self.is_mine(self.block)
                && contained(|| Ok(open.blocks.may_hold(self.block, &self.hints)))?)
        {
            (self.block, self.row) = (self.block + 1, 0);
        }
        if self.block >= count {
            (self.number, self.block, self.row) = (self.number + 1, 0, 0);
            return Ok(None);
        }
        let failed = |e: Error| e.context(path.display());
        if !open.begun {
            contained(|| open.blocks.start(self.block, self.row)).map_err(failed)?;
            open.begun = true;
        }
        let rows = contained(|| open.blocks.next()).map_err(failed)?;
        if rows.is_none() {
            open.begun = false;
            (self.block, self.row) = (self.block + 1, 0);
        }
        self.open = Some(open);
        Ok(rows)
    }

    /// How many of these rows make a batch.
    fn piece(&self, batch: &RecordBatch) -> usize {
        let rows = batch.num_rows();
        let bytes: usize = batch.columns().iter().map(size).sum();
        let fitting = rows as f64 * self.target.bytes as f64 / bytes.max(1) as f64;
        rows.min(self.target.rows).min(fitting as usize).max(1)
    }
}

/// What the rows of a column take, which may be a part of a larger one.
fn size(column: &arrow_array::ArrayRef) -> usize {
    column.to_data().get_slice_memory_size().unwrap_or_else(|_| column.get_array_memory_size())
}

impl Source for Reader {
    fn poll(&mut self, out: &mut dyn Output) -> Result<Next> {
        if let Some(batch) = self.next()?.filter(|batch| batch.num_rows() > 0) {
            let rows = self.piece(&batch);
            self.row += rows as u64;
            if rows < batch.num_rows() {
                self.rest = Some(batch.slice(rows, batch.num_rows() - rows));
            }
            out.emit(skip(batch.slice(0, rows), &self.hints)?)?;
        }
        Ok(match self.number < self.files.len() {
            true => Next::Now,
            false => Next::Done,
        })
    }

    fn snapshot(&mut self) -> Result<Snapshot> {
        let file = self.files.get(self.number).map(|file| file.display().to_string());
        let (number, block, row) = (self.number, self.block, self.row);
        let file = file.unwrap_or_default();
        Snapshot::of(VERSION, &Position { number, file, block, row })
    }
}
