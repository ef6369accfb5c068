//! The life of an export: a queue for the run, a thread that sends, and an end that is waited for.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, SystemTime};

use gristmill_runtime::metrics::Metrics;
use gristmill_runtime::trace::{Span, Spans, Tracing};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::health::Health;
use crate::metrics::Times;
use crate::poster::{Poster, client};
use crate::resource::Resource;
use crate::sender::{Closing, Sender};
use crate::settings::Settings;
use crate::{metrics, traces};

/// So many spans wait at the most. One takes about 200 bytes.
const PLACES: usize = 4096;
/// So many go in one request.
const MOST: usize = 512;
/// So long a span waits for others to go with.
const LINGER: Duration = Duration::from_secs(1);
/// Beyond the time that is allowed for the last requests, the thread may take this long to end.
const GRACE: Duration = Duration::from_millis(500);

/// An export before the run.
#[derive(Debug)]
pub struct Exporter {
    settings: Settings,
    queue: Option<(Tracing, Spans)>,
    ways: Ways,
}

/// Where the signals go.
#[derive(Debug)]
struct Ways {
    metrics: Option<Sender>,
    traces: Option<Sender>,
    health: Arc<Health>,
}

/// An export while the run goes on.
#[derive(Debug)]
pub struct Exporting {
    closing: watch::Sender<Option<Instant>>,
    over: Receiver<()>,
}

impl Exporter {
    /// An export by these settings. Nothing is sent yet.
    ///
    /// # Errors
    /// When there can be no way to the collector, in a sentence.
    pub fn new(settings: Settings) -> Result<Self, String> {
        let urls = [&settings.metrics, &settings.traces];
        let tls = urls.into_iter().flatten().any(|url| url.scheme() == "https");
        let client = client(settings.timeout, tls)?;
        let health = Arc::<Health>::default();
        let way = |url: &Option<reqwest::Url>| {
            let poster = Poster::new(client.clone(), url.clone()?, settings.headers.clone());
            Some(Sender::new(poster, health.clone()))
        };
        let (metrics, traces) = (way(&settings.metrics), way(&settings.traces));
        let traced = traces.is_some() && settings.share > 0.0;
        let queue = traced.then(|| Tracing::new(settings.share, PLACES));
        Ok(Self { settings, queue, ways: Ways { metrics, traces, health } })
    }

    /// What the run is given, if traces are to be recorded.
    pub fn tracing(&self) -> Option<Tracing> {
        self.queue.as_ref().map(|(tracing, _)| tracing.clone())
    }

    /// Begins to send, on a thread of its own. The run has just begun.
    ///
    /// # Errors
    /// When the machine gives no thread.
    #[expect(clippy::disallowed_methods, reason = "a collector wants to know the time of day")]
    pub fn start(self, run: Metrics) -> Result<Exporting, String> {
        let Self { settings, queue, ways } = self;
        let start = SystemTime::now();
        let mut resource = settings.resource;
        resource.add("gristmill.pipeline", run.pipeline().to_owned());
        let (closing, closed) = watch::channel(None);
        let (ended, over) = sync_channel(1);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let wrong = |e: std::io::Error| format!("the machine gives no thread to send from: {e}");
        let runtime = runtime.map_err(wrong)?;
        let Ways { metrics, traces, health } = ways;
        let of_metrics = metrics.map(|way| MetricsLoop {
            way,
            run,
            start,
            every: settings.every,
            resource: resource.clone(),
        });
        // The run has the other ends of the queue, and the last that is dropped is the end of it.
        let of_traces = traces.zip(queue);
        let of_traces =
            of_traces.map(|(way, (_, spans))| TracesLoop { way, spans, health, resource });
        let other = closed.clone();
        let metrics = async move {
            if let Some(one) = of_metrics {
                one.run(closed).await;
            }
        };
        let traces = async move {
            if let Some(one) = of_traces {
                one.run(other).await;
            }
        };
        std::thread::Builder::new()
            .name("otlp".to_owned())
            .spawn(move || {
                runtime.block_on(async { tokio::join!(metrics, traces) });
                // Whoever waited may have lost patience.
                let _ = ended.send(());
            })
            .map_err(wrong)?;
        Ok(Exporting { closing, over })
    }
}

impl Exporting {
    /// Sends what there is when the run is over, in this time at the most.
    pub fn finish(self, limit: Duration) {
        self.closing.send_replace(Some(Instant::now() + limit));
        // After that the thread ends with the process.
        let _ = self.over.recv_timeout(limit + GRACE);
    }
}

/// Sends metrics again and again. One that does not get through is not kept: the next has all that it had.
struct MetricsLoop {
    way: Sender,
    run: Metrics,
    start: SystemTime,
    every: Duration,
    resource: Resource,
}

impl MetricsLoop {
    async fn run(self, mut closing: Closing) {
        let every = self.every;
        let mut wait = every;
        loop {
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                _ = closing.wait_for(Option::is_some) => break,
            }
            let sent = tokio::select! {
                sent = self.way.once(self.body()) => sent,
                _ = closing.wait_for(Option::is_some) => break,
            };
            wait = match sent.map_err(|trouble| trouble.after) {
                Err(Some(after)) => after.max(every),
                _ => every,
            };
        }
        let until = *closing.borrow();
        if let Some(until) = until {
            self.way.at_last(&self.body(), until).await;
        }
    }

    #[expect(clippy::disallowed_methods, reason = "a collector wants to know the time of day")]
    fn body(&self) -> Vec<u8> {
        let times = Times { start: self.start, now: SystemTime::now() };
        metrics::request(&self.resource, &self.run.read(), times)
    }
}

/// Sends spans, some at a time.
struct TracesLoop {
    way: Sender,
    spans: Spans,
    health: Arc<Health>,
    resource: Resource,
}

impl TracesLoop {
    async fn run(mut self, mut closing: Closing) {
        let mut batch = Vec::with_capacity(MOST);
        while self.collect(&mut batch, &mut closing).await {
            let body = traces::request(&self.resource, &batch);
            if !self.way.patiently(&body, &mut closing).await {
                if closing.borrow().is_some() {
                    break;
                }
                self.spans.drop_taken(batch.len());
            }
            batch.clear();
            self.health.dropped(self.spans.dropped());
        }
        let until = closing.wait_for(Option::is_some).await.map(|until| *until);
        let Ok(Some(until)) = until else { return };
        loop {
            self.spans.take_now(&mut batch, MOST);
            if batch.is_empty() {
                break;
            }
            let body = traces::request(&self.resource, &batch);
            if !self.way.at_last(&body, until).await {
                break;
            }
            batch.clear();
        }
        self.health.dropped(self.spans.dropped());
    }

    /// Waits for spans. False when the run is over, or there will be none any more.
    async fn collect(&mut self, batch: &mut Vec<Span>, closing: &mut Closing) -> bool {
        let linger = tokio::time::sleep(Duration::MAX);
        tokio::pin!(linger);
        while batch.len() < MOST {
            let left = MOST - batch.len();
            let first = batch.is_empty();
            tokio::select! {
                biased;
                _ = closing.wait_for(Option::is_some) => return false,
                () = &mut linger, if !first => break,
                taken = self.spans.take(batch, left) => {
                    if taken == 0 {
                        return false;
                    }
                    if first {
                        linger.as_mut().reset(Instant::now() + LINGER);
                    }
                }
            }
        }
        true
    }
}
