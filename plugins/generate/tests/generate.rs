//! What `generate` emits, refuses and rejects, and that it keeps the contract.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a helper of a test fails by panicking"
)]

use std::io::Write as _;
use std::sync::Arc;

use gristmill_stage::{BatchTarget, Error, Kind, Registry};
use gristmill_testkit::conformance::{Settings, check};
use gristmill_testkit::{Collected, Harness, json_rows};
use serde_json::{Value, json};

fn kind() -> Arc<dyn Kind> {
    let mut registry = Registry::new();
    gristmill_generate::register(&mut registry);
    Arc::clone(registry.get("generate").unwrap())
}

fn collect(harness: &Harness, options: &Value) -> Collected {
    let mut stage = harness.build(kind().as_ref(), options, None).unwrap();
    stage.run_source().unwrap();
    let collected = stage.into_collected();
    assert_eq!(collected.violations, Vec::<String>::new());
    collected
}

fn rows(options: Value) -> Vec<Value> {
    json_rows(&collect(&Harness::new(), &options).batches).unwrap()
}

fn column(options: Value, name: &str) -> Vec<Value> {
    rows(options).iter().map(|row| row[name].clone()).collect()
}

fn refused(options: Value) -> Error {
    kind().plan(&options, None).expect_err(&options.to_string())
}

fn file(text: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text).unwrap();
    file
}

#[test]
fn numbers_go_into_the_address() {
    assert_eq!(
        rows(json!({ "url": "demo:/item/{n}", "count": 2 })),
        [
            json!({ "n": 1, "url": "demo:/item/1", "method": "GET" }),
            json!({ "n": 2, "url": "demo:/item/2", "method": "GET" }),
        ]
    );
    let range = json!({ "url": "http://h/{n}", "range": { "from": 10, "to": 0, "step": -5 } });
    assert_eq!(column(range, "url"), ["http://h/10", "http://h/5", "http://h/0"]);
    assert_eq!(column(json!({ "range": "3..5" }), "n"), [3, 4, 5]);
    assert_eq!(rows(json!({ "count": 0 })), Vec::<Value>::new());
    assert_eq!(rows(json!({ "url": "http://h/" })).len(), 1);
}

#[test]
fn the_last_variable_changes_fastest() {
    let options = json!({
        "urls": ["http://a/{n}/{x}/{y}", "http://b/{y}"],
        "count": 2,
        "vars": { "x": ["p/q", true], "y": "08..09" },
    });
    let expected = [
        ("http://a/1/p%2Fq/08"),
        ("http://b/08"),
        ("http://a/1/p%2Fq/09"),
        ("http://b/09"),
        ("http://a/1/true/08"),
        ("http://b/08"),
        ("http://a/1/true/09"),
        ("http://b/09"),
        ("http://a/2/p%2Fq/08"),
        ("http://b/08"),
        ("http://a/2/p%2Fq/09"),
        ("http://b/09"),
        ("http://a/2/true/08"),
        ("http://b/08"),
        ("http://a/2/true/09"),
        ("http://b/09"),
    ];
    assert_eq!(column(options.clone(), "url"), expected);
    assert_eq!(rows(options)[0]["x"], "p/q");
    // Without count and range, rows are numbered from 1.
    let rows = rows(json!({ "vars": { "x": ["a", "b"], "y": [1, 2.5] } }));
    assert_eq!(rows[3], json!({ "n": 4, "x": "b", "y": "2.5" }));
}

#[test]
fn headers_and_body_are_templates() {
    let rows = rows(json!({
        "url": "http://h/",
        "range": "7..7",
        "vars": { "lang": ["n l"] },
        "method": "POST",
        "headers": { "x-lang": "{lang}", "x-n": 5 },
        "body": "{{\"id\": {n}, \"lang\": \"{lang}\"}}",
    }));
    assert_eq!(
        rows,
        [json!({
            "n": 7, "lang": "n l", "url": "http://h/", "method": "POST",
            "headers": { "x-lang": "n l", "x-n": "5" },
            "body": "{\"id\": 7, \"lang\": \"n l\"}",
        })]
    );
}

