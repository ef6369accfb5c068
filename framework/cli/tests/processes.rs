//! `mode: process` from the command line: the same rows, and nothing left behind.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{Child, Stdio};

use common::{Place, ended};
use rustix::process::{Pid, Signal, kill_process};

/// Everything in child processes, from the first stage to the last; waits for an answer that does not
/// come.
fn waiting(place: &Place, listener: &TcpListener) -> Child {
    let yaml = format!(
        "stages:\n  - {{ type: generate, run: {{ mode: process }}, with: {{ urls: [\"http://{}/\"] }} }}\n  \
         - {{ type: fetch, run: {{ mode: process, workers: 2 }}, with: {{ timeout: 1h }} }}\n  \
         - {{ type: map, run: {{ mode: process }}, with: {{ select: {{ url: url }} }} }}\n  \
         - {{ type: write, run: {{ mode: process }}, with: {{ path: out.jsonl }} }}\n",
        listener.local_addr().unwrap()
    );
    place.write("pipeline.yaml", &yaml);
    let mut command = place.command(&["run", "pipeline.yaml"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// The child processes of a process.
fn children(parent: u32) -> Vec<i32> {
    let parent = parent.to_string();
    let all = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let pid: i32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        (stat.rsplit_once(") ")?.1.split(' ').nth(1)? == parent).then_some(pid)
    });
    all.collect()
}

fn lives(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.contains("gristmill"))
}

#[test]
fn children_and_their_files_go_with_a_killed_parent() {
    let place = Place::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut parent = waiting(&place, &listener);
    let _held = listener.accept().unwrap();
    let children = children(parent.id());
    // The source and one of the two that fetch may be through.
    assert!(children.len() >= 3, "{children:?}");
    assert!(place.files().iter().any(|name| name.contains("tmp")), "{:?}", place.files());
    // One is stopped, and must go all the same.
    let stopped = |pid: &i32| kill_process(Pid::from_raw(*pid).unwrap(), Signal::STOP).is_ok();
    assert!(children.iter().any(stopped));
    parent.kill().unwrap();
    parent.wait().unwrap();
    while children.iter().any(|pid| lives(*pid)) {
        std::thread::yield_now();
    }
    assert_eq!(place.files(), ["pipeline.yaml"]);
}

#[test]
fn ctrl_c_twice_leaves_nothing() {
    let place = Place::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut parent = waiting(&place, &listener);
    let _held = listener.accept().unwrap();
    let children = children(parent.id());
    let pid = Pid::from_raw(i32::try_from(parent.id()).unwrap()).unwrap();
    // As a terminal does it: to all of the group.
    for child in &children {
        // The source may be through by now.
        let _ = kill_process(Pid::from_raw(*child).unwrap(), Signal::INT);
    }
    kill_process(pid, Signal::INT).unwrap();
    // Two signals at once would be one.
    let mut stderr = BufReader::new(parent.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("stopping") {
        line.clear();
        assert_ne!(stderr.read_line(&mut line).unwrap(), 0, "it ended after one");
    }
    kill_process(pid, Signal::INT).unwrap();
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).unwrap();
    assert_eq!(parent.wait().unwrap().code(), Some(130), "{rest}");
    assert!(children.iter().all(|pid| !lives(*pid)));
    assert_eq!(place.files(), ["pipeline.yaml"]);
}

#[test]
fn stdin_and_stdout_are_those_of_the_run() {
    let place = Place::new();
    let stages = "stages:\n  - { type: read, run: { mode: process }, \
                  with: { path: '-', format: jsonl, columns: { n: int64 } } }\n  \
                  - { type: map, run: { mode: process }, with: { set: { m: n * 2 } } }\n  \
                  - { type: inspect, run: { mode: process } }\n  \
                  - { type: write, run: { mode: process }, with: { path: '-' } }\n";
    place.write("pipeline.yaml", stages);
    let mut command = place.command(&["run", "pipeline.yaml"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"{\"n\":1}\n{\"n\":21}\n").unwrap();
    drop(stdin);
    let ended = ended(child.wait_with_output().unwrap()).expect(0);
    assert_eq!(ended.stdout, "{\"n\":1,\"m\":2}\n{\"n\":21,\"m\":42}\n");
    // What a child writes to stderr is in the log, with its stage.
    let line = ended.stderr.lines().find(|line| line.contains("42")).unwrap();
    assert!(line.contains("stage=\"inspect\"") && line.contains("worker=0"), "{}", ended.stderr);
}

#[test]
fn a_stage_that_cannot_be_built_says_why() {
    let place = Place::new();
    place.write("pipeline.yaml", "stages:\n  - { type: read, run: { mode: process }, with: { path: in.jsonl, columns: { n: int64 } } }\n  - { type: discard, run: { mode: process } }\n");
    place.write("in.jsonl", "");
    place.gristmill(&["run", "pipeline.yaml"]).expect(0);
    // Found by `check` in every mode, so it must go between the two.
    place.write("pipeline.yaml", "stages:\n  - { type: generate, with: { count: 3 } }\n  - { type: write, run: { mode: process }, with: { path: /proc/nothing/out.jsonl } }\n");
    let ended = place.gristmill(&["run", "pipeline.yaml"]);
    assert!(ended.code == 1 || ended.code == 4, "{}", ended.stderr);
    assert!(ended.stderr.contains("/proc/nothing"), "{}", ended.stderr);
}

/// One word changes how a stage runs, and nothing else.
#[test]
fn the_quickstart_is_the_same_in_every_mode() {
    let yaml =
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../pipelines/quickstart.yaml"));
    let yaml = yaml.unwrap().replace("    run: { mode: threaded, workers: 2 }\n", "");
    let yaml = yaml.replace("    with:", "    run: { mode: MODE }\n    with:");
    let outputs = ["threaded", "pooled", "process"].map(|mode| {
        let place = Place::new();
        place.run(&yaml.replace("MODE", mode)).expect(0);
        let mut lines: Vec<_> = place.read("prices.jsonl").lines().map(str::to_owned).collect();
        lines.sort();
        lines
    });
    assert_eq!(outputs[0].len(), 12);
    assert_eq!(outputs[0], outputs[1]);
    assert_eq!(outputs[0], outputs[2]);
}
