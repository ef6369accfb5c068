//! What `filter` and `map` do with rows.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod common;

use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::types::Int32Type;
use arrow_array::{
    Array, ArrayRef, BooleanArray, DictionaryArray, Float64Array, Int64Array, RecordBatch,
    StringArray, StringViewArray, StructArray,
};
use arrow_schema::{DataType, Field};
use common::{Collected, batch, build, plan, run};
use gristmill_stage::Snapshot;
use serde_json::json;

fn input() -> RecordBatch {
    let v: ArrayRef = Arc::new(Int64Array::from(vec![Some(7), None, Some(9), Some(10)]));
    let nested = StructArray::from(vec![(Arc::new(Field::new("v", DataType::Int64, true)), v)]);
    batch([
        ("a", Arc::new(Int64Array::from(vec![Some(1), Some(2), None, Some(0)])) as ArrayRef),
        ("Name", Arc::new(StringArray::from(vec!["x", "12", "", "Ünï"]))),
        ("ok", Arc::new(BooleanArray::from(vec![Some(true), Some(false), None, Some(true)]))),
        ("deep", Arc::new(nested)),
        ("odd name.", Arc::new(Float64Array::from(vec![0.5, 1.5, 2.5, 3.5]))),
    ])
}

/// Which rows stay, by their number.
fn kept(condition: &str) -> Vec<usize> {
    let all = common::show(&input());
    let out = run("filter", json!({ "where": condition }), &[input()]);
    assert!(out.rejected.is_empty(), "{condition}: {:?}", out.rejects());
    let rows = out.rows();
    rows.iter().filter_map(|row| all.iter().position(|other| other == row)).collect()
}

#[test]
fn conditions() {
    for (condition, expected) in [
        ("a > 0", &[0, 1][..]),
        ("a > 0 OR a IS NULL", &[0, 1, 2]),
        ("a = 1.0", &[0]),
        ("NOT ok", &[1]),
        ("ok", &[0, 3]),
        ("ok IS NOT TRUE", &[1, 2]),
        ("Name = ''", &[2]),
        ("Name LIKE '%1%'", &[1]),
        ("length(Name) = 3", &[3]),
        ("upper(Name) = 'ÜNÏ'", &[3]),
        ("Name IN ('x', '12', 'y', 'z', 'w')", &[0, 1]),
        ("Name ~ '^[0-9]+$'", &[1]),
        ("deep.v = 9", &[2]),
        ("deep['v'] BETWEEN 7 AND 9", &[0, 2]),
        ("\"odd name.\" > 1.5", &[2, 3]),
        ("a IN (0, 1) AND ok", &[0, 3]),
        ("true", &[0, 1, 2, 3]),
        ("1 = 2", &[]),
        ("NULL", &[]),
        ("CASE WHEN a = 0 THEN false ELSE 10 / a > 5 END", &[0]),
        ("current_date = date '2026-01-02'", &[0, 1, 2, 3]),
        ("extract(year from now()) = 2026", &[0, 1, 2, 3]),
        ("try_cast(Name as int) = 12", &[1]),
        ("position('2' in Name) = 2", &[1]),
        ("arrow_typeof(Name || 'x') = 'Utf8'", &[0, 1, 2, 3]),
    ] {
        assert_eq!(kept(condition), expected, "{condition}");
    }
}

#[test]
fn a_batch_of_which_all_stays_is_not_copied() {
    let input = input();
    let out = run("filter", json!({ "where": true }), std::slice::from_ref(&input));
    assert!(out.emitted[0].column(0).to_data().ptr_eq(&input.column(0).to_data()));
}

#[test]
fn rows_on_which_a_condition_fails_are_rejected() {
    let out = run("filter", json!({ "where": "10 / a > 5" }), &[input()]);
    assert_eq!(out.rows(), ["1|x|true|{v: 7}|0.5"]);
    assert_eq!(out.rejects(), ["0|Ünï|true|{v: 10}|3.5 <- where: division by zero"]);
}

