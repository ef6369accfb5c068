//! How a run that is broken off ends, and what it says is published: the truth.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod common;

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Lines, Read, Write};
use std::process::{Child, ChildStderr, Command, Stdio};

use common::{Place, ended};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::{Pid, Signal, kill_process};

fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_raw(child.id() as i32).unwrap(), signal).unwrap();
}

/// A run of a pipeline that reads `rows` from a pipe, so that it goes on until the pipe is closed.
struct Held {
    place: Place,
    child: Child,
    rows: File,
    lines: Lines<BufReader<ChildStderr>>,
}

impl Held {
    /// Starts it; `stages` come after the source `held` of a column `n`.
    fn start(head: &str, stages: &str) -> Self {
        let place = Place::new();
        mknodat(CWD, place.path().join("rows"), FileType::Fifo, Mode::RWXU, 0).unwrap();
        let yaml = format!(
            "{head}stages:\n  - {{ name: held, type: read, with: {{ path: rows, format: jsonl, columns: {{ n: int64 }} }} }}\n{stages}"
        );
        place.write("pipeline.yaml", &yaml);
        let mut child = place
            .command(&["run", "-q", "pipeline.yaml"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Opens when the run has opened its end.
        let rows = OpenOptions::new().write(true).open(place.path().join("rows")).unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        Self { place, child, rows, lines }
    }

    /// Waits until a file is there.
    fn wait_for(&self, name: &str) {
        while !self.place.exists(name) {
            std::thread::yield_now();
        }
    }

    #[track_caller]
    fn says(&mut self, text: &str) {
        let mut seen = Vec::new();
        for line in self.lines.by_ref() {
            seen.push(line.unwrap());
            if seen.last().is_some_and(|line| line.contains(text)) {
                return;
            }
        }
        panic!("no `{text}` in {seen:?}");
    }

    fn code(mut self) -> (Option<i32>, Vec<String>) {
        drop(self.rows);
        let code = self.child.wait().unwrap().code();
        (code, self.place.files())
    }
}

/// A branch of its own that is soon complete, beside one that writes what is held.
const TWO: &str = "  - { name: late, type: write, from: held, with: { path: late.jsonl } }
  - { name: n, type: generate, with: { count: 3 } }
  - { name: soon, type: write, with: { path: soon.jsonl } }
";

#[test]
fn a_run_that_is_broken_off_says_what_was_published_before() {
    let mut held = Held::start("", TWO);
    held.wait_for("soon.jsonl");
    send(&held.child, Signal::QUIT);
    held.says("complete and published before: soon.jsonl");
    held.says("broken off");
    assert_eq!(
        held.code(),
        (Some(130), ["pipeline.yaml", "rows", "soon.jsonl"].map(str::to_owned).to_vec())
    );
}

#[test]
fn a_run_that_fails_says_what_was_published_before() {
    let failing = TWO.replace("from: held", "from: half");
    let half = "  - { name: half, type: map, with: { set: { n: 1 / (n - 1) } } }\n";
    let mut held = Held::start("rejected: { limit: 0 }\n", &format!("{half}{failing}"));
    held.wait_for("soon.jsonl");
    held.rows.write_all(b"{\"n\":1}\n").unwrap();
    held.says("complete and published before: soon.jsonl");
    held.says("more than the limit of 0");
    let (code, files) = held.code();
    assert_eq!(code, Some(4));
    assert!(!files.contains(&"late.jsonl".to_owned()), "{files:?}");
}

#[test]
fn a_file_for_rejected_rows_that_cannot_be_made_fails_the_run() {
    let half = "  - { name: half, type: map, with: { set: { n: 1 / (n - 1) } } }\n";
    let out = "  - { type: write, with: { path: out.jsonl } }\n";
    let mut held = Held::start("rejected: later/rejected.jsonl\n", &format!("{half}{out}"));
    // The check saw a folder that could be made; now a file stands there.
    held.place.write("later", "");
    held.rows.write_all(b"{\"n\":1}\n").unwrap();
    let mut lines = held.lines.by_ref().map(Result::unwrap);
    let error = lines.find(|line| line.starts_with("error: ")).unwrap();
    assert!(error.contains("cannot be written to later/rejected.jsonl"), "{error}");
    let (code, files) = held.code();
    assert_eq!(
        (code, files),
        (Some(4), ["later", "pipeline.yaml", "rows"].map(str::to_owned).to_vec())
    );
}

#[test]
fn sigquit_is_cleaned_up_after() {
    for mode in ["pooled", "threaded", "process"] {
        let out = format!(
            "  - {{ name: out, type: write, run: {{ mode: {mode} }}, with: {{ path: out.jsonl }} }}\n"
        );
        let mut held = Held::start("", &out);
        send(&held.child, Signal::QUIT);
        held.says("broken off");
        assert_eq!(
            held.code(),
            (Some(130), ["pipeline.yaml", "rows"].map(str::to_owned).to_vec()),
            "{mode}"
        );
    }
}

#[test]
fn who_started_it_with_nohup_is_taken_at_his_word() {
    let place = Place::new();
    mknodat(CWD, place.path().join("rows"), FileType::Fifo, Mode::RWXU, 0).unwrap();
    place.write(
        "pipeline.yaml",
        "stages:\n  - { type: read, with: { path: rows, format: jsonl, columns: { n: int64 } } }\n  \
         - { type: write, with: { path: out.jsonl } }\n",
    );
    let gristmill = env!("CARGO_BIN_EXE_gristmill");
    let mut child = Command::new("sh")
        .args(["-c", "trap '' HUP; exec \"$0\" run -q pipeline.yaml", gristmill])
        .current_dir(place.path())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut rows = OpenOptions::new().write(true).open(place.path().join("rows")).unwrap();
    send(&child, Signal::HUP);
    rows.write_all(b"{\"n\":1}\n").unwrap();
    drop(rows);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(place.read("out.jsonl"), "{\"n\":1}\n");
}

/// A name longer than a pipe holds: who writes it as a header comes to stand in the middle of it.
const LONG: usize = 100_000;

#[test]
fn an_interrupt_while_a_sink_publishes_changes_nothing_of_the_truth() {
    let place = Place::new();
    let name = "n".repeat(LONG);
    let yaml = format!(
        "stages:\n  - {{ type: generate, with: {{ count: 3 }} }}\n  \
         - {{ type: filter, with: {{ where: n > 3 }} }}\n  \
         - type: map\n    with:\n      select:\n        ? {name}\n        : n\n  \
         - {{ name: out, type: write, with: {{ path: \"-\", format: csv }} }}\n"
    );
    place.write("pipeline.yaml", &yaml);
    let mut child = place
        .command(&["run", "-q", "pipeline.yaml"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Without rows the header is written at the end, so now the end has begun.
    let mut out = child.stdout.take().unwrap();
    let mut text = vec![0; 1];
    out.read_exact(&mut text).unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    send(&child, Signal::INT);
    assert!(lines.by_ref().any(|line| line.unwrap().contains("Ctrl-C again stops at once")));
    send(&child, Signal::INT);
    assert!(lines.by_ref().any(|line| line.unwrap().contains("`out` is publishing right now")));
    out.read_to_end(&mut text).unwrap();
    assert_eq!(text.len(), LONG + 1);
    let last: Vec<_> = lines.map(Result::unwrap).collect();
    assert!(last.iter().any(|line| line.contains("the results are complete")), "{last:?}");
    assert!(!last.iter().any(|line| line.contains("broken off")), "{last:?}");
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

#[test]
fn who_does_not_want_to_wait_for_a_sink_interrupts_once_more() {
    let place = Place::new();
    let name = "n".repeat(LONG);
    let yaml = format!(
        "stages:\n  - {{ type: generate, with: {{ count: 3 }} }}\n  \
         - {{ type: filter, with: {{ where: n > 3 }} }}\n  \
         - type: map\n    with:\n      select:\n        ? {name}\n        : n\n  \
         - {{ name: out, type: write, with: {{ path: pipe, format: csv }} }}\n"
    );
    place.write("pipeline.yaml", &yaml);
    mknodat(CWD, place.path().join("pipe"), FileType::Fifo, Mode::RWXU, 0).unwrap();
    let mut child = place
        .command(&["run", "-q", "pipeline.yaml"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = File::open(place.path().join("pipe")).unwrap();
    pipe.read_exact(&mut [0]).unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    send(&child, Signal::QUIT);
    assert!(lines.by_ref().any(|line| line.unwrap().contains("`out` is publishing right now")));
    send(&child, Signal::INT);
    let last: Vec<_> = lines.map(Result::unwrap).collect();
    assert!(last.iter().any(|line| line.contains("published or not") && line.contains("pipe")));
    assert!(last.iter().any(|line| line.contains("broken off")), "{last:?}");
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

#[test]
fn a_closed_stdout_is_an_error_and_dev_null_is_none() {
    let place = Place::new();
    let yaml = "\
stages:
  - { type: generate, with: { count: 3 } }
  - { name: out, type: write, run: { mode: MODE }, with: { path: \"-\" } }
  - { type: write, from: generate, with: { path: out.jsonl } }
";
    for mode in ["pooled", "process"] {
        place.write("pipeline.yaml", &yaml.replace("MODE", mode));
        let gristmill = env!("CARGO_BIN_EXE_gristmill");
        let run = |redirected: &str| {
            let script = format!("exec \"$0\" run pipeline.yaml {redirected}");
            let mut command = Command::new("sh");
            command.args(["-c", &script, gristmill]).current_dir(place.path());
            ended(command.output().unwrap())
        };
        run(">&-").expect(4).says("stage `out`").says("stdout is closed");
        assert_eq!(place.files(), ["pipeline.yaml"], "{mode}: nothing ran");
        run("> /dev/null").expect(0);
        std::fs::remove_file(place.path().join("out.jsonl")).unwrap();
    }
}
