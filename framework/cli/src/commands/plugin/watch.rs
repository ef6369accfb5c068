//! A test of a plugin in a process of its own, and who watches over it. What a plugin does to its process
//! (it hangs, it ends it) then says no more than what is wrong with the plugin.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::rc::Rc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use gristmill_runtime::how_it_ended;
use gristmill_stage::{Error, Result};
use rustix::process::{Signal, set_parent_process_death_signal};
use serde::{Deserialize, Serialize};

use super::suite::{Said, Tell, run};
use crate::args::Test;
use crate::exit::Exit;
use crate::say::say;

/// What the process of a test is told.
#[derive(Serialize, Deserialize)]
struct Job {
    args: Test,
    /// So many kinds are done with.
    skipped: usize,
}

/// What a test has come to so far.
struct Verdict {
    exit: Exit,
    kinds: Vec<String>,
    /// How many of them are done with.
    done: usize,
    /// The run that began last: of which check, in what way.
    begun: Option<(String, String)>,
    over: bool,
}

impl Verdict {
    fn new() -> Self {
        Self { exit: Exit::Done, kinds: Vec::new(), done: 0, begun: None, over: false }
    }

    fn hear(&mut self, said: Said) {
        match said {
            Said::Kinds(kinds) => self.kinds = kinds,
            Said::Begins { check, how } => self.begun = Some((check, how)),
            Said::Passed(text) => {
                super::super::print(&text);
                self.next();
            }
            Said::Failed(text) => self.fails(&text),
            Said::Refused { message, help } => {
                super::refused(&message, help.as_deref());
                (self.exit, self.over) = (Exit::BadConfiguration, true);
            }
            Said::Done => self.over = true,
        }
    }

    fn next(&mut self) {
        (self.done, self.begun) = (self.done + 1, None);
    }

    fn fails(&mut self, text: &str) {
        say(format!("error: {text}"));
        self.exit = Exit::Failed;
        self.next();
    }

    /// All was tested, and then its process did not end as it should.
    fn ends_badly(&mut self, how: &str) {
        say(format!(
            "error: after all tests, the process that the plugin was in did not end well: {how}"
        ));
        self.exit = Exit::Failed;
    }

    /// The process is gone, or was ended, in the middle of a test.
    fn breaks(&mut self, args: &Test, how: &str) {
        let plugin = args.which.file.clone().unwrap_or_else(|| args.which.command.join(" "));
        let (who, place) = match (self.kinds.get(self.done), &self.begun) {
            (Some(kind), Some((check, way))) => {
                (format!("`{kind}`"), format!("in the check `{check}` ({way})"))
            }
            (Some(kind), None) => (format!("`{kind}`"), "before its first check".to_owned()),
            (None, _) => (plugin, "while it was loaded".to_owned()),
        };
        let again = match self.kinds.get(self.done) {
            Some(kind) => format!("`--kind {kind} --in-process` does it again under a debugger"),
            None => "`--in-process` does it again under a debugger".to_owned(),
        };
        // Without kinds there is nothing to go on with.
        self.over = self.kinds.is_empty();
        self.fails(&format!("{who} broke off {place}: {how}\n  = help: {again}"));
        self.over |= self.done >= self.kinds.len();
    }
}

/// Runs a test in this process.
pub fn here(args: &Test) -> Result<Exit> {
    let verdict = Rc::new(RefCell::new(Verdict::new()));
    let heard = verdict.clone();
    let tell: Tell = Rc::new(move |said| heard.borrow_mut().hear(said));
    run(args, 0, &tell);
    let exit = verdict.borrow().exit;
    Ok(exit)
}

/// Runs a test in another process, and as many more as are ended by what they test.
pub fn apart(args: &Test) -> Result<Exit> {
    let mut verdict = Verdict::new();
    let mut printed = None;
    while !verdict.over {
        let (mut process, socket) = start(args, verdict.done)?;
        let stdout = process.stdout.take().map(copied);
        if let Err(how) = listen(&mut verdict, socket, &mut process, args.timeout) {
            verdict.breaks(args, &how);
        }
        let line = stdout.and_then(|line| line.recv_timeout(Duration::from_secs(2)).ok());
        printed = printed.or(line.flatten());
    }
    if let Some(line) = printed {
        say(format!(
            "note: the plugin prints to stdout, where the rows of a pipeline may go; stderr is its place: {line}"
        ));
    }
    Ok(verdict.exit)
}

