//! The stage's side: work that goes on by itself, and is tried again while there is hope.

use std::future::Future;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use gristmill_stage::{BuildContext, Clock, Error, Result};
use tokio::runtime::Handle;
use tokio::sync::oneshot::{self, error::TryRecvError};
use tokio::task::AbortHandle;

use super::load::{forget, load, look};
use super::table::Table;
use super::target::{Failure, Target};
use crate::publish::{Job, Mark, Publisher, Step};

/// The pause after the first failure; it doubles up to the longest.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);
/// So many lost connections are too many, even if each came far.
const LOSSES: u32 = 20;

/// The table and the way to it.
pub(super) struct Postgres {
    pub(super) target: Target,
    pub(super) table: Arc<Table>,
}

/// Puts rows into a table of PostgreSQL.
pub(super) struct Worker {
    to: Arc<Postgres>,
    runtime: Handle,
    waker: Waker,
    clock: Arc<dyn Clock>,
    opening: Option<Work<Option<Mark>>>,
    loading: Option<Work<()>>,
}

/// What goes on by itself; it ends when it is dropped.
struct Work<T> {
    result: oneshot::Receiver<Result<T>>,
    task: AbortHandle,
}

impl<T> Drop for Work<T> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Wakes when it is dropped, so also after a panic.
struct Bell(Waker);

impl Drop for Bell {
    fn drop(&mut self) {
        self.0.wake_by_ref();
    }
}

impl Worker {
    pub(super) fn new(to: Postgres, context: &BuildContext) -> Result<Self> {
        Ok(Self {
            to: Arc::new(to),
            runtime: context.runtime()?,
            waker: context.waker().clone(),
            clock: context.clock().clone(),
            opening: None,
            loading: None,
        })
    }

    /// Starts work that is tried again until it succeeds, cannot, or has taken too long.
    fn start<T, F>(&self, mut work: impl FnMut(Arc<Postgres>) -> F + Send + 'static) -> Work<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Failure>> + Send,
    {
        let (sender, result) = oneshot::channel();
        let (to, clock) = (self.to.clone(), self.clock.clone());
        let bell = Bell(self.waker.clone());
        let task = self.runtime.spawn(async move {
            let _bell = bell;
            let done = again(&to, &*clock, || work(to.clone())).await;
            // Nobody wants it when the stage is gone.
            let _ = sender.send(done);
        });
        Work { result, task: task.abort_handle() }
    }
}

async fn again<T, F>(to: &Postgres, clock: &dyn Clock, mut work: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<T, Failure>>,
{
    let (mut since, mut pause, mut losses) = (None, PAUSE, 0);
    loop {
        let start = clock.now();
        let error = match work().await {
            Ok(done) => return Ok(done),
            Err(Failure::Lasting(error)) => return Err(error),
            Err(Failure::Passing(error)) => error,
        };
        let (now, patience) = (clock.now(), to.table.load.timeout.0);
        losses += 1;
        if now - start > patience {
            // It got far: what is wrong is something new.
            (since, pause) = (None, PAUSE);
        }
        let first = *since.get_or_insert(now);
        if losses >= LOSSES || now - first + pause > patience {
            let waited = gristmill_stage::option::Time(patience);
            return Err(error.help(format!("`timeout` is {waited}; {losses} tries were made")));
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST);
    }
}

/// Whether the work is done.
fn look_at<T>(work: &mut Option<Work<T>>) -> Result<Step<T>> {
    let Some(going) = work else { return Ok(Step::Wait) };
    let done = match going.result.try_recv() {
        Ok(done) => done,
        Err(TryRecvError::Empty) => return Ok(Step::Wait),
        Err(TryRecvError::Closed) => Err(Error::internal("work on the database broke off")),
    };
    *work = None;
    done.map(Step::Done)
}

impl Publisher for Worker {
    fn open(&mut self, before: Option<&str>) -> Result<Step<Option<Mark>>> {
        if self.opening.is_none() {
            let before = before.map(str::to_owned);
            self.opening = Some(self.start(move |to| {
                let before = before.clone();
                async move { look(&to, before.as_deref()).await }
            }));
        }
        look_at(&mut self.opening)
    }

    fn publish(&mut self, job: &Job) -> Result<Step<()>> {
        if self.loading.is_none() {
            let job = job.clone();
            self.loading = Some(self.start(move |to| {
                let job = job.clone();
                async move { load(&to, &job).await }
            }));
        }
        look_at(&mut self.loading)
    }

    fn forget(&mut self, id: &str) -> Step<()> {
        if self.loading.is_none() {
            let id = id.to_owned();
            self.loading = Some(self.start(move |to| {
                let id = id.clone();
                async move {
                    // It does no harm; another worker removes it in a week.
                    let _ = forget(&to, &id).await;
                    Ok(())
                }
            }));
        }
        look_at(&mut self.loading).unwrap_or(Step::Done(()))
    }
}
