//! The subcommands, a file each.

pub mod bench;
pub mod check;
pub mod completions;
pub mod demo_site;
pub mod run;
pub mod schema;
pub mod stages;

use std::io::{ErrorKind, IsTerminal, Write};

use gristmill_config::{Plan, Problems, Source, Variables, load};
use gristmill_stage::Registry;

use crate::args::Set;
use crate::exit::Exit;
use crate::say::say;

/// Reads and checks a pipeline.
fn plan(file: &str, set: &Set, registry: &Registry) -> Result<Plan, Problems> {
    load(&Source::read(file)?, &variables(&set.set), registry)
}

/// The variables of the environment, and before them those of the command line.
fn variables(set: &[(String, String)]) -> Variables {
    let environment = Variables::from_environment();
    set.iter().fold(environment, |variables, (name, value)| variables.set(name, value))
}

/// Shows what is wrong with a pipeline.
fn show(problems: &Problems) {
    let color = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    // Whoever closed stderr does not want to know.
    let _ = writeln!(std::io::stderr(), "{}", problems.render(color));
}

/// Prints to stdout. A reader that has left is fine; a full disk is not.
fn print(text: &str) -> Exit {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            say(format!("error: stdout cannot be written: {error}"));
            Exit::Failed
        }
        _ => Exit::Done,
    }
}