#[test]
fn a_file_is_read_line_by_line() {
    let mut text =
        b"\xef\xbb\xbf# addresses\r\nhttp://h/1\r\n\n  http://h/2  \nno-address\nhttp://\xff\n"
            .to_vec();
    text.extend(b"http://h/".iter().chain([b'x'; 70_000].iter()));
    text.extend(b"\nhttp://h/a b\nhttp://h/3");
    let file = file(&text);
    let out = collect(&Harness::new(), &json!({ "file": file.path(), "headers": { "n": "{n}" } }));
    let rows = json_rows(&out.batches).unwrap();
    let urls: Vec<_> = rows.iter().map(|row| row["url"].as_str().unwrap()).collect();
    assert_eq!(urls, ["http://h/1", "http://h/2", "http://h/3"]);
    assert_eq!(
        rows[2],
        json!({ "n": 7, "url": "http://h/3", "method": "GET", "headers": { "n": "7" } })
    );
    let reasons: Vec<_> = out.rejected.iter().map(|rejected| rejected.reason.as_str()).collect();
    for (reason, (line, text)) in reasons.iter().zip([
        (5, "does not begin with http://"),
        (6, "not UTF-8"),
        (7, "longer than 64 KiB"),
        (8, "no blanks"),
    ]) {
        assert!(reason.contains(&format!("{}:{line}: ", file.path().display())), "{reason}");
        assert!(reason.contains(text), "{reason}");
    }
    assert_eq!(reasons.len(), 4);
}

#[test]
fn mistakes_name_their_option() {
    let empty = file(b"");
    for (options, path, text) in [
        (json!({}), "", "nothing says which requests"),
        (json!({ "url": "http://h/{m}", "count": 1 }), "url", "no variable `m`"),
        (json!({ "url": "http://h/{n", "count": 1 }), "url", "never closed"),
        (json!({ "urls": ["http://h/", "h"] }), "urls[1]", "does not begin with"),
        (json!({ "urls": [] }), "urls", "empty"),
        (json!({ "url": "http://h/", "urls": ["http://h/"] }), "urls", "`url` already"),
        (json!({ "url": "http://h/", "file": "x" }), "file", "`url` already"),
        (json!({ "count": 1, "range": "1..2" }), "range", "`count` already"),
        (json!({ "count": -1 }), "count", "invalid value"),
        (json!({ "range": "1-2" }), "range", "not a range"),
        (json!({ "range": { "from": 1, "to": 2, "step": 0 } }), "range.step", "never"),
        (json!({ "range": [1] }), "range", "expected a range"),
        (json!({ "vars": { "x": [] } }), "vars.x", "empty"),
        (json!({ "vars": { "x": { "fil": "a" } } }), "vars.x", "expected a list"),
        (json!({ "vars": { "x": { "file": "/nowhere" } } }), "vars.x.file", "cannot be read"),
        (json!({ "vars": { "url": [1] } }), "vars.url", "is a column"),
        (json!({ "vars": { "a b": [1] } }), "vars.a b", "name of a variable"),
        (json!({ "vars": { "x": "1..9223372036854775807", "y": "1..3" } }), "", "combinations"),
        (json!({ "file": "/nowhere" }), "file", "cannot be read"),
        (json!({ "file": empty.path() }), "file", "is empty"),
        (json!({ "file": "/" }), "file", "is a folder"),
        (json!({ "file": empty.path(), "count": 1 }), "count", "does not go with"),
        (json!({ "count": 1, "body": "x" }), "body", "needs an address"),
        (json!({ "url": "http://h/", "method": "GE T" }), "method", "not an HTTP method"),
        (
            json!({ "url": "http://h/", "headers": { "a b": "x" } }),
            "headers.a b",
            "name of a header",
        ),
        (json!({ "url": "http://h/", "headers": { "a": "{x}" } }), "headers.a", "no variable"),
        (json!({ "url": "http://h/", "body": "{\"a\": 1}" }), "body", "no variable"),
        (json!({ "curl": "http://h/" }), "curl", "unknown field"),
    ] {
        let error = refused(options.clone());
        assert_eq!(error.option_path(), Some(path), "{options}: {error}");
        assert!(error.message().contains(text), "{options}: {error}");
    }
}

