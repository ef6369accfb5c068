//! gzip and Zstandard, read and written.

#![allow(clippy::expect_used, clippy::panic, reason = "tests may")]

mod common;

use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use common::{Collected, context, plan_read, read, read_with, reader, write};
use flate2::read::{GzDecoder, MultiGzDecoder};
use flate2::write::GzEncoder;
use gristmill_stage::{BatchTarget, ErrorKind, Next};
use serde_json::{Value, json};
use tempfile::TempDir;

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

fn file(folder: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).expect("written");
    path
}

fn gzip(text: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_ref()).expect("written");
    encoder.finish().expect("written")
}

fn zstd(text: impl AsRef<[u8]>) -> Vec<u8> {
    zstd::encode_all(text.as_ref(), 1).expect("written")
}

fn lines(rows: usize) -> String {
    (0..rows).map(|n| format!("{{\"n\":{n},\"s\":\"ü {n}\"}}\n")).collect()
}

#[test]
fn text_is_read_through_its_compression() {
    let folder = folder();
    let text = lines(2000);
    let plain = read(&json!({ "path": file(&folder, "a.jsonl", text.as_bytes()) })).rows();
    let (first, second) = text.split_at(text.len() / 3);
    for (name, bytes) in [
        ("b.jsonl.gz", gzip(&text)),
        ("c.jsonl.zst", zstd(&text)),
        ("d.jsonl", gzip(&text)),
        ("e.jsonl", zstd(&text)),
        ("f.json.GZ", [gzip(first), gzip(second)].concat()),
        ("g.ndjson.zstd", [zstd(first), zstd(second)].concat()),
    ] {
        let options = json!({ "path": file(&folder, name, &bytes) });
        assert_eq!(read(&options).rows(), plain, "{name}");
        // Going on from each position.
        let small = context().with_batch(BatchTarget { rows: 300, bytes: 1 << 20 });
        assert_eq!(read_with(&options, small, true).rows(), plain, "{name}");
    }
    let csv = file(&folder, "a.csv.gz", &gzip("n,s\n1,\"x\ny\"\n2,z\n"));
    assert_eq!(read(&json!({ "path": csv })).rows()[0], json!({ "n": 1, "s": "x\ny" }));
    let odd = file(&folder, "odd.bin", &gzip("{\"n\":1}\n"));
    let options = json!({ "path": odd, "format": "jsonl", "compression": "gzip" });
    assert_eq!(read(&options).rows(), [json!({ "n": 1 })]);
}

#[test]
fn rows_before_a_cut_are_read_and_then_it_is_an_error() {
    let folder = folder();
    let text = lines(50_000);
    for (name, bytes, what) in
        [("a.jsonl.gz", gzip(&text), "gzip"), ("a.jsonl.zst", zstd(&text), "zstd")]
    {
        let path = file(&folder, name, &bytes[..bytes.len() * 2 / 3]);
        let options = json!({ "path": path });
        let mut source = reader(&options, context());
        let mut out = Collected::default();
        let error = loop {
            match source.poll(&mut out) {
                Ok(next) => assert_ne!(next, Next::Done, "the end was taken for whole"),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), ErrorKind::Io);
        let told = format!("{name} cannot be read: its {what} data is cut short");
        assert!(error.message().ends_with(&told), "{error}");
        let rows = out.rows();
        assert!(rows.len() > 1000 && rows.len() < 50_000, "{} rows", rows.len());
        assert!(out.rejected.is_empty(), "no half of a row comes out");
        for (n, row) in rows.iter().enumerate() {
            assert_eq!(row["n"], n);
        }
        assert!(source.poll(&mut out).is_err(), "it stays an error");
        // Nothing but the cut.
        let options =
            json!({ "path": file(&folder, name, &bytes[..3]), "columns": { "n": "int64" } });
        let planned = plan_read(&options).map(|_| reader(&options, context()).poll(&mut out));
        assert!(planned.and_then(|polled| polled).is_err());
    }
}

