use proptest::prelude::*;
use serde_json::{Value, json};

use crate::testing::{Kept, bodies, plan_error, run_texts};

fn options(fields: Value) -> Value {
    json!({"format": "json", "fields": fields})
}

fn one(fields: Value, text: &str) -> Kept {
    run_texts(&options(fields), &[text])
}

#[test]
fn values_are_picked_by_path_and_typed() {
    let text = r#"{"id": 7, "name": "Zoë \"Z\" \u00e9", "x.y": true, "at": "2024-01-02T03:04:05Z",
        "geo": {"pos": [1.5, -2e1], "tags": ["a", null, "b"]}, "none": null, "big": 5.0,
        "price": "€ 3,50", "empty": [], "unix": 60}"#;
    let kept = one(
        json!({
            "id": {"path": "id", "type": "int64"},
            "name": "name",
            "flag": {"path": "\"x.y\"", "type": "boolean"},
            "at": {"path": "at", "type": "timestamp"},
            "lat": {"path": "geo.pos[0]", "type": "float64"},
            "lon": {"path": "$.geo.pos[1]", "type": "float64"},
            "far": "geo.pos[9]",
            "tags": {"path": "geo.tags", "all": true},
            "geo": {"path": "geo.pos", "type": "json"},
            "text": "geo.pos",
            "none": "none",
            "big": {"path": "big", "type": "int64"},
            "as_text": "id",
            "price": {"path": "price", "type": "float64", "pick": "[0-9,]+",
                      "number": {"decimal": ","}},
            "empty": {"path": "empty", "type": "int64", "all": true},
            "missing": {"path": "a.b", "all": true},
            "unix": {"path": "unix", "type": "timestamp", "format": "%s"},
            "day": {"path": "at", "type": "date", "format": "%Y-%m-%dT%H:%M:%SZ"},
        }),
        text,
    );
    for (name, value) in [
        ("id", "7"),
        ("name", "Zoë \"Z\" é"),
        ("flag", "true"),
        ("at", "1704164645000000"),
        ("lat", "1.5"),
        ("lon", "-20.0"),
        ("far", "∅"),
        ("tags", "[a|∅|b]"),
        ("geo", "[1.5, -2e1]"),
        ("text", "[1.5, -2e1]"),
        ("none", "∅"),
        ("big", "5"),
        ("as_text", "7"),
        ("price", "3.5"),
        ("empty", "[]"),
        ("missing", "∅"),
        ("unix", "60000000"),
        ("day", "2024-01-02"),
    ] {
        assert_eq!(kept.column(name), [value], "{name}");
    }
}

#[test]
fn wrong_types_and_texts_are_rejected() {
    let fields = json!({"n_": {"path": "n", "type": "int64"},
                        "l": {"path": "l", "type": "int64", "all": true},
                        "r": {"path": "r", "required": true}});
    let texts = [
        r#"{"n": "x", "r": 1}"#,
        r#"{"n": true, "r": 1}"#,
        r#"{"n": {"a": 1}, "r": 1}"#,
        r#"{"n": 1.5, "r": 1}"#,
        r#"{"l": 5, "r": 1}"#,
        r#"{"l": [1, "b"], "r": 1}"#,
        r#"{"r": null}"#,
        "[1, 2",
        "",
        "{} {}",
        r#"{"n": 1, "l": [1], "r": 1}"#,
    ];
    let kept = run_texts(&options(fields.clone()), &texts);
    assert_eq!(kept.rows(), 1);
    let reasons = kept.reasons();
    for (reason, part) in reasons.iter().zip([
        "field `n_`: \"x\" is not an int64",
        "field `n_`: \"true\" is not of type int64",
        "field `n_`: \"{\\\"a\\\": 1}\" is not of type int64",
        "field `n_`: \"1.5\" is not an int64",
        "field `l`: \"5\" is not an array",
        "field `l`: \"b\" is not an int64",
        "field `r` is missing",
        "the text is not JSON: EOF",
        "the text is not JSON: EOF",
        "the text is not JSON: trailing characters",
    ]) {
        assert!(reason.starts_with(part), "{reason}");
    }
    assert_eq!(reasons.len(), 10);

    let lenient = json!({"format": "json", "fields": fields, "on_error": "null"});
    let kept = run_texts(&lenient, &texts);
    assert_eq!(kept.rows(), texts.len());
    assert_eq!(kept.column("l")[4..6], ["∅", "[1|∅]"]);
    assert_eq!(kept.column("r")[0], "1");
}

#[test]
fn the_last_of_equal_keys_counts() {
    let kept = one(json!({"b": "a.b", "a": "a"}), r#"{"a": {"b": 1}, "a": {"c": 2}}"#);
    assert_eq!(
        (kept.column("b"), kept.column("a")),
        (vec!["∅".into()], vec![r#"{"c": 2}"#.into()])
    );
}

#[test]
fn deep_nesting_is_skipped() {
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    let text = format!(r#"{{"x": {deep}, "y": 1}}"#);
    let kept = one(json!({"y": "y", "x": {"path": "x[0]", "type": "json"}}), &text);
    assert_eq!(kept.column("y"), ["1"]);
    assert_eq!(kept.column("x")[0].len(), deep.len() - 2);
}

#[test]
fn wrong_paths_name_their_place() {
    let input = bodies(&[]).schema();
    for (fields, place) in [
        (json!({}), "fields"),
        (json!({"x": {"path": "a["}}), "fields.x.path"),
        (json!({"x": "a..b"}), "fields.x"),
        (json!({"x": {"css": "a"}}), "fields.x.css"),
        (json!({"x": {"path": "a", "attr": "b"}}), "fields.x.attr"),
    ] {
        assert_eq!(plan_error(&options(fields), &input).option_path(), Some(place));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_text_is_read_or_rejected(texts in prop::collection::vec(soup(), 0..5)) {
        let fields = json!({
            "a": {"path": "a", "type": "int64", "all": true},
            "b": {"path": "a[0].b", "type": "float64"},
            "c": {"path": "$", "type": "json"},
            "d": {"path": "b", "type": "timestamp", "default": "2024-01-01"},
        });
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        run_texts(&options(fields), &texts);
    }
}

fn soup() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"a\"",
        "\"b\"",
        "\"a\":",
        "\"b\":",
        "1",
        "-0.5e3",
        "null",
        "true",
        "\"\\ud800\"",
        "\"",
        "\\",
        " ",
        "ä",
    ]);
    prop_oneof![
        prop::collection::vec(piece, 0..20).prop_map(|pieces| pieces.concat()),
        any::<String>(),
        (any::<i64>(), any::<f64>()).prop_map(|(a, b)| format!(r#"{{"a":[{{"b":{b:e}}},{a}]}}"#)),
    ]
}
