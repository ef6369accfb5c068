//! What the calls and the stage share, behind one lock.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::RecordBatch;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use crate::Error;

use super::Row;
use super::finished::Finished;
use super::row::row_bytes;

/// Rows that were taken and whose calls have not begun.
struct Chunk {
    batch: Arc<RecordBatch>,
    next: usize,
    row_bytes: usize,
}

/// A row whose call runs.
#[derive(Clone)]
pub(super) struct Job {
    pub(super) seq: u64,
    pub(super) row: Row,
    /// What the row itself takes, about.
    pub(super) row_bytes: usize,
}

/// A task that makes one call after the other.
struct Task {
    job: Job,
    abort: Option<AbortHandle>,
}

/// How loudly the stage has to be called. Each step calls for it once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Call {
    /// Nothing to do.
    No,
    /// Rows wait: the stage must set its alarm.
    Linger,
    /// A batch is full, nothing more runs, or something failed.
    Now,
}

pub(super) struct State<O> {
    concurrency: usize,
    max_paused: usize,
    /// From how few pending rows on more are welcome.
    low: usize,
    chunks: VecDeque<Chunk>,
    pending: usize,
    seq: u64,
    /// By number; a number is free when its task has ended.
    tasks: Vec<Option<Task>>,
    free: Vec<usize>,
    /// Tasks that hold a turn.
    active: usize,
    /// Tasks that have given up their turn and not asked for one again.
    paused: usize,
    /// Tasks that ask for a turn, first come, first served.
    waiting: VecDeque<oneshot::Sender<()>>,
    pub(super) finished: Finished<O>,
    failed: Option<Error>,
    called: Call,
}

impl<O> State<O> {
    pub(super) fn new(concurrency: usize, finished: Finished<O>) -> Self {
        let concurrency = concurrency.max(1);
        Self {
            concurrency,
            max_paused: concurrency.saturating_mul(2).max(64),
            low: concurrency.saturating_mul(2),
            chunks: VecDeque::new(),
            pending: 0,
            seq: 0,
            tasks: Vec::new(),
            free: Vec::new(),
            active: 0,
            paused: 0,
            waiting: VecDeque::new(),
            finished,
            failed: None,
            called: Call::No,
        }
    }

    /// Takes the rows of `batch`.
    pub(super) fn take(&mut self, batch: RecordBatch) {
        if batch.num_rows() == 0 {
            return;
        }
        self.pending += batch.num_rows();
        let row_bytes = row_bytes(&batch);
        self.chunks.push_back(Chunk { batch: Arc::new(batch), next: 0, row_bytes });
    }

    /// The next row to make a call for, if calls may begin at all.
    fn pull(&mut self) -> Option<Job> {
        if self.failed.is_some() || !self.finished.has_room() {
            return None;
        }
        let chunk = self.chunks.front_mut()?;
        let job = Job {
            seq: self.seq,
            row: Row::new(Arc::clone(&chunk.batch), chunk.next),
            row_bytes: chunk.row_bytes,
        };
        chunk.next += 1;
        if chunk.next == chunk.batch.num_rows() {
            self.chunks.pop_front();
        }
        self.seq += 1;
        self.pending -= 1;
        Some(job)
    }

    /// A job for a task that is to be spawned, and the number of that task.
    pub(super) fn begin(&mut self) -> Option<(usize, Job)> {
        if self.active >= self.concurrency {
            return None;
        }
        let job = self.pull()?;
        let task = Some(Task { job: job.clone(), abort: None });
        let number = match self.free.pop() {
            Some(number) => {
                self.tasks[number] = task;
                number
            }
            None => {
                self.tasks.push(task);
                self.tasks.len() - 1
            }
        };
        self.active += 1;
        Some((number, job))
    }

    /// Keeps the handle by which the task can be cancelled.
    pub(super) fn spawned(&mut self, number: usize, abort: AbortHandle) {
        if let Some(Some(task)) = self.tasks.get_mut(number) {
            task.abort = Some(abort);
        }
    }

    /// The call of this task has ended and its result is stored: what the task does next, if it goes
    /// on, and whether more input is welcome from now on.
    pub(super) fn next(&mut self, number: usize) -> (Option<Job>, bool) {
        let before = self.pending;
        let job =
            if self.active > self.concurrency || self.hand_over() { None } else { self.pull() };
        match (&job, self.tasks.get_mut(number)) {
            (Some(job), Some(Some(task))) => task.job = job.clone(),
            _ => self.end(number),
        }
        (job, before >= self.low && self.pending < self.low)
    }

