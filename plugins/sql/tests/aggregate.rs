//! What `aggregate` computes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod common;

use std::sync::Arc;

use arrow_array::builder::{Float64Builder, ListBuilder};
use arrow_array::types::Int32Type;
use arrow_array::{
    Array, ArrayRef, BooleanArray, DictionaryArray, Float64Array, Int64Array, RecordBatch,
    StringArray, StringViewArray, StructArray, UInt64Array,
};
use arrow_schema::{DataType, Field, Schema};
use common::{Collected, batch, build, finish, plan, run};
use gristmill_stage::{ErrorKind, Partitioning, Snapshot};
use serde_json::{Value, json};

fn shop() -> RecordBatch {
    batch([
        (
            "category",
            Arc::new(StringArray::from(vec![
                Some("tea"),
                Some("cup"),
                Some("tea"),
                None,
                Some("cup"),
                Some("tea"),
            ])) as ArrayRef,
        ),
        (
            "price",
            Arc::new(Float64Array::from(vec![
                Some(3.0),
                Some(10.0),
                Some(5.0),
                Some(1.0),
                None,
                Some(4.0),
            ])),
        ),
        ("amount", Arc::new(Int64Array::from(vec![1, 2, 3, 4, 5, 6]))),
        (
            "sold",
            Arc::new(BooleanArray::from(vec![
                Some(true),
                Some(false),
                Some(true),
                None,
                Some(true),
                Some(false),
            ])),
        ),
    ])
}

fn one(select: &str) -> String {
    let out = run("aggregate", json!({ "select": { "x": select } }), &[shop()]);
    assert!(out.rejected.is_empty(), "{select}: {:?}", out.rejected);
    assert_eq!(out.rows().len(), 1, "{select}");
    out.rows().remove(0)
}

#[test]
fn aggregates_of_all_rows() {
    for (select, expected) in [
        ("count(*)", "6"),
        ("COUNT(*)", "6"),
        ("count(price)", "5"),
        ("count(distinct category)", "2"),
        ("sum(amount)", "21"),
        ("sum(distinct amount % 2)", "1"),
        ("avg(price)", "4.6"),
        ("min(price)", "1.0"),
        ("max(category)", "tea"),
        ("min(sold)", "false"),
        ("bool_or(sold)", "true"),
        ("median(price)", "4.0"),
        ("approx_percentile_cont(price, 0.5)", "4.0"),
        ("approx_percentile_cont(0.5) within group (order by price)", "4.0"),
        ("percentile_cont(price, 0.0)", "1.0"),
        ("percentile_cont(1.0) within group (order by price)", "10.0"),
        ("approx_distinct(category)", "2"),
        ("stddev_pop(amount) > 1.7", "true"),
        ("var_pop(amount)", "2.9166666666666665"),
        ("corr(amount, amount)", "1.0"),
        ("array_agg(amount)", "[1, 2, 3, 4, 5, 6]"),
        ("array_agg(amount order by price desc nulls last)", "[2, 3, 6, 1, 4, 5]"),
        ("array_agg(distinct amount % 3 order by amount % 3)", "[0, 1, 2]"),
        ("first_value(category)", "tea"),
        ("last_value(amount)", "6"),
        ("first_value(amount order by price)", "4"),
        ("last_value(amount order by price nulls first)", "2"),
        ("any_value(amount) > 0", "true"),
        ("nth_value(amount, 2)", "2"),
        ("string_agg(category, ',')", "tea,cup,tea,cup,tea"),
        ("bit_or(amount)", "7"),
        ("sum(amount) filter (where price > 3)", "11"),
        ("count(*) filter (where sold)", "3"),
        ("sum(price) / count(*)", "3.8333333333333335"),
        ("round(avg(price), 1) + 1", "5.6"),
        ("avg(CASE WHEN price >= 4 THEN 1.0 ELSE 0.0 END)", "0.5"),
        ("max(price) - min(price)", "9.0"),
        ("sum(amount) || ' pieces'", "21 pieces"),
        ("1", "1"),
        ("array_length(array_agg(amount))", "6"),
        ("array_agg(amount)[2]", "2"),
        ("to_char(now(), '%Y')", "2026"),
    ] {
        assert_eq!(one(select), expected, "{select}");
    }
}

