//! How a run is stopped: in order, at once, or by a failure.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use event_listener::Event;
use gristmill_config::Secrets;
use gristmill_stage::Error;

/// Why a run failed.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The stage; empty when the run itself failed.
    pub stage: String,
    /// Which of its workers.
    pub worker: usize,
    /// How many batches that worker had taken; the last is the one it failed on.
    pub batch: u64,
    /// What happened.
    pub error: Error,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.stage.is_empty() {
            return self.error.fmt(f);
        }
        write!(f, "stage `{}`", self.stage)?;
        if self.worker > 0 {
            write!(f, ", worker {}", self.worker)?;
        }
        if self.batch > 0 {
            write!(f, ", batch {}", self.batch)?;
        }
        write!(f, ": {}", self.error)
    }
}

// 0 is running.
impl Failure {
    /// The same without any secret.
    #[must_use]
    pub fn redacted(&self, secrets: &Secrets) -> Self {
        let mut error = Error::new(self.error.kind(), secrets.redact(self.error.message()));
        if let Some(help) = self.error.help_text() {
            error = error.help(secrets.redact(help));
        }
        Self { error, ..self.clone() }
    }
}

const STOPPING: u8 = 1;
const ABORTED: u8 = 2;

/// Shared by all workers of a run.
#[derive(Debug, Default)]
pub struct Control {
    state: AtomicU8,
    changed: Event,
    failure: OnceLock<Failure>,
    cut: AtomicBool,
}

impl Control {
    /// Sources stop; what is in flight comes to its end.
    pub fn stop(&self) {
        self.raise(STOPPING);
    }

    /// Everything stops where it is; nothing more is published.
    pub fn abort(&self) {
        self.raise(ABORTED);
    }

    /// Aborts the run. The first failure is the one that is reported.
    pub fn fail(&self, failure: Failure) {
        // A later failure is most likely a consequence of the first.
        let _ = self.failure.set(failure);
        self.abort();
    }

    fn raise(&self, state: u8) {
        self.state.fetch_max(state, Ordering::SeqCst);
        self.changed.notify(usize::MAX);
    }

    /// Whether sources must stop.
    pub fn is_stopping(&self) -> bool {
        self.state.load(Ordering::SeqCst) >= STOPPING
    }

    /// Whether everything must stop.
    pub fn is_aborted(&self) -> bool {
        self.state.load(Ordering::SeqCst) == ABORTED
    }

    /// A worker was stopped where it was. When all are at their end already, an abort changes
    /// nothing any more.
    pub fn cut_off(&self) {
        self.cut.store(true, Ordering::SeqCst);
    }

    /// Whether a worker was stopped where it was.
    pub fn is_cut_off(&self) -> bool {
        self.cut.load(Ordering::SeqCst)
    }

    /// Why the run failed, if it did.
    pub fn failure(&self) -> Option<&Failure> {
        self.failure.get()
    }

    /// Waits until sources must stop.
    pub async fn stopping(&self) {
        self.reached(STOPPING).await;
    }

    /// Waits until everything must stop.
    pub async fn aborted(&self) {
        self.reached(ABORTED).await;
    }

    async fn reached(&self, state: u8) {
        loop {
            let listener = self.changed.listen();
            if self.state.load(Ordering::SeqCst) >= state {
                return;
            }
            listener.await;
        }
    }
}
