//! The run as server-sent events, one a second:
//! <https://html.spec.whatwg.org/multipage/server-sent-events.html>.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, stream};
use http_body_util::{BodyExt, StreamBody};
use hyper::Response;
use hyper::body::Frame;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use serde::Serialize;
use tokio::sync::{Semaphore, watch};
use tokio::time::{MissedTickBehavior, interval};

use super::answer::Body;
use crate::view::{EndView, Observer};

/// How often the run is looked at.
const TICK: Duration = Duration::from_secs(1);
/// So many may listen at once.
const LISTENERS: usize = 32;

/// Tells everybody who listens how the run goes. What is told is made once for all, and who is slow
/// misses some of it: only the latest is kept.
#[derive(Clone)]
pub(super) struct Events {
    observer: Arc<Observer>,
    latest: Arc<watch::Sender<Told>>,
    places: Arc<Semaphore>,
    /// The event with the last minutes, until they are others.
    history: Arc<Mutex<Option<Bytes>>>,
}

/// What was told last.
#[derive(Clone, Default)]
struct Told {
    event: Bytes,
    /// Nothing comes after it.
    last: bool,
}

impl Events {
    /// The events of a run, and the task that makes them.
    pub(super) fn of(observer: Arc<Observer>) -> (Self, impl Future<Output = ()> + Send) {
        let latest = Arc::new(watch::Sender::new(Told::default()));
        let places = Arc::new(Semaphore::new(LISTENERS));
        let events = Self { observer, latest, places, history: Arc::default() };
        let told = events.clone();
        let ticks = async move {
            let mut ticks = interval(TICK);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                told.tick();
            }
        };
        (events, ticks)
    }

    fn tick(&self) {
        self.observer.sample();
        *self.history.lock().unwrap_or_else(PoisonError::into_inner) = None;
        if self.latest.receiver_count() > 0 {
            self.tell(event("view", &self.observer.view()), false);
        }
    }

    /// Tells how the run ended. Whoever listens hears nothing more.
    pub(super) fn end(&self, end: &EndView) {
        self.tell(event("end", end), true);
    }

    fn tell(&self, event: Bytes, last: bool) {
        self.latest.send_if_modified(|told| {
            let more = !told.last;
            if more {
                *told = Told { event, last };
            }
            more
        });
    }

    fn history(&self) -> Bytes {
        let mut kept = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get_or_insert_with(|| event("history", &self.observer.history())).clone()
    }

    /// First the last minutes and the run as it is, then how it goes on. None when too many listen.
    pub(super) fn stream(&self) -> Option<Response<Body>> {
        let place = self.places.clone().try_acquire_owned().ok()?;
        let mut listener = self.latest.subscribe();
        if listener.borrow().last {
            listener.mark_changed();
        }
        let now = [self.history(), event("view", &self.observer.view())];
        let later = stream::unfold(Some((listener, place)), |listener| async move {
            let (mut latest, place) = listener?;
            latest.changed().await.ok()?;
            let Told { event, last } = latest.borrow_and_update().clone();
            Some((event, (!last).then_some((latest, place))))
        });
        let events = stream::iter(now).chain(later).map(|event| Ok(Frame::data(event)));
        let mut response = Response::new(BodyExt::boxed(StreamBody::new(events)));
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
        Some(response)
    }
}

/// An event as it goes over the line. JSON has no line breaks, so it is one line.
fn event(name: &str, data: &impl Serialize) -> Bytes {
    let json = serde_json::to_string(data).unwrap_or_default();
    Bytes::from(format!("event: {name}\ndata: {json}\n\n"))
}
