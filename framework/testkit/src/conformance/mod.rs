//! What every stage must survive, whatever it does.
//!
//! [`check`] runs a kind once as a plain run would, and then again in all the ways in which a runner
//! may treat it. The output must be the same rows each time:
//!
//! | check | what is done to the stage |
//! |---|---|
//! | `plain` | the input as it is; the schema must be as planned |
//! | `splitting` | the input whole, in single rows, with empty batches in between, cut at random; sources: batches of other sizes |
//! | `empty` | no batch at all, and empty ones alone |
//! | `large` | batches of thousands of rows, where [`Settings::large`] asks for it |
//! | `bounded` | a small target for batches: no call may emit much more than that |
//! | `snapshot` | two snapshots after every call, and the stage goes on; either must lead to the same rows |
//! | `restore` | a snapshot at random places, the stage is dropped, another goes on from it |
//! | `layout` | columns that are slices of larger ones |
//! | `strings` | text columns as large texts, views and dictionaries; may be refused, with an error |
//! | `workers` | two and three workers instead of one, where the plan allows it |
//! | `narrow` | columns that nobody wants are left out, as far as its lineage says that it can do without |
//! | `cancelled` | the stage is dropped in the middle, and then another is as good as new; a source is stopped: it ends, and what came out is part of all |
//! | `accounting` | rows in = rows out + rejected, where the kind makes one row of one |
//!
//! All that is random follows from a seed that is named in the failure, so a failure comes again.

mod deal;
mod dice;
mod inputs;
pub(crate) mod narrow;
mod rough;
mod run;
mod seen;
mod settings;

use std::fmt;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{Schema, SchemaRef};
use gristmill_stage::{BatchTarget, Error, ErrorKind, Kind, Role};
use serde_json::Value;

use crate::conformance::dice::Dice;
use crate::conformance::inputs::Layout;
use crate::conformance::narrow::Narrow;
use crate::conformance::run::Runner;
use crate::conformance::seen::Seen;
pub use crate::conformance::settings::Settings;

/// What was checked, when nothing was found wrong.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// The checks that were run, by name.
    pub checks: Vec<&'static str>,
    /// Rows that the plain run emitted.
    pub rows: usize,
    /// Rows that the plain run rejected.
    pub rejected: usize,
    /// What the kind refused to do, and may refuse; and what was left out, and why.
    pub notes: Vec<String>,
}

/// What was found wrong. Prints as a text for people, also with `unwrap`.
#[derive(Clone)]
pub struct Failures {
    kind: String,
    failures: Vec<(String, String)>,
}

impl Failures {
    /// Whether the check of that name (see the [table](self)) has found something.
    pub fn has(&self, check: &str) -> bool {
        self.failures.iter().any(|(name, _)| name == check)
    }
}

