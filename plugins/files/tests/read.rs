//! `read`: formats, bad lines, positions.

#![allow(clippy::expect_used, clippy::panic, reason = "tests may")]

mod common;

use std::path::PathBuf;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_schema::DataType;
use common::{Collected, context, plan_read, read, read_with, registry};
use gristmill_stage::{BatchTarget, Partitioning};
use serde_json::{Value, json};
use tempfile::TempDir;

fn file(folder: &TempDir, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, text).expect("written");
    path
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

fn reasons(out: &Collected) -> Vec<&str> {
    out.rejected.iter().map(|(_, reason)| reason.as_str()).collect()
}

#[test]
fn json_lines_are_read_with_columns_in_their_order() {
    let folder = folder();
    let text = "\u{feff}{\"b\":1,\"a\":\"x\",\"l\":[1,2],\"n\":null}\r\n\n{\"b\":null,\"a\":\"ü\\n\",\"o\":{\"z\":true}}";
    let path = file(&folder, "a.jsonl", text);
    let options = json!({ "path": path });
    let schema = plan_read(&options).expect("schema");
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(names, ["b", "a", "l", "n", "o"]);
    assert_eq!(schema.field(3).data_type(), &DataType::Utf8);
    let out = read(&options);
    assert_eq!(
        out.rows(),
        [json!({"b": 1, "a": "x", "l": [1, 2]}), json!({"a": "ü\n", "o": {"z": true}})]
    );
    assert!(out.rejected.is_empty(), "{:?}", reasons(&out));
}

#[test]
fn bad_lines_are_rejected_one_by_one() {
    let folder = folder();
    let mut text =
        b"{\"n\":1}\n{\"n\":\nnot json\n{\"n\":2}{\"n\":3}\n{\"n\":\"five\"}\n\n{\"n\":4}\n[1]\n"
            .to_vec();
    text.extend(b"{\"n\":5,\"s\":\"\xff\"}\n{\"n\":6}");
    let path = file(&folder, "bad.jsonl", &text);
    let options = json!({ "path": path, "columns": { "n": "int64", "s": "string" } });
    let out = read(&options);
    assert_eq!(out.rows(), [json!({"n": 1}), json!({"n": 4}), json!({"n": 6})]);
    let lost = out.lost();
    let lines: Vec<u64> = lost.iter().filter_map(|row| row["line_number"].as_u64()).collect();
    assert_eq!(lines, [2, 3, 4, 5, 8, 9], "{:?}", reasons(&out));
    assert_eq!(lost[1], json!({ "line": "not json", "file": path, "line_number": 3 }));
    assert!(reasons(&out)[1].contains("bad.jsonl:3: "), "{:?}", reasons(&out));
    assert!(reasons(&out)[3].contains('n'), "{:?}", reasons(&out));
}

#[test]
fn declared_types_are_kept() {
    let folder = folder();
    let path = file(
        &folder,
        "t.jsonl",
        concat!(
            "{\"t\":\"2026-11-23T10:00:00+01:00\",\"d\":\"2026-11-23\",\"j\":{\"a\":[1,\"x\"]},\"s\":7,\"b\":true,\"f\":1}\n",
            "{\"t\":null,\"d\":null,\"j\":\"text\",\"s\":\"y\",\"b\":null,\"f\":0.5}\n",
            "{\"t\":\"yesterday\"}\n",
        ),
    );
    let out = read(&json!({ "path": path, "columns": {
        "t": "timestamp", "d": "date", "j": "json", "s": "string", "b": "boolean", "f": "float64",
    }}));
    assert_eq!(
        out.rows(),
        [
            json!({"t": "2026-11-23T09:00:00Z", "d": "2026-11-23", "j": "{\"a\":[1,\"x\"]}", "s": "7", "b": true, "f": 1.0}),
            json!({"j": "\"text\"", "s": "y", "f": 0.5}),
        ]
    );
    assert_eq!(out.rejected.len(), 1);
}

