//! One word changes how a stage runs, and nothing else: random pipelines over random rows, in random
//! modes with random workers and capacities, give the same rows.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a test fails by panicking"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use gristmill_config::{Source, Variables, load};
use gristmill_runtime::{Outcome, Report, Run, RunOptions, WorkerCommand};
use proptest::prelude::*;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

/// A row with everything that is awkward.
fn row() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        3 => "(?s).{0,8}".prop_map(Value::from),
        1 => Just(Value::from("")),
        1 => Just(Value::from("ß∂ƒ 🌾\u{0}\\\"\n".repeat(40))),
        1 => Just(Value::Null),
    ];
    let number = prop_oneof![3 => (-9i64..9).prop_map(Value::from), 1 => Just(Value::Null),
        1 => any::<i64>().prop_map(Value::from)];
    let float = prop_oneof![2 => (-1e3f64..1e3).prop_map(Value::from), 1 => Just(Value::Null),
        1 => Just(json!(-0.0)), 1 => Just(json!(1e300))];
    let nested = prop_oneof![
        Just(Value::Null),
        Just(json!({ "a": [1, null, { "b": "✓" }] })),
        Just(json!([])),
        Just(json!("text"))
    ];
    (number, text, float, nested, 0usize..5).prop_map(|(n, text, x, nested, key)| {
        json!({ "n": n, "text": text, "x": x, "nested": nested, "key": format!("k{key}") })
    })
}

/// A step in the middle; `RUN` stands for how it runs.
fn step() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        Just("{ type: filter, RUN, with: { where: \"n IS NULL OR n % 3 <> 1\" } }"),
        Just("{ type: map, RUN, with: { set: { text: \"concat(text, '!')\", more: \"x * 2\" } } }"),
        // Rejects what divides by zero.
        Just("{ type: map, RUN, with: { set: { part: \"1000 / n\" } } }"),
        Just("{ type: broken, RUN, with: { column: key } }"),
        Just("{ type: broken, RUN, with: { column: key, asynchronous: true } }"),
    ]
}

/// How a pipeline ends, as what it rejects differs with the order of rows.
fn end() -> impl Strategy<Value = Option<&'static str>> {
    prop_oneof![
        2 => Just(None),
        1 => Just(Some("{ type: aggregate, RUN, with: { group_by: [key], select: \
                        { rows: count(*), least: min(n), most: max(text), known: count(n) } } }")),
    ]
}

#[derive(Debug, Clone)]
struct How {
    mode: &'static str,
    workers: usize,
    rows: usize,
}

fn how() -> impl Strategy<Value = How> {
    let mode = prop_oneof![1 => Just("threaded"), 1 => Just("pooled"), 2 => Just("process")];
    let rows = prop_oneof![Just(1usize), Just(3), Just(50), Just(4000)];
    (mode, 1usize..4, rows).prop_map(|(mode, workers, rows)| How { mode, workers, rows })
}

/// What a run leaves: the sorted rows, and the sorted rejected rows with stage and reason.
type Left = (Vec<String>, Vec<String>);

fn sorted(path: &Path, show: impl Fn(Value) -> String) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let mut lines: Vec<_> =
        text.lines().map(|line| show(serde_json::from_str(line).unwrap())).collect();
    lines.sort_unstable();
    lines
}

