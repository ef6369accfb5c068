//! The transform that drives the calls.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::{BuildContext, Cause, Clock, Error, ErrorKind, Output, Result, Snapshot, Transform};

use super::catch::catch;
use super::finished::{Done, Finished};
use super::state::{Job, State};
use super::turn::Turns;
use super::{AsyncRows, Limits, Row, Selection, Turn};

/// Version of the layout of the snapshot.
const VERSION: u32 = 1;

/// A [`Transform`] that makes one async call per row.
pub struct Concurrent<R: AsyncRows> {
    shared: Arc<Shared<R>>,
}

/// What the tasks see of the stage.
struct Shared<R: AsyncRows> {
    rows: R,
    linger: Duration,
    waker: Waker,
    clock: Arc<dyn Clock>,
    runtime: Handle,
    state: Mutex<State<R::Out>>,
}

impl<R: AsyncRows> Concurrent<R> {
    /// Makes the calls of `rows`. Rows of a restored snapshot begin at once.
    ///
    /// # Errors
    /// When the runner has no runtime, or the snapshot does not fit.
    pub fn new(rows: R, limits: Limits, context: &BuildContext) -> Result<Self> {
        let finished = Finished::new(context.batch(), context.ordered());
        let mut state = State::new(limits.concurrency, finished);
        for batch in restored(context)? {
            state.take(batch);
        }
        let shared = Arc::new(Shared {
            rows,
            linger: limits.linger,
            waker: context.waker().clone(),
            clock: Arc::clone(context.clock()),
            runtime: context.runtime()?,
            state: Mutex::new(state),
        });
        shared.start(&mut shared.lock());
        Ok(Self { shared })
    }

    /// Emits about a batch, if it is time.
    fn release(&self, out: &mut dyn Output) -> Result<()> {
        let now = self.shared.clock.now();
        let done = {
            let mut state = self.shared.lock();
            if let Some(error) = state.failed() {
                return Err(error.clone());
            }
            let due = state.due(self.shared.linger).is_some_and(|due| due <= now);
            let done = if due { state.finished.take(now) } else { Vec::new() };
            // There may be room for further results now.
            self.shared.start(&mut state);
            state.was_called();
            done
        };
        self.emit(done, out)
    }

    fn emit(&self, done: Vec<Done<R::Out>>, out: &mut dyn Output) -> Result<()> {
        let mut rows = Vec::with_capacity(done.len());
        let mut rejected: Vec<Row> = Vec::new();
        let mut reason = Error::data("");
        for Done { row, result, .. } in done {
            match result {
                Ok(result) => rows.push((row, result)),
                Err(error) => {
                    if error != reason {
                        reject(&rejected, &reason, out)?;
                        rejected.clear();
                        reason = error;
                    }
                    rejected.push(row);
                }
            }
        }
        reject(&rejected, &reason, out)?;
        if rows.is_empty() { Ok(()) } else { out.emit(self.shared.rows.collect(rows)?) }
    }
}

/// Rejects rows that have one reason in common.
fn reject(rows: &[Row], reason: &Error, out: &mut dyn Output) -> Result<()> {
    let cause = Cause::of(reason);
    match rows {
        [] => Ok(()),
        [row] => out.reject_as(row.slice(), cause, reason.message()),
        rows => match Selection::new(rows).batch()? {
            Some(batch) => out.reject_as(batch, cause, reason.message()),
            None => Ok(()),
        },
    }
}

/// The rows of the snapshot to go on from.
fn restored(context: &BuildContext) -> Result<Vec<RecordBatch>> {
    let Some(state) = context.restored().state(VERSION)? else { return Ok(Vec::new()) };
    let mut batches = Vec::new();
    for (name, batch) in &state.parts {
        if name != crate::State::ROWS || !same_types(&batch.schema(), context.input()) {
            return Err(Error::new(
                ErrorKind::Restore,
                "the rows of the snapshot are not of the columns that the stage takes",
            ));
        }
        batches.push(batch.clone());
    }
    Ok(batches)
}

/// Whether the columns are the same, apart from metadata.
fn same_types(one: &SchemaRef, other: &SchemaRef) -> bool {
    let (one, other) = (one.fields(), other.fields());
    one.len() == other.len()
        && one
            .iter()
            .zip(other.iter())
            .all(|(a, b)| a.name() == b.name() && a.data_type() == b.data_type())
}

impl<R: AsyncRows> Transform for Concurrent<R> {
    fn process(&mut self, batch: RecordBatch, out: &mut dyn Output) -> Result<()> {
        self.shared.lock().take(batch);
        self.release(out)
    }

