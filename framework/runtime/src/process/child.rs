//! One child process: started, greeted, watched to its end.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gristmill_config::ProcessPlan;
use gristmill_stage::{Clock, Error, Redact, Result, Role, Snapshot};
use gristmill_wire::{Decoder, Encoder, FrameReader, Hello, Limits, Message, Open, Side};
use rustix::io::Errno;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use super::death::Death;
use super::logged::logged;
use super::stderr::Lines;
use super::vitals::Vitals;
use super::{DeathClass, WorkerCommand, proc};
use arrow_schema::SchemaRef;

/// A child must have built its stage in this time.
pub(super) const START: Duration = Duration::from_secs(30);
/// A child that was told to go may take so long to clean up.
const GRACE: Duration = Duration::from_secs(2);

/// All that is needed to start a child for a worker, again and again.
pub(crate) struct Spec {
    pub(crate) command: WorkerCommand,
    pub(crate) plan: ProcessPlan,
    pub(crate) open: Open,
    pub(crate) input: SchemaRef,
    pub(crate) output: SchemaRef,
    /// What the run takes from the child before it says that it may send more.
    pub(crate) limits: Limits,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) vitals: Arc<Vitals>,
    /// Blanks out secrets.
    pub(crate) redact: Arc<Redact>,
}

/// Why there is no child.
#[derive(Debug)]
pub(crate) enum NoChild {
    /// The stage could not be built, or no process can be started at all.
    Error(Error),
    /// The process died while it was starting.
    Death(Death),
}

/// A connection to a child that has built its stage.
pub(crate) struct Connection {
    pub(crate) socket: UnixStream,
    pub(crate) reader: FrameReader,
    pub(crate) decoder: Decoder,
    pub(crate) encoder: Encoder,
    /// What the child takes before it says that it can take more.
    pub(crate) credit: u64,
    /// Whether it knows what a trace is.
    pub(crate) traces: bool,
}

/// The process itself.
pub(crate) struct Child {
    process: std::process::Child,
    lines: Option<Lines>,
    /// Another handle of the connection, to end it from wherever.
    socket: UnixStream,
    reaped: bool,
}

/// The place of the present child, shared between who watches it and who ends it.
pub(crate) type Slot = Arc<Mutex<Option<Child>>>;

impl Spec {
    /// Starts a child that goes on from a snapshot, and waits until its stage is built.
    pub(crate) fn start(&self, snapshot: &Snapshot) -> Result<(Child, Connection), NoChild> {
        let failed = |e: io::Error| NoChild::Error(Error::io(format!("no child process: {e}")));
        let (stage, worker) = (self.open.stage.clone(), self.open.instance);
        let redact = self.redact.clone();
        let log = move |line: &mut String| {
            *line = redact(line);
            tracing::warn!(stage, worker, "{line}");
        };
        let started = Child::start(&self.command, self.open.role, &self.plan, log);
        let (mut child, ours) = started.map_err(failed)?;
        self.vitals.started(child.process.id());
        let greeted = self.greet(ours, snapshot);
        greeted.map_err(|refused| child.refused(refused, &self.vitals)).map(|c| (child, c))
    }

    fn greet(&self, socket: UnixStream, snapshot: &Snapshot) -> Result<Connection, Refused> {
        socket.set_read_timeout(Some(START))?;
        socket.set_write_timeout(Some(START))?;
        let mut encoder = Encoder::new();
        encoder.sends(&self.input)?;
        let mut decoder = Decoder::new();
        decoder.expects(&self.output).map_err(Error::from)?;
        say(&socket, &mut encoder, &[Message::Hello(Hello::new(self.limits))])?;
        let mut reader = FrameReader::new(usize::try_from(self.limits.frame).unwrap_or(usize::MAX));
        let (mut credit, mut traces) = (None, false);
        loop {
            while let Some(frame) = reader.next().map_err(Refused::protocol)? {
                match decoder.decode(frame).map_err(Refused::protocol)? {
                    Some(Message::Hello(hello)) if credit.is_none() => {
                        let known = hello.check().and_then(|()| hello.check_ports(self.open.ports));
                        known.map_err(|e| Refused::Error(e.into()))?;
                        credit = Some(hello.limits.credit);
                        traces = hello.knows_traces();
                        encoder.limit(hello.limits.frame);
                        say(&socket, &mut encoder, &self.orders(snapshot))?;
                    }
                    Some(Message::Error(fault)) => return Err(Refused::Error(fault.into())),
                    Some(Message::Heartbeat(beat)) => self.vitals.beat(&beat),
                    Some(Message::Log(log)) => {
                        logged(&log, &self.open.stage, self.open.instance, &*self.redact);
                    }
                    Some(Message::Opened) => {
                        let credit = credit.ok_or_else(|| {
                            Refused::Protocol("it opened without a hello".to_owned())
                        })?;
                        socket.set_read_timeout(None)?;
                        return Ok(Connection { socket, reader, decoder, encoder, credit, traces });
                    }
                    None => {}
                    Some(_) => {
                        let text = "it spoke before its stage was built".to_owned();
                        return Err(Refused::Protocol(text));
                    }
                }
            }
            match (&socket).read(reader.space()) {
                Ok(0) => return Err(Refused::Gone),
                Ok(bytes) => reader.advance(bytes),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Err(Refused::Late),
                Err(_) => return Err(Refused::Gone),
            }
        }
    }

