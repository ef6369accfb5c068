//! Parquet and Arrow IPC: what is written is read again, by whom it should be, and what is broken is
//! an error.

#![allow(clippy::expect_used, clippy::panic, reason = "tests may")]

mod common;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::builder::{Int32Builder, ListBuilder, MapBuilder, StringBuilder};
use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, DictionaryArray,
    Float32Array, Float64Array, Int8Array, Int64Array, LargeStringArray, RecordBatch, StringArray,
    StringViewArray, StructArray, TimestampMicrosecondArray, TimestampNanosecondArray, UInt64Array,
};
use arrow_schema::{DataType, Field, Schema};
use common::{Collected, context, names, plan_read, read, read_with, registry, write, writer};
use gristmill_stage::{BatchTarget, Partitioning, Snapshot};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::properties::WriterProperties;
use proptest::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;

const ENDINGS: [&str; 2] = ["parquet", "arrow"];

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

/// A column of every type.
fn everything(rows: i64) -> RecordBatch {
    let some = |n: &i64| n % 3 != 1;
    let (mut lists, mut maps) = (
        ListBuilder::new(StringBuilder::new()),
        MapBuilder::new(None, StringBuilder::new(), Int32Builder::new()),
    );
    for n in 0..rows {
        (0..n % 4).for_each(|item| lists.values().append_option(some(&item).then_some("ü🦀")));
        lists.append(some(&n));
        maps.keys().append_value(format!("k{n}"));
        maps.values().append_option(some(&n).then_some(1));
        maps.append(some(&n)).expect("a map");
    }
    let numbers: Int64Array = (0..rows).map(|n| some(&n).then_some(n)).collect();
    let texts: StringArray =
        (0..rows).map(|n| some(&n).then(|| "ä\n".repeat(n as usize % 5))).collect();
    let nested = StructArray::from(vec![
        (Arc::new(Field::new("n", DataType::Int64, true)), Arc::new(numbers.clone()) as ArrayRef),
        (Arc::new(Field::new("s", DataType::Utf8, true)), Arc::new(texts.clone()) as ArrayRef),
    ]);
    let times = (0..rows).map(|n| some(&n).then_some(n * 1_000_003));
    let bytes: Vec<Vec<u8>> = (0..rows).map(|n| vec![0xFF, n as u8]).collect();
    let columns: Vec<(&str, ArrayRef, bool)> = vec![
        ("i64", Arc::new(numbers), true),
        ("i8", Arc::new((0..rows).map(|n| n as i8).collect::<Int8Array>()), false),
        ("u64", Arc::new((0..rows).map(|n| u64::MAX - n as u64).collect::<UInt64Array>()), false),
        ("f32", Arc::new((0..rows).map(|n| n as f32 / 3.0).collect::<Float32Array>()), false),
        (
            "f64",
            Arc::new(
                (0..rows)
                    .map(|n| some(&n).then_some(f64::MAX / n as f64))
                    .collect::<Float64Array>(),
            ),
            true,
        ),
        (
            "bool",
            Arc::new((0..rows).map(|n| some(&n).then_some(n % 2 == 0)).collect::<BooleanArray>()),
            true,
        ),
        ("text", Arc::new(texts), true),
        ("bytes", Arc::new(BinaryArray::from_iter_values(bytes)), false),
        (
            "date",
            Arc::new((0..rows).map(|n| some(&n).then_some(n as i32)).collect::<Date32Array>()),
            true,
        ),
        (
            "micros",
            Arc::new(times.clone().collect::<TimestampMicrosecondArray>().with_timezone("UTC")),
            true,
        ),
        ("nanos", Arc::new(times.collect::<TimestampNanosecondArray>()), true),
        (
            "decimal",
            Arc::new(
                (0..rows)
                    .map(|n| some(&n).then_some(n as i128))
                    .collect::<Decimal128Array>()
                    .with_precision_and_scale(20, 2)
                    .expect("decimal"),
            ),
            true,
        ),
        ("list", Arc::new(lists.finish()), true),
        ("map", Arc::new(maps.finish()), true),
        ("struct", Arc::new(nested), true),
    ];
    RecordBatch::try_from_iter_with_nullable(columns).expect("batch")
}

fn written(folder: &TempDir, ending: &str, batch: &RecordBatch, more: Value) -> PathBuf {
    let path = folder.path().join(format!("out.{ending}"));
    let mut options = json!({ "path": path });
    options.as_object_mut().expect("options").extend(more.as_object().expect("options").clone());
    write(&options, &batch.schema(), std::slice::from_ref(batch)).expect("written");
    path
}

