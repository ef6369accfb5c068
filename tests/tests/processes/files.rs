//! Files are whole and have each row once, whoever writes them and is killed.

use gristmill_runtime::Outcome;

use crate::kept::{killing, restarts};
use crate::mill::{Mill, lines, once};

const ROWS: usize = 20_000;

/// Writes rows from a child that is killed, and reads the files again: each row is there once.
fn written(mark: u64, path: &str, files: &str, more: &str) {
    let mill = Mill::new(ROWS);
    let stage = |kind: &str, words: &str, path: &str, more: &str| {
        let path = mill.path(path);
        format!("{{ type: {kind}, {words} with: {{ path: '{}', {more} }} }}", path.display())
    };
    let columns = "columns: { n: int64 }";
    let run = format!("run: {{ mode: process, limits: {{ open_files: {mark} }} }},");
    let stages = [stage("read", "", "in.jsonl", ""), stage("write", &run, path, more)];
    let report =
        killing(mark, || Mill::start(mill.plan_of("batch: { rows: 100 }", &stages)).wait());
    assert!(matches!(report.outcome, Outcome::Done), "{:?}", report.outcome);
    assert!(restarts(&report) > 0, "nobody was killed");
    let columns = if path.contains("json") { columns } else { "" };
    let stages = [stage("read", "", files, columns), stage("write", "", "out.jsonl", "")];
    let report = Mill::start(mill.plan_of("", &stages)).wait();
    assert!(matches!(report.outcome, Outcome::Done), "{:?}", report.outcome);
    assert_eq!(mill.output(), once(0..i64::try_from(ROWS).unwrap()));
    assert!(lines(&mill.path("rejected.jsonl")).is_empty());
}

#[test]
fn parquet() {
    written(1041, "a.parquet", "a.parquet", "row_group: 700");
}

#[test]
fn arrow() {
    written(1042, "a.arrow", "a.arrow", "compression: zstd");
}

#[test]
fn gzip() {
    written(1043, "a.jsonl.gz", "a.jsonl.gz", "");
}

#[test]
fn files_that_roll_by_time() {
    written(1045, "roll/a.jsonl.zst", "roll/*", "roll: { every: 20ms }");
}
