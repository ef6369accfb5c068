//! What the stage asks of a database.

use std::path::PathBuf;
use std::time::Duration;

use arrow_schema::SchemaRef;
use gristmill_stage::Result;

/// What a database has to be able to do. Each call is short, and is made again until it is done.
pub(crate) trait Publisher: Send {
    /// Looks whether rows can be written, and how far the worker of that name had come whose place this
    /// one takes, if it does. Whatever that one had begun is over then.
    fn open(&mut self, before: Option<&str>) -> Result<Step<Option<Mark>>>;
    /// Puts the rows of the job into the table, all or none, together with the job's mark. Rows that
    /// the database does not take are kept in the job's file of rejects.
    fn publish(&mut self, job: &Job) -> Result<Step<()>>;
    /// Nobody will ask for the mark of that worker any more. Nothing depends on it.
    fn forget(&mut self, id: &str) -> Step<()>;
}

/// What came of a call.
#[derive(Debug)]
pub(crate) enum Step<T> {
    Done(T),
    /// There is more to do now.
    Again,
    /// There is more to do at this time.
    At(Duration),
    /// There is more to do when the waker is woken.
    Wait,
}

/// How far a worker has come, as it stands in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    /// How many parts are published.
    pub(crate) part: u64,
    /// How many rows of the input these go back to.
    pub(crate) taken: u64,
}

/// A part to publish.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) id: String,
    pub(crate) part: u64,
    /// The mark to leave.
    pub(crate) mark: Mark,
    /// Whether a worker that takes the place of this one would look for the mark.
    pub(crate) marked: bool,
    pub(crate) spool: PathBuf,
    pub(crate) bytes: u64,
    pub(crate) rejects: PathBuf,
    pub(crate) rows: SchemaRef,
}
