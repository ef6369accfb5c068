//! Groups that do not fit into memory go to disk and come back the same: with any keys, also when the
//! stage is stopped, killed and restored at any moment.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails the test")]

mod common;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use common::{Collected, batch, build, run};
use gristmill_stage::{Snapshot, Transform};
use proptest::prelude::*;
use serde_json::{Value, json};

/// A table whose keys and values are drawn by the number of the row.
fn table(from: u64, rows: u64, keys: u64) -> RecordBatch {
    let draw = |row: u64| (row + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
    let draws: Vec<u64> = (from..from + rows).map(draw).collect();
    let key = |d: u64| d % keys;
    let float = |d: u64| match key(d) {
        0 => f64::NAN,
        1 => -0.0,
        k => k as f64 / 4.0,
    };
    let text = |d: u64| (key(d) % 7 != 0).then(|| format!("text {}", key(d)));
    batch([
        (
            "n",
            Arc::new(draws.iter().map(|d| Some(key(*d) as i64)).collect::<Int64Array>())
                as ArrayRef,
        ),
        ("t", Arc::new(draws.iter().map(|d| text(*d)).collect::<StringArray>())),
        ("f", Arc::new(draws.iter().map(|d| Some(float(*d))).collect::<Float64Array>())),
        (
            "v",
            Arc::new(
                draws
                    .iter()
                    .map(|d| (d % 5 != 0).then_some(*d as i64 % 1000))
                    .collect::<Int64Array>(),
            ),
        ),
        (
            "w",
            Arc::new(draws.iter().map(|d| Some(format!("w{}", d % 50))).collect::<StringArray>()),
        ),
    ])
}

const KEYS: [&[&str]; 4] = [&["n"], &["t"], &["f", "t"], &["t", "n", "f"]];

fn options(keys: usize, bound: Option<(&Path, &str)>) -> Value {
    let mut options = json!({ "group_by": KEYS[keys], "select": {
        "rows": "count(*)",
        "sum": "sum(v)",
        "mean": "avg(v)",
        "high": "max(w)",
        "values": "array_agg(DISTINCT v ORDER BY v)",
        "p50": "median(v)",
        "few": "count(v) FILTER (WHERE v < 500) * 2",
    } });
    if let Some((folder, memory)) = bound {
        options["memory"] = json!(memory);
        options["spill"] = json!(folder);
    }
    options
}

fn sorted(mut rows: Vec<String>) -> Vec<String> {
    rows.sort();
    rows
}

fn files(folder: &Path) -> usize {
    let folders = fs::read_dir(folder).unwrap();
    folders.map(|folder| fs::read_dir(folder.unwrap().path()).unwrap().count()).sum()
}

/// As a killed process leaves it: nobody cleans up.
fn kill(stage: Box<dyn Transform>) {
    std::mem::forget(stage);
}

/// Runs within a bound. What `moment` says after each call is done: nothing, a snapshot, or a snapshot
/// from which another goes on after the first has worked on for so many calls and was killed.
fn bounded(
    keys: usize,
    batches: &[RecordBatch],
    folder: &Path,
    mut moment: impl FnMut() -> u8,
) -> Vec<String> {
    let options = options(keys, Some((folder, "1MiB")));
    let schema = batches[0].schema();
    let make = |snapshot| build("aggregate", &options, &schema, snapshot, 1000).unwrap();
    let mut stage = make(Snapshot::Stateless);
    // What a snapshot was taken after: calls, and batches that had come out.
    let mut out = Collected::default();
    let mut done = 0;
    let mut saved = (stage.snapshot().unwrap(), done, out.emitted.len());
    let mut finished = false;
    loop {
        if done < batches.len() {
            stage.process(batches[done].clone(), &mut out).unwrap();
        } else if !finished || stage.holding() {
            stage.finish(&mut out).unwrap();
            finished = true;
        } else {
            return sorted(out.rows());
        }
        done += 1;
        match moment() {
            0 => saved = (stage.snapshot().unwrap(), done, out.emitted.len()),
            1 => {
                kill(stage);
                stage = make(saved.0.clone());
                done = saved.1;
                finished = done > batches.len();
                out.emitted.truncate(saved.2);
            }
            _ => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn a_bound_changes_nothing(
        keys in 0..KEYS.len(),
        distinct in prop_oneof![1..100_u64, 1000..40_000_u64],
        rows in prop::collection::vec(1..4000_u64, 4..12),
        mut moments in prop::collection::vec(0..12_u8, 60),
    ) {
        let mut from = 0;
        let batches: Vec<_> = rows.iter().map(|rows| {
            from += rows;
            table(from - rows, *rows, distinct)
        }).collect();
        let folder = tempfile::tempdir().unwrap();
        let expected = sorted(run("aggregate", options(keys, None), &batches).rows());
        let found = bounded(keys, &batches, folder.path(), || moments.pop().unwrap_or(9));
        let different = found.iter().zip(&expected).find(|(found, expected)| found != expected);
        prop_assert_eq!(different, None);
        prop_assert_eq!(found.len(), expected.len());
    }
}

/// More files than are merged at once, and nothing stays.
#[test]
fn many_keys() {
    let folder = tempfile::tempdir().unwrap();
    let batches: Vec<_> = (0..40).map(|n| table(n * 8192, 8192, 150_000)).collect();
    let options = |bound: Option<&Path>| {
        let select = json!({ "rows": "count(*)", "sum": "sum(v)" });
        let mut options = json!({ "group_by": ["n", "t"], "select": select });
        if let Some(folder) = bound {
            options["memory"] = json!("1MiB");
            options["spill"] = json!(folder);
        }
        options
    };
    let expected = run("aggregate", options(None), &batches);
    let schema = batches[0].schema();
    let mut stage =
        build("aggregate", &options(Some(folder.path())), &schema, Snapshot::Stateless, 500)
            .unwrap();
    let mut out = Collected::default();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "no folder before it is needed");
    for batch in batches {
        stage.process(batch, &mut out).unwrap();
    }
    let before = files(folder.path());
    assert!(before > 20, "{before} files");
    stage.finish(&mut out).unwrap();
    let mut fewest = before;
    while stage.holding() {
        stage.wake(&mut out).unwrap();
        fewest = fewest.min(files(folder.path()));
    }
    assert!(fewest < before, "files were put together");
    let largest = out.emitted.iter().map(RecordBatch::num_rows).max().unwrap();
    assert!(largest <= 500, "a batch of {largest}");
    assert_eq!(sorted(out.rows()), sorted(expected.rows()));
    drop(stage);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "the files went");
}

/// Several workers' groups, on disk and in memory, add up.
#[test]
fn states_of_several_workers() {
    let folder = tempfile::tempdir().unwrap();
    let options_of = options(1, Some((folder.path(), "1MiB")));
    let batches: Vec<_> = (0..6).map(|n| table(n * 3000, 3000, 5000)).collect();
    let schema = batches[0].schema();
    let make = |snapshot| build("aggregate", &options_of, &schema, snapshot, 1000).unwrap();
    let mut out = Collected::default();
    let mut parts = Vec::new();
    for half in batches.chunks(3) {
        let mut stage = make(Snapshot::Stateless);
        half.iter().for_each(|batch| stage.process(batch.clone(), &mut out).unwrap());
        let Snapshot::State(state) = stage.snapshot().unwrap() else { unreachable!() };
        parts.extend(state.parts);
        kill(stage);
    }
    assert!(files(folder.path()) > 1);
    let mut stage = make(Snapshot::parts(1, parts));
    common::finish(stage.as_mut(), &mut out).unwrap();
    drop(stage);
    let expected = run("aggregate", options(1, None), &batches);
    assert_eq!(sorted(out.rows()), sorted(expected.rows()));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "the files went");
}

/// Groups on disk count, too, when they are put together.
#[test]
fn more_groups_than_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = options(0, Some((folder.path(), "1MiB")));
    options["max_groups"] = json!(9000);
    let schema = table(0, 1, 1).schema();
    let mut stage = build("aggregate", &options, &schema, Snapshot::Stateless, 1000).unwrap();
    let mut out = Collected::default();
    for n in 0..10 {
        stage.process(table(n * 2000, 2000, 1_000_000), &mut out).unwrap();
    }
    let mut failed = stage.finish(&mut out);
    while failed.is_ok() && stage.holding() {
        failed = stage.wake(&mut out);
    }
    assert_eq!(failed.unwrap_err().message(), "there are more than 9000 groups");
}
