//! The sink that writes several files: one after the other, in folders by value, or both.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use arrow_array::RecordBatch;
use gristmill_stage::{BuildContext, Clock, Error, Output, Result, Snapshot, Transform};
use serde::{Deserialize, Serialize};

use crate::encode::{Encoding, Parts};
use crate::names::Names;
use crate::partition::Partition;
use crate::roll::Roll;
use crate::target::{Aside, Complete, Staged};
use crate::write_options::WriteOptions;
use crate::written::Written;

/// Layout of the snapshot: a [`Saved`], and beside it what the encoders hold.
const VERSION: u32 = 3;
/// What the rows that wait for their blocks may take, over all files.
const HELD: usize = 256 << 20;

/// The state of the sink.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Saved {
    open: Vec<SavedFile>,
    numbers: BTreeMap<String, u64>,
    staged: Vec<Staged>,
}

#[derive(Debug, Serialize, Deserialize)]
struct SavedFile {
    folder: String,
    number: u64,
    rows: u64,
    /// When it was begun, since 1970: the clock of a run begins anew.
    since: Duration,
    used: u64,
    aside: Aside,
}

/// A file that is being written.
struct Open {
    written: Written,
    number: u64,
    rows: u64,
    /// On the clock of the run, and since 1970.
    begun: Duration,
    since: Duration,
    /// When it was used last, in calls.
    used: u64,
}

/// The sink.
pub(crate) struct Parted {
    encoding: Encoding,
    names: Names,
    partition: Option<Partition>,
    roll: Option<Roll>,
    most_open: usize,
    append: bool,
    clock: Arc<dyn Clock>,
    resumable: bool,
    /// By folder.
    open: BTreeMap<String, Open>,
    /// The number of the last file of each folder.
    numbers: BTreeMap<String, u64>,
    /// Complete files that are not yet published.
    staged: Vec<Complete>,
    /// How many of them are in the last snapshot; `None` when none was taken.
    saved: Option<usize>,
    uses: u64,
}

impl Parted {
    pub(crate) fn new(
        options: &WriteOptions,
        encoding: Encoding,
        context: &BuildContext,
    ) -> Result<Self> {
        let mut parted = Self {
            encoding,
            names: options.names(context.instance()),
            partition: options.partition(context.input())?,
            roll: options.roll,
            most_open: options.open_files,
            append: options.append,
            clock: context.clock().clone(),
            resumable: context.resumable(),
            open: BTreeMap::new(),
            numbers: BTreeMap::new(),
            staged: Vec::new(),
            saved: None,
            uses: 0,
        };
        match context.restored().value::<Saved>(VERSION)? {
            Some(saved) => {
                let parts = context.restored().state(VERSION)?.map(|state| state.parts.as_slice());
                parted.restore(saved, parts.unwrap_or_default())?;
            }
            None => parted.check_earlier()?,
        }
        Ok(parted)
    }

    /// That new files are not mixed with those of an earlier run.
    fn check_earlier(&self) -> Result<()> {
        let first = self.partition.as_ref().map(Partition::first);
        match self.names.earlier(first).filter(|_| !self.append) {
            Some(file) => Err(Error::option(
                "path",
                format!("there are files of an earlier run, such as `{}`", file.display()),
            )
            .help("remove them, or add to them with `append: true`")),
            None => Ok(()),
        }
    }

    fn restore(&mut self, saved: Saved, parts: &[(String, RecordBatch)]) -> Result<()> {
        self.numbers = saved.numbers;
        for staged in saved.staged {
            self.staged.extend(Complete::restore(staged, self.resumable)?);
        }
        self.saved = Some(self.staged.len());
        for (n, file) in saved.open.into_iter().enumerate() {
            let of = format!("{n}/");
            let held = parts.iter().filter_map(|(name, batch)| {
                Some((name.strip_prefix(&of)?.to_owned(), batch.clone()))
            });
            let restored = Some((file.aside, held.collect()));
            let written = self.file(&file.folder, file.number, restored)?;
            let SavedFile { folder, number, rows, since, used, .. } = file;
            let begun = self.clock.now().saturating_sub(self.today().saturating_sub(since));
            self.uses = self.uses.max(used);
            self.open.insert(folder, Open { written, number, rows, begun, since, used });
        }
        Ok(())
    }

    /// The time since 1970.
    fn today(&self) -> Duration {
        self.clock.wall().duration_since(UNIX_EPOCH).unwrap_or_default()
    }

    fn file(&self, folder: &str, number: u64, restored: Option<(Aside, Parts)>) -> Result<Written> {
        let path = self.names.file(folder, number);
        Written::create(self.encoding.encoder()?, &path, false, restored, self.resumable)
    }

    /// Opens the next file of a folder when none is open.
    fn open(&mut self, folder: &str) -> Result<()> {
        self.uses += 1;
        if let Some(open) = self.open.get_mut(folder) {
            open.used = self.uses;
            return Ok(());
        }
        if self.open.len() >= self.most_open {
            let oldest = self.open.iter().min_by_key(|(_, open)| open.used);
            if let Some(oldest) = oldest.map(|(folder, _)| folder.clone()) {
                self.complete(&oldest)?;
            }
        }
        let last = match self.numbers.get(folder) {
            Some(last) => *last,
            None if self.append => self.names.highest(folder),
            None => 0,
        };
        let number = last + 1;
        let written = self.file(folder, number, None)?;
        self.numbers.insert(folder.to_owned(), number);
        let (begun, since) = (self.clock.now(), self.today());
        let open = Open { written, number, rows: 0, begun, since, used: self.uses };
        self.open.insert(folder.to_owned(), open);
        Ok(())
    }

