//! The stage of both kinds: rows are kept in a file, then go into the table in one transaction, and
//! what the database did not take is rejected.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use gristmill_stage::{BuildContext, Clock, Output, Result, Snapshot, Transform};
use serde::{Deserialize, Serialize};

use crate::files::{Files, sweep};
use crate::letters::Letters;
use crate::options::CommitOptions;
use crate::publish::{Job, Mark, Publisher, Step};
use crate::spool::Spool;

/// Layout of the snapshot.
const VERSION: u32 = 1;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Progress {
    id: String,
    /// The part that is collected, or whose rejects are on their way.
    part: u64,
    /// Rows of the input so far.
    taken: u64,
    /// Rows in the file, and its length.
    held: u64,
    bytes: u64,
    /// Whether the part is published; then so many rows of it were rejected.
    published: bool,
    emitted: u64,
}

enum Phase {
    Opening,
    Collecting,
    Publishing,
    Rejecting(Letters),
    /// All is done; the mark is taken back.
    Forgetting,
    Done,
}

pub(crate) struct Loader<P: Publisher> {
    publisher: P,
    files: Files,
    schema: SchemaRef,
    commit: Option<CommitOptions>,
    clock: Arc<dyn Clock>,
    /// Rows that one call may reject.
    most: usize,
    phase: Phase,
    restored: Option<Progress>,
    spool: Option<Spool>,
    part: u64,
    taken: u64,
    held: u64,
    bytes: u64,
    /// Rows to come that were published before this worker took another's place.
    skip: u64,
    /// When the first of the rows held came.
    since: Duration,
    wake: Option<Duration>,
    ending: bool,
    /// Whether another worker may go on from a snapshot of this one.
    snapshots: bool,
    /// Parts that are done with; their files stay while a snapshot may need them.
    retired: BTreeSet<u64>,
    /// Those that no snapshot needs any more.
    free: BTreeSet<u64>,
    /// Whether files in a snapshot stay when the stage is dropped.
    outlives: bool,
}

impl<P: Publisher> Loader<P> {
    pub(crate) fn new(
        publisher: P,
        folder: &Path,
        commit: Option<CommitOptions>,
        context: &BuildContext,
    ) -> Result<Self> {
        let restored: Option<Progress> = context.restored().value(VERSION)?;
        sweep(folder, context.clock().wall());
        let files = match &restored {
            None => Files::new(folder)?,
            Some(progress) => Files::of(folder, &progress.id)?,
        };
        Ok(Self {
            publisher,
            files,
            schema: context.input().clone(),
            commit,
            clock: context.clock().clone(),
            most: context.batch().rows,
            phase: Phase::Opening,
            snapshots: restored.is_some(),
            restored,
            spool: None,
            part: 0,
            taken: 0,
            held: 0,
            bytes: 0,
            skip: 0,
            since: Duration::ZERO,
            wake: Some(Duration::ZERO),
            ending: false,
            retired: BTreeSet::new(),
            free: BTreeSet::new(),
            outlives: context.resumable(),
        })
    }

    /// Notes when to go on; returns what is done.
    fn step<T>(&mut self, step: Step<T>) -> Option<T> {
        self.wake = match &step {
            Step::Done(_) | Step::Again => Some(Duration::ZERO),
            Step::At(time) => Some(*time),
            Step::Wait => None,
        };
        match step {
            Step::Done(done) => Some(done),
            _ => None,
        }
    }

    /// The database was looked at: goes on from where the last worker was.
    fn opened(&mut self, mark: Option<Mark>) -> Result<()> {
        self.phase = Phase::Collecting;
        let Some(progress) = self.restored.take() else { return Ok(()) };
        let of_snapshot = Mark { part: progress.part + 1, taken: progress.taken };
        let mark = mark.or(progress.published.then_some(of_snapshot));
        let known = mark.unwrap_or(Mark { part: 0, taken: 0 });
        (self.part, self.taken) = (progress.part, progress.taken.max(known.taken));
        self.skip = known.taken.saturating_sub(progress.taken);
        if known.part > progress.part {
            // What it published after the snapshot is in the table; what it rejected then was lost
            // with it.
            let files = (progress.part..known.part).map(|part| self.files.rejects(part));
            self.phase = Phase::Rejecting(Letters::new(files, progress.emitted));
        } else if progress.held > 0 {
            let (path, bytes) = (self.files.spool(self.part), progress.bytes);
            self.spool = Some(Spool::reopen(&path, self.schema.clone(), bytes)?);
            (self.held, self.bytes, self.since) = (progress.held, bytes, self.clock.now());
        }
        Ok(())
    }

    fn spool(&mut self) -> Result<&mut Spool> {
        let path = self.files.spool(self.part);
        match &mut self.spool {
            Some(spool) => Ok(spool),
            none => Ok(none.insert(Spool::create(&path, self.schema.clone())?)),
        }
    }

    fn due(&self) -> bool {
        let Some(commit) = &self.commit else { return false };
        let old = commit.every.is_some_and(|every| self.since + every.0 <= self.clock.now());
        self.held > 0 && (old || commit.rows.is_some_and(|rows| self.held >= rows))
    }

    fn publish(&mut self) -> Result<()> {
        self.bytes = self.spool()?.flush()?;
        self.phase = Phase::Publishing;
        self.wake = Some(Duration::ZERO);
        Ok(())
    }

