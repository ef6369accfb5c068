//! A row of the tables: a kind, how it is used, and what is to come out.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use arrow_array::RecordBatch;
use gristmill_demo::DemoSite;
use gristmill_stage::{Origins, Registry, Role};
use gristmill_testkit::Harness;
use gristmill_testkit::conformance::{Report, Settings, check};
use serde_json::Value;

/// What cases need around them. They must not outlive it.
pub struct World {
    dir: tempfile::TempDir,
    site: DemoSite,
}

impl World {
    pub fn new() -> Self {
        let site = DemoSite::builder().page_size(0);
        let site = site.start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
        Self { dir: tempfile::tempdir().unwrap(), site }
    }

    /// Where a file of that name is, or would be.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Makes a file.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// `demo:` is the demo site.
    pub fn origins(&self) -> Origins {
        let mut origins = Origins::default();
        origins.add("demo", self.site.base());
        origins
    }
}

/// A kind, how it is used, and what is to come out.
pub struct Case {
    pub kind: &'static str,
    title: &'static str,
    options: Value,
    input: Vec<RecordBatch>,
    settings: Settings,
    rows: usize,
    rejected: usize,
    alone: bool,
    refused: Vec<&'static str>,
}

impl Case {
    pub fn new(kind: &'static str, title: &'static str, options: Value) -> Self {
        Self {
            kind,
            title,
            options,
            input: Vec::new(),
            settings: Settings::new(),
            rows: 0,
            rejected: 0,
            alone: false,
            refused: Vec::new(),
        }
    }

    /// The input; in three batches, if it is one of enough rows.
    pub fn on(mut self, input: &RecordBatch) -> Self {
        let rows = input.num_rows();
        let (first, second) = (rows / 4, rows / 2);
        self.input = vec![
            input.slice(0, first),
            input.slice(first, second),
            input.slice(first + second, rows - first - second),
        ];
        self
    }

    pub fn with(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// How many rows are to come out and how many are to be rejected.
    pub fn gives(mut self, rows: usize, rejected: usize) -> Self {
        (self.rows, self.rejected) = (rows, rejected);
        self
    }

    /// There can be one worker only.
    pub fn alone(mut self) -> Self {
        self.alone = true;
        self
    }

    /// Text in these layouts is refused with an error.
    pub fn refuses(mut self, layouts: &[&'static str]) -> Self {
        self.refused = layouts.to_vec();
        self
    }

    /// Runs all checks. The error says which case failed and how.
    pub fn run(&self, registry: &Registry) -> Result<(), String> {
        let named = |text: String| format!("{}, {}: {text}", self.kind, self.title);
        let kind = registry.get(self.kind).ok_or_else(|| named("no such kind".to_owned()))?;
        let report = check(kind.as_ref(), &self.options, self.input.clone(), &self.settings)
            .map_err(|failures| named(failures.to_string()))?;
        self.judge(&report, kind.role()).map_err(|text| named(format!("{text}\n{report:#?}")))
    }

    /// That the suite has seen what the case is meant to show it.
    fn judge(&self, report: &Report, role: Role) -> Result<(), String> {
        let (rows, rejected) = (report.rows, report.rejected);
        if (rows, rejected) != (self.rows, self.rejected) {
            return Err(format!(
                "{rows} rows and {rejected} rejected instead of {} and {}",
                self.rows, self.rejected
            ));
        }
        let mut wanted = vec!["plain", "splitting", "bounded", "snapshot", "restore"];
        wanted.extend((role != Role::Source).then_some("layout"));
        wanted.extend((role != Role::Sink && !self.alone).then_some("workers"));
        if let Some(missing) = wanted.into_iter().find(|check| !report.checks.contains(check)) {
            return Err(format!("`{missing}` was not checked"));
        }
        let refused =
            report.notes.iter().filter_map(|note| Some(note.split_once(" is refused")?.0));
        let refused: Vec<&str> = refused.collect();
        match refused == self.refused {
            true => Ok(()),
            false => Err(format!("{refused:?} are refused instead of {:?}", self.refused)),
        }
    }
}

/// The batch that a source emits.
pub fn emitted(kind: &str, options: &Value) -> RecordBatch {
    let registry = crate::registry();
    let mut stage =
        Harness::new().build(registry.get(kind).unwrap().as_ref(), options, None).unwrap();
    stage.run_source().unwrap();
    let mut batches = stage.into_collected().batches;
    assert_eq!(batches.len(), 1, "small enough for one batch");
    batches.remove(0)
}
