//! Pipelines whose child processes are the tests' own program.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use gristmill_config::{Plan, Source, Variables, load};
use gristmill_runtime::{Failure, Report, Run, RunOptions, StageStatus, WorkerCommand};
use serde_json::Value;
use tempfile::TempDir;

/// A folder with input, output and rejected rows.
pub struct Mill {
    folder: TempDir,
}

impl Mill {
    /// Rows `{"n": 0, "key": "k0", "text": …}` and so on as input.
    pub fn new(rows: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let lines: String = (0..rows)
            .map(|n| format!("{{\"n\":{n},\"key\":\"k{}\",\"text\":\"row {n} ✓\"}}\n", n % 7))
            .collect();
        std::fs::write(folder.path().join("in.jsonl"), lines).unwrap();
        Self { folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The plan: rows are read, go through these stages, and are written. `head` are words for the
    /// whole pipeline.
    pub fn plan(&self, head: &str, stages: &[String]) -> Plan {
        let read =
            format!("{{ type: read, with: {{ path: '{}' }} }}", self.path("in.jsonl").display());
        let write =
            format!("{{ type: write, with: {{ path: '{}' }} }}", self.path("out.jsonl").display());
        let mut all = vec![read];
        all.extend(stages.iter().cloned().chain([write]));
        self.plan_of(head, &all)
    }

    /// The plan of just these stages.
    pub fn plan_of(&self, head: &str, stages: &[String]) -> Plan {
        let rejected = self.path("rejected.jsonl");
        let mut yaml = format!("{head}\nrejected: '{}'\nstages:\n", rejected.display());
        for stage in stages {
            yaml += &format!("  - {stage}\n");
        }
        let plan =
            load(&Source::new("test.yaml", yaml), &Variables::new(), &gristmill_tests::registry());
        plan.unwrap_or_else(|problems| panic!("{}", problems.render(false)))
    }

    pub fn start(plan: Plan) -> Run {
        Self::try_start(plan).unwrap_or_else(|f| panic!("{f}"))
    }

    pub fn try_start(plan: Plan) -> Result<Run, Failure> {
        let worker = WorkerCommand::program(env!("CARGO_BIN_EXE_gristmill-test-worker"));
        let options = RunOptions { worker: Some(worker), ..RunOptions::default() };
        Run::start(plan, &gristmill_tests::registry(), options)
    }

    /// How often each `n` is in the output.
    pub fn output(&self) -> BTreeMap<i64, u64> {
        let mut counts = BTreeMap::new();
        for row in lines(&self.path("out.jsonl")) {
            *counts.entry(row["n"].as_i64().unwrap()).or_default() += 1;
        }
        counts
    }

    /// Each rejected `n`, and why.
    pub fn rejected(&self) -> BTreeMap<i64, String> {
        let letters = lines(&self.path("rejected.jsonl"));
        let all = letters.len();
        let rejected: BTreeMap<i64, String> = letters
            .into_iter()
            .map(|l| (l["row"]["n"].as_i64().unwrap(), l["reason"].as_str().unwrap().to_owned()))
            .collect();
        assert_eq!(rejected.len(), all, "a row was rejected twice");
        rejected
    }
}

pub fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub fn stage<'a>(report: &'a Report, name: &str) -> &'a StageStatus {
    report.stages.iter().find(|stage| stage.name == name).unwrap()
}

/// Each number once.
pub fn once(numbers: impl IntoIterator<Item = i64>) -> BTreeMap<i64, u64> {
    numbers.into_iter().map(|n| (n, 1)).collect()
}