#[test]
fn every_type_is_read_as_it_was_written() {
    let (folder, batch) = (folder(), everything(100));
    for ending in ENDINGS {
        for compression in ["none", "zstd", "lz4"] {
            let path = written(&folder, ending, &batch, json!({ "compression": compression }));
            let options = json!({ "path": path });
            assert_eq!(plan_read(&options).expect("planned"), batch.schema(), "{ending}");
            assert_eq!(read(&options).one(), batch, "{ending}");
        }
        assert_eq!(names(folder.path()).len(), 1, "nothing is left aside");
        std::fs::remove_file(folder.path().join(format!("out.{ending}"))).expect("removed");
    }
}

#[test]
fn another_reader_reads_what_was_written() {
    let (folder, batch) = (folder(), everything(300));
    for compression in ["none", "gzip", "zstd", "lz4", "snappy"] {
        let more =
            json!({ "row_group": 64, "compression": compression, "columns": ["text", "struct"] });
        let path = written(&folder, "parquet", &batch, more);
        let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).expect("opened"))
            .expect("Parquet");
        let groups: Vec<i64> =
            reader.metadata().row_groups().iter().map(|group| group.num_rows()).collect();
        assert_eq!(groups, [64, 64, 64, 64, 44]);
        let read: Vec<RecordBatch> =
            reader.build().expect("a reader").map(|b| b.expect("rows")).collect();
        let read = arrow_select::concat::concat_batches(read[0].schema_ref(), &read).expect("one");
        assert_eq!(read, batch.project(&[6, 14]).expect("columns"));
    }
    let path = written(&folder, "arrow", &batch, json!({}));
    let mut reader =
        arrow_ipc::reader::FileReader::try_new(File::open(path).expect("opened"), None)
            .expect("IPC");
    assert_eq!(reader.next().expect("a batch").expect("rows"), batch);
}

#[test]
fn layouts_of_other_writers_become_plain() {
    let folder = folder();
    let words = ["a", "b", "a", "ü"];
    let words_of: DictionaryArray<Int32Type> = words.into_iter().collect();
    let batch = RecordBatch::try_from_iter([
        ("large", Arc::new(LargeStringArray::from_iter_values(words)) as ArrayRef),
        ("view", Arc::new(StringViewArray::from_iter_values(words))),
        ("words", Arc::new(words_of)),
    ])
    .expect("batch");
    let paths = ENDINGS.map(|ending| folder.path().join(format!("other.{ending}")));
    let file = |path: &Path| File::create(path).expect("made");
    let mut writer = ArrowWriter::try_new(file(&paths[0]), batch.schema(), None).expect("writer");
    writer.write(&batch).expect("written");
    writer.close().expect("closed");
    let mut writer =
        arrow_ipc::writer::FileWriter::try_new(file(&paths[1]), &batch.schema()).expect("writer");
    writer.write(&batch).expect("written");
    writer.finish().expect("closed");
    for path in paths {
        let out = read(&json!({ "path": path })).one();
        assert!(out.columns().iter().all(|column| *column.data_type() == DataType::Utf8));
        assert_eq!(common::json(&out), common::json(&batch));
        let again = folder.path().join("again").join(path.file_name().expect("a name"));
        write(&json!({ "path": again }), &batch.schema(), &[batch.clone(), batch.slice(1, 2)])
            .expect("written");
        assert_eq!(read(&json!({ "path": again })).rows().len(), 6);
    }
}

#[test]
fn blocks_are_dealt_to_workers_and_only_what_is_wanted_is_read() {
    let (folder, batch) = (folder(), everything(300));
    let path = written(&folder, "parquet", &batch, json!({ "row_group": 40 }));
    let options = json!({ "path": path });
    let kind = registry();
    let plan =
        |options: &Value| kind.get("read").expect("read").plan(options, None).expect("planned");
    assert_eq!(plan(&options).partitioning, Partitioning::Any);
    let narrow = Arc::new(Schema::new(vec![Field::new("i8", DataType::Int8, false)]));
    let mut all = Vec::new();
    for n in 0..3 {
        let context =
            context().with_instance(n, 3).with_schemas(Arc::new(Schema::empty()), narrow.clone());
        let gristmill_stage::Stage::Source(mut source) =
            kind.get("read").expect("read").build(&options, context).expect("built")
        else {
            panic!("a source was expected");
        };
        let mut out = Collected::default();
        while source.poll(&mut out).expect("poll") != gristmill_stage::Next::Done {}
        assert!(out.rows().len() >= 80, "worker {n} has {} rows", out.rows().len());
        assert_eq!(out.batches[0].schema(), narrow);
        all.extend(out.rows().iter().map(|row| row["i8"].as_i64().expect("a number")));
    }
    all.sort_unstable();
    let mut wanted: Vec<i64> = (0..300_i64).map(|n| i64::from(n as i8)).collect();
    wanted.sort_unstable();
    assert_eq!(all, wanted);
    let small = written(&folder, "arrow", &everything(3), json!({}));
    assert!(matches!(plan(&json!({ "path": small })).partitioning, Partitioning::Single(_)));
}

