//! Every pipeline in `pipelines/` runs as it stands and gives what it gave before.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod common;

use std::path::{Path, PathBuf};

use common::Place;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../pipelines")
}

/// The result of a pipeline: its output files with sorted lines.
fn result(name: &str, code: i32) -> String {
    let place = Place::new();
    let file = folder().join(name).canonicalize().unwrap();
    place.gristmill(&["run", file.to_str().unwrap()]).expect(code);
    let mut text = String::new();
    for name in place.files() {
        text.push_str(&format!("== {name}\n"));
        let content = place.read(&name);
        let mut lines: Vec<_> = content.lines().collect();
        lines.sort_unstable();
        for line in lines {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

#[test]
fn quickstart() {
    insta::assert_snapshot!(result("quickstart.yaml", 0));
}

#[test]
fn branches() {
    insta::assert_snapshot!(result("branches.yaml", 0));
}

#[test]
fn all_pipelines_have_a_test() {
    let tests = include_str!("pipelines.rs");
    for entry in std::fs::read_dir(folder()).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        if name.ends_with(".yaml") {
            assert!(tests.contains(&format!("\"{name}\"")), "{name} has no test");
        }
    }
}
