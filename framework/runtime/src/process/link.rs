//! Speaks with one child until one of the two has nothing more to say.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use gristmill_stage::Error;
use gristmill_wire::{Decoder, Encoder, Frame, FrameReader, Message, Outgoing, Rejected};
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::child::Connection;
use super::death::{Death, DeathClass};
use super::desk::Desk;
use super::ledger::{Come, Outcome, Send};
use super::vitals::Vitals;

/// Seconds between two heartbeats of a child.
pub(crate) const BEAT: Duration = Duration::from_secs(1);
/// So many heartbeats may be missing.
const MISSING: u32 = 10;
/// So many reads are made before what came is acted on.
const READS: usize = 16;

/// How a conversation ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The stage is at its end, or nobody needs the child any more.
    Over,
    /// The stage failed.
    Failed(Error),
    /// The child is gone or must go; with the cause, if it is not to be asked of the system.
    Dead(Option<Death>),
}

/// A connection, driven by the worker's own runtime.
pub(crate) struct Link {
    stream: UnixStream,
    reader: FrameReader,
    decoder: Decoder,
    encoder: Encoder,
    desk: Arc<Desk>,
    vitals: Arc<Vitals>,
    out: Outgoing,
    /// How many bytes of rows may still be sent.
    credit: u64,
    full: u64,
    /// Extra credit that was given for the size of the state.
    extra: u64,
    ended: bool,
    /// The child was told that its source must stop.
    stopped: bool,
    /// The child hears nothing any more.
    deaf: bool,
    timeout: Option<Duration>,
    missing: u32,
    /// Whether the child knows what a trace is.
    traces: bool,
    /// What is said next: rows, after their trace.
    waiting: Option<Message>,
}

impl Link {
    pub(crate) fn new(
        connection: Connection,
        desk: Arc<Desk>,
        vitals: Arc<Vitals>,
        timeout: Option<Duration>,
    ) -> io::Result<Self> {
        let Connection { socket, reader, decoder, encoder, credit, traces } = connection;
        socket.set_nonblocking(true)?;
        let stream = UnixStream::from_std(socket)?;
        let out = Outgoing::default();
        let (ended, stopped, deaf) = (false, false, false);
        let (missing, extra) = (0, 0);
        Ok(Self {
            stream,
            reader,
            decoder,
            encoder,
            desk,
            vitals,
            out,
            credit,
            full: credit,
            extra,
            ended,
            stopped,
            deaf,
            timeout,
            missing,
            traces,
            waiting: None,
        })
    }

