//! The life of the stage in a child process: the loop around [`Driver`], with a socket on both sides.

use std::sync::Arc;
use std::task::Wake;
use std::time::{Duration, SystemTime};

use arrow_schema::{Schema, SchemaRef};
use gristmill_stage::{
    BatchTarget, BuildContext, Clock, Error, Kind, Origins, Readings, Registry, Result, Role,
    Snapshot, SystemClock,
};
use gristmill_wire::{Called, Commit, Fault, Message, Open, Rejected, Side};

use super::calls::{Calls, nanos};
use super::commits::{Asked, Commits, Due};
use super::inbox::{Front, Inbox};
use super::outbox::Outbox;
use super::planning;
use crate::bell::Bell;
use crate::drive::{Action, Driver, Event, Need, guarded};
use crate::own_runtime::OwnRuntime;
use crate::pause::{sleep, yield_now};

/// A stage that was built, and what it talks to.
pub(super) struct Session {
    driver: Driver,
    bell: Arc<Bell>,
    inbox: Arc<Inbox>,
    outbox: Arc<Outbox>,
    clock: Arc<dyn Clock>,
    calls: Arc<Calls>,
    commits: Commits,
    source: bool,
    /// The last batch that was taken.
    taken: u64,
    /// Bytes of rows that the run takes now, and when all is there.
    credit: i64,
    full: i64,
    /// The run says that no more rows will come.
    ended: bool,
    stop: bool,
    /// The trace of the rows that come next is recorded.
    traced: bool,
}

impl Session {
    /// Does all that a child process has to do.
    pub(super) async fn run(
        registry: &Registry,
        find: impl FnOnce(&Open) -> Result<Arc<dyn Kind>>,
        log: impl FnOnce(&str),
        own: Arc<OwnRuntime>,
        inbox: Arc<Inbox>,
        outbox: Arc<Outbox>,
    ) -> Result<()> {
        let fail = |error: &Error| outbox.say(&Message::Error(Fault::from(error)));
        let opened = Self::open(registry, find, log, own, inbox.clone(), outbox.clone()).await;
        let mut session = match opened {
            Ok(Some(session)) => session,
            // The run went away meanwhile.
            Ok(None) => return Ok(()),
            Err(error) => {
                fail(&error)?;
                inbox.over().await;
                return Ok(());
            }
        };
        if let Err(error) = session.work().await {
            session.calls.beat();
            fail(&error)?;
        }
        inbox.over().await;
        // The stage goes now, and cleans up.
        guarded(|| {
            drop(session);
            Ok(())
        })
    }

    /// Listens until the run has said what to build, and builds it.
    async fn open(
        registry: &Registry,
        find: impl FnOnce(&Open) -> Result<Arc<dyn Kind>>,
        log: impl FnOnce(&str),
        own: Arc<OwnRuntime>,
        inbox: Arc<Inbox>,
        outbox: Arc<Outbox>,
    ) -> Result<Option<Self>> {
        let none: SchemaRef = Arc::new(Schema::empty());
        let (mut input, mut output) = (none.clone(), none);
        let mut full = 0;
        let (open, restored) = loop {
            match inbox.next().await {
                None => return Ok(None),
                Some(Message::Hello(hello)) => {
                    hello.check()?;
                    full = i64::try_from(hello.limits.credit).unwrap_or(i64::MAX);
                    outbox.limit(hello.limits.frame);
                }
                Some(Message::Schema(Side::Input, schema)) => input = schema,
                Some(Message::Schema(Side::Output, schema)) => output = schema,
                Some(Message::Describe) => {
                    planning::answer(registry, &inbox, &outbox).await?;
                    return Ok(None);
                }
                Some(Message::Open(open, snapshot)) => break (*open, snapshot),
                Some(other) => {
                    return Err(Error::internal(format!("{other:?} came before the stage")));
                }
            }
        };
        let clock: Arc<dyn Clock> = Arc::new(RunClock {
            own: SystemClock::start(),
            offset: Duration::from_nanos(open.clock),
        });
        if let Some(levels) = &open.log {
            log(levels);
        }
        outbox.sends(&output)?;
        let bell = Arc::new(Bell::default());
        let schemas = (input, output);
        let kind = guarded(|| find(&open))?;
        let (driver, readings) = build(&*kind, &open, schemas, restored, &bell, &clock, own)?;
        tracing::debug!(pid = std::process::id(), "the stage is built");
        outbox.say(&Message::Opened)?;
        let every = Duration::try_from_secs_f64(open.heartbeat).unwrap_or(Duration::from_secs(1));
        let calls = Calls::watch(clock.clone(), outbox.clone(), readings, every)?;
        let source = open.role == Role::Source;
        let (commits, credit) = (Commits::default(), full);
        let mut session = Self {
            driver,
            bell,
            inbox,
            outbox,
            clock,
            calls,
            commits,
            source,
            taken: 0,
            credit,
            full,
            ended: false,
            stop: false,
            traced: false,
        };
        // What it made while it was built (a file aside) must be known before anything can happen.
        session.commit(0, false)?;
        let holding = session.driver.first_need()?.holding;
        session.outbox.say(&Message::Called(Called { holding, ..Called::default() }))?;
        Ok(Some(session))
    }

