//! What is answered under which path.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{
    ACCEPT, ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName,
    HeaderValue, REFERRER_POLICY, RETRY_AFTER, SET_COOKIE, VARY, WWW_AUTHENTICATE,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use hyper::{Method, Request, Response, StatusCode};
use serde::Serialize;

use super::Taps;
use super::access::Access;
use super::events::Events;
use super::page;
use crate::metrics::{Format, Metrics};
use crate::view::Observer;

/// The body of an answer.
pub(super) type Body = BoxBody<Bytes, Infallible>;

const TEXT: &str = "text/plain; charset=utf-8";

/// What no answer is without.
const HEADERS: [(HeaderName, &str); 6] = [
    (CACHE_CONTROL, "no-store"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    (REFERRER_POLICY, "no-referrer"),
    (CONTENT_SECURITY_POLICY, page::POLICY),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// All that can be asked for.
#[derive(Clone)]
pub(super) struct Answers {
    pub(super) access: Access,
    pub(super) metrics: Metrics,
    pub(super) observer: Arc<Observer>,
    pub(super) events: Events,
    pub(super) taps: Taps,
}

impl Answers {
    /// The answer to a request.
    pub(super) async fn to(&self, request: &Request<Incoming>) -> Response<Body> {
        let mut response = match self.access.check(request) {
            Err((status, words)) => refused(status, words),
            Ok(_) if !matches!(*request.method(), Method::GET | Method::HEAD) => {
                refused(StatusCode::METHOD_NOT_ALLOWED, "only GET\n")
            }
            Ok(cookie) => {
                let mut response = self.under(request).await;
                if let Some(cookie) = cookie {
                    response.headers_mut().insert(SET_COOKIE, cookie);
                }
                response
            }
        };
        guard(&mut response);
        response
    }

    async fn under(&self, request: &Request<Incoming>) -> Response<Body> {
        let asked = request.uri();
        match asked.path() {
            "/metrics" => self.metrics(request).await,
            "/healthz" => text(StatusCode::OK, "ok\n"),
            // The server starts when all stages were built, so it is ready as soon as it answers.
            "/readyz" => text(StatusCode::OK, "ready\n"),
            "/api/view" => json(&self.observer.view()),
            "/api/history" => json(&self.observer.history()),
            "/api/events" => self.events.stream().unwrap_or_else(too_many),
            "/api/tap" => self.taps.answer(asked.query().unwrap_or_default()),
            "/api/plan" => text(StatusCode::OK, self.observer.description().plan.clone()),
            "/api/pipeline" => text(StatusCode::OK, self.observer.description().yaml.clone()),
            path => match page::file(path) {
                Some((kind, body)) => answer(StatusCode::OK, kind, body),
                None => text(
                    StatusCode::NOT_FOUND,
                    "there are /, /metrics, /healthz, /readyz and \
                     /api/{view,history,events,tap,plan,pipeline}\n",
                ),
            },
        }
    }

    async fn metrics(&self, request: &Request<Incoming>) -> Response<Body> {
        let accept = request.headers().get_all(ACCEPT);
        let format = Format::accepted(accept.iter().filter_map(|value| value.to_str().ok()));
        let metrics = self.metrics.clone();
        // Many stages take a while to write down, and requests of stages run on these threads.
        match tokio::task::spawn_blocking(move || metrics.render(format)).await {
            Ok(scrape) => {
                let mut answer = answer(StatusCode::OK, format.content_type(), scrape);
                answer.headers_mut().insert(VARY, HeaderValue::from_static("accept"));
                answer
            }
            Err(_) => text(StatusCode::INTERNAL_SERVER_ERROR, "the run is over\n"),
        }
    }
}

/// What is answered when there is no place left. The connection ends with it.
pub(super) fn too_many() -> Response<Body> {
    let mut response = text(StatusCode::SERVICE_UNAVAILABLE, "too many look at this run\n");
    let headers = response.headers_mut();
    headers.insert(RETRY_AFTER, HeaderValue::from_static("5"));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    guard(&mut response);
    response
}

fn refused(status: StatusCode, words: &'static str) -> Response<Body> {
    let mut response = text(status, words);
    let said = match status {
        StatusCode::METHOD_NOT_ALLOWED => Some((ALLOW, "GET, HEAD")),
        StatusCode::UNAUTHORIZED => Some((WWW_AUTHENTICATE, "Bearer realm=\"gristmill\"")),
        _ => None,
    };
    if let Some((name, value)) = said {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

fn guard(response: &mut Response<Body>) {
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
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
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
