//! Cases of `aggregate`.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampSecondArray};
use gristmill_testkit::conformance::Settings;
use serde_json::{Value, json};

use crate::case::{Case, World};

/// 60 rows with nulls in every column but `n`.
fn table() -> RecordBatch {
    let row = |n: i64| {
        let some = |every: i64, value: Value| if n % every == 0 { json!(null) } else { value };
        json!({
            "n": n,
            "kind": some(6, json!(["tea", "cup", "pot", "tea"][n as usize % 4])),
            "size": some(11, json!(n % 3)),
            "price": some(7, json!((n * 37 % 60) as f64 / 8.0)),
            "text": some(5, json!(format!("{}", n % 13))),
            "new": some(4, json!(n % 3 == 0)),
            "at": some(9, json!(["2026-01-02T03:04:05Z", "2026-02-01T00:00:00Z", "soon"][n as usize % 3])),
        })
    };
    gristmill_testkit::table(&Value::Array((0..60).map(row).collect())).unwrap()
}

/// 60 rows with a time, but for one; those of the second half as those of the first.
fn events() -> RecordBatch {
    let times = (0..60).map(|n| (n != 7).then_some(n % 30));
    let times: TimestampSecondArray = times.collect();
    let numbers = Int64Array::from_iter_values(0..60);
    let kinds: StringArray = (0..60).map(|n| Some(["tea", "cup", "pot"][n % 3])).collect();
    RecordBatch::try_from_iter_with_nullable([
        ("at", Arc::new(times) as ArrayRef, true),
        ("n", Arc::new(numbers), true),
        ("kind", Arc::new(kinds), true),
    ])
    .unwrap()
}