#[test]
fn numbers_keep_their_digits_beside_json() {
    let folder = folder();
    let long = "123456789012345678901234567890.10";
    let line = format!("{{\"s\":{long},\"j\":{{\"x\": {long} }},\"i\":9223372036854775807}}\n");
    let path = file(&folder, "a.jsonl", line + "{}\n{\"j\":null}\n");
    let columns = json!({ "s": "string", "j": "json", "i": "int64" });
    let out = read(&json!({ "path": path, "columns": columns }));
    let first = json!({ "s": long, "j": format!("{{\"x\": {long} }}"), "i": i64::MAX });
    assert_eq!(out.rows(), [first, json!({}), json!({})], "{:?}", reasons(&out));
}

#[test]
fn infinity_is_a_number_and_a_number_too_large_is_none() {
    let folder = folder();
    let floats = |out: &Collected| {
        let column = out.one().column(0).clone();
        let column = column.as_primitive::<Float64Type>().iter();
        column.map(|x| x.map(|x| x.to_string()).unwrap_or_default()).collect::<Vec<_>>()
    };
    let columns = json!({ "x": "float64" });
    let csv = file(&folder, "a.csv", "x\ninf\n1e999\n-Infinity\nNaN\n-1e400\n1e308\n");
    let out = read(&json!({ "path": csv, "columns": columns }));
    let large = 1e308.to_string();
    assert_eq!(floats(&out), ["inf", "-inf", "NaN", &large]);
    assert!(reasons(&out)[0].ends_with("a.csv:3: column `x`: `1e999` is out of range"));
    assert!(reasons(&out)[1].ends_with("a.csv:6: column `x`: `-1e400` is out of range"));

    let lines = "{\"x\":\"Infinity\"}\n{\"x\":1e999}\n{\"x\":\"NaN\"}\n{\"x\":\"-inf\"}\n";
    let jsonl = file(&folder, "a.jsonl", lines);
    let out = read(&json!({ "path": jsonl, "columns": columns }));
    assert_eq!(floats(&out), ["inf", "NaN", "-inf"]);
    assert!(reasons(&out)[0].ends_with("a.jsonl:2: column `x`: `1e999` is out of range"));

    let nested = "{\"o\":{\"l\":[1.5]}}\n{\"o\":{\"l\":[0.5,1e999]}}\n";
    let nested = file(&folder, "b.jsonl", nested);
    let out = read(&json!({ "path": nested }));
    assert_eq!(out.rows(), [json!({ "o": { "l": [1.5] } })]);
    assert_eq!(out.rejected.len(), 1);
}

#[test]
fn a_reason_says_what_is_wrong_with_the_line() {
    let folder = folder();
    let columns = json!({ "n": "int64", "d": "date", "j": "json" });
    for (line, reason) in [
        ("{\"n\":1.5}", "column `n`: `1.5` is not of type int64"),
        ("{\"n\":\"five\"}", "column `n`: `\"five\"` is not of type int64"),
        ("{\"d\":\"today\",\"n\":1}", "column `d`: `\"today\"` is not of type date"),
        ("{\"n\":1;}", "the line is not JSON: expected `,` or `}` (column 7)"),
        ("{\"n\"", "the line ends within a value"),
        ("{\"n\":1} {\"n\":2}", "the line holds more than one value"),
        ("[1, 2]", "`[1, 2]` is not a JSON object"),
        ("null", "`null` is not a JSON object"),
    ] {
        let path = file(&folder, "a.jsonl", format!("{{}}\n{line}\n{{}}\n"));
        for columns in [&columns, &json!({ "n": "int64", "d": "date" })] {
            let out = read(&json!({ "path": path, "columns": columns }));
            assert_eq!(out.rejected.len(), 1, "{line}");
            assert!(out.rejected[0].1.ends_with(&format!(":2: {reason}")), "{:?}", reasons(&out));
        }
    }
    for (line, reason) in [
        ("x,,true", "column `n`: `x` is not of type int64"),
        ("1,2026-13-01,true", "column `d`: `2026-13-01` is not of type date"),
        ("1,,maybe", "column `b`: `maybe` is not of type boolean"),
        ("1,", "the line has 2 values, the file has 3 columns"),
        ("1,,true,4", "the line has 4 values, the file has 3 columns"),
    ] {
        let path = file(&folder, "a.csv", format!("n,d,b\n1,,\n{line}\n2,,\n"));
        let columns = json!({ "b": "boolean", "d": "date", "n": "int64" });
        let out = read(&json!({ "path": path, "columns": columns }));
        assert_eq!(out.rejected.len(), 1, "{line}");
        assert!(out.rejected[0].1.ends_with(&format!(":3: {reason}")), "{:?}", reasons(&out));
    }
}

