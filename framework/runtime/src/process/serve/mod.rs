//! The other side: what a child process does.

mod calls;
mod commits;
mod inbox;
mod lines;
mod outbox;
mod planning;
mod session;
mod setup;

use std::process::ExitCode;
use std::sync::Arc;

use gristmill_stage::{Error, ErrorKind, Kind, Registry, Result};
use gristmill_wire::{Hello, Limits, Message, Open};
use serde_json::Value;

use crate::own_runtime::OwnRuntime;
use inbox::Inbox;
pub use lines::LogLines;
use outbox::Outbox;
use session::Session;
use setup::Setup;

/// The first argument of a child process.
pub(crate) const ARGUMENT: &str = "gristmill-worker";

/// If this program was started as a child process of a run, does its work, and returns the code to
/// exit with. `None` means that it was not: go on.
///
/// A program that embeds Gristmill and wants stages with `mode: process` calls this first of all in
/// `main`, with the same kinds that its pipelines use, and gives
/// [`RunOptions::worker`](crate::RunOptions) a [`WorkerCommand::this_program`](super::WorkerCommand).
pub fn worker(registry: &Registry) -> Option<ExitCode> {
    let none = |_: &Value| Err(Error::internal("this program opens no plugins"));
    worker_with(registry, none, |_, _| {})
}

/// As [`worker`], for a program whose pipelines also use kinds of plugins: `find` finds a kind again by
/// the data of its [`Provider`](gristmill_stage::Provider). `log` is told once which lines are wanted of the
/// log ([`RunOptions::log`](crate::RunOptions)), if the run wants some, and where they go.
pub fn worker_with(
    registry: &Registry,
    find: impl FnOnce(&Value) -> Result<Arc<dyn Kind>>,
    log: impl FnOnce(&str, LogLines),
) -> Option<ExitCode> {
    let mut args = std::env::args_os().skip(1);
    if args.next()? != ARGUMENT {
        return None;
    }
    let args: Vec<String> = args.map(|arg| arg.to_string_lossy().into_owned()).collect();
    let find = |open: &Open| match &open.provider {
        Some(data) => find(data),
        None => registry.get(&open.kind).cloned().ok_or_else(|| unknown(&open.kind)),
    };
    match serve(registry, find, log, &args) {
        Ok(()) => Some(ExitCode::SUCCESS),
        Err(error) => {
            // Stderr is the log of the run.
            eprintln!("{error}");
            Some(ExitCode::FAILURE)
        }
    }
}

fn unknown(kind: &str) -> Error {
    Error::new(ErrorKind::Options, format!("a child process knows no kind `{kind}`"))
        .help("the program must give `worker` the kinds that its pipelines use")
}

fn serve(
    registry: &Registry,
    find: impl FnOnce(&Open) -> Result<Arc<dyn Kind>>,
    log: impl FnOnce(&str, LogLines),
    args: &[String],
) -> Result<()> {
    let setup = Setup::parse(args)?;
    let socket = setup.socket()?;
    setup.hold_to_limits()?;
    let own = Arc::new(OwnRuntime::default());
    own.handle()?;
    let runtime = own.get().ok_or_else(|| Error::internal("no runtime"))?;
    let _ignored = setup::ignore_signals(runtime.handle())?;
    let outbox = Arc::new(Outbox::new(socket.try_clone()?));
    outbox.say(&Message::Hello(Hello::new(Limits::default())))?;
    let inbox = Inbox::start(socket)?;
    let log = |levels: &str| log(levels, LogLines::new(outbox.clone()));
    runtime.block_on(Session::run(registry, find, log, own.clone(), inbox, outbox.clone()))
}
