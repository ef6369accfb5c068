//! `sort`: all rows in an order.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use gristmill_stage::option::ByteSize;
use gristmill_stage::path::check_replace;
use gristmill_stage::reading::Unit;
use gristmill_stage::{
    BatchTarget, BuildContext, Error, Lineage, Output, Planned, Reading, Readout, Result, Role,
    Snapshot, Stage, StageSpec, Transform,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::keys::Keys;
use crate::merge::Merge;
use crate::order::Order;
use crate::ordered::Ordered;
use crate::pile::Pile;
use crate::spill::{Folder, Run, RunWriter};
use crate::weigh::total;
use crate::{memory, plain};

/// The kind `sort`.
#[derive(Debug, Clone, Copy)]
pub struct Sort;

/// Options of `sort`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SortOptions {
    /// The columns to sort by, each with `asc` (when left out) or `desc`: `price desc`, or a list
    /// with the most important first, `[city, price desc nulls first]`. Nulls come last, or where
    /// `nulls first` says. NaN counts as the largest number, and texts compare by their bytes. Equal
    /// rows keep the order in which they came.
    by: Order,
    /// The memory that rows may take, about. Beyond it they are put on disk, sorted, and merged in
    /// the end.
    #[serde(default = "memory")]
    memory: ByteSize,
    /// The folder for rows that do not fit into memory; it is made when it is missing. The
    /// temporary folder of the system (`TMPDIR`, `/tmp`) when left out. The files go when the run
    /// ends; if the whole run is killed by SIGKILL they stay, in a folder `gristmill-sort-…`.
    #[serde(default)]
    spill: Option<PathBuf>,
}

impl StageSpec for Sort {
    type Options = SortOptions;

    const KIND: &'static str = "sort";
    const SUMMARY: &'static str = "Sorts all rows, on disk where memory does not suffice.";
    const ROLE: Role = Role::Transform;
    const EXAMPLE: &'static str = "type: sort\nwith: { by: [category, price desc] }";
    const INPUT: &'static str = "any columns";
    const OUTPUT: &'static str =
        "The columns of the input, dictionaries as their values; rows in their order.";
    const READINGS: &'static [Reading] = &[
        Reading::gauge("held", "Bytes of rows in memory that are to be sorted, about.")
            .unit(Unit::Bytes),
        Reading::counter("spilled", "Bytes of rows that were put on disk, about.")
            .unit(Unit::Bytes),
    ];

    fn plan(options: &SortOptions, input: Option<&SchemaRef>) -> Result<Planned> {
        let input = input.ok_or_else(|| Error::schema("`sort` has no input"))?;
        let output = plain::schema_of(input);
        let by = options.by.columns(&output)?;
        Keys::new(&output, &by)?;
        if options.memory.0 < LEAST_MEMORY {
            let text = format!("{} are too few to sort in", options.memory);
            return Err(Error::option("memory", text).help("at least 1MiB"));
        }
        if let Some(folder) = &options.spill {
            check_replace(&folder.join("gristmill-sort")).map_err(|error| error.at("spill"))?;
        }
        let by = by.iter().map(|(index, _)| input.field(*index).name());
        let lineage = Lineage::carries(input, by);
        let planned = Planned::emits(output).lineage(lineage).holds(options.memory.0);
        Ok(planned.single("all rows are put in one order"))
    }

    fn build(options: SortOptions, context: BuildContext) -> Result<Stage> {
        let schema = Arc::clone(context.output());
        let keys = Arc::new(Keys::new(&schema, &options.by.columns(&schema)?)?);
        let (folder, runs) = match context.restored().value::<Kept>(VERSION)? {
            Some(kept) if !kept.runs.is_empty() || kept.folder.exists() => {
                (Folder::adopt(kept.folder, &kept.runs)?, named(kept.runs))
            }
            _ => (Folder::create(options.spill.as_deref())?, Vec::new()),
        };
        Ok(Stage::transform(Sorting {
            phase: Phase::Taking(Pile::new(Arc::clone(&keys))),
            keys,
            schema,
            batch: context.batch(),
            memory: usize::try_from(options.memory.0).unwrap_or(usize::MAX),
            runs,
            folder,
            folded: 0,
            resumable: context.resumable(),
            held: context.reading("held")?,
            spilled: context.reading("spilled")?,
        }))
    }
}

