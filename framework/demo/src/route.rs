//! Which address gets which answer.

use std::collections::HashSet;
use std::collections::hash_map::{Entry, HashMap};
use std::convert::Infallible;
use std::fmt::Write as _;
use std::future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::{
    ALLOW, CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, RETRY_AFTER,
};
use hyper::{Method, Request, Response, StatusCode};
use tokio::time::Instant;

use crate::body::Body;
use crate::door::Doors;
use crate::item::Item;
use crate::page::Pages;
use crate::{charset, gzip, page};

const HTML: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";
const BYTES: &str = "application/octet-stream";

const ROBOTS: &str = "User-agent: *\nDisallow: /hang\nDisallow: /gzip-bomb\nDisallow: /bytes/\n\
                      Disallow: /redirect/loop\nCrawl-delay: 0\n";

/// The longest delay that can be asked for.
const LONGEST: Duration = Duration::from_secs(600);
const MOST_BYTES: u64 = 1 << 30;
const MOST_ECHO: usize = 1 << 20;

type Answer = Response<Body>;

/// All that answers need, and what few of them remember.
pub(crate) struct Shop {
    pages: Pages,
    requests: AtomicU64,
    /// The numbers whose first request of `/flaky/…` has failed.
    failed: Mutex<HashSet<u64>>,
    /// When each address of `/retry-after/…` was asked for first.
    parked: Mutex<HashMap<(u64, u64), Instant>>,
    doors: Doors,
}

impl Shop {
    pub(crate) fn new(page_size: usize) -> Self {
        Self {
            pages: Pages::new(page_size),
            requests: AtomicU64::new(0),
            failed: Mutex::default(),
            parked: Mutex::default(),
            doors: Doors::default(),
        }
    }

    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    pub(crate) fn waiting(&self) -> u64 {
        self.doors.waiting()
    }

    /// The answer to a request.
    pub(crate) async fn answer(&self, request: Request<Incoming>) -> Result<Answer, Infallible> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        if let Some(query) = request.uri().query() {
            if let Some(wanted) = parameter(query, "together").and_then(parse) {
                self.doors.pass(wanted, parameter(query, "door").unwrap_or_default()).await;
            }
            // Even a sleep of nothing takes up to a millisecond.
            if let Some(delay) = delay(query).filter(|delay| !delay.is_zero()) {
                tokio::time::sleep(delay).await;
            }
        }
        let path = request.uri().path();
        if path == "/echo" {
            return Ok(echo(request).await);
        }
        if request.method() != Method::GET && request.method() != Method::HEAD {
            let mut answer = message(StatusCode::METHOD_NOT_ALLOWED, "Only GET and HEAD here.");
            answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return Ok(answer);
        }
        let mut parts = path[1..].splitn(3, '/');
        let place = parts.next().unwrap_or_default();
        Ok(match (place, parts.next(), parts.next()) {
            ("item", Some(item), None) => self.item(item),
            ("", None, None) => ok(HTML, page::index()),
            ("list", Some(number), None) => self.list(number),
            ("status", Some(code), None) => status(code),
            ("delay", Some(time), None) => delayed(time).await,
            ("flaky", Some(number), None) => self.flaky(number),
            ("retry-after", Some(seconds), id) => self.retry_after(seconds, id.unwrap_or("0")),
            ("redirect", Some(hops), None) => redirect(hops, request.uri().query()),
            ("bytes", Some(count), None) => bytes(count),
            ("charset", Some(name), None) => encoded(name),
            ("gzip-bomb", None, None) => with(ok(BYTES, gzip::bomb()), CONTENT_ENCODING, "gzip"),
            ("close", None, None) => ok(HTML, Body::cut(b"<!doctype html>\n<h1>Half a", 10_240)),
            ("hang", None, None) => future::pending().await,
            ("robots.txt", None, None) => ok(TEXT, ROBOTS.to_owned()),
            _ => not_found(),
        })
    }

    fn item(&self, text: &str) -> Answer {
        let (number, as_json) = match text.strip_suffix(".json") {
            Some(number) => (number, true),
            None => (text, false),
        };
        match parse(number) {
            Some(number) if number <= Item::LAST => {
                let item = Item::new(number);
                if as_json { ok(JSON, page::json(&item)) } else { ok(HTML, self.pages.item(&item)) }
            }
            _ => not_found(),
        }
    }

    fn list(&self, text: &str) -> Answer {
        match parse(text) {
            Some(number) if (1..=Item::LAST / 20).contains(&number) => {
                ok(HTML, self.pages.list(number))
            }
            _ => not_found(),
        }
    }

    fn flaky(&self, text: &str) -> Answer {
        match parse(text) {
            Some(number) if number <= Item::LAST => {
                if lock(&self.failed).insert(number) {
                    message(StatusCode::SERVICE_UNAVAILABLE, "Not the first time. Try again.")
                } else {
                    self.item(text)
                }
            }
            _ => not_found(),
        }
    }

    fn retry_after(&self, seconds: &str, id: &str) -> Answer {
        let (Some(seconds @ 0..=600), Some(id @ 0..=Item::LAST)) = (parse(seconds), parse(id))
        else {
            return not_found();
        };
        let now = Instant::now();
        let over = match lock(&self.parked).entry((seconds, id)) {
            Entry::Occupied(first) => {
                now.duration_since(*first.get()) >= Duration::from_secs(seconds)
            }
            Entry::Vacant(place) => {
                place.insert(now);
                false
            }
        };
        if over {
            return message(StatusCode::OK, "Thank you for waiting.");
        }
        let mut answer = message(StatusCode::TOO_MANY_REQUESTS, "Too many. Come back later.");
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        answer
    }
}

