//! A run that is told to stop while something is slow: what it has taken comes out, and it ends.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod common;

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Stdio};
use std::sync::mpsc::channel;

use common::{Place, ended};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::io::ioctl_fionread;
use rustix::process::{Pid, Signal, kill_process};

fn pipe(place: &Place, name: &str) {
    mknodat(CWD, place.path().join(name), FileType::Fifo, Mode::RWXU, 0).unwrap();
}

fn start(place: &Place, yaml: &str, stdout: Stdio) -> Child {
    place.write("pipeline.yaml", yaml);
    let mut command = place.command(&["run", "-q", "pipeline.yaml"]);
    command.stdin(Stdio::null()).stdout(stdout).stderr(Stdio::piped()).spawn().unwrap()
}

fn interrupt(child: &Child) {
    kill_process(Pid::from_raw(child.id() as i32).unwrap(), Signal::INT).unwrap();
}

/// Interrupts and waits until the run says that it stops, or is at its end.
fn stop(child: &mut Child) -> BufReader<std::process::ChildStderr> {
    interrupt(child);
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("stopping") {
        line.clear();
        if stderr.read_line(&mut line).unwrap() == 0 {
            break;
        }
    }
    stderr
}

/// As much as a pipe holds, so that it is taken out with one read.
const LINES: usize = 4000;
/// Long, so that the rows do not fit into the pipe on the other side.
const COLUMN: &str = "the_number_of_the_line_in_the_pipe_that_it_came_from";

#[test]
fn what_was_taken_out_of_a_pipe_is_not_lost() {
    for mode in ["pooled", "threaded", "process"] {
        let place = Place::new();
        pipe(&place, "rows");
        pipe(&place, "out");
        let yaml = format!(
            "channel: {{ rows: 10 }}\nbatch: {{ rows: 10 }}\nrejected: rejected.jsonl\nstages:\n  \
             - {{ type: read, run: {{ mode: {mode} }}, with: {{ path: rows, format: csv, header: false, columns: {{ {COLUMN}: int64 }} }} }}\n  \
             - {{ type: write, with: {{ path: out, format: jsonl }} }}\n"
        );
        let mut child = start(&place, &yaml, Stdio::null());
        // Nobody takes rows out of the other end before the run was told to stop.
        let (go, wait) = channel();
        let path = place.path().join("out");
        let reader = std::thread::spawn(move || {
            let mut out = File::open(path).unwrap();
            wait.recv().unwrap();
            let mut text = String::new();
            out.read_to_string(&mut text).unwrap();
            text
        });
        let mut rows = OpenOptions::new().write(true).open(place.path().join("rows")).unwrap();
        let text: String = (0..LINES).map(|n| format!("{n:08}\n")).collect();
        // The last is cut: its end stays with who writes.
        rows.write_all(format!("{text}1234").as_bytes()).unwrap();
        while ioctl_fionread(&rows).unwrap() > 0 {
            std::thread::yield_now();
        }
        let mut stderr = stop(&mut child);
        go.send(()).unwrap();
        let out = reader.join().unwrap();
        let number = |line: &str| {
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            row[COLUMN].as_u64().unwrap() as usize
        };
        let numbers: Vec<usize> = out.lines().map(number).collect();
        assert!(numbers.iter().copied().eq(0..LINES), "{mode}: {} rows came out", numbers.len());
        let mut said = String::new();
        stderr.read_to_string(&mut said).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(130), "{mode}: {said}");
        let rejected = place.read("rejected.jsonl");
        assert_eq!(rejected.lines().count(), 1, "{mode}: {rejected}");
        assert!(rejected.contains("stopped in the middle of this line"), "{mode}: {rejected}");
        assert!(rejected.contains("\"line\":\"1234\""), "{mode}: {rejected}");
    }
}

#[test]
fn rejected_rows_that_nobody_takes_do_not_hold_up_an_end_at_once() {
    let place = Place::new();
    pipe(&place, "rejected");
    // One row is rejected, and comes before others that come out.
    let yaml = "rejected: rejected\nbatch: { rows: 1 }\nstages:\n  - { type: generate, with: { count: 3 } }\n  \
                - { type: map, with: { set: { m: 1 / (n - 2) } } }\n  \
                - { type: write, with: { path: '-', format: jsonl } }\n";
    let mut child = start(&place, yaml, Stdio::piped());
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    while !lines.next().unwrap().unwrap().contains("\"n\":3") {}
    // It waits for somebody who reads: that is what a pipe is for.
    let mut stderr = stop(&mut child);
    interrupt(&child);
    let mut said = String::new();
    stderr.read_to_string(&mut said).unwrap();
    let ended = ended(child.wait_with_output().unwrap());
    assert_eq!(ended.code, 4, "{said}");
    assert!(said.contains("not all rejected rows could be written"), "{said}");
    assert_eq!(place.files(), ["pipeline.yaml", "rejected"]);
}
