//! Servers that misbehave, and what becomes of the rows.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod common;

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow_array::{RecordBatch, StringArray};
use common::{
    After, Bench, Server, Way, answer, fetch, header_column, ok, raw, strings, urls_batch,
};
use serde_json::{Value, json};

common::in_every_way! {
    servers_that_fall_silent,
    servers_that_hang_up,
    bodies_are_capped,
    a_body_that_is_not_compressed_as_stated,
    what_passes_is_tried_again,
    the_server_says_when_to_come_back,
    a_failure_is_a_row_or_is_rejected,
}

/// Options under which nothing is tried twice.
fn once(mut options: Value) -> Value {
    options["retries"] = json!(0);
    options
}

/// Why the request fails.
fn reason(options: Value, url: impl Into<String>) -> String {
    let out = fetch(options, [url.into()]);
    assert!(out.batches.is_empty());
    out.reasons().concat()
}

#[test]
fn nobody_there() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_eq!(reason(once(json!({})), format!("http://{free}/")), "connection refused");
    let options = json!({ "retries": 1, "backoff": { "initial": "1ms" } });
    let tried = reason(options, format!("http://u:secret@{free}/?token=secret"));
    assert_eq!(tried, "connection refused (2 attempts)");
    let unknown = reason(once(json!({})), "http://no-such-name.invalid/?secret");
    assert_eq!(unknown, "name not found: no-such-name.invalid");
}

fn servers_that_fall_silent(way: Way) {
    let server = Server::start(way, |asked| match asked.path.as_str() {
        "/never" => raw("", After::Hang),
        _ => raw("HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\nabc", After::Hang),
    });
    let never = reason(server.with(once(json!({ "timeout": "50ms" }))), server.url("/never"));
    assert_eq!(never, "no answer within 50ms");
    // Long enough for a handshake.
    let slow = reason(server.with(once(json!({ "timeout": "2s" }))), server.url("/body"));
    assert_eq!(slow, "the body did not end within 2s: got 3 bytes");
    let silent = reason(server.with(once(json!({ "read_timeout": "50ms" }))), server.url("/body"));
    assert_eq!(silent, "the server was silent for 50ms in the middle of the body: got 3 bytes");
}

fn servers_that_hang_up(way: Way) {
    let server = Server::start(way, |asked| match asked.path.as_str() {
        "/mute" => raw("", After::Close),
        "/short" => {
            let body = "x".repeat(100);
            raw(format!("HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{body}"), After::Close)
        }
        "/chunk" => {
            raw("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n", After::Close)
        }
        "/noise" => raw("SSH-2.0-OpenSSH_9.9\r\n\r\n", After::Close),
        _ => raw("HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\nhello", After::Close),
    });
    let of = |path: &str| reason(server.with(once(json!({}))), server.url(path));
    assert_eq!(of("/mute"), "the server closed the connection without an answer");
    let middle = "the server closed the connection in the middle of the body";
    assert_eq!(of("/short"), format!("{middle}: got 100 of 500 bytes"));
    assert_eq!(of("/chunk"), format!("{middle}: got 5 bytes"));
    assert!(of("/noise").starts_with("the answer is not HTTP"), "{}", of("/noise"));
    assert!(of("/length").starts_with("the answer is not HTTP"), "{}", of("/length"));
}

fn bodies_are_capped(way: Way) {
    let server = Server::start(way, |asked| match asked.path.as_str() {
        "/stated" => raw("HTTP/1.1 200 OK\r\ncontent-length: 104857600\r\n\r\n", After::Hang),
        "/endless" => {
            let mut bytes = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
            bytes.resize(100 << 20, b'x');
            raw(bytes, After::Close)
        }
        "/bomb" => {
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), Default::default());
            gzip.write_all(&vec![0; 50 << 20]).unwrap();
            answer(200, &[("content-encoding", "gzip")], gzip.finish().unwrap())
        }
        "/fits" => ok(vec![b'x'; 1 << 20]),
        _ => ok(vec![b'x'; (1 << 20) + 1]),
    });
    let options = json!({ "max_body": "1MiB" });
    for path in ["/stated", "/endless", "/bomb", "/over"] {
        assert_eq!(
            reason(server.with(options.clone()), server.url(path)),
            "body larger than 1MiB",
            "{path}"
        );
    }
    let out = server.fetch(options, [server.url("/fits")]);
    assert_eq!(out.long("bytes"), [Some(1 << 20)]);
    assert_eq!(server.asked().len(), 5, "a large body is not tried again");
}

fn a_body_that_is_not_compressed_as_stated(way: Way) {
    let server = Server::start(way, |_| answer(200, &[("content-encoding", "gzip")], "plain text"));
    let text = reason(server.with(json!({})), server.url("/"));
    assert!(text.starts_with("the body cannot be decompressed"), "{text}");
}

