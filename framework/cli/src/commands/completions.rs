//! `gristmill completions`.

use clap::CommandFactory;

use crate::args::{Args, Completions};
use crate::exit::Exit;

/// Prints a completion script.
pub fn completions(args: &Completions) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Args::command(), "gristmill", &mut script);
    super::print(&String::from_utf8_lossy(&script))
}