    /// Works until the stage is at its end, or the run is gone.
    async fn work(&mut self) -> Result<()> {
        let mut need = self.driver.first_need()?;
        let mut actions = Vec::new();
        while !need.ended {
            if self.listen() {
                return Ok(());
            }
            // What one call puts out is about a batch; the run takes that if half its room is there.
            let short = self.credit < self.full / 2;
            let due = self.commits.due(!need.holding, short);
            let due = match due {
                Due::At(at) if at <= self.clock.now() => Due::Now(0),
                due => due,
            };
            if let Due::Now(epoch) = due {
                self.commit(epoch, false)?;
                continue;
            }
            let event = if short { None } else { self.event(need)? };
            let Some(event) = event else {
                self.wait(need, due, short).await;
                continue;
            };
            need = self.call(event, &mut actions)?;
            yield_now().await;
        }
        tracing::debug!(batches = self.taken, "the stage is at its end");
        self.calls.beat();
        self.commit(0, true)
    }

    /// Acts on all that the run has said, up to the next rows. True when the run is gone.
    fn listen(&mut self) -> bool {
        let mut mail = self.inbox.lock();
        let credit = i64::try_from(std::mem::take(&mut mail.credit)).unwrap_or(i64::MAX);
        self.credit = self.credit.saturating_add(credit);
        let is_word = |message: &Message| !matches!(message, Message::Batch(..));
        while mail.messages.front().is_some_and(|(message, _)| is_word(message)) {
            match mail.messages.pop_front() {
                Some((Message::Barrier { epoch, drained }, _)) => {
                    self.commits.asked(Asked { epoch, drained });
                }
                Some((Message::End, _)) => self.ended = true,
                Some((Message::Stop, _)) => self.stop = true,
                Some((Message::Trace(_), _)) => self.traced = true,
                _ => {}
            }
        }
        mail.over
    }

    /// What happens next, if anything does.
    fn event(&mut self, need: Need) -> Result<Option<Event>> {
        if self.source && self.stop && !self.driver.is_stopped() {
            return Ok(Some(Event::Stop));
        }
        if self.bell.heard() || need.at.is_some_and(|at| at <= self.clock.now()) {
            return Ok(Some(Event::Wake));
        }
        if !need.input {
            return Ok(None);
        }
        let next = self.inbox.lock().rows();
        match next {
            Front::Rows { number, rows, bytes } => {
                self.outbox.say(&Message::Credit(bytes))?;
                self.taken = number;
                self.commits.took();
                Ok(Some(Event::Batch(rows)))
            }
            Front::Word => Ok(None),
            Front::Nothing => Ok(self.ended.then_some(Event::InputEnded)),
        }
    }

