//! The JSON Schema in the repository is the one that the command prints.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod common;

use common::Place;

#[test]
fn the_schema_in_the_repository_is_current() {
    let printed = Place::new().gristmill(&["schema"]).expect(0).stdout;
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/gristmill.schema.json");
    let kept = std::fs::read_to_string(file).unwrap_or_default();
    assert!(kept == printed, "run: cargo run -- schema > framework/cli/gristmill.schema.json");
}
