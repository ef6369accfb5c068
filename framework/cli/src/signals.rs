//! Ctrl-C, SIGTERM and SIGHUP: the first stops a run in order, the second at once, as SIGQUIT does.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gristmill_runtime::Stopper;
use tokio::signal::unix::{Signal, SignalKind, signal};

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

/// Whether whoever started the command wants this signal to be ignored, as `nohup` does. Where the
/// system does not tell, it is not.
fn is_ignored(kind: SignalKind) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    ignored >> (kind.as_raw_value() - 1) & 1 == 1
}

async fn hung_up(signal: &mut Option<Signal>) -> Option<()> {
    match signal {
        Some(signal) => signal.recv().await,
        None => std::future::pending().await,
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
        let (mut interrupt, mut terminate, mut hang_up, mut quit, _too_large) = {
            let _context = runtime.enter();
            let hang_up = SignalKind::hangup();
            (
                signal(SignalKind::interrupt())?,
                signal(SignalKind::terminate())?,
                if is_ignored(hang_up) { None } else { Some(signal(hang_up)?) },
                signal(SignalKind::quit())?,
                // Caught so that it does not kill: the write fails instead, with a message.
                signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?,
            )
        };
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            runtime.block_on(async {
                loop {
                    let at_once = tokio::select! {
                        _ = interrupt.recv() => false,
                        _ = terminate.recv() => false,
                        Some(_) = hung_up(&mut hang_up) => false,
                        _ = quit.recv() => true,
                    };
                    let mut caught = caught.lock();
                    caught.count = (caught.count + 1).max(if at_once { 2 } else { 1 });
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

    /// Acts as on a Ctrl-C, which a screen reads as a key.
    pub fn press(&self) {
        let mut caught = self.lock();
        caught.count += 1;
        caught.act();
    }

    /// How many came in; SIGQUIT counts as two at least.
    pub fn count(&self) -> usize {
        self.lock().count
    }
}
