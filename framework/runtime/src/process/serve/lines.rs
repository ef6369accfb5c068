//! Lines of the log, from a child to its run.

use std::sync::Arc;

use gristmill_wire::{Log, Message};

use super::outbox::Outbox;

/// Where a child process puts the lines of its log: they come out in the log of the run, beside the name of
/// the stage and the number of the worker.
#[derive(Clone)]
pub struct LogLines(Arc<Outbox>);

impl LogLines {
    pub(super) fn new(outbox: Arc<Outbox>) -> Self {
        Self(outbox)
    }

    /// Puts a line, which is of this level (`error`, `warn`, `info`, `debug` or `trace`), and from this part
    /// of the program.
    pub fn put(&self, level: &str, part: &str, message: String) {
        let (level, part) = (level.to_owned(), Some(part.to_owned()));
        // A line has a form in any case, and when the run is gone nobody needs to read it.
        let _ = self.0.say(&Message::Log(Log { level, message, part }));
    }
}
