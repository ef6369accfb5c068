//! A stage of a program that is driven call by call, with one child process that nobody replaces: for
//! tests of the program. A run keeps what a child has and lets it run ahead (`remote.rs`); here each
//! call waits until the child has done it, so that what comes out of which call is known.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use gristmill_config::ProcessPlan;
use gristmill_stage::{
    BuildContext, Error, ErrorKind, Kind, Next, Output, Planned, Program, Provider, Redact, Result,
    Role, Snapshot, Source, Stage, Transform,
};
use gristmill_wire::{Limits, Message};
use serde_json::Value;

use super::child::{Child, Connection, NoChild, Refused, Spec, say};
use super::death::{Death, DeathClass};
use super::ledger::Outcome;
use super::link::credit;
use super::vitals::Vitals;
use super::waiting::{put_together, taken_apart};
use super::{WorkerCommand, opening};

/// Credit of a source: what one call of it puts out takes all of it, so that the child must commit and
/// wait. Then its snapshot is that of the rows which have come out.
const ONE_CALL: u64 = 2;

/// The kind of a program as one that this process can build stages of, each with a child of its own;
/// none if it is no kind of a program. For tests: nothing is done about a child that dies or hangs.
pub fn in_step(kind: &Arc<dyn Kind>) -> Option<Arc<dyn Kind>> {
    let program = kind.program()?.clone();
    Some(Arc::new(InStep { kind: kind.clone(), program }))
}

struct InStep {
    kind: Arc<dyn Kind>,
    program: Program,
}

impl Kind for InStep {
    fn name(&self) -> &str {
        self.kind.name()
    }

    fn summary(&self) -> &str {
        self.kind.summary()
    }

    fn role(&self) -> Role {
        self.kind.role()
    }

    fn example(&self) -> &str {
        self.kind.example()
    }

    fn input(&self) -> &str {
        self.kind.input()
    }

    fn output(&self) -> &str {
        self.kind.output()
    }

    fn options(&self) -> Value {
        self.kind.options()
    }

    fn plan(&self, options: &Value, input: Option<&SchemaRef>) -> Result<Planned> {
        self.kind.plan(options, input)
    }

    fn build(&self, options: &Value, context: BuildContext) -> Result<Stage> {
        let role = self.kind.role();
        let source = role == Role::Source;
        let input = (!source).then(|| context.input());
        let ports = self.kind.plan(options, input)?.ports.len();
        let mut open = opening(&context, context.stage(), &self.program.kind, role);
        (open.options, open.ports) = (options.clone(), ports);
        let credit = if source { ONE_CALL } else { Limits::default().credit };
        let redact: Arc<Redact> = Arc::new(str::to_owned);
        let spec = Spec {
            command: WorkerCommand::plugin(&self.program.argv),
            plan: ProcessPlan::default(),
            open,
            input: context.input().clone(),
            output: context.output().clone(),
            limits: Limits { credit, ..Limits::default() },
            clock: context.clock().clone(),
            vitals: Arc::default(),
            redact,
        };
        let (restored, waiting, finished) = taken_apart(context.restored());
        let (child, connection) = spec.start(&restored).map_err(|refused| match refused {
            NoChild::Error(error) => error,
            NoChild::Death(death) => died(&death),
        })?;
        let (number, epoch, owed, holding) = (0, 0, 0, false);
        let told = Told { restored, calls: waiting, call: Vec::new(), owed, holding, finished };
        let stage = Driven { child, connection, told, number, epoch, ended: finished };
        Ok(if source { Stage::source(stage) } else { Stage::transform(stage) })
    }

    fn provider(&self) -> Option<&Provider> {
        self.kind.provider()
    }
}

/// The child of one stage, and what is known of it.
struct Driven {
    child: Child,
    connection: Connection,
    told: Told,
    /// Of the last batch that was sent.
    number: u64,
    /// Of the last barrier.
    epoch: u64,
    ended: bool,
}

/// What the child has said.
struct Told {
    /// The snapshot of its last commit.
    restored: Snapshot,
    /// What came out of it, call by call, and not yet of this stage.
    calls: VecDeque<Vec<Outcome>>,
    /// What came since its last call.
    call: Vec<Outcome>,
    /// Credit to give back.
    owed: u64,
    holding: bool,
    finished: bool,
}

/// What a call waits for.
#[derive(Clone, Copy)]
enum Until {
    /// A call that has taken this batch.
    Called(u64),
    /// A commit with rows before it.
    Rows,
    /// The commit that answers this barrier.
    Barrier(u64),
}

impl Driven {
    fn say(&mut self, message: Message) -> Result<()> {
        let Connection { socket, encoder, .. } = &mut self.connection;
        say(socket, encoder, &[message]).map_err(|refused| match refused {
            Refused::Error(error) => error,
            Refused::Protocol(text) => self.gone(Some(Death::new(DeathClass::Protocol, text))),
            Refused::Gone => self.gone(None),
            Refused::Late => self.gone(Some(Death::new(DeathClass::Hung, "it takes nothing"))),
        })
    }

    /// Gives back what the rows took that have come.
    fn repay(&mut self) -> Result<()> {
        match std::mem::take(&mut self.told.owed) {
            0 => Ok(()),
            bytes => self.say(Message::Credit(bytes)),
        }
    }

    /// Reads until the child has said what is waited for, or is at its end.
    fn hear(&mut self, until: Until) -> Result<()> {
        loop {
            while let Some(frame) = self.connection.reader.next().map_err(|e| self.broken(&e))? {
                let bytes = credit(&frame);
                let heard = self.connection.decoder.decode(frame).map_err(|e| self.broken(&e))?;
                let Some(message) = heard else { continue };
                self.told.owed += bytes;
                if self.take(message, until)? || self.told.finished {
                    return Ok(());
                }
            }
            if !matches!(until, Until::Rows) {
                self.repay()?;
            }
            let Connection { socket, reader, .. } = &mut self.connection;
            match socket.read(reader.space()) {
                Ok(bytes) if bytes > 0 => self.connection.reader.advance(bytes),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                _ => return Err(self.gone(None)),
            }
        }
    }