#[test]
fn groups_come_in_the_order_of_their_first_row() {
    let out = run(
        "aggregate",
        json!({ "group_by": ["category"], "select": {
            "n": "count(*)", "mean": "avg(price)", "sum": "sum(amount)",
            "named": "upper(category) || count(*)",
        } }),
        &[shop(), shop()],
    );
    assert_eq!(out.rows(), ["tea|6|4.0|20|TEA6", "cup|4|10.0|14|CUP4", "∅|2|1.0|8|∅"]);
}

#[test]
fn groups_by_expressions() {
    let out = run(
        "aggregate",
        json!({ "group_by": { "even": "amount % 2 = 0", "category": "coalesce(category, 'none')" },
                "select": { "n": "count(*)", "text": "category || '!'", "m": "max(category)" } }),
        &[shop()],
    );
    assert_eq!(
        out.rows(),
        [
            "false|tea|2|tea!|tea",
            "true|cup|1|cup!|cup",
            "true|none|1|none!|∅",
            "false|cup|1|cup!|cup",
            "true|tea|1|tea!|tea",
        ]
    );
}

#[test]
fn groups_alone_are_the_distinct_rows() {
    let out = run("aggregate", json!({ "group_by": ["sold"] }), &[shop()]);
    assert_eq!(out.rows(), ["true", "false", "∅"]);
}

#[test]
fn no_rows() {
    let empty = shop().slice(0, 0);
    let select = json!({ "n": "count(*)", "s": "sum(amount)", "d": "count(distinct price)",
        "a": "array_agg(amount)", "p": "approx_percentile_cont(price, 0.5)" });
    let out = run("aggregate", json!({ "select": select }), std::slice::from_ref(&empty));
    assert_eq!(out.rows(), ["0|∅|0|∅|∅"]);
    let out = run("aggregate", json!({ "group_by": ["sold"], "select": select }), &[empty]);
    assert!(out.rows().is_empty());
}

#[test]
fn zeros_and_nans_are_one_group_each() {
    let odd = f64::from_bits(f64::NAN.to_bits() | 1);
    let x = Float64Array::from(vec![
        Some(0.0),
        Some(-0.0),
        Some(f64::NAN),
        Some(odd),
        Some(-f64::NAN),
        None,
        None,
    ]);
    let out = run(
        "aggregate",
        json!({ "group_by": ["x"], "select": { "n": "count(*)" } }),
        &[batch([("x", Arc::new(x) as ArrayRef)])],
    );
    assert_eq!(out.rows(), ["0.0|2", "NaN|3", "∅|2"]);
}

#[test]
fn keys_of_every_form() {
    let dictionary: DictionaryArray<Int32Type> =
        [Some("a"), Some("b"), Some("a"), None].into_iter().collect();
    let inner: ArrayRef = Arc::new(Int64Array::from(vec![1, 1, 1, 2]));
    let nested = StructArray::from(vec![(Arc::new(Field::new("v", DataType::Int64, true)), inner)]);
    let view = StringViewArray::from(vec![
        Some(""),
        None,
        Some(""),
        Some("a string that is longer than a view holds"),
    ]);
    let input = batch([
        ("d", Arc::new(dictionary) as ArrayRef),
        ("s", Arc::new(nested)),
        ("v", Arc::new(view)),
    ]);
    let options = |keys: Value| json!({ "group_by": keys, "select": { "n": "count(*)", "m": "max(v)", "t": "sum(s.v)", "u": "max(s['v'])" } });
    // A slice whose arrays do not begin at 0.
    let sliced = input.slice(1, 3);
    let out = run("aggregate", options(json!(["d"])), std::slice::from_ref(&sliced));
    assert_eq!(
        out.rows(),
        ["b|1|∅|1|1", "a|1||1|1", "∅|1|a string that is longer than a view holds|2|2"]
    );
    let out = run("aggregate", options(json!(["s"])), std::slice::from_ref(&sliced));
    assert_eq!(
        out.rows(),
        ["{v: 1}|2||2|1", "{v: 2}|1|a string that is longer than a view holds|2|2"]
    );
    let out = run("aggregate", options(json!(["v"])), &[sliced, input]);
    assert_eq!(out.rows().len(), 3);
    assert_eq!(*out.emitted[0].schema().field(0), Field::new("v", DataType::Utf8, true));
}

#[test]
fn rows_that_fail_are_rejected_and_leave_no_trace() {
    let input = batch([
        ("k", Arc::new(StringArray::from(vec!["a", "b", "a", "c"])) as ArrayRef),
        ("t", Arc::new(StringArray::from(vec!["1", "x", "3", "y"]))),
    ]);
    let out = run(
        "aggregate",
        json!({ "group_by": ["k"], "select": { "n": "count(*)", "s": "sum(cast(t as int))" } }),
        &[input],
    );
    assert_eq!(out.rows(), ["a|2|4"]);
    assert_eq!(
        out.rejects(),
        [
            "b|x <- select.s: cannot cast string 'x' to value of Int32 type",
            "c|y <- select.s: cannot cast string 'y' to value of Int32 type",
        ]
    );
}