#[test]
fn csv_is_read_by_its_header() {
    let folder = folder();
    let text = "n,text,when\r\n1,\"a\nb, \"\"c\"\"\",2026-01-02T03:04:05Z\r\n\r\n,,\r\n3,plain\r\n4,x,2026-01-01T00:00:00\r\nfive,y,\r\n6,\"open";
    let path = file(&folder, "a.csv", text);
    let columns = json!({ "when": "timestamp", "n": "int64", "text": "string" });
    let out = read(&json!({ "path": path, "columns": columns }));
    assert_eq!(
        out.rows(),
        [
            json!({"when": "2026-01-02T03:04:05Z", "n": 1, "text": "a\nb, \"c\""}),
            json!({}),
            json!({"when": "2026-01-01T00:00:00Z", "n": 4, "text": "x"}),
        ]
    );
    let lines: Vec<Value> = out.lost().iter().map(|row| row["line_number"].clone()).collect();
    assert_eq!(lines, [json!(6), json!(8), json!(9)], "{:?}", reasons(&out));

    let schema = plan_read(&json!({ "path": path, "format": "csv" })).expect("inferred");
    assert_eq!(schema.field(1).data_type(), &DataType::Utf8);
}

#[test]
fn a_quote_that_never_ends_is_rejected() {
    let folder = folder();
    let path = file(&folder, "a.csv", "n,t\n1,x\n2,\"y\n3,z\n");
    let out = read(&json!({ "path": path }));
    assert_eq!(out.rows(), [json!({ "n": 1, "t": "x" })]);
    assert_eq!(out.lost()[0]["line"], "2,\"y\n3,z");
    let path = file(&folder, "b.csv", "n,t\n1,\"x\"");
    assert_eq!(read(&json!({ "path": path })).rows(), [json!({ "n": 1, "t": "x" })]);
}

#[test]
fn csv_types_are_told_from_the_sample() {
    let folder = folder();
    let path = file(&folder, "a.tsv", "n\tf\tb\ts\te\n1\t0.5\ttrue\tx\t\n2\t1\tfalse\ty\t\nbad\n");
    let schema = plan_read(&json!({ "path": path })).expect("inferred");
    let kinds: Vec<&DataType> = schema.fields().iter().map(|field| field.data_type()).collect();
    assert_eq!(
        kinds,
        [
            &DataType::Int64,
            &DataType::Float64,
            &DataType::Boolean,
            &DataType::Utf8,
            &DataType::Utf8
        ]
    );
    let out = read(&json!({ "path": path, "sample": 1 }));
    assert_eq!((out.rows().len(), out.rejected.len()), (2, 1));

    let path = file(&folder, "b.csv", "1;x\n2;y\n");
    let out = read(&json!({ "path": path, "header": false, "delimiter": ";" }));
    assert_eq!(out.rows()[1], json!({ "column_1": 2, "column_2": "y" }));
}

