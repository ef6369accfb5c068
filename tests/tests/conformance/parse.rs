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
    .into_iter()
    .chain(lines())
    .chain(rows())
    .collect()
}

/// Formats of lines and of small texts.
fn lines() -> Vec<Case> {
    let settings = || Settings::new().ordered().one_to_one().seeds(4);
    let case = |title, options| {
        Case::new("parse", title, options).with(settings()).refuses(&["Dictionary"])
    };
    let pattern = r#"{ip} - {user} [{time:timestamp:%d/%b/%Y:%H:%M:%S %z}] "{method} {path} {_}" {status:int64} {_}"#;
    vec![
        case("access log", json!({ "format": "combined" })).on(&access()).gives(20, 10),
        case("access log by a pattern", json!({ "format": "pattern", "pattern": pattern }))
            .on(&access())
            .gives(20, 10),
        case(
            "common log with nulls for what does not fit",
            json!({ "format": "common", "keep": "all", "on_error": "null",
                "fields": { "rest": {}, "status": {}, "day": { "key": "time", "type": "date" } } }),
        )
        .on(&access())
        .gives(30, 0),
        case("syslog", json!({ "format": "syslog", "zone": "Europe/Berlin" }))
            .on(&bodies(&[
                Some("<34>1 2026-10-11T22:14:15.003Z web1 su 7 ID47 [a b=\"c\"] message"),
                Some("<34>Oct 11 22:14:15 web1 su[7]: message"),
                Some("no syslog"),
                None,
            ]))
            .gives(20, 20),
        case(
            "logfmt",
            json!({ "format": "logfmt", "fields": {
                "level": { "required": true }, "took": { "type": "float64" },
                "tags": { "key": "tag", "all": true }, "all": { "key": "$", "type": "json" } } }),
        )
        .on(&bodies(&[
            Some("level=info took=1.5 tag=a tag=\"b c\""),
            Some("level=info took=long"),
            Some("took=1"),
            Some("level=warn"),
        ]))
        .gives(20, 20),
        case(
            "pairs with separators",
            json!({ "format": "keyvalue", "pair_separator": ";", "key_separator": ":",
                "nulls": ["-"], "fields": { "a": { "type": "int64" }, "b": {} } }),
        )
        .on(&bodies(&[Some("a: 1; b: x"), Some("a:-"), Some("a:x"), Some("a")]))
        .gives(20, 20),
        case("query strings", json!({ "format": "query", "fields": { "q": {}, "p": { "type": "int64" } } }))
            .on(&bodies(&[Some("?q=a+b&p=1"), Some("p=x"), Some(""), None]))
            .gives(20, 20),
        case("URLs", json!({ "format": "url" }))
            .on(&bodies(&[Some("https://h/p?q#f"), Some("/relative"), Some("mailto:a@b"), None]))
            .gives(20, 20),
        case("CSV", json!({ "format": "csv", "fields": { "a": { "type": "int64" }, "b": {}, "c": {} } }))
            .on(&bodies(&[Some("1,\"x, y\",\n"), Some("1,2"), Some("x,y,z"), Some(",,")]))
            .gives(20, 20),
        case("XML", json!({ "format": "xml", "fields": { "t": "a/t", "l": { "path": "a/l/@h", "all": true } } }))
            .on(&bodies(&[Some("<a><t> x </t><l h='1'/><l h='2'/></a>"), Some("<a>"), Some("<b/>"), None]))
            .gives(20, 20),
    ]
}

/// Texts that give several rows each, or none.
fn rows() -> Vec<Case> {
    let case = |title, options| {
        let settings = Settings::new().ordered().seeds(8);
        Case::new("parse", title, options).with(settings).refuses(&["Dictionary"])
    };
    let item = |price: &str| format!("<div class=i data-n=1><b>x</b><i>{price}</i></div>");
    let fields = json!({
        "n_": { "css": ":scope", "attr": "data-n", "type": "int64" },
        "price": { "css": "i", "type": "float64" },
        "title": { "css": "h1", "outside": true },
    });
    let some = format!("<h1>t</h1>{}{}{}", item("1"), item("free"), item("2"));
    let many = item("3").repeat(7);
    let pages = bodies(&[Some(&some), Some("<p>none"), Some(&many), None]);
    vec![
        case(
            "rows of pages",
            json!({ "format": "html", "rows": ".i", "fields": fields, "keep": "all" }),
        )
        .on(&pages)
        .gives(90, 20),
        case(
            "rows of pages with nulls for what does not fit",
            json!({ "format": "html", "rows": ".i", "fields": fields, "on_error": "null" }),
        )
        .on(&pages)
        .gives(110, 0),
        case(
            "rows of XML",
            json!({ "format": "xml", "rows": "f/e", "fields": {
                "id": { "path": "@id", "type": "int64" }, "t": "t" } }),
        )
        .on(&bodies(&[
            Some("<f><e id='1'><t>x</t></e><e id='2'/></f>"),
            Some("<f/>"),
            Some("<f><e id='x'/><e id='3'/></f>"),
            Some("<f><e id='1'/>"),
        ]))
        .gives(30, 20),
    ]
}

/// Forty rows with these texts in turn.
fn bodies(texts: &[Option<&str>]) -> RecordBatch {
    table((0..40).map(|n| json!({ "n": n, "body": texts[n % texts.len()] })))
}

/// Of three lines one is null or no line of an access log.
fn access() -> RecordBatch {
    table((0..30).map(|n| {
        let line = match n % 6 {
            2 => None,
            5 => Some("no log".to_owned()),
            _ => Some(format!(
                "10.0.0.{n} - u{n} [{:02}/Oct/2026:13:55:36 +0200] \"GET /{n} HTTP/1.1\" 200 {n} \"-\" \"agent\"",
                n + 1
            )),
        };
        json!({ "n": n, "body": line })
    }))
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