#[test]
fn a_group_whose_result_fails_is_rejected() {
    let out = run(
        "aggregate",
        json!({ "group_by": ["category"], "select": { "x": "sum(amount) / (count(*) - 1)" } }),
        &[shop()],
    );
    assert_eq!(out.rows(), ["tea|5", "cup|7"]);
    assert_eq!(out.rejects(), ["∅|4|1 <- select.x: division by zero"]);
}

#[test]
fn emits_in_batches_and_holds_the_rest() {
    let input = batch([("k", Arc::new(Int64Array::from_iter_values(0..10)) as ArrayRef)]);
    let options = json!({ "group_by": ["k"], "select": { "n": "count(*)" } });
    let mut stage = build("aggregate", &options, &input.schema(), Snapshot::Stateless, 4).unwrap();
    let mut out = Collected::default();
    stage.process(input.clone(), &mut out).unwrap();
    assert!(!stage.holding() && out.emitted.is_empty());
    stage.finish(&mut out).unwrap();
    assert!(stage.holding() && !stage.ready());
    // Killed here: what was not emitted comes out of the restored stage.
    let snapshot = stage.snapshot().unwrap();
    finish(stage.as_mut(), &mut out).unwrap();
    let sizes: Vec<usize> = out.emitted.iter().map(RecordBatch::num_rows).collect();
    assert_eq!(sizes, [4, 4, 2]);
    let mut restored = build("aggregate", &options, &input.schema(), snapshot, 100).unwrap();
    let mut rest = Collected::default();
    finish(restored.as_mut(), &mut rest).unwrap();
    assert_eq!(rest.rows(), out.rows()[4..]);
    let done = stage.snapshot().unwrap();
    let mut restored = build("aggregate", &options, &input.schema(), done, 100).unwrap();
    let mut nothing = Collected::default();
    finish(restored.as_mut(), &mut nothing).unwrap();
    assert!(nothing.rows().is_empty());
}

#[test]
fn snapshots_do_not_change_what_they_show() {
    let numbers = |part: i64| (0..500).map(move |n| (n * 7919 + part * 104_729) % 10_007);
    let part = |part: i64| {
        let keys = Int64Array::from_iter_values(numbers(part).map(|n| n % 3));
        let values = Float64Array::from_iter_values(numbers(part).map(|n| n as f64));
        batch([("k", Arc::new(keys) as ArrayRef), ("v", Arc::new(values))])
    };
    let options = json!({ "group_by": ["k"], "select": {
        "n": "count(DISTINCT v)", "p": "approx_percentile_cont(v, 0.95)",
        "d": "round(stddev(v), 6)", "m": "median(v)", "a": "approx_distinct(cast(v AS bigint))",
    } });
    let schema = part(0).schema();
    let stage = || build("aggregate", &options, &schema, Snapshot::Stateless, 100).unwrap();
    let (mut plain, mut asked) = (stage(), stage());
    let (mut expected, mut out) = (Collected::default(), Collected::default());
    for number in 0..100 {
        plain.process(part(number), &mut expected).unwrap();
        asked.process(part(number), &mut out).unwrap();
        let snapshot = asked.snapshot().unwrap();
        assert!((0..3).all(|_| asked.snapshot().unwrap() == snapshot));
    }
    finish(plain.as_mut(), &mut expected).unwrap();
    finish(asked.as_mut(), &mut out).unwrap();
    assert_eq!(out.rows(), expected.rows());
}

#[test]
fn zeros_and_nans_are_one_key_each_also_inside() {
    let keys = [0.0, -0.0, f64::NAN, -f64::NAN, 1.0];
    let mut lists = ListBuilder::new(Float64Builder::new());
    for key in keys {
        lists.values().append_value(key);
        lists.append(true);
    }
    let lists: ArrayRef = Arc::new(lists.finish());
    let list = Field::new("l", lists.data_type().clone(), true);
    let words: DictionaryArray<Int32Type> = ["a", "a", "b", "b", "b"].into_iter().collect();
    let word = Field::new("w", words.data_type().clone(), true);
    let nested =
        StructArray::from(vec![(Arc::new(list), lists), (Arc::new(word), Arc::new(words) as _)]);
    let input = batch([("s", Arc::new(nested) as ArrayRef)]);
    let options = json!({ "group_by": ["s"], "select": { "n": "count(*)" } });
    // Whole, and as slices that begin inside.
    for batches in [vec![input.clone()], vec![input.slice(0, 1), input.slice(1, 4)]] {
        let out = run("aggregate", options.clone(), &batches);
        assert_eq!(out.rows(), ["{l: [0.0], w: a}|2", "{l: [NaN], w: b}|2", "{l: [1.0], w: b}|1"]);
    }
}

