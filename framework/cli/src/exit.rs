//! The exit codes of the command, as documented in its help.

use std::process::ExitCode;

/// How the command ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// All was done.
    Done = 0,
    /// The pipeline, or what it needs, is wrong; nothing ran.
    BadConfiguration = 1,
    /// The command line is wrong; nothing ran.
    BadCommandLine = 2,
    /// The run came to its end, but some rows were rejected.
    Rejected = 3,
    /// The run failed.
    Failed = 4,
    /// The run was interrupted, as a shell says it for SIGINT.
    Interrupted = 130,
}

/// Examples, and the codes in words, for the help.
pub const HELP: &str = "\
Examples:
  gristmill run pipelines/quickstart.yaml
  gristmill check pipelines/*.yaml
  gristmill stages parse

Exit codes:
  0    done
  1    the pipeline is wrong; nothing ran
  2    the command line is wrong
  3    done, but rows were rejected
  4    the run failed
  130  interrupted";

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
