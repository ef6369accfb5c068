//! A stage that runs in a child process, seen from the worker: a stage like any other.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use arrow_array::RecordBatch;
use gristmill_config::{ProcessLimits, ProcessPlan};
use gristmill_stage::{Error, ErrorKind, Next, Output, Result, Role, Snapshot, Source, Transform};
use tokio::runtime::Handle;

use super::child::{Child, Connection, NoChild, Slot, Spec, end};
use super::death::Death;
use super::desk::{Books, Desk};
use super::ledger::{Come, Outcome};
use super::link::{Ended, Link};
use crate::edge::Parcel;
use crate::trace::Handed;

/// Before another child is started, for each death in a row.
const PAUSE: Duration = Duration::from_millis(10);
/// But not longer than this.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// Children that die before their stage is built: so many in a row end the run.
const STILLBORN: u32 = 5;

/// The worker's side of a child process.
pub(crate) struct Remote {
    desk: Arc<Desk>,
    spec: Arc<Spec>,
    slot: Slot,
    /// The spans of the batches that it is given and puts out.
    handed: Handed,
}

impl Remote {
    /// Starts the child, and on `runtime` whoever speaks with it and replaces it when it dies.
    ///
    /// # Errors
    /// What the stage says while it is built; or no child can be started.
    pub(crate) fn start(spec: Spec, desk: Desk, handed: Handed, runtime: &Handle) -> Result<Self> {
        let mut stillborn = 0;
        let (child, connection) = loop {
            match spec.start(&Snapshot::Stateless) {
                Ok(started) => break started,
                Err(NoChild::Error(error)) => return Err(error),
                Err(NoChild::Death(death)) => {
                    spec.vitals.died(death.class);
                    stillborn += 1;
                    if stillborn == STILLBORN {
                        return Err(never_built(&death, &spec.plan));
                    }
                }
            }
        };
        let (desk, spec, slot) = (Arc::new(desk), Arc::new(spec), Slot::default());
        let remote = Self { desk, spec, slot, handed };
        *remote.slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(child);
        let keeper = Keeper {
            desk: remote.desk.clone(),
            spec: remote.spec.clone(),
            slot: remote.slot.clone(),
        };
        runtime.spawn(keeper.keep(connection));
        Ok(remote)
    }

    /// Hands on one of the outcomes that count.
    fn hand_on(&self, out: &mut dyn Output) -> Result<()> {
        let Some(Come { outcome, credit, trace }) = self.books()?.ledger.pop() else {
            return Ok(());
        };
        self.handed.put(trace);
        match outcome {
            Outcome::Emit(port, rows) => {
                out.emit_to(usize::try_from(port).unwrap_or(usize::MAX), rows)?;
            }
            Outcome::Reject(rows, cause, reason) => out.reject_as(rows, cause, &reason)?,
        }
        self.desk.lock().credit += credit;
        self.desk.call_link();
        Ok(())
    }

    fn books(&self) -> Result<std::sync::MutexGuard<'_, Books>> {
        let books = self.desk.lock();
        match &books.failure {
            // What came before the failure leaves before it.
            Some(error) if !books.ledger.has_outcomes() => Err(error.clone()),
            _ => Ok(books),
        }
    }
}

impl Transform for Remote {
    fn process(&mut self, batch: RecordBatch, out: &mut dyn Output) -> Result<()> {
        let parcel = Parcel::new(batch, self.handed.take());
        self.books()?.ledger.take(parcel);
        self.desk.call_link();
        self.hand_on(out)
    }

    fn ready(&self) -> bool {
        let books = self.desk.lock();
        books.failure.is_none() && books.ledger.has_room() && !books.ledger.has_outcomes()
    }

    fn done(&self) -> bool {
        self.desk.lock().ledger.finished()
    }

    fn holding(&self) -> bool {
        let books = self.desk.lock();
        books.ledger.is_holding() || (books.ending && !books.ledger.finished())
    }

    fn wake(&mut self, out: &mut dyn Output) -> Result<()> {
        self.hand_on(out)
    }

    fn wake_at(&self) -> Option<Duration> {
        let books = self.desk.lock();
        (books.failure.is_some() || books.ledger.has_outcomes()).then_some(Duration::ZERO)
    }

    fn finish(&mut self, out: &mut dyn Output) -> Result<()> {
        let first = !std::mem::replace(&mut self.books()?.ending, true);
        if first {
            self.desk.call_link();
        }
        self.hand_on(out)
    }

    fn snapshot(&mut self) -> Result<Snapshot> {
        Err(Error::internal("a stage in a child process is saved by its run, not by itself"))
    }
}

impl Source for Remote {
    fn poll(&mut self, out: &mut dyn Output) -> Result<Next> {
        self.hand_on(out)?;
        let books = self.books()?;
        Ok(match (books.ledger.has_outcomes(), books.ledger.finished()) {
            (true, _) => Next::Now,
            (false, true) => Next::Done,
            (false, false) => Next::Wait,
        })
    }

    /// What the child has taken out of its source is on the way, and comes out.
    fn stop(&mut self) -> Result<bool> {
        let finished = {
            let mut books = self.books()?;
            books.stopping = true;
            books.ledger.finished() && !books.ledger.has_outcomes()
        };
        self.desk.call_link();
        Ok(!finished)
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        self.desk.lock().over = true;
        self.desk.call_link();
        end(&self.slot, &self.spec.vitals);
    }
}

