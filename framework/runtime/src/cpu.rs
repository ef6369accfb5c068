//! The processor time of a worker, in modes in which threads are not its own as well as in those in
//! which they are.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tracing::Instrument;

use crate::meter::Meter;
use crate::process::thread_cpu;
use crate::worker::Worker;

/// A worker's future, which counts the processor time that its polls take. What it leaves to others, such
/// as async work on the threads of a pool, is not in it.
pub(crate) struct Measured<F> {
    future: Pin<Box<F>>,
    meter: Arc<Meter>,
    /// Up to where the thread's time is counted, if all of it is the worker's.
    thread: Option<u64>,
}

/// The life of a worker whose thread others use as well: its polls count.
pub(crate) fn on_shared_thread(worker: Worker) -> Measured<impl Future<Output = ()>> {
    measured(worker, None)
}

/// The life of a worker with a thread of its own: all that happens on it counts, also what other tasks
/// do between the polls.
pub(crate) fn on_own_thread(worker: Worker) -> Measured<impl Future<Output = ()>> {
    measured(worker, Some(0))
}

fn measured(worker: Worker, thread: Option<u64>) -> Measured<impl Future<Output = ()>> {
    let meter = worker.meter.clone();
    // What is logged in calls of the stage is about the stage.
    let span = tracing::error_span!("worker", stage = &*worker.stage, worker = worker.instance);
    Measured { future: Box::pin(worker.run().instrument(span)), meter, thread }
}

impl<F: Future> Future for Measured<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.get_mut();
        let before = this.thread.unwrap_or_else(thread_cpu);
        let polled = this.future.as_mut().poll(cx);
        let after = thread_cpu();
        this.meter.used_cpu(after.saturating_sub(before));
        this.thread = this.thread.map(|_| after);
        polled
    }
}
