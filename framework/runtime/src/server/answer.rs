//! What is answered under which path.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde::Serialize;

use super::Taps;
use super::events::Events;
use crate::metrics::Source;
use crate::view::Observer;

/// The body of an answer.
pub(super) type Body = BoxBody<Bytes, Infallible>;

const TEXT: &str = "text/plain; charset=utf-8";

/// All that can be asked for.
#[derive(Clone)]
pub(super) struct Answers {
    pub(super) source: Source,
    pub(super) observer: Arc<Observer>,
    pub(super) events: Events,
    pub(super) taps: Taps,
}

impl Answers {
    /// The answer to a request.
    pub(super) async fn to(&self, request: &Request<Incoming>) -> Response<Body> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut refused = text(StatusCode::METHOD_NOT_ALLOWED, "only GET\n");
            refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return refused;
        }
        match request.uri().path() {
            "/metrics" => self.metrics().await,
            "/healthz" => text(StatusCode::OK, "ok\n"),
            // The server starts when all stages were built, so it is ready as soon as it answers.
            "/readyz" => text(StatusCode::OK, "ready\n"),
            "/api/view" => json(&self.observer.view()),
            "/api/history" => json(&self.observer.history()),
            "/api/events" => self.events.stream(),
            "/api/tap" => self.taps.answer(request.uri().query().unwrap_or_default()),
            "/api/plan" => text(StatusCode::OK, self.observer.description().plan.clone()),
            "/api/pipeline" => text(StatusCode::OK, self.observer.description().yaml.clone()),
            _ => text(
                StatusCode::NOT_FOUND,
                "there are /metrics, /healthz, /readyz and /api/{view,history,events,tap,plan,pipeline}\n",
            ),
        }
    }

    async fn metrics(&self) -> Response<Body> {
        let source = self.source.clone();
        // Many stages take a while to write down, and requests of stages run on these threads.
        match tokio::task::spawn_blocking(move || source.render()).await {
            Ok(scrape) => {
                answer(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", scrape)
            }
            Err(_) => text(StatusCode::INTERNAL_SERVER_ERROR, "the run is over\n"),
        }
    }
}

fn json(value: &impl Serialize) -> Response<Body> {
    match serde_json::to_string(value) {
        Ok(json) => answer(StatusCode::OK, "application/json", json),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    }
}

pub(super) fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Body> {
    answer(status, TEXT, body)
}

fn answer(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Full::new(body.into()).boxed());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
