//! Row groups of Parquet that the statistics show to be of no use are not read, and no row is lost by
//! that.

#![allow(clippy::expect_used, clippy::panic, reason = "tests may")]

mod common;

use std::cmp::Ordering;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use common::{Collected, context, reader, write};
use gristmill_stage::{Comparison, Constant, Next, Relation, Result, Test};
use parquet::file::reader::{FileReader, SerializedFileReader};
use proptest::prelude::*;
use serde_json::json;
use tempfile::TempDir;

fn written(folder: &TempDir, batch: &RecordBatch, group: usize) -> PathBuf {
    let path = folder.path().join("in.parquet");
    let options = json!({ "path": path, "row_group": group, "compression": "none" });
    write(&options, &batch.schema(), std::slice::from_ref(batch)).expect("written");
    path
}

fn found(path: &Path, hints: &[Comparison]) -> Result<Vec<RecordBatch>> {
    let mut out = Collected::default();
    let mut source = reader(&json!({ "path": path }), context().with_hints(hints.to_vec()));
    while source.poll(&mut out)? != Next::Done {}
    Ok(out.batches)
}

fn hint(column: &str, test: Test) -> Comparison {
    Comparison { column: column.to_owned(), test }
}

/// Overwrites the values of row groups.
fn spoil(path: &Path, groups: &[usize]) {
    let file = std::fs::File::open(path).expect("opened");
    let metadata = SerializedFileReader::new(file).expect("Parquet").metadata().clone();
    let mut bytes = std::fs::read(path).expect("bytes");
    for group in groups {
        for column in metadata.row_group(*group).columns() {
            let (start, length) = column.byte_range();
            bytes[start as usize..(start + length) as usize].fill(0xFF);
        }
    }
    std::fs::write(path, bytes).expect("spoilt");
}

#[test]
fn groups_of_no_use_are_not_looked_at() {
    let numbers = Arc::new((0..400).map(Some).collect::<Int64Array>()) as ArrayRef;
    let texts = (0..400).map(|n| Some(format!("{:03}", n / 100 * 100)));
    let texts = Arc::new(texts.collect::<StringArray>()) as ArrayRef;
    let batch = RecordBatch::try_from_iter([("n", numbers), ("text", texts)]).expect("rows");
    let is = |relation, n| hint("n", Test::Is(relation, Constant::Integer(n)));
    let text = |text: &str| Constant::Text(text.to_owned());
    // What is asked for, and the groups that it needs.
    let cases: [(Vec<Comparison>, &[usize]); 8] = [
        (vec![is(Relation::Greater, 250)], &[2, 3]),
        (vec![is(Relation::Greater, 299)], &[3]),
        (vec![is(Relation::GreaterOrEqual, 299)], &[2, 3]),
        (vec![is(Relation::Less, 100)], &[0]),
        (vec![is(Relation::GreaterOrEqual, 120), is(Relation::LessOrEqual, 180)], &[1]),
        (vec![hint("n", Test::In([5, 305].map(Constant::Integer).to_vec()))], &[0, 3]),
        (vec![hint("text", Test::Is(Relation::Equal, text("200")))], &[2]),
        (vec![hint("n", Test::Null)], &[]),
    ];
    for (hints, needed) in cases {
        let folder = tempfile::tempdir().expect("a folder");
        let path = written(&folder, &batch, 100);
        let others: Vec<usize> = (0..4).filter(|group| !needed.contains(group)).collect();
        spoil(&path, &others);
        let rows: usize =
            found(&path, &hints).expect("read").iter().map(RecordBatch::num_rows).sum();
        assert!(rows <= needed.len() * 100, "{hints:?}");
        assert!(found(&path, &[]).is_err(), "without a hint, all of it is read");
        if let Some(first) = needed.first() {
            spoil(&path, &[*first]);
            assert!(found(&path, &hints).is_err(), "{hints:?} needs group {first}");
        }
    }
}

