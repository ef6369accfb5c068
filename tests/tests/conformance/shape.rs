//! Cases of `limit`, `sample`, `dedupe`, `unnest`, `sort` and `top`.

use std::sync::Arc;

use arrow_array::builder::{Int64Builder, MapBuilder, StringBuilder};
use arrow_array::types::Int64Type;
use arrow_array::{
    ArrayRef, FixedSizeListArray, Float64Array, LargeListArray, ListArray, ListViewArray,
    RecordBatch,
};
use gristmill_stage::BatchTarget;
use gristmill_testkit::conformance::Settings;
use serde_json::{Value, json};

use crate::case::{Case, World};

pub fn cases(world: &World) -> Vec<Case> {
    let mut cases = limits();
    cases.extend(samples());
    cases.extend(repeats());
    cases.extend(lists());
    cases.extend(orders(world));
    cases.extend(tops());
    cases
}

/// 60 rows with nulls and rows that are equal in some columns.
fn table() -> RecordBatch {
    let row = |n: i64| {
        let some = |every: i64, value: Value| if n % every == 0 { json!(null) } else { value };
        json!({
            "n": n,
            "kind": some(6, json!(["tea", "cup", "pot"][n as usize % 3])),
            "price": some(7, json!((n * 37 % 12) as f64 / 8.0)),
            "o": { "x": n % 2, "s": format!("{}", n % 5) },
            "l": [n % 2, null],
        })
    };
    gristmill_testkit::table(&Value::Array((0..60).map(row).collect())).unwrap()
}

fn settings() -> Settings {
    Settings::new().ordered().seeds(8)
}

fn limits() -> Vec<Case> {
    let case =
        |title, options| Case::new("limit", title, options).on(&table()).with(settings()).alone();
    vec![
        case("some", json!({ "rows": 20 })).gives(20, 0),
        case("from the middle", json!({ "rows": 20, "offset": 13 })).gives(20, 0),
        case("over the end", json!({ "rows": 20, "offset": 50 })).gives(10, 0),
        case("beyond the end", json!({ "rows": 1, "offset": 60 })).gives(0, 0),
        case("none", json!({ "rows": 0 })).gives(0, 0),
        case("all", json!({ "rows": u64::MAX, "offset": 0 })).gives(60, 0),
    ]
}

fn samples() -> Vec<Case> {
    let case = |title, options| Case::new("sample", title, options).on(&table()).with(settings());
    vec![
        case("a rate", json!({ "rate": 0.25 })).gives(15, 0).alone(),
        case("another seed", json!({ "rate": 0.25, "seed": 7 })).gives(13, 0).alone(),
        case("all of a rate", json!({ "rate": 1 })).gives(60, 0).alone(),
        case("none of a rate", json!({ "rate": 0.0 })).gives(0, 0).alone(),
        case("a step", json!({ "every": 7 })).gives(9, 0).alone(),
        case("a number", json!({ "rows": 11 })).gives(11, 0).alone(),
        case("a number that there is not", json!({ "rows": 100 })).gives(60, 0).alone(),
        Case::new("sample", "by a column", json!({ "rate": 0.5, "by": ["kind", "o"] }))
            .on(&table())
            .with(Settings::new().seeds(8))
            .gives(34, 0),
    ]
}

fn repeats() -> Vec<Case> {
    let case = |title, options| Case::new("dedupe", title, options).on(&table());
    // A dozen rows of two columns are equal each: with several workers, which are first differs.
    let keyed = || Settings::new().seeds(8);
    let bloom = json!({ "false_positives": 0.001 });
    vec![
        case("by a key with nulls", json!({ "by": ["kind"] })).with(keyed()).gives(4, 0),
        case("by fractions and structs", json!({ "by": ["price", "o"] }))
            .with(keyed())
            .gives(60, 0),
        case("by lists", json!({ "by": ["l", "kind"] })).with(keyed()).gives(6, 0),
        case("by all columns", json!({})).with(keyed()).gives(60, 0),
        case("by a filter", json!({ "by": ["kind"], "approximate": bloom }))
            .with(keyed())
            .gives(4, 0),
        case("by a filter of all columns", json!({ "approximate": bloom }))
            .with(keyed())
            .gives(60, 0),
        Case::new("dedupe", "no rows", json!({}))
            .with(settings().input_schema(table().schema()))
            .gives(0, 0),
        Case::new("dedupe", "zeros and NaNs", json!({ "by": ["x"] }))
            .on(&floats())
            .with(settings())
            .gives(4, 0),
    ]
}

/// Numbers of which several are equal, though their bits are not.
fn floats() -> RecordBatch {
    let other_nan = f64::from_bits(f64::NAN.to_bits() | 1);
    let numbers = [0.0, -0.0, f64::NAN, -f64::NAN, other_nan, 1.5].map(Some);
    let numbers = numbers.into_iter().chain([None]).cycle().take(40);
    let column: ArrayRef = Arc::new(Float64Array::from_iter(numbers));
    RecordBatch::try_from_iter_with_nullable([("x", column, true)]).unwrap()
}