    /// Completes the file of a folder.
    fn complete(&mut self, folder: &str) -> Result<()> {
        if let Some(mut open) = self.open.remove(folder) {
            self.staged.extend(open.written.complete()?);
        }
        self.publish()
    }

    /// Publishes complete files. When snapshots are taken, only those that the last one has: a sink
    /// that goes on from it must know that they are complete.
    fn publish(&mut self) -> Result<()> {
        let count = match self.saved {
            None => self.staged.len(),
            // Another run goes on only from a snapshot that is durable, which `committed` tells.
            Some(_) if self.resumable => 0,
            Some(saved) => saved,
        };
        self.publish_first(count)
    }

    fn publish_first(&mut self, count: usize) -> Result<()> {
        for complete in self.staged.drain(..count.min(self.staged.len())) {
            complete.publish()?;
        }
        self.saved = self.saved.map(|saved| saved.saturating_sub(count));
        Ok(())
    }

    fn rows(&mut self, folder: &str, batch: &RecordBatch) -> Result<()> {
        let batch = self.encoding.columns(batch)?;
        let mut from = 0;
        while from < batch.num_rows() {
            self.open(folder)?;
            let Some(open) = self.open.get_mut(folder) else { return Ok(()) };
            let left = batch.num_rows() - from;
            let rows = self.roll.map_or(left, |roll| roll.room(open.rows).min(left));
            open.written.rows(&batch.slice(from, rows))?;
            (open.rows, from) = (open.rows + rows as u64, from + rows);
            let (rows, size) = (open.rows, open.written.size());
            if self.roll.is_some_and(|roll| roll.is_full(rows, size)) {
                self.complete(folder)?;
            }
        }
        Ok(())
    }

    /// Writes what is held of the largest, until all together hold no more than they may.
    fn let_go(&mut self) -> Result<()> {
        let mut held: usize = self.open.values().map(|open| open.written.held()).sum();
        while held > HELD {
            let Some(most) = self.open.values_mut().max_by_key(|open| open.written.held()) else {
                break;
            };
            held -= most.written.held();
            most.written.let_go()?;
        }
        Ok(())
    }

    /// Completes the files whose time has come.
    fn complete_due(&mut self) -> Result<()> {
        let Some(roll) = self.roll else { return Ok(()) };
        let now = self.clock.now();
        let is_due = |open: &Open| roll.ends(open.begun).is_some_and(|end| end <= now);
        let due = self.open.iter().filter(|(_, open)| is_due(open));
        let due: Vec<String> = due.map(|(folder, _)| folder.clone()).collect();
        due.iter().try_for_each(|folder| self.complete(folder))
    }
}

impl Transform for Parted {
    fn process(&mut self, batch: RecordBatch, out: &mut dyn Output) -> Result<()> {
        self.publish()?;
        self.complete_due()?;
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let Some(partition) = &self.partition else {
            self.rows("", &batch)?;
            return self.let_go();
        };
        let parts = partition.parts(&batch)?;
        if let Some(bad) = parts.bad {
            out.reject(bad, "the value of `partition_by` is too long for a name of a folder")?;
        }
        for (folder, rows) in parts.good {
            self.rows(&folder, &rows)?;
            self.let_go()?;
        }
        Ok(())
    }

    fn wake(&mut self, _: &mut dyn Output) -> Result<()> {
        self.publish()?;
        self.complete_due()
    }

    fn wake_at(&self) -> Option<Duration> {
        if !self.resumable && self.saved.is_some_and(|saved| saved > 0) {
            return Some(Duration::ZERO);
        }
        let roll = self.roll?;
        self.open.values().filter_map(|open| roll.ends(open.begun)).min()
    }

    fn finish(&mut self, _: &mut dyn Output) -> Result<()> {
        while let Some((_, mut open)) = self.open.pop_first() {
            self.staged.extend(open.written.complete()?);
        }
        self.publish_first(self.staged.len())
    }

    fn snapshot(&mut self) -> Result<Snapshot> {
        let mut held = Parts::new();
        let mut saved = Saved { numbers: self.numbers.clone(), ..Saved::default() };
        for (n, (folder, open)) in self.open.iter_mut().enumerate() {
            let (aside, parts) = open.written.snapshot()?;
            held.extend(parts.into_iter().map(|(name, batch)| (format!("{n}/{name}"), batch)));
            let Open { number, rows, since, used, .. } = *open;
            let folder = folder.clone();
            saved.open.push(SavedFile { folder, number, rows, since, used, aside });
        }
        saved.staged = self.staged.iter_mut().map(|file| file.save(self.resumable)).collect();
        self.saved = Some(self.staged.len());
        let mut snapshot = Snapshot::of(VERSION, &saved)?;
        if let Snapshot::State(state) = &mut snapshot {
            state.parts.extend(held);
        }
        Ok(snapshot)
    }

    fn committed(&mut self, _: u64) -> Result<()> {
        self.publish_first(self.saved.unwrap_or(0))
    }
}