    fn job(&self) -> Job {
        Job {
            id: self.files.id().to_owned(),
            part: self.part,
            mark: Mark { part: self.part + 1, taken: self.taken },
            marked: self.snapshots,
            spool: self.files.spool(self.part),
            bytes: self.bytes,
            rejects: self.files.rejects(self.part),
            rows: self.schema.clone(),
        }
    }

    /// So many parts are published and all of their rows that were to be rejected are.
    fn retire(&mut self, parts: u64) {
        for _ in 0..parts {
            self.retired.insert(self.part);
            self.part += 1;
        }
        if !self.snapshots {
            self.free.append(&mut self.retired);
        }
    }

    /// Goes on after a call: whatever the snapshot before it said is known to who may need it.
    fn tidy(&mut self) {
        while let Some(part) = self.free.pop_first() {
            self.files.remove(part);
        }
    }
}

impl<P: Publisher> Transform for Loader<P> {
    fn process(&mut self, batch: RecordBatch, _: &mut dyn Output) -> Result<()> {
        self.tidy();
        let over = self.skip.min(batch.num_rows() as u64);
        self.skip -= over;
        let batch = batch.slice(over as usize, batch.num_rows() - over as usize);
        if batch.num_rows() == 0 {
            return Ok(());
        }
        if self.held == 0 {
            self.since = self.clock.now();
        }
        self.taken += batch.num_rows() as u64;
        self.held += batch.num_rows() as u64;
        self.spool()?.push(batch)?;
        match self.due() {
            true => self.publish(),
            false => Ok(()),
        }
    }

    fn ready(&self) -> bool {
        matches!(self.phase, Phase::Collecting)
    }

    fn holding(&self) -> bool {
        match self.phase {
            Phase::Opening | Phase::Publishing | Phase::Rejecting(_) | Phase::Forgetting => true,
            Phase::Collecting => self.ending,
            Phase::Done => false,
        }
    }

    fn wake_at(&self) -> Option<Duration> {
        match self.phase {
            Phase::Collecting if self.ending => Some(Duration::ZERO),
            Phase::Collecting => {
                let every = self.commit.and_then(|commit| commit.every)?;
                (self.held > 0).then(|| self.since + every.0)
            }
            Phase::Done => None,
            _ => self.wake,
        }
    }

    fn wake(&mut self, out: &mut dyn Output) -> Result<()> {
        self.tidy();
        let due = self.due();
        match &mut self.phase {
            Phase::Opening => {
                let before = self.restored.as_ref().map(|progress| progress.id.as_str());
                let step = self.publisher.open(before)?;
                if let Some(mark) = self.step(step) {
                    self.opened(mark)?;
                }
            }
            Phase::Collecting if due => self.publish()?,
            Phase::Publishing => {
                let job = self.job();
                let step = self.publisher.publish(&job)?;
                if self.step(step).is_some() {
                    (self.spool, self.held, self.bytes) = (None, 0, 0);
                    self.phase = Phase::Rejecting(Letters::new([job.rejects], 0));
                }
            }
            Phase::Rejecting(letters) => {
                let (parts, all) = letters.emit(self.most, out)?;
                self.retire(parts);
                if all {
                    self.phase = Phase::Collecting;
                }
            }
            Phase::Forgetting => {
                let step = self.publisher.forget(self.files.id());
                if self.step(step).is_some() {
                    self.phase = Phase::Done;
                }
            }
            Phase::Collecting | Phase::Done => {}
        }
        Ok(())
    }

    fn finish(&mut self, _: &mut dyn Output) -> Result<()> {
        self.ending = true;
        if !matches!(self.phase, Phase::Collecting) {
            return Ok(());
        }
        // Without any rows the table is made, or emptied, all the same.
        if self.held > 0 || self.part == 0 {
            return self.publish();
        }
        // Without a snapshot, no other worker can ask how far this one has come.
        self.phase = if self.snapshots { Phase::Done } else { Phase::Forgetting };
        self.wake = Some(Duration::ZERO);
        Ok(())
    }

    fn snapshot(&mut self) -> Result<Snapshot> {
        self.snapshots = true;
        self.free.append(&mut self.retired);
        if let Some(restored) = &self.restored {
            return Snapshot::of(VERSION, restored);
        }
        if let Some(spool) = &mut self.spool {
            self.bytes = spool.flush()?;
            if self.outlives {
                spool.sync()?;
            }
        }
        let (published, emitted) = match &self.phase {
            Phase::Rejecting(letters) => (true, letters.emitted),
            _ => (false, 0),
        };
        let progress = Progress {
            id: self.files.id().to_owned(),
            part: self.part,
            taken: self.taken - self.skip,
            held: self.held,
            bytes: self.bytes,
            published,
            emitted,
        };
        Snapshot::of(VERSION, &progress)
    }
}

impl<P: Publisher> Drop for Loader<P> {
    fn drop(&mut self) {
        let done = matches!(self.phase, Phase::Forgetting | Phase::Done);
        if self.snapshots && self.outlives && !done {
            return;
        }
        if self.snapshots && !self.outlives {
            // It does what it can in one call.
            let _ = self.publisher.forget(self.files.id());
        }
        self.files.remove_all();
    }
}
