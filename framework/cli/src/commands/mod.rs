//! The subcommands, a file each.

pub mod check;
pub mod completions;
pub mod demo_site;
pub mod run;
pub mod schema;
pub mod stages;

use std::io::{IsTerminal, Write};

use gristmill_config::{Plan, Problems, Source, Variables, load};
use gristmill_stage::Registry;

use crate::args::Set;

/// Reads and checks a pipeline.
fn plan(file: &str, set: &Set, registry: &Registry) -> Result<Plan, Problems> {
    let source = Source::read(file)?;
    let mut variables = Variables::from_environment();
    for (name, value) in &set.set {
        variables = variables.set(name, value);
    }
    load(&source, &variables, registry)
}

/// Shows what is wrong with a pipeline.
fn show(problems: &Problems) {
    let color = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    // Whoever closed stderr does not want to know.
    let _ = writeln!(std::io::stderr(), "{}", problems.render(color));
}

/// Prints to stdout; a reader that has left is fine.
fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
