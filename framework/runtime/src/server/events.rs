//! The run as server-sent events, one a second:
//! <https://html.spec.whatwg.org/multipage/server-sent-events.html>.

use std::future::Future;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, stream};
use http_body_util::{BodyExt, StreamBody};
use hyper::Response;
use hyper::body::Frame;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::answer::Body;
use crate::view::Observer;

/// How often the run is looked at.
const TICK: Duration = Duration::from_secs(1);

/// Tells everybody who listens how the run goes. What is told is made once for all.
#[derive(Clone)]
pub(super) struct Events {
    observer: Arc<Observer>,
    latest: Weak<watch::Sender<Bytes>>,
}

impl Events {
    /// The events of a run, and the task that makes them. They end with it.
    pub(super) fn of(observer: Arc<Observer>) -> (Self, impl Future<Output = ()> + Send) {
        let sender = Arc::new(watch::Sender::new(Bytes::new()));
        let latest = Arc::downgrade(&sender);
        let watched = observer.clone();
        let ticks = async move {
            let mut ticks = interval(TICK);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                watched.sample();
                if sender.receiver_count() > 0 {
                    sender.send_replace(event("view", &watched.view()));
                }
            }
        };
        (Self { observer, latest }, ticks)
    }

    /// First the last minutes and the run as it is, then how it goes on.
    pub(super) fn stream(&self) -> Response<Body> {
        let history = event("history", &self.observer.history());
        let view = event("view", &self.observer.view());
        let listener = self.latest.upgrade().map(|sender| sender.subscribe());
        let later = stream::unfold(listener, |listener| async move {
            let mut latest = listener?;
            latest.changed().await.ok()?;
            let event = latest.borrow_and_update().clone();
            Some((event, Some(latest)))
        });
        let events = stream::iter([history, view]).chain(later).map(|event| Ok(Frame::data(event)));
        let mut response = Response::new(BodyExt::boxed(StreamBody::new(events)));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

/// An event as it goes over the line. JSON has no line breaks, so it is one line.
fn event(name: &str, data: &impl Serialize) -> Bytes {
    let json = serde_json::to_string(data).unwrap_or_default();
    Bytes::from(format!("event: {name}\ndata: {json}\n\n"))
}
