//! Rows of a stage as they pass, for somebody who looks.
//!
//! A stage that nobody looks at pays for one load of an atomic for each batch. Somebody who looks gets
//! a batch when there is a place in a short queue, and none otherwise: the stage never waits.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow_array::RecordBatch;
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Batches that may wait for somebody who looks. Few: a batch can be large.
const WAITING: usize = 2;

/// Where the workers of a stage let their batches be seen.
#[derive(Debug, Default)]
pub(crate) struct Tap {
    /// Whether a batch would find a place in some queue.
    wanted: AtomicBool,
    /// How many workers may still let batches pass.
    workers: AtomicUsize,
    listeners: Mutex<Vec<Listener>>,
}

#[derive(Debug)]
struct Listener {
    /// The only output that counts; all if there is none.
    port: Option<usize>,
    sender: Sender<RecordBatch>,
}

impl Tap {
    fn lock(&self) -> MutexGuard<'_, Vec<Listener>> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cold]
    fn offer(&self, port: usize, batch: &RecordBatch) {
        let mut listeners = self.lock();
        listeners.retain(|one| !one.sender.is_closed());
        for one in listeners.iter().filter(|one| one.port.is_none_or(|own| own == port)) {
            // Who has no place for it does not see it.
            let _ = one.sender.try_send(batch.clone());
        }
        let place = listeners.iter().any(|one| one.sender.capacity() > 0);
        self.wanted.store(place, Ordering::Relaxed);
    }

    /// Begins to look.
    pub(crate) fn open(self: &Arc<Self>, port: Option<usize>) -> Tapped {
        let (sender, receiver) = channel(WAITING);
        let mut listeners = self.lock();
        if self.workers.load(Ordering::SeqCst) > 0 {
            listeners.push(Listener { port, sender });
        }
        drop(listeners);
        self.wanted.store(true, Ordering::Relaxed);
        Tapped { tap: self.clone(), receiver }
    }

    /// A worker that will let batches pass.
    pub(crate) fn join(self: &Arc<Self>) -> Passing {
        self.workers.fetch_add(1, Ordering::SeqCst);
        Passing(self.clone())
    }
}

/// A worker's end of a tap. When the last is dropped, nothing more will pass.
#[derive(Debug)]
pub(crate) struct Passing(Arc<Tap>);

impl Passing {
    /// A batch passes, by this output.
    pub(crate) fn pass(&self, port: usize, batch: &RecordBatch) {
        if self.0.wanted.load(Ordering::Relaxed) {
            self.0.offer(port, batch);
        }
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        if self.0.workers.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.lock().clear();
        }
    }
}

/// Batches that pass. To drop it is to look away.
#[derive(Debug)]
pub(crate) struct Tapped {
    tap: Arc<Tap>,
    receiver: Receiver<RecordBatch>,
}

impl Tapped {
    /// The next batch for which there was a place; none after the last.
    pub(crate) async fn next(&mut self) -> Option<RecordBatch> {
        let batch = self.receiver.recv().await;
        self.tap.wanted.store(true, Ordering::Relaxed);
        batch
    }
}

impl Drop for Tapped {
    fn drop(&mut self) {
        self.receiver.close();
        self.tap.lock().retain(|one| !one.sender.is_closed());
    }
}
