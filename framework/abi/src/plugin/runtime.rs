//! A runtime for the async work of one stage: that of the host does not cross the border.

use std::sync::{Arc, Mutex, PoisonError};

use gristmill_stage::Result;
use tokio::runtime::{Builder, Handle, Runtime};

/// A runtime with a thread of its own, which is started when it is asked for.
#[derive(Default)]
pub(super) struct OwnRuntime(Mutex<Option<Runtime>>);

/// What a context asks for its runtime.
type Giver = Arc<dyn Fn() -> Result<Handle> + Send + Sync>;

impl OwnRuntime {
    /// Gives the runtime of `own`, which is started the first time.
    pub(super) fn giver(own: &Arc<Self>) -> Giver {
        // The runtime ends with the stage, also where its tasks keep the context.
        let own = Arc::downgrade(own);
        Arc::new(move || {
            let gone = || gristmill_stage::Error::internal("the stage is gone");
            own.upgrade().ok_or_else(gone)?.handle()
        })
    }

    fn handle(&self) -> Result<Handle> {
        let mut runtime = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if runtime.is_none() {
            let started = Builder::new_multi_thread()
                .worker_threads(1)
                .thread_name("plugin-io")
                .enable_all()
                .build()?;
            return Ok(runtime.insert(started).handle().clone());
        }
        runtime.as_ref().map(|runtime| runtime.handle().clone()).ok_or_else(|| {
            gristmill_stage::Error::internal("the runtime of this stage could not be started")
        })
    }
}

impl Drop for OwnRuntime {
    fn drop(&mut self) {
        let runtime = self.0.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        // Not to wait for tasks that block: the stage is gone.
        if let Some(runtime) = runtime {
            runtime.shutdown_background();
        }
    }
}