    /// What a child is told once it has said who it is.
    fn orders(&self, snapshot: &Snapshot) -> [Message; 3] {
        let mut open = self.open.clone();
        open.clock = u64::try_from(self.clock.now().as_nanos()).unwrap_or(u64::MAX);
        [
            Message::Schema(Side::Input, self.input.clone()),
            Message::Schema(Side::Output, self.output.clone()),
            Message::Open(Box::new(open), snapshot.clone()),
        ]
    }
}

/// Says something while nothing is read. A child that is gone says why on the other way.
pub(super) fn say(
    mut to: &UnixStream,
    encoder: &mut Encoder,
    messages: &[Message],
) -> Result<(), Refused> {
    for message in messages {
        let mut out = encoder.encode(message)?;
        while !out.is_empty() {
            match to.write_vectored(&out.slices()) {
                Ok(written) => out.advance(written),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Err(Refused::Late),
                Err(_) => return Ok(()),
            }
        }
    }
    Ok(())
}

/// Why a greeting came to nothing.
pub(super) enum Refused {
    Error(Error),
    Protocol(String),
    Gone,
    Late,
}

impl Refused {
    pub(super) fn protocol(error: gristmill_wire::WireError) -> Self {
        Self::Protocol(error.to_string())
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        Self::Error(Error::io(format!("no connection to a child process: {error}")))
    }
}

impl Child {
    /// Starts a process, and the thread that takes the lines of its stderr. Returns the run's end of
    /// its socket, too.
    pub(super) fn start(
        command: &WorkerCommand,
        role: Role,
        plan: &ProcessPlan,
        log: impl Fn(&mut String) + Send + 'static,
    ) -> io::Result<(Self, UnixStream)> {
        let (ours, theirs) = UnixStream::pair()?;
        let socket = ours.try_clone()?;
        let (process, stderr) = command.start(theirs, role, plan)?;
        // From here on whatever goes wrong takes the process with it.
        let mut child = Self { process, lines: None, socket, reaped: false };
        child.lines = Some(Lines::copy(stderr, log)?);
        Ok((child, ours))
    }

    fn refused(&mut self, refused: Refused, vitals: &Vitals) -> NoChild {
        match refused {
            Refused::Error(error) => {
                self.end(vitals);
                NoChild::Error(error)
            }
            Refused::Gone => NoChild::Death(self.bury(None, vitals)),
            Refused::Late => {
                let text = format!("its stage was not built in {} s", START.as_secs());
                NoChild::Death(self.bury(Some(Death::new(DeathClass::Hung, text)), vitals))
            }
            Refused::Protocol(text) => {
                NoChild::Death(self.bury(Some(Death::new(DeathClass::Protocol, text)), vitals))
            }
        }
    }

    /// After its connection has ended, or because of `cause`: makes sure that it is gone, and says
    /// how it died.
    pub(crate) fn bury(&mut self, cause: Option<Death>, vitals: &Vitals) -> Death {
        if cause.is_some() {
            let _ = self.process.kill();
        }
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
        let status = self.reap(vitals);
        let last = self.lines.take().and_then(|lines| lines.last());
        let death = cause.or_else(|| status.map(Death::of));
        let unknown = || Death::new(DeathClass::Exited, "it is gone, nobody knows how");
        death.unwrap_or_else(unknown).last_words(last)
    }

    /// Tells it to go, waits while it cleans up, and makes sure that it is gone.
    pub(crate) fn end(&mut self, vitals: &Vitals) {
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
        self.reap(vitals);
        if let Some(lines) = self.lines.take() {
            lines.last();
        }
    }

    /// Waits for its end, and kills it if that takes too long.
    fn reap(&mut self, vitals: &Vitals) -> Option<ExitStatus> {
        let id = self.process.id();
        let ended = ends(id) || {
            let _ = self.process.kill();
            ends(id)
        };
        // Read before it is waited for: afterwards the kernel forgets it.
        vitals.gone(proc::cpu(&id.to_string()));
        self.reaped = true;
        // One that hangs in the kernel even now is not waited for. Of one that has ended, threads may
        // still be on their way out.
        if ended { self.process.wait().ok() } else { None }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.reaped {
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }
}

/// Waits until a process ends, but not for long.
fn ends(id: u32) -> bool {
    let mut pause = Duration::from_micros(200);
    let mut waited = Duration::ZERO;
    while waited < GRACE {
        if has_ended(id) {
            return true;
        }
        std::thread::sleep(pause);
        waited += pause;
        pause = (pause * 2).min(Duration::from_millis(20));
    }
    false
}

/// Whether a child has ended. It stays to be waited for. Needs no open file: there may be none left.
fn has_ended(id: u32) -> bool {
    let Some(pid) = i32::try_from(id).ok().and_then(Pid::from_raw) else { return true };
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    loop {
        match waitid(WaitId::Pid(pid), look) {
            Ok(status) => return status.is_some(),
            Err(Errno::INTR) => {}
            // It is nobody's child any more.
            Err(_) => return true,
        }
    }
}

/// Ends the child of a slot, if there is one.
pub(crate) fn end(slot: &Slot, vitals: &Vitals) {
    let child = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(mut child) = child {
        child.end(vitals);
    }
}
