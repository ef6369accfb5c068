//! Rows that kill.

use gristmill_runtime::{DeathClass, Outcome};

use crate::mill::{Mill, once, stage};

/// Runs 60 rows, of which 7 and 31 do harm; both are rejected with `reason`, the others come out.
fn harm(how: &str, class: DeathClass, reason: &str, limits: &str) {
    let mill = Mill::new(60);
    let stages = [format!(
        "{{ type: broken, run: {{ mode: process, {limits} }}, \
         with: {{ column: n, at: [\"7\", \"31\"], how: {how} }} }}"
    )];
    let report = Mill::start(mill.plan("batch: { rows: 16 }", &stages)).wait();
    assert!(matches!(report.outcome, Outcome::Done), "{how}: {:?}", report.outcome);
    assert_eq!(mill.output(), once((0..60).filter(|n| *n != 7 && *n != 31)), "{how}");
    let rejected = mill.rejected();
    assert_eq!(rejected.keys().collect::<Vec<_>>(), [&7, &31], "{how}");
    for why in rejected.values() {
        assert!(why.contains(reason), "{how}: {why}");
    }
    let broken = stage(&report, "broken");
    assert_eq!((broken.taken.rows, broken.sent.rows, broken.rejected), (60, 58, 2));
    let deaths = &broken.process.as_ref().unwrap().deaths;
    assert!(deaths.iter().all(|(found, _)| *found == class), "{how}: {deaths:?}");
    assert!(deaths.iter().map(|(_, count)| count).sum::<u64>() >= 6, "{how}: {deaths:?}");
}

#[test]
fn killed() {
    harm("kill", DeathClass::Killed, "killed by signal 9 (SIGKILL)", "");
}

#[test]
fn a_wild_pointer() {
    harm("segv", DeathClass::Crashed, "signal 11 (SIGSEGV)", "");
}

#[test]
fn aborted() {
    harm("abort", DeathClass::Aborted, "signal 6 (SIGABRT)", "");
}

#[test]
fn ended_by_itself() {
    harm("exit", DeathClass::Exited, "it ended by itself with code 0", "");
}

#[test]
fn panicked() {
    harm("panic", DeathClass::Panicked, "this row is too much", "");
}

#[test]
fn out_of_memory() {
    harm("memory", DeathClass::Aborted, "memory allocation of", "limits: { memory: 256MiB }");
}

#[test]
fn hung() {
    let mill = Mill::new(3);
    let stages = ["{ type: broken, run: { mode: process, timeout: 200ms }, \
                   with: { column: n, at: [\"1\"], how: hang } }"
        .to_owned()];
    let report = Mill::start(mill.plan("batch: { rows: 1 }", &stages)).wait();
    assert!(matches!(report.outcome, Outcome::Done), "{:?}", report.outcome);
    assert_eq!(mill.output(), once([0, 2]));
    assert!(mill.rejected()[&1].contains("one call of the stage took longer than"));
    let deaths = &stage(&report, "broken").process.as_ref().unwrap().deaths;
    assert_eq!(deaths, &[(DeathClass::Hung, 3)]);
}

/// Enough rows that a snapshot is taken before the end.
#[test]
fn hung_while_its_state_is_saved() {
    let mill = Mill::new(2000);
    let stages = ["{ type: broken, run: { mode: process, timeout: 200ms }, \
                   with: { column: n, at: [\"1\"], how: hang, in_snapshot: true } }"
        .to_owned()];
    let report = Mill::start(mill.plan("batch: { rows: 1 }", &stages)).wait();
    assert!(matches!(report.outcome, Outcome::Done), "{:?}", report.outcome);
    assert_eq!(mill.output(), once((0..2000).filter(|n| *n != 1)));
    assert!(mill.rejected()[&1].contains("one call of the stage took longer than"));
    let process = stage(&report, "broken").process.as_ref().unwrap();
    assert_eq!(process.died_of(DeathClass::Hung), process.restarts());
}

#[test]
fn out_of_processor_time() {
    let mill = Mill::new(2);
    let stages = ["{ type: broken, run: { mode: process, limits: { cpu: 1s } }, \
                   with: { column: n, at: [\"1\"], how: spin } }"
        .to_owned()];
    let report = Mill::start(mill.plan("batch: { rows: 1 }", &stages)).wait();
    assert_eq!(mill.output(), once([0]));
    assert!(mill.rejected()[&1].contains("SIGXCPU"), "{:?}", mill.rejected());
    let deaths = &stage(&report, "broken").process.as_ref().unwrap().deaths;
    assert_eq!(deaths, &[(DeathClass::Cpu, 3)]);
}

/// Rows that are worked on after the call that brought them are in a snapshot when they kill.
#[test]
fn rows_that_kill_later() {
    let mill = Mill::new(200);
    let stages = ["{ type: broken, run: { mode: process }, \
                   with: { column: n, at: [\"90\"], how: kill, asynchronous: true } }"
        .to_owned()];
    let report = Mill::start(mill.plan("batch: { rows: 64 }", &stages)).wait();
    assert!(matches!(report.outcome, Outcome::Done), "{:?}", report.outcome);
    assert_eq!(mill.rejected().into_keys().collect::<Vec<_>>(), [90]);
    assert_eq!(mill.output(), once((0..200).filter(|n| *n != 90)));
}

#[test]
fn a_stage_without_hope_ends_the_run() {
    let mill = Mill::new(40);
    let at: Vec<String> = (0..40).map(|n| format!("\"{n}\"")).collect();
    let stages = [format!(
        "{{ type: broken, run: {{ mode: process, restarts: 12 }}, \
         with: {{ column: n, at: [{}], how: kill }} }}",
        at.join(", ")
    )];
    let report = Mill::start(mill.plan("batch: { rows: 8 }", &stages)).wait();
    let Outcome::Failed(failure) = &report.outcome else { panic!("{:?}", report.outcome) };
    let text = failure.to_string();
    assert!(text.starts_with("stage `broken`"), "{text}");
    assert!(text.contains("died 13 times in a row without getting on"), "{text}");
    assert!(text.contains("SIGKILL"), "{text}");
    assert!(!mill.path("out.jsonl").exists(), "a failed run publishes nothing");
}

#[test]
fn what_was_rejected_before_a_failure_is_rejected() {
    for mode in ["threaded", "process"] {
        let mill = Mill::new(10);
        let stages = [format!(
            "{{ type: broken, run: {{ mode: {mode} }}, with: {{ column: n, at: [\"7\"], how: fail }} }}"
        )];
        let report = Mill::start(mill.plan("batch: { rows: 1 }", &stages)).wait();
        assert!(matches!(report.outcome, Outcome::Failed(_)), "{mode}: {:?}", report.outcome);
        let rejected: Vec<i64> = mill.rejected().into_keys().collect();
        assert_eq!(rejected, [7], "{mode}");
    }
}

#[test]
fn limits_that_are_too_small_to_start_with_are_named() {
    let mill = Mill::new(3);
    let limited =
        "{ type: map, run: { mode: process, limits: { memory: 1MiB } }, with: { set: { m: n } } }";
    let plan = mill.plan("", &[limited.to_owned()]);
    let Err(failure) = Mill::try_start(plan) else { panic!("it started") };
    let text = failure.to_string();
    assert!(text.contains("died before the stage was built"), "{text}");
    assert!(text.contains("`limits` may be too small"), "{text}");
}
