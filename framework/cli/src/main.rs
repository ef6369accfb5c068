//! The `gristmill` command.

mod args;
mod commands;
mod exit;
mod figures;
mod kinds;
mod progress;
mod signals;
mod table;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

use args::{Args, Command};

fn main() -> ExitCode {
    let args = Args::parse();
    log(&args);
    let exit = match args.command {
        Command::Run(run) => commands::run::run(&run),
        Command::Check(check) => commands::check::check(&check),
        Command::Stages(stages) => commands::stages::stages(&stages),
        Command::Schema => commands::schema::schema(),
        Command::DemoSite(site) => commands::demo_site::demo_site(&site),
        Command::Completions(shell) => commands::completions::completions(&shell),
    };
    exit.into()
}

/// Log lines go to stderr: warnings and worse, unless `RUST_LOG` says otherwise.
fn log(args: &Args) {
    let level = if args.verbose { "info" } else { "warn" };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
}
