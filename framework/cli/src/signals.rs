//! Ctrl-C, SIGTERM and SIGHUP: the first stops a run in order, the second at once.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gristmill_runtime::Stopper;
use tokio::signal::unix::{SignalKind, signal};

/// Counts the signals, and stops the run once there is one.
#[derive(Debug, Clone, Default)]
pub struct Signals(Arc<Mutex<Caught>>);

#[derive(Debug, Default)]
struct Caught {
    count: usize,
    stopper: Option<Stopper>,
}

impl Caught {
    fn act(&self) {
        match (&self.stopper, self.count) {
            (None, _) | (_, 0) => {}
            (Some(stopper), 1) => stopper.stop(),
            (Some(stopper), _) => stopper.abort(),
        }
    }
}

impl Signals {
    /// Listens from now on.
    ///
    /// # Errors
    /// When the machine lets no signal be caught.
    pub fn listen() -> io::Result<Self> {
        let signals = Self::default();
        let caught = signals.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let (mut interrupt, mut terminate, mut hang_up, _too_large) = {
            let _context = runtime.enter();
            (
                signal(SignalKind::interrupt())?,
                signal(SignalKind::terminate())?,
                signal(SignalKind::hangup())?,
                // Caught so that it does not kill: the write fails instead, with a message.
                signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?,
            )
        };
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            runtime.block_on(async {
                loop {
                    tokio::select! {
                        _ = interrupt.recv() => {}
                        _ = terminate.recv() => {}
                        _ = hang_up.recv() => {}
                    }
                    let mut caught = caught.lock();
                    caught.count += 1;
                    caught.act();
                }
            });
        })?;
        Ok(signals)
    }

    fn lock(&self) -> MutexGuard<'_, Caught> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stops this run, now if a signal has come already.
    pub fn stops(&self, stopper: Stopper) {
        let mut caught = self.lock();
        caught.stopper = Some(stopper);
        caught.act();
    }

    /// How many came in.
    pub fn count(&self) -> usize {
        self.lock().count
    }
}