#[test]
fn a_small_file_that_grows_large_is_held_to_the_longest_line() {
    let folder = folder();
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(b"{\"s\":\"a\"}\n{\"s\":\"").expect("written");
    for _ in 0..200 {
        encoder.write_all(&vec![b'x'; 1 << 20]).expect("written");
    }
    encoder.write_all(b"\"}\n{\"s\":\"b\"}\n").expect("written");
    let path = file(&folder, "bomb.jsonl.gz", &encoder.finish().expect("written"));
    let options = json!({ "path": path, "max_line": "1MiB", "columns": { "s": "string" } });
    let out = read(&options);
    assert_eq!(out.rows(), [json!({ "s": "a" }), json!({ "s": "b" })]);
    assert!(out.rejected[0].1.contains("max_line"), "{}", out.rejected[0].1);
}

#[test]
fn what_is_written_is_one_member_or_frame() {
    let folder = folder();
    let numbers: ArrayRef = Arc::new((0..3000).collect::<Int64Array>());
    let texts: ArrayRef =
        Arc::new((0..3000).map(|n| Some(format!("t{n}"))).collect::<StringArray>());
    let batch = RecordBatch::try_from_iter([("n", numbers), ("t", texts)]).expect("batch");
    let batches = [batch.slice(0, 10), batch.slice(10, 2990)];
    let plain = |options: Value| {
        write(&options, &batch.schema(), &batches).expect("written");
        std::fs::read(options["path"].as_str().expect("a path")).expect("read")
    };
    let path = |name: &str| folder.path().join(name);
    let text = plain(json!({ "path": path("a.csv") }));
    let mut read = Vec::new();
    let packed = plain(json!({ "path": path("a.csv.gz") }));
    GzDecoder::new(packed.as_slice()).read_to_end(&mut read).expect("one member");
    assert!(read == text && packed.len() < text.len() / 2);
    let packed = plain(json!({ "path": path("a.csv.zst") }));
    assert_eq!(zstd::bulk::decompress(&packed, 1 << 20).expect("one frame"), text);
    let packed = plain(json!({ "path": path("b.csv"), "compression": "gzip" }));
    read.clear();
    GzDecoder::new(packed.as_slice()).read_to_end(&mut read).expect("one member");
    assert_eq!(read, text);
    // Added to a file: another member, and no second header.
    let packed = plain(json!({ "path": path("a.csv.gz"), "append": true }));
    read.clear();
    MultiGzDecoder::new(packed.as_slice()).read_to_end(&mut read).expect("two members");
    let rows = text.iter().position(|byte| *byte == b'\n').expect("a header") + 1;
    assert_eq!(read, [text.as_slice(), &text[rows..]].concat());
}

#[test]
fn no_rows_make_whole_files() {
    let folder = folder();
    let column: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let batch = RecordBatch::try_from_iter([("n", column)]).expect("batch");
    for name in ["a.jsonl.gz", "a.csv.zst", "a.parquet", "a.arrow"] {
        let path = folder.path().join(name);
        write(&json!({ "path": path }), &batch.schema(), &[]).expect("written");
        let columns = match name.ends_with("gz") || name.ends_with("zst") {
            true => json!({ "path": path, "columns": { "n": "int64" } }),
            false => json!({ "path": path }),
        };
        assert!(read(&columns).batches.is_empty(), "{name}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error_in_every_format() {
    let column: ArrayRef = Arc::new((0..100_000).collect::<Int64Array>());
    let batch = RecordBatch::try_from_iter([("n", column)]).expect("batch");
    for options in [
        json!({ "format": "parquet" }),
        json!({ "format": "arrow" }),
        json!({ "format": "csv", "compression": "gzip" }),
        json!({ "format": "jsonl", "compression": "zstd" }),
    ] {
        let mut options = options;
        options["path"] = json!("/dev/full");
        let error =
            write(&options, &batch.schema(), std::slice::from_ref(&batch)).expect_err("full");
        assert_eq!(error.kind(), ErrorKind::Io, "{options}: {error}");
        assert!(error.message().contains("no space left"), "{error}");
    }
}
