//! `lookup` on real files.
#![allow(clippy::expect_used, clippy::panic, missing_docs, reason = "a test fails by panicking")]

mod common;

use std::collections::HashMap;

use arrow_array::RecordBatch;
use gristmill_stage::{Error, Planned, Result};
use gristmill_testkit::{Harness, rows};
use proptest::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;

use common::registry;

fn plan(options: &Value, input: &RecordBatch) -> Result<Planned, Error> {
    registry().get("lookup").expect("lookup").plan(options, Some(&input.schema()))
}

/// What comes of the rows, and the reasons for those that are rejected.
fn look(options: &Value, input: &RecordBatch) -> Result<(Vec<Value>, Vec<String>)> {
    let registry = registry();
    let kind = registry.get("lookup").expect("lookup").as_ref();
    let mut stage = Harness::new().build(kind, options, Some(&input.schema()))?;
    stage.run_transform([input.clone()])?;
    let collected = stage.into_collected();
    assert!(collected.violations.is_empty(), "{:?}", collected.violations);
    let rejected = collected.rejected.into_iter();
    let rejected = rejected
        .flat_map(|rejected| vec![rejected.reason.clone(); rejected.rows.num_rows()])
        .collect();
    Ok((gristmill_testkit::json_rows(&collected.batches)?, rejected))
}

fn file(folder: &TempDir, name: &str, text: &str) -> String {
    let path = folder.path().join(name);
    std::fs::write(&path, text).expect("written");
    path.display().to_string()
}

fn cities(folder: &TempDir) -> String {
    file(folder, "cities.csv", "id,name,country\n1,Basel,CH\n2,Köln,DE\n3,,FR\n,Nowhere,XX\n")
}

#[test]
fn columns_of_the_table_stand_beside_rows_that_have_its_keys() {
    let folder = tempfile::tempdir().expect("folder");
    let table = json!({ "path": cities(&folder) });
    let input = rows!([{ "n": 1, "id": 2 }, { "n": 2, "id": 9 }, { "n": 3, "id": null }, { "n": 4, "id": 3 }]);
    let (found, rejected) = look(&json!({ "table": table, "on": ["id"] }), &input).expect("looked");
    let expected = [
        json!({ "n": 1, "id": 2, "name": "Köln", "country": "DE" }),
        json!({ "n": 2, "id": 9, "name": null, "country": null }),
        // Null is not equal to the null of the table.
        json!({ "n": 3, "id": null, "name": null, "country": null }),
        json!({ "n": 4, "id": 3, "name": null, "country": "FR" }),
    ];
    assert_eq!(found, expected);
    assert!(rejected.is_empty());

    let options = |missing: &str| json!({ "table": table, "on": ["id"], "take": { "land": "country" }, "missing": missing });
    let known =
        [json!({ "n": 1, "id": 2, "land": "DE" }), json!({ "n": 4, "id": 3, "land": "FR" })];
    let (found, rejected) = look(&options("reject"), &input).expect("looked");
    assert_eq!(found, known);
    assert_eq!(rejected, ["no row of the table has its `id`"; 2]);
    let (found, rejected) = look(&options("drop"), &input).expect("looked");
    assert_eq!((found.as_slice(), rejected.len()), (known.as_slice(), 0));
}

#[test]
fn keys_may_have_other_names_and_layouts() {
    let folder = tempfile::tempdir().expect("folder");
    let path = file(
        &folder,
        "t.jsonl",
        "{\"k\":1,\"s\":\"a\",\"v\":10}\n{\"k\":1,\"s\":\"b\",\"v\":20}\n",
    );
    let input = rows!([{ "x": 1, "t": "b" }, { "x": 2, "t": "a" }, { "x": 1, "t": "a" }]);
    let dictionary = arrow_schema::DataType::Dictionary(
        Box::new(arrow_schema::DataType::Int8),
        Box::new(arrow_schema::DataType::Utf8),
    );
    let narrow = arrow_cast::cast(input.column(0), &arrow_schema::DataType::UInt8).expect("cast");
    let texts = arrow_cast::cast(input.column(1), &dictionary).expect("cast");
    let input = RecordBatch::try_from_iter([("x", narrow), ("t", texts)]).expect("batch");
    let options = json!({ "table": { "path": path }, "on": { "x": "k", "t": "s" }, "take": ["v"] });
    let (found, _) = look(&options, &input).expect("looked");
    let values: Vec<&Value> = found.iter().map(|row| &row["v"]).collect();
    assert_eq!(values, [&json!(20), &json!(null), &json!(10)]);
}

