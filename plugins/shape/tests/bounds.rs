//! What large inputs may do: memory has an end, and disk is given back.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::path::Path;
use std::sync::Arc;

use arrow_array::builder::{Int64Builder, ListBuilder};
use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use gristmill_stage::{BatchTarget, BuildContext, Output, Result, Snapshot, Stage, SystemClock};
use gristmill_testkit::Harness;
use serde_json::json;

use common::{clean, cut, places, registry, start};

/// `count` rows with a text of `bytes` each, in an order that is none.
fn wide(count: i64, bytes: usize) -> RecordBatch {
    stepping(count, bytes, 7919)
}

/// The same, where each row is so many numbers behind the one before.
fn stepping(count: i64, bytes: usize, step: i64) -> RecordBatch {
    let numbers = (0..count).map(|n| n * step % count);
    let text = |n: i64| format!("{n:0>bytes$}");
    let columns: [(&str, ArrayRef); 2] = [
        ("n", Arc::new(Int64Array::from_iter_values(numbers.clone()))),
        ("text", Arc::new(StringArray::from_iter_values(numbers.map(text)))),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

fn files(folder: &Path) -> usize {
    let inner = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    inner.map(|path| std::fs::read_dir(path).map_or(1, Iterator::count)).sum()
}

fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).unwrap().next().is_none()
}

#[test]
fn a_list_of_a_million_items_leaves_in_small_batches() {
    let mut lists = ListBuilder::new(Int64Builder::new());
    for length in [3, 1_000_000, 0, 5] {
        lists.values().append_slice(&vec![7; length]);
        lists.append(true);
    }
    let rows = RecordBatch::try_from_iter([
        ("l", Arc::new(lists.finish()) as ArrayRef),
        ("n", Arc::new(Int64Array::from(vec![0, 1, 2, 3]))),
    ])
    .unwrap();
    let mut stage = start("unnest", &json!({ "column": "l" }), &rows.schema(), 8192);
    stage.run_transform([rows]).unwrap();
    let batches = clean(stage.into_collected());
    assert_eq!(places(&batches).len(), 1_000_008);
    assert!(batches.iter().all(|batch| batch.num_rows() <= 8192));
}

#[test]
fn a_long_text_beside_a_list_counts_for_each_item() {
    let mut lists = ListBuilder::new(Int64Builder::new());
    lists.values().append_slice(&[1; 500]);
    lists.append(true);
    let rows = RecordBatch::try_from_iter([
        ("l", Arc::new(lists.finish()) as ArrayRef),
        ("text", Arc::new(StringArray::from(vec!["x".repeat(10_000)]))),
    ])
    .unwrap();
    let target = BatchTarget { rows: 8192, bytes: 64 << 10 };
    let kind = registry();
    let kind = kind.get("unnest").unwrap().as_ref();
    let harness = Harness::new().with_batch(target);
    let mut stage = harness.build(kind, &json!({ "column": "l" }), Some(&rows.schema())).unwrap();
    stage.run_transform([rows]).unwrap();
    let batches = clean(stage.into_collected());
    assert!(batches.iter().all(|batch| batch.num_rows() <= 6), "10 kB each");
}

#[test]
fn what_does_not_fit_into_memory_is_an_error_that_says_so() {
    let rows = wide(20_000, 100);
    let small = "1MiB";
    for (kind, options, message, help) in [
        ("dedupe", json!({ "memory": small }), "different rows do not fit", "`approximate`"),
        (
            "dedupe",
            json!({ "memory": "4KiB", "approximate": { "false_positives": 1e-6 } }),
            "different rows do not fit",
            "`false_positives`",
        ),
        ("top", json!({ "by": "n", "rows": 15_000, "memory": small }), "take more", "fewer rows"),
        ("sample", json!({ "rows": 15_000, "memory": small }), "take more", "fewer rows"),
    ] {
        let mut stage = start(kind, &options, &rows.schema(), 1000);
        let error = cut(&rows, 1000).into_iter().find_map(|batch| stage.process(batch).err());
        let error = error.unwrap_or_else(|| panic!("{kind} took all"));
        assert!(error.message().contains(message), "{error}");
        assert!(error.help_text().unwrap().contains(help), "{error}");
    }
}

