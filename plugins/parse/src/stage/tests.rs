use std::sync::Arc;

use arrow_array::{
    ArrayRef, BinaryArray, BinaryViewArray, Int64Array, LargeStringArray, RecordBatch, StringArray,
    StringViewArray,
};
use gristmill_stage::{BatchTarget, Snapshot};
use serde_json::{Value, json};

use crate::testing::{Kept, bodies, build, plan, plan_error, run, run_texts, with_body};

fn log() -> Value {
    json!({"format": "regex", "pattern": r"(?<user>\w+) (?<ms>\d+)ms"})
}

#[test]
fn a_pattern_alone_gives_its_groups() {
    let kept = run_texts(&log(), &["zoë 12ms", "no", "a 3ms"]);
    assert_eq!(kept.column("user"), ["zoë", "a"]);
    assert_eq!(kept.column("ms"), ["12", "3"]);
    assert_eq!(kept.reasons(), ["the text does not match `pattern`"]);
}

#[test]
fn groups_are_typed_and_all_matches_taken() {
    let options = json!({"format": "regex", "pattern": r"(?<k>\w)=(?<v>\d+)?", "fields": {
        "first": "k", "v": {"type": "int64", "all": true}, "k": {"all": true}}});
    let kept = run_texts(&options, &["a=1 é=2 c="]);
    assert_eq!(kept.column("first"), ["a"]);
    assert_eq!(kept.column("k"), ["[a|é|c]"]);
    assert_eq!(kept.column("v"), ["[1|2|∅]"]);
    let empty = json!({"format": "regex", "pattern": "(?<x>a?)", "fields": {"x": {"all": true}}});
    assert_eq!(run_texts(&empty, &["éa"]).column("x"), ["[|a|]"]);
}

#[test]
fn every_kind_of_text_column_is_read_also_sliced() {
    let texts = vec![Some("a 1ms"), None, Some("b 2ms"), Some("c 3ms")];
    let bytes: Vec<_> = texts.iter().map(|text| text.map(str::as_bytes)).collect();
    let columns: [ArrayRef; 3] = [
        Arc::new(LargeStringArray::from(texts.clone())),
        Arc::new(StringViewArray::from(texts)),
        Arc::new(BinaryViewArray::from(bytes)),
    ];
    for column in columns {
        let batch = with_body(Arc::new(Int64Array::from(vec![0, 1, 2, 3])), column).slice(1, 2);
        let kept = run(&log(), batch.clone());
        assert_eq!((kept.column("user"), kept.column("n")), (vec!["b".into()], vec!["2".into()]));
        assert_eq!(kept.rejects, [(batch.slice(0, 1), "column `body` is null".to_owned())]);
    }
}

#[test]
fn columns_are_kept_as_asked() {
    let input = bodies(&[Some("a 1ms")]);
    for (keep, names) in [
        (json!([]), vec!["user", "ms"]),
        (json!("all"), vec!["n", "body", "user", "ms"]),
        (json!(["body"]), vec!["body", "user", "ms"]),
        (json!(null), vec!["n", "user", "ms"]),
    ] {
        let mut options = log();
        options["keep"] = keep;
        let kept = run(&options, input.clone());
        let schema = kept.batches[0].schema();
        let found: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        assert_eq!(found, names);
    }
    assert_eq!(run(&log(), input.slice(0, 0)).batches, []);
    let mut none = log();
    none["keep"] = json!([]);
    assert_eq!(run_texts(&none, &["a 1ms", "no", "b 2ms"]).column("user"), ["a", "b"]);
}

#[test]
fn a_large_output_comes_in_slices_and_survives_a_snapshot() {
    let texts: Vec<String> = (0..50).map(|n| format!("u{n} {n}ms")).collect();
    let texts: Vec<_> = texts.iter().map(|t| (!t.starts_with("u1")).then_some(&**t)).collect();
    let input = bodies(&texts);
    let whole = run(&log(), input.clone());
    for target in [BatchTarget { rows: 7, bytes: 1 << 20 }, BatchTarget { rows: 8192, bytes: 64 }] {
        let (schema, mut kept) = (input.schema(), Kept::default());
        let mut stage = build(&log(), &schema, target, Snapshot::Stateless);
        stage.process(input.clone(), &mut kept).expect("process");
        let mut calls = 1;
        while stage.holding() {
            assert!(!stage.ready());
            assert!(kept.batches.len() <= calls, "one batch a call");
            let snapshot = stage.snapshot().expect("snapshot");
            stage = build(&log(), &schema, target, snapshot);
            stage.wake(&mut kept).expect("wake");
            calls += 1;
        }
        assert!(calls > 2 && stage.ready() && stage.wake_at().is_none());
        assert_eq!(kept.column("user"), whole.column("user"));
        assert_eq!(kept.column("n"), whole.column("n"));
        assert_eq!(kept.rejected(), whole.rejected());
        assert!(kept.batches.iter().all(|batch: &RecordBatch| batch.num_rows() <= target.rows));
    }
}

#[test]
fn wrong_options_name_their_place() {
    let input = bodies(&[]).schema();
    let with = |key: &str, value: Value| {
        let mut options = log();
        options[key] = value;
        options
    };
    for (options, place) in [
        (with("column", json!("page")), "column"),
        (with("column", json!("n")), "column"),
        (with("keep", json!(["n", "x"])), "keep[1]"),
        (with("keep", json!(["n", "n"])), "keep[1]"),
        (with("keep", json!("some")), "keep"),
        (with("charset", json!("klingon")), "charset"),
        (with("charset_column", json!("page")), "charset_column"),
        (with("charset_column", json!("n")), "charset_column"),
        (with("max_bytes", json!(0)), "max_bytes"),
        (with("pattern", json!("(")), "pattern"),
        (with("pattern", json!("a")), "pattern"),
        (with("pattern", json!("(?<n>a)")), "pattern"),
        (with("fields", json!({"x": "y"})), "fields.x"),
        (with("format", json!("tsv")), "format"),
        (json!({"format": "regex"}), ""),
        (json!({"format": "html", "pattern": "a", "fields": {"x": "a"}}), "pattern"),
    ] {
        let error = plan_error(&options, &input);
        assert_eq!(error.option_path(), Some(place), "{options}: {error}");
    }
    assert_eq!(plan_error(&with("column", json!("n")), &input).column_name(), Some("n"));
    assert!(plan(&log(), &input).is_ok());
}

#[test]
fn the_charset_comes_from_a_column_the_text_or_a_guess() {
    let label = StringArray::from(vec![Some("text/html; charset=windows-1252"), None, None]);
    let body: Vec<&[u8]> = vec![
        b"<meta charset=koi8-r>\xe9",
        b"<?xml version='1.0' encoding='windows-1251'?><a>\xc0</a>",
        b"\xcf\xf0\xe8\xe2\xe5\xf2, \xea\xe0\xea \xe4\xe5\xeb\xe0",
    ];
    let columns: [(&str, ArrayRef); 2] =
        [("type", Arc::new(label)), ("body", Arc::new(BinaryArray::from(body)))];
    let batch = RecordBatch::try_from_iter_with_nullable(columns.map(|(n, c)| (n, c, true)));
    let batch = batch.expect("a batch");
    let html = json!({"format": "html", "charset_column": "type", "guess_charset": true,
        "fields": {"x": "body"}});
    let texts = run(&html, batch.clone()).column("x");
    assert_eq!((texts[0].as_str(), texts[2].as_str()), ("é", "Привет, как дела"));
    let xml = json!({"format": "xml", "on_error": "null", "fields": {"x": "a"}});
    assert_eq!(run(&xml, batch).column("x")[1], "А");
}