#[test]
fn a_sum_that_does_not_fit_rejects_its_group() {
    let most = i64::MAX;
    let input = batch([
        ("k", Arc::new(StringArray::from(vec!["a", "a", "b", "b", "b", "c"])) as ArrayRef),
        ("v", Arc::new(Int64Array::from(vec![most, 1, most, 1, -5, -7]))),
        ("u", Arc::new(UInt64Array::from(vec![u64::MAX - 1, 1, 1, 2, 3, 4]))),
    ]);
    let run = |text: &str| {
        let options = json!({ "group_by": ["k"], "select": { "x": text } });
        run("aggregate", options, &[input.slice(0, 4), input.slice(4, 2)])
    };
    let out = run("sum(v)");
    // What is in between may be larger.
    assert_eq!(out.rows(), ["b|9223372036854775803", "c|-7"]);
    let [rejected] = &out.rejects()[..] else { panic!("{:?}", out.rejects()) };
    assert!(rejected.starts_with("a|9223372036854775808 <- select.x: "), "{rejected}");
    assert!(rejected.contains("Int64"), "{rejected}");
    let out = run("sum(DISTINCT v) + 1");
    assert_eq!(out.rows(), ["b|9223372036854775804", "c|-6"]);
    assert_eq!(out.rejected.len(), 1);
    assert_eq!(run("sum(u)").rows(), ["a|18446744073709551615", "b|6", "c|4"]);
    assert_eq!(run("sum(v) FILTER (WHERE u > 3)").rows(), ["a|9223372036854775807", "b|∅", "c|-7"]);
}

#[test]
fn too_many_groups_are_an_error() {
    let input = batch([("k", Arc::new(Int64Array::from_iter_values(0..10)) as ArrayRef)]);
    let options = json!({ "group_by": ["k"], "max_groups": 5 });
    let mut stage = build("aggregate", &options, &input.schema(), Snapshot::Stateless, 4).unwrap();
    let error = stage.process(input, &mut Collected::default()).unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::Data, "there are more than 5 groups"));
}

#[test]
fn a_snapshot_of_another_stage_is_refused() {
    let schema = shop().schema();
    let options = |text: &str| json!({ "group_by": ["category"], "select": { "x": text } });
    let mut stage =
        build("aggregate", &options("sum(price)"), &schema, Snapshot::Stateless, 4).unwrap();
    stage.process(shop(), &mut Collected::default()).unwrap();
    let snapshot = stage.snapshot().unwrap();
    let other = build("aggregate", &options("max(price)"), &schema, snapshot, 4);
    assert_eq!(other.err().map(|e| e.kind()), Some(ErrorKind::Restore));
}

#[test]
fn workers_that_it_can_have() {
    let partitioning =
        |options: Value| plan("aggregate", &options, &shop().schema()).unwrap().partitioning;
    assert_eq!(
        partitioning(json!({ "group_by": ["category", "sold"], "select": { "n": "count(*)" } })),
        Partitioning::Keyed(vec!["category".into(), "sold".into()])
    );
    for options in [
        json!({ "select": { "n": "count(*)" } }),
        json!({ "group_by": { "k": "amount % 2" }, "select": { "n": "count(*)" } }),
    ] {
        assert!(matches!(partitioning(options), Partitioning::Single(_)));
    }
}

#[test]
fn columns_are_groups_first_and_named_as_written() {
    let planned = plan(
        "aggregate",
        &json!({ "group_by": ["category"], "select": { "z": "count(*)", "a": "avg(amount)", "t": "max(category) || 'x'" } }),
        &shop().schema(),
    );
    let expected = Schema::new(vec![
        Field::new("category", DataType::Utf8, true),
        Field::new("z", DataType::Int64, true),
        Field::new("a", DataType::Float64, true),
        Field::new("t", DataType::Utf8, true),
    ]);
    assert_eq!(*planned.unwrap().output, expected);
}