/// Starts the process of a test.
fn start(args: &Test, skipped: usize) -> Result<(Child, UnixStream)> {
    let (ours, theirs) = UnixStream::pair()?;
    let process = Command::new("/proc/self/exe")
        .args(["plugin", "test-run"])
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::piped())
        .spawn()?;
    let job = Job { args: args.clone(), skipped };
    let mut line = serde_json::to_string(&job).map_err(|e| Error::internal(e.to_string()))?;
    line.push('\n');
    // One that is gone already tells by how it ended.
    let _ = (&ours).write_all(line.as_bytes());
    Ok((process, ours))
}

/// Listens to a test until it is over, or says how it broke off.
fn listen(
    verdict: &mut Verdict,
    socket: UnixStream,
    process: &mut Child,
    timeout: u64,
) -> std::result::Result<(), String> {
    let ended = |process: &mut Child| {
        let status = process.wait();
        status.map_or_else(|e| e.to_string(), |status: ExitStatus| how_it_ended(status))
    };
    let ready = socket.set_read_timeout(Some(Duration::from_secs(timeout)));
    ready.map_err(|e| e.to_string())?;
    let mut lines = BufReader::new(socket);
    let mut line = String::new();
    while !verdict.over {
        line.clear();
        match lines.read_line(&mut line) {
            Ok(0) => return Err(ended(process)),
            Ok(_) => match serde_json::from_str(&line) {
                Ok(said) => verdict.hear(said),
                Err(e) => return Err(format!("it was not understood: {e}")),
            },
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                // It may have ended in this moment.
                let _ = process.kill();
                let _ = process.wait();
                return Err(format!("it hung: after {timeout} s it was killed"));
            }
            Err(_) => return Err(ended(process)),
        }
    }
    // What it does at its end may crash or hang as well.
    match lines.read_line(&mut line) {
        Ok(0) => match process.wait() {
            Ok(status) if !status.success() => verdict.ends_badly(&how_it_ended(status)),
            _ => {}
        },
        _ => {
            let _ = process.kill();
            let _ = process.wait();
            verdict.ends_badly(&format!("after {timeout} s it was killed"));
        }
    }
    Ok(())
}

/// Copies what a process prints to stderr, and gives its first line.
fn copied(stdout: ChildStdout) -> Receiver<Option<String>> {
    let (send, first) = sync_channel(1);
    std::thread::spawn(move || {
        let mut line = None;
        let mut lines = BufReader::new(stdout);
        let mut bytes = Vec::new();
        // What has no line ends is taken in pieces.
        while matches!((&mut lines).take(1 << 16).read_until(b'\n', &mut bytes), Ok(read) if read > 0)
        {
            let _ = io::stderr().write_all(&bytes);
            let text = String::from_utf8_lossy(&bytes);
            line.get_or_insert_with(|| text.trim_end().chars().take(200).collect::<String>());
            bytes.clear();
        }
        let _ = send.send(line);
    });
    first
}

/// The process of a test: what it does is said over the socket that stands in for its stdin.
pub fn child() -> Result<Exit> {
    let strange = |e: String| {
        Error::internal(format!("`test-run` is started by `test`, which tells it what to do: {e}"))
    };
    let io = |e: io::Error| strange(e.to_string());
    let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned().map_err(io)?);
    rustix::stdio::dup2_stdin(File::open("/dev/null")?).map_err(|e| io(e.into()))?;
    // Nobody is left to hear it.
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
    let mut line = String::new();
    BufReader::new(&socket).read_line(&mut line).map_err(io)?;
    let Job { args, skipped } = serde_json::from_str(&line).map_err(|e| strange(e.to_string()))?;
    let gone = Cell::new(false);
    let tell: Tell = Rc::new(move |said| {
        let line = serde_json::to_string(&said).unwrap_or_default() + "\n";
        gone.set(gone.get() || (&socket).write_all(line.as_bytes()).is_err());
    });
    run(&args, skipped, &tell);
    Ok(Exit::Done)
}
