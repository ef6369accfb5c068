//! What the tests of this crate share.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow_schema::SchemaRef;
use gristmill_stage::{
    BatchTarget, BuildContext, Error, Output, Registry, Result, Snapshot, Stage, SystemClock,
    Transform,
};
use serde_json::Value;

/// Keeps what a stage puts out.
#[derive(Default)]
pub(crate) struct Kept {
    pub(crate) batches: Vec<RecordBatch>,
    pub(crate) rejects: Vec<(RecordBatch, String)>,
}

impl Output for Kept {
    fn emit(&mut self, batch: RecordBatch) -> Result<()> {
        self.batches.push(batch);
        Ok(())
    }

    fn reject(&mut self, rows: RecordBatch, reason: &str) -> Result<()> {
        self.rejects.push((rows, reason.to_owned()));
        Ok(())
    }
}

impl Kept {
    pub(crate) fn rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }

    pub(crate) fn rejected(&self) -> usize {
        self.rejects.iter().map(|(rows, _)| rows.num_rows()).sum()
    }

    pub(crate) fn reasons(&self) -> Vec<&str> {
        self.rejects.iter().map(|(_, reason)| reason.as_str()).collect()
    }

    /// Column `name` of all batches, each value printed as Arrow's debug form does for one cell.
    pub(crate) fn column(&self, name: &str) -> Vec<String> {
        let columns = self.batches.iter().filter_map(|batch| batch.column_by_name(name));
        columns.flat_map(|column| (0..column.len()).map(|row| cell(column, row))).collect()
    }
}

/// One value as text: nothing for null, `[a|b]` for a list.
pub(crate) fn cell(column: &ArrayRef, row: usize) -> String {
    use arrow_array::Array;
    use arrow_array::cast::AsArray;
    use arrow_array::types::TimestampMicrosecondType;
    if column.is_null(row) {
        return "∅".to_owned();
    }
    if let Some(list) = column.as_list_opt::<i32>() {
        let items = list.value(row);
        let items: Vec<_> = (0..items.len()).map(|item| cell(&items, item)).collect();
        return format!("[{}]", items.join("|"));
    }
    // Named time zones print only with a feature that this crate does not need.
    if let Some(times) = column.as_primitive_opt::<TimestampMicrosecondType>() {
        return times.value(row).to_string();
    }
    let text = arrow_cast::display::array_value_to_string(column, row);
    text.unwrap_or_else(|error| panic!("{error}"))
}

/// A batch of `n` (0, 1, …) and `body`.
pub(crate) fn bodies(texts: &[Option<&str>]) -> RecordBatch {
    let n: Int64Array = (0..texts.len() as i64).collect();
    with_body(Arc::new(n), Arc::new(StringArray::from(texts.to_vec())))
}

pub(crate) fn with_body(n: ArrayRef, body: ArrayRef) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable([("n", n, false), ("body", body, true)])
        .expect("a batch")
}

pub(crate) fn plan(options: &Value, input: &SchemaRef) -> Result<SchemaRef> {
    let mut registry = Registry::new();
    crate::register(&mut registry);
    let kind = registry.get("parse").expect("parse is registered");
    kind.plan(options, Some(input)).map(|planned| planned.output)
}

pub(crate) fn plan_error(options: &Value, input: &SchemaRef) -> Error {
    plan(options, input).expect_err("the options are wrong")
}

pub(crate) fn build(
    options: &Value,
    input: &SchemaRef,
    batch: BatchTarget,
    restored: Snapshot,
) -> Box<dyn Transform> {
    let mut registry = Registry::new();
    crate::register(&mut registry);
    let kind = registry.get("parse").expect("parse is registered");
    let output = plan(options, input).expect("a plan");
    let context = BuildContext::new("parse", Arc::new(SystemClock::start()))
        .with_schemas(input.clone(), output)
        .with_batch(batch)
        .with_restored(restored);
    match kind.build(options, context).expect("a stage") {
        Stage::Transform(transform) => transform,
        Stage::Source(_) => panic!("parse is a transform"),
    }
}

/// Runs one batch through the stage, and checks the planned schema.
pub(crate) fn run(options: &Value, batch: RecordBatch) -> Kept {
    let mut kept = Kept::default();
    let schema = batch.schema();
    let rows = batch.num_rows();
    let mut stage = build(options, &schema, BatchTarget::default(), Snapshot::Stateless);
    stage.process(batch, &mut kept).expect("process");
    while stage.holding() {
        assert!(!stage.ready() && stage.wake_at().is_some());
        stage.wake(&mut kept).expect("wake");
    }
    stage.finish(&mut kept).expect("finish");
    let planned = plan(options, &schema).expect("a plan");
    assert!(kept.batches.iter().all(|batch| batch.schema() == planned));
    assert!(kept.rejects.iter().all(|(rows, _)| rows.schema() == schema));
    if options.get("rows").is_none() {
        assert_eq!(kept.rows() + kept.rejected(), rows, "every row is accounted for");
    }
    kept
}

/// Runs texts through the stage.
pub(crate) fn run_texts(options: &Value, texts: &[&str]) -> Kept {
    run(options, bodies(&texts.iter().copied().map(Some).collect::<Vec<_>>()))
}
