//! What happens when things go wrong: each ends, says why, and publishes nothing half done.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{Child, Stdio};

use common::{Place, ended};

/// A pipeline that fetches these URLs and writes what came.
fn fetching(urls: &[&str], options: &str) -> String {
    let urls: Vec<_> = urls.iter().map(|url| format!("\"{url}\"")).collect();
    format!(
        "stages:\n  - {{ type: generate, with: {{ urls: [{}] }} }}\n  \
         - {{ type: fetch, with: {{ retries: 0, {options} }} }}\n  \
         - {{ type: map, with: {{ select: {{ url: url, status: status, bytes: bytes, error: error }} }} }}\n  \
         - {{ type: write, with: {{ path: out.jsonl }} }}\n",
        urls.join(", ")
    )
}

#[test]
fn bad_servers_cost_only_their_own_rows() {
    let place = Place::new();
    // A port that nobody listens on.
    let refused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let refused = format!("http://{refused}/");
    let urls = [
        "demo:/item/1",
        "demo:/status/500",
        "demo:/hang",
        "demo:/close",
        "demo:/gzip-bomb",
        "demo:/bytes/100000000",
        "demo:/charset/latin1",
        "http://",
        &refused,
    ];
    place.run(&fetching(&urls, "timeout: 5s, max_body: 1MiB")).expect(3);
    let out = place.read("out.jsonl");
    assert_eq!(out.lines().count(), 3, "item, status 500 and latin1 are rows:\n{out}");
    let letters = place.read("pipeline.rejected.jsonl");
    for reason in ["no answer", "larger than", "refused", "close"] {
        assert!(letters.contains(reason), "{reason}:\n{letters}");
    }
    assert_eq!(letters.lines().count(), urls.len() - 3, "{letters}");
}

#[test]
fn failures_can_be_rows_instead() {
    let place = Place::new();
    place.run(&fetching(&["demo:/item/1", "demo:/close"], "on_error: row")).expect(0);
    let out = place.read("out.jsonl");
    assert_eq!(out.lines().count(), 2);
    assert!(out.contains("\"error\":null") && out.contains("in the middle of the body"), "{out}");
}

#[test]
fn a_full_disk_fails_the_run() {
    let place = Place::new();
    let yaml = "stages:\n  - { type: generate, with: { count: 100000 } }\n  - { name: full, type: write, with: { path: /dev/full, format: jsonl } }\n";
    place.run(yaml).expect(4).says("stage `full`").says("/dev/full");
}

#[test]
fn a_pipe_by_its_name_is_written_straight() {
    let place = Place::new();
    let yaml = "stages:\n  - { type: generate, with: { count: 2 } }\n  - { type: write, with: { path: /dev/stdout, format: jsonl } }\n";
    place.write("pipeline.yaml", yaml);
    let ended = place.gristmill(&["run", "--quiet", "pipeline.yaml"]).expect(0);
    assert_eq!(ended.stdout, "{\"n\":1}\n{\"n\":2}\n");
}

#[test]
fn a_reader_that_leaves_ends_the_run_in_peace() {
    let place = Place::new();
    place.write(
        "pipeline.yaml",
        "stages:\n  - { type: generate, with: { count: 100000000 } }\n  - { type: write, with: { path: \"-\" } }\n",
    );
    let mut child = place
        .command(&["run", "--quiet", "pipeline.yaml"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "{\"n\":1}");
    drop(lines);
    ended(child.wait_with_output().unwrap()).expect(0);
}

#[test]
fn an_empty_input_gives_an_empty_result() {
    let place = Place::new();
    place.write("empty.jsonl", "");
    let yaml = "\
stages:
  - { type: read, with: { path: empty.jsonl, columns: { a: string, b: int64 } } }
  - { type: filter, with: { where: b > 1 } }
  - { type: aggregate, with: { group_by: [a], select: { n: count(*) } } }
  - { type: write, with: { path: out.csv } }
";
    place.run(yaml).expect(0);
    assert_eq!(place.read("out.csv"), "a,n\n");
}

#[test]
fn a_row_of_50_mib_passes() {
    let place = Place::new();
    let big = "x".repeat(50 << 20);
    place.write("big.jsonl", &format!("{{\"a\":\"{big}\"}}\n{{\"a\":\"small\"}}\n"));
    let yaml = "\
channel: { rows: 10, bytes: 1MiB }
stages:
  - { type: read, with: { path: big.jsonl, columns: { a: string } } }
  - { type: map, with: { set: { length: length(a) } } }
  - { type: write, with: { path: out.jsonl } }
";
    place.run(yaml).expect(0);
    let out = place.read("out.jsonl");
    assert_eq!(out.lines().count(), 2);
    assert!(out.contains("52428800"));
}

#[test]
fn ten_thousand_stages_run() {
    let place = Place::new();
    let mut yaml =
        "channel: { rows: 100 }\nstages:\n  - { type: generate, with: { count: 250 } }\n"
            .to_owned();
    for index in 0..9998 {
        yaml.push_str(&format!(
            "  - {{ name: f{index}, type: filter, with: {{ where: n > 0 }} }}\n"
        ));
    }
    yaml.push_str("  - { type: write, with: { path: out.jsonl } }\n");
    place.write("pipeline.yaml", &yaml);
    place.gristmill(&["run", "--quiet", "pipeline.yaml"]).expect(0);
    assert_eq!(place.read("out.jsonl").lines().count(), 250);
}

/// A server that answers the first `answers` requests and then keeps quiet, and tells how far it is.
fn slow_server(answers: usize) -> (String, std::sync::mpsc::Receiver<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut quiet = Vec::new();
        for (index, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            let mut head = [0; 4096];
            let _ = stream.read(&mut head);
            if index < answers {
                let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
                stream.write_all(answer.as_bytes()).unwrap();
            } else {
                quiet.push(stream);
            }
            if sender.send(index + 1).is_err() {
                return;
            }
        }
    });
    (base, receiver)
}

