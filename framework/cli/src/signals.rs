//! Ctrl-C and SIGTERM: the first stops a run in order, the second at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use gristmill_runtime::Stopper;
use tokio::signal::unix::{SignalKind, signal};

/// Counts the signals that came in.
#[derive(Debug, Clone, Default)]
pub struct Signals(Arc<AtomicUsize>);

impl Signals {
    /// Listens from now on and stops the run.
    pub fn listen(stopper: Stopper) -> std::io::Result<Self> {
        let signals = Self::default();
        let counted = signals.0.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let (mut interrupt, mut terminate) = {
            let _context = runtime.enter();
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
        };
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            runtime.block_on(async {
                loop {
                    tokio::select! {
                        _ = interrupt.recv() => {}
                        _ = terminate.recv() => {}
                    }
                    match counted.fetch_add(1, Ordering::SeqCst) {
                        0 => stopper.stop(),
                        _ => stopper.abort(),
                    }
                }
            });
        })?;
        Ok(signals)
    }

    /// How many came in.
    pub fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}
