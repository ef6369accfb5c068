//! What the tests of both kinds share.

#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]

use std::path::Path;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use gristmill_stage::{
    BatchTarget, BuildContext, Error, Next, Output, Registry, Result, Snapshot, Source, Stage,
    SystemClock, Transform,
};
use serde_json::Value;

#[derive(Default)]
pub struct Collected {
    pub batches: Vec<RecordBatch>,
    pub rejected: Vec<(RecordBatch, String)>,
}

impl Output for Collected {
    fn emit(&mut self, batch: RecordBatch) -> Result<()> {
        self.batches.push(batch);
        Ok(())
    }

    fn reject(&mut self, rows: RecordBatch, reason: &str) -> Result<()> {
        self.rejected.push((rows, reason.to_owned()));
        Ok(())
    }
}

impl Collected {
    pub fn one(&self) -> RecordBatch {
        arrow_select::concat::concat_batches(self.batches[0].schema_ref(), &self.batches)
            .expect("one schema")
    }

    /// The rows as JSON.
    pub fn rows(&self) -> Vec<Value> {
        self.batches.iter().flat_map(json).collect()
    }

    pub fn lost(&self) -> Vec<Value> {
        self.rejected.iter().flat_map(|(rows, _)| json(rows)).collect()
    }
}

pub fn json(batch: &RecordBatch) -> Vec<Value> {
    let mut writer = arrow_json::LineDelimitedWriter::new(Vec::new());
    writer.write(batch).expect("JSON");
    let text = String::from_utf8(writer.into_inner()).expect("text");
    text.lines().map(|line| serde_json::from_str(line).expect("a value")).collect()
}

pub fn registry() -> Registry {
    let mut registry = Registry::new();
    gristmill_files::register(&mut registry);
    registry
}

pub fn context() -> BuildContext {
    BuildContext::new("files", Arc::new(SystemClock::start()))
        .with_batch(BatchTarget { rows: 100, bytes: 1 << 20 })
}

pub fn plan_read(options: &Value) -> Result<SchemaRef, Error> {
    registry().get("read").expect("read").plan(options, None).map(|planned| planned.output)
}

pub fn reader(options: &Value, context: BuildContext) -> Box<dyn Source> {
    let schema = plan_read(options).expect("planned");
    let context = context.with_schemas(Arc::new(arrow_schema::Schema::empty()), schema);
    match registry().get("read").expect("read").build(options, context).expect("built") {
        Stage::Source(source) => source,
        Stage::Transform(_) => panic!("a source was expected"),
    }
}

/// Reads to the end; rebuilds the reader from its snapshot after every poll when `restart`.
pub fn read_with(options: &Value, context: BuildContext, restart: bool) -> Collected {
    let mut out = Collected::default();
    let mut source = reader(options, context.clone());
    while source.poll(&mut out).expect("poll") != Next::Done {
        let snapshot = source.snapshot().expect("snapshot");
        if restart {
            source = reader(options, context.clone().with_restored(snapshot));
        }
    }
    out
}

pub fn read(options: &Value) -> Collected {
    read_with(options, context(), false)
}

pub fn writer(
    options: &Value,
    input: &SchemaRef,
    restored: Snapshot,
) -> Result<Box<dyn Transform>> {
    let context = context()
        .with_schemas(input.clone(), Arc::new(arrow_schema::Schema::empty()))
        .with_restored(restored);
    let registry = registry();
    let kind = registry.get("write").expect("write");
    kind.plan(options, Some(input))?;
    match kind.build(options, context)? {
        Stage::Transform(transform) => Ok(transform),
        Stage::Source(_) => panic!("a sink was expected"),
    }
}

pub fn write(options: &Value, input: &SchemaRef, batches: &[RecordBatch]) -> Result<()> {
    let mut out = Collected::default();
    let mut sink = writer(options, input, Snapshot::Stateless)?;
    for batch in batches {
        sink.process(batch.clone(), &mut out)?;
    }
    sink.finish(&mut out)?;
    assert!(out.batches.is_empty() && out.rejected.is_empty());
    Ok(())
}

pub fn text(path: &Path) -> String {
    std::fs::read_to_string(path).expect("a text file")
}

/// The names of all files in a folder.
pub fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let mut names: Vec<String> =
        entries.map(|e| e.expect("entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
