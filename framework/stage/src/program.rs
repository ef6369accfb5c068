//! Programs that have stages of their own.

use std::fmt;

/// A program whose child processes the stages of a kind run in.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Program {
    /// The program, and the arguments that come before those of a run.
    pub argv: Vec<String>,
    /// What it calls the kind by itself.
    pub kind: String,
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.argv.join(" "))
    }
}
