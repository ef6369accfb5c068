//! Cases of `filter`, `map` and `route`, the kinds that look at each row alone.

use arrow_array::RecordBatch;
use gristmill_testkit::conformance::Settings;
use serde_json::{Value, json};

use crate::case::{Case, World};

pub fn cases(_: &World) -> Vec<Case> {
    let mut cases = filters();
    cases.extend(maps());
    cases.extend(routes());
    cases
}

fn routes() -> Vec<Case> {
    let case = |title, routes: Value| {
        Case::new("route", title, json!({ "routes": routes }))
            .on(&table())
            .with(Settings::new().ordered().one_to_one().seeds(8))
    };
    vec![
        case("by two conditions", json!({ "low": "n < 10", "even": "b" })).gives(40, 0),
        case("all by the first", json!({ "all": true, "none": "n / d > 1" })).gives(40, 0),
        case("all by the rest", json!({ "none": "NULL", "neither": false })).gives(40, 0),
        // A row that went before is not looked at: of eight with a `d` of zero, `b` takes four.
        case("rows that fail", json!({ "even": "b", "part": "100 / d > 30" })).gives(36, 4),
        Case::new("route", "no rows", json!({ "routes": { "z": "n > 1" } }))
            .with(Settings::new().input_schema(table().schema()))
            .gives(0, 0),
    ]
}

/// 40 rows; `s` is a number in nine of ten and null or none in others, `d` is zero in one of five.
fn table() -> RecordBatch {
    let row = |n: i64| {
        json!({
            "n": if n % 7 == 6 { json!(null) } else { json!(n) },
            "s": match n % 10 {
                4 => json!(null),
                9 => json!(format!("ten-{n}")),
                _ => json!(format!("{n}.5")),
            },
            "d": n % 5,
            "o": { "x": n as f64 / 4.0, "t": (["a", "b", "c"][n as usize % 3]) },
            "l": [n, null],
            "b": n % 2 == 0,
        })
    };
    gristmill_testkit::table(&Value::Array((0..40).map(row).collect())).unwrap()
}

fn filters() -> Vec<Case> {
    let case = |title, condition: Value| {
        Case::new("filter", title, json!({ "where": condition }))
            .on(&table())
            .with(Settings::new().ordered().seeds(8))
    };
    vec![
        // Null is not true: 24 even and odd numbers above 10, without those that are null.
        case("with nulls", json!("n > 10 AND o.x < 9")).gives(21, 0),
        case("of texts", json!("s LIKE '%.5' OR upper(o['t']) = 'A'")).gives(35, 0),
        case("rows that fail", json!("100 / d > 30")).gives(24, 8),
        case("a cast that fails", json!("cast(s AS double) >= 20 AND b")).gives(8, 4),
        case("all", json!(true)).gives(40, 0),
        case("none", json!("NULL")).gives(0, 0),
    ]
}

fn maps() -> Vec<Case> {
    let settings = || Settings::new().ordered().one_to_one().seeds(8);
    let case = |title, options| Case::new("map", title, options).on(&table()).with(settings());
    vec![
        case(
            "set and drop",
            json!({
                "set": {
                    "n": "coalesce(n, -1) * 2",
                    "text": "concat(s, '/', o.t)",
                    "size": "character_length(s)",
                    "big": "CASE WHEN o.x > 5 THEN 'big' WHEN b THEN NULL ELSE 'small' END",
                    "first": "l[1]",
                },
                "drop": ["l"],
            }),
        )
        .gives(40, 0),
        case("columns in another order", json!({ "select": ["o", "n"] })).gives(40, 0),
        case(
            "names and expressions",
            json!({ "select": { "k": "o.t || '!'", "one": 1, "x": "round(o.x, 1)" } }),
        )
        .gives(40, 0),
        case(
            "rows that fail in one of several ways",
            json!({ "set": { "q": "n / d", "v": "cast(s AS double)", "t": "to_timestamp(n)" } }),
        )
        .gives(29, 11),
        Case::new("map", "no rows", json!({ "set": { "z": "n + 1" } }))
            .with(settings().input_schema(table().schema()))
            .gives(0, 0),
    ]
}
