//! The same stage in every mode: 20,000 pages of 10 KiB parsed by CSS, and 2,000,000 JSON lines, with two
//! workers; the rows come from memory and are thrown away, so the stage and its way to and fro are all
//! that is measured.
//!
//! `cargo run --release -p gristmill-benchmarks --bin modes`

use std::process::ExitCode;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, StringArray};
use gristmill_benchmarks::{Side, Site, built_in, compare, run};
use gristmill_runtime::{Feed, worker};
use gristmill_stage::Registry;

const PAGES: usize = 20_000;
const LINES: usize = 2_000_000;
const MODES: [&str; 3] = ["pooled", "threaded", "process"];

fn main() -> ExitCode {
    if let Some(exit) = worker(&built_in()) {
        return exit;
    }
    if Site::serve_if_asked() {
        return ExitCode::SUCCESS;
    }
    let mut registry = built_in();
    feed(&mut registry, "pages", 256, pages());
    feed(&mut registry, "lines", 8192, lines());
    let html = "format: html, fields: { title: { css: h1 }, price: { css: .price, type: float64 }, \
                category: { css: \"[data-category]\", attr: data-category } }";
    let json = "format: json, fields: { id: { path: id, type: int64 }, level: { path: level }, \
                took: { path: took, type: float64 } }";
    for (title, feed, with, items, unit) in [
        ("20,000 pages of 10 KiB, three CSS fields, 2 workers", "pages", html, PAGES, "pages"),
        ("2,000,000 JSON lines, three fields, 2 workers", "lines", json, LINES, "lines"),
    ] {
        let pipelines = MODES.map(|mode| {
            format!(
                "stages:\n  - {{ type: {feed} }}\n  - {{ type: parse, run: {{ mode: {mode}, workers: 2 }}, \
                 with: {{ {with} }} }}\n  - {{ type: discard }}\n"
            )
        });
        let sides = MODES.iter().zip(&pipelines);
        let sides = sides.map(|(mode, yaml)| Side::new(*mode, || drop(run(yaml, &registry))));
        compare(title, items as f64, unit, 5, sides.collect());
    }
    ExitCode::SUCCESS
}

/// A source of these texts as a column `body`, in batches of so many.
#[expect(clippy::expect_used, reason = "a benchmark that does not run must not print figures")]
fn feed(registry: &mut Registry, name: &str, rows: usize, texts: Vec<String>) {
    let batches: Vec<RecordBatch> = texts
        .chunks(rows)
        .map(|texts| {
            let column: ArrayRef = Arc::new(StringArray::from_iter_values(texts));
            RecordBatch::try_from_iter([("body", column)]).expect("one column")
        })
        .collect();
    let schema = batches[0].schema();
    registry.add_kind(Feed::new(name, schema, batches).expect("one schema").kind());
}

/// Pages of the demo shop, fetched once.
#[expect(clippy::expect_used, reason = "a benchmark that does not run must not print figures")]
fn pages() -> Vec<String> {
    let site = Site::start();
    let mut registry = built_in();
    let collect = gristmill_runtime::Collect::new("collect");
    registry.add_kind(collect.kind());
    let yaml = format!(
        "stages:\n  - {{ type: generate, with: {{ url: \"{}/item/{{n}}\", count: 500 }} }}\n  \
         - {{ type: fetch }}\n  - {{ type: collect }}\n",
        site.base
    );
    run(&yaml, &registry);
    let mut texts = Vec::new();
    for batch in collect.take() {
        let body = batch.column_by_name("body").expect("a body").clone();
        let body = body.as_any().downcast_ref::<StringArray>().expect("text").clone();
        texts.extend(body.iter().flatten().map(str::to_owned));
    }
    let pages = texts.iter().cycle().take(PAGES);
    pages.cloned().collect()
}

fn lines() -> Vec<String> {
    let levels = ["debug", "info", "warn", "error"];
    (0..LINES)
        .map(|id| {
            let (level, took) = (levels[id % 4], id as f64 / 7.0);
            format!(
                "{{\"id\":{id},\"time\":\"2026-11-24T10:00:00Z\",\"level\":\"{level}\",\"took\":{took:.3},\
                 \"message\":\"request number {id} was answered\",\"host\":\"node-{}\"}}",
                id % 40
            )
        })
        .collect()
}
