//! Runs a kind of this crate on batches and shows what comes out.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of tests fails the test")]

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arrow_array::{ArrayRef, RecordBatch};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::SchemaRef;
use gristmill_stage::{
    BatchTarget, BuildContext, Clock, Error, Output, Planned, Registry, Result, Snapshot, Stage,
    Transform,
};
use serde_json::Value;

/// 2026-01-02 03:04:05 UTC, always.
pub struct Still;

impl Clock for Still {
    fn now(&self) -> Duration {
        Duration::ZERO
    }

    fn wall(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_323_045)
    }
}

#[derive(Default)]
pub struct Collected {
    pub emitted: Vec<RecordBatch>,
    pub rejected: Vec<(RecordBatch, String)>,
}

impl Output for Collected {
    fn emit(&mut self, batch: RecordBatch) -> Result<()> {
        self.emitted.push(batch);
        Ok(())
    }

    fn reject(&mut self, rows: RecordBatch, reason: &str) -> Result<()> {
        self.rejected.push((rows, reason.to_owned()));
        Ok(())
    }
}

impl Collected {
    /// All emitted rows, each as `a|b|c`, null as `∅`.
    pub fn rows(&self) -> Vec<String> {
        self.emitted.iter().flat_map(show).collect()
    }

    /// All rejected rows with their reasons.
    pub fn rejects(&self) -> Vec<String> {
        let rejected = self.rejected.iter();
        rejected
            .flat_map(|(rows, why)| show(rows).into_iter().map(move |r| format!("{r} <- {why}")))
            .collect()
    }
}

pub fn show(batch: &RecordBatch) -> Vec<String> {
    let options = FormatOptions::default().with_null("∅");
    let columns: Vec<_> = batch
        .columns()
        .iter()
        .map(|column| ArrayFormatter::try_new(column.as_ref(), &options).unwrap())
        .collect();
    (0..batch.num_rows())
        .map(|row| columns.iter().map(|c| c.value(row).to_string()).collect::<Vec<_>>().join("|"))
        .collect()
}

pub fn registry() -> Registry {
    let mut registry = Registry::new();
    gristmill_sql::register(&mut registry);
    registry
}

pub fn plan(kind: &str, options: &Value, input: &SchemaRef) -> Result<Planned> {
    registry().get(kind).unwrap().plan(options, Some(input))
}

/// The error of planning, and that it comes at all.
pub fn plan_error(kind: &str, options: Value, input: &RecordBatch) -> Error {
    match plan(kind, &options, &input.schema()) {
        Ok(planned) => panic!("{options} was accepted: {planned:?}"),
        Err(error) => error,
    }
}

pub fn build(
    kind: &str,
    options: &Value,
    input: &SchemaRef,
    restored: Snapshot,
    rows: usize,
) -> Result<Box<dyn Transform>> {
    let planned = plan(kind, options, input)?;
    let context = BuildContext::new("it", Arc::new(Still))
        .with_schemas(input.clone(), planned.output)
        .with_batch(BatchTarget { rows, bytes: 8 << 20 })
        .with_restored(restored);
    match registry().get(kind).unwrap().build(options, context)? {
        Stage::Transform(stage) => Ok(stage),
        Stage::Source(_) => panic!("{kind} is no source"),
    }
}

/// Ends the input, and takes what is held, batch by batch.
pub fn finish(stage: &mut dyn Transform, out: &mut Collected) -> Result<()> {
    stage.finish(out)?;
    while stage.holding() {
        assert_eq!(stage.wake_at(), Some(Duration::ZERO));
        let before = out.emitted.len();
        stage.wake(out)?;
        assert!(out.emitted.len() <= before + 1, "one batch per call");
    }
    stage.finish(out)
}

pub fn run(kind: &str, options: Value, batches: &[RecordBatch]) -> Collected {
    let schema = batches[0].schema();
    let output = plan(kind, &options, &schema).unwrap_or_else(|e| panic!("{options}: {e}")).output;
    let mut stage = build(kind, &options, &schema, Snapshot::Stateless, 8192).unwrap();
    let mut out = Collected::default();
    for batch in batches {
        stage.process(batch.clone(), &mut out).unwrap_or_else(|e| panic!("{options}: {e}"));
    }
    finish(stage.as_mut(), &mut out).unwrap_or_else(|e| panic!("{options}: {e}"));
    for batch in &out.emitted {
        assert_eq!(batch.schema(), output, "what is emitted is what was planned");
    }
    out
}

pub fn batch<const N: usize>(columns: [(&str, ArrayRef); N]) -> RecordBatch {
    let columns = columns.into_iter().map(|(name, array)| (name, array, true));
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}
