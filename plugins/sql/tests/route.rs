//! `route` beside a loop over the rows.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test fails by panicking")]

mod common;

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use gristmill_stage::{BuildContext, Output, Result, Stage};
use proptest::prelude::*;
use serde_json::json;

use common::{Still, registry};

/// The column `n` of what left by each of four outputs, and of what was rejected.
#[derive(Default)]
struct Parted {
    left: [Vec<i64>; 4],
    rejected: Vec<i64>,
}

fn numbers(batch: &RecordBatch) -> Vec<i64> {
    batch.column(0).as_primitive::<Int64Type>().values().to_vec()
}

impl Output for Parted {
    fn emit(&mut self, batch: RecordBatch) -> Result<()> {
        self.emit_to(0, batch)
    }

    fn emit_to(&mut self, port: usize, batch: RecordBatch) -> Result<()> {
        self.left[port].extend(numbers(&batch));
        Ok(())
    }

    fn reject(&mut self, rows: RecordBatch, reason: &str) -> Result<()> {
        assert!(reason.contains("zero"), "{reason}");
        self.rejected.extend(numbers(&rows));
        Ok(())
    }
}

fn batch(rows: &[(i64, Option<i64>)]) -> RecordBatch {
    let columns: [(&str, ArrayRef); 2] = [
        ("n", Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.0)))),
        ("k", Arc::new(Int64Array::from_iter(rows.iter().map(|row| row.1)))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true)))
        .unwrap()
}

proptest! {
    #[test]
    fn the_first_condition_that_is_true_decides(
        keys in prop::collection::vec(prop::option::weighted(0.8, -3..4_i64), 0..60),
        size in 1..30_usize,
    ) {
        let rows: Vec<(i64, Option<i64>)> = (0..).zip(keys).collect();
        let schema = batch(&[]).schema();
        let options = json!({ "routes": { "low": "k < 0", "part": "6 / k > 2", "null": "k IS NULL" } });
        let registry = registry();
        let kind = registry.get("route").unwrap();
        let planned = kind.plan(&options, Some(&schema)).unwrap();
        prop_assert_eq!(planned.ports, ["low", "part", "null", "rest"]);
        let context = BuildContext::new("route", Arc::new(Still));
        let context = context.with_schemas(schema, planned.output);
        let Stage::Transform(mut stage) = kind.build(&options, context).unwrap() else {
            panic!("a route is a transform")
        };
        let mut found = Parted::default();
        for rows in rows.chunks(size) {
            stage.process(batch(rows), &mut found).unwrap();
        }

        let mut expected = Parted::default();
        for (n, k) in rows {
            match k {
                Some(..0) => expected.left[0].push(n),
                // Not asked whether it is null: the condition before fails.
                Some(0) => expected.rejected.push(n),
                Some(1 | 2) => expected.left[1].push(n),
                None => expected.left[2].push(n),
                Some(_) => expected.left[3].push(n),
            }
        }
        prop_assert_eq!(found.left, expected.left);
        prop_assert_eq!(found.rejected, expected.rejected);
    }
}
