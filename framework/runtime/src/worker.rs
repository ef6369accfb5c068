//! The life of one worker: wait for what the stage needs, let it act, send what it puts out. The
//! same for every executor; they differ only in what this future runs on.

use std::sync::Arc;
use std::time::Duration;

use arrow_array::RecordBatch;
use gristmill_stage::{Cause, Clock, Error, ErrorKind, Result};

use crate::bell::Bell;
use crate::control::{Control, Failure};
use crate::drive::{Action, Driver, Event, Need, guarded};
use crate::edge::{Inlet, Outlet, Parcel, Taken};
use crate::intake::{receive, take};
use crate::letters::{Letter, LetterBox};
use crate::meter::{Activity, Meter};
use crate::pause::{sleep, yield_now};
use crate::status::Ending;
use crate::tap::Passing;
use crate::trace::{Call, Given, SpanContext, Trail};
use crate::turns::{Ticket, Turns};

/// After this long in calls without a wait, a worker lets others have the thread.
const SHARE: Duration = Duration::from_micros(500);

/// One worker with everything it is connected to.
pub struct Worker {
    /// Name of its stage.
    pub stage: Arc<str>,
    /// Which of the stage's workers it is.
    pub instance: usize,
    /// The stage itself.
    pub driver: Driver,
    /// What the stage rings.
    pub bell: Arc<Bell>,
    /// Where batches come from; `None` for a source.
    pub inlet: Option<Inlet>,
    /// Where batches go.
    pub outlet: Outlet,
    /// Whether it is a sink, whose reader may leave.
    pub sink: bool,
    /// Where rejected rows go.
    pub letters: LetterBox,
    /// What counts it.
    pub meter: Arc<Meter>,
    /// Where its rows can be seen.
    pub(crate) tap: Passing,
    /// What stops it.
    pub control: Arc<Control>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Keeps the order over the workers of the stage.
    pub turns: Option<Arc<Turns>>,
    /// Whether to yield after every call: a source must not keep those behind it waiting, and async
    /// work of the stage may run on the same thread.
    pub yields: bool,
    /// Whether the stage runs in a child process, which measures its calls itself.
    pub remote: bool,
    /// How it knows of which span the rows came that it sends.
    pub(crate) trail: Trail,
}

/// What a worker waited for.
enum Waited {
    Event(Event),
    Parcel(Parcel),
    /// The run is broken off.
    Aborted,
    /// Nobody takes its rows any more.
    Left,
}

/// How a worker came to its end, if without an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// All that it had to do is done.
    Complete,
    /// Nobody takes its rows any more.
    Left,
    /// The run was broken off.
    Cut,
}

/// Fails the run if the worker is dropped by a panic. Made before anything that tells others of the
/// end, so that they learn of the failure first.
struct PanicWatch {
    control: Arc<Control>,
    stage: Arc<str>,
    instance: usize,
}

impl Drop for PanicWatch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let error = Error::new(ErrorKind::Panic, "the worker panicked between two calls");
            self.control.fail(build_failure(&self.stage, self.instance, error));
        }
    }
}

impl Worker {
    /// Runs the worker to its end and reports a failure to the control of the run.
    pub async fn run(mut self) {
        let turns = self.turns.clone();
        // Given back last: the others must not take their turn before they know of a failure.
        let mut ticket = None;
        let watch = PanicWatch {
            control: self.control.clone(),
            stage: self.stage.clone(),
            instance: self.instance,
        };
        tracing::debug!("the worker begins");
        self.meter.enter(Activity::Waiting);
        let worked = self.work(turns.as_deref(), &mut ticket).await;
        self.meter.end();
        let Self { driver, outlet, inlet, meter, control, sink, .. } = self;
        let (rows_in, rows_out) = (meter.taken().rows, meter.sent().rows);
        tracing::debug!(rows_in, rows_out, "the worker ends");
        // The stage goes before its edges are told of the end; it may panic even now.
        let dropped = guarded(|| {
            drop(driver);
            Ok(())
        });
        match &worked {
            Ok(End::Complete) => meter.comes_to(Ending::Complete),
            Ok(End::Cut) => control.cut_off(),
            Ok(End::Left) => {}
            // Who fails while it publishes has published nothing.
            Err(_) => meter.comes_to(Ending::Open),
        }
        if let Err(error) = worked.map(|_| ()).and(dropped) {
            meter.failed(error.kind());
            // A reader of a sink that has left is no failure: those before learn of it.
            if !(sink && error.kind() == ErrorKind::Closed) {
                let batch = meter.taken().batches;
                let (stage, worker) = (watch.stage.to_string(), watch.instance);
                control.fail(Failure { stage, worker, batch, error });
            }
        }
        drop((inlet, outlet));
    }