#[test]
fn many_rows_pass_through_little_memory() {
    let rows = wide(40_000, 100);
    for (kind, options, kept) in [
        ("top", json!({ "by": "n", "rows": 100, "memory": "1MiB" }), 100),
        ("sample", json!({ "rows": 100, "memory": "1MiB" }), 100),
        (
            "dedupe",
            json!({ "by": ["text"], "memory": "200KiB", "approximate": { "false_positives": 1e-6 } }),
            40_000,
        ),
    ] {
        let mut stage = start(kind, &options, &rows.schema(), 1000);
        stage.run_transform(cut(&rows, 1000)).unwrap();
        assert_eq!(places(&clean(stage.into_collected())).len(), kept, "{kind}");
    }
}

#[test]
fn rows_that_are_no_longer_the_best_are_let_go() {
    // Each is better than all before it.
    let rows = stepping(4_000, 2_000, 1);
    let options = json!({ "by": "n desc", "rows": 100, "memory": "1MiB" });
    let mut stage = start("top", &options, &rows.schema(), 100);
    stage.run_transform(cut(&rows, 50)).unwrap();
    let found = places(&clean(stage.into_collected()));
    assert_eq!(found, (3_900..4_000).rev().collect::<Vec<_>>());
}

#[test]
fn sort_puts_on_disk_what_does_not_fit_and_gives_the_disk_back() {
    let folder = tempfile::tempdir().unwrap();
    let (rows, spill) = (wide(40_000, 100), folder.path().join("new"));
    let options = json!({ "by": "n desc", "memory": "1MiB", "spill": spill });
    let mut stage = start("sort", &options, &rows.schema(), 1000);
    for batch in cut(&rows, 1000) {
        stage.process(batch).unwrap();
    }
    assert!(files(&spill) > 4);
    stage.finish().unwrap();
    let found = places(&clean(stage.into_collected()));
    assert_eq!(found, (0..40_000).rev().collect::<Vec<_>>());
    assert!(is_empty(&spill));
}

#[test]
fn a_sort_that_is_broken_off_gives_the_disk_back() {
    let folder = tempfile::tempdir().unwrap();
    let rows = wide(20_000, 100);
    let options = json!({ "by": "n desc", "memory": "1MiB", "spill": folder.path() });
    let mut stage = start("sort", &options, &rows.schema(), 1000);
    for batch in cut(&rows, 1000) {
        stage.process(batch).unwrap();
    }
    assert!(files(folder.path()) > 0);
    drop(stage);
    assert!(is_empty(folder.path()));
}

/// Collects the column `n`.
#[derive(Default)]
struct Places(Vec<i64>);

impl Output for Places {
    fn emit(&mut self, batch: RecordBatch) -> Result<()> {
        self.0.extend(places(&[batch]));
        Ok(())
    }

    fn reject(&mut self, _: RecordBatch, reason: &str) -> Result<()> {
        panic!("rejected: {reason}")
    }
}

#[test]
fn files_that_are_too_many_to_merge_at_once_are_merged_in_rounds() {
    let folder = tempfile::tempdir().unwrap();
    let rows = wide(6_000, 10);
    let options = json!({ "by": "n", "memory": "1MiB", "spill": folder.path() });
    let build = |restored| {
        let context = BuildContext::new("sort", Arc::new(SystemClock::start()))
            .with_batch(BatchTarget { rows: 100, ..BatchTarget::default() })
            .with_schemas(rows.schema(), rows.schema())
            .with_restored(restored);
        match registry().get("sort").unwrap().build(&options, context).unwrap() {
            Stage::Transform(stage) => stage,
            Stage::Source(_) => panic!("a sort is a transform"),
        }
    };
    let mut stage = build(Snapshot::Stateless);
    let mut found = Places::default();
    // A snapshot puts all rows on disk, in a file of its own.
    for batch in cut(&rows, 20) {
        stage.process(batch, &mut found).unwrap();
        stage.snapshot().unwrap();
    }
    assert_eq!(files(folder.path()), 300);
    // It is stopped in the middle of a round, and while rows leave. What it did after its last
    // snapshot is lost; another goes on from that.
    for calls in [3, 30] {
        stage.finish(&mut found).unwrap();
        for _ in 0..calls {
            stage.wake(&mut found).unwrap();
        }
        let snapshot = stage.snapshot().unwrap();
        for _ in 0..calls {
            stage.wake(&mut Places::default()).unwrap();
        }
        assert!(stage.holding());
        drop(stage);
        stage = build(snapshot);
    }
    let stopped = found.0.len();
    assert!((100..5_000).contains(&stopped), "{stopped}: it was to be stopped while rows leave");
    stage.finish(&mut found).unwrap();
    while stage.holding() {
        stage.wake(&mut found).unwrap();
    }
    assert_eq!(found.0, (0..6_000).collect::<Vec<_>>());
    drop(stage);
    assert!(is_empty(folder.path()));
}