/// Below this, files would be merged two at a time.
const LEAST_MEMORY: u64 = 1 << 20;
/// Files that are merged at once, at the most.
const MOST_FILES: usize = 64;

/// Layout of the snapshot: where the rows are.
const VERSION: u32 = 1;

/// A snapshot. All rows are on disk when it is taken.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    folder: PathBuf,
    runs: Vec<Run>,
}

/// These files, now named in a snapshot.
fn named(mut runs: Vec<Run>) -> Vec<Run> {
    runs.iter_mut().for_each(|run| run.named = true);
    runs
}

struct Sorting {
    phase: Phase,
    keys: Arc<Keys>,
    schema: SchemaRef,
    batch: BatchTarget,
    memory: usize,
    /// Sorted rows on disk, in the order in which they came.
    runs: Vec<Run>,
    /// How many of them come of merging others in this round.
    folded: usize,
    folder: Folder,
    resumable: bool,
    held: Readout,
    spilled: Readout,
}

enum Phase {
    /// Rows come in.
    Taking(Pile),
    /// All rows are in memory.
    Sorted(Ordered),
    /// Some files become one, since there are too many to merge at once.
    Folding { merge: Merge, writer: Box<RunWriter>, count: usize },
    /// Rows leave while files are merged.
    Merging(Merge),
    /// All rows have left.
    Over,
}

impl Sorting {
    /// The size of blocks on disk.
    fn block(&self) -> BatchTarget {
        BatchTarget { rows: 8192, bytes: (self.memory / 256).clamp(16 << 10, 1 << 20) }
    }

    /// How many files can be merged at once: a block of each is in memory, with its keys.
    fn files_at_once(&self) -> usize {
        let widest = self.runs.iter().map(|run| run.widest).max().unwrap_or(0);
        (self.memory / 3 / widest.max(1)).clamp(2, MOST_FILES)
    }

    /// Puts rows on disk.
    fn spill(&mut self, mut rows: Ordered) -> Result<()> {
        let mut writer = self.folder.write(&self.schema)?;
        while let Some(block) = rows.next(self.block())? {
            writer.write(&block)?;
            self.spilled.add(total(&block) as u64);
        }
        self.held.set(0.0);
        self.runs.push(writer.finish()?);
        Ok(())
    }

    /// Puts the rows that came since the last time on disk.
    fn spill_pile(&mut self) -> Result<()> {
        if let Phase::Taking(pile) = &mut self.phase
            && !pile.is_empty()
        {
            let pile = std::mem::replace(pile, Pile::new(Arc::clone(&self.keys)));
            self.spill(pile.sort()?)?;
        }
        Ok(())
    }

    /// Begins to let rows go.
    fn begin(&mut self) -> Result<()> {
        if self.runs.is_empty()
            && let Phase::Taking(pile) = &mut self.phase
        {
            let pile = std::mem::replace(pile, Pile::new(Arc::clone(&self.keys)));
            self.phase = Phase::Sorted(pile.sort()?);
            return Ok(());
        }
        self.spill_pile()?;
        self.phase = self.next_merge()?;
        Ok(())
    }

    /// What is to be merged next: all files, or as many as can be.
    fn next_merge(&mut self) -> Result<Phase> {
        let most = self.files_at_once();
        if self.runs.len() <= most {
            return Ok(Phase::Merging(self.open(&self.runs)?));
        }
        if self.runs.len() - self.folded < 2 {
            self.folded = 0;
        }
        let count = most.min(self.runs.len() - self.folded);
        let merge = self.open(&self.runs[self.folded..self.folded + count])?;
        let writer = Box::new(self.folder.write(&self.schema)?);
        Ok(Phase::Folding { merge, writer, count })
    }

