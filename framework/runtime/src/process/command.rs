//! How a child process is started: which program, with what environment, within which limits.

use std::ffi::OsStr;
use std::io::{self, PipeReader};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use gristmill_config::ProcessPlan;
use gristmill_stage::Role;

use super::place::Place;
use super::serve::ARGUMENT;

/// The environment that every child gets, where it is set. All else is left out: a child is told what
/// it needs, and secrets that stand in the environment stay with the run.
const ENVIRONMENT: [&str; 24] = [
    "PATH",
    "HOME",
    "USER",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "LC_NUMERIC",
    "LC_TIME",
    "TZ",
    "TMPDIR",
    "RUST_BACKTRACE",
    "RUST_LIB_BACKTRACE",
    "LD_LIBRARY_PATH",
    "PYTHONPATH",
    "VIRTUAL_ENV",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];

/// The program that runs, whatever became of its file.
const THIS_PROGRAM: &str = "/proc/self/exe";

/// The program that a child process runs. It must call [`worker`](super::worker) first of all.
#[derive(Debug, Clone)]
pub struct WorkerCommand {
    program: PathBuf,
    args: Vec<String>,
    /// What it prints does not belong among the rows that the run prints, unless it is a sink.
    foreign: bool,
}

impl WorkerCommand {
    /// The very program that runs now. It stays the same also when the file is replaced by a newer
    /// one while the run goes on.
    pub fn this_program() -> Self {
        Self::program(THIS_PROGRAM)
    }

    /// Another program.
    pub fn program(program: impl Into<PathBuf>) -> Self {
        Self { program: program.into(), args: Vec::new(), foreign: false }
    }

    /// A program that has kinds of its own.
    pub(crate) fn plugin(argv: &[String]) -> Self {
        let mut argv = argv.iter();
        let name = argv.next().map(String::as_str).unwrap_or_default();
        Self { program: name.into(), args: argv.cloned().collect(), foreign: true }
    }

    /// Starts it, with its end of the socket in the place of stdin, or of stdout for a source, which
    /// may want to read stdin.
    pub(crate) fn start(
        &self,
        socket: UnixStream,
        role: Role,
        plan: &ProcessPlan,
    ) -> io::Result<(Child, PipeReader)> {
        let mut command = Command::new(&self.program);
        if self.program.as_os_str() == OsStr::new(THIS_PROGRAM) {
            command.arg0(std::env::args_os().next().unwrap_or_else(|| "gristmill".into()));
        }
        command.args(&self.args).arg(ARGUMENT).args(Place::of(role).args()).args(limits(plan));
        command.env_clear();
        let own = plan.env.iter().map(String::as_str);
        for name in ENVIRONMENT.into_iter().chain(own) {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        let socket = Stdio::from(OwnedFd::from(socket));
        let (stderr, theirs) = io::pipe()?;
        match Place::of(role) {
            Place::Stdin if self.foreign && role == Role::Transform => {
                command.stdin(socket).stdout(theirs.try_clone()?)
            }
            Place::Stdin => command.stdin(socket).stdout(Stdio::inherit()),
            Place::Stdout => command.stdin(Stdio::inherit()).stdout(socket),
        };
        Ok((command.stderr(theirs).spawn()?, stderr))
    }
}

/// The limits as arguments: they hold before the stage is built.
fn limits(plan: &ProcessPlan) -> Vec<String> {
    let limits = &plan.limits;
    let mut args = Vec::new();
    let mut add = |name: &str, value: Option<u64>| {
        if let Some(value) = value {
            args.extend([name.to_owned(), value.to_string()]);
        }
    };
    add("--memory", limits.memory);
    add("--cpu", limits.cpu.map(|cpu| cpu.as_secs_f64().ceil() as u64));
    add("--open-files", limits.open_files);
    args
}