    async fn wait(&self, need: Need, due: Due, short: bool) {
        let listener = self.inbox.listen();
        {
            // Words, and rows if they are wanted, are acted on at once.
            let mail = self.inbox.lock();
            let rows = need.input && !short;
            let wanted = |message: &Message| rows || !matches!(message, Message::Batch(..));
            let called = mail.over || mail.credit > 0;
            if called || mail.messages.front().is_some_and(|(message, _)| wanted(message)) {
                return;
            }
        }
        let at = match (need.at.filter(|_| !short), due) {
            (Some(at), Due::At(due)) => Some(at.min(due)),
            (None, Due::At(due)) => Some(due),
            (at, _) => at,
        };
        let left = at.map(|at| at.saturating_sub(self.clock.now()));
        tokio::select! {
            () = self.bell.rung(), if !short => self.bell.wake_by_ref(),
            () = listener => {}
            () = sleep(left), if left.is_some() => {}
        }
    }

    /// One call of the stage, and all that comes of it.
    fn call(&mut self, event: Event, actions: &mut Vec<Action>) -> Result<Need> {
        let given = matches!(event, Event::Batch(_));
        let measured = self.source || given;
        let traced = given && std::mem::take(&mut self.traced);
        let start = self.calls.begin();
        let driven = self.driver.drive(event, actions);
        let took = self.calls.end().saturating_sub(start);
        if driven.is_err() {
            // What it rejected before it failed is rejected all the same.
            actions.retain(|action| matches!(action, Action::Reject { .. }));
        }
        for action in actions.drain(..) {
            let message = match action {
                Action::Emit { port, batch } => Message::Batch(port as u64, batch),
                Action::Reject { rows, cause, reason } => {
                    Message::Reject(Rejected { reason, cause, rows })
                }
            };
            let bytes = self.outbox.say(&message)?;
            self.credit = self.credit.saturating_sub(i64::try_from(bytes).unwrap_or(i64::MAX));
            self.commits.came();
        }
        let need = driven?;
        let (batch, holding) = (self.taken, need.holding);
        let start = traced.then(|| nanos(start));
        self.outbox.say(&Message::Called(Called {
            batch,
            nanos: nanos(took),
            start,
            measured,
            holding,
        }))?;
        Ok(need)
    }

    fn commit(&mut self, epoch: u64, finished: bool) -> Result<()> {
        // A call like any other: it may hang, too.
        let start = self.calls.begin();
        let snapshot = match finished {
            true => Ok(Snapshot::Stateless),
            false => self.driver.snapshot(),
        };
        self.calls.end();
        let commit = Commit { through: self.taken, epoch, finished, snapshot: snapshot? };
        self.outbox.say(&Message::Commit(Box::new(commit)))?;
        let now = self.clock.now();
        self.commits.made(epoch, now, now.saturating_sub(start));
        Ok(())
    }
}

/// Builds the stage, as any other executor does.
fn build(
    kind: &dyn Kind,
    open: &Open,
    (input, output): (SchemaRef, SchemaRef),
    restored: Snapshot,
    bell: &Arc<Bell>,
    clock: &Arc<dyn Clock>,
    own: Arc<OwnRuntime>,
) -> Result<(Driver, Arc<Readings>)> {
    let readings = Arc::new(Readings::new(kind.readings()));
    let mut origins = Origins::default();
    for (scheme, base) in &open.origins {
        origins.add(scheme, base);
    }
    let context = BuildContext::new(open.stage.clone(), clock.clone())
        .with_instance(open.instance, open.instances)
        .with_schemas(input.clone(), output.clone())
        .with_batch(BatchTarget { rows: open.batch.rows, bytes: open.batch.bytes })
        .with_ordered(open.ordered)
        .with_restored(restored)
        .with_resumable(false)
        .with_waker(bell.clone().into())
        .with_hints(open.hints.clone())
        .with_origins(Arc::new(origins))
        .with_readings(readings.clone())
        .with_runtime(Arc::new(move || own.handle()));
    let stage = guarded(|| kind.build(&open.options, context))?;
    let driver = Driver::new(stage, input, output, open.role == Role::Sink);
    Ok((driver.with_ports(open.ports), readings))
}

/// The clock of the run, as far as another process can have it.
struct RunClock {
    own: SystemClock,
    offset: Duration,
}

impl Clock for RunClock {
    fn now(&self) -> Duration {
        self.offset + self.own.now()
    }

    fn wall(&self) -> SystemTime {
        self.own.wall()
    }
}
