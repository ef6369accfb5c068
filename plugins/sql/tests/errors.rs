//! What people are told about expressions that do not work.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod common;

use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray};
use common::{batch, plan_error};
use serde_json::{Value, json};

fn input() -> RecordBatch {
    batch([
        ("price", Arc::new(Float64Array::from(vec![1.0])) as ArrayRef),
        ("amount", Arc::new(Int64Array::from(vec![1]))),
        ("name", Arc::new(StringArray::from(vec!["x"]))),
        ("Ok", Arc::new(BooleanArray::from(vec![true]))),
    ])
}

/// `option: message (help)`.
fn told(kind: &str, options: Value) -> String {
    let error = plan_error(kind, options, &input());
    format!("{}: {error}", error.option_path().unwrap_or("-"))
}

fn check(kind: &str, cases: &[(Value, &str)]) {
    let mut wrong = Vec::new();
    for (options, expected) in cases {
        let told = told(kind, options.clone());
        if told != *expected {
            wrong.push(format!("{options}\n  told {told:?}\n  want {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn filter_errors() {
    check(
        "filter",
        &[
            (json!({ "where": "" }), "where: the expression is empty"),
            (
                json!({ "where": "price >" }),
                "where: the expression ends too early: expected an expression",
            ),
            (
                json!({ "where": "price > ) 3" }),
                "where: expected an expression at `) 3` (column 9)",
            ),
            (
                json!({ "where": "price > 3 amount" }),
                "where: the expression should end before `amount` (column 11)",
            ),
            (
                json!({ "where": "price > 3 4" }),
                "where: the expression should end before `4` (column 11)",
            ),
            (
                json!({ "where": "name = 'x" }),
                "where: unterminated string literal at `'x` (column 8)",
            ),
            (json!({ "where": "prise > 3" }), "where: there is no column `prise`"),
            (json!({ "where": "ok" }), "where: there is no column `ok`"),
            (
                json!({ "where": "name = \"x\"" }),
                "where: there is no column `x` (a name stands in double quotes, a text in single ones: 'x')",
            ),
            (json!({ "where": "foo.bar = 1" }), "where: there is no column `foo`"),
            (
                json!({ "where": "rond(price) > 1" }),
                "where: there is no function `rond` (did you mean `round`?)",
            ),
            (json!({ "where": "qqqq(price) > 1" }), "where: there is no function `qqqq`"),
            (
                json!({ "where": "price" }),
                "where: the condition must be true or false, but this is float64 (compare it with something, for example `… > 0` or `… IS NOT NULL`)",
            ),
            (
                json!({ "where": "price + Ok > 1" }),
                "where: `price + Ok` does not work on float64 and bool (cast one side, for example `cast(x as double)`)",
            ),
            (
                json!({ "where": "avg(price) > 1" }),
                "where: `avg` gathers many rows, but this expression sees one row at a time (use it in an `aggregate` stage, under `select`)",
            ),
            (
                json!({ "where": "price in (select 1)" }),
                "where: `price IN (SELECT 1)` is a query within the expression, which stages do not have (an expression sees one batch of rows; use a stage before this one)",
            ),
            (
                json!({ "where": "sum(price) over () > 1" }),
                "where: `sum(…) OVER …` is a window function, which stages do not have",
            ),
            (
                json!({ "where": "price = $1" }),
                "where: a placeholder stands for a value that nobody gives",
            ),
            (
                json!({ "where": "price = @x" }),
                "where: `@x` is a variable, which stages do not have",
            ),
            (
                json!({ "where": ["a"] }),
                "where: invalid type: sequence, expected an SQL expression",
            ),
            (json!({ "wher": "a" }), "wher: unknown field `wher`, expected `where`"),
        ],
    );
}

#[test]
fn map_errors() {
    check(
        "map",
        &[
            (json!({ "set": { "a": "price * nme" } }), "set.a: there is no column `nme`"),
            (
                json!({ "set": { "a": "cast(price as pink)" } }),
                "set.a: this is not supported: unsupported SQL type pink",
            ),
            (json!({ "drop": ["prize"] }), "drop[0]: there is no column `prize`"),
            (
                json!({ "drop": ["price"], "set": { "price": "1" } }),
                "drop[0]: `price` is both set and dropped",
            ),
            (json!({ "drop": ["price", "amount", "name", "Ok"] }), ": no column would be left"),
            (json!({ "select": ["name", "prize"] }), "select[1]: there is no column `prize`"),
            (json!({ "select": ["name", "name"] }), "select: `name` is there twice"),
            (
                json!({ "select": ["name"], "drop": ["price"] }),
                "drop: `select` and `drop` exclude each other (`select` names all columns to emit; leave out the other)",
            ),
            (json!({ "select": { "a": "*" } }), "select.a: expected an expression at `*`"),
            (
                json!({ "set": { "a": "unnest(make_array(1, 2))" } }),
                "set.a: there is no function `unnest`",
            ),
        ],
    );
}

#[test]
fn aggregate_errors() {
    check(
        "aggregate",
        &[
            (
                json!({}),
                ": there is nothing to compute (name what to compute, for example `select: { n: count(*) }`)",
            ),
            (
                json!({ "group_by": ["kind"], "select": { "n": "count(*)" } }),
                "group_by[0]: there is no column `kind`",
            ),
            (
                json!({ "group_by": { "k": "kind" }, "select": { "n": "count(*)" } }),
                "group_by.k: there is no column `kind`",
            ),
            (
                json!({ "select": { "n": "price" } }),
                "select.n: `price` has many values in a group: it is not in `group_by` (add it to `group_by`, or aggregate it, for example `max(price)`)",
            ),
            (
                json!({ "group_by": ["name"], "select": { "n": "sum(price) + amount" } }),
                "select.n: `amount` has many values in a group: it is not in `group_by` (add it to `group_by`, or aggregate it, for example `max(amount)`)",
            ),
            (
                json!({ "group_by": ["name"], "select": { "name": "count(*)" } }),
                "select.name: `name` is a column of `group_by` already (give it another name)",
            ),
            (
                json!({ "select": { "n": "sum(avg(price))" } }),
                "select.n: `avg` stands inside of `sum`: aggregates do not nest (a second `aggregate` stage can gather the results of the first)",
            ),
            (
                json!({ "select": { "n": "sum(price) filter (where count(*) > 1)" } }),
                "select.n: `count` stands inside of `sum`: aggregates do not nest (a second `aggregate` stage can gather the results of the first)",
            ),
            (
                json!({ "select": { "n": "summ(price)" } }),
                "select.n: there is no function `summ` (did you mean `sum`?)",
            ),
            (
                json!({ "select": { "n": "string_agg(name, ',' order by price)" } }),
                "select.n: `string_agg` cannot have an ORDER BY here (array_agg, first_value and last_value can)",
            ),
            (
                json!({ "select": { "n": "count(*)" }, "max_groups": 0 }),
                "max_groups: there must be room for one group at least",
            ),
            (
                json!({ "group_by": ["name"], "memory": "100KiB" }),
                "memory: 100KiB are too few to gather groups in (at least 1MiB)",
            ),
            (
                json!({ "select": { "n": "count(*)" }, "memory": "10MiB" }),
                "memory: without `group_by` all rows are one group, which is not put on disk (leave it out)",
            ),
            (
                json!({ "group_by": ["name"], "memory": "10MiB", "every": "1s" }),
                "memory: groups are not put on disk with `every` (leave it out)",
            ),
            (
                json!({ "group_by": ["name"], "spill": "/tmp", "window": { "time": "cast(1 as timestamp)", "size": "1m" } }),
                "spill: groups of windows are not put on disk (leave it out)",
            ),
            (
                json!({ "group_by": { "k": "count(*)" }, "select": { "n": "count(*)" } }),
                "group_by.k: `count` gathers many rows, but this expression sees one row at a time (use it in an `aggregate` stage, under `select`)",
            ),
        ],
    );
    for (text, begins, helps) in [
        ("sum(name)", "`sum` does not take (string)", "sum(expression)"),
        (
            "approx_percentile_cont(price)",
            "`approx_percentile_cont` does not take (float64)",
            "approx_percentile_cont(",
        ),
        (
            "round('a', 'b', 'c') + count(*)",
            "`round` does not take (string, string, string)",
            "round(",
        ),
    ] {
        let error = plan_error("aggregate", json!({ "select": { "n": text } }), &input());
        assert!(error.message().starts_with(begins), "{text}: {error}");
        assert!(error.help_text().is_some_and(|help| help.contains(helps)), "{text}: {error}");
    }
}

#[test]
fn what_fails_on_every_row_is_an_error_of_the_pipeline() {
    check(
        "filter",
        &[
            (
                json!({ "where": "regexp_like(name, '(')" }),
                "where: the regular expression does not compile: unclosed group",
            ),
            (
                json!({ "where": "regexp_replace(name, '[', 'x') = 'y'" }),
                "where: `regexp_replace(name, '[', 'x')` can never work: the regular expression does not compile: unclosed character class (it is used as regexp_replace(str, regexp, replacement[, flags]))",
            ),
        ],
    );
    let begins = [
        (
            "date_trunc('foo', to_timestamp(name))",
            "`date_trunc('foo', to_timestamp(name))` can never work: unsupported date_trunc granularity: 'foo'. Supported values are: microsecond,",
        ),
        // Also where not every row gets to it: nobody means a call that never works.
        (
            "case when Ok then encode(name, 'foo') end",
            "`encode(name, 'foo')` can never work: there is no built-in encoding named 'foo'",
        ),
        ("price + 1 / 0", "`1 / 0` can never work: division by zero"),
        ("coalesce(1 / 0, amount)", "`1 / 0` can never work: division by zero"),
        ("sum(factorial(-1) * amount)", "`factorial(-1)` can never work: factorial of a negative"),
    ];
    for (text, message) in begins {
        let error = match text.starts_with("sum") {
            true => plan_error("aggregate", json!({ "select": { "x": text } }), &input()),
            false => plan_error("map", json!({ "set": { "x": text } }), &input()),
        };
        assert!(error.message().starts_with(message), "{text}: {error}");
    }
    // These fail on the rows that get there, and may be meant to.
    for text in [
        "case when price < 0 then 1 / 0 else 1 end",
        "coalesce(amount, 1 / 0)",
        "Ok or 1 / 0 > 1",
        "amount % 0",
        "random() > 2",
        "array_max(string_to_array(name, ','))",
    ] {
        let options = json!({ "set": { "x": text } });
        common::plan("map", &options, &input().schema()).unwrap_or_else(|e| panic!("{text}: {e}"));
    }
}

#[test]
fn a_missing_column_is_named() {
    let error = plan_error("filter", json!({ "where": "prise > 3" }), &input());
    assert_eq!((error.column_name(), error.option_path()), (Some("prise"), Some("where")));
}

#[test]
fn places_in_several_lines() {
    let told = told("filter", json!({ "where": "price > 1\n  AND (amount ==== 2)" }));
    assert!(told.contains("line 2, column"), "{told}");
}

#[test]
fn monsters_are_refused() {
    let chain = vec!["amount"; 50_000].join(" + ");
    let told = told("map", json!({ "set": { "a": chain } }));
    assert!(told.starts_with("set.a: the expression is too long"), "{told}");
    let deep = format!("{}1{}", "(".repeat(20_000), ")".repeat(20_000));
    let error = plan_error("map", json!({ "set": { "a": deep } }), &input());
    assert_eq!(error.option_path(), Some("set.a"));
}

#[test]
fn calls_in_calls() {
    for brackets in [15, 16, 17, 30, 60, 300] {
        let deep = format!("{}1{}", "abs(".repeat(brackets), ")".repeat(brackets));
        let deep = json!({ "set": { "a": deep } });
        let planned = common::plan("map", &deep, &input().schema());
        assert_eq!(planned.is_ok(), brackets <= 16, "{brackets}");
        if let Err(error) = planned {
            assert_eq!(error.message(), "the expression is nested too deeply");
        }
    }
}

#[test]
fn long_chains() {
    let chain = vec!["amount"; 900].join(" + ");
    let error = plan_error("map", json!({ "set": { "a": chain } }), &input());
    assert_eq!(error.message(), "the expression is nested too deeply");

    // The deepest there can be, and long lists, on the stack of a test.
    let sum = vec!["amount"; 64].join(" + ");
    let list: Vec<String> = (0..5000).map(|n| n.to_string()).collect();
    let list = format!("amount IN ({})", list.join(", "));
    let or: Vec<String> = (0..300).map(|n| format!("amount = {n}")).collect();
    let options = json!({ "select": { "a": sum, "b": list, "c": or.join(" OR ") } });
    let out = common::run("map", options, &[input()]);
    assert_eq!(out.rows(), ["64|true|true"]);
    // Each part of a chain can be as deep as its brackets: the sum of both counts.
    let part = vec!["amount"; 20].join(" + ");
    let mut deep = part.clone();
    for _ in 0..10 {
        deep = format!("abs({deep}) + {part}");
    }
    assert_eq!(
        plan_error("map", json!({ "set": { "a": deep } }), &input()).message(),
        "the expression is nested too deeply"
    );
}