#[test]
fn rows_fail_for_their_own_values_only() {
    let words: DictionaryArray<Int32Type> =
        vec![Some("1"), Some("x"), None, Some("3"), Some("y"), Some("1")].into_iter().collect();
    let mut lists = ListBuilder::new(StringBuilder::new());
    for word in ["1", "x", "2", "3", "y", "1"] {
        lists.values().append_value(word);
        lists.append(true);
    }
    let all =
        batch([("w", Arc::new(words) as ArrayRef), ("l", Arc::new(lists.finish()) as ArrayRef)]);
    let set = |text: &str| json!({ "set": { "n": text }, "drop": ["l"] });
    for text in ["cast(w as int)", "cast(arrow_cast(l, 'List(Int32)')[1] as int) + 0 * length(w)"] {
        let out = run("map", set(text), std::slice::from_ref(&all));
        assert_eq!(out.emitted.iter().map(RecordBatch::num_rows).sum::<usize>(), 4, "{text}");
        assert_eq!(out.rejected.iter().map(|(rows, _)| rows.num_rows()).sum::<usize>(), 2);
        // A row alone still has the values of the others under it.
        let good = run("map", set(text), &[all.slice(3, 1)]);
        assert_eq!(good.rows(), ["3|3"], "{text}");
    }
    let out = run("filter", json!({ "where": "cast(w as int) = 1" }), std::slice::from_ref(&all));
    assert_eq!(out.rows(), ["1|[1]", "1|[1]"]);
    assert_eq!(
        out.rejects(),
        [
            "x|[x] <- where: cannot cast string 'x' to value of Int32 type",
            "y|[y] <- where: cannot cast string 'y' to value of Int32 type",
        ]
    );
    // What is computed keeps its type, also when it is put together of parts.
    let both = json!({ "set": { "n": "cast(w as int)", "same": "w" }, "drop": ["l"] });
    let out = run("map", both, &[all]);
    assert_eq!(out.rows(), ["1|1|1", "∅|∅|∅", "3|3|3", "1|1|1"]);
}

#[test]
fn set_drop_and_order() {
    let out = run(
        "map",
        json!({ "set": { "a": "a + 1", "twice": "a * 2", "Name": "Name || '!'" , "flag": false}, "drop": ["deep", "odd name."] }),
        &[input()],
    );
    assert_eq!(
        out.rows(),
        ["2|x!|true|2|false", "3|12!|false|4|false", "∅|!|∅|∅|false", "1|Ünï!|true|0|false"]
    );
    let schema = out.emitted[0].schema();
    let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
    assert_eq!(names, ["a", "Name", "ok", "twice", "flag"]);
}

#[test]
fn select_by_name_and_by_expression() {
    let out = run("map", json!({ "select": ["ok", "a"] }), &[input()]);
    assert_eq!(out.rows(), ["true|1", "false|2", "∅|∅", "true|0"]);
    let out = run(
        "map",
        json!({ "select": { "v": "deep.v", "s": "substring(Name from 1 for 1)", "n": "NULL", "one": 1 } }),
        &[input()],
    );
    assert_eq!(out.rows(), ["7|x|∅|1", "∅|1|∅|1", "9||∅|1", "10|Ü|∅|1"]);
}

#[test]
fn strings_leave_as_plain_strings() {
    let view: ArrayRef = Arc::new(StringViewArray::from(vec!["a", "b"]));
    let input = batch([("v", view)]);
    let out = run(
        "map",
        json!({ "set": { "c": "v || 'x'", "l": "make_array(v)", "s": "named_struct('f', v)" } }),
        &[input],
    );
    assert_eq!(out.rows(), ["a|ax|[a]|{f: a}", "b|bx|[b]|{f: b}"]);
    let schema = out.emitted[0].schema();
    assert_eq!(*schema.field(1).data_type(), DataType::Utf8);
    assert!(!format!("{:?}", &schema.fields()[1..]).contains("View"), "{schema:?}");
}

#[test]
fn only_the_failing_rows_are_rejected_with_their_reasons() {
    let rows = 1000;
    let texts: Vec<String> =
        (0..rows).map(|n| if n % 97 == 5 { "x".to_owned() } else { n.to_string() }).collect();
    let divisors = (0..rows).map(|n| if n % 101 == 7 { 0 } else { 2 });
    let input = batch([
        ("t", Arc::new(StringArray::from(texts)) as ArrayRef),
        ("d", Arc::new(Int64Array::from_iter_values(divisors))),
    ]);
    let out = run("map", json!({ "select": { "x": "cast(t as bigint) / d" } }), &[input]);
    let expected: Vec<String> =
        (0..rows).filter(|n| n % 97 != 5 && n % 101 != 7).map(|n| (n / 2).to_string()).collect();
    assert_eq!(out.rows(), expected);
    assert_eq!(out.rejected.len() + expected.len(), rows);
    for (row, why) in &out.rejected {
        let why_text = why.as_str();
        assert!(
            matches!(
                why_text,
                "select.x: cannot cast string 'x' to value of Int64 type"
                    | "select.x: division by zero"
            ),
            "{row:?} {why}"
        );
    }
}

#[test]
fn neighbours_are_rejected_together_and_all_rows_can_be() {
    let texts = StringArray::from(vec!["no"; 500]);
    let input = batch([("t", Arc::new(texts) as ArrayRef)]);
    let out = run("map", json!({ "set": { "n": "cast(t as int)" } }), &[input]);
    assert!(out.rows().is_empty());
    assert_eq!(out.rejected.len(), 1);
    assert_eq!(out.rejected[0].0.num_rows(), 500);
}

