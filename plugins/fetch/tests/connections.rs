//! Which connections are used again, and what becomes of those that the server has left.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use arrow_array::RecordBatch;
use common::{After, Bench, Said, Server, Way, answer, ok, raw, strings, urls_batch};
use gristmill_stage::Clock;
use serde_json::{Value, json};

/// Options under which requests come one after the other and nothing is tried twice.
fn one_by_one() -> Value {
    json!({ "concurrency": 1, "retries": 0 })
}

/// The connection of each request, in order.
fn connections(server: &Server) -> Vec<usize> {
    server.asked().iter().map(|asked| asked.connection).collect()
}

fn said(bytes: &str, after: After) -> Said {
    raw(bytes, after)
}

#[test]
fn one_connection_does_for_many_requests() {
    let server = Server::start(Way::Plain, |asked| match asked.path.as_str() {
        "/chunked" => said(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
            After::Keep,
        ),
        "/none" => said("HTTP/1.1 204 No Content\r\n\r\n", After::Keep),
        "/to" => answer(302, &[("location", "/chunked")], "look there"),
        "/large" => ok(vec![b'x'; 1 << 20]),
        _ => ok("x"),
    });
    let paths = ["/", "/chunked", "/none", "/to", "/large", "/"];
    let out = server.fetch(one_by_one(), paths.map(|path| server.url(path)));
    assert_eq!(out.texts("body").len(), 6);
    assert_eq!(connections(&server), [0; 7]);
}

#[test]
fn as_many_connections_as_requests_at_once() {
    let server = Server::start(Way::Plain, |asked| ok(&asked.path));
    let urls = (0..500).map(|n| server.url(&format!("/{n}")));
    let out = server.fetch(json!({ "concurrency": 7 }), urls);
    assert_eq!(out.texts("body").len(), 500);
    assert!(connections(&server).into_iter().all(|connection| connection < 7));
}

#[test]
fn a_server_that_closes_is_not_asked_on_that_connection() {
    for close in ["close", "keep-alive"] {
        let server = Server::start(Way::Plain, move |_| Said {
            after: After::Close,
            ..answer(200, &[("connection", close)], "x")
        });
        let out = server.fetch(one_by_one(), vec![server.url("/"); 20]);
        assert_eq!(out.reasons(), [""; 0]);
        assert_eq!(connections(&server), (0..20).collect::<Vec<_>>(), "{close}");
    }
}

/// A server that answers the first request of a connection and leaves at the second.
fn leaves_at_the_second() -> Server {
    Server::start(Way::Plain, |asked| match (asked.connection, asked.path.as_str()) {
        (0, "/second") => said("", After::Close),
        _ => ok(&asked.path),
    })
}

#[test]
fn a_request_is_made_again_when_the_connection_was_old() {
    let server = leaves_at_the_second();
    let out = server.fetch(one_by_one(), ["/first", "/second"].map(|path| server.url(path)));
    assert_eq!(out.texts("body"), ["/first", "/second"]);
    assert_eq!(out.int("attempts"), [Some(1), Some(1)]);
    assert_eq!(connections(&server), [0, 0, 1]);
}

#[test]
fn what_changes_something_is_not_made_again() {
    let server = leaves_at_the_second();
    let input = RecordBatch::try_from_iter([
        ("url", strings(["/first", "/second"].map(|path| server.url(path)))),
        ("method", strings(["GET", "POST"])),
    ]);
    let out = server.run(one_by_one(), input.unwrap());
    assert_eq!(out.reasons(), ["the server closed the connection without an answer"]);
    assert_eq!(connections(&server), [0, 0]);
}

#[test]
fn the_rest_of_an_answer_is_not_taken_for_the_next() {
    let server = Server::start(Way::Plain, |asked| match asked.path.as_str() {
        "/large" => ok(vec![b'x'; 5 << 20]),
        "/more" => said(
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nxHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nfalse",
            After::Keep,
        ),
        "/late" => said("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nx", After::Hang),
        path => ok(path),
    });
    let mut options = one_by_one();
    options["max_body"] = json!("1MiB");
    options["read_timeout"] = json!("20ms");
    let paths = ["/a", "/large", "/b", "/more", "/c", "/late", "/d"];
    let out = server.fetch(options, paths.map(|path| server.url(path)));
    assert_eq!(out.texts("body"), ["/a", "/b", "x", "/c", "/d"]);
    assert_eq!(connections(&server), [0, 0, 1, 1, 2, 2, 3]);
}

/// A clock that is set by hand, in seconds.
struct HandClock(Arc<AtomicU64>);

impl Clock for HandClock {
    fn now(&self) -> Duration {
        Duration::from_secs(self.0.load(Ordering::SeqCst))
    }

    fn wall(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + self.now()
    }
}

#[test]
fn connections_that_are_old_are_not_used() {
    let seconds = Arc::new(AtomicU64::new(0));
    let server = Server::start(Way::Plain, |_| ok(""));
    let bench = Bench { clock: Arc::new(HandClock(seconds.clone())), ..Bench::new() };
    let input = urls_batch([server.url("/0")]);
    let mut stage = bench.build(&one_by_one(), &input).unwrap();
    for pause in [10, 15, 16, 0] {
        bench.drive(&mut *stage, [input.clone()]).unwrap();
        seconds.fetch_add(pause, Ordering::SeqCst);
    }
    assert_eq!(connections(&server), [0, 0, 0, 1]);
}

#[test]
#[cfg(target_os = "linux")]
fn no_more_connections_are_kept_than_are_worth_it() {
    let server = Server::start(Way::Plain, |_| ok(""));
    let port = server.base.rsplit_once(':').unwrap().1;
    let host = |n: usize| format!("http://127.0.{}.{}:{port}/", n / 200, n % 200 + 1);
    // All of them once, then one that was used late and one that was used early.
    let urls = (0..600).map(host).chain([host(590), host(10)]);
    let out = server.fetch(one_by_one(), urls);
    assert_eq!(out.reasons(), [""; 0]);
    assert_eq!(connections(&server)[600..], [590, 600]);
}
