//! Options that cannot work are refused before a run, with the place and what would be right.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use gristmill_testkit::rows;
use serde_json::{Value, json};

use common::refused;

#[test]
fn what_cannot_work_is_said() {
    let input = rows!([{ "a": 1, "l": [1], "s": [{ "a": 2, "x": 1 }], "o": { "y": 1 } }]).schema();
    let cases: [(&str, Value, &str, &str, &str); 23] = [
        ("sample", json!({}), "", "which rows stay", "rate: 0.01"),
        ("sample", json!({ "rate": 0.1, "rows": 3 }), "rows", "only one", "leave the others out"),
        ("sample", json!({ "rate": 0.1, "every": 3 }), "every", "only one", "leave"),
        ("sample", json!({ "rate": 1.5 }), "rate", "1.5 is no chance", "from 0 to 1"),
        ("sample", json!({ "every": 0 }), "every", "no row would stay", "1 or more"),
        ("sample", json!({ "rows": 0 }), "rows", "no row would stay", "1 or more"),
        ("sample", json!({ "rows": 3, "by": ["a"] }), "by", "only with `rate`", "`rate`"),
        ("sample", json!({ "rate": 0.1, "by": ["b"] }), "by[0]", "no column `b`", ""),
        ("dedupe", json!({ "by": ["a", "b"] }), "by[1]", "no column `b`", ""),
        ("dedupe", json!({ "by": [] }), "by", "no column to compare", "leave `by` out"),
        (
            "dedupe",
            json!({ "approximate": { "false_positives": 0 } }),
            "approximate.false_positives",
            "from 1e-9 to 0.5",
            "0.001",
        ),
        ("top", json!({ "by": "a", "rows": 0 }), "rows", "no row would be kept", "1 or more"),
        ("top", json!({ "by": "b desc", "rows": 1 }), "by", "no column `b`", ""),
        ("top", json!({ "by": "a", "rows": 1, "group_by": ["b"] }), "group_by[0]", "`b`", ""),
        ("sort", json!({ "by": ["a", "a up"] }), "by[1]", "`up` is no direction", "a asc"),
        ("sort", json!({ "by": [] }), "by", "nothing to order by", "price desc"),
        ("sort", json!({ "by": "a", "memory": "10kB" }), "memory", "too few", "at least 1MiB"),
        ("sort", json!({ "by": "a", "spill": "/dev/null/x" }), "spill", "/dev/null", ""),
        ("unnest", json!({ "column": "b" }), "column", "no column `b`", ""),
        ("unnest", json!({ "column": "a" }), "column", "is Int64, not a list", "holds lists"),
        ("unnest", json!({ "column": "o" }), "column", "not a list", "spread: true"),
        (
            "unnest",
            json!({ "column": "l", "spread": true }),
            "spread",
            "not structs",
            "leave it out",
        ),
        ("unnest", json!({ "column": "s", "spread": true }), "spread", "columns `a`", "prefix: s_"),
    ];
    for (kind, options, path, message, help) in cases {
        let error = refused(kind, &options, &input);
        let text = format!("{kind} {options}: {error:?}");
        assert_eq!(error.option_path(), Some(path), "{text}");
        assert!(error.message().contains(message), "{text}");
        assert!(error.help_text().unwrap_or("").contains(help), "{text}");
    }
    let options = json!({ "column": "l", "position": "a" });
    assert_eq!(refused("unnest", &options, &input).option_path(), Some("position"));
    let options = json!({ "column": "l", "prefix": "x" });
    assert_eq!(refused("unnest", &options, &input).option_path(), Some("prefix"));
}