    /// Whether that is what is waited for.
    fn take(&mut self, message: Message, until: Until) -> Result<bool> {
        match message {
            Message::Batch(port, rows) => self.told.call.push(Outcome::Emit(port, rows)),
            Message::Reject(rejected) => {
                let outcome = Outcome::Reject(rejected.rows, rejected.cause, rejected.reason);
                self.told.call.push(outcome);
            }
            Message::Called(called) => {
                self.told.holding = called.holding;
                self.told.end_call();
                return Ok(matches!(until, Until::Called(batch) if called.batch >= batch));
            }
            Message::Commit(commit) => {
                self.told.finished |= commit.finished;
                self.told.restored = commit.snapshot;
                self.told.end_call();
                return Ok(match until {
                    Until::Called(_) => false,
                    Until::Rows => !self.told.calls.is_empty(),
                    Until::Barrier(epoch) => commit.epoch == epoch,
                });
            }
            Message::Error(fault) => return Err(fault.into()),
            Message::Credit(_) | Message::Heartbeat(_) | Message::Log(_) => {}
            other => {
                let text: String =
                    format!("a worker does not say {other:?}").chars().take(200).collect();
                return Err(self.gone(Some(Death::new(DeathClass::Protocol, text))));
            }
        }
        Ok(false)
    }

    fn broken(&mut self, error: &gristmill_wire::WireError) -> Error {
        let text = format!("it broke the protocol: {error}");
        self.gone(Some(Death::new(DeathClass::Protocol, text)))
    }

    /// The child is gone, or must go.
    fn gone(&mut self, cause: Option<Death>) -> Error {
        died(&self.child.bury(cause, &Vitals::default()))
    }

    /// Hands on what came of one call.
    fn hand_on(&mut self, out: &mut dyn Output) -> Result<()> {
        for outcome in self.told.calls.pop_front().unwrap_or_default() {
            match outcome {
                Outcome::Emit(port, rows) => {
                    out.emit_to(usize::try_from(port).unwrap_or(usize::MAX), rows)?;
                }
                Outcome::Reject(rows, cause, reason) => out.reject_as(rows, cause, &reason)?,
            }
        }
        Ok(())
    }

    fn committed(&mut self, epoch: u64) -> Result<()> {
        self.say(Message::Committed(epoch))
    }
}

impl Transform for Driven {
    fn process(&mut self, batch: RecordBatch, out: &mut dyn Output) -> Result<()> {
        if !self.told.finished {
            self.number += 1;
            self.say(Message::Batch(self.number, batch))?;
            self.hear(Until::Called(self.number))?;
        }
        self.hand_on(out)
    }

    fn ready(&self) -> bool {
        self.told.calls.is_empty()
    }

    fn done(&self) -> bool {
        self.told.finished && self.told.calls.is_empty()
    }

    fn holding(&self) -> bool {
        let ending = self.ended && !self.told.finished;
        (self.told.holding && !self.told.finished) || ending || !self.told.calls.is_empty()
    }

    fn wake(&mut self, out: &mut dyn Output) -> Result<()> {
        if self.told.calls.is_empty() && Transform::holding(self) {
            self.hear(Until::Called(0))?;
        }
        self.hand_on(out)
    }

    fn wake_at(&self) -> Option<Duration> {
        self.holding().then_some(Duration::ZERO)
    }

    fn finish(&mut self, out: &mut dyn Output) -> Result<()> {
        if !self.ended && !self.told.finished {
            self.ended = true;
            self.say(Message::End)?;
        }
        self.hand_on(out)
    }

    fn snapshot(&mut self) -> Result<Snapshot> {
        if !self.told.finished {
            self.epoch += 1;
            let epoch = self.epoch;
            self.say(Message::Barrier { epoch, drained: false })?;
            self.hear(Until::Barrier(epoch))?;
        }
        Ok(self.told.snapshot())
    }

    fn committed(&mut self, epoch: u64) -> Result<()> {
        self.committed(epoch)
    }
}

impl Source for Driven {
    fn poll(&mut self, out: &mut dyn Output) -> Result<Next> {
        if self.told.calls.is_empty() && !self.told.finished {
            self.repay()?;
            self.hear(Until::Rows)?;
        }
        self.hand_on(out)?;
        let done = self.told.finished && self.told.calls.is_empty();
        Ok(if done { Next::Done } else { Next::Now })
    }

    fn stop(&mut self) -> Result<bool> {
        if !self.told.finished {
            self.say(Message::Stop)?;
        }
        Ok(!self.told.finished || !self.told.calls.is_empty())
    }

    fn snapshot(&mut self) -> Result<Snapshot> {
        Ok(self.told.snapshot())
    }

    fn committed(&mut self, epoch: u64) -> Result<()> {
        self.committed(epoch)
    }
}

impl Drop for Driven {
    fn drop(&mut self) {
        self.child.end(&Vitals::default());
    }
}

fn died(death: &Death) -> Error {
    Error::new(ErrorKind::Panic, format!("its process died: {death}"))
}

impl Told {
    fn end_call(&mut self) {
        if !self.call.is_empty() {
            self.calls.push_back(std::mem::take(&mut self.call));
        }
    }

    fn snapshot(&self) -> Snapshot {
        put_together(&self.restored, self.calls.iter().flatten().chain(&self.call), self.finished)
    }
}
