//! What is left of child processes, and what they are given.

use std::fs;

use gristmill_runtime::Outcome;
use rustix::process::{Pid, Signal, kill_process};

use crate::mill::{Mill, stage};

/// The children of this process that were given that limit of open files; each test has its own.
pub fn of_run(mark: u64) -> Vec<i32> {
    let own = std::process::id().to_string();
    let mark = mark.to_string();
    let all = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let pid: i32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let parent = stat.rsplit_once(") ")?.1.split(' ').nth(1)?;
        let args = fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?;
        (parent == own && args.split('\0').any(|arg| arg == mark)).then_some(pid)
    });
    all.collect()
}

pub fn kill(pid: i32) {
    // It may be gone already.
    let _ = kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL);
}

/// A stage that never comes back, so that its child can be looked at.
fn hanging(mark: u64) -> (Mill, gristmill_runtime::Run) {
    let mill = Mill::new(1);
    let stages = [format!(
        "{{ type: broken, run: {{ mode: process, env: [CARGO_PKG_NAME], \
           limits: {{ open_files: {mark}, memory: 1GiB, cpu: 1000s }} }}, \
           with: {{ column: n, at: [\"0\"], how: hang }} }}"
    )];
    let run = Mill::start(mill.plan("", &stages));
    (mill, run)
}

#[test]
fn a_child_has_its_limits_and_an_environment_of_its_own() {
    let (_mill, run) = hanging(1011);
    let [pid] = of_run(1011)[..] else { panic!("one child is there") };
    let read = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap();
    let status = read("status");
    assert!(status.contains("NoNewPrivs:\t1"), "{status}");
    let limits = read("limits");
    let limit = |name: &str| {
        let line = limits.lines().find(|line| line.starts_with(name)).unwrap();
        line[name.len()..].split_ascii_whitespace().next().unwrap().to_owned()
    };
    assert_eq!(limit("Max open files"), "1011");
    assert_eq!(limit("Max data size"), (1_u64 << 30).to_string());
    assert_eq!(limit("Max cpu time"), "1000");
    let environment = read("environ");
    assert!(environment.contains("CARGO_PKG_NAME="), "{environment}");
    assert!(environment.contains("PATH="), "{environment}");
    assert!(!environment.contains("CARGO_MANIFEST_DIR="), "{environment}");
    run.stopper().abort();
    assert!(matches!(run.wait().outcome, Outcome::Aborted));
    assert_eq!(of_run(1011), [0_i32; 0], "a child outlived its run");
}

#[test]
fn no_child_outlives_its_run() {
    let mill = Mill::new(100);
    let stages: Vec<String> = (0..4)
        .map(|n| {
            format!(
                "{{ name: m{n}, type: filter, run: {{ mode: process, workers: 2, \
                   limits: {{ open_files: 1012 }} }}, with: {{ where: n >= 0 }} }}"
            )
        })
        .collect();
    let report = Mill::start(mill.plan("", &stages)).wait();
    assert!(matches!(report.outcome, Outcome::Done), "{:?}", report.outcome);
    assert_eq!(of_run(1012), [0_i32; 0], "not even as a zombie");
    for name in ["m0", "m1", "m2", "m3"] {
        let process = stage(&report, name).process.as_ref().unwrap();
        assert!(process.peak_memory > 1 << 20 && !process.cpu.is_zero(), "{process:?}");
        assert_eq!(process.restarts(), 0);
    }
}

#[test]
fn a_dropped_run_takes_its_children_with_it() {
    let (_mill, run) = hanging(1013);
    let [pid] = of_run(1013)[..] else { panic!("one child is there") };
    drop(run);
    // The run is not waited for; its child must go all the same.
    while fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z ")) {
        std::thread::yield_now();
    }
}
