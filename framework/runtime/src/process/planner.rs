//! A conversation with a program that has kinds of its own, about stages that do not run yet.

use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use arrow_schema::SchemaRef;
use gristmill_config::ProcessPlan;
use gristmill_stage::{Clock, Error, Planned, Result, Role, SystemClock};
use gristmill_wire::{
    Decoder, Description, Encoder, FrameReader, Hello, Limits, Message, Question, Side,
};

use super::WorkerCommand;
use super::child::{Child, Refused, START, say};
use super::death::{Death, DeathClass};
use super::plugin::{asks, none};
use super::vitals::Vitals;

/// The program, and the process that is asked. One that is gone is started again when it is needed.
pub(super) struct Planner {
    /// As the pipeline names it.
    shown: String,
    argv: Vec<String>,
    session: Mutex<Option<Session>>,
}

/// One process.
struct Session {
    child: Child,
    socket: UnixStream,
    reader: FrameReader,
    decoder: Decoder,
    encoder: Encoder,
}

/// What is waited for.
enum Heard {
    Described(Description),
    Planned(Box<Planned>),
    Greeted(Hello),
}

impl Planner {
    pub(super) fn new(shown: String, argv: Vec<String>) -> Self {
        Self { shown, argv, session: Mutex::new(None) }
    }

    /// Which kinds the program has.
    pub(super) fn describe(&self) -> Result<Description> {
        match self.ask(&[Message::Describe])? {
            Heard::Described(description) => Ok(description),
            _ => Err(Error::internal(format!("`{}` answered another question", self.shown))),
        }
    }

    /// What comes of a stage.
    pub(super) fn plan(&self, question: Question, input: Option<&SchemaRef>) -> Result<Planned> {
        match self.ask(&asks(question, input))? {
            Heard::Planned(planned) => Ok(*planned),
            _ => Err(Error::internal(format!("`{}` answered another question", self.shown))),
        }
    }

    fn ask(&self, messages: &[Message]) -> Result<Heard> {
        let mut slot = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        let mut session = match slot.take() {
            Some(session) => session,
            None => Session::start(&self.shown, &self.argv)?,
        };
        match session.ask(messages) {
            Ok(heard) => {
                *slot = Some(session);
                Ok(heard)
            }
            Err(Refused::Error(error)) => {
                *slot = Some(session);
                Err(error)
            }
            Err(refused) => Err(session.end(&self.shown, refused)),
        }
    }
}

impl Session {
    fn start(program: &str, argv: &[String]) -> Result<Self> {
        let command = WorkerCommand::plugin(argv);
        // A socket in the place of stdin, and what it prints with what it says.
        let started = Child::start(&command, Role::Transform, &ProcessPlan::default(), |_| {});
        let (child, socket) = started.map_err(|e| not_started(program, argv, &e))?;
        let limits = Limits::default();
        let reader = FrameReader::new(usize::try_from(limits.frame).unwrap_or(usize::MAX));
        let (decoder, encoder) = (Decoder::new(), Encoder::new());
        let mut session = Self { child, socket, reader, decoder, encoder };
        session.greet().map_err(|refused| match refused {
            Refused::Error(error) => error.context(format!("`{program}`")),
            refused => session.end(program, refused),
        })?;
        Ok(session)
    }

    fn greet(&mut self) -> Result<(), Refused> {
        let hello = Message::Hello(Hello::new(Limits::default()));
        let Heard::Greeted(hello) = self.ask(&[hello])? else {
            return Err(Refused::Protocol("it did not say who it is".to_owned()));
        };
        let known = hello.check().and_then(|()| hello.check_kinds());
        known.map_err(|e| Refused::Error(e.into()))?;
        self.encoder.limit(hello.limits.frame);
        Ok(())
    }

    fn ask(&mut self, messages: &[Message]) -> Result<Heard, Refused> {
        self.socket.set_write_timeout(Some(START))?;
        say(&self.socket, &mut self.encoder, messages)?;
        let clock = SystemClock::start();
        let mut output = none();
        loop {
            while let Some(frame) = self.reader.next().map_err(Refused::protocol)? {
                match self.decoder.decode(frame).map_err(Refused::protocol)? {
                    Some(Message::Hello(hello)) => return Ok(Heard::Greeted(hello)),
                    Some(Message::Described(kinds)) => return Ok(Heard::Described(*kinds)),
                    Some(Message::Schema(Side::Output, schema)) => output = schema,
                    Some(Message::Planned(answer)) => {
                        return Ok(Heard::Planned(Box::new(answer.planned(output))));
                    }
                    Some(Message::Error(fault)) => return Err(Refused::Error(fault.into())),
                    Some(Message::Heartbeat(_) | Message::Log(_)) | None => {}
                    Some(_) => {
                        return Err(Refused::Protocol("it spoke of what nobody asked".to_owned()));
                    }
                }
            }
            let left = START.saturating_sub(clock.now());
            self.socket.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
            match (&self.socket).read(self.reader.space()) {
                Ok(0) => return Err(Refused::Gone),
                Ok(bytes) => self.reader.advance(bytes),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Err(Refused::Late),
                Err(_) => return Err(Refused::Gone),
            }
            if clock.now() >= START {
                return Err(Refused::Late);
            }
        }
    }

    /// Makes an end of a process that does not answer, and says why it does not.
    fn end(&mut self, program: &str, refused: Refused) -> Error {
        let cause = match refused {
            Refused::Error(error) => return error,
            Refused::Gone => None,
            Refused::Late => Some(Death::new(
                DeathClass::Hung,
                format!("it did not answer in {} s", START.as_secs()),
            )),
            Refused::Protocol(text) => Some(Death::new(DeathClass::Protocol, text)),
        };
        let death = self.child.bury(cause, &Vitals::default());
        let text = format!("`{program}` is asked for its stages, and does not say them: {death}");
        let missing = death.text.contains("ModuleNotFoundError");
        let garbage = death.class == DeathClass::Protocol;
        Error::internal(text).help(match (missing, garbage) {
            (true, _) => {
                "install the module for this Python, or name the Python that has it, such as \
                 `.venv/bin/python`"
            }
            (false, true) => {
                "the program must speak the worker protocol, version 1.2 or later: \
                 `framework/wire/PROTOCOL.md`"
            }
            (false, false) => "does it run by itself, with `gristmill-worker --socket stdin`?",
        })
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.child.end(&Vitals::default());
    }
}

fn not_started(program: &str, argv: &[String], error: &io::Error) -> Error {
    let name = argv.first().map_or("", String::as_str);
    let text = match error.kind() {
        io::ErrorKind::NotFound => format!("there is no program `{name}`"),
        io::ErrorKind::PermissionDenied => format!("`{name}` is no program that may be run"),
        _ => format!("`{program}` cannot be started: {error}"),
    };
    Error::io(text).help(match name.contains('/') {
        true => "a path is relative to the file of the pipeline",
        false => "it is looked for in the folders of `PATH`",
    })
}
