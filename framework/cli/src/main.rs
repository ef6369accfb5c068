//! The `gristmill` command.

mod args;
mod commands;
mod exit;
mod figures;
mod kinds;
mod log;
mod progress;
mod say;
mod signals;
mod table;
mod types;

use std::process::ExitCode;

use clap::Parser;

use args::{Args, Command};
use log::Log;

fn main() -> ExitCode {
    // Child processes of a run are this program again.
    if let Some(exit) = gristmill_runtime::worker(&kinds::built_in()) {
        return exit;
    }
    let args = Args::parse();
    let log = Log::start(args.verbose);
    let exit = match args.command {
        Command::Run(run) => commands::run::run(&run, &log),
        Command::Bench(bench) => commands::bench::bench(&bench, &log),
        Command::BenchRun => commands::bench::child::run(&log),
        Command::Check(check) => commands::check::check(&check),
        Command::Stages(stages) => commands::stages::stages(&stages),
        Command::Functions(functions) => commands::functions::functions(&functions),
        Command::Schema => commands::schema::schema(),
        Command::Graph(graph) => commands::graph::graph(&graph),
        Command::Dashboard(dashboard) => commands::dashboard::dashboard(&dashboard),
        Command::DemoSite(site) => commands::demo_site::demo_site(&site),
        Command::Completions(shell) => commands::completions::completions(&shell),
    };
    exit.into()
}
