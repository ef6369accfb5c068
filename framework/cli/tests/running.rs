//! Results of an input that goes on: they come while it does, and once more at the end.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod common;

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdout, Stdio};

use common::Place;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

fn append(place: &Place, text: &str) {
    let file = OpenOptions::new().append(true).create(true).open(place.path().join("in.jsonl"));
    file.unwrap().write_all(text.as_bytes()).unwrap();
}

/// The next row.
fn next(out: &mut BufReader<ChildStdout>) -> Option<Value> {
    let mut line = String::new();
    match out.read_line(&mut line).unwrap() {
        0 => None,
        _ => Some(serde_json::from_str(&line).unwrap()),
    }
}

/// Takes rows until one of `key` has that sum; the time of its emission.
fn until(out: &mut BufReader<ChildStdout>, key: &str, sum: i64) -> String {
    while let Some(row) = next(out) {
        assert_eq!(row["is_final"], false, "{row}");
        if row["key"] == key && row["sum"] == sum {
            return row["emitted_at"].as_str().unwrap().to_owned();
        }
    }
    panic!("the run ended without {key} {sum}");
}

#[test]
fn a_file_that_grows_has_results_while_it_does() {
    for run in ["mode: pooled", "mode: threaded", "mode: process", "mode: threaded, workers: 2"] {
        let place = Place::new();
        append(
            &place,
            "{\"key\":\"a\",\"n\":1}\n{\"key\":\"b\",\"n\":2}\n{\"key\":\"a\",\"n\":4}\n",
        );
        let yaml = format!(
            "stages:\n  - {{ type: read, with: {{ path: in.jsonl, follow: true, columns: {{ key: string, n: int64 }} }} }}\n  \
             - {{ type: aggregate, run: {{ {run} }}, with: {{ every: 20ms, group_by: [key], select: {{ sum: sum(n) }} }} }}\n  \
             - {{ type: write, with: {{ path: '-', format: jsonl }} }}\n"
        );
        place.write("pipeline.yaml", &yaml);
        let mut command = place.command(&["run", "-q", "pipeline.yaml"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        // Without their Z, times with and without a fraction are in order as texts.
        let first = until(&mut out, "a", 5);
        append(&place, "{\"key\":\"c\",\"n\":8}\n{\"key\":\"a\",\"n\":16}\n");
        let second = until(&mut out, "a", 21);
        let order = first.trim_end_matches('Z') < second.trim_end_matches('Z');
        assert!(order, "{run}: {first} and then {second}");
        kill_process(Pid::from_raw(child.id() as i32).unwrap(), Signal::INT).unwrap();
        let mut last = Vec::new();
        while let Some(row) = next(&mut out) {
            if row["is_final"] == true {
                last.push((row["key"].as_str().unwrap().to_owned(), row["sum"].as_i64().unwrap()));
            }
        }
        last.sort();
        let expected = [("a", 21), ("b", 2), ("c", 8)].map(|(key, sum)| (key.to_owned(), sum));
        assert_eq!(last, expected, "{run}");
        let ended = common::ended(child.wait_with_output().unwrap());
        assert_eq!(ended.code, 130, "{run}: {}", ended.stderr);
    }
}