#[derive(Debug, Clone)]
struct Row(Option<i64>, Option<f64>, Option<String>);

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let number = prop_oneof![-4..4_i64, Just(i64::MIN), Just(i64::MAX)];
    let fractions = [-1.5, -0.0, 0.0, 2.5, f64::NAN, -f64::NAN, f64::INFINITY, f64::MIN];
    // Statistics of long texts are cut after 64 bytes.
    let texts = ["", "a", "b"].map(str::to_owned).to_vec();
    let long = prop::sample::select(vec!["a", "b", "\u{10FFFF}"]).prop_map(|c| c.repeat(70));
    let text = prop_oneof![prop::sample::select(texts), long];
    let row = (
        prop::option::of(number),
        prop::option::of(prop::sample::select(fractions.to_vec())),
        prop::option::of(text),
    );
    prop::collection::vec(row.prop_map(|(a, b, c)| Row(a, b, c)), 1..60)
}

fn hints() -> impl Strategy<Value = Comparison> {
    let relation = prop::sample::select(vec![
        Relation::Equal,
        Relation::NotEqual,
        Relation::Less,
        Relation::LessOrEqual,
        Relation::Greater,
        Relation::GreaterOrEqual,
    ]);
    let constant = prop_oneof![
        (-5..5_i64).prop_map(|n| ("n", Constant::Integer(n))),
        prop::sample::select(vec![-1.5, 2.5, 7.0]).prop_map(|x| ("x", Constant::Float(x))),
        prop::sample::select(vec!["", "a", "aaa", "b", "zz"])
            .prop_map(|text| ("text", Constant::Text(text.to_owned()))),
    ];
    let column = prop::sample::select(vec!["n", "x", "text"]);
    prop_oneof![
        4 => (relation, constant.clone()).prop_map(|(relation, (column, value))| hint(column, Test::Is(relation, value))),
        1 => constant.prop_map(|(column, value)| hint(column, Test::In(vec![value]))),
        1 => column.clone().prop_map(|column| hint(column, Test::Null)),
        1 => column.prop_map(|column| hint(column, Test::NotNull)),
    ]
}

/// Whether it is true of a row, said once more in plain words.
fn is_true(row: &Row, hint: &Comparison) -> bool {
    let null = match hint.column.as_str() {
        "n" => row.0.is_none(),
        "x" => row.1.is_none(),
        _ => row.2.is_none(),
    };
    let order = |value: &Constant| match value {
        Constant::Integer(value) => row.0.map(|n| n.cmp(value)),
        Constant::Float(value) => row.1.map(|x| x.total_cmp(value)),
        Constant::Text(value) => row.2.as_ref().map(|text| text.cmp(value)),
        Constant::Boolean(_) => panic!("no such column"),
    };
    match &hint.test {
        Test::Null => null,
        Test::NotNull => !null,
        Test::In(values) => values.iter().any(|value| order(value) == Some(Ordering::Equal)),
        Test::Is(relation, value) => order(value).is_some_and(|order| match relation {
            Relation::Equal => order.is_eq(),
            Relation::NotEqual => order.is_ne(),
            Relation::Less => order.is_lt(),
            Relation::LessOrEqual => order.is_le(),
            Relation::Greater => order.is_gt(),
            Relation::GreaterOrEqual => order.is_ge(),
        }),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn no_row_is_lost(
        rows in rows(),
        hints in prop::collection::vec(hints(), 1..3),
        group in 1..12_usize,
    ) {
        let folder = tempfile::tempdir().expect("a folder");
        let batch = RecordBatch::try_from_iter_with_nullable([
            ("n", Arc::new(rows.iter().map(|row| row.0).collect::<Int64Array>()) as ArrayRef, true),
            ("x", Arc::new(rows.iter().map(|row| row.1).collect::<Float64Array>()) as ArrayRef, true),
            ("text", Arc::new(rows.iter().map(|row| row.2.clone()).collect::<StringArray>()) as ArrayRef, true),
        ]).expect("rows");
        let path = written(&folder, &batch, group);
        let fits = |row: &Row| hints.iter().all(|hint| is_true(row, hint));
        let expected: Vec<String> =
            rows.iter().filter(|row| fits(row)).map(|row| format!("{row:?}")).collect();
        let mut got = Vec::new();
        for batch in found(&path, &hints).expect("read") {
            let (n, x, text) = (
                batch.column(0).as_primitive::<Int64Type>(),
                batch.column(1).as_primitive::<Float64Type>(),
                batch.column(2).as_string::<i32>(),
            );
            let rows = n.iter().zip(x).zip(text).map(|((n, x), text)| Row(n, x, text.map(str::to_owned)));
            got.extend(rows.filter(|row| fits(row)).map(|row| format!("{row:?}")));
        }
        prop_assert_eq!(got, expected);
    }
}
