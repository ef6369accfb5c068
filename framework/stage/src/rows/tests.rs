//! Tests of typed rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, SchemaRef};
use serde::{Deserialize, Serialize};

use super::*;
use crate::{BatchTarget, BuildContext, Error, Next, Output, Result, Snapshot, Stage, SystemClock};
use crate::{Source, Transform};

#[derive(Default)]
struct Collected {
    batches: Vec<RecordBatch>,
    rejected: Vec<(RecordBatch, String)>,
}

impl Collected {
    fn rows<T: serde::de::DeserializeOwned>(&self) -> Vec<T> {
        self.batches.iter().flat_map(|batch| from_batch(batch).expect("rows")).collect()
    }
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

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Item {
    title: String,
    price: f64,
    rank: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Number {
    n: i64,
}

fn context(output: SchemaRef, rows: usize, bytes: usize) -> BuildContext {
    BuildContext::new("test", Arc::new(SystemClock::start()))
        .with_batch(BatchTarget { rows, bytes })
        .with_schemas(output.clone(), output)
}

fn numbers(values: impl IntoIterator<Item = i64>) -> RecordBatch {
    let rows: Vec<Number> = values.into_iter().map(|n| Number { n }).collect();
    to_batch(&schema_of::<Number>().expect("schema"), &rows).expect("batch")
}

fn transform(stage: Result<Stage>) -> Box<dyn Transform> {
    match stage.expect("a stage") {
        Stage::Transform(transform) => transform,
        Stage::Source(_) => panic!("a transform was expected"),
    }
}

fn source_of(stage: Result<Stage>) -> Box<dyn Source> {
    match stage.expect("a stage") {
        Stage::Source(source) => source,
        Stage::Transform(_) => panic!("a source was expected"),
    }
}

/// Wakes the stage until it holds nothing; fails when a call emits more than one batch.
fn settle(stage: &mut dyn Transform, out: &mut Collected) {
    while stage.holding() {
        assert!(!stage.ready() && stage.wake_at() == Some(std::time::Duration::ZERO));
        let before = out.batches.len();
        stage.wake(out).expect("wake");
        assert!(out.batches.len() <= before + 1);
    }
}

#[test]
fn a_struct_gives_the_columns_one_would_write() {
    #[derive(Serialize, Deserialize)]
    enum Colour {
        Red,
        Blue,
    }
    #[derive(Serialize, Deserialize)]
    struct Wide {
        text: String,
        tags: Vec<String>,
        colour: Colour,
        attributes: BTreeMap<String, i32>,
        rank: Option<u8>,
    }
    let schema = schema_of::<Wide>().expect("schema");
    let field = |name: &str| schema.field_with_name(name).expect(name).clone();
    assert_eq!(field("text").data_type(), &DataType::Utf8);
    assert!(
        matches!(field("tags").data_type(), DataType::List(item) if item.data_type() == &DataType::Utf8)
    );
    assert_eq!(field("colour").data_type(), &DataType::Utf8);
    assert!(matches!(field("attributes").data_type(), DataType::Map(..)));
    assert!(field("rank").is_nullable() && !field("text").is_nullable());

    let rows = [Wide {
        text: "ä".into(),
        tags: vec!["x".into()],
        colour: Colour::Blue,
        attributes: BTreeMap::from([("k".into(), 1)]),
        rank: None,
    }];
    let batch = to_batch(&schema, &rows).expect("batch");
    let back: Vec<Wide> = from_batch(&batch).expect("rows");
    assert!(matches!(back[0].colour, Colour::Blue));
    assert_eq!((back[0].tags.len(), back[0].attributes["k"], back[0].rank), (1, 1, None));
}

#[test]
fn a_type_without_fixed_columns_is_an_error_of_the_schema() {
    #[derive(Deserialize)]
    struct Loose {
        #[expect(dead_code, reason = "only its type is looked at")]
        any: serde_json::Value,
    }
    let error = schema_of::<Loose>().expect_err("no schema");
    assert!(error.message().contains("Loose"), "{error}");
    assert!(schema_of::<i64>().is_err());
}

#[test]
fn a_missing_column_is_found_when_planning() {
    let input = schema_of::<Number>().expect("schema");
    let error = expect::<Item>(Some(&input)).expect_err("title is missing");
    assert_eq!(error.column_name(), Some("title"));
    assert!(expect::<Number>(Some(&input)).is_ok());
}

#[test]
fn a_row_that_does_not_fit_is_rejected_alone() {
    let batch = RecordBatch::try_from_iter([
        (
            "title",
            Arc::new(StringArray::from(vec![Some("a"), None, Some("c"), Some("d")])) as ArrayRef,
        ),
        ("price", Arc::new(Float64Array::from(vec![Some(1.0), Some(2.0), None, Some(-1.0)]))),
    ])
    .expect("batch");
    let output = schema_of::<Item>().expect("schema");
    let mut stage = transform(map(context(output, 100, 1 << 20), |item: Item| {
        if item.price < 0.0 { Err(Error::data("below zero")) } else { Ok(item) }
    }));
    let mut out = Collected::default();
    stage.process(batch, &mut out).expect("process");
    settle(stage.as_mut(), &mut out);
    assert_eq!(out.rows::<Item>(), [Item { title: "a".into(), price: 1.0, rank: None }]);
    let reasons: Vec<&str> = out.rejected.iter().map(|(_, reason)| reason.as_str()).collect();
    assert_eq!(
        reasons,
        [
            "column `title` is null, but a value is needed",
            "column `price` is null, but a value is needed",
            "below zero",
        ]
    );
    let titles = out.rejected[2].0.column(0).as_any().downcast_ref::<StringArray>().expect("text");
    assert_eq!((titles.len(), titles.value(0)), (1, "d"));
}

#[test]
fn a_missing_column_rejects_each_row_with_its_name() {
    let output = schema_of::<Number>().expect("schema");
    let mut stage = transform(map(context(output, 10, 1 << 20), |_: Item| Ok(Number { n: 0 })));
    let mut out = Collected::default();
    stage.process(numbers(0..2), &mut out).expect("process");
    assert_eq!(out.rejected.len(), 2);
    assert!(out.rejected[0].1.contains("title"), "{}", out.rejected[0].1);
}

#[test]
fn a_number_that_does_not_fit_names_its_column() {
    #[derive(Deserialize)]
    struct Small {
        n: u8,
    }
    let error = from_batch::<Small>(&numbers([7, 300])).map(|rows| rows[0].n).expect_err("300");
    assert!(error.message().starts_with("row 1: column `n`"), "{error}");
}

#[test]
fn many_rows_come_out_in_batches_and_in_order() {
    let output = schema_of::<Number>().expect("schema");
    let mut stage = transform(flat_map(context(output, 64, 1 << 20), |row: Number| {
        Ok((0..100).map(move |n| Number { n: row.n * 100 + n }))
    }));
    let mut out = Collected::default();
    stage.process(numbers(0..50), &mut out).expect("process");
    assert!(out.batches.len() == 1 && stage.holding());
    settle(stage.as_mut(), &mut out);
    stage.finish(&mut out).expect("finish");
    assert!(out.batches.iter().all(|batch| batch.num_rows() <= 64));
    let all: Vec<i64> = out.rows::<Number>().iter().map(|row| row.n).collect();
    assert_eq!(all, (0..5000).collect::<Vec<_>>());
}

#[test]
fn large_rows_are_cut_by_bytes() {
    #[derive(Serialize, Deserialize)]
    struct Text {
        text: String,
    }
    let output = schema_of::<Text>().expect("schema");
    let mut stage = transform(map(context(output, 8192, 10_000), |row: Number| {
        Ok(Text { text: format!("{:>1000}", row.n) })
    }));
    let mut out = Collected::default();
    stage.process(numbers(0..3000), &mut out).expect("process");
    settle(stage.as_mut(), &mut out);
    assert!(out.batches.iter().all(|batch| batch.num_rows() <= 20));
    let all = out.rows::<Text>();
    assert!(all.iter().enumerate().all(|(n, row)| row.text.trim() == n.to_string()));
    assert_eq!(all.len(), 3000);
}

/// Sums what it sees; emits the running sum per row and the number of rows at the end.
struct Sums {
    sum: i64,
}

impl RowTransform for Sums {
    type In = Number;
    type Out = Number;

    fn row(&mut self, row: Number, out: &mut Rows<Number>) -> Result<()> {
        self.sum += row.n;
        out.push(Number { n: self.sum });
        if row.n == 13 { Err(Error::data("unlucky")) } else { Ok(()) }
    }

    fn finish(&mut self, out: &mut Rows<Number>) -> Result<()> {
        out.extend((0..10).map(|n| Number { n: -n }));
        Ok(())
    }

    fn snapshot(&mut self) -> Result<Snapshot> {
        Snapshot::of(7, &self.sum)
    }
}

fn sums(restored: Snapshot) -> Box<dyn Transform> {
    let context = context(schema_of::<Number>().expect("schema"), 4, 1 << 20);
    transform(stage(context.with_restored(restored), |context| {
        Ok(Sums { sum: context.restored().value(7)?.unwrap_or(0) })
    }))
}

/// Runs `Sums` and rebuilds it from a snapshot after each call that `restart` names.
fn run_sums(restart: impl Fn(usize) -> bool) -> Collected {
    let mut out = Collected::default();
    let mut stage = sums(Snapshot::Stateless);
    let mut calls = 0;
    let mut again = |stage: &mut Box<dyn Transform>| {
        let snapshot = stage.snapshot().expect("snapshot");
        assert_eq!(snapshot, stage.snapshot().expect("snapshot"), "a snapshot disturbs nothing");
        calls += 1;
        if restart(calls) {
            *stage = sums(snapshot);
        }
    };
    for batch in [numbers(0..10), numbers(10..30)] {
        stage.process(batch, &mut out).expect("process");
        again(&mut stage);
        while stage.holding() {
            stage.wake(&mut out).expect("wake");
            again(&mut stage);
        }
    }
    loop {
        stage.finish(&mut out).expect("finish");
        again(&mut stage);
        if !stage.holding() {
            break;
        }
        stage.wake(&mut out).expect("wake");
        again(&mut stage);
    }
    out
}

#[test]
fn a_restored_stage_goes_on_where_it_was() {
    let whole = run_sums(|_| false);
    assert_eq!(whole.rows::<Number>().len(), 29 + 10, "the rejected row left nothing behind");
    assert_eq!(whole.rejected.len(), 1);
    for every in 1..5 {
        let pieces = run_sums(|call| call % every == 0);
        assert_eq!(whole.rows::<Number>(), pieces.rows::<Number>());
        assert_eq!(whole.rejected.len(), pieces.rejected.len());
    }
}

#[test]
fn a_source_goes_on_at_its_position() {
    let output = schema_of::<Number>().expect("schema");
    let build = |restored: Snapshot| {
        source_of(source(context(output.clone(), 10, 1 << 20).with_restored(restored), |from| {
            Ok((from..35).map(|n| Ok(Number { n: n as i64 })))
        }))
    };
    let mut out = Collected::default();
    let mut stage = build(Snapshot::Stateless);
    while stage.poll(&mut out).expect("poll") != Next::Done {
        stage = build(stage.snapshot().expect("snapshot"));
    }
    assert_eq!(out.batches.len(), 4);
    let all: Vec<i64> = out.rows::<Number>().iter().map(|row| row.n).collect();
    assert_eq!(all, (0..35).collect::<Vec<_>>());
}

#[test]
fn an_error_of_the_iterator_ends_the_source() {
    let output = schema_of::<Number>().expect("schema");
    let mut stage = source_of(source(context(output, 10, 1 << 20), |_| {
        Ok(std::iter::once(Err::<Number, _>(Error::io("gone"))))
    }));
    assert!(stage.poll(&mut Collected::default()).is_err());
}

#[test]
fn a_null_column_is_read_into_an_option() {
    let batch = RecordBatch::try_from_iter([(
        "n",
        Arc::new(Int64Array::from(vec![Some(1), None])) as ArrayRef,
    )])
    .expect("batch");
    #[derive(Deserialize)]
    struct Maybe {
        n: Option<i64>,
    }
    let rows: Vec<Maybe> = from_batch(&batch).expect("rows");
    assert_eq!((rows[0].n, rows[1].n), (Some(1), None));
}
