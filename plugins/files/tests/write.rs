//! `write`: formats, and that nothing stands under the name before it is complete.

#![allow(clippy::expect_used, clippy::panic, reason = "tests may")]

mod common;

use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::{
    ArrayRef, BinaryArray, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use common::{Collected, names, read, registry, text, write, writer};
use gristmill_stage::{ErrorKind, Partitioning, Snapshot};
use proptest::prelude::*;
use serde_json::json;

fn batch() -> RecordBatch {
    let mut tags = ListBuilder::new(StringBuilder::new());
    tags.values().append_value("x,y");
    tags.values().append_null();
    tags.append(true);
    tags.append_null();
    let time = TimestampMicrosecondArray::from(vec![Some(0), None]).with_timezone("UTC");
    RecordBatch::try_from_iter([
        ("n", Arc::new(Int64Array::from(vec![Some(1), None])) as ArrayRef),
        ("f", Arc::new(Float64Array::from(vec![0.5, f64::NAN]))),
        ("t", Arc::new(StringArray::from(vec!["a\n\"ü\"", ""]))),
        ("tags", Arc::new(tags.finish())),
        ("time", Arc::new(time)),
        ("bytes", Arc::new(BinaryArray::from(vec![&b"\xff\x00"[..], b""]))),
    ])
    .expect("batch")
}

#[test]
fn json_lines_hold_every_type() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("new/folder/out.jsonl");
    write(&json!({ "path": path }), &batch().schema(), &[batch()]).expect("written");
    assert_eq!(
        text(&path),
        concat!(
            r#"{"n":1,"f":0.5,"t":"a\n\"ü\"","tags":["x,y",null],"time":"1970-01-01T00:00:00Z","bytes":"ff00"}"#,
            "\n",
            r#"{"n":null,"f":"NaN","t":"","tags":null,"time":null,"bytes":""}"#,
            "\n",
        )
    );
}

#[test]
fn csv_has_nested_values_as_json() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("out.csv");
    let options = json!({ "path": path, "columns": ["tags", "n", "t", "time"] });
    write(&options, &batch().schema(), &[batch()]).expect("written");
    assert_eq!(
        text(&path),
        "tags,n,t,time\n\"[\"\"x,y\"\",null]\",1,\"a\n\"\"ü\"\"\",1970-01-01T00:00:00Z\n,,,\n"
    );
}

#[test]
fn no_rows_make_an_empty_file_or_a_header() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, expected) in [
        ("o.jsonl", ""),
        ("o.csv", "n,f,t,tags,time,bytes\n"),
        ("o.tsv", "n\tf\tt\ttags\ttime\tbytes\n"),
    ] {
        let path = folder.path().join(name);
        write(&json!({ "path": path }), &batch().schema(), &[]).expect("written");
        assert_eq!(text(&path), expected);
    }
}

#[test]
fn nothing_stands_under_the_name_before_the_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("out.jsonl");
    std::fs::write(&path, "old\n").expect("written");
    let options = json!({ "path": path, "columns": ["n"] });
    let mut out = Collected::default();
    let mut sink = writer(&options, &batch().schema(), Snapshot::Stateless).expect("built");
    sink.process(batch(), &mut out).expect("process");
    assert_eq!((text(&path).as_str(), names(folder.path()).len()), ("old\n", 2));
    drop(sink);
    assert_eq!(names(folder.path()), ["out.jsonl"], "a dropped stage leaves nothing");
    assert_eq!(text(&path), "old\n");
    write(&options, &batch().schema(), &[batch()]).expect("written");
    assert_eq!(text(&path), "{\"n\":1}\n{\"n\":null}\n");
    assert_eq!(names(folder.path()), ["out.jsonl"]);
}

