//! Lines for the person at the terminal, on stderr.

use std::fmt::Display;

use tracing::Level;

use crate::exit::Exit;

/// What is said goes the way of the log, under this name, and is there at every level.
pub const SAID: &str = "gristmill";

/// Says a line.
pub fn say(line: impl AsRef<str>) {
    let line = line.as_ref();
    tracing::event!(name: SAID, target: SAID, Level::ERROR, "{line}");
}

/// Says why something failed.
pub fn failed(why: impl Display) -> Exit {
    say(format!("error: {why}"));
    Exit::Failed
}

/// How grave a line is.
pub fn gravity(line: &str) -> Level {
    match line {
        line if line.starts_with("error: ") => Level::ERROR,
        line if line.starts_with("warning: ") => Level::WARN,
        _ => Level::INFO,
    }
}