fn lists() -> Vec<Case> {
    let case = |title, options| Case::new("unnest", title, options).on(&nested()).with(settings());
    let plain = |column: &str| json!({ "column": column });
    vec![
        // Of five rows one has no list and one an empty one; the others have 1, 2 and 3 items.
        case("items", plain("l")).gives(48, 0),
        case("empty ones stay", json!({ "column": "l", "keep_empty": true })).gives(64, 0),
        case("positions", json!({ "column": "l", "keep_empty": true, "position": "at" })).gives(64, 0),
        case("structs as they are", plain("s")).gives(48, 0),
        case(
            "structs as columns",
            json!({ "column": "s", "spread": true, "prefix": "s_", "keep_empty": true, "position": "at" }),
        )
        .gives(64, 0),
        case("a struct alone", json!({ "column": "o", "spread": true })).gives(40, 0),
        case("large lists", plain("large")).gives(48, 0),
        case("views of lists", plain("view")).gives(48, 0),
        case("lists of one size", json!({ "column": "fixed", "position": "at" })).gives(72, 0),
        case("maps", json!({ "column": "map", "spread": true })).gives(80, 0),
        case("small batches of bytes", plain("s"))
            .with(settings().batch(BatchTarget { rows: 100, bytes: 150 }))
            .gives(48, 0),
        Case::new("unnest", "no rows", plain("l"))
            .with(settings().input_schema(nested().schema()))
            .gives(0, 0),
    ]
}

/// 40 rows of lists.
fn nested() -> RecordBatch {
    let list = |n: i64| match n % 5 {
        0 => None,
        length => Some((1..length).map(move |i| if i == 3 { None } else { Some(n * 10 + i) })),
    };
    let lists = || (0..40).map(list);
    let structs = |n: i64| {
        let item = |i: Option<i64>| match i {
            Some(i) if i % 2 == 0 => json!(null),
            Some(i) => json!({ "x": i, "t": format!("item {i}") }),
            None => json!({ "x": null, "t": null }),
        };
        list(n).map(|items| items.map(item).collect::<Vec<_>>())
    };
    let rows = (0..40).map(|n| {
        json!({ "n": n, "name": format!("row {n}"), "s": structs(n), "o": { "y": n, "z": null } })
    });
    let rows = gristmill_testkit::table(&Value::Array(rows.collect())).unwrap();
    let fixed = (0..40).map(|n| (n % 10 != 0).then_some([Some(n), None]));
    let views: ListViewArray = ListArray::from_iter_primitive::<Int64Type, _, _>(lists()).into();
    let added: [(&str, ArrayRef); 5] = [
        ("l", Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(lists()))),
        ("large", Arc::new(LargeListArray::from_iter_primitive::<Int64Type, _, _>(lists()))),
        ("view", Arc::new(views)),
        ("fixed", Arc::new(FixedSizeListArray::from_iter_primitive::<Int64Type, _, _>(fixed, 2))),
        ("map", map()),
    ];
    let columns = rows.schema_ref().fields().iter().zip(rows.columns());
    let columns = columns.map(|(field, column)| (field.name().clone(), Arc::clone(column), true));
    let columns: Vec<_> = columns
        .chain(added.into_iter().map(|(name, column)| (name.to_owned(), column, true)))
        .collect();
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

/// 40 maps of two keys.
fn map() -> ArrayRef {
    let mut maps = MapBuilder::new(None, StringBuilder::new(), Int64Builder::new());
    for n in 0..40 {
        for key in [2 * n, 2 * n + 1] {
            maps.keys().append_value(format!("k{}", key % 2));
            maps.values().append_option((key % 3 > 0).then_some(key));
        }
        maps.append(true).unwrap();
    }
    Arc::new(maps.finish())
}

fn orders(world: &World) -> Vec<Case> {
    let case = |title, by: Value| {
        let spill = world.path("spill");
        Case::new("sort", title, json!({ "by": by, "spill": spill }))
            .on(&table())
            .with(settings().one_to_one())
            .gives(60, 0)
            .alone()
    };
    vec![
        case("by one column", json!("price")),
        case("downwards", json!("kind desc")),
        case("by several, nulls first", json!(["kind nulls first", "price desc", "n desc"])),
        case("by structs and lists", json!(["o", "l desc"])),
        Case::new("sort", "numbers that are none", json!({ "by": "x desc" }))
            .on(&floats())
            .with(settings())
            .gives(40, 0)
            .alone(),
        Case::new("sort", "no rows", json!({ "by": "n" }))
            .with(settings().input_schema(table().schema()))
            .gives(0, 0)
            .alone(),
    ]
}

fn tops() -> Vec<Case> {
    let case = |title, options| Case::new("top", title, options).on(&table());
    vec![
        case("of all", json!({ "by": "price desc", "rows": 9 }))
            .with(settings())
            .gives(9, 0)
            .alone(),
        case("one", json!({ "by": ["kind", "n desc"], "rows": 1 }))
            .with(settings())
            .gives(1, 0)
            .alone(),
        case("more than there are", json!({ "by": "n desc", "rows": 99 }))
            .with(settings())
            .gives(60, 0)
            .alone(),
        // Several workers emit their groups one after the other.
        case("of groups", json!({ "by": "n desc", "rows": 3, "group_by": ["kind"] }))
            .with(Settings::new().seeds(8))
            .gives(12, 0),
        case("of small groups", json!({ "by": "n", "rows": 2, "group_by": ["price", "kind"] }))
            .with(Settings::new().seeds(8))
            .gives(31, 0),
        Case::new("top", "no rows", json!({ "by": "n", "rows": 3 }))
            .with(settings().input_schema(table().schema()))
            .gives(0, 0)
            .alone(),
    ]
}
