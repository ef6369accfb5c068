//! What a stage rings to be called again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Poll, Wake};

use futures::task::AtomicWaker;

/// Remembers one ring until it is heard; behind the [`std::task::Waker`] of a stage.
#[derive(Debug, Default)]
pub struct Bell {
    rung: AtomicBool,
    worker: AtomicWaker,
}

impl Bell {
    /// Whether it was rung since last heard.
    pub fn heard(&self) -> bool {
        self.rung.load(Ordering::Relaxed) && self.rung.swap(false, Ordering::AcqRel)
    }

    /// Waits for a ring. Only one worker waits for a bell.
    pub async fn rung(&self) {
        std::future::poll_fn(|cx| {
            self.worker.register(cx.waker());
            if self.heard() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rung.store(true, Ordering::Release);
        self.worker.wake();
    }
}