#[test]
fn lines_are_read_as_they_stand() {
    let folder = folder();
    let path = file(&folder, "a.log", b"one\r\n\ntwo\n\xff\nlast");
    let out = read(&json!({ "path": path }));
    let lines: Vec<Value> = out.rows().iter().map(|row| row["line"].clone()).collect();
    assert_eq!(lines, ["one", "", "two", "last"]);
    assert_eq!(out.lost()[0]["line_number"], 4);
}

#[test]
fn several_files_and_patterns_are_shared_out() {
    let folder = folder();
    for name in ["c", "a", "b"] {
        file(&folder, &format!("{name}.jsonl"), format!("{{\"f\":\"{name}\"}}\n"));
    }
    // Still being written, so not one of them.
    file(&folder, ".c.jsonl.tmp-x.jsonl", "{\"n\":99}\n");
    let options = json!({ "path": folder.path().join("*.jsonl") });
    assert_eq!(read(&options).rows(), [json!({"f": "a"}), json!({"f": "b"}), json!({"f": "c"})]);
    let shares: Vec<Vec<Value>> =
        (0..2).map(|n| read_with(&options, context().with_instance(n, 2), false).rows()).collect();
    assert_eq!(shares, [vec![json!({"f": "a"}), json!({"f": "c"})], vec![json!({"f": "b"})]]);
    let planned = |options| registry().get("read").expect("read").plan(&options, None);
    let one = planned(json!({ "path": folder.path().join("a.jsonl") }));
    assert_eq!(one.expect("planned").partitioning, Partitioning::Any);
    let one = planned(json!({ "path": "-", "format": "lines" }));
    assert!(matches!(one.expect("planned").partitioning, Partitioning::Single(_)));
}

#[test]
fn a_restored_reader_goes_on_at_its_position() {
    let folder = folder();
    let mut paths = Vec::new();
    for part in 0..3 {
        let rows: String = (0..50)
            .map(|n| match n % 7 {
                3 => format!("\"broken\n{n}\",1,2\n"),
                _ => format!("{part}{n},\"x\n{n}\"\n"),
            })
            .collect();
        paths.push(file(&folder, &format!("{part}.csv"), format!("n,t\n{rows}")));
    }
    let options = json!({ "path": paths });
    let small = context().with_batch(BatchTarget { rows: 4, bytes: 1 << 20 });
    let whole = read_with(&options, small.clone(), false);
    let pieces = read_with(&options, small, true);
    assert_eq!((whole.rows().len(), whole.rejected.len()), (129, 21));
    assert_eq!((whole.rows(), whole.lost()), (pieces.rows(), pieces.lost()));
    assert!(whole.batches.iter().all(|batch| batch.num_rows() <= 4));
}

#[test]
fn an_empty_file_has_no_rows_and_no_columns_of_its_own() {
    let folder = folder();
    for name in ["e.jsonl", "e.csv", "e.txt"] {
        let path = file(&folder, name, "");
        if name != "e.txt" {
            let error = plan_read(&json!({ "path": path })).expect_err("no columns");
            assert_eq!(error.option_path(), Some("columns"));
            let out = read(&json!({ "path": path, "columns": { "n": "int64" } }));
            assert!(out.batches.is_empty() && out.rejected.is_empty());
        } else {
            assert!(read(&json!({ "path": path })).batches.is_empty());
        }
    }
}

#[test]
fn a_line_that_is_too_long_is_rejected_without_the_rest() {
    let folder = folder();
    let long = "x".repeat(1 << 20);
    let path = file(&folder, "a.txt", format!("a\n{long}\nb\n"));
    let out = read(&json!({ "path": path, "max_line": "64KiB" }));
    assert_eq!(out.rows(), [json!({"line": "a"}), json!({"line": "b"})]);
    assert_eq!(out.lost()[0]["line_number"], 2);
    assert!(out.rejected[0].1.contains("max_line"), "{:?}", reasons(&out));
}

