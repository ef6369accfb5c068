//! Cases of `generate`. Workers share the rows in blocks of 64, so there are some hundreds of rows.

use gristmill_testkit::conformance::Settings;
use serde_json::json;

use crate::case::{Case, World};

pub fn cases(world: &World) -> Vec<Case> {
    let names = world.file("names.txt", "# names\nann\nbob\n\nc d\n");
    let mut urls: String = (1..=200).map(|n| format!("http://host/{n}\n")).collect();
    urls.push_str("# the end\n\nno-address\nhttp://host/last\nhttp://host/a b\n");
    let urls = world.file("urls.txt", urls);
    let case = |title, options| {
        Case::new("generate", title, options).with(Settings::new().ordered().seeds(6))
    };
    vec![
        case("numbers", json!({ "count": 300 })).gives(300, 0),
        case("nothing", json!({ "count": 0 })).gives(0, 0),
        case(
            "a step down",
            json!({ "url": "demo:/{n}", "range": { "from": 500, "to": -100, "step": -3 } }),
        )
        .gives(201, 0),
        case(
            "a product of variables with headers and a body",
            json!({
                "urls": ["http://a/{n}/{who}", "http://b/{month}/{+path}"],
                "range": "1..5",
                "vars": {
                    "who": { "file": names },
                    "month": "01..06",
                    "path": ["p/q", true, 2.5],
                },
                "method": "POST",
                "headers": { "accept-language": "{who}", "x-n": "{n}" },
                "body": "{{\"month\": \"{month}\"}}",
            }),
        )
        .gives(5 * 3 * 6 * 3 * 2, 0),
        case("a file of addresses", json!({ "file": urls, "headers": { "n": "{n}" } }))
            .gives(201, 2),
    ]
}