    fn ready(&self) -> bool {
        self.shared.lock().is_hungry()
    }

    fn holding(&self) -> bool {
        self.shared.lock().is_holding()
    }

    fn wake(&mut self, out: &mut dyn Output) -> Result<()> {
        self.release(out)
    }

    fn wake_at(&self) -> Option<Duration> {
        self.shared.lock().due(self.shared.linger)
    }

    fn finish(&mut self, out: &mut dyn Output) -> Result<()> {
        self.release(out)
    }

    fn snapshot(&mut self) -> Result<Snapshot> {
        let rows = self.shared.lock().rows();
        Ok(match Selection::new(&rows).batch()? {
            None => Snapshot::Stateless,
            Some(batch) => Snapshot::parts(VERSION, vec![(crate::State::ROWS.to_owned(), batch)]),
        })
    }
}

impl<R: AsyncRows> Drop for Concurrent<R> {
    fn drop(&mut self) {
        // Cancelled without the lock: a task that is dropped takes it.
        let tasks = self.shared.lock().close();
        for task in tasks {
            task.abort();
        }
    }
}

impl<R: AsyncRows> Shared<R> {
    fn lock(&self) -> MutexGuard<'_, State<R::Out>> {
        // No call of foreign code happens under the lock, so a poisoned state is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Spawns as many tasks as there are turns and rows for.
    fn start(self: &Arc<Self>, state: &mut State<R::Out>) {
        while let Some((number, job)) = state.begin() {
            let task = self.runtime.spawn(work(Arc::clone(self), number, job));
            if task.is_finished() {
                // It cannot have ended while the lock is held: the runtime has dropped it.
                state.fail(Error::internal("the runtime for async work has shut down"));
                state.end(number);
                return;
            }
            state.spawned(number, task.abort_handle());
        }
    }

    /// Stores the result of a call. What the task does next, if it goes on.
    fn finished(&self, number: usize, job: Job, result: Result<R::Out>) -> Option<Job> {
        let size = result.as_ref().map_or(0, |out| self.rows.size(out));
        let Job { seq, row, row_bytes } = job;
        let done = Done { seq, row, result, bytes: size.saturating_add(row_bytes) };
        let (next, wake) = {
            let mut state = self.lock();
            state.finished.push(done, || self.clock.now());
            let (next, hungry) = state.next(number);
            (next, state.must_call() || hungry)
        };
        if wake {
            self.waker.wake_by_ref();
        }
        next
    }

    /// Ends the stage with an error.
    fn fail(&self, number: usize, error: Error) {
        {
            let mut state = self.lock();
            state.fail(error);
            state.end(number);
        }
        self.waker.wake_by_ref();
    }
}

/// Makes one call after the other, as long as there are rows and room for their results.
async fn work<R: AsyncRows>(shared: Arc<Shared<R>>, number: usize, job: Job) {
    let mut watch = Watch { shared: &*shared, number, cut_off: true };
    let mut turn = Turn::new(Arc::new(Turnstile(Arc::clone(&shared))));
    let mut next = Some(job);
    while let Some(job) = next {
        next = match catch(shared.rows.call(job.row.clone(), &mut turn)).await {
            Ok(Err(error)) if ends_stage(&error) => {
                shared.fail(number, error);
                None
            }
            Ok(result) => shared.finished(number, job, result),
            Err(panic) => {
                let text = format!("the call for a row panicked: {panic}");
                shared.fail(number, Error::new(ErrorKind::Panic, text));
                None
            }
        };
    }
    watch.cut_off = false;
}

/// Whether the error is about more than its row.
fn ends_stage(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Closed | ErrorKind::Internal)
}

/// Notices that a task was dropped before it had ended.
struct Watch<'a, R: AsyncRows> {
    shared: &'a Shared<R>,
    number: usize,
    cut_off: bool,
}

impl<R: AsyncRows> Drop for Watch<'_, R> {
    fn drop(&mut self) {
        if self.cut_off {
            let error = Error::internal("the runtime for async work has shut down");
            self.shared.fail(self.number, error);
        }
    }
}

/// The turns, as a call sees them.
struct Turnstile<R: AsyncRows>(Arc<Shared<R>>);

impl<R: AsyncRows> Turns for Turnstile<R> {
    fn leave(&self) -> bool {
        let mut state = self.0.lock();
        let left = state.leave();
        if left {
            self.0.start(&mut state);
        }
        left
    }

    fn enter(&self) -> Option<oneshot::Receiver<()>> {
        self.0.lock().enter()
    }

    fn force(&self, paused: bool) {
        self.0.lock().force(paused);
    }
}
