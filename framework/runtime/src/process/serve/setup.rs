//! What a child process does to itself before anything else.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use gristmill_stage::{Error, Result};
use rustix::io::fcntl_dupfd_cloexec;
use rustix::process::{
    Resource, Rlimit, Signal, getrlimit, set_parent_process_death_signal, setrlimit,
};
use rustix::stdio::{dup2_stdin, dup2_stdout};
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};

use crate::process::place::Place;

/// The arguments of a child process.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Setup {
    place: Place,
    limits: Vec<(Limit, u64)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Limit {
    Memory,
    Cpu,
    OpenFiles,
}

impl Setup {
    pub(super) fn parse(args: &[String]) -> Result<Self> {
        let (mut place, mut limits) = (None, Vec::new());
        for pair in args.chunks(2) {
            let wrong = || Error::internal(format!("{pair:?} says nothing to a child process"));
            let [name, value] = pair else { return Err(wrong()) };
            if let Some(found) = Place::parse(name, value) {
                place = Some(found);
                continue;
            }
            let limit = match name.as_str() {
                "--memory" => Limit::Memory,
                "--cpu" => Limit::Cpu,
                "--open-files" => Limit::OpenFiles,
                _ => return Err(wrong()),
            };
            limits.push((limit, value.parse().map_err(|_| wrong())?));
        }
        let text = "this starts a child process of a run; it is nothing to start by hand";
        let place = place.ok_or_else(|| Error::internal(text))?;
        Ok(Self { place, limits })
    }

    /// Takes the socket out of its place, and puts something harmless there.
    pub(super) fn socket(&self) -> Result<UnixStream> {
        let taken = |from: &dyn AsFd| fcntl_dupfd_cloexec(from, 3).map_err(std::io::Error::from);
        let socket: OwnedFd = match self.place {
            Place::Stdin => {
                let socket = taken(&std::io::stdin())?;
                dup2_stdin(File::open("/dev/null")?).map_err(std::io::Error::from)?;
                socket
            }
            Place::Stdout => {
                let socket = taken(&std::io::stdout())?;
                // What is printed goes where people see it.
                dup2_stdout(std::io::stderr()).map_err(std::io::Error::from)?;
                socket
            }
        };
        Ok(UnixStream::from(socket))
    }

    /// From here on this process and all that it starts can gain no rights, and is held to its
    /// limits.
    pub(super) fn hold_to_limits(&self) -> Result<()> {
        let failed = |e| Error::io(format!("a limit cannot be set: {}", std::io::Error::from(e)));
        rustix::thread::set_no_new_privs(true).map_err(failed)?;
        // When the run is gone the socket ends, and with it this process; one that was stopped must
        // run for that.
        set_parent_process_death_signal(Some(Signal::CONT)).map_err(failed)?;
        for (limit, value) in &self.limits {
            let (resource, hard) = match limit {
                Limit::Memory => (Resource::Data, *value),
                // The signal at the soft limit tells what happened; a second later it is SIGKILL.
                Limit::Cpu => (Resource::Cpu, value.saturating_add(1)),
                Limit::OpenFiles => (Resource::Nofile, *value),
            };
            let most = getrlimit(resource).maximum.unwrap_or(u64::MAX);
            let current = Some((*value).min(most));
            let wanted = Rlimit { current, maximum: Some(hard.min(most)) };
            setrlimit(resource, wanted).map_err(failed)?;
        }
        Ok(())
    }
}

/// Ctrl-C and the like reach the whole group of processes; the run decides what they mean.
pub(super) fn ignore_signals(runtime: &Handle) -> Result<Vec<tokio::signal::unix::Signal>> {
    let _context = runtime.enter();
    let kinds = [
        SignalKind::interrupt(),
        SignalKind::terminate(),
        SignalKind::hangup(),
        SignalKind::quit(),
        SignalKind::from_raw(Signal::XFSZ.as_raw()),
    ];
    kinds.into_iter().map(|kind| signal(kind).map_err(Error::from)).collect()
}
