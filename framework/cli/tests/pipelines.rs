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
fn access_log() {
    insta::assert_snapshot!(result("access-log.yaml", 0));
}

#[test]
fn sessions() {
    insta::assert_snapshot!(result("sessions.yaml", 0));
}

#[test]
fn five_hundred_requests() {
    insta::assert_snapshot!(result("five-hundred-requests.yaml", 0));
}

#[test]
fn parallelism_asymmetric() {
    insta::assert_snapshot!(result("parallelism/asymmetric.yaml", 0));
}

#[test]
fn parallelism_hash() {
    insta::assert_snapshot!(result("parallelism/hash.yaml", 0));
}

#[test]
fn parallelism_hybrid() {
    insta::assert_snapshot!(result("parallelism/hybrid.yaml", 0));
}

#[test]
fn parallelism_kernel_level() {
    insta::assert_snapshot!(result("parallelism/kernel-level.yaml", 0));
}

#[test]
fn parallelism_processes() {
    insta::assert_snapshot!(result("parallelism/processes.yaml", 0));
}

#[test]
fn parallelism_many_to_many() {
    insta::assert_snapshot!(result("parallelism/many-to-many.yaml", 0));
}

#[test]
fn parallelism_shared() {
    insta::assert_snapshot!(result("parallelism/shared.yaml", 0));
}

#[test]
fn parallelism_stages() {
    insta::assert_snapshot!(result("parallelism/stages.yaml", 0));
}

#[test]
fn parallelism_symmetric() {
    insta::assert_snapshot!(result("parallelism/symmetric.yaml", 0));
}

#[test]
fn parallelism_tasks() {
    insta::assert_snapshot!(result("parallelism/tasks.yaml", 0));
}

#[test]
fn parallelism_two_level() {
    insta::assert_snapshot!(result("parallelism/two-level.yaml", 0));
}

#[test]
fn parallelism_user_level() {
    insta::assert_snapshot!(result("parallelism/user-level.yaml", 0));
}

#[test]
fn all_pipelines_have_a_test() {
    let tests = include_str!("pipelines.rs");
    let mut folders = vec![folder()];
    while let Some(inner) = folders.pop() {
        for entry in std::fs::read_dir(inner).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(folder()).unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                folders.push(path);
            } else if name.ends_with(".yaml") {
                assert!(tests.contains(&format!("\"{name}\"")), "{name} has no test");
            }
        }
    }
}
