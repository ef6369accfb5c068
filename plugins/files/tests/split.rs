//! `read` with several workers: files in pieces.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests may")]

mod common;

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use common::{Collected, context, read, read_with, reader};
use gristmill_stage::{BatchTarget, Next};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

/// What all workers emit and reject, each row with what it was rejected for.
fn shared(
    options: &Value,
    workers: usize,
    rows: usize,
    restart: bool,
) -> (Vec<String>, Vec<String>) {
    let (mut emitted, mut rejected) = (Vec::new(), Vec::new());
    for worker in 0..workers {
        let context = context()
            .with_instance(worker, workers)
            .with_batch(BatchTarget { rows, bytes: 1 << 20 });
        let out = read_with(options, context, restart);
        assert!(out.batches.iter().all(|batch| batch.num_rows() <= rows));
        let (some, lost) = lists(&out);
        emitted.extend(some);
        rejected.extend(lost);
    }
    emitted.sort();
    rejected.sort();
    (emitted, rejected)
}

fn lists(out: &Collected) -> (Vec<String>, Vec<String>) {
    let text = |row: Value| row.to_string();
    let reasons = out.rejected.iter().map(|(_, reason)| reason);
    let lost = out.lost().into_iter().zip(reasons).map(|(row, why)| format!("{row} {why}"));
    (out.rows().into_iter().map(text).collect(), lost.collect())
}

fn check(options: &Value, workers: usize, rows: usize) -> Result<(), TestCaseError> {
    let (mut wanted, mut lost) = lists(&read(options));
    wanted.sort();
    lost.sort();
    for restart in [false, true] {
        let (emitted, rejected) = shared(options, workers, rows, restart);
        prop_assert_eq!(&emitted, &wanted, "rows of {} workers, restart: {}", workers, restart);
        prop_assert_eq!(&rejected, &lost, "lost by {} workers, restart: {}", workers, restart);
    }
    Ok(())
}

/// A file of these parts, maybe behind a byte order mark and without the last line end.
fn text(parts: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let parts = prop::collection::vec(select(parts), 0..60);
    (parts, any::<bool>(), any::<bool>()).prop_map(|(parts, mark, cut)| {
        let mut text = parts.concat();
        if cut && text.ends_with('\n') {
            text.pop();
        }
        if mark {
            text.insert(0, '\u{feff}');
        }
        text.into_bytes()
    })
}

fn with_file(
    name: &str,
    text: &[u8],
    then: impl FnOnce(&Path) -> Result<(), TestCaseError>,
) -> Result<(), TestCaseError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    then(&path)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn each_line_comes_once(
        text in text(&["a", "bc\n", "\n", "\r\n", "\r", "ü", "a longer line of text", "x\r\n", "{\"n\":1}\n"]),
        split in 1..70_u64,
        workers in 2..6_usize,
        rows in 1..20_usize,
    ) {
        with_file("a.txt", &text, |path| {
            check(&json!({ "path": path, "split": split }), workers, rows)?;
            check(&json!({ "path": path, "split": split, "max_line": 12 }), workers, rows)?;
            let columns = json!({ "n": "int64" });
            let options = json!({ "path": path, "split": split, "format": "jsonl", "columns": columns });
            check(&options, workers, rows)
        })?;
    }

    #[test]
    fn each_record_of_csv_comes_once(
        text in text(&[
            "1,a\n", "2,\"b\"\r\n", "\"3\",\"c\nd\"\n", "\n", "\r\n", "\"", "\"\"", ",", "\n\"", "\",", "x", "\r",
            "4,e\"f\"\n", "5,\"\"\"\ng,\"\"\n\"\r\n", "\"\n", "6,h\"\n",
        ]),
        split in 1..50_u64,
        workers in 2..6_usize,
        rows in 1..20_usize,
        header in any::<bool>(),
    ) {
        let mut all = if header { b"s,t\n".to_vec() } else { Vec::new() };
        all.extend_from_slice(&text);
        with_file("a.csv", &all, |path| {
            let options = json!({
                "path": path,
                "split": split,
                "header": header,
                "columns": { "s": "string", "t": "string" },
            });
            check(&options, workers, rows)?;
            let mut few = options.clone();
            few["max_line"] = json!(9);
            check(&few, workers, rows)
        })?;
    }
}

#[test]
fn a_header_behind_blank_lines_is_no_row() {
    for split in 1..12 {
        with_file("a.csv", b"\n\r\n\"a\nb\",c\n1,2\n3,4", |path| {
            check(&json!({ "path": path, "split": split }), 3, 5)
        })
        .unwrap();
    }
}

#[test]
fn short_and_long_files_are_dealt_out_together() {
    let folder = tempfile::tempdir().unwrap();
    for (name, lines) in [("a", 1), ("b", 300), ("c", 0), ("d", 7)] {
        let text: String = (0..lines).map(|n| format!("{name} {n}\n")).collect();
        std::fs::write(folder.path().join(format!("{name}.txt")), text).unwrap();
    }
    let options = json!({ "path": folder.path().join("*.txt"), "split": 100 });
    check(&options, 3, 10).unwrap();
    let share = |n| read_with(&options, context().with_instance(n, 3), false).rows().len();
    assert!((0..3).all(|n| share(n) > 60), "{:?}", [share(0), share(1), share(2)]);
}

#[test]
fn what_is_added_after_the_start_is_left_and_what_is_missing_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.txt");
    std::fs::write(&path, "one\ntwo\nthree\nfour\nfi").unwrap();
    let options = json!({ "path": path, "split": 6 });
    let worker = |n| reader(&options, context().with_instance(n, 2));
    let mut workers = [worker(0), worker(1)];
    let snapshot = workers[1].snapshot().unwrap();
    let mut file = OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(b"ve\nsix\nseven\neight\n").unwrap();
    workers[1] = reader(&options, context().with_instance(1, 2).with_restored(snapshot));
    let mut out = Collected::default();
    for worker in &mut workers {
        while worker.poll(&mut out).unwrap() != Next::Done {}
    }
    let mut lines: Vec<String> = lists(&out).0;
    lines.sort();
    let wanted = ["five", "four", "one", "three", "two"].map(|line| json!({ "line": line }));
    assert_eq!(lines, wanted.map(|row| row.to_string()));

    let mut workers = [worker(0), worker(1)];
    file.set_len(9).unwrap();
    for worker in &mut workers {
        let error = loop {
            match worker.poll(&mut out) {
                Ok(next) => assert_ne!(next, Next::Done),
                Err(error) => break error,
            }
        };
        let told = "a.txt was cut short while it was read: it had 40 bytes, now 9";
        assert!(error.to_string().contains(told), "{error}");
    }
    std::fs::remove_file(&path).unwrap();
    let mut late = folder.path().join("b.txt");
    std::fs::write(&late, "x\n".repeat(20)).unwrap();
    let options = json!({ "path": late, "split": 6 });
    let mut gone = reader(&options, context().with_instance(1, 2));
    late = folder.path().join("c.txt");
    std::fs::rename(folder.path().join("b.txt"), late).unwrap();
    let error = gone.poll(&mut out).expect_err("gone");
    assert!(error.to_string().contains("b.txt cannot be read"), "{error}");
}
