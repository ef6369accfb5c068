//! `write` into several files: folders by value, and files that roll.

#![allow(clippy::expect_used, clippy::panic, reason = "tests may")]

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use arrow_array::{ArrayRef, Date32Array, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow_schema::SchemaRef;
use common::{Collected, context, names, read, registry, text, write, writer};
use gristmill_stage::{Clock, Partitioning, Snapshot, Stage, Transform};
use serde_json::{Value, json};
use tempfile::TempDir;

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

fn batch(rows: i64) -> RecordBatch {
    let keys = (0..rows).map(|n| ["DE", "a/b", "ü"].get((n % 4) as usize).copied());
    let days = (0..rows).map(|n| Some((n / 10) as i32));
    RecordBatch::try_from_iter_with_nullable([
        ("n", Arc::new((0..rows).collect::<Int64Array>()) as ArrayRef, true),
        ("key", Arc::new(keys.collect::<StringArray>()), true),
        ("day", Arc::new(days.collect::<Date32Array>()), true),
    ])
    .expect("batch")
}

/// All files under a folder, with their texts.
fn files(folder: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for name in names(folder) {
        let path = folder.join(&name);
        match path.is_dir() {
            true => {
                let inner = files(&path).into_iter();
                found.extend(inner.map(|(inside, text)| (format!("{name}/{inside}"), text)));
            }
            false => {
                found.insert(name, text(&path));
            }
        }
    }
    found
}

#[test]
fn rows_go_to_the_folder_of_their_value() {
    let folder = folder();
    let options = json!({ "path": folder.path().join("part.csv"), "partition_by": ["key", "day"] });
    write(&options, &batch(12).schema(), &[batch(12).slice(0, 7), batch(12).slice(7, 5)])
        .expect("written");
    let found = files(folder.path());
    let wanted = [
        ("key=DE/day=1970-01-01/part-00001.csv", "n\n0\n4\n8\n"),
        ("key=__HIVE_DEFAULT_PARTITION__/day=1970-01-01/part-00001.csv", "n\n3\n7\n"),
        ("key=__HIVE_DEFAULT_PARTITION__/day=1970-01-02/part-00001.csv", "n\n11\n"),
        ("key=a%2Fb/day=1970-01-01/part-00001.csv", "n\n1\n5\n9\n"),
        ("key=ü/day=1970-01-01/part-00001.csv", "n\n2\n6\n"),
        ("key=ü/day=1970-01-02/part-00001.csv", "n\n10\n"),
    ];
    let wanted = wanted.map(|(name, text)| (name.to_owned(), text.to_owned()));
    assert_eq!(found, BTreeMap::from(wanted));
}

#[test]
fn a_value_cannot_leave_its_folder_and_the_word_for_null_is_no_null() {
    let folder = folder();
    let long = "x".repeat(300);
    let keys = vec![
        Some(".."),
        Some(""),
        Some("%"),
        Some("__HIVE_DEFAULT_PARTITION__"),
        Some(&long),
        None,
        Some("a\u{0}b"),
    ];
    let rows = keys.len() as i64;
    let batch = RecordBatch::try_from_iter_with_nullable([
        ("k=", Arc::new(StringArray::from(keys)) as ArrayRef, true),
        ("n", Arc::new((0..rows).collect::<Int64Array>()), true),
    ])
    .expect("batch");
    let options = json!({ "path": folder.path().join("in/part.jsonl"), "partition_by": ["k="] });
    let mut out = Collected::default();
    let mut sink = writer(&options, &batch.schema(), Snapshot::Stateless).expect("built");
    sink.process(batch, &mut out).expect("process");
    sink.finish(&mut out).expect("finish");
    assert_eq!(names(folder.path()), ["in"]);
    let found: Vec<String> = names(&folder.path().join("in"));
    let null = "k%3D=__HIVE_DEFAULT_PARTITION__";
    let wanted =
        ["k%3D=", "k%3D=%25", "k%3D=%5F_HIVE_DEFAULT_PARTITION__", "k%3D=..", null, "k%3D=a%00b"];
    assert_eq!(found, wanted);
    assert_eq!(out.lost().len(), 1);
    assert!(out.rejected[0].1.contains("too long for a name"), "{}", out.rejected[0].1);
}

#[test]
fn files_roll_by_rows_and_by_bytes() {
    let folder = folder();
    let path = |name: &str| folder.path().join(name);
    let schema = batch(0).schema();
    let batches: Vec<RecordBatch> = (0..5).map(|n| batch(25).slice(n * 5, 5)).collect();
    let rows = |name: &str, file: &str| text(&path(name).join(file)).lines().count();
    let options = json!({ "path": path("rows/o.jsonl"), "roll": { "rows": 7 } });
    write(&options, &schema, &batches).expect("written");
    let written = names(&path("rows"));
    assert_eq!(written, ["o-00001.jsonl", "o-00002.jsonl", "o-00003.jsonl", "o-00004.jsonl"]);
    let counts: Vec<usize> = written.iter().map(|name| rows("rows", name)).collect();
    assert_eq!(counts, [7, 7, 7, 4]);
    let options = json!({ "path": path("bytes/o.csv"), "roll": { "bytes": 40 } });
    write(&options, &schema, &batches).expect("written");
    assert_eq!(names(&path("bytes")).len(), 5, "each batch has more than 40 bytes");
    assert_eq!(rows("bytes", "o-00005.csv"), 6, "each file has its header");
    for format in ["parquet", "arrow"] {
        let options =
            json!({ "path": path(format).join(format!("o.{format}")), "roll": { "rows": 10 } });
        write(&options, &schema, &batches).expect("written");
        assert_eq!(names(&path(format)).len(), 3);
        let all = read(&json!({ "path": path(format).join("*") }));
        assert_eq!(all.one(), batch(25));
    }
}

#[test]
fn a_file_stands_under_its_name_when_it_is_complete() {
    let folder = folder();
    let options = json!({ "path": folder.path().join("o.jsonl"), "roll": { "rows": 4 } });
    let mut out = Collected::default();
    let mut sink = writer(&options, &batch(0).schema(), Snapshot::Stateless).expect("built");
    let visible = || {
        let mut names = names(folder.path());
        names.retain(|name| !name.starts_with('.'));
        names
    };
    sink.process(batch(3), &mut out).expect("process");
    assert!(visible().is_empty());
    sink.process(batch(3), &mut out).expect("process");
    assert_eq!(visible(), ["o-00001.jsonl"]);
    drop(sink);
    assert_eq!(names(folder.path()), ["o-00001.jsonl"], "what was half is gone");
}

#[test]
fn files_of_an_earlier_run_are_not_mixed_with_new_ones() {
    let folder = folder();
    let path = |name: &str| folder.path().join(name);
    let schema = batch(0).schema();
    for (options, number) in [
        (json!({ "path": path("a/o.jsonl"), "roll": { "rows": 10 } }), "a/o-00002.jsonl"),
        (json!({ "path": path("b/o.jsonl"), "partition_by": ["key"] }), "b/key=DE/o-00002.jsonl"),
    ] {
        write(&options, &schema, &[batch(9)]).expect("written");
        let error = write(&options, &schema, &[batch(9)]).expect_err("mixed");
        assert_eq!(error.option_path(), Some("path"), "{error}");
        let mut more = options.clone();
        more["append"] = json!(true);
        write(&more, &schema, &[batch(9)]).expect("written");
        assert!(path(number).exists(), "{number}");
    }
}

#[test]
fn no_more_files_are_open_than_may_be() {
    let folder = folder();
    let keys: ArrayRef = Arc::new((0..60).map(|n| n % 6).collect::<Int64Array>());
    let numbers: ArrayRef = Arc::new((0..60).collect::<Int64Array>());
    let batch = RecordBatch::try_from_iter([("k", keys), ("n", numbers)]).expect("batch");
    let batches: Vec<RecordBatch> = (0..10).map(|n| batch.slice(n * 6, 6)).collect();
    for ending in ["jsonl", "parquet"] {
        let path = folder.path().join(ending).join(format!("o.{ending}"));
        let options = json!({ "path": path, "partition_by": ["k"], "open_files": 4 });
        let mut out = Collected::default();
        let mut sink = writer(&options, &batch.schema(), Snapshot::Stateless).expect("built");
        for batch in &batches {
            sink.process(batch.clone(), &mut out).expect("process");
            let open = (0..6).map(|k| folder.path().join(format!("{ending}/k={k}")));
            let open = open.filter(|k| k.exists()).flat_map(|k| names(&k));
            assert!(open.filter(|name| name.starts_with('.')).count() <= 4);
        }
        sink.finish(&mut out).expect("finish");
        let all = read(&json!({ "path": folder.path().join(ending).join("k=*/*") }));
        let mut rows: Vec<i64> = all.rows().iter().filter_map(|row| row["n"].as_i64()).collect();
        rows.sort_unstable();
        assert_eq!(rows, (0..60).collect::<Vec<i64>>());
    }
}

/// A clock that is set by hand.
#[derive(Default)]
struct Hands(Mutex<Duration>);

impl Clock for Hands {
    fn now(&self) -> Duration {
        *self.0.lock().expect("a clock")
    }

    fn wall(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + self.now()
    }
}

fn built(
    options: &Value,
    schema: &SchemaRef,
    clock: Arc<Hands>,
    restored: Snapshot,
    resumable: bool,
) -> Box<dyn Transform> {
    let context = gristmill_stage::BuildContext::new("out", clock)
        .with_schemas(schema.clone(), Arc::new(arrow_schema::Schema::empty()))
        .with_resumable(resumable)
        .with_restored(restored);
    match registry().get("write").expect("write").build(options, context).expect("built") {
        Stage::Transform(sink) => sink,
        Stage::Source(_) => panic!("a sink was expected"),
    }
}

#[test]
fn files_roll_by_time() {
    let folder = folder();
    let options = json!({ "path": folder.path().join("o.jsonl"), "roll": { "every": "10s" } });
    let (clock, mut out) = (Arc::new(Hands::default()), Collected::default());
    let set = |seconds| *clock.0.lock().expect("a clock") = Duration::from_secs(seconds);
    let schema = batch(0).schema();
    let mut sink = built(&options, &schema, clock.clone(), Snapshot::Stateless, true);
    set(5);
    assert_eq!(sink.wake_at(), None, "no file is begun");
    sink.process(batch(1), &mut out).expect("process");
    assert_eq!(sink.wake_at(), Some(Duration::from_secs(15)));
    set(14);
    sink.wake(&mut out).expect("wake");
    assert_eq!(names(folder.path()).len(), 1);
    set(15);
    sink.wake(&mut out).expect("wake");
    assert_eq!(names(folder.path()), ["o-00001.jsonl"]);
    sink.process(batch(2), &mut out).expect("process");
    sink.finish(&mut out).expect("finish");
    assert_eq!(names(folder.path()), ["o-00001.jsonl", "o-00002.jsonl"]);
}

#[test]
fn a_restored_sink_goes_on_with_all_its_files() {
    for ending in ["csv", "jsonl.zst", "parquet", "arrow"] {
        let whole = batch(40);
        let read_all = |folder: &TempDir| {
            let rows = read(&json!({ "path": folder.path().join("k*/*") })).rows();
            let mut rows: Vec<String> = rows.iter().map(Value::to_string).collect();
            rows.sort_unstable();
            rows
        };
        let options = |folder: &TempDir| {
            let path = folder.path().join(format!("o.{ending}"));
            json!({
                "path": path, "partition_by": ["key"], "roll": { "rows": 4 }, "row_group": 3,
                "columns": ["n", "key"], "open_files": 3,
            })
        };
        let plain = folder();
        write(&options(&plain), &whole.schema(), std::slice::from_ref(&whole)).expect("written");
        for resumable in [true, false] {
            let (folder, clock) = (folder(), Arc::new(Hands::default()));
            let (options, schema) = (options(&folder), whole.schema());
            let mut out = Collected::default();
            let mut sink = built(&options, &schema, clock.clone(), Snapshot::Stateless, resumable);
            for n in 0..8 {
                sink.process(whole.slice(n * 5, 5), &mut out).expect("process");
                let snapshot = sink.snapshot().expect("snapshot");
                assert_eq!(sink.snapshot().expect("snapshot"), snapshot);
                if n % 3 == 0 {
                    sink.committed(n as u64).expect("committed");
                }
                if n % 2 == 0 {
                    // What was written after the snapshot is written again.
                    if n < 7 && resumable {
                        sink.process(whole.slice(n * 5 + 5, 5), &mut out).expect("process");
                    }
                    match resumable {
                        true => drop(sink),
                        // As after a crash: nothing is cleaned up.
                        false => std::mem::forget(sink),
                    }
                    sink = built(&options, &schema, clock.clone(), snapshot, resumable);
                }
            }
            sink.finish(&mut out).expect("finish");
            assert_eq!(read_all(&folder), read_all(&plain), "{ending}, {resumable}");
            let left = files_left(folder.path());
            assert!(left.is_empty(), "{ending}, {resumable}: {left:?}");
        }
    }
}

/// What is aside.
fn files_left(folder: &Path) -> Vec<String> {
    let folders = names(folder).into_iter().map(|name| folder.join(name));
    let names = folders.flat_map(|folder| names(&folder));
    names.filter(|name| name.starts_with('.')).collect()
}

#[test]
fn workers_share_the_folders() {
    let folder = folder();
    let plan = |options: &Value| {
        let planned =
            registry().get("write").expect("write").plan(options, Some(&batch(0).schema()));
        planned.map(|planned| planned.partitioning)
    };
    let path = folder.path().join("o.csv");
    let by_key = json!({ "path": path, "partition_by": ["key"] });
    assert_eq!(plan(&by_key).expect("planned"), Partitioning::Keyed(vec!["key".to_owned()]));
    let rolled = json!({ "path": path, "roll": { "rows": 5 } });
    assert!(matches!(plan(&rolled).expect("planned"), Partitioning::Single(_)));
    let named = json!({ "path": folder.path().join("o-{worker}.csv"), "roll": { "rows": 5 } });
    assert_eq!(plan(&named).expect("planned"), Partitioning::Any);
    let _ = context();
}

#[test]
fn option_mistakes_name_their_option() {
    let folder = folder();
    let path = folder.path().join("o.csv");
    let floats: ArrayRef = Arc::new(Float64Array::from(vec![0.5]));
    let input = RecordBatch::try_from_iter([("f", floats.clone()), ("g", floats)]).expect("batch");
    for (options, option) in [
        (json!({ "path": path, "partition_by": [] }), "partition_by"),
        (json!({ "path": path, "partition_by": ["zzz"] }), "partition_by.0"),
        (json!({ "path": path, "partition_by": ["f"] }), "partition_by.0"),
        (json!({ "path": path, "roll": {} }), "roll"),
        (json!({ "path": path, "roll": { "rows": 0 } }), "roll.rows"),
        (json!({ "path": path, "roll": { "rows": 1 }, "open_files": 0 }), "open_files"),
        (json!({ "path": "-", "roll": { "rows": 1 } }), "roll"),
    ] {
        let error = write(&options, &input.schema(), &[]).expect_err("wrong");
        assert_eq!(error.option_path(), Some(option), "{options}: {error}");
    }
}

/// A run that was broken off leaves folders, and one that was killed files aside; neither is in the way.
#[test]
fn what_a_broken_off_run_leaves_is_no_file_of_it() {
    let folder = folder();
    let options = json!({ "path": folder.path().join("part.csv"), "partition_by": ["key"] });
    let schema = batch(12).schema();
    let mut sink = writer(&options, &schema, Snapshot::Stateless).expect("a writer");
    sink.process(batch(12), &mut Collected::default()).expect("taken");
    drop(sink);
    assert!(!names(folder.path()).is_empty() && files(folder.path()).is_empty());
    std::fs::write(folder.path().join("key=DE/.part-00001.csv.tmp-x"), "half").expect("written");
    write(&options, &schema, &[batch(12)]).expect("nothing is in the way");
    // But files are.
    let error = write(&options, &schema, &[batch(12)]).expect_err("there are files");
    assert!(error.message().contains("there are files of an earlier run"), "{error}");
}
