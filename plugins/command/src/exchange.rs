//! One run of the program: bytes in, bytes out, neither of which ever waits for the other.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;

use gristmill_stage::Clock;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, ioctl_fionbio};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

/// So many bytes of stderr are kept, the last ones.
const KEPT: usize = 4 << 10;
/// Read at a time.
const CHUNK: usize = 64 << 10;

/// What it may take.
#[derive(Clone, Copy)]
pub(crate) struct Bounds<'a> {
    pub(crate) clock: &'a dyn Clock,
    pub(crate) timeout: Duration,
    pub(crate) output: usize,
}

/// Gives the program its input and returns what it puts out, or why that counts for nothing.
///
/// # Errors
/// When it cannot be started at all.
pub(crate) fn exchange(
    command: &[String],
    input: &[u8],
    bounds: Bounds<'_>,
) -> io::Result<Result<Vec<u8>, String>> {
    let mut running = Running::start(command)?;
    let outcome = running.talk(input, bounds);
    running.end(outcome)
}

/// A program that runs.
struct Running {
    child: Child,
    /// Becomes readable when it ends.
    ended: OwnedFd,
    stdin: Option<ChildStdin>,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    out: Vec<u8>,
    said: Vec<u8>,
}

impl Running {
    fn start(command: &[String]) -> io::Result<Self> {
        let (name, args) = command.split_first().ok_or(ErrorKind::InvalidInput)?;
        let mut child = Command::new(name)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A Ctrl-C is for the run, which works off what it has read.
            .process_group(0)
            .spawn()?;
        let pid = Pid::from_child(&child);
        let ended = pidfd_open(pid, PidfdFlags::empty()).inspect_err(|_| {
            // Without it there is no way to wait for the program and its pipes at once.
            let _ = child.kill();
            let _ = child.wait();
        })?;
        let (stdin, stdout, stderr) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let running =
            Self { child, ended, stdin, stdout, stderr, out: Vec::new(), said: Vec::new() };
        for pipe in running.pipes() {
            ioctl_fionbio(pipe, true)?;
        }
        Ok(running)
    }

    fn pipes(&self) -> impl Iterator<Item = rustix::fd::BorrowedFd<'_>> {
        let stdin = self.stdin.as_ref().map(AsFd::as_fd);
        let stdout = self.stdout.as_ref().map(AsFd::as_fd);
        stdin.into_iter().chain(stdout).chain(self.stderr.as_ref().map(AsFd::as_fd))
    }

    /// Goes on until the program has ended and its output, too.
    fn talk(&mut self, mut input: &[u8], bounds: Bounds<'_>) -> Result<(), String> {
        let until = bounds.clock.now() + bounds.timeout;
        let mut running = true;
        while running || self.stdout.is_some() {
            if input.is_empty() {
                self.stdin = None;
            }
            let left = until.saturating_sub(bounds.clock.now());
            if left.is_zero() {
                return Err(format!("took longer than {} s", bounds.timeout.as_secs_f64()));
            }
            running &= !self.wait(running, left).map_err(|e| e.to_string())?;
            self.write(&mut input);
            self.read()?;
            if self.out.len() > bounds.output {
                return Err(format!("puts out more than {} bytes", bounds.output));
            }
        }
        Ok(())
    }

    /// Waits until something can be done. Whether the program has ended meanwhile.
    fn wait(&self, running: bool, left: Duration) -> io::Result<bool> {
        let mut waited = Vec::with_capacity(4);
        if running {
            waited.push(PollFd::new(&self.ended, PollFlags::IN));
        }
        if let Some(stdin) = &self.stdin {
            waited.push(PollFd::new(stdin, PollFlags::OUT));
        }
        if let Some(stdout) = &self.stdout {
            waited.push(PollFd::new(stdout, PollFlags::IN));
        }
        if let Some(stderr) = &self.stderr {
            waited.push(PollFd::new(stderr, PollFlags::IN));
        }
        let left = Timespec::try_from(left.min(Duration::from_secs(3600)));
        match poll(&mut waited, left.ok().as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(running && waited.first().is_some_and(|fd| fd.revents().contains(PollFlags::IN)))
    }

    /// Writes what it takes. One that does not read to the end wants no more.
    fn write(&mut self, input: &mut &[u8]) {
        let Some(stdin) = &mut self.stdin else { return };
        while !input.is_empty() {
            match stdin.write(input) {
                Ok(written) => *input = &input[written..],
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => return,
                Err(_) => *input = &[],
            }
        }
    }

    fn read(&mut self) -> Result<(), String> {
        let mut chunk = vec![0; CHUNK];
        if let Some(stdout) = &mut self.stdout {
            match stdout.read(&mut chunk) {
                Ok(0) => self.stdout = None,
                Ok(bytes) => self.out.extend_from_slice(&chunk[..bytes]),
                Err(e) if is_later(&e) => {}
                Err(e) => return Err(format!("cannot be read from: {e}")),
            }
        }
        if let Some(stderr) = &mut self.stderr {
            match stderr.read(&mut chunk) {
                Ok(bytes @ 1..) => {
                    self.said.extend_from_slice(&chunk[..bytes]);
                    let more = self.said.len().saturating_sub(KEPT);
                    self.said.drain(..more);
                }
                Err(e) if is_later(&e) => {}
                Ok(_) | Err(_) => self.stderr = None,
            }
        }
        Ok(())
    }

    /// Makes sure that it is gone, with all that it has started in its group.
    fn end(mut self, outcome: Result<(), String>) -> io::Result<Result<Vec<u8>, String>> {
        if outcome.is_err() {
            // It may be gone already.
            let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        }
        let status = self.child.wait()?;
        // What it said last may still be in the pipe.
        while let Some(stderr) = &mut self.stderr {
            let mut chunk = vec![0; CHUNK];
            match stderr.read(&mut chunk) {
                Ok(bytes @ 1..) => self.said.extend_from_slice(&chunk[..bytes]),
                _ => break,
            }
        }
        let ended = match outcome {
            Ok(()) if status.success() => return Ok(Ok(self.out)),
            Ok(()) => how(status),
            Err(why) => why,
        };
        Ok(Err(match last_lines(&self.said) {
            lines if lines.is_empty() => ended,
            lines => format!("{ended}: {lines}"),
        }))
    }
}

fn is_later(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

fn how(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with code {code}"),
        (None, signal) => format!("was killed by signal {}", signal.unwrap_or(0)),
    }
}

/// The last three lines, in one.
fn last_lines(said: &[u8]) -> String {
    let said = &said[said.len().saturating_sub(KEPT)..];
    let text = String::from_utf8_lossy(said);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(3)..].join(" | ")
}