#[test]
fn the_longest_name_can_be_written() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in [format!("{}.jsonl", "n".repeat(249)), format!("x{}.jsonl", "ü".repeat(124))] {
        assert_eq!(name.len(), 255);
        let path = folder.path().join(&name);
        let options = json!({ "path": path, "columns": ["n"] });
        write(&options, &batch().schema(), &[batch()]).expect("written");
        assert_eq!(names(folder.path()), [&*name]);
        assert_eq!(text(&path), "{\"n\":1}\n{\"n\":null}\n");
        std::fs::remove_file(path).expect("removed");
    }
    let options = json!({ "path": folder.path().join(format!("{}.jsonl", "n".repeat(250))) });
    let error = write(&options, &batch().schema(), &[]).expect_err("too long");
    assert_eq!(error.option_path(), Some("path"), "{error}");
}

#[test]
fn a_link_stays_and_what_it_points_to_is_written() {
    use std::os::unix::fs::symlink;
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let options = json!({ "path": path("link.jsonl"), "columns": ["n"] });
    // To another link, to a file that is not there in a folder that is not there.
    symlink("second", path("link.jsonl")).expect("a link");
    symlink(path("new/target"), path("second")).expect("a link");
    for _ in 0..2 {
        write(&options, &batch().schema(), &[batch()]).expect("written");
        assert_eq!(text(&path("new/target")), "{\"n\":1}\n{\"n\":null}\n");
        assert_eq!(names(&path("new")), ["target"]);
        assert!(path("link.jsonl").is_symlink() && path("second").is_symlink());
    }
    symlink("circle.jsonl", path("circle.jsonl")).expect("a link");
    let error = write(&json!({ "path": path("circle.jsonl") }), &batch().schema(), &[]);
    assert!(error.expect_err("a circle").message().contains("circle"));
    // What is found out of the place of the link is true of what it points to.
    std::fs::write(path("file"), "").expect("written");
    symlink(path("file/out"), path("into.jsonl")).expect("a link");
    let error = write(&json!({ "path": path("into.jsonl") }), &batch().schema(), &[]);
    assert_eq!(error.expect_err("no folder").option_path(), Some("path"));
}

#[test]
fn append_adds_once_it_is_complete_and_repeats_no_header() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("out.csv");
    let options = json!({ "path": path, "columns": ["n", "f"], "append": true });
    for _ in 0..2 {
        write(&options, &batch().schema(), &[batch()]).expect("written");
    }
    assert_eq!(text(&path), "n,f\n1,0.5\n,NaN\n1,0.5\n,NaN\n");
    assert_eq!(names(folder.path()), ["out.csv"]);
}

#[test]
fn a_restored_writer_forgets_what_came_after_its_snapshot() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("out.csv");
    let options = json!({ "path": path, "columns": ["n"] });
    let schema = batch().schema();
    let mut out = Collected::default();
    let mut sink = writer(&options, &schema, Snapshot::Stateless).expect("built");
    sink.process(batch(), &mut out).expect("process");
    let snapshot = sink.snapshot().expect("snapshot");
    sink.process(batch(), &mut out).expect("process");
    drop(sink);
    for _ in 0..2 {
        // The second time the file is complete already, as after a crash just behind the end.
        let mut sink = writer(&options, &schema, snapshot.clone()).expect("restored");
        sink.process(batch().slice(0, 1), &mut out).expect("process");
        sink.finish(&mut out).expect("finish");
        let done = sink.snapshot().expect("snapshot");
        assert_eq!(text(&path), "n\n1\n\"\"\n1\n");
        let mut sink = writer(&options, &schema, done).expect("restored");
        sink.finish(&mut out).expect("finish");
        assert_eq!(text(&path), "n\n1\n\"\"\n1\n");
        assert_eq!(names(folder.path()), ["out.csv"]);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error_that_says_so() {
    let options = json!({ "path": "/dev/full", "format": "jsonl" });
    let error = write(&options, &batch().schema(), &[batch()]).expect_err("full");
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(
        error.message().contains("no space left") && error.message().contains("/dev/full"),
        "{error}"
    );
    write(&json!({ "path": "/dev/null", "format": "csv" }), &batch().schema(), &[batch()])
        .expect("written");
}

#[test]
fn each_worker_has_its_file_or_there_is_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let plan = |path: &str| {
        let options = json!({ "path": folder.path().join(path) });
        registry()
            .get("write")
            .expect("write")
            .plan(&options, Some(&batch().schema()))
            .expect("planned")
    };
    assert_eq!(plan("o-{worker}.jsonl").partitioning, Partitioning::Any);
    let one = plan("o.jsonl");
    assert!(matches!(one.partitioning, Partitioning::Single(_)));
    assert_eq!(one.writes, [folder.path().join("o.jsonl")]);
    assert!(names(folder.path()).is_empty(), "a plan makes nothing");
    write(&json!({ "path": folder.path().join("o-{worker}.jsonl") }), &batch().schema(), &[])
        .expect("written");
    assert_eq!(names(folder.path()), ["o-0.jsonl"]);
}