#[test]
fn one_row_of_50_mib_passes() {
    let folder = folder();
    let big = "x".repeat(50 << 20);
    let path = file(
        &folder,
        "big.jsonl",
        format!("{{\"t\":\"a\"}}\n{{\"t\":\"{big}\"}}\n{{\"t\":\"b\"}}\n"),
    );
    let out = read(&json!({ "path": path, "columns": { "t": "string" } }));
    assert!(out.rejected.is_empty(), "{:?}", reasons(&out));
    let rows: Vec<usize> = out.batches.iter().map(|batch| batch.num_rows()).collect();
    assert_eq!(rows, [1, 1, 1], "the large row goes alone");
}

#[test]
fn json_that_is_no_json_lines_is_found_before_the_run() {
    let folder = folder();
    let array = file(&folder, "array.json", "[\n  {\"a\":1},\n  {\"a\":2}\n]\n");
    let long = file(&folder, "long.json", format!("[{}]", vec!["{\"a\":1}"; 1000].join(",")));
    let pretty = file(&folder, "pretty.json", "{\n  \"a\": 1\n}\n");
    let good = file(&folder, "good.json", "{\"a\":1}\n");
    for (path, told) in [
        (&array, "array.json is a JSON array"),
        (&long, "long.json is a JSON array"),
        (&pretty, "pretty.json has JSON objects that go over several lines"),
    ] {
        for options in [
            json!({ "path": path }),
            json!({ "path": [good, path], "columns": { "a": "int64" } }),
            json!({ "path": path, "max_line": 1000, "columns": { "a": "int64" } }),
        ] {
            let error = plan_read(&options).expect_err("no lines");
            assert_eq!(error.option_path(), Some("path"), "{options}");
            assert!(error.message().ends_with(told), "{options}: {error}");
            assert!(error.help_text().is_some_and(|help| help.contains("jq -c")), "{error}");
        }
    }
    let mixed = file(&folder, "mixed.jsonl", "{\"a\":1,\"b\":1}\n{\"a\":2,\"b\":{}}\n");
    let error = plan_read(&json!({ "path": mixed })).expect_err("mixed");
    assert!(error.message().ends_with("values of several kinds in column `b`"), "{error}");
    let other = file(&folder, "other.jsonl", "\nsome text\n1\n");
    let error = plan_read(&json!({ "path": other })).expect_err("no rows");
    assert!(error.message().ends_with("other.jsonl has no JSON object in its first lines"));
}

#[test]
fn option_mistakes_name_their_option() {
    let folder = folder();
    let csv = file(&folder, "a.csv", "a,b\n1,2\n");
    let mixed = file(&folder, "m.jsonl", "{\"a\":1}\n{\"a\":{}}\n");
    let unknown = file(&folder, "a.dat", "");
    for (options, option) in [
        (json!({ "path": folder.path().join("none.csv") }), "path"),
        (json!({ "path": [csv, folder.path().join("none.csv")] }), "path.1"),
        (json!({ "path": folder.path() }), "path"),
        (json!({ "path": folder.path().join("*.xml") }), "path"),
        (json!({ "path": [] }), "path"),
        (json!({ "path": unknown }), "format"),
        (json!({ "path": [csv, mixed] }), "format"),
        (json!({ "path": "-" }), "format"),
        (json!({ "path": "-", "format": "jsonl" }), "columns"),
        (json!({ "path": mixed }), "columns"),
        (json!({ "path": csv, "columns": { "z": "string" } }), "columns.z"),
        (json!({ "path": csv, "columns": { "a": "number" } }), "columns.a"),
        (json!({ "path": csv, "delimiter": "\"" }), "delimiter"),
        (json!({ "path": csv, "max_line": 0 }), "max_line"),
        (json!({ "path": csv, "split": 0 }), "split"),
        (json!({ "path": csv, "format": "lines", "columns": { "a": "string" } }), "columns"),
    ] {
        let error = plan_read(&options).expect_err(&options.to_string());
        assert_eq!(error.option_path(), Some(option), "{options}: {error}");
    }
    assert!(plan_read(&json!({ "path": "-", "format": "lines" })).is_ok());
}
