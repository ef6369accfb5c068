//! `gristmill explain`: what limits, of a run and of a pipeline.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod common;
#[path = "common/served.rs"]
mod served;

use common::Place;
use serde_json::Value;
use served::Served;

/// Requests that wait for their answers.
const SLOW: &str = "\
name: slow
stages:
  - { name: requests, type: generate, with: { url: 'demo:/delay/100', count: 1000000 } }
  - { name: pages, type: fetch, with: { concurrency: 2 } }
  - { name: out, type: write, with: { path: out.jsonl } }
";

#[test]
fn a_run_is_explained() {
    let place = Place::new();
    let run = Served::start(&place, SLOW, &[]);
    let said = run.asked(&place, "explain", &["--for", "3s"]).expect(0).stdout;
    assert!(said.contains("`pages` limits the pipeline"), "{said}");
    assert!(said.contains("the servers' answers") && said.contains("concurrency"), "{said}");
    let json = run.asked(&place, "explain", &["--for", "3s", "--json"]).expect(0).stdout;
    let found: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&found["stage"], &found["cause"]), (&"pages".into(), &"outside".into()), "{json}");
    assert!(found["evidence"]["busy"].as_f64().unwrap() > 0.5, "{json}");
    // A port of this machine is an address, too.
    let port = run.url.rsplit(':').next().unwrap();
    place.gristmill(&["explain", port, "--for", "1s"]).expect(0).prints("`pages`");
}

#[test]
fn a_pipeline_is_run_and_broken_off() {
    let place = Place::new();
    place.write("pipeline.yaml", SLOW);
    let said = place.gristmill(&["explain", "pipeline.yaml", "--for", "3s"]).expect(0).stdout;
    assert!(said.contains("`pages` limits the pipeline"), "{said}");
    // What is not complete is not published.
    assert_eq!(place.files(), ["pipeline.yaml"]);
}

#[test]
fn a_pipeline_that_ends_is_explained_all_the_same() {
    let place = Place::new();
    place.write("pipeline.yaml", &SLOW.replace("1000000", "40"));
    let said = place.gristmill(&["explain", "pipeline.yaml", "--for", "1h"]).expect(0).stdout;
    assert!(said.contains("`pages` limits the pipeline"), "{said}");
    assert!(place.exists("out.jsonl"));
}

#[test]
fn what_cannot_be_explained_is_said() {
    let place = Place::new();
    place.gristmill(&["explain", "http://127.0.0.1:1"]).expect(4).says("nobody answers");
    place.gristmill(&["explain", "https://127.0.0.1:1"]).expect(4).says("`https` is not spoken");
    place.gristmill(&["explain", "none.yaml"]).expect(1);
    place.gristmill(&["explain", "none.yaml", "--for", "soon"]).expect(2);
}