#[test]
fn option_mistakes_name_their_option() {
    let folder = tempfile::tempdir().expect("a folder");
    let inside = folder.path().join("file");
    std::fs::write(&inside, "").expect("written");
    for (options, option) in [
        (json!({ "path": "" , "format": "csv" }), "path"),
        (json!({ "path": folder.path(), "format": "csv" }), "path"),
        (json!({ "path": inside.join("out.csv") }), "path"),
        (json!({ "path": "out.dat" }), "format"),
        (json!({ "path": "out.csv", "columns": ["n", "zzz"] }), "columns.1"),
        (json!({ "path": "out.csv", "columns": ["n", "n"] }), "columns.1"),
        (json!({ "path": "out.csv", "delimiter": "ß" }), "delimiter"),
    ] {
        let planned =
            registry().get("write").expect("write").plan(&options, Some(&batch().schema()));
        let error = planned.expect_err(&options.to_string());
        assert_eq!(error.option_path(), Some(option), "{options}: {error}");
    }
}

#[test]
fn one_row_of_50_mib_is_written_and_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let big: ArrayRef = Arc::new(StringArray::from(vec!["x\"\n".repeat((50 << 20) / 3)]));
    let batch = RecordBatch::try_from_iter([("t", big)]).expect("batch");
    let path = folder.path().join("big.jsonl");
    write(&json!({ "path": path }), &batch.schema(), std::slice::from_ref(&batch))
        .expect("written");
    let out = read(&json!({ "path": path, "columns": { "t": "string" }, "max_line": "1GiB" }));
    assert_eq!(out.one().column(0), batch.column(0));
}

type Cells = (Option<i64>, Option<f64>, Option<bool>, Option<String>);

fn cells() -> impl Strategy<Value = Vec<Cells>> {
    let text =
        prop_oneof![Just(String::new()), "[a-c,;\"'\t\r\n\\\\ äß€🦀\u{0}]{0,8}", any::<String>()];
    let float = prop_oneof![
        8 => any::<f64>(),
        1 => proptest::sample::select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY]),
    ];
    let row = (
        any::<Option<i64>>(),
        proptest::option::of(float),
        any::<Option<bool>>(),
        proptest::option::of(text),
    );
    proptest::collection::vec(row, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read_again(rows in cells(), csv in any::<bool>()) {
        let text = |text: &Option<String>| match csv {
            // CSV cannot tell an empty text from none.
            true => text.clone().filter(|text| !text.is_empty()),
            false => text.clone(),
        };
        let batch = RecordBatch::try_from_iter_with_nullable([
            ("i", Arc::new(rows.iter().map(|row| row.0).collect::<Int64Array>()) as ArrayRef, true),
            ("f", Arc::new(rows.iter().map(|row| row.1).collect::<Float64Array>()), true),
            ("b", Arc::new(rows.iter().map(|row| row.2).collect::<arrow_array::BooleanArray>()), true),
            ("s", Arc::new(rows.iter().map(|row| text(&row.3)).collect::<StringArray>()), true),
        ]).expect("batch");
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(if csv { "rows.csv" } else { "rows.jsonl" });
        write(&json!({ "path": path }), &batch.schema(), std::slice::from_ref(&batch)).expect("written");
        let columns = json!({ "i": "int64", "f": "float64", "b": "boolean", "s": "string" });
        let out = read(&json!({ "path": path, "columns": columns }));
        prop_assert!(out.rejected.is_empty(), "{:?}", out.rejected);
        prop_assert_eq!(out.one(), batch);
    }
}
