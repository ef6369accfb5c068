//! The subcommands, a file each.

pub mod bench;
pub mod check;
pub mod completions;
pub mod dashboard;
pub mod demo_site;
pub mod explain;
pub mod functions;
pub mod graph;
pub mod new;
pub mod plugin;
pub mod run;
pub mod schema;
pub mod stages;
pub mod tap;
pub mod top;

use std::io::{ErrorKind, IsTerminal, Write};

use gristmill_config::{Plan, Problems, Source, Variables, load};
use gristmill_stage::Registry;

use crate::args::{Search, Set};
use crate::exit::Exit;
use crate::kinds::Kinds;
use crate::say::{failed, say};

/// A pipeline that was read and checked.
struct Loaded {
    source: Source,
    plan: Plan,
    /// The kinds that it was checked by, those of its plugins among them.
    registry: Registry,
}

/// Reads and checks a pipeline. Shows what is wrong with it, and with what was set for it.
fn plan(file: &str, set: &Set, search: &Search) -> Result<Loaded, Exit> {
    once(set)?;
    let wrong = |problems: Problems| {
        show(&problems);
        Exit::BadConfiguration
    };
    let source = Source::read(file).map_err(wrong)?;
    let variables = variables(&set.set);
    let registry = Kinds::new(&search.folders).for_check(&source, &variables).map_err(wrong)?;
    let loaded = load(&source, &variables, &registry).map_err(wrong);
    let used = used(&variables, std::slice::from_ref(&source));
    let plan = loaded?;
    used?;
    warn(&plan);
    Ok(Loaded { source, plan, registry })
}

/// The kinds that a pipeline can name.
fn registry(file: &str, set: &Set, search: &Search) -> Result<Registry, Exit> {
    once(set)?;
    let read = Source::read(file)
        .and_then(|source| Kinds::new(&search.folders).of(&source, &variables(&set.set)));
    read.map_err(|problems| {
        show(&problems);
        Exit::BadConfiguration
    })
}

/// Shows what is worth a look, but hinders nothing.
fn warn(plan: &Plan) {
    for warning in &plan.warnings {
        say(plan.secrets.redact(&format!("warning: {warning}")));
    }
}

/// Shows a variable that is set twice: who would guess which value counts?
fn once(set: &Set) -> Result<(), Exit> {
    let names: Vec<_> = set.set.iter().map(|(name, _)| name).collect();
    let twice = names.iter().enumerate().find(|(at, name)| names[..*at].contains(name));
    match twice {
        None => Ok(()),
        Some((_, name)) => {
            say(format!(
                "error: `--set` gives `{name}` a value twice\n  = help: keep one of the two"
            ));
            Err(Exit::BadCommandLine)
        }
    }
}

/// Shows variables that are set and that no pipeline has: most likely they are misspelt.
fn used(variables: &Variables, sources: &[Source]) -> Result<(), Exit> {
    let unused = variables.unused(sources);
    let place = match sources {
        [source] => source.name(),
        _ => "any of the pipelines",
    };
    for (name, near) in &unused {
        let help = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("leave it out, or write `${{{name}}}` where its value belongs"),
        };
        say(format!(
            "error: `--set` gives `{name}` a value, but there is no such variable in {place}\n  = help: {help}"
        ));
    }
    if unused.is_empty() { Ok(()) } else { Err(Exit::BadCommandLine) }
}

/// The variables of the environment, and before them those of the command line.
fn variables(set: &[(String, String)]) -> Variables {
    let environment = Variables::from_environment();
    set.iter().fold(environment, |variables, (name, value)| variables.set(name, value))
}

/// Shows what is wrong with a pipeline.
fn show(problems: &Problems) {
    let color = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    say(problems.render(color));
}

/// Prints to stdout. A reader that has left is fine; a full disk is not.
fn print(text: &str) -> Exit {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            failed(format!("stdout cannot be written: {error}"))
        }
        _ => Exit::Done,
    }
}