pub fn cases(_: &World) -> Vec<Case> {
    let case = |title, options| Case::new("aggregate", title, options).on(&table());
    let no_rows = || Settings::new().input_schema(table().schema());
    let counts = json!({ "n": "count(*)", "sum": "sum(price)", "some": "max(text)" });
    vec![
        // `approx_distinct` takes no dictionaries.
        case("several aggregates of a key with nulls", json!({ "group_by": ["kind"], "select": many() }))
            .gives(4, 0)
            .refuses(&["Dictionary"]),
        case(
            "distinct values and filters",
            json!({ "group_by": ["size", "new"], "select": {
                "kinds": "count(DISTINCT kind)",
                "prices": "count(DISTINCT price) FILTER (WHERE n > 20)",
                "sum": "sum(DISTINCT size) + count(*)",
                "cheap": "avg(price) FILTER (WHERE price < 3 AND new)",
                "never": "max(text) FILTER (WHERE false)",
            } }),
        )
        // Three sizes, each with null and one other; no size, with null, true and false.
        .gives(9, 0),
        case(
            "what depends on order, with an order",
            json!({ "group_by": ["kind"], "select": {
                "all": "array_agg(n ORDER BY n DESC)",
                "prices": "array_agg(price ORDER BY price NULLS FIRST, n)",
                "first": "first_value(text ORDER BY n)",
                "last": "last_value(price ORDER BY n)",
                "distinct": "array_agg(DISTINCT text ORDER BY text)",
            } }),
        )
        .gives(4, 0),
        case(
            "every row its own group",
            json!({ "group_by": ["n", "kind"], "select": { "rows": "count(*)", "sum": "sum(price)" } }),
        )
        .gives(60, 0),
        case(
            "groups that do not fit into memory",
            json!({ "group_by": ["n"], "memory": "1MiB", "select": {
                "rows": "count(*)",
                "long": "array_agg(repeat(kind, 20000)) FILTER (WHERE new)",
                "high": "max(repeat(coalesce(text, 'none'), 5000))",
            } }),
        )
        .gives(60, 0),
        case("groups without aggregates", json!({ "group_by": ["kind", "new"] }))
            // Both follow from n % 12, which has twelve values; four of them fall on others' groups.
            .gives(8, 0),
        case("all rows as one group", json!({ "select": many() }))
            .gives(1, 0)
            .refuses(&["Dictionary"]),
        case("all rows as one group, in their order", json!({ "select": { "all": "array_agg(n)" } }))
            .gives(1, 0)
            .alone(),
        case(
            "computed keys, and rows that fail",
            json!({
                "group_by": { "band": "floor(price / 2)", "month": "date_trunc('month', cast(at AS timestamp))" },
                "select": { "n": "count(*)", "low": "min(n)", "of": "sum(cast(text AS bigint)) / count(*)" },
            }),
        )
        // "soon" is no time: 20 rows. Without a time there are the bands 0, 1, 2 and null, in each of
        // the months also 3.
        .gives(14, 20),
        case(
            "quantiles, with weights and of few centroids",
            json!({ "group_by": ["kind"], "select": {
                "p90": "approx_percentile_cont(price, 0.9, 20)",
                "weighed": "approx_percentile_cont_with_weight(price, n, 0.5)",
                "middle": "approx_median(n) FILTER (WHERE n > 20)",
            } }),
        )
        .gives(4, 0),
        case("the most frequent values", json!({ "group_by": ["size"], "select": {
            "few": "approx_top_k(text, 2, 3)",
            "all": "approx_top_k(n % 7, 7)",
            "some": "approx_top_k(price, 1, 1) FILTER (WHERE n > 5)",
        } }))
        .gives(4, 0),
        // Times begin anew in the second half: only those of the last window are not too late.
        Case::new("aggregate", "windows, and rows that come too late", json!({
            "window": { "time": "at", "size": "10s" },
            "select": { "n": "count(*)", "sum": "sum(n)" },
        }))
        .on(&events())
        .gives(3, 21)
        .alone(),
        Case::new("aggregate", "windows that overlap, of groups, with late rows in the oldest", json!({
            "window": { "time": "at", "size": "10s", "slide": "5s", "lateness": "1s", "late": "merge" },
            "group_by": { "odd": "n % 2 = 1" },
            "select": { "n": "count(*)", "p50": "approx_median(n)", "some": "max(n)" },
        }))
        .on(&events())
        .gives(14, 1)
        .alone(),
        Case::new("aggregate", "windows of groups in several workers", json!({
            "window": { "time": "at", "size": "7s", "lateness": "60s" },
            "group_by": ["kind"],
            "select": { "n": "count(*)", "high": "max(n)" },
        }))
        .on(&events())
        .gives(14, 1),
        // Times begin anew in the second half: too late for the first session, which ends where the
        // row without a time is, and within the second.
        Case::new("aggregate", "sessions, and rows that come too late", json!({
            "window": { "time": "at", "gap": "2s" },
            "select": { "n": "count(*)", "sum": "sum(n)", "some": "max(kind)" },
        }))
        .on(&events())
        .gives(2, 8)
        .alone(),
        Case::new("aggregate", "sessions of groups, with late rows in the oldest", json!({
            "window": { "time": "at", "gap": "3s", "lateness": "1s", "late": "merge" },
            "group_by": { "some": "n % 8 in (1, 2, 3)" },
            "select": { "n": "count(*)", "p50": "approx_median(n)", "high": "max(n)", "few": "count(DISTINCT kind)" },
        }))
        .on(&events())
        .gives(9, 1)
        .alone(),
        Case::new("aggregate", "sessions of groups in several workers", json!({
            "window": { "time": "at", "gap": "2s", "lateness": "60s" },
            "group_by": ["kind"],
            "select": { "n": "count(*)", "high": "max(n)" },
        }))
        .on(&events())
        .gives(30, 1),
        Case::new("aggregate", "results so far", json!({
            "every": "10s",
            "group_by": ["kind"],
            "select": { "n": "count(*)", "mean": "avg(price)" },
        }))
        .on(&table())
        .gives(4, 0),
        Case::new("aggregate", "results so far of windows", json!({
            "every": "1ms",
            "window": { "time": "at", "size": "7s", "lateness": "60s" },
            "group_by": ["kind"],
            "select": { "n": "count(*)" },
        }))
        .on(&events())
        .gives(14, 1),
        Case::new("aggregate", "results so far of sessions", json!({
            "every": "1ms",
            "window": { "time": "at", "gap": "2s", "lateness": "60s" },
            "group_by": ["kind"],
            "select": { "n": "count(*)" },
        }))
        .on(&events())
        .gives(30, 1),
        Case::new("aggregate", "groups of no rows", json!({ "group_by": ["kind"], "select": counts }))
            .with(no_rows())
            .gives(0, 0),
        Case::new("aggregate", "no rows as one group", json!({ "select": counts }))
            .with(no_rows())
            .gives(1, 0),
    ]
}

fn many() -> Value {
    json!({
        "n": "count(*)",
        "texts": "count(text)",
        "sum": "sum(price)",
        "mean": "avg(price)",
        "low": "min(price)",
        "high": "max(at)",
        "whole": "sum(n) * 2 - min(size)",
        "spread": "stddev(price)",
        "var": "var_pop(n)",
        "corr": "corr(n, price)",
        "median": "median(price)",
        "p95": "approx_percentile_cont(price, 0.95)",
        "about": "approx_distinct(text)",
        "any": "bool_or(new)",
        "bits": "bit_xor(n)",
        "label": "CASE WHEN count(*) > 12 THEN 'many' ELSE 'few' END",
    })
}