/// Speaks with a child, and replaces it when it dies.
struct Keeper {
    desk: Arc<Desk>,
    spec: Arc<Spec>,
    slot: Slot,
}

impl Keeper {
    async fn keep(self, connection: Connection) {
        let _watch = Watch(self.desk.clone());
        let mut connection = connection;
        loop {
            let (desk, vitals) = (self.desk.clone(), self.spec.vitals.clone());
            let link = Link::new(connection, desk, vitals, self.spec.plan.timeout);
            let ended = match link {
                Ok(link) => link.speak().await,
                Err(error) => Ended::Failed(Error::io(format!("no way to a child: {error}"))),
            };
            match ended {
                Ended::Over => return,
                Ended::Failed(error) => return self.fail(error),
                Ended::Dead(cause) => match self.replace(cause).await {
                    Some(next) => connection = next,
                    None => return,
                },
            }
        }
    }

    fn fail(&self, error: Error) {
        self.desk.change(|books| books.failure = Some(error));
    }

    /// Another child in the place of the one that died; none when the run is over or has failed.
    async fn replace(&self, cause: Option<Death>) -> Option<Connection> {
        let mut stillborn = 0;
        let noticed = self.spec.clock.now();
        let (slot, vitals) = (self.slot.clone(), self.spec.vitals.clone());
        let mut death = blocking(move || {
            let child = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
            child.map(|mut child| child.bury(cause, &vitals))
        })
        .await??;
        loop {
            if self.desk.is_over() {
                return None;
            }
            let deaths = self.mourn(&death, stillborn > 0);
            if let Some(error) = self.end_of_hope(deaths, stillborn, &death) {
                self.fail(error);
                return None;
            }
            tokio::time::sleep((PAUSE * deaths.saturating_sub(1)).min(LONGEST_PAUSE)).await;
            let snapshot = self.desk.lock().ledger.snapshot().clone();
            let spec = self.spec.clone();
            match blocking(move || spec.start(&snapshot)).await? {
                Ok((child, connection)) => {
                    self.settle_in(child);
                    let took = self.spec.clock.now().saturating_sub(noticed);
                    self.spec.vitals.restarted(took);
                    return Some(connection);
                }
                Err(NoChild::Error(error)) => {
                    self.fail(error);
                    return None;
                }
                Err(NoChild::Death(next)) => {
                    stillborn += 1;
                    death = next;
                }
            }
        }
    }

    /// Why there is no use in another child, if there is none.
    fn end_of_hope(&self, deaths: u32, stillborn: u32, death: &Death) -> Option<Error> {
        if stillborn == STILLBORN {
            return Some(never_built(death, &self.spec.plan));
        }
        if deaths > self.spec.plan.restarts {
            return Some(hopeless(deaths, death));
        }
        let begins_anew =
            self.spec.open.role == Role::Source && self.desk.lock().ledger.begins_anew();
        begins_anew.then(|| {
            let text =
                format!("its child process died, and a source of this kind cannot go on: {death}");
            Error::internal(text).help("a source that takes snapshots can; or use another `mode`")
        })
    }

    /// Writes a death into the books. One that died before its stage was built worked on no row.
    fn mourn(&self, death: &Death, stillborn: bool) -> u32 {
        let Spec { open, vitals, .. } = &*self.spec;
        let (stage, worker) = (&open.stage, open.instance);
        tracing::warn!(stage, worker, "the child process died: {death}; another takes its place");
        vitals.died(death.class);
        let mut deaths = 0;
        let reason = format!("the child process died each time it came to this row: {death}");
        let error = Error::internal(format!("the child process died: {death}"));
        self.desk.change(|books| {
            books.ledger.broke_off(&error);
            deaths = match stillborn {
                true => books.ledger.stillborn(),
                false => books.ledger.died(&reason),
            };
            books.credit = 0;
        });
        deaths
    }

    fn settle_in(&self, child: Child) {
        *self.slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(child);
        // The run may have come to its end meanwhile.
        if self.desk.lock().over {
            end(&self.slot, &self.spec.vitals);
        }
    }
}

/// Fails the stage if whoever speaks with its child is gone without a word: by a panic, or because the
/// machine gives no thread.
struct Watch(Arc<Desk>);

impl Drop for Watch {
    fn drop(&mut self) {
        let silent = {
            let books = self.0.lock();
            !books.over && books.failure.is_none() && !books.ledger.finished()
        };
        if silent {
            let error = Error::internal("nobody speaks with its child process any more");
            self.0.change(|books| books.failure = Some(error));
        }
    }
}

async fn blocking<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(call).await.ok()
}

fn never_built(death: &Death, plan: &ProcessPlan) -> Error {
    let error = Error::new(
        ErrorKind::Internal,
        format!("{STILLBORN} child processes in a row died before the stage was built: {death}"),
    );
    match plan.limits == ProcessLimits::default() {
        true => error,
        false => error.help("its `limits` may be too small to start with; try larger ones"),
    }
}

fn hopeless(deaths: u32, death: &Death) -> Error {
    Error::new(
        ErrorKind::Internal,
        format!("its child process died {deaths} times in a row without getting on: {death}"),
    )
    .help("`run: { restarts: … }` allows more")
}
