//! Children that are killed at any moment, whatever their stage is in the middle of.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gristmill_runtime::{Outcome, Report};
use proptest::prelude::Rng;
use proptest::test_runner::{RngAlgorithm, TestRng};

use crate::children::{kill, of_run};
use crate::mill::{Mill, lines, stage};

/// Kills children that may open so many files, at random, for as long as the work takes; the first of
/// them as soon as it is there.
pub fn killing<T>(mark: u64, work: impl FnOnce() -> T) -> T {
    killing_times(usize::MAX, mark, work)
}

/// As [`killing`], with at most so many kills. Fewer than five never end a run, however slow its
/// children start.
fn killing_times<T>(most: usize, mark: u64, work: impl FnOnce() -> T) -> T {
    let over = Arc::new(AtomicBool::new(false));
    let killer = {
        let over = over.clone();
        std::thread::spawn(move || {
            let mut rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
            let mut kills = 0;
            while !over.load(Ordering::Relaxed) && kills < most {
                let first = kills == 0;
                let pause = if first { 1 } else { rng.next_u32() % 60 };
                std::thread::sleep(Duration::from_millis(u64::from(pause)));
                for pid in of_run(mark) {
                    if kills < most && (first || rng.next_u32().is_multiple_of(2)) {
                        kill(pid);
                        kills += 1;
                    }
                }
            }
            kills
        })
    };
    let done = work();
    over.store(true, Ordering::Relaxed);
    let kills = killer.join().unwrap();
    assert!(kills > 0, "no child was seen");
    done
}

/// Runs the stages while children are killed, and again without; the sorted output is the same.
fn killed(rows: usize, mark: u64, stages: &[&str]) -> Report {
    killed_times(usize::MAX, rows, mark, stages)
}

/// As [`killed`], with at most so many kills.
fn killed_times(most: usize, rows: usize, mark: u64, stages: &[&str]) -> Report {
    let mill = Mill::new(rows);
    let run = |words: &str| {
        let run = format!("run: {{ {words} }}");
        let stages: Vec<String> = stages.iter().map(|stage| stage.replace("RUN", &run)).collect();
        Mill::start(mill.plan("batch: { rows: 100 }", &stages)).wait()
    };
    let words = format!("mode: process, limits: {{ open_files: {mark} }}");
    let report = killing_times(most, mark, || run(&words));
    assert!(matches!(report.outcome, Outcome::Done), "{:?}", report.outcome);
    let sorted = || {
        let mut rows: Vec<String> =
            lines(&mill.path("out.jsonl")).iter().map(ToString::to_string).collect();
        rows.sort_unstable();
        rows
    };
    let with_kills = sorted();
    let quiet = run("mode: threaded");
    assert!(matches!(quiet.outcome, Outcome::Done), "{:?}", quiet.outcome);
    assert_eq!(with_kills, sorted());
    assert!(mill.rejected().is_empty(), "{:?}", mill.rejected());
    report
}

pub fn restarts(report: &Report) -> u64 {
    report.stages.iter().filter_map(|s| s.process.as_ref()).map(|p| p.restarts()).sum()
}

#[test]
fn stateless_stages() {
    let report = killed(
        20_000,
        1001,
        &[
            "{ name: twice, type: map, RUN, with: { set: { twice: n * 2 } } }",
            "{ name: some, type: filter, RUN, with: { where: n % 3 != 1 } }",
        ],
    );
    assert!(restarts(&report) > 0, "nobody was killed");
    assert_eq!(stage(&report, "twice").sent.rows, 20_000);
}

#[test]
fn stages_that_hold_rows() {
    let report =
        killed(20_000, 1002, &["{ type: broken, RUN, with: { column: n, asynchronous: true } }"]);
    assert!(restarts(&report) > 0, "nobody was killed");
}

#[test]
fn stages_that_keep_state() {
    let report = killed(
        20_000,
        1003,
        &[
            "{ name: first, type: unseen, RUN, with: { column: n } }",
            "{ name: sums, type: aggregate, RUN, with: { group_by: [key], \
               select: { n: max(n), rows: count(*), sum: sum(n) } } }",
        ],
    );
    assert!(restarts(&report) > 0, "nobody was killed");
}

#[test]
fn stages_with_several_outputs() {
    let report = killed_times(
        4,
        20_000,
        1005,
        &[
            "{ name: router, type: route, RUN, with: { routes: { third: n % 3 = 0, low: n < 5000 } } }",
            "{ name: thirds, type: map, from: router.third, with: { set: { by: \"'third'\" } } }",
            "{ name: lows, type: map, from: router.low, with: { set: { by: \"'low'\" } } }",
            "{ name: others, type: map, from: router.rest, with: { set: { by: \"'rest'\" } } }",
            "{ name: all, type: filter, from: [thirds, lows, others], with: { where: true } }",
        ],
    );
    let rows = |name| stage(&report, name).sent.rows;
    assert_eq!([rows("thirds"), rows("lows"), rows("others")], [6667, 3333, 10_000]);
}

#[test]
fn stages_that_keep_rows_on_disk() {
    let spill = tempfile::tempdir().unwrap();
    let sort = format!(
        "{{ type: sort, RUN, with: {{ by: text desc, memory: 1MiB, spill: '{}' }} }}",
        spill.path().display()
    );
    let report = killed_times(4, 20_000, 1004, &[&sort, "{ type: limit, with: { rows: 15000 } }"]);
    assert_eq!(stage(&report, "limit").sent.rows, 15_000);
}

#[test]
fn stages_that_keep_groups_on_disk() {
    let spill = tempfile::tempdir().unwrap();
    let sums = format!(
        "{{ type: aggregate, RUN, with: {{ group_by: [text, n], memory: 1MiB, spill: '{}', \
           select: {{ rows: count(*), texts: 'array_agg(text)' }} }} }}",
        spill.path().display()
    );
    let report = killed_times(4, 20_000, 1007, &[&sums]);
    assert_eq!(stage(&report, "aggregate").sent.rows, 20_000);
    let left = std::fs::read_dir(spill.path()).unwrap().count();
    assert_eq!(left, 0, "folders stayed");
}

#[test]
fn stages_that_keep_keys_and_the_best_rows() {
    let report = killed_times(
        4,
        20_000,
        1006,
        &[
            "{ name: first, type: dedupe, RUN, with: { by: [text] } }",
            "{ name: best, type: top, RUN, with: { by: n desc, rows: 1000, group_by: [key] } }",
        ],
    );
    assert_eq!(stage(&report, "best").sent.rows, 7000);
}

#[test]
fn stages_that_keep_sessions() {
    // One of fifty rows for each of seven keys; then nothing comes for a while.
    let report = killed_times(
        4,
        20_000,
        1008,
        &["{ name: sums, type: aggregate, RUN, with: { group_by: [key], \
             window: { time: to_timestamp_seconds(n + n / 350 * 20), gap: 15s, lateness: 5s }, \
             select: { n: max(n), rows: count(*), sum: sum(n) } } }"],
    );
    // The last is of 50 rows that come one after the other.
    assert_eq!(stage(&report, "sums").sent.rows, (20_000 / 350 + 1) * 7);
}
