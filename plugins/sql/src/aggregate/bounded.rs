//! Groups within a bound of memory: those beyond it are put on disk, and put together in the end.

use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch, StringArray};
use gristmill_stage::{BatchTarget, BuildContext, Error, Result};
use serde::{Deserialize, Serialize};

use super::groups::{Groups, unfit};
use super::keys::too_many;
use super::memory::Memory;
use super::merge::{Merge, write};
use super::plan::Prepared;
use super::spill::{Folder, Run, RunWriter};
use crate::evaluate::bytes_of;

/// Files that are merged at once, at the most.
const MOST_FILES: usize = 64;

/// The groups of all rows.
pub(crate) struct BoundedGroups {
    /// Those in memory.
    groups: Groups,
    /// Where others go. All rows as one group have no other.
    disk: Option<Disk>,
    batch: BatchTarget,
    phase: Phase,
    /// How many groups were put together from files.
    merged: u64,
}

struct Disk {
    memory: Memory,
    /// The first has what this worker writes; others are of workers whose groups it has got.
    folders: Vec<Folder>,
    runs: Vec<Run>,
    /// How many of them come of merging others in this round.
    folded: usize,
    resumable: bool,
}

enum Phase {
    /// Rows come in.
    Taking,
    /// Some files become one, since there are too many to merge at once.
    Folding { merge: Merge, writer: Option<Box<RunWriter>>, count: usize },
    /// Results leave while files are merged.
    Merging(Merge),
    /// All have left.
    Over,
}

/// The part of a snapshot that names files, for each folder.
#[derive(Serialize, Deserialize)]
struct Kept {
    folder: PathBuf,
    runs: Vec<Run>,
    merged: u64,
}

impl BoundedGroups {
    /// No groups. What is to be written goes into the folder of an earlier worker, if `restored`
    /// names one.
    pub(crate) fn new(
        prepared: &Prepared,
        context: &BuildContext,
        restored: &[&RecordBatch],
    ) -> Result<Self> {
        let mut merged = 0;
        let disk = match &prepared.memory {
            Some(memory) => Some(Disk::new(memory, context, restored, &mut merged)?),
            None if restored.is_empty() => None,
            None => return Err(unfit()),
        };
        let (batch, phase) = (context.batch(), Phase::Taking);
        let groups = Groups::new(prepared)?;
        Ok(Self { groups, disk, batch, phase, merged })
    }

    /// Takes rows, of which the columns were computed: the keys first.
    pub(crate) fn update(
        &mut self,
        columns: &[ArrayRef],
        rows: usize,
        prepared: &Prepared,
    ) -> Result<()> {
        self.groups.update(columns, rows, prepared)?;
        self.came(rows, bytes_of(columns), prepared)
    }

    /// Adds the groups of a snapshot, or those that another worker has gathered.
    pub(crate) fn merge(&mut self, state: &RecordBatch, prepared: &Prepared) -> Result<()> {
        self.groups.merge(state, prepared)?;
        self.came(state.num_rows(), state.get_array_memory_size(), prepared)
    }

    /// Puts the groups on disk if they take too much memory.
    fn came(&mut self, rows: usize, bytes: usize, prepared: &Prepared) -> Result<()> {
        let Some(disk) = &mut self.disk else { return Ok(()) };
        if disk.memory.is_full(rows, bytes, &self.groups) {
            disk.spill(&mut self.groups, prepared)?;
        }
        Ok(())
    }

    /// The input is at its end.
    pub(crate) fn end(&mut self, prepared: &Prepared) -> Result<()> {
        if let Some(disk) = &mut self.disk
            && !disk.runs.is_empty()
        {
            disk.spill(&mut self.groups, prepared)?;
            self.phase = disk.next_merge(prepared)?;
        }
        Ok(())
    }

    /// The input was at its end when the stage was stopped.
    pub(crate) fn ended(&mut self, prepared: &Prepared) -> Result<()> {
        let none = self.groups.len() == 0 && self.disk.iter().all(|disk| disk.runs.is_empty());
        if none {
            self.phase = Phase::Over;
            return Ok(());
        }
        self.end(prepared)
    }