    /// Gives the turn of a task that ends to one that waits for a turn.
    fn hand_over(&mut self) -> bool {
        while let Some(waiting) = self.waiting.pop_front() {
            if waiting.send(()).is_ok() {
                self.active += 1;
                return true;
            }
        }
        false
    }

    /// Forgets a task that holds a turn.
    pub(super) fn end(&mut self, number: usize) {
        if let Some(task) = self.tasks.get_mut(number)
            && task.take().is_some()
        {
            self.free.push(number);
            self.active = self.active.saturating_sub(1);
        }
    }

    pub(super) fn leave(&mut self) -> bool {
        if self.paused >= self.max_paused {
            return false;
        }
        self.paused += 1;
        self.active = self.active.saturating_sub(1);
        if self.active < self.concurrency {
            self.hand_over();
        }
        true
    }

    pub(super) fn enter(&mut self) -> Option<oneshot::Receiver<()>> {
        self.paused -= 1;
        if self.active < self.concurrency {
            self.active += 1;
            return None;
        }
        let (free, wait) = oneshot::channel();
        self.waiting.push_back(free);
        Some(wait)
    }

    pub(super) fn force(&mut self, paused: bool) {
        self.paused -= usize::from(paused);
        self.active += 1;
    }

    /// The stage cannot go on. The first reason counts.
    pub(super) fn fail(&mut self, error: Error) {
        self.failed.get_or_insert(error);
    }

    pub(super) fn failed(&self) -> Option<&Error> {
        self.failed.as_ref()
    }

    /// Whether the stage takes input.
    pub(super) fn is_hungry(&self) -> bool {
        self.pending < self.low && self.failed.is_none()
    }

    fn running(&self) -> usize {
        self.tasks.len() - self.free.len()
    }

    /// Whether nothing is pending and nothing runs.
    pub(super) fn is_idle(&self) -> bool {
        self.pending == 0 && self.running() == 0
    }

    /// Whether the stage has rows whose results have not left.
    pub(super) fn is_holding(&self) -> bool {
        !self.is_idle() || !self.finished.is_empty()
    }

    /// When the rows that wait must leave; zero for at once.
    pub(super) fn due(&self, linger: Duration) -> Option<Duration> {
        if self.failed.is_some() {
            return Some(Duration::ZERO);
        }
        let since = self.finished.since()?;
        let now = self.finished.is_full() || self.is_idle();
        Some(if now { Duration::ZERO } else { since.saturating_add(linger) })
    }

    /// Whether the stage must be called, given that it was called before.
    pub(super) fn must_call(&mut self) -> bool {
        let call = self.call();
        let louder = call > self.called;
        self.called = self.called.max(call);
        louder
    }

    /// The stage is about to be asked what it wants: it knows of everything until here.
    pub(super) fn was_called(&mut self) {
        self.called = self.call();
    }

    fn call(&self) -> Call {
        match self.due(Duration::MAX) {
            None => Call::No,
            Some(Duration::ZERO) => Call::Now,
            Some(_) => Call::Linger,
        }
    }

    /// The rows that were taken and whose results have not left, in the order of the input.
    pub(super) fn rows(&self) -> Vec<Row> {
        let running = self.tasks.iter().flatten().map(|task| (task.job.seq, &task.job.row));
        let mut rows: Vec<(u64, &Row)> = running.chain(self.finished.rows()).collect();
        rows.sort_unstable_by_key(|(seq, _)| *seq);
        let mut rows: Vec<Row> = rows.into_iter().map(|(_, row)| row.clone()).collect();
        for chunk in &self.chunks {
            let indices = chunk.next..chunk.batch.num_rows();
            rows.extend(indices.map(|index| Row::new(Arc::clone(&chunk.batch), index)));
        }
        rows
    }

    /// Ends everything: what must be cancelled.
    pub(super) fn close(&mut self) -> Vec<AbortHandle> {
        self.fail(Error::internal("the stage has ended"));
        self.chunks.clear();
        self.pending = 0;
        self.tasks.iter_mut().flatten().filter_map(|task| task.abort.take()).collect()
    }
}