    async fn work<'t>(
        &mut self,
        turns: Option<&'t Turns>,
        ticket: &mut Option<Ticket<'t>>,
    ) -> Result<End> {
        let mut actions = Vec::new();
        let mut need = self.driver.first_need()?;
        let mut shared = self.clock.now();
        while !need.ended {
            // With a ticket in hand, the batch before must be through before the next is taken.
            let input = need.input && ticket.is_none();
            let mut given = None;
            let event = match self.wait(Need { input, ..need }, turns, ticket).await {
                Waited::Aborted => return Ok(End::Cut),
                Waited::Left => return Ok(End::Left),
                Waited::Parcel(parcel) => {
                    self.meter.took(parcel.rows(), parcel.bytes);
                    self.trail.before(parcel.trace);
                    given = Some(Given::of(&parcel));
                    if self.sink {
                        self.tap.pass(0, &parcel.batch);
                    }
                    Event::Batch(parcel.batch)
                }
                Waited::Event(Event::InputEnded) if !self.may_end().await? => {
                    return Ok(End::Cut);
                }
                Waited::Event(event) => event,
            };
            let measured =
                !self.remote && (self.inlet.is_none() || matches!(event, Event::Batch(_)));
            let start = self.meter.enter(Activity::Busy);
            let driven = self.driver.drive(event, &mut actions);
            let end = self.clock.now();
            let trace = self.trail.after(|| Call::of(given, [start, end], &actions, &driven));
            if measured {
                self.meter.called(end.saturating_sub(start), trace);
            }
            need = match driven {
                Ok(need) => need,
                Err(error) => {
                    // What it rejected before it failed is rejected all the same.
                    actions.retain(|action| matches!(action, Action::Reject { .. }));
                    self.send(&mut actions, None, None).await?;
                    return Err(error);
                }
            };
            // What is at its end with nothing in hand is not cut off any more.
            if need.ended && actions.is_empty() {
                break;
            }
            if !self.send(&mut actions, trace, ticket.as_ref()).await? {
                return Ok(if self.control.is_aborted() { End::Cut } else { End::Left });
            }
            if !need.holding {
                *ticket = None;
            }
            if self.yields {
                yield_now().await;
            } else if end.saturating_sub(shared) > SHARE {
                yield_now().await;
                shared = self.clock.now();
            }
        }
        Ok(End::Complete)
    }

    /// Whether the end of the input is a true one. A sink publishes then, so it waits until what was
    /// rejected is safe.
    async fn may_end(&mut self) -> Result<bool> {
        if self.sink {
            tokio::select! {
                biased;
                () = self.control.aborted() => return Ok(false),
                settled = self.letters.settled() => settled?,
            }
        }
        // A failure is known before the end that it causes.
        if self.control.is_aborted() {
            return Ok(false);
        }
        if self.sink {
            self.meter.comes_to(Ending::Closing);
        }
        Ok(true)
    }

    /// Waits for the first of what the worker needs.
    async fn wait<'t>(
        &mut self,
        need: Need,
        turns: Option<&'t Turns>,
        ticket: &mut Option<Ticket<'t>>,
    ) -> Waited {
        if self.control.is_aborted() {
            return Waited::Aborted;
        }
        let source = self.inlet.is_none();
        let stops = source && !self.driver.is_stopped();
        if stops && self.control.is_stopping() {
            return Waited::Event(Event::Stop);
        }
        if self.bell.heard() || need.at.is_some_and(|at| at <= self.clock.now()) {
            return Waited::Event(Event::Wake);
        }
        let Self { inlet, outlet, bell, control, clock, meter, .. } = self;
        if let (true, Some(inlet)) = (need.input, inlet.as_mut()) {
            match take(inlet, turns, ticket) {
                Taken::Parcel(parcel) => return Waited::Parcel(parcel),
                Taken::Ended => return Waited::Event(Event::InputEnded),
                Taken::Empty => {}
            }
        }
        // A transform without a wish for input is at work, if not in a call.
        let idle = need.input || source;
        meter.enter(if idle { Activity::Waiting } else { Activity::Busy });
        let due = need.at.map(|at| at.saturating_sub(clock.now()));
        tokio::select! {
            biased;
            () = control.aborted() => Waited::Aborted,
            () = control.stopping(), if stops => Waited::Event(Event::Stop),
            () = bell.rung() => Waited::Event(Event::Wake),
            taken = receive(inlet.as_mut(), turns, ticket), if need.input => match taken {
                Taken::Parcel(parcel) => Waited::Parcel(parcel),
                _ => Waited::Event(Event::InputEnded),
            },
            () = sleep(due), if due.is_some() => Waited::Event(Event::Wake),
            () = outlet.closed() => Waited::Left,
        }
    }

    /// Sends all that came of a call. False when nobody takes it any more or the run is aborted.
    async fn send(
        &mut self,
        actions: &mut Vec<Action>,
        trace: Option<SpanContext>,
        ticket: Option<&Ticket<'_>>,
    ) -> Result<bool> {
        let mut open = true;
        for action in actions.drain(..) {
            match action {
                Action::Emit { port, batch } if open => {
                    let bytes = Parcel::measure(&batch);
                    open = self.emit(port, Parcel { batch, bytes, trace }, ticket).await?;
                }
                Action::Emit { .. } => {}
                Action::Reject { rows, cause, reason } => self.reject(rows, cause, reason).await?,
            }
        }
        Ok(open && !self.control.is_aborted())
    }

    async fn reject(&mut self, rows: RecordBatch, cause: Cause, reason: String) -> Result<()> {
        self.meter.rejected(rows.num_rows(), cause);
        tracing::debug!(rows = rows.num_rows(), cause = cause.name(), "rejected: {reason}");
        self.meter.enter(Activity::Blocked);
        let letter = Letter {
            stage: self.stage.clone(),
            worker: self.instance,
            batch: self.meter.taken().batches,
            reason,
            rows,
        };
        tokio::select! {
            // Also after a failure a letter is written, if the file takes it at once.
            biased;
            sent = self.letters.send(letter) => sent?,
            () = self.control.aborted() => {}
        }
        self.meter.enter(Activity::Busy);
        Ok(())
    }

    /// Sends a batch, in turn if there is a ticket. False when nobody takes it or the run is aborted.
    async fn emit(
        &mut self,
        port: usize,
        parcel: Parcel,
        ticket: Option<&Ticket<'_>>,
    ) -> Result<bool> {
        if let Some(ticket) = ticket {
            self.meter.enter(Activity::Blocked);
            tokio::select! {
                biased;
                () = self.control.aborted() => return Ok(false),
                () = ticket.turn() => {}
            }
            self.meter.enter(Activity::Busy);
        }
        self.meter.emitted(parcel.rows(), parcel.bytes);
        self.tap.pass(port, &parcel.batch);
        self.outlet.offer(port, parcel)?;
        if self.outlet.is_pending() {
            self.meter.enter(Activity::Blocked);
            tokio::select! {
                biased;
                () = self.control.aborted() => return Ok(false),
                () = self.outlet.flush() => {}
            }
            self.meter.enter(Activity::Busy);
        }
        Ok(!self.outlet.is_closed())
    }
}

/// An error for a worker that could not be built.
pub fn build_failure(stage: &str, worker: usize, error: Error) -> Failure {
    Failure { stage: stage.to_owned(), worker, batch: 0, error }
}
