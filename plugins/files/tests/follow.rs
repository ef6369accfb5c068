//! `follow`: files that grow, are replaced and are cut.

#![allow(clippy::expect_used, clippy::panic, reason = "tests may")]

mod common;

use std::fs::{File, OpenOptions, rename};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_schema::{Schema, SchemaRef};
use common::{Collected, context, plan_read, reader, registry};
use gristmill_stage::{Next, Snapshot, Source, Stage};
use serde_json::{Value, json};

fn add(path: &Path, text: &str) {
    let mut file = OpenOptions::new().append(true).create(true).open(path).expect("opened");
    file.write_all(text.as_bytes()).expect("written");
}

/// A source that follows files, and what it has put out.
struct Following {
    options: Value,
    source: Box<dyn Source>,
    schema: SchemaRef,
    restart: bool,
}

impl Following {
    fn new(options: Value, restart: bool) -> Self {
        let schema = plan_read(&options).expect("planned");
        Self { source: reader(&options, context()), options, schema, restart }
    }

    /// Another source in the place of this one.
    fn restart(&mut self, snapshot: Snapshot) {
        let context = context()
            .with_schemas(Arc::new(Schema::empty()), self.schema.clone())
            .with_restored(snapshot);
        let registry = registry();
        match registry.get("read").expect("read").build(&self.options, context).expect("built") {
            Stage::Source(source) => self.source = source,
            Stage::Transform(_) => panic!("a source was expected"),
        }
    }

    /// The rows that have come since.
    fn rows(&mut self) -> Vec<Value> {
        let mut out = Collected::default();
        loop {
            match self.source.poll(&mut out).expect("poll") {
                Next::Now => {}
                Next::At(_) => break,
                other => panic!("{other:?}: it ends or waits for nothing"),
            }
        }
        assert!(out.rejected.is_empty(), "{:?}", out.rejected);
        if self.restart {
            let snapshot = self.source.snapshot().expect("snapshot");
            assert_eq!(self.source.snapshot().expect("snapshot"), snapshot);
            self.restart(snapshot);
        }
        out.rows()
    }
}

fn lines(texts: &[&str]) -> Vec<Value> {
    texts.iter().map(|text| json!({ "line": text })).collect()
}

fn path(folder: &tempfile::TempDir, name: &str) -> PathBuf {
    folder.path().join(name)
}

#[test]
fn what_is_added_replaced_or_cut_is_read() {
    for restart in [false, true] {
        let folder = tempfile::tempdir().expect("a folder");
        let (log, old) = (path(&folder, "a.log"), path(&folder, "a.log.1"));
        add(&log, "1\n2\nhal");
        let mut following = Following::new(json!({ "path": log, "follow": true }), restart);
        assert_eq!(following.rows(), lines(&["1", "2"]));
        assert!(following.rows().is_empty());
        add(&log, "f\n3\n");
        assert_eq!(following.rows(), lines(&["half", "3"]));
        // Moved away: it is still written to, until there is another.
        rename(&log, &old).expect("moved");
        add(&old, "4\n");
        assert_eq!(following.rows(), lines(&["4"]));
        add(&old, "5\n");
        add(&log, "6\n");
        assert_eq!(following.rows(), lines(&["5", "6"]));
        // Replaced at once.
        add(&path(&folder, "new"), "7\n");
        rename(path(&folder, "new"), &log).expect("moved");
        assert_eq!(following.rows(), lines(&["7"]));
        // Cut, and written to again.
        add(&log, "8\n9\n");
        assert_eq!(following.rows(), lines(&["8", "9"]));
        File::create(&log).expect("cut");
        add(&log, "10\n");
        assert_eq!(following.rows(), lines(&["10"]));
    }
}

#[test]
fn several_files_are_followed_together_and_each_has_its_header() {
    for restart in [false, true] {
        let folder = tempfile::tempdir().expect("a folder");
        let paths = ["a.csv", "b.csv"].map(|name| path(&folder, name));
        add(&paths[0], "n,s\n1,x\n");
        add(&paths[1], "s,n\ny,2\n");
        let columns = json!({ "n": "int64", "s": "string" });
        let options = json!({ "path": paths, "columns": columns, "follow": true });
        let mut following = Following::new(options, restart);
        let row = |n: i64, s: &str| json!({ "n": n, "s": s });
        assert_eq!(following.rows(), [row(1, "x"), row(2, "y")]);
        add(&paths[0], "3,x\n");
        add(&paths[1], "\"y\nz\",4\n");
        let mut rows = following.rows();
        rows.sort_by_key(|row| row["n"].as_i64());
        assert_eq!(rows, [row(3, "x"), row(4, "y\nz")]);
        // A new file has a header of its own, which may come in pieces.
        rename(&paths[1], path(&folder, "b.1")).expect("moved");
        add(&paths[1], "n,");
        assert!(following.rows().is_empty());
        add(&paths[1], "s\n5,z\n");
        assert_eq!(following.rows(), [row(5, "z")]);
    }
}

#[test]
fn what_cannot_be_followed_is_an_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let zipped = path(&folder, "a.log.gz");
    std::fs::write(&zipped, zstd::encode_all(&b"x\n"[..], 1).expect("packed")).expect("written");
    for options in [
        json!({ "path": zipped }),
        json!({ "path": "-", "format": "lines" }),
        json!({ "path": zipped, "format": "parquet" }),
    ] {
        let mut options = options;
        options["follow"] = json!(true);
        let error = plan_read(&options).expect_err("no");
        assert_eq!(error.option_path(), Some("follow"), "{options}: {error}");
    }
}