    /// Speaks until it is over.
    pub(crate) async fn speak(mut self) -> Ended {
        let mut ticks = interval_at(Instant::now() + BEAT, BEAT);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if let Err(ended) = self.take_in().and_then(|()| self.fill()) {
                return ended;
            }
            if self.desk.is_over() {
                return Ended::Over;
            }
            let interest = match self.out.is_empty() {
                true => Interest::READABLE,
                false => Interest::READABLE | Interest::WRITABLE,
            };
            let desk = self.desk.clone();
            tokio::select! {
                ready = self.stream.ready(interest) => {
                    let Ok(ready) = ready else { return Ended::Dead(None) };
                    if ready.is_writable() && !self.out.is_empty() {
                        self.write();
                    }
                    if ready.is_readable() && let Err(ended) = self.read() {
                        return ended;
                    }
                }
                () = desk.called() => {}
                _ = ticks.tick() => {
                    self.missing += 1;
                    if self.missing > MISSING {
                        let text = format!("it said nothing for {MISSING} s");
                        return Ended::Dead(Some(Death::new(DeathClass::Hung, text)));
                    }
                }
            }
        }
    }

    /// Puts what is next into the way out, when that is empty.
    fn fill(&mut self) -> Result<(), Ended> {
        while self.out.is_empty() && !self.deaf {
            let Some(message) = self.next() else { return Ok(()) };
            let rows = matches!(message, Message::Batch(..));
            self.out = self.encoder.encode(&message).map_err(Ended::Failed)?;
            if rows {
                self.credit = self.credit.saturating_sub(self.out.len() as u64);
            }
            self.write();
        }
        Ok(())
    }

    fn next(&mut self) -> Option<Message> {
        if let Some(message) = self.waiting.take() {
            return Some(message);
        }
        let mut books = self.desk.lock();
        if books.stopping && !std::mem::replace(&mut self.stopped, true) {
            return Some(Message::Stop);
        }
        let state = books.ledger.snapshot_bytes() as u64;
        let more = std::mem::take(&mut books.credit) + state.saturating_sub(self.extra);
        if more > 0 {
            self.extra = self.extra.max(state);
            return Some(Message::Credit(more));
        }
        // So at most one batch more than the credit is under way, and a batch that alone is larger
        // than all of it goes, too.
        if self.credit >= self.full / 2
            && let Some(send) = books.ledger.next()
        {
            return Some(match send {
                Send::Batch(number, rows) => {
                    let trace = books.ledger.awaits(number).filter(|_| self.traces);
                    let rows = Message::Batch(number, rows);
                    match trace {
                        Some(trace) => {
                            self.waiting = Some(rows);
                            Message::Trace(trace)
                        }
                        None => rows,
                    }
                }
                Send::Barrier { epoch, drained } => Message::Barrier { epoch, drained },
            });
        }
        let end = books.ending && !self.ended && books.ledger.all_sent();
        self.ended |= end;
        end.then_some(Message::End)
    }

    fn write(&mut self) {
        while !self.out.is_empty() {
            match self.stream.try_write_vectored(&self.out.slices()) {
                Ok(bytes) => self.out.advance(bytes),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                // The child is gone, and what it said before is still to be read.
                Err(_) => {
                    self.deaf = true;
                    self.out = Outgoing::default();
                }
            }
        }
    }

    fn read(&mut self) -> Result<(), Ended> {
        for _ in 0..READS {
            match self.stream.try_read(self.reader.space()) {
                Ok(0) => {
                    self.take_in()?;
                    return Err(Ended::Dead(None));
                }
                Ok(bytes) => {
                    // Also amid a long frame it lives.
                    self.missing = 0;
                    self.reader.advance(bytes);
                    self.take_in()?;
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Err(Ended::Dead(None)),
            }
        }
        Ok(())
    }

    /// Acts on all whole frames that have come.
    fn take_in(&mut self) -> Result<(), Ended> {
        let broken = |e: gristmill_wire::WireError| {
            Ended::Dead(Some(Death::new(
                DeathClass::Protocol,
                format!("it broke the protocol: {e}"),
            )))
        };
        while let Some(frame) = self.reader.next().map_err(broken)? {
            let credit = credit(&frame);
            if let Some(message) = self.decoder.decode(frame).map_err(broken)? {
                self.act(message, credit)?;
            }
        }
        Ok(())
    }

    fn act(&mut self, message: Message, credit: u64) -> Result<(), Ended> {
        match message {
            Message::Batch(port, rows) => self.came(Outcome::Emit(port, rows), credit),
            Message::Reject(rejected) => {
                let Rejected { rows, cause, reason } = rejected;
                self.came(Outcome::Reject(rows, cause, reason), credit);
            }
            Message::Called(called) => {
                self.desk.called_back(called);
            }
            Message::Commit(commit) => self.desk.change(|books| books.ledger.commit(*commit)),
            Message::Credit(bytes) => {
                self.credit = self.credit.saturating_add(bytes).min(self.full);
            }
            Message::Heartbeat(beat) => {
                let call = Duration::from_nanos(beat.call);
                self.vitals.beat(&beat);
                if let Some(timeout) = self.timeout.filter(|timeout| call > *timeout) {
                    let text = format!("one call of the stage took longer than {timeout:?}");
                    return Err(Ended::Dead(Some(Death::new(DeathClass::Hung, text))));
                }
            }
            Message::Log(log) => self.desk.log(&log),
            Message::Error(fault) if fault.kind == "panic" => {
                return Err(Ended::Dead(Some(Death::new(DeathClass::Panicked, fault.message))));
            }
            Message::Error(fault) => {
                let error = Error::from(fault);
                self.desk.lock().ledger.failed(&error);
                return Err(Ended::Failed(error));
            }
            other => {
                let text = format!("it broke the protocol: a worker does not say {other:?}");
                let text = text.chars().take(200).collect::<String>();
                return Err(Ended::Dead(Some(Death::new(DeathClass::Protocol, text))));
            }
        }
        Ok(())
    }

    fn came(&self, outcome: Outcome, credit: u64) {
        // Not yet of any use to the worker, so it is not woken.
        self.desk.lock().ledger.came(Come::new(outcome, credit));
    }
}

/// What a frame takes of its sender's credit.
pub(super) fn credit(frame: &Frame) -> u64 {
    if frame.kind.costs_credit() {
        (frame.payload.len() + gristmill_wire::HEADER) as u64
    } else {
        0
    }
}