fn interrupt(pid: u32) {
    let pid = rustix::process::Pid::from_raw(pid as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
}

#[test]
fn one_interrupt_drains_and_publishes() {
    let place = Place::new();
    let (base, requests) = slow_server(usize::MAX);
    place.write(
        "pipeline.yaml",
        &format!(
            "channel: {{ rows: 10 }}\nbatch: {{ rows: 5 }}\nstages:\n  \
             - {{ type: generate, with: {{ url: \"{base}/{{n}}\", count: 100000000 }} }}\n  \
             - {{ type: fetch, with: {{ concurrency: 2 }} }}\n  \
             - {{ type: map, with: {{ select: {{ url: url }} }} }}\n  \
             - {{ type: write, with: {{ path: out.jsonl }} }}\n"
        ),
    );
    let child = place
        .command(&["run", "pipeline.yaml"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    requests.iter().find(|count| *count >= 20).unwrap();
    interrupt(child.id());
    // The server goes on answering, so what was in flight comes to its end.
    let drained = std::thread::spawn(move || requests.iter().last());
    let ended =
        ended(child.wait_with_output().unwrap()).expect(130).says("the results are complete");
    drop(drained);
    let rows = place.read("out.jsonl").lines().count();
    assert!(rows >= 20, "{rows}\n{}", ended.stderr);
    assert_eq!(place.files(), ["out.jsonl", "pipeline.yaml"]);
}

/// A pipeline that reads lines from `path`, shows them on stdout and writes them to a file.
fn reading(path: &str, mode: &str) -> String {
    format!(
        "stages:\n  - {{ name: in, type: read, run: {{ mode: {mode} }}, with: {{ path: \"{path}\", format: lines }} }}\n  \
         - {{ name: show, type: write, with: {{ path: \"-\" }} }}\n  \
         - {{ name: out, from: in, type: write, with: {{ path: out.jsonl }} }}\n"
    )
}

/// Writes a line into what the run reads, interrupts the run when it has shown the line, and lets it
/// end while the pipe is still open and silent.
fn interrupt_a_silent_pipe(place: &Place, mut child: Child, mut pipe: impl Write) {
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    pipe.write_all(b"one\nhalf a li").unwrap();
    assert_eq!(lines.next().unwrap().unwrap(), "{\"line\":\"one\"}");
    interrupt(child.id());
    ended(child.wait_with_output().unwrap()).expect(130).says("the results are complete");
    assert_eq!(place.read("out.jsonl"), "{\"line\":\"one\"}\n");
    drop(pipe);
}

#[test]
fn an_interrupt_does_not_wait_for_stdin() {
    for mode in ["pooled", "threaded"] {
        let place = Place::new();
        place.write("pipeline.yaml", &reading("-", mode));
        let mut child = place
            .command(&["run", "pipeline.yaml"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take().unwrap();
        interrupt_a_silent_pipe(&place, child, stdin);
    }
}

#[test]
fn an_interrupt_does_not_wait_for_a_named_pipe() {
    use rustix::fs::{CWD, Mode, mkfifoat};
    for mode in ["pooled", "threaded"] {
        let place = Place::new();
        let path = place.path().join("in.pipe");
        mkfifoat(CWD, &path, Mode::RUSR | Mode::WUSR).unwrap();
        place.write("pipeline.yaml", &reading("in.pipe", mode));
        let child = place
            .command(&["run", "pipeline.yaml"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Waits until the run has the other end.
        let pipe = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        interrupt_a_silent_pipe(&place, child, pipe);
    }
}

#[test]
fn an_interrupt_does_not_wait_for_a_first_writer() {
    use rustix::fs::{CWD, Mode, mkfifoat};
    let place = Place::new();
    mkfifoat(CWD, place.path().join("in.pipe"), Mode::RUSR | Mode::WUSR).unwrap();
    place.write("pipeline.yaml", &reading("in.pipe", "pooled"));
    let child = place
        .command(&["run", "pipeline.yaml"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Once its output is begun, signals are caught.
    while place.files().len() < 3 {
        std::thread::yield_now();
    }
    interrupt(child.id());
    ended(child.wait_with_output().unwrap()).expect(130);
    assert_eq!(place.read("out.jsonl"), "");
}

#[test]
fn a_second_interrupt_stops_at_once_and_publishes_nothing() {
    let place = Place::new();
    let (base, requests) = slow_server(3);
    place.write(
        "pipeline.yaml",
        &format!(
            "stages:\n  - {{ type: generate, with: {{ url: \"{base}/{{n}}\", count: 50 }} }}\n  \
             - {{ type: fetch, with: {{ concurrency: 4, timeout: 1h, read_timeout: 1h }} }}\n  \
             - {{ type: map, with: {{ select: {{ url: url }} }} }}\n  \
             - {{ type: write, with: {{ path: out.jsonl }} }}\n"
        ),
    );
    let mut child = place
        .command(&["run", "pipeline.yaml"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    requests.iter().find(|count| *count >= 5).unwrap();
    interrupt(child.id());
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.by_ref().any(|line| line.unwrap().contains("Ctrl-C again")));
    interrupt(child.id());
    assert!(lines.any(|line| line.unwrap().contains("broken off")));
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(place.files(), ["pipeline.yaml"]);
}
