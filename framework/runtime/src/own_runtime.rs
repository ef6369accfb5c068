//! The runtime of one threaded worker, driven by the worker's own thread.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use gristmill_stage::{Error, Result};
use tokio::runtime::{Builder, Handle, Runtime};

/// A runtime that is made if the stage asks for it while it is built. Afterwards nobody would drive
/// one, so then there is only an error to get.
#[derive(Debug, Default)]
pub struct OwnRuntime {
    runtime: OnceLock<Runtime>,
    sealed: Mutex<bool>,
}

impl OwnRuntime {
    fn sealed(&self) -> MutexGuard<'_, bool> {
        self.sealed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The stage is built.
    pub fn seal(&self) {
        *self.sealed() = true;
    }

    /// The runtime for the stage.
    ///
    /// # Errors
    /// When the stage was built already, or the machine has no more file descriptors.
    pub fn handle(&self) -> Result<Handle> {
        let sealed = self.sealed();
        if let Some(runtime) = self.runtime.get() {
            return Ok(runtime.handle().clone());
        }
        if *sealed {
            return Err(Error::internal("a stage must ask for its runtime while it is built"));
        }
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| Error::io(format!("no runtime for async work: {e}")))?;
        Ok(self.runtime.get_or_init(|| runtime).handle().clone())
    }

    /// The runtime, if the stage asked.
    pub fn get(&self) -> Option<&Runtime> {
        self.runtime.get()
    }
}

impl Drop for OwnRuntime {
    fn drop(&mut self) {
        // Not waited for: a name that is looked up may take its time, and whoever drops this may be
        // a task of another runtime.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