impl fmt::Display for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` does not keep the contract of a stage", self.kind)?;
        for (check, text) in &self.failures {
            write!(f, "\n- {check}: {text}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Failures {}

/// Runs `kind`, with `options` and, unless it is a source, with `input`, through all checks.
///
/// The input is best a few dozen rows in two or three batches, with nulls and with rows that are
/// rejected. Of no batches only the schema is known, from [`Settings::input_schema`].
///
/// # Errors
/// All that was found wrong, at the most one failure of each check.
pub fn check(
    kind: &dyn Kind,
    options: &Value,
    input: Vec<RecordBatch>,
    settings: &Settings,
) -> Result<Report, Failures> {
    let source = kind.role() == Role::Source;
    let empty = || settings.schema.clone().unwrap_or_else(|| Arc::new(Schema::empty()));
    let schema = input.first().map_or_else(empty, RecordBatch::schema);
    let schema = (!source).then_some(schema);
    let runner = Runner { kind, options, settings, schema, shown: None, narrowed: false };
    let mut checks = Checks { runner, input, report: Report::default(), failures: Vec::new() };
    if let Some(plain) = checks.plain() {
        checks.accounting(&plain);
        checks.splitting(&plain);
        checks.empty();
        checks.large(&plain);
        checks.bounded(&plain);
        checks.snapshots(&plain);
        if !source {
            checks.layouts(&plain);
        }
        checks.workers(&plain);
        checks.narrow(&plain);
        checks.cancelled(&plain);
    }
    let Checks { report, failures, .. } = checks;
    if failures.is_empty() {
        Ok(report)
    } else {
        Err(Failures { kind: kind.name().to_owned(), failures })
    }
}

struct Checks<'a> {
    runner: Runner<'a>,
    input: Vec<RecordBatch>,
    report: Report,
    failures: Vec<(String, String)>,
}

impl Checks<'_> {
    fn fail(&mut self, check: &str, text: impl fmt::Display) {
        if !self.failures.iter().any(|(name, _)| name == check) {
            self.failures.push((check.to_owned(), text.to_string()));
        }
    }

    /// Notes the result of one run of a check: it must show what the plain run did.
    fn compare(
        &mut self,
        check: &'static str,
        how: &str,
        plain: &Seen,
        run: impl FnOnce(&Runner<'_>) -> Result<Seen, Error>,
    ) {
        let run = self.begin(check, how, run);
        let result = run.map_err(|e| e.to_string()).and_then(|seen| seen.same_as(plain));
        if let Err(text) = result {
            self.fail(check, format!("{how}: {text}"));
        }
    }

    /// Makes one run of a check.
    fn begin<T>(
        &mut self,
        check: &'static str,
        how: &str,
        run: impl FnOnce(&Runner<'_>) -> T,
    ) -> T {
        if !self.report.checks.contains(&check) {
            self.report.checks.push(check);
        }
        self.runner.settings.begin(check, how);
        run(&self.runner)
    }

    fn target(&self) -> BatchTarget {
        self.runner.settings.batch
    }

    fn plain(&mut self) -> Option<Seen> {
        let (input, target) = (self.input.clone(), self.target());
        let run = self.begin("plain", "as it is", |runner| runner.run(input, target));
        match run.and_then(|seen| seen.clean().map(|()| seen)) {
            Ok(seen) => {
                self.report.rows = seen.rows.len();
                self.report.rejected = seen.rejected.len();
                Some(seen)
            }
            Err(e) => {
                self.fail("plain", e);
                None
            }
        }
    }

    fn accounting(&mut self, plain: &Seen) {
        if !self.runner.settings.one_to_one {
            return;
        }
        self.report.checks.push("accounting");
        let taken: usize = self.input.iter().map(RecordBatch::num_rows).sum();
        let (out, rejected) = (plain.rows.len(), plain.rejected.len());
        if taken != out + rejected {
            self.fail("accounting", format!("{taken} rows in, {out} out and {rejected} rejected"));
        }
    }

    fn splitting(&mut self, plain: &Seen) {
        if self.runner.schema.is_none() {
            for rows in [1, 7, 64, 1000] {
                let target = BatchTarget { rows, ..self.target() };
                self.compare("splitting", &format!("batches of {rows} rows"), plain, |runner| {
                    runner.run(Vec::new(), target)
                });
            }
            return;
        }
        let Some(whole) = self.whole("splitting") else {
            return;
        };
        let mut ways = vec![
            ("in one batch".to_owned(), vec![whole.clone()]),
            ("in single rows".to_owned(), inputs::single(&whole)),
            ("with empty batches".to_owned(), inputs::with_empty(&self.input)),
        ];
        for seed in 0..self.runner.settings.seeds {
            ways.push((format!("cut with seed {seed}"), inputs::cut(&whole, &mut Dice::new(seed))));
        }
        for (how, batches) in ways {
            let target = self.target();
            self.compare("splitting", &how, plain, |runner| runner.run(batches, target));
        }
    }

    fn bounded(&mut self, plain: &Seen) {
        let batches = match self.whole("bounded") {
            Some(whole) => vec![whole],
            None => Vec::new(),
        };
        for rows in [1, 16] {
            let target = BatchTarget { rows, ..self.target() };
            self.compare("bounded", &format!("target of {rows} rows"), plain, |runner| {
                runner.run(batches.clone(), target)
            });
        }
    }

    fn snapshots(&mut self, plain: &Seen) {
        for seed in 0..self.runner.settings.seeds {
            // Small batches, so that there are many places to stop at.
            let mut dice = Dice::new(seed);
            let target = BatchTarget { rows: 1 + dice.below(16), ..self.target() };
            let whole = self.whole("restore");
            let batches = whole.map_or(Vec::new(), |whole| inputs::cut(&whole, &mut dice));
            self.compare("snapshot", &format!("after every call, seed {seed}"), plain, |runner| {
                runner.snapshotting(batches.clone(), target)
            });
            if self.runner.settings.no_restore.is_none() {
                self.compare("restore", &format!("seed {seed}"), plain, |runner| {
                    runner.restarting(batches, target, &mut dice)
                });
            }
        }
        if let Some(why) = &self.runner.settings.no_restore {
            self.report.notes.push(format!("restore is left out: {why}"));
        }
    }

    fn layouts(&mut self, plain: &Seen) {
        let Some(whole) = self.whole("layout") else {
            return;
        };
        let target = self.target();
        self.compare("layout", "slices of larger columns", plain, |runner| {
            let batch = inputs::padded(&whole)?;
            runner.run(vec![batch], target)
        });
        for layout in Layout::ALL {
            let batch = match inputs::strings(&whole, layout) {
                Ok(Some(batch)) => batch,
                Ok(None) => continue,
                Err(e) => {
                    self.fail("strings", format!("{layout:?}: {e}"));
                    continue;
                }
            };
            let runner = Runner { schema: Some(batch.schema()), ..self.runner.clone() };
            self.runner.settings.begin("strings", &format!("{layout:?}"));
            match runner.run(vec![batch], target) {
                Err(e) if e.kind() != ErrorKind::Panic => {
                    self.report.notes.push(format!("{layout:?} is refused: {e}"));
                }
                run => {
                    // Rejected rows show the layout they came in, and JSON does not show layouts.
                    self.compare("strings", &format!("{layout:?}"), plain, |_| run);
                }
            }
        }
    }

    fn workers(&mut self, plain: &Seen) {
        if self.runner.kind.role() == Role::Sink {
            return;
        }
        for workers in [2, 3] {
            self.runner.settings.begin("workers", &format!("{workers} of them"));
            match self.runner.workers(&self.input, self.target(), workers) {
                Ok(None) => {
                    self.report.notes.push("it can have one worker only".to_owned());
                    return;
                }
                Ok(Some(seen)) => {
                    // Several workers have no order between them.
                    let seen = Seen { ordered: false, ..seen };
                    self.compare("workers", &format!("{workers} of them"), plain, |_| Ok(seen));
                }
                Err(e) => self.fail("workers", format!("{workers} of them: {e}")),
            }
        }
    }

    fn narrow(&mut self, plain: &Seen) {
        let planned = self.runner.kind.plan(self.runner.options, self.runner.schema.as_ref());
        let Ok(planned) = planned else { return };
        // What a source rejects may hang on columns that are not read then.
        if self.runner.schema.is_none() && !plain.rejected.is_empty() {
            return;
        }
        let seeds = self.runner.settings.seeds;
        for (seed, narrow) in Narrow::choices(&planned, seeds).into_iter().enumerate() {
            let how = format!("of {:?}", narrow.wanted);
            let full = Runner { shown: Some(narrow), ..self.runner.clone() };
            let narrowed = Runner { narrowed: true, ..full.clone() };
            let (input, target) = (self.input.clone(), self.target());
            self.runner.settings.begin("narrow", &format!("{how}, at its full width"));
            let expected = match full.run(input.clone(), target) {
                Ok(seen) => seen,
                Err(e) => return self.fail("narrow", format!("{how}: {e}")),
            };
            let run = |_: &Runner<'_>| narrowed.run(input.clone(), target);
            self.compare("narrow", &how, &expected, run);
            if self.runner.settings.no_restore.is_none() {
                let mut dice = Dice::new(seed as u64);
                let run = |_: &Runner<'_>| narrowed.restarting(input, target, &mut dice);
                self.compare("narrow", &format!("{how}, with restarts"), &expected, run);
            }
        }
    }

    /// The whole input as one batch; none for a source.
    fn whole(&mut self, check: &str) -> Option<RecordBatch> {
        let schema: SchemaRef = self.runner.schema.clone()?;
        match arrow_select::concat::concat_batches(&schema, &self.input) {
            Ok(batch) => Some(batch),
            Err(e) => {
                self.fail(check, format!("the batches of the input do not go together: {e}"));
                None
            }
        }
    }
}
