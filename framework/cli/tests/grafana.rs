//! Dashboards are what Grafana's own types say that they are.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod common;

use std::io::Write;
use std::process::{Command, Stdio};

use common::Place;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// What is not the same once Grafana's SDK has read a dashboard and written it again.
fn lost(dashboard: &str) -> String {
    let mut python = Command::new(format!("{ROOT}/target/python/bin/python"))
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/grafana.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect(".ci/python makes it");
    python.stdin.take().unwrap().write_all(dashboard.as_bytes()).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn grafana_knows_every_word_of_a_dashboard() {
    let place = Place::new();
    let pipeline = format!("{ROOT}/pipelines/quickstart.yaml");
    let own = place.gristmill(&["dashboard", &pipeline]).expect(0).stdout;
    let general = place.gristmill(&["dashboard"]).expect(0).stdout;
    for dashboard in [own, general] {
        assert_eq!(lost(&dashboard), "");
        // What it does not know, it says.
        let wrong = dashboard.replacen("\"fieldConfig\"", "\"fieldConfiguration\"", 1);
        assert!(lost(&wrong).contains("fieldConfiguration"), "{}", lost(&wrong));
    }
}
