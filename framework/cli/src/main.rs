//! The `gristmill` command.

mod args;
mod client;
mod commands;
mod exit;
mod figures;
mod held;
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
    let kinds = kinds::built_in();
    if let Some(exit) = gristmill_runtime::worker_with(&kinds, kinds::find_again, log::of_child) {
        return exit;
    }
    let args = Args::parse();
    let log = Log::start(args.log, args.log_format, args.verbose);
    let exit = match args.command {
        Command::Run(run) => commands::run::run(&run, &log),
        Command::Bench(bench) => commands::bench::bench(&bench, &log),
        Command::BenchRun => commands::bench::child::run(&log),
        Command::Check(check) => commands::check::check(&check),
        Command::Stages(stages) => commands::stages::stages(&stages),
        Command::Functions(functions) => commands::functions::functions(&functions),
        Command::Graph(graph) => commands::graph::graph(&graph),
        Command::Explain(explain) => commands::explain::explain(&explain, &log),
        Command::Top(top) => commands::top::top(&top),
        Command::Tap(tap) => commands::tap::tap(&tap),
        Command::Schema(schema) => commands::schema::schema(&schema),
        Command::Dashboard(dashboard) => commands::dashboard::dashboard(&dashboard),
        Command::Plugin(plugin) => commands::plugin::plugin(&plugin),
        Command::New(new) => commands::new::new(&new),
        Command::DemoSite(site) => commands::demo_site::demo_site(&site),
        Command::Completions(shell) => commands::completions::completions(&shell),
    };
    exit.into()
}
