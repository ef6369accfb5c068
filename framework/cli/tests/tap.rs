//! `gristmill tap`: rows of a run as they pass.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod common;
#[path = "common/served.rs"]
mod served;

use std::io::{Read, Write};
use std::net::TcpStream;

use common::Place;
use serde_json::Value;
use served::Served;

/// Makes rows for as long as somebody wants some.
fn yaml(mode: &str) -> String {
    format!(
        "name: tapped
stages:
  - {{ name: numbers, type: generate, run: {{ mode: {mode} }}, with: {{ count: 1000000000000 }} }}
  - name: parts
    type: route
    run: {{ mode: {mode} }}
    with: {{ routes: {{ odd: 'n % 2 = 1' }} }}
  - {{ name: odd, type: map, from: parts.odd, run: {{ mode: {mode} }}, with: {{ set: {{ text: \"concat('${{TOKEN}}-', n)\" }} }} }}
  - {{ name: out, type: discard, run: {{ mode: {mode} }} }}
  - {{ name: rest, type: discard, from: parts.rest }}
"
    )
}

const SECRET: &[&str] = &["--set", "TOKEN=hunter2-hunter2"];

fn rows(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn rows_are_shown_in_every_mode() {
    for mode in ["threaded", "pooled", "process"] {
        let place = Place::new();
        let mut run = Served::start(&place, &yaml(mode), SECRET);
        let text = run.asked(&place, "tap", &["numbers", "--rows", "5"]).expect(0).stdout;
        let numbers = rows(&text);
        assert_eq!(numbers.len(), 5, "{text}");
        assert!(numbers.iter().all(|row| row["n"].is_i64()), "{text}");

        // One of several outputs, and a sink: what it takes.
        let text = run.asked(&place, "tap", &["parts.rest", "--rows", "3"]).expect(0).stdout;
        assert!(rows(&text).iter().all(|row| row["n"].as_i64().unwrap() % 2 == 0), "{text}");
        let text = run.asked(&place, "tap", &["out", "--rows", "3"]).expect(0).stdout;
        assert!(rows(&text).iter().all(|row| row["n"].as_i64().unwrap() % 2 == 1), "{text}");
        assert!(text.contains("***-") && !text.contains("hunter2"), "{text}");
        assert!(run.runs());
        assert_eq!(run.stop(), 130);
    }
}

#[test]
fn some_rows_are_shown() {
    let place = Place::new();
    let run = Served::start(&place, &yaml("pooled"), SECRET);
    let wanted = ["numbers", "--rows", "4", "--where", "n % 10 = 3 AND n > 20"];
    let text = run.asked(&place, "tap", &wanted).expect(0).stdout;
    let numbers: Vec<_> = rows(&text).iter().map(|row| row["n"].as_i64().unwrap()).collect();
    assert_eq!(numbers.len(), 4);
    assert!(numbers.iter().all(|n| n % 10 == 3 && *n > 20), "{numbers:?}");
}

#[test]
fn whether_a_row_comes_tells_no_secret() {
    let place = Place::new();
    let run = Served::start(&place, &yaml("pooled"), SECRET);
    // A row that holds a secret is none, whatever is asked, and rows that hold none come.
    let asked = ["out", "--rows", "1", "--where", "text LIKE 'hunter2%' OR text LIKE 'x%'"];
    let mut tap = place
        .command(&[&["tap", &run.url], &asked[..]].concat())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    // Rows without it come meanwhile, many times over.
    for _ in 0..3 {
        run.asked(&place, "tap", &["numbers", "--rows", "100", "--where", "n > 0"]).expect(0);
    }
    assert!(tap.try_wait().unwrap().is_none(), "a row with a secret was shown");
    tap.kill().unwrap();
    tap.wait().unwrap();
}

#[test]
fn what_cannot_be_shown_is_said() {
    let place = Place::new();
    let run = Served::start(&place, &yaml("pooled"), SECRET);
    run.asked(&place, "tap", &["number"])
        .expect(4)
        .says("there is no stage named `number`; there are numbers, parts, odd, out, rest");
    run.asked(&place, "tap", &["numbers", "--where", "m > 3"]).expect(4).says("m");
    run.asked(&place, "tap", &["numbers", "--where", "n >"]).expect(4).says("error: ");
    run.asked(&place, "tap", &["numbers", "--rows", "0"]).expect(2);
    for (path, status) in [
        ("/api/tap", 400),
        ("/api/tap?stage=nobody", 404),
        ("/api/tap?stage=numbers&rows=x", 400),
        ("/api/tap?stage=numbers&where=m%20%3E%203", 400),
        ("/api/tap?stage=numbers&what=x", 400),
    ] {
        let mut stream = TcpStream::connect(run.url.trim_start_matches("http://")).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {answer}");
    }
    place
        .gristmill(&["tap", "http://127.0.0.1:1", "numbers"])
        .expect(4)
        .says("nobody answers at http://127.0.0.1:1")
        .says("--metrics");
}

/// Who looks and does not read holds nothing up.
#[test]
fn a_client_that_stops_reading_does_not_stop_the_run() {
    let place = Place::new();
    let mut run = Served::start(&place, &yaml("pooled"), SECRET);
    let mut idle: Vec<TcpStream> = Vec::new();
    for _ in 0..8 {
        let mut stream = TcpStream::connect(run.url.trim_start_matches("http://")).unwrap();
        write!(stream, "GET /api/tap?stage=numbers HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
        stream.read_exact(&mut [0; 16]).unwrap();
        idle.push(stream);
    }
    run.asked(&place, "tap", &["numbers"]).expect(4).says("look at rows already");
    // Rows go on: each look at the run shows more of them.
    let count = || {
        let text = run.asked(&place, "explain", &["--for", "1ms", "--json"]).expect(0).stdout;
        let found: Value = serde_json::from_str(&text).unwrap();
        found["stages"][0]["rows_out"].as_f64().unwrap()
    };
    assert!(count() > 0.0);
    drop(idle);
    // Their places are free again as soon as the run has seen that they went.
    while run.asked(&place, "tap", &["numbers", "--rows", "1"]).code != 0 {
        assert!(run.runs());
    }
}