fn run(folder: &Path, steps: &[&str], hows: &[How], batch: usize, kills: bool) -> (Left, Report) {
    let out = folder.join("out.jsonl");
    let rejected = folder.join("rejected.jsonl");
    for file in [&out, &rejected] {
        let _ = fs::remove_file(file);
    }
    let mut yaml = format!(
        "rejected: '{}'\nbatch: {{ rows: {batch} }}\nstages:\n  - {{ name: in, type: read, run: {{ mode: {} }}, \
         with: {{ path: '{}', columns: {{ n: int64, text: string, x: float64, nested: json, key: string }} }} }}\n",
        rejected.display(),
        hows[0].mode,
        folder.join("in.jsonl").display(),
    );
    for (index, step) in steps.iter().enumerate() {
        let How { mode, workers, rows } = &hows[index % hows.len()];
        let words = format!(
            "name: s{index}, channel: {{ rows: {rows} }}, run: {{ mode: {mode}, workers: {workers} }}"
        );
        yaml += &format!("  - {}\n", step.replace("RUN", &words));
    }
    let mode = hows[hows.len() - 1].mode;
    yaml += &format!(
        "  - {{ name: out, type: write, run: {{ mode: {mode} }}, with: {{ path: '{}' }} }}\n",
        out.display()
    );
    let registry = gristmill_tests::registry();
    let plan = load(&Source::new("modes.yaml", yaml.as_str()), &Variables::new(), &registry);
    let plan = plan.unwrap_or_else(|problems| panic!("{}", problems.render(false)));
    let worker = WorkerCommand::program(env!("CARGO_BIN_EXE_gristmill-test-worker"));
    let options = RunOptions { worker: Some(worker), ..RunOptions::default() };
    let run = Run::start(plan, &registry, options).unwrap_or_else(|f| panic!("{f}\n{yaml}"));
    let report = if kills { killed(run) } else { run.wait() };
    assert!(matches!(report.outcome, Outcome::Done), "{:?}\n{yaml}", report.outcome);
    let letters =
        |letter: Value| format!("{} {} {}", letter["stage"], letter["reason"], letter["row"]);
    ((sorted(&out, |row| row.to_string()), sorted(&rejected, letters)), report)
}

/// Waits for a run, and kills one of its children after the other meanwhile, at odd moments. No worker loses
/// more than two: at the third death on one row, the row is to blame.
fn killed(run: Run) -> Report {
    let (mut turn, mut kills) = (0_u64, BTreeMap::new());
    let mut odd = || {
        turn = turn.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        turn >> 33
    };
    while !run.wait_for(Duration::from_millis(1 + odd() % 15)) {
        let view = run.view();
        let children = view.stages.iter().enumerate().flat_map(|(stage, of)| {
            let workers = of.workers.iter().enumerate();
            workers.filter_map(move |(n, one)| Some(((stage, n), one.child.as_ref()?.pid?)))
        });
        let left = |worker: &(usize, usize)| {
            kills.get(worker).is_none_or(|pids: &BTreeSet<u32>| pids.len() < 2)
        };
        let children: Vec<_> = children.filter(|(worker, _)| left(worker)).collect();
        if let Some(&(worker, pid)) = children.get(odd() as usize % children.len().max(1)) {
            kills.entry(worker).or_default().insert(pid);
            let _ = kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), Signal::KILL);
        }
    }
    run.wait()
}

/// What a stage takes it hands on, rejects, or (an aggregate) sums up.
fn accounted(report: &Report, sums: Option<&str>) -> Result<(), TestCaseError> {
    let mut sent: BTreeMap<&str, u64> = BTreeMap::new();
    for stage in &report.stages {
        sent.insert(&stage.name, stage.sent.rows);
        for queue in &stage.queues {
            prop_assert_eq!(stage.taken.rows, sent[queue.from.as_str()], "{} took", stage.name);
        }
        let passes = matches!(stage.kind.as_str(), "map" | "broken");
        if passes && Some(stage.name.as_str()) != sums {
            prop_assert_eq!(stage.taken.rows, stage.sent.rows + stage.rejected, "{}", stage.name);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 60, ..ProptestConfig::default() })]
    #[test]
    fn modes_agree(
        rows in prop::collection::vec(row(), 0..120),
        steps in prop::collection::vec(step(), 1..4),
        end in end(),
        hows in prop::collection::vec(prop::collection::vec(how(), 2..5), 2),
        batch in prop_oneof![Just(1usize), Just(7), Just(1000)],
    ) {
        let folder = tempfile::tempdir().unwrap();
        let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
        fs::write(folder.path().join("in.jsonl"), lines).unwrap();
        let steps: Vec<&str> = steps.into_iter().chain(end).collect();
        let plain = [How { mode: "threaded", workers: 1, rows: 4000 }];
        let (expected, report) = run(folder.path(), &steps, &plain, 1000, false);
        accounted(&report, None)?;
        for (index, hows) in hows.iter().enumerate() {
            // The last of them while children are killed.
            let (left, report) = run(folder.path(), &steps, hows, batch, index == 1);
            prop_assert_eq!(&left, &expected);
            accounted(&report, None)?;
        }
    }
}
