//! What a worker and the link to its child share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use gristmill_stage::{Error, Redact};
use gristmill_wire::{Called, Log};
use tokio::sync::Notify;

use super::ledger::Ledger;
use super::logged::logged;
use crate::trace::SpanContext;

/// Told how long a call of the stage took in the child, and which span it was, if it is recorded.
pub(crate) type Measured = Box<dyn Fn(Duration, Option<SpanContext>) + Send + Sync>;

/// The desk between a worker and its link: both reach it, and each can call the other.
pub(crate) struct Desk {
    books: Mutex<Books>,
    link: Notify,
    worker: Waker,
    measured: Measured,
    name: (Arc<str>, usize),
    /// Blanks out secrets.
    redact: Arc<Redact>,
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
        redact: Arc<Redact>,
    ) -> Self {
        let (ending, stopping, over) = (false, false, false);
        let books = Books { ledger, credit: 0, ending, stopping, failure: None, over };
        Self { books: Mutex::new(books), link: Notify::new(), worker, measured, name, redact }
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

    /// The child has returned from a call.
    pub(crate) fn called_back(&self, called: Called) {
        let mut trace = None;
        self.change(|books| {
            trace = books.ledger.trace(&called);
            books.ledger.called(called);
        });
        if called.measured {
            (self.measured)(Duration::from_nanos(called.nanos), trace);
        }
    }

    pub(crate) fn log(&self, log: &Log) {
        let (stage, worker) = &self.name;
        logged(log, stage, *worker, &*self.redact);
    }
}