fn ok(content_type: &'static str, body: impl Into<Body>) -> Answer {
    let mut answer = Response::new(body.into());
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

fn with(mut answer: Answer, name: HeaderName, value: &'static str) -> Answer {
    answer.headers_mut().insert(name, HeaderValue::from_static(value));
    answer
}

fn message(status: StatusCode, text: &str) -> Answer {
    let mut answer = ok(HTML, page::message(status.canonical_reason().unwrap_or("Status"), text));
    *answer.status_mut() = status;
    answer
}

fn not_found() -> Answer {
    message(StatusCode::NOT_FOUND, "There is no such page. <a href=\"/\">What there is.</a>")
}

fn status(text: &str) -> Answer {
    let code = parse(text).and_then(|code| u16::try_from(code).ok()).filter(|code| *code >= 200);
    match code.and_then(|code| StatusCode::from_u16(code).ok()).filter(|code| code.as_u16() < 600) {
        None => not_found(),
        Some(status) if matches!(status.as_u16(), 204 | 205 | 304) => {
            let mut answer = Response::new(Body::Whole(Bytes::new()));
            *answer.status_mut() = status;
            answer
        }
        Some(status) => message(status, "As you wished."),
    }
}

async fn delayed(text: &str) -> Answer {
    match time(text) {
        None => not_found(),
        Some(delay) => {
            tokio::time::sleep(delay).await;
            message(StatusCode::OK, "Here it is at last.")
        }
    }
}

/// `/redirect/3` leads to `/redirect/2?item=3`, and in the end to `/item/3`.
fn redirect(text: &str, query: Option<&str>) -> Answer {
    let target = if text == "loop" {
        "/redirect/loop".to_owned()
    } else {
        let Some(hops @ 0..=1000) = parse(text) else {
            return not_found();
        };
        let item = query.and_then(|query| parameter(query, "item")).and_then(parse).unwrap_or(hops);
        if hops <= 1 {
            format!("/item/{item}")
        } else {
            format!("/redirect/{}?item={item}", hops - 1)
        }
    };
    let mut answer = message(StatusCode::FOUND, "It is elsewhere.");
    if let Ok(target) = HeaderValue::from_str(&target) {
        answer.headers_mut().insert(LOCATION, target);
    }
    answer
}

fn bytes(text: &str) -> Answer {
    match parse(text) {
        Some(count) if count <= MOST_BYTES => ok(BYTES, Body::bytes(count)),
        _ => not_found(),
    }
}

fn encoded(name: &str) -> Answer {
    match charset::encode(name) {
        Some(page) => ok(page.content_type, Body::Whole(page.bytes.into())),
        None => not_found(),
    }
}

/// The request as JSON. Bytes that are no UTF-8 are replaced.
async fn echo(request: Request<Incoming>) -> Answer {
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, MOST_ECHO).collect().await else {
        return message(StatusCode::PAYLOAD_TOO_LARGE, "Only up to 1 MiB here.");
    };
    let mut text = String::from("{\"method\":");
    quote(&mut text, head.method.as_str());
    text.push_str(",\"path\":");
    quote(&mut text, head.uri.path_and_query().map_or("/", |path| path.as_str()));
    text.push_str(",\"headers\":{");
    for (i, (name, value)) in head.headers.iter().enumerate() {
        if i > 0 {
            text.push(',');
        }
        quote(&mut text, name.as_str());
        text.push(':');
        quote(&mut text, &String::from_utf8_lossy(value.as_bytes()));
    }
    text.push_str("},\"body\":");
    quote(&mut text, &String::from_utf8_lossy(&body.to_bytes()));
    text.push_str("}\n");
    ok(JSON, text)
}

/// Writes `value` as a JSON string.
fn quote(text: &mut String, value: &str) {
    text.push('"');
    for c in value.chars() {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            c if c < ' ' => {
                // Writing into a String does not fail.
                let _ = write!(text, "\\u{:04x}", u32::from(c));
            }
            c => text.push(c),
        }
    }
    text.push('"');
}

/// Digits and nothing else: no sign, no blanks.
fn parse(text: &str) -> Option<u64> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

fn delay(query: &str) -> Option<Duration> {
    parameter(query, "delay").and_then(time)
}

/// `50`, `50ms` or `2s`.
fn time(text: &str) -> Option<Duration> {
    let time = if let Some(millis) = text.strip_suffix("ms") {
        Duration::from_millis(parse(millis)?)
    } else if let Some(seconds) = text.strip_suffix('s') {
        Duration::from_secs(parse(seconds)?)
    } else {
        Duration::from_millis(parse(text)?)
    };
    Some(time.min(LONGEST))
}

/// A poisoned set is still a set: nothing here is half done when a panic comes.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