#[test]
fn a_file_of_values_without_values_is_an_error() {
    let file = file(b"# nothing\n");
    let options = json!({ "vars": { "x": { "file": file.path() } } });
    let error = Harness::new().build(kind().as_ref(), &options, None).unwrap_err();
    assert_eq!(error.option_path(), Some("vars.x.file"));
}

#[test]
fn batches_are_bounded_in_bytes_and_begin_small() {
    let harness = Harness::new().with_batch(BatchTarget { rows: 1000, bytes: 10_000 });
    let body = "x".repeat(3000);
    let out = collect(&harness, &json!({ "url": "http://h/", "count": 20, "body": body }));
    assert_eq!(out.rows(), 20);
    assert!(out.batches.iter().all(|batch| batch.num_rows() <= 4));
    let out = collect(&Harness::new(), &json!({ "count": 100_000 }));
    let sizes: Vec<usize> = out.batches.iter().map(|batch| batch.num_rows()).collect();
    assert_eq!(sizes[..3], [64, 128, 256]);
    assert_eq!(sizes.iter().max(), Some(&8192));
}

#[test]
fn a_million_million_rows_begin_at_once() {
    let options =
        json!({ "url": "http://h/{n}", "range": "0..999999999999", "vars": { "x": "1..1000" } });
    let mut stage = Harness::new().build(kind().as_ref(), &options, None).unwrap();
    assert!(stage.poll().unwrap());
    assert_eq!(stage.collected().rows(), 64);
}

#[test]
fn it_keeps_the_contract() {
    let values = file(b"red\n# comment\nblue\n");
    let mut lines = b"# head\nhttp://h/0\n".to_vec();
    for n in 0..300 {
        match n % 10 {
            3 => lines.extend(b"\n"),
            7 => lines.extend(format!("bad {n}\n").bytes()),
            _ => lines.extend(format!("http://h/{n}\n").bytes()),
        }
    }
    let lines = file(&lines);
    for options in [
        json!({ "count": 1000 }),
        json!({ "range": "5..5" }),
        json!({ "count": 0 }),
        json!({ "url": "demo:/item/{n}", "count": 333 }),
        json!({
            "urls": ["http://a/{n}", "http://b/{color}"],
            "range": { "from": 50, "to": -50, "step": -7 },
            "vars": { "color": { "file": values.path() }, "x": "1..3" },
            "headers": { "x-color": "{color}" },
            "body": "{x}",
        }),
        json!({ "vars": { "x": "1..20", "y": ["a", "b"] } }),
        json!({ "file": lines.path(), "headers": { "x-n": "{n}" } }),
    ] {
        let report =
            check(kind().as_ref(), &options, Vec::new(), &Settings::new().ordered()).unwrap();
        assert!(report.checks.contains(&"restore") && report.checks.contains(&"workers"));
    }
}

#[test]
fn a_snapshot_of_another_pipeline_is_refused() {
    let kind = kind();
    let mut stage = Harness::new().build(kind.as_ref(), &json!({ "count": 100 }), None).unwrap();
    stage.poll().unwrap();
    let harness = Harness::new().with_restored(stage.snapshot().unwrap());
    let error = harness.build(kind.as_ref(), &json!({ "count": 200 }), None).unwrap_err();
    assert!(error.message().contains("100 requests"), "{error}");
}
