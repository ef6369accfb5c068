//! Cases of `inspect` and `discard`.

use gristmill_testkit::conformance::Settings;
use gristmill_testkit::rows;
use serde_json::json;

use crate::case::{Case, World};

pub fn cases(_: &World) -> Vec<Case> {
    let input = rows!([
        { "n": 1, "s": "a", "l": [1, null], "o": { "x": true } },
        { "n": null, "s": "\u{1b}[31mred\nlines", "l": null, "o": null },
        { "n": 3, "s": null, "l": [], "o": { "x": null } },
        { "n": 4, "s": "a", "l": [7], "o": { "x": false } },
        { "n": 5, "s": "ü", "l": [8], "o": { "x": false } },
    ]);
    // Tables go to stderr, so few runs.
    let passing = Settings::new().ordered().one_to_one().seeds(2);
    vec![
        Case::new("inspect", "the first row", json!({ "rows": 1 }))
            .on(&input)
            .with(passing.clone())
            .gives(5, 0),
        Case::new("inspect", "now and then", json!({ "rows": 1, "every": 4 }))
            .on(&input)
            .with(passing)
            .gives(5, 0),
        Case::new("inspect", "no rows", json!({}))
            .with(Settings::new().input_schema(input.schema()))
            .gives(0, 0),
        Case::new("discard", "some rows", json!({})).on(&input).gives(0, 0),
        Case::new("discard", "no rows", json!(null))
            .with(Settings::new().input_schema(input.schema()))
            .gives(0, 0),
    ]
}