#[test]
fn a_table_that_cannot_be_used_is_an_error_before_the_run() {
    let folder = tempfile::tempdir().expect("folder");
    let input = rows!([{ "id": 1, "name": "x" }]);
    let path = cities(&folder);
    let table = json!({ "path": path });
    for (options, at, message) in [
        (json!({ "table": { "path": "gone.csv" }, "on": ["id"] }), "table.path", "gone.csv"),
        (json!({ "table": table, "on": [] }), "on", "nothing to find rows by"),
        (json!({ "table": table, "on": ["ID"] }), "on[0]", "the input has no column `ID`"),
        (json!({ "table": table, "on": { "id": "no" } }), "on.id", "the table has no column `no`"),
        (
            json!({ "table": table, "on": { "id": "name" } }),
            "on.id",
            "`id` is Int64, but `name` of the table is Utf8",
        ),
        (json!({ "table": table, "on": ["id"] }), "take", "two columns `name`"),
        (json!({ "table": table, "on": ["id"], "take": ["land"] }), "take[0]", "no column `land`"),
        (
            json!({ "table": { "path": "-", "format": "lines" }, "on": { "name": "line" } }),
            "table.path",
            "have an end",
        ),
    ] {
        let error = plan(&options, &input).expect_err("refused");
        assert_eq!(error.option_path(), Some(at), "{error}");
        assert!(error.message().contains(message), "{error}");
    }

    let twice = file(&folder, "twice.csv", "id,v\n1,a\n2,b\n1,c\n");
    let bad = file(&folder, "bad.csv", "id,v\n1,a\nx,b\n");
    let options = |path: &str, more: Value| {
        let mut options = json!({ "table": { "path": path, "columns": { "id": "int64", "v": "string" } }, "on": ["id"] });
        options.as_object_mut().expect("options").extend(more.as_object().expect("more").clone());
        options
    };
    let failed = |options: &Value| look(options, &input).expect_err("failed").to_string();
    assert!(
        failed(&options(&twice, json!({}))).contains("two rows of the table have the same `id`")
    );
    let text = failed(&options(&bad, json!({})));
    assert!(text.contains("does not fit") && text.contains("bad.csv:3"), "{text}");
    let text = failed(&options(&twice, json!({ "duplicates": "first", "memory": "100B" })));
    assert!(text.contains("more than 100B"), "{text}");
    let (found, _) =
        look(&options(&twice, json!({ "duplicates": "first" })), &input).expect("looked");
    assert_eq!(found, [json!({ "id": 1, "name": "x", "v": "a" })]);
    // The file is known as one that is read.
    let planned = plan(&options(&twice, json!({})), &input).expect("planned");
    assert_eq!(planned.reads, [std::path::PathBuf::from(twice)]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(50))]

    #[test]
    fn it_finds_what_a_map_would(
        table in prop::collection::hash_map(-9..9_i64, "[a-c]{0,3}", 0..12),
        keys in prop::collection::vec(prop::option::weighted(0.9, -12..12_i64), 1..40),
    ) {
        let folder = tempfile::tempdir().expect("folder");
        let lines: String = table.iter().map(|(k, v)| format!("{{\"k\":{k},\"v\":\"{v}\"}}\n")).collect();
        let path = file(&folder, "t.jsonl", &lines);
        let columns = json!({ "k": "int64", "v": "string" });
        let options = json!({ "table": { "path": path, "columns": columns }, "on": ["k"] });
        let input: Vec<Value> = keys.iter().map(|k| json!({ "k": k, "n": 1 })).collect();
        let batch = gristmill_testkit::table(&Value::Array(input));
        // A column of nothing but nulls has no type.
        let Ok(batch) = batch else { return Ok(()) };
        prop_assume!(batch.column(0).data_type() == &arrow_schema::DataType::Int64);
        let (found, _) = look(&options, &batch).expect("looked");
        let table: HashMap<i64, String> = table;
        let expected: Vec<Value> = keys
            .iter()
            .map(|k| json!({ "k": k, "n": 1, "v": k.and_then(|k| table.get(&k)) }))
            .collect();
        prop_assert_eq!(found, expected);
    }
}
