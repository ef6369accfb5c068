//! Where spans wait for whoever sends them on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::Span;

/// The beginning of the queue, for the run: which share of all traces is recorded, and where their spans go.
///
/// A span for which there is no place is dropped and counted: nothing waits for who takes spans.
#[derive(Debug, Clone)]
pub struct Tracing {
    share: f64,
    sender: Sender<Span>,
    told: Arc<Told>,
}

/// The end of the queue, for who takes spans.
#[derive(Debug)]
pub struct Spans {
    receiver: Receiver<Span>,
    told: Arc<Told>,
}

/// How many spans there were.
#[derive(Debug, Default)]
pub(crate) struct Told {
    recorded: AtomicU64,
    dropped: AtomicU64,
}

impl Told {
    /// Spans that were recorded, those that were dropped among them.
    pub(crate) fn recorded(&self) -> u64 {
        self.recorded.load(Ordering::Relaxed)
    }

    /// Spans that were dropped.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

impl Tracing {
    /// A queue with so many places, for this share (from 0 to 1) of all traces.
    pub fn new(share: f64, places: usize) -> (Self, Spans) {
        let (sender, receiver) = channel(places.max(1));
        let told = Arc::<Told>::default();
        (Self { share, sender, told: told.clone() }, Spans { receiver, told })
    }

    pub(super) fn share(&self) -> f64 {
        self.share
    }

    pub(crate) fn told(&self) -> &Arc<Told> {
        &self.told
    }

    pub(super) fn tell(&self, span: Span) {
        self.told.recorded.fetch_add(1, Ordering::Relaxed);
        if self.sender.try_send(span).is_err() {
            self.told.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Spans {
    /// Takes up to `most` spans, as soon as there is one. Gives how many; none once the run is gone.
    pub async fn take(&mut self, into: &mut Vec<Span>, most: usize) -> usize {
        self.receiver.recv_many(into, most).await
    }

    /// Takes up to `most` of the spans that are there now.
    pub fn take_now(&mut self, into: &mut Vec<Span>, most: usize) {
        while into.len() < most
            && let Ok(span) = self.receiver.try_recv()
        {
            into.push(span);
        }
    }

    /// Spans that were dropped so far.
    pub fn dropped(&self) -> u64 {
        self.told.dropped()
    }

    /// So many spans were taken out and reach nobody all the same.
    pub fn drop_taken(&self, count: usize) {
        self.told.dropped.fetch_add(count as u64, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::num::{NonZeroU64, NonZeroU128};
    use std::time::{Duration, SystemTime};

    use gristmill_config::Mode;

    use super::super::{SpanContext, SpanStage};
    use super::*;

    #[test]
    fn what_has_no_place_is_counted() {
        let (tracing, mut spans) = Tracing::new(1.0, 2);
        let stage = SpanStage { name: "a".into(), kind: "k".into(), mode: Mode::Pooled, worker: 0 };
        let span = Span {
            context: SpanContext { trace: NonZeroU128::MIN, span: NonZeroU64::MIN },
            parent: None,
            links: Vec::new(),
            stage: Arc::new(stage),
            start: SystemTime::UNIX_EPOCH,
            took: Duration::ZERO,
            rows_in: 0,
            rows_out: 0,
            rejected: 0,
            error: None,
        };
        (0..5).for_each(|_| tracing.tell(span.clone()));
        assert_eq!((tracing.told().recorded(), spans.dropped()), (5, 3));
        let mut taken = Vec::new();
        spans.take_now(&mut taken, 10);
        assert_eq!(taken.len(), 2);
    }
}