    fn open(&self, runs: &[Run]) -> Result<Merge> {
        Merge::open(&self.folder, runs, &self.keys, &self.schema)
    }

    /// Puts a new file in the place of those that it was merged of.
    fn fold(&mut self, run: Run, count: usize) -> Result<()> {
        let old = self.folded..self.folded + count;
        let old: Vec<Run> = self.runs.splice(old, [run]).collect();
        self.folded += 1;
        // What a snapshot names must be there for whoever goes on from it.
        old.iter().filter(|run| !run.named).try_for_each(|run| self.folder.remove(run))
    }

    /// Does about a batch of work.
    fn step(&mut self, out: &mut dyn Output) -> Result<()> {
        let next = match &mut self.phase {
            Phase::Taking(_) | Phase::Over => None,
            Phase::Sorted(ordered) => ordered.next(self.batch)?,
            Phase::Merging(merge) => {
                let next = merge.next(self.batch)?;
                self.runs.iter_mut().zip(merge.gone()).for_each(|(run, gone)| run.gone = *gone);
                next
            }
            Phase::Folding { .. } => return self.step_folding(),
        };
        let over = match &self.phase {
            Phase::Sorted(ordered) => ordered.is_empty(),
            Phase::Merging(merge) => merge.is_over(),
            _ => false,
        };
        if over {
            self.phase = Phase::Over;
            self.held.set(0.0);
        }
        next.map_or(Ok(()), |batch| out.emit(batch))
    }

    fn step_folding(&mut self) -> Result<()> {
        let block = self.block();
        if let Phase::Folding { merge, writer, .. } = &mut self.phase
            && let Some(rows) = merge.next(block)?
        {
            return writer.write(&rows);
        }
        let phase = std::mem::replace(&mut self.phase, Phase::Over);
        if let Phase::Folding { writer, count, .. } = phase {
            self.fold(writer.finish()?, count)?;
            self.phase = self.next_merge()?;
        }
        Ok(())
    }
}

impl Transform for Sorting {
    fn process(&mut self, batch: RecordBatch, _: &mut dyn Output) -> Result<()> {
        let batch = plain::own(&batch, &self.schema)?;
        let Phase::Taking(pile) = &mut self.phase else {
            return Err(Error::internal("rows came after the end of the input"));
        };
        pile.add(batch)?;
        self.held.set(pile.bytes() as f64);
        match pile.bytes() > self.memory - self.memory / 4 {
            true => self.spill_pile(),
            false => Ok(()),
        }
    }

    fn ready(&self) -> bool {
        // One that goes on from the very end must still be told of it.
        matches!(self.phase, Phase::Taking(_) | Phase::Over)
    }

    fn holding(&self) -> bool {
        !matches!(self.phase, Phase::Taking(_) | Phase::Over)
    }

    fn wake(&mut self, out: &mut dyn Output) -> Result<()> {
        self.step(out)
    }

    fn wake_at(&self) -> Option<Duration> {
        self.holding().then_some(Duration::ZERO)
    }

    fn finish(&mut self, out: &mut dyn Output) -> Result<()> {
        if matches!(self.phase, Phase::Taking(_)) {
            self.begin()?;
        }
        self.step(out)
    }

    fn snapshot(&mut self) -> Result<Snapshot> {
        self.spill_pile()?;
        if let Phase::Sorted(ordered) = &mut self.phase {
            let rows = std::mem::replace(ordered, Ordered::new(Vec::new(), Vec::new()));
            self.spill(rows)?;
            self.phase = self.next_merge()?;
        }
        if matches!(self.phase, Phase::Over) {
            self.runs.clear();
        }
        self.runs = named(std::mem::take(&mut self.runs));
        self.folder.stays = self.resumable;
        let folder = self.folder.path().to_owned();
        Snapshot::of(VERSION, &Kept { folder, runs: self.runs.clone() })
    }
}

impl Drop for Sorting {
    fn drop(&mut self) {
        // Nobody goes on from a stage that is at its end.
        self.folder.stays &= !matches!(self.phase, Phase::Over);
    }
}
