//! Cases of `fetch`, against the demo site.

use arrow_array::RecordBatch;
use gristmill_testkit::conformance::Settings;
use serde_json::{Value, json};

use crate::case::{Case, World, emitted};

/// `timings` differ from run to run, and so does the `date` among the `headers`.
const DIFFERENT: [&str; 2] = ["timings", "headers"];

fn table(urls: impl IntoIterator<Item = Value>) -> RecordBatch {
    let rows = urls.into_iter().enumerate().map(|(n, url)| {
        json!({ "n": n, "url": url, "tag": if n % 3 == 0 { json!(null) } else { json!("ü") } })
    });
    gristmill_testkit::table(&Value::Array(rows.collect())).unwrap()
}

fn items(from: usize, to: usize) -> impl Iterator<Item = Value> {
    (from..to).map(|n| json!(format!("demo:/item/{n}")))
}

pub fn cases(world: &World) -> Vec<Case> {
    let settings = || Settings::new().real().seeds(4).origins(world.origins()).ignore(DIFFERENT);
    let case = |title, options| Case::new("fetch", title, options);
    let wrong = [
        json!("demo:/status/404"),
        json!(null),
        json!("no address"),
        json!("http://127.0.0.1:1/"),
        json!("demo:/redirect/2"),
        json!("demo:/redirect/loop"),
        json!("demo:/close"),
        json!("demo:/charset/latin1"),
        json!("demo:/status/204"),
    ];
    let urls = table(items(0, 12).chain(wrong).chain(items(12, 16)));
    let failing =
        table(items(0, 6).chain((0..6).map(|n| json!(format!("demo:/status/{}", 500 + n % 4)))));
    let posts = json!({
        "url": "demo:/echo?n={n}",
        "count": 20,
        "method": "POST",
        "headers": { "x-number": "{n}" },
        "body": "n = {n}",
    });
    let none = json!({ "retries": 0 });
    vec![
        case(
            "pages in order, failures rejected",
            json!({ "concurrency": 3, "retries": 0, "redirects": 4 }),
        )
        .on(&urls)
        .with(settings().ordered().one_to_one())
        .gives(20, 5)
        .refuses(&["Dictionary"]),
        case(
            "pages as they come, failures as rows",
            json!({
                "concurrency": 8,
                "retries": 1,
                "backoff": { "initial": "1ms" },
                "redirects": 4,
                "fail_status": [404],
                "on_error": "row",
                "body": "bytes",
            }),
        )
        .on(&urls)
        .with(settings().one_to_one())
        // `url` is not null in the output, so the row without one is rejected anyway.
        .gives(24, 1)
        .refuses(&["Dictionary"]),
        case(
            "statuses that fail after retries",
            json!({
                "retries": 2,
                "backoff": { "initial": "1ms", "max": "1ms" },
                "fail_status": ["5xx"],
            }),
        )
        .on(&failing)
        .with(settings().one_to_one())
        .gives(6, 6)
        .refuses(&["Dictionary"]),
        case("requests with headers and bodies", none.clone())
            .on(&emitted("generate", &posts))
            .with(settings().ordered().one_to_one())
            .gives(20, 0)
            .refuses(&["Dictionary"]),
        case("no rows", none)
            .with(settings().input_schema(urls.schema()))
            .gives(0, 0)
            .refuses(&["Dictionary"]),
    ]
}
