//! Cases of `broken` and `unseen`, which behave here: tests of child processes rest on them.

use gristmill_testkit::conformance::Settings;
use gristmill_testkit::rows;
use serde_json::json;

use crate::case::{Case, World};

pub fn cases(_: &World) -> Vec<Case> {
    let input = rows!([
        { "n": 1, "s": "a" },
        { "n": null, "s": "b" },
        { "n": 1, "s": null },
        { "n": 4, "s": "ü" },
    ]);
    let passing = Settings::new().one_to_one();
    let asynchronous = json!({ "column": "n", "asynchronous": true });
    vec![
        Case::new("broken", "nothing to break at", json!({ "column": "n", "at": ["7"] }))
            .on(&input)
            .with(passing.clone().ordered())
            .gives(4, 0),
        Case::new("broken", "row by row", asynchronous).on(&input).with(passing.real()).gives(4, 0),
        Case::new("unseen", "values that come twice", json!({ "column": "n" }))
            .on(&input)
            .gives(3, 0),
    ]
}
