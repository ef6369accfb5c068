//! Ten thousand stages are opened and closed. In a file of its own: the memory of a process is that of all
//! its tests.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "these are tests")]

mod common;

use common::{Place, kind};
use gristmill_testkit::{Harness, rows};
use serde_json::json;

/// Memory of this process that is its own, in KiB.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn ten_thousand_stages_leave_nothing_behind() {
    let place = Place::new();
    let kind = kind(&place, &[]);
    let input = rows!([{ "n": 1, "t": "a" }, { "n": null, "t": null }, { "n": 3, "t": "c" }]);
    let once = || {
        let mut stage = Harness::new().build(&*kind, &json!({}), Some(&input.schema())).unwrap();
        stage.run_transform(vec![input.clone()]).unwrap();
    };
    (0..500).for_each(|_| once());
    let before = memory();
    (0..10_000).for_each(|_| once());
    let grown = memory().saturating_sub(before);
    assert!(grown < 1024, "{grown} KiB more after 10,000 stages");
}
