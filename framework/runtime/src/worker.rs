//! The life of one worker: wait for what the stage needs, let it act, send what it puts out. The
//! same for every executor; they differ only in what this future runs on.

use std::sync::Arc;
use std::time::Duration;

use arrow_array::RecordBatch;
use gristmill_stage::{Clock, Error, ErrorKind, Result};

use crate::bell::Bell;
use crate::control::{Control, Failure};
use crate::drive::{Action, Driver, Event, Need};
use crate::edge::{Inlet, Outlet, Parcel, Sent, Taken};
use crate::letters::{Letter, LetterBox};
use crate::meter::{Activity, Meter};
use crate::turns::{Ticket, Turns};

/// After this long in calls without a wait, a worker lets others have the thread.
const SHARE: Duration = Duration::from_micros(500);

/// One worker with everything it is connected to.
pub struct Worker {
    /// Name of its stage.
    pub stage: Arc<str>,
    /// Which of the stage's workers it is.
    pub instance: usize,
    /// The stage itself. Above the edges: it is dropped before they are told of the end.
    pub driver: Driver,
    /// What the stage rings.
    pub bell: Arc<Bell>,
    /// Where batches come from; `None` for a source.
    pub inlet: Option<Inlet>,
    /// Where batches go.
    pub outlet: Outlet,
    /// Where rejected rows go.
    pub letters: LetterBox,
    /// What counts it.
    pub meter: Arc<Meter>,
    /// What stops it.
    pub control: Arc<Control>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Keeps the order over the workers of the stage.
    pub turns: Option<Arc<Turns>>,
    /// Whether to yield after every call, because async work of the stage runs on the same thread.
    pub yields: bool,
}

/// What a worker waited for.
enum Waited {
    Event(Event),
    Parcel(Parcel),
    Aborted,
}

impl Worker {
    /// Runs the worker to its end and reports a failure to the control of the run.
    pub async fn run(mut self) {
        self.meter.start();
        let result = self.work().await;
        self.meter.end();
        if let Err(error) = result {
            self.meter.failed(error.kind());
            // A reader that has left is no failure: the edges are let go, and those before learn it.
            if error.kind() != ErrorKind::Closed {
                self.control.fail(Failure {
                    stage: self.stage.to_string(),
                    worker: self.instance,
                    batch: self.meter.taken().batches,
                    error,
                });
            }
        }
    }

    async fn work(&mut self) -> Result<()> {
        let turns = self.turns.clone();
        let mut ticket: Option<Ticket<'_>> = None;
        let mut actions = Vec::new();
        let mut need = self.driver.need();
        let mut shared = self.clock.now();
        while !need.ended {
            // With a ticket in hand, the batch before must be through before the next is taken.
            let input = need.input && ticket.is_none();
            let event = match self.wait(Need { input, ..need }, turns.as_deref(), &mut ticket).await
            {
                Waited::Aborted => return Ok(()),
                Waited::Parcel(parcel) => {
                    self.meter.took(parcel.rows(), parcel.bytes);
                    Event::Batch(parcel.batch)
                }
                Waited::Event(event) => event,
            };
            let measured = self.inlet.is_none() || matches!(event, Event::Batch(_));
            let start = self.meter.enter(Activity::Busy);
            need = self.driver.drive(event, &mut actions)?;
            let end = self.clock.now();
            if measured {
                self.meter.called(end.saturating_sub(start));
            }
            if !self.send(&mut actions, ticket.as_ref()).await? {
                return Ok(());
            }
            if !need.holding {
                ticket = None;
            }
            if self.yields || end.saturating_sub(shared) > SHARE {
                yield_now().await;
                shared = self.clock.now();
            }
        }
        Ok(())
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
        if source && self.control.is_stopping() {
            return Waited::Event(Event::Stop);
        }
        if self.bell.heard() || need.at.is_some_and(|at| at <= self.clock.now()) {
            return Waited::Event(Event::Wake);
        }
        let Self { inlet, bell, control, clock, meter, .. } = self;
        if let (true, Some(inlet)) = (need.input, inlet.as_mut()) {
            match take(inlet, turns, ticket) {
                Taken::Parcel(parcel) => return Waited::Parcel(parcel),
                Taken::Ended => return Waited::Event(Event::InputEnded),
                Taken::Empty => {}
            }
        }
        // Without a wish for input the stage is at work, if not in a call.
        meter.enter(if need.input { Activity::Waiting } else { Activity::Busy });
        let due = need.at.map(|at| at.saturating_sub(clock.now()));
        tokio::select! {
            biased;
            () = control.aborted() => Waited::Aborted,
            () = control.stopping(), if source => Waited::Event(Event::Stop),
            () = bell.rung() => Waited::Event(Event::Wake),
            taken = receive(inlet.as_mut(), turns, ticket), if need.input => taken,
            () = sleep(due), if due.is_some() => Waited::Event(Event::Wake),
        }
    }

