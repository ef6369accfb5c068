//! The kinds as a pipeline sees them.

#![allow(clippy::expect_used, clippy::panic, reason = "tests may")]

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use gristmill_stage::{BuildContext, Output, Registry, Result, Role, Stage, SystemClock};
use serde_json::json;

struct Rejecting;

impl Output for Rejecting {
    fn emit(&mut self, _: RecordBatch) -> Result<()> {
        panic!("a sink emits nothing")
    }

    fn reject(&mut self, _: RecordBatch, reason: &str) -> Result<()> {
        panic!("rejected: {reason}")
    }
}

fn registry() -> Registry {
    let mut registry = Registry::new();
    gristmill_flow::register(&mut registry);
    registry
}

#[test]
fn discard_takes_all() {
    let registry = registry();
    let kind = registry.get("discard").expect("discard");
    assert_eq!(kind.role(), Role::Sink);
    let column: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
    let batch = RecordBatch::try_from_iter([("n", column)]).expect("batch");
    let planned = kind.plan(&json!(null), Some(&batch.schema())).expect("planned");
    assert!(planned.output.fields().is_empty());
    let context = BuildContext::new("end", Arc::new(SystemClock::start()))
        .with_schemas(batch.schema(), planned.output);
    let Stage::Transform(mut stage) = kind.build(&json!({}), context).expect("built") else {
        panic!("a sink was expected")
    };
    stage.process(batch, &mut Rejecting).expect("process");
    stage.finish(&mut Rejecting).expect("finish");
    let error = kind.plan(&json!({ "rows": 1 }), None).expect_err("unknown option");
    assert!(error.message().contains("rows"), "{error}");
}

#[test]
fn the_options_say_their_defaults() {
    let registry = registry();
    let options = registry.get("inspect").expect("inspect").options();
    assert_eq!(options["properties"]["rows"]["default"], 5);
    assert!(options["properties"]["every"]["description"].is_string());
}
