//! What a worker and the link to its child share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use gristmill_stage::Error;
use gristmill_wire::Log;
use tokio::sync::Notify;

use super::ledger::Ledger;

/// Told how long a call of the stage took in the child.
pub(crate) type Measured = Box<dyn Fn(Duration) + Send + Sync>;

/// The desk between a worker and its link: both reach it, and each can call the other.
pub(crate) struct Desk {
    books: Mutex<Books>,
    link: Notify,
    worker: Waker,
    measured: Measured,
    name: (Arc<str>, usize),
}

/// What lies on it.
pub(crate) struct Books {
    pub(crate) ledger: Ledger,
    /// Credit to be given back to the child.
    pub(crate) credit: u64,
    /// No more input will come.
    pub(crate) ending: bool,
    /// The source must stop.
    pub(crate) stopping: bool,
    /// Why the stage cannot go on.
    pub(crate) failure: Option<Error>,
    /// Nobody needs the child any more.
    pub(crate) over: bool,
}

impl Desk {
    pub(crate) fn new(
        ledger: Ledger,
        worker: Waker,
        measured: Measured,
        name: (Arc<str>, usize),
    ) -> Self {
        let (ending, stopping, over) = (false, false, false);
        let books = Books { ledger, credit: 0, ending, stopping, failure: None, over };
        Self { books: Mutex::new(books), link: Notify::new(), worker, measured, name }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls the link.
    pub(crate) fn call_link(&self) {
        self.link.notify_one();
    }

    /// Waits until the link is called.
    pub(crate) async fn called(&self) {
        self.link.notified().await;
    }

    /// Changes something that the worker must know of.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Books)) {
        change(&mut self.lock());
        self.worker.wake_by_ref();
    }

    pub(crate) fn is_over(&self) -> bool {
        let books = self.lock();
        books.over || books.ledger.finished()
    }

    pub(crate) fn measured(&self, took: Duration) {
        (self.measured)(took);
    }

    pub(crate) fn log(&self, log: &Log) {
        let ((stage, worker), text) = (&self.name, &log.message);
        match log.level.as_str() {
            "error" => tracing::error!(%stage, worker, "{text}"),
            "warn" => tracing::warn!(%stage, worker, "{text}"),
            "info" => tracing::info!(%stage, worker, "{text}"),
            _ => tracing::debug!(%stage, worker, "{text}"),
        }
    }
}