/// A server that says 503 `failures` times per path, with these headers, and then 200.
fn shaky(way: Way, failures: usize, headers: &'static [(&'static str, &'static str)]) -> Server {
    let count = AtomicUsize::new(0);
    Server::start(way, move |_| match count.fetch_add(1, Ordering::SeqCst) < failures {
        true => answer(503, headers, "later"),
        false => ok("now"),
    })
}

fn what_passes_is_tried_again(way: Way) {
    let options = json!({ "backoff": { "initial": "1ms" } });
    let server = shaky(way, 2, &[]);
    let out = server.fetch(options.clone(), [server.url("/")]);
    assert_eq!((out.int("attempts"), out.texts("body")), (vec![Some(3)], vec!["now".to_owned()]));
    let server = shaky(way, 9, &[]);
    let out = server.fetch(options.clone(), [server.url("/")]);
    assert_eq!((out.int("attempts"), out.int("status")), (vec![Some(3)], vec![Some(503)]));

    // What may change something is not, unless one says so.
    let post = |server: &Server| {
        let columns = [("url", strings([server.url("/")])), ("method", strings(["POST"]))];
        RecordBatch::try_from_iter(columns).unwrap()
    };
    let server = shaky(way, 1, &[]);
    let out = server.run(options.clone(), post(&server));
    assert_eq!((out.int("attempts"), out.int("status")), (vec![Some(1)], vec![Some(503)]));
    let mut all = options;
    all["retry_all"] = json!(true);
    let server = shaky(way, 1, &[]);
    assert_eq!(server.run(all, post(&server)).int("attempts"), [Some(2)]);
}

fn the_server_says_when_to_come_back(way: Way) {
    // The pause of its own would be an hour.
    let backoff = json!({ "initial": "1h", "max": "1h", "max_retry_after": "5ms" });
    let options = json!({ "backoff": backoff, "concurrency": 1 });
    for headers in [
        &[("retry-after", "0")][..],
        &[("retry-after", "86400")],
        &[("retry-after", "Fri, 31 Dec 9999 23:59:59 GMT")],
        &[("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT")],
    ] {
        let server = shaky(way, 1, headers);
        let out = server.fetch(options.clone(), [server.url("/")]);
        assert_eq!(out.int("attempts"), [Some(2)], "{headers:?}");
    }
}

fn a_failure_is_a_row_or_is_rejected(way: Way) {
    let server = Server::start(way, |asked| match asked.path.as_str() {
        "/large" => ok(vec![b'x'; 2048]),
        "/gone" => answer(410, &[], "gone"),
        path => ok(path),
    });
    let urls = ["/a", "/large", "/gone", "/b"].map(|path| server.url(path));
    let options = json!({ "max_body": "1KiB", "fail_status": ["4xx"], "on_error": "row" });
    let out = server.fetch(options.clone(), urls.clone());
    assert_eq!(out.texts("url"), urls);
    let errors = [None, Some("body larger than 1KiB"), Some("the server answered 410 Gone"), None];
    assert_eq!(out.text("error"), errors.map(|text| text.map(str::to_owned)));
    assert_eq!(out.int("status"), [Some(200), Some(200), Some(410), Some(200)]);
    let bodies = [Some("/a"), None, Some("gone"), Some("/b")];
    assert_eq!(out.text("body"), bodies.map(|text| text.map(str::to_owned)));

    let mut options = options;
    options["on_error"] = json!("reject");
    let out = server.fetch(options, urls.clone());
    assert_eq!(out.texts("body"), ["/a", "/b"]);
    assert_eq!(out.reasons(), ["body larger than 1KiB", "the server answered 410 Gone"]);
    assert_eq!(out.rejected[0].0, urls_batch([&urls[1]]));
}

#[test]
fn rows_that_are_no_request_are_rejected() {
    let server = Server::start(Way::Plain, |_| ok(""));
    let url = [None, Some("item/1"), Some("ftp://u:secret@h/"), Some(server.base.as_str())];
    let good: &[(&str, &str)] = &[];
    let bad: &[(&str, &str)] = &[("x", "secret\r\ny: z")];
    let input = RecordBatch::try_from_iter([
        ("url", Arc::new(StringArray::from(url.to_vec())) as _),
        ("headers", header_column(&[good, good, good, bad])),
    ])
    .unwrap();
    let out = Bench::new().run(json!({}), input);
    let reasons = out.reasons();
    assert!(out.batches.is_empty() && reasons.len() == 4);
    assert_eq!(reasons[0], "the column `url` is null");
    assert!(reasons[1].starts_with("invalid URL `item/1`"), "{reasons:?}");
    assert!(reasons[2].contains("only http: and https:"), "{reasons:?}");
    assert!(reasons[3].contains("the header `x` cannot hold line breaks"), "{reasons:?}");
    assert!(!reasons.concat().contains("secret"));
}

#[test]
fn a_plain_server_behind_https_is_explained() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        // Read until the client leaves, so that nothing is reset.
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    });
    let text = reason(once(json!({})), url);
    server.join().unwrap();
    assert!(text.starts_with("no secure connection"), "{text}");
}
