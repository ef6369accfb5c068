//! Cases of `command`.

use gristmill_testkit::conformance::Settings;
use gristmill_testkit::rows;
use serde_json::json;

use crate::case::{Case, World};

pub fn cases(_: &World) -> Vec<Case> {
    let input = rows!([
        { "n": 1, "s": "a" },
        { "n": null, "s": "ü\n" },
        { "n": 3, "s": null },
        { "n": 4, "s": "{" },
        { "n": 5, "s": "" },
        { "n": 6, "s": "f" },
    ]);
    let cat = json!({ "command": ["cat"] });
    // A process for every batch, so few runs.
    let settings = Settings::new().ordered().seeds(2);
    vec![
        Case::new("command", "nothing is changed", cat.clone())
            .on(&input)
            .with(settings.clone().one_to_one())
            .gives(6, 0),
        Case::new("command", "three lines of each", json!({ "command": ["sed", "p;p"] }))
            .on(&input)
            .with(settings.clone())
            .gives(18, 0),
        Case::new("command", "nothing comes back", json!({ "command": ["true"] }))
            .on(&input)
            .with(settings.clone())
            .gives(0, 0),
        Case::new("command", "it fails", json!({ "command": ["false"] }))
            .on(&input)
            .with(settings.clone())
            .gives(0, 6),
        Case::new(
            "command",
            "lines that do not fit",
            json!({
                "command": ["sed", "s/:[35],/:\"x\",/"], "columns": { "n": "int64" },
            }),
        )
        .on(&input)
        .with(settings)
        .gives(4, 2),
        Case::new("command", "no rows", cat)
            .with(Settings::new().input_schema(input.schema()))
            .gives(0, 0),
    ]
}