#[test]
fn a_restored_reader_goes_on_within_a_block() {
    let folder = folder();
    for ending in ENDINGS {
        let mut paths = Vec::new();
        for part in 0..3 {
            let path = folder.path().join(format!("{part}.{ending}"));
            let batch = everything(50 + part);
            let options = json!({ "path": path, "row_group": 20 });
            write(&options, &batch.schema(), &[batch]).expect("written");
            paths.push(path);
        }
        let options = json!({ "path": paths });
        let small = context().with_batch(BatchTarget { rows: 7, bytes: 1 << 20 });
        let whole = read_with(&options, small.clone(), false);
        let pieces = read_with(&options, small, true);
        assert_eq!(whole.rows().len(), 153);
        assert_eq!(whole.rows(), pieces.rows(), "{ending}");
        assert!(whole.batches.iter().all(|batch| batch.num_rows() <= 7));
    }
}

#[test]
fn large_values_do_not_make_large_batches() {
    let folder = folder();
    let text = "x".repeat(1 << 20);
    let column: ArrayRef = Arc::new(StringArray::from(vec![text.as_str(); 40]));
    let batch = RecordBatch::try_from_iter([("t", column)]).expect("batch");
    for ending in ENDINGS {
        let path = written(&folder, ending, &batch, json!({}));
        let target = BatchTarget { rows: 8192, bytes: 4 << 20 };
        let out = read_with(&json!({ "path": path }), context().with_batch(target), true);
        assert_eq!(out.rows().len(), 40);
        let most = out.batches.iter().map(|batch| batch.num_rows()).max();
        assert!(most <= Some(4), "{most:?} rows of 1 MiB in {ending}");
    }
}

#[test]
fn broken_files_are_errors_that_say_so() {
    let (folder, batch) = (folder(), everything(200));
    for ending in ENDINGS {
        let path = written(&folder, ending, &batch, json!({ "row_group": 50 }));
        let whole = std::fs::read(&path).expect("read");
        for (bytes, told) in [
            (&whole[..whole.len() - 1], "is cut short"),
            (&whole[..whole.len() / 2], "is cut short"),
            (&whole[..8], "is cut short"),
            (&b"{\"a\":1}\n"[..], "it is no "),
            (&b""[..], "it is no "),
        ] {
            std::fs::write(&path, bytes).expect("written");
            let error = plan_read(&json!({ "path": path })).expect_err(told);
            assert!(error.message().contains(told), "{error}");
            assert!(error.message().contains("out."), "{error}");
            assert_eq!(error.option_path(), Some("path"));
        }
    }
    let stream = folder.path().join("stream.arrow");
    std::fs::write(&stream, [0xFF; 40]).expect("written");
    let error = plan_read(&json!({ "path": stream })).expect_err("a stream");
    assert!(error.help_text().is_some_and(|help| help.contains("stream")), "{error}");
}

#[test]
fn files_of_other_columns_are_named() {
    let folder = folder();
    let (batch, path) = (everything(10), |name: &str| folder.path().join(name));
    let save = |name: &str, batch: &RecordBatch| {
        write(&json!({ "path": path(name) }), &batch.schema(), std::slice::from_ref(batch))
            .expect("written");
    };
    save("a.parquet", &batch.project(&[0, 6]).expect("columns"));
    save("order.parquet", &batch.project(&[6, 0]).expect("columns"));
    save("less.parquet", &batch.project(&[0]).expect("columns"));
    save("more.parquet", &batch.project(&[0, 6, 1]).expect("columns"));
    let other: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["x"]));
    save(
        "type.parquet",
        &RecordBatch::try_from_iter([("i64", texts), ("text", other)]).expect("batch"),
    );
    let both = |second: &str| json!({ "path": [path("a.parquet"), path(second)] });
    assert_eq!(read(&both("order.parquet")).rows().len(), 20);
    for (name, told) in [
        ("less.parquet", "less.parquet has no column `text`, other than"),
        ("more.parquet", "more.parquet has a column `i8`, other than"),
        ("type.parquet", "type.parquet has Utf8 in column `i64`, other than"),
    ] {
        let error = plan_read(&both(name)).expect_err(name);
        assert!(error.message().contains(told), "{error}");
    }
}