    /// Sends all that came of a call. False when nobody takes it any more or the run is aborted.
    async fn send(
        &mut self,
        actions: &mut Vec<Action>,
        ticket: Option<&Ticket<'_>>,
    ) -> Result<bool> {
        for action in actions.drain(..) {
            match action {
                Action::Emit(batch) => {
                    if let Some(ticket) = ticket {
                        self.meter.enter(Activity::Blocked);
                        tokio::select! {
                            biased;
                            () = self.control.aborted() => return Ok(false),
                            () = ticket.turn() => {}
                        }
                    }
                    if !self.emit(batch).await? {
                        return Ok(false);
                    }
                }
                Action::Reject { rows, reason } => {
                    self.meter.rejected(rows.num_rows());
                    self.meter.enter(Activity::Blocked);
                    let letter = Letter {
                        stage: self.stage.clone(),
                        worker: self.instance,
                        batch: self.meter.taken().batches,
                        reason,
                        rows,
                    };
                    self.letters.send(letter).await?;
                }
            }
        }
        Ok(true)
    }

    async fn emit(&mut self, batch: RecordBatch) -> Result<bool> {
        let (rows, bytes) = (batch.num_rows(), Parcel::measure(&batch));
        self.meter.emitted(rows, bytes);
        if self.outlet.offer(batch, bytes)? == Sent::NobodyThere {
            return Ok(false);
        }
        if self.outlet.is_pending() {
            self.meter.enter(Activity::Blocked);
            tokio::select! {
                biased;
                () = self.control.aborted() => return Ok(false),
                () = self.outlet.flush() => {}
            }
        }
        Ok(true)
    }
}

/// Takes the next batch, with a ticket when the stage keeps its order. The end takes one, too: what
/// a worker puts out when it finishes comes after all batches.
fn take<'t>(inlet: &mut Inlet, turns: Option<&'t Turns>, ticket: &mut Option<Ticket<'t>>) -> Taken {
    let Some(turns) = turns else { return inlet.take() };
    let issued = turns.issue(|| match inlet.take() {
        Taken::Empty => None,
        taken => Some(taken),
    });
    match issued {
        None => Taken::Empty,
        Some((taken, new)) => {
            *ticket = Some(new);
            taken
        }
    }
}

async fn receive<'t>(
    inlet: Option<&mut Inlet>,
    turns: Option<&'t Turns>,
    ticket: &mut Option<Ticket<'t>>,
) -> Waited {
    let Some(inlet) = inlet else { return std::future::pending().await };
    loop {
        let listener = inlet.listen();
        match take(inlet, turns, ticket) {
            Taken::Parcel(parcel) => return Waited::Parcel(parcel),
            Taken::Ended => return Waited::Event(Event::InputEnded),
            Taken::Empty => listener.await,
        }
    }
}

async fn sleep(due: Option<Duration>) {
    match due {
        Some(due) => tokio::time::sleep(due).await,
        None => std::future::pending().await,
    }
}

/// Lets others have the thread once.
async fn yield_now() {
    let mut yielded = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return std::task::Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}

/// An error for a worker that could not be built.
pub fn build_failure(stage: &str, worker: usize, error: Error) -> Failure {
    Failure { stage: stage.to_owned(), worker, batch: 0, error }
}
