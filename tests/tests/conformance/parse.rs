//! Cases of `parse`.

use std::sync::Arc;

use arrow_array::{ArrayRef, BinaryArray, Int64Array, RecordBatch};
use gristmill_testkit::conformance::Settings;
use serde_json::{Value, json};

use crate::case::{Case, World};

pub fn cases(_: &World) -> Vec<Case> {
    let settings = || Settings::new().ordered().one_to_one().seeds(8);
    let case = |title, options| {
        Case::new("parse", title, options).with(settings()).refuses(&["Dictionary"])
    };
    let html = html_fields();
    let json_fields = json!({
        "id": { "path": "id", "type": "int64", "required": true },
        "name": "a.\"x.y\"",
        "all": { "path": "list", "type": "float64", "all": true },
        "at": { "path": "at", "type": "timestamp" },
        "rest": { "path": "a", "type": "json" },
        "first": { "path": "list[0]", "type": "string", "default": "none" },
    });
    let pattern = r"^(?<when>\S+) (?<level>[A-Z]+)(?: (?<code>\d+))?";
    vec![
        case("pages", json!({ "format": "html", "fields": html })).on(&pages()).gives(24, 16),
        case(
            "pages with nulls for what is missing",
            json!({ "format": "html", "fields": html, "on_error": "null", "keep": "all" }),
        )
        .on(&pages())
        .gives(40, 0),
        case(
            "short pages only",
            json!({ "format": "html", "max_bytes": "185B", "fields": { "h": "h1" }, "keep": [] }),
        )
        .on(&pages())
        // Four are null; of the others those with three links have 188 bytes or more, those with
        // fewer have 180 at the most.
        .gives(28, 12),
        case("JSON", json!({ "format": "json", "fields": json_fields, "keep": ["n"] }))
            .on(&documents())
            .gives(20, 20),
        case(
            "JSON with nulls for what does not fit",
            json!({ "format": "json", "fields": json_fields, "on_error": "null" }),
        )
        .on(&documents())
        .gives(40, 0),
        case(
            "lines by named groups",
            json!({ "format": "regex", "column": "line", "pattern": pattern }),
        )
        .on(&log())
        .gives(24, 6),
        case(
            "lines with types",
            json!({
                "format": "regex",
                "column": "line",
                "pattern": pattern,
                "keep": "all",
                "fields": {
                    "day": { "group": "when", "type": "date" },
                    "code": { "group": "code", "type": "int64", "required": true },
                },
            }),
        )
        .on(&log())
        .gives(6, 24),
        case(
            "bytes in a charset",
            json!({ "format": "regex", "pattern": "(?<word>[a-zü]+)", "charset": "windows-1252" }),
        )
        .on(&bytes())
        .gives(15, 15)
        // It has no text.
        .refuses(&[]),
    ]
}

fn html_fields() -> Value {
    json!({
        "title": { "css": "h1", "required": true },
        "price": { "css": ".price", "type": "float64", "pick": "[0-9.,]+", "number": { "thousands": ",", "decimal": "." } },
        "links": { "css": "a[href]", "attr": "href", "all": true },
        "stock": { "css": "[data-stock]", "attr": "data-stock", "type": "boolean", "default": false },
        "inner": { "css": "ul", "html": "inner" },
    })
}

fn table(rows: impl Iterator<Item = Value>) -> RecordBatch {
    gristmill_testkit::table(&Value::Array(rows.collect())).unwrap()
}

/// Of ten pages one is null, one has no title, and two a price that is no number.
fn pages() -> RecordBatch {
    table((0..40).map(|n| {
        let title = if n % 10 == 2 { String::new() } else { format!("<h1> Item\n <b>{n}</b></h1>") };
        let price = if n % 5 == 3 { "1.2.3".to_owned() } else { format!("EUR 1,{n:03}.5") };
        let links: String = (0..n % 4).map(|l| format!("<li><a href=\"/{n}/{l}?a&amp;b\">{l}</a>")).collect();
        let stock = if n % 2 == 0 { " data-stock=YES" } else { "" };
        let body = format!(
            "<!doctype html><title>t</title>{title}<p class='x price'{stock}>{price}</p><ul>{links}</ul>"
        );
        json!({ "url": format!("http://h/{n}"), "body": (n % 10 != 7).then_some(body) })
    }))
}

/// Of four documents one is null or no JSON, and one has no `id` that is a number.
fn documents() -> RecordBatch {
    table((0..40).map(|n| {
        let body = match n % 8 {
            1 => json!(null),
            2 => json!("{ \"id\": 1"),
            3 => json!("{ \"id\": \"x\", \"list\": [1] }"),
            5 => json!(format!("{{ \"id\": {n}, \"a\": null, \"list\": [] }}")),
            7 => json!("{ \"list\": [1, 2] }"),
            _ => json!(format!(
                "{{ \"id\": {n}, \"a\": {{ \"x.y\": \"ü{n}\" }}, \"list\": [{n}, 0.5, null], \
                 \"at\": \"2026-01-02T03:04:05.{n:03}+01:00\" }}"
            )),
        };
        json!({ "n": n, "s": "kept", "body": body })
    }))
}

fn log() -> RecordBatch {
    table((0..30).map(|n| {
        let line = match n % 5 {
            0 => json!(format!("2026-01-{:02} WARN {n}", n + 1)),
            1 => json!("2026-01-01 INFO"),
            2 => json!(format!("yesterday ERROR {n}")),
            3 => json!("yesterday ERROR"),
            _ if n % 2 == 0 => json!(null),
            _ => json!("no log"),
        };
        json!({ "n": n, "line": line })
    }))
}

fn bytes() -> RecordBatch {
    let text: [Option<&[u8]>; 4] = [Some(b"\xfc"), Some(b"123"), Some(b"f\xfcr"), None];
    let body: ArrayRef = Arc::new(BinaryArray::from_iter(text.into_iter().cycle().take(30)));
    let n: ArrayRef = Arc::new(Int64Array::from_iter_values(0..30));
    RecordBatch::try_from_iter_with_nullable([("n", n, true), ("body", body, true)]).unwrap()
}