#[test]
fn option_mistakes_name_their_option() {
    let (folder, batch) = (folder(), everything(3));
    let path = written(&folder, "parquet", &batch, json!({}));
    for (options, option) in [
        (json!({ "path": path, "columns": { "i8": "int64" } }), "columns"),
        (json!({ "path": path, "compression": "gzip" }), "compression"),
        (json!({ "path": path, "delimiter": ";" }), "delimiter"),
        (json!({ "path": "-", "format": "arrow" }), "path"),
    ] {
        let error = plan_read(&options).expect_err("wrong");
        assert_eq!(error.option_path(), Some(option), "{options}: {error}");
    }
    for (options, option) in [
        (json!({ "path": "a.parquet.gz" }), "path"),
        (json!({ "path": "a.parquet", "append": true }), "append"),
        (json!({ "path": "a.parquet", "row_group": 0 }), "row_group"),
        (json!({ "path": "a.arrow", "compression": "gzip" }), "compression"),
        (json!({ "path": "a.csv", "compression": "snappy" }), "compression"),
    ] {
        let error = write(&options, &batch.schema(), &[]).expect_err("wrong");
        assert_eq!(error.option_path(), Some(option), "{options}: {error}");
    }
}

/// Writes with a restart after each batch, some of which forget what came after the snapshot.
fn restarting(options: &Value, batches: &[RecordBatch]) {
    let (schema, mut out) = (batches[0].schema(), Collected::default());
    let mut sink = writer(options, &schema, Snapshot::Stateless).expect("built");
    for (n, batch) in batches.iter().enumerate() {
        sink.process(batch.clone(), &mut out).expect("process");
        let snapshot = sink.snapshot().expect("snapshot");
        if n % 2 == 0 {
            sink.process(batch.clone(), &mut out).expect("process");
        }
        drop(sink);
        sink = writer(options, &schema, snapshot).expect("restored");
    }
    sink.finish(&mut out).expect("finish");
    let done = sink.snapshot().expect("snapshot");
    writer(options, &schema, done).expect("restored").finish(&mut out).expect("finish");
}

#[test]
fn a_restored_writer_goes_on() {
    let (folder, batch) = (folder(), everything(90));
    let batches: Vec<RecordBatch> = (0..9).map(|n| batch.slice(n * 10, 10)).collect();
    for name in ["o.parquet", "o.arrow", "o.jsonl.gz", "o.csv.zst", "o.jsonl"] {
        let path = folder.path().join(name);
        let options = json!({ "path": path, "row_group": 32, "columns": ["i64", "text"] });
        write(&options, &batch.schema(), &batches).expect("written");
        let plain = read(&json!({ "path": path })).rows();
        std::fs::remove_file(&path).expect("removed");
        restarting(&options, &batches);
        assert_eq!(read(&json!({ "path": path })).rows(), plain, "{name}");
        assert_eq!(names(folder.path()), [name], "nothing is left aside");
        std::fs::remove_file(&path).expect("removed");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Bytes that are not those that were written: an error or other rows, and never a panic or memory
    /// without end.
    #[test]
    fn damage_is_an_error(at in any::<proptest::sample::Index>(), byte in any::<u8>(), arrow in any::<bool>(), packed in any::<bool>()) {
        let folder = folder();
        let ending = ENDINGS[usize::from(arrow)];
        let compression = if packed { "zstd" } else { "none" };
        let path = written(&folder, ending, &everything(20), json!({ "compression": compression }));
        let mut bytes = std::fs::read(&path).expect("read");
        let at = at.index(bytes.len());
        bytes[at] = byte;
        std::fs::write(&path, bytes).expect("written");
        let options = json!({ "path": path });
        if let Ok(schema) = plan_read(&options) {
            let context = context().with_schemas(Arc::new(Schema::empty()), schema);
            let kind = registry();
            let Ok(gristmill_stage::Stage::Source(mut source)) = kind.get("read").expect("read").build(&options, context) else { return Ok(()) };
            let mut out = Collected::default();
            while let Ok(next) = source.poll(&mut out) {
                if next == gristmill_stage::Next::Done { break }
            }
        }
    }
}

#[test]
fn row_groups_of_another_writer_are_read_with_their_sizes() {
    let (folder, batch) = (folder(), everything(100));
    let path = folder.path().join("other.parquet");
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(9)).build();
    let file = File::create(&path).expect("made");
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).expect("writer");
    writer.write(&batch).expect("written");
    writer.close().expect("closed");
    assert_eq!(read(&json!({ "path": path })).one(), batch);
}