    /// Whether all results have left.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over)
    }

    /// After the end of the input: does about a batch of work. Gives keys and results of some groups,
    /// and how many there are; those without files at once.
    pub(crate) fn next(&mut self, prepared: &Prepared) -> Result<(Vec<ArrayRef>, usize)> {
        match (&mut self.phase, &mut self.disk) {
            (Phase::Taking, _) => {
                self.phase = Phase::Over;
                self.groups.results(prepared)
            }
            (Phase::Merging(merge), Some(disk)) => {
                let mut groups = merge.next(self.batch, prepared)?;
                disk.runs.iter_mut().zip(merge.gone()).for_each(|(run, gone)| run.gone = *gone);
                self.merged += groups.len() as u64;
                if self.merged > prepared.max_groups as u64 {
                    return Err(too_many(prepared.max_groups));
                }
                if merge.is_over() {
                    self.phase = Phase::Over;
                }
                groups.results(prepared)
            }
            (Phase::Folding { merge, writer, count }, Some(disk)) => {
                if merge.is_over() {
                    let run = writer.take().map(|writer| writer.finish()).transpose()?;
                    disk.fold(run, *count)?;
                    self.phase = disk.next_merge(prepared)?;
                } else {
                    let groups = merge.next(disk.block(), prepared)?.take(prepared)?;
                    disk.write(&groups, prepared, writer)?;
                }
                Ok((Vec::new(), 0))
            }
            _ => Ok((Vec::new(), 0)),
        }
    }

    /// The groups in memory: all, where nothing bounds them.
    pub(crate) fn in_memory(&mut self) -> &mut Groups {
        &mut self.groups
    }

    /// What is in memory. Without groups it is a batch without rows.
    pub(crate) fn state(&mut self, prepared: &Prepared) -> Result<RecordBatch> {
        self.groups.state(prepared)
    }

    /// What names the files, a part for each folder.
    pub(crate) fn files(&mut self) -> Result<Vec<RecordBatch>> {
        let over = self.is_over();
        let Some(disk) = &mut self.disk else { return Ok(Vec::new()) };
        if over {
            disk.runs.clear();
        }
        // What a snapshot names must be there for whoever goes on from it.
        disk.runs.iter_mut().for_each(|run| run.named = true);
        let mut parts = Vec::new();
        for (number, folder) in disk.folders.iter_mut().enumerate() {
            folder.stays = disk.resumable;
            let kept = Kept {
                folder: folder.path().to_owned(),
                runs: disk.runs.iter().filter(|run| folder.has(run)).cloned().collect(),
                merged: if number == 0 { self.merged } else { 0 },
            };
            let text = serde_json::to_string(&kept).map_err(|e| {
                Error::internal(format!("the state cannot be written as JSON: {e}"))
            })?;
            let text: ArrayRef = Arc::new(StringArray::from(vec![text]));
            parts.push(RecordBatch::try_from_iter([("files", text)])?);
        }
        Ok(parts)
    }
}

impl Disk {
    fn new(
        memory: &Memory,
        context: &BuildContext,
        restored: &[&RecordBatch],
        merged: &mut u64,
    ) -> Result<Self> {
        let (mut folders, mut runs) = (Vec::new(), Vec::new());
        for part in restored {
            let text = part.columns().first().and_then(|column| column.as_string_opt::<i32>());
            let text = text.filter(|text| text.len() == 1).ok_or_else(unfit)?.value(0);
            let mut kept: Kept = serde_json::from_str(text).map_err(|_| unfit())?;
            kept.runs.iter_mut().for_each(|run| run.named = true);
            folders.push(Folder::adopt(kept.folder, &kept.runs)?);
            runs.extend(kept.runs);
            *merged += kept.merged;
        }
        if folders.is_empty() {
            folders.push(Folder::reserve(memory.spill.as_deref()));
        }
        let (memory, resumable) = (memory.clone(), context.resumable());
        Ok(Self { memory, folders, runs, folded: 0, resumable })
    }

    /// The size of blocks on disk.
    fn block(&self) -> BatchTarget {
        BatchTarget { rows: 8192, bytes: (self.memory.bytes / 256).clamp(16 << 10, 1 << 20) }
    }

    /// How many files can be merged at once: a block of each is in memory, with its hashes.
    fn files_at_once(&self) -> usize {
        let widest = self.runs.iter().map(|run| run.widest).max().unwrap_or(0);
        (self.memory.bytes / 3 / widest.max(1)).clamp(2, MOST_FILES)
    }

    /// Puts all groups on disk.
    fn spill(&mut self, groups: &mut Groups, prepared: &Prepared) -> Result<()> {
        if groups.len() == 0 {
            return Ok(());
        }
        let mut writer = None;
        self.write(&groups.take(prepared)?, prepared, &mut writer)?;
        let run = writer.map(|writer| writer.finish()).transpose()?;
        self.runs.extend(run);
        Ok(())
    }

    /// Adds groups to a file, which is made for the first.
    fn write(
        &mut self,
        groups: &RecordBatch,
        prepared: &Prepared,
        writer: &mut Option<Box<RunWriter>>,
    ) -> Result<()> {
        let block = self.block();
        let writer = match writer {
            Some(writer) => writer,
            None => writer.insert(Box::new(self.folders[0].write(&groups.schema())?)),
        };
        write(groups, prepared.key_types.len(), block, writer)
    }

    /// What is to be merged next: all files, or as many as can be.
    fn next_merge(&mut self, prepared: &Prepared) -> Result<Phase> {
        let most = self.files_at_once();
        if self.runs.len() <= most {
            return Ok(Phase::Merging(Merge::open(&self.runs, prepared)?));
        }
        if self.runs.len() - self.folded < 2 {
            self.folded = 0;
        }
        let count = most.min(self.runs.len() - self.folded);
        let merge = Merge::open(&self.runs[self.folded..self.folded + count], prepared)?;
        Ok(Phase::Folding { merge, writer: None, count })
    }

    /// Puts a new file in the place of those that it was merged of.
    fn fold(&mut self, run: Option<Run>, count: usize) -> Result<()> {
        let (begin, made) = (self.folded, usize::from(run.is_some()));
        let old: Vec<Run> = self.runs.splice(begin..begin + count, run).collect();
        self.folded += made;
        old.iter().filter(|run| !run.named).try_for_each(Run::remove)
    }
}

impl Drop for BoundedGroups {
    fn drop(&mut self) {
        // Nobody goes on from a stage that is at its end.
        let over = self.is_over();
        let folders = self.disk.iter_mut().flat_map(|disk| &mut disk.folders);
        folders.for_each(|folder| folder.stays &= !over);
    }
}
