//! A stage that leaks: on threads its memory is that of the run, and is seen to grow; with `mode: process`
//! and a limit a child has no more than that, and another goes on in its place.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod common;

use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use common::Place;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
/// What a row leaks, in MiB.
const LEAK: u64 = 16;

/// A run that is given one row at a time.
struct Running {
    child: Child,
    rows: ChildStdin,
    out: Lines<BufReader<ChildStdout>>,
    given: usize,
}

impl Running {
    fn start(place: &Place, plugin: &str, stage: &str) -> Self {
        let libraries = std::env::current_exe().unwrap();
        let libraries = libraries.parent().unwrap().to_str().unwrap().to_owned();
        place.write(
            "pipeline.yaml",
            &format!(
                "plugins: [{plugin}]\nbatch: {{ rows: 1 }}\nstages:\n  - type: read\n    \
                 with: {{ path: '-', format: jsonl, columns: {{ n: int64 }} }}\n  - {{ {stage} }}\n  \
                 - {{ type: write, with: {{ path: '-', format: jsonl }} }}\n"
            ),
        );
        let args = ["run", "--quiet", "--plugins", &libraries, "pipeline.yaml"];
        let mut command = place.command(&args);
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.stderr(Stdio::null()).spawn().unwrap();
        let rows = child.stdin.take().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, rows, out, given: 0 }
    }

    /// Gives a row, and waits until it has come out.
    fn row(&mut self) {
        writeln!(self.rows, "{{\"n\":{}}}", self.given).unwrap();
        let line = self.out.next().unwrap().unwrap();
        assert_eq!(line, format!("{{\"n\":{}}}", self.given));
        self.given += 1;
    }

    /// Memory of a process in MiB, now; nothing of one that is gone.
    fn memory(id: u32) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
        line.split_whitespace().nth(1).map_or(0, |kib| kib.parse::<u64>().unwrap() / 1024)
    }

    fn own(&self) -> u64 {
        Self::memory(self.child.id())
    }

    /// The child processes of the run.
    fn children(&self) -> Vec<u32> {
        let mut found = Vec::new();
        for task in std::fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap() {
            let path = task.unwrap().path().join("children");
            let ids = std::fs::read_to_string(path).unwrap_or_default();
            found.extend(ids.split_whitespace().map(|id| id.parse::<u32>().unwrap()));
        }
        found
    }

    fn end(mut self) {
        drop(self.rows);
        assert!(self.out.next().is_none());
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
    }
}

fn leaks(run: &str) -> String {
    let all: Vec<String> = (0..200).map(|n| format!("'{n}'")).collect();
    let at = all.join(", ");
    format!("type: broken, run: {{ {run} }}, with: {{ column: n, at: [{at}], how: leak }}")
}

#[test]
fn on_threads_it_is_the_memory_of_the_run_that_grows() {
    for mode in ["threaded", "pooled"] {
        let place = Place::new();
        let mut run = Running::start(&place, "gristmill_broken", &leaks(&format!("mode: {mode}")));
        run.row();
        let before = run.own();
        (0..10).for_each(|_| run.row());
        let grown = run.own() - before;
        assert!(grown >= 9 * LEAK, "{mode}: {grown} MiB");
        run.end();
    }
}

/// What leaks 60 times 16 MiB has never more than its limit, and loses no row.
fn bounded(plugin: &str, stage: &str, limit: u64) {
    let place = Place::new();
    let mut run = Running::start(&place, plugin, stage);
    run.row();
    let before = run.own();
    let mut processes = run.children();
    for _ in 1..60 {
        run.row();
        for id in run.children() {
            let memory = Running::memory(id);
            // The program itself, and libraries, are not data.
            assert!(memory < limit + 300, "{memory} MiB");
            if !processes.contains(&id) {
                processes.push(id);
            }
        }
    }
    let grown = run.own().saturating_sub(before);
    assert!(grown < 5 * LEAK, "the run itself: {grown} MiB");
    let needed = 60 * LEAK / limit;
    assert!(processes.len() as u64 > needed, "{processes:?}");
    run.end();
}

#[test]
fn in_a_child_process_it_is_bounded_by_the_limit() {
    bounded("gristmill_broken", &leaks("mode: process, limits: { memory: 256MiB }"), 256);
}

#[test]
fn a_stage_in_python_is_bounded_as_well() {
    let python = format!("{ROOT}/target/python/bin/python");
    assert!(std::path::Path::new(&python).exists(), "run .ci/python, which makes {python}");
    let plugin = format!("{{ command: ['{python}', '{ROOT}/plugins/python/tests/broken.py'] }}");
    let stage = "type: broken, run: { limits: { memory: 512MiB } }, with: { how: leak }";
    bounded(&plugin, stage, 512);
}
