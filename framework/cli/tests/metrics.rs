//! `/metrics` as Prometheus sees it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod common;
#[path = "common/watched.rs"]
mod watched;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use common::Place;
use watched::Watched;

fn get(addr: &str, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(addr).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

/// A run that cannot end before the listener answers, and the address of its metrics.
fn waiting_run(place: &Place, listener: &TcpListener) -> (Child, String) {
    let base = listener.local_addr().unwrap();
    place.write(
        "pipeline.yaml",
        &format!(
            "name: watched\nstages:\n  \
             - {{ name: requests, type: generate, with: {{ url: \"http://{base}/{{n}}\", count: 3 }} }}\n  \
             - {{ name: pages, type: fetch, run: {{ mode: threaded }}, with: {{ timeout: 1h, read_timeout: 1h }} }}\n  \
             - {{ name: out, type: discard }}\n"
        ),
    );
    let mut child = place
        .command(&["run", "pipeline.yaml", "--metrics", "0"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let line = lines.find(|line| line.as_ref().unwrap().contains("metrics at")).unwrap().unwrap();
    std::thread::spawn(move || lines.for_each(drop));
    let addr = line.split("http://").nth(1).unwrap().split('/').next().unwrap().to_owned();
    (child, addr)
}

/// Values of the samples, by name and labels.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        })
        .collect()
}

#[test]
fn metrics_are_there_and_promtool_finds_nothing() {
    let place = Place::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (mut child, addr) = waiting_run(&place, &listener);
    // The first request is on its way, so the rows have passed the first edge.
    let (_held, _) = listener.accept().unwrap();

    assert!(addr.starts_with("127.0.0.1:"), "{addr}");
    assert!(get(&addr, "/healthz").0.starts_with("HTTP/1.1 200"));
    assert!(get(&addr, "/readyz").0.starts_with("HTTP/1.1 200"));
    assert!(get(&addr, "/other").0.starts_with("HTTP/1.1 404"));
    let (head, text) = get(&addr, "/metrics");
    assert!(head.contains("text/plain; version=0.0.4"), "{head}");

    let samples = samples(&text);
    let of = |name: &str, stage: &str, kind: &str, mode: &str| {
        let start = format!(
            "{name}{{pipeline=\"watched\",stage=\"{stage}\",kind=\"{kind}\",mode=\"{mode}\""
        );
        let mut found = samples.iter().filter(|(key, _)| key.starts_with(&start));
        let (_, value) = found.next().unwrap_or_else(|| panic!("{start} in\n{text}"));
        *value
    };
    assert_eq!(of("gristmill_stage_rows_out_total", "requests", "generate", "pooled"), 3.0);
    assert_eq!(of("gristmill_stage_rows_in_total", "pages", "fetch", "threaded"), 3.0);
    assert_eq!(of("gristmill_stage_rows_in_total", "out", "discard", "pooled"), 0.0);
    assert_eq!(of("gristmill_queue_limit_rows", "pages", "fetch", "threaded"), 65536.0);
    assert_eq!(of("gristmill_stage_workers", "pages", "fetch", "threaded"), 1.0);
    assert!(of("gristmill_stage_waiting_seconds_total", "out", "discard", "pooled") > 0.0);
    assert!(
        of("gristmill_stage_batch_duration_seconds_count", "pages", "fetch", "threaded") >= 1.0
    );

    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool comes with Debian's package `prometheus`; .ci/test installs it");
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let checked = promtool.wait_with_output().unwrap();
    let found = String::from_utf8_lossy(&checked.stdout).into_owned()
        + &String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success() && found.is_empty(), "{found}\n{text}");

    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn openmetrics_is_served_to_who_asks_for_it_and_its_own_parser_finds_nothing() {
    let place = Place::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (mut child, addr) = waiting_run(&place, &listener);
    let (_held, _) = listener.accept().unwrap();
    let mut stream = TcpStream::connect(&addr).unwrap();
    let accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5";
    write!(stream, "GET /metrics HTTP/1.0\r\nhost: localhost\r\naccept: {accept}\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, text) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("application/openmetrics-text; version=1.0.0"), "{head}");
    assert!(text.ends_with("\n# EOF\n"), "{text}");

    let script = "import sys\nfrom prometheus_client.openmetrics.parser import text_string_to_metric_families as parse\n\
                  for family in parse(sys.stdin.read()): print(family.name, family.type, family.unit, len(family.samples))";
    let python = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/python/bin/python");
    let mut parser = Command::new(python)
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect(".ci/python makes it");
    parser.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let parsed = parser.wait_with_output().unwrap();
    assert!(parsed.status.success(), "{}\n{text}", String::from_utf8_lossy(&parsed.stderr));
    let found = String::from_utf8(parsed.stdout).unwrap();
    for line in
        ["gristmill_stage_rows_in counter  3", "gristmill_stage_busy_seconds counter seconds 3"]
    {
        assert!(found.lines().any(|one| one == line), "no `{line}` in\n{found}");
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Names and types, as a page of the documentation has them in its table.
fn told(page: &str) -> BTreeMap<String, String> {
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.map(|row| {
        let (name, rest) = row.split_once("` | ").unwrap();
        (name.to_owned(), rest.split(" |").next().unwrap().to_owned())
    })
    .collect()
}

#[test]
fn every_metric_is_on_its_page_and_no_other() {
    let place = Place::new();
    // Requests that wait for ever, and rows that pass all kinds that tell of their work.
    let mut run = Watched::run_with(
        &place,
        // Nobody listens there, and the metrics are there all the same.
        &["--otlp", "http://127.0.0.1:1"],
        "stages:\n  - { name: requests, type: generate, with: { url: 'demo:/item/{n}?delay=600s', count: 3 } }\n  \
         - { type: fetch, run: { mode: process }, with: { timeout: 1h, read_timeout: 1h } }\n  - { type: discard }\n  \
         - { name: timed, type: map, from: requests, with: { set: { t: to_timestamp(n) } } }\n  \
         - { type: aggregate, with: { group_by: [url], window: { time: t, size: 1m }, select: { c: count(*) } } }\n  \
         - { type: sort, with: { by: url } }\n  - { type: dedupe }\n  - { name: out, type: discard }\n",
    );
    let watermark = "gristmill_aggregate_watermark_timestamp_seconds";
    run.wait_for("a window is told of", |all| all.iter().any(|one| one.name == watermark));
    let text = run.text();
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let served: BTreeMap<String, String> = types
        .map(|line| line.split_once(' ').unwrap())
        .map(|(name, kind)| (name.to_owned(), kind.to_owned()))
        .collect();
    assert_eq!(served, told(include_str!("../../runtime/METRICS.md")));
}