#[test]
fn whole_numbers_out_of_range_are_rejected() {
    let numbers = Int64Array::from(vec![i64::MAX, 7, i64::MIN]);
    let input = batch([("a", Arc::new(numbers) as ArrayRef)]);
    for (expression, left) in [
        ("a + 1", vec!["8", "-9223372036854775807"]),
        ("a - 1", vec!["9223372036854775806", "6"]),
        ("a * 2", vec!["14"]),
        ("-a", vec!["-9223372036854775807", "-7"]),
        ("abs(a)", vec!["9223372036854775807", "7"]),
        // Only where it is computed.
        ("case when a > 0 then 1 else -a end", vec!["1", "1"]),
    ] {
        let out =
            run("map", json!({ "select": { "b": expression } }), std::slice::from_ref(&input));
        assert_eq!(out.rows(), left, "{expression}");
        let reasons: Vec<_> = out.rejected.iter().map(|(_, reason)| reason.as_str()).collect();
        assert!(
            reasons
                .iter()
                .all(|reason| reason.contains("verflow") && reason.starts_with("select.b: ")),
            "{reasons:?}"
        );
    }
    let out = run("filter", json!({ "where": "a + 1 > 0" }), std::slice::from_ref(&input));
    assert_eq!((out.rows(), out.rejected.len()), (vec!["7".to_owned()], 1));
    let aggregate = json!({ "select": { "n": "count(a)", "least": "min(a * 2)" } });
    let out = run("aggregate", aggregate, &[input]);
    assert_eq!((out.rows(), out.rejected.len()), (vec!["1|14".to_owned()], 2));
}

#[test]
fn a_wrong_number_takes_no_memory() {
    let numbers = Int64Array::from(vec![Some(3), Some(2_000_000_000_000), None, Some(-1)]);
    let texts = StringArray::from(vec!["ab"; 4]);
    let input = batch([("n", Arc::new(numbers) as ArrayRef), ("t", Arc::new(texts) as ArrayRef)]);
    for (name, expression, first) in [
        ("repeat", "length(repeat(t, n))", "6"),
        ("lpad", "length(lpad(t, n))", "3"),
        ("rpad", "length(rpad(t, n, 'x'))", "3"),
        ("range", "cardinality(range(n))", "3"),
        ("range", "cardinality(range(1, n))", "2"),
        ("range", "cardinality(range(0, n, 2))", "2"),
        ("generate_series", "cardinality(generate_series(1, n))", "3"),
        ("array_repeat", "cardinality(array_repeat(t, n))", "3"),
        ("array_resize", "cardinality(array_resize(make_array(t), abs(n)))", "3"),
    ] {
        let out =
            run("map", json!({ "select": { "b": expression } }), std::slice::from_ref(&input));
        assert_eq!(out.rows().first().map(String::as_str), Some(first), "{expression}");
        let expected = format!("|ab <- select.b: `{name}` would make more than 64 MiB");
        let rejects = out.rejects();
        assert!(rejects.len() == 1 && rejects[0].ends_with(&expected), "{rejects:?}");
    }
    let options = json!({ "select": { "b": "range(0, 1000000000)" } });
    let text = plan("map", &options, &input.schema()).unwrap_err().to_string();
    assert!(text.contains("`range(0, 1000000000)` can never work: `range` would make"), "{text}");
}

#[test]
fn constants_out_of_range_are_an_error() {
    let plan = |options| plan("map", &options, &input().schema()).unwrap_err().to_string();
    let text = plan(json!({ "select": { "b": "a + (9223372036854775807 + 1)" } }));
    assert!(text.contains("can never work: overflow happened on"), "{text}");
}

#[test]
fn empty_batches_are_taken() {
    for (kind, options) in
        [("map", json!({ "set": { "b": "1 / a" } })), ("filter", json!({ "where": "1 / a = 1" }))]
    {
        let out = run(kind, options, &[input().slice(0, 0)]);
        assert!(out.rows().is_empty() && out.rejected.is_empty());
    }
}

#[test]
fn a_filter_keeps_nothing_between_batches() {
    let options = json!({ "where": "a > 0" });
    let mut stage =
        build("filter", &options, &input().schema(), Snapshot::Stateless, 8192).unwrap();
    stage.process(input(), &mut Collected::default()).unwrap();
    assert_eq!(stage.snapshot().unwrap(), Snapshot::Stateless);
    assert!(!stage.holding() && stage.ready());
}

#[test]
fn plan_names_types_and_columns() {
    let planned = plan(
        "map",
        &json!({ "set": { "half": "a / 2", "share": "a / 2.0" }, "drop": ["deep"] }),
        &input().schema(),
    );
    let output = planned.unwrap().output;
    assert_eq!(*output.field_with_name("half").unwrap().data_type(), DataType::Int64);
    assert_eq!(*output.field_with_name("share").unwrap().data_type(), DataType::Float64);
}
