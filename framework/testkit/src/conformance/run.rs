//! One run of a kind, in one of several ways, and what it showed.

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use gristmill_stage::{BatchTarget, Error, Kind, Result, Snapshot};
use serde_json::Value;

use crate::collected::Collected;
use crate::conformance::Settings;
use crate::conformance::deal::{in_turn, shares};
use crate::conformance::dice::Dice;
use crate::conformance::narrow::{Narrow, project};
use crate::conformance::seen::{Seen, texts};
use crate::driven::{Driven, unpanicked};
use crate::harness::Harness;
use crate::table::json_rows;

/// Polls after which a source is taken to have no end.
const MOST_CALLS: usize = 1_000_000;

/// Runs a kind.
#[derive(Clone)]
pub(crate) struct Runner<'a> {
    pub(crate) kind: &'a dyn Kind,
    pub(crate) options: &'a Value,
    pub(crate) settings: &'a Settings,
    /// The schema of the input; none for a source.
    pub(crate) schema: Option<SchemaRef>,
    /// What to look at of the rows, if not all.
    pub(crate) shown: Option<Narrow>,
    /// Whether the stage gets and emits no more than that.
    pub(crate) narrowed: bool,
}

impl Runner<'_> {
    /// A run from the start to the end.
    pub(crate) fn run(&self, batches: Vec<RecordBatch>, target: BatchTarget) -> Result<Seen> {
        let mut stage = self.build(&self.harness(target)?)?;
        self.drive(&mut stage, batches)?;
        self.seen(stage.into_collected())
    }

    /// A run with a snapshot after every call, none of which is used.
    pub(crate) fn snapshotting(
        &self,
        batches: Vec<RecordBatch>,
        target: BatchTarget,
    ) -> Result<Seen> {
        let mut stage = self.build(&self.harness(target)?)?;
        let mut steps = Steps::new(self.schema.is_none(), batches);
        let mut epoch = 0;
        while steps.next(&mut stage)? {
            // Twice: the first must not take away what the second is to say.
            let (first, second) = (stage.snapshot()?, stage.snapshot()?);
            if first != second {
                self.same_rest(target, &steps, [first, second])?;
            }
            epoch += 1;
            stage.committed(epoch)?;
        }
        self.seen(stage.into_collected())
    }

    /// That two snapshots of one moment lead to the same rows. Their bytes may differ: a state that
    /// is a set has no order, so a stage may write the same set in two orders.
    fn same_rest(
        &self,
        target: BatchTarget,
        steps: &Steps,
        snapshots: [Snapshot; 2],
    ) -> Result<()> {
        let differ = "two snapshots, with no call in between, differ";
        // Where they cannot be tried out, or not without a trace in the world, bytes must do.
        if self.settings.no_restore.is_some() || self.settings.effect.is_some() {
            return Err(Error::internal(differ));
        }
        let rest = |snapshot| {
            let mut stage = self.build(&self.harness(target)?.with_restored(snapshot))?;
            let mut steps = steps.clone();
            while steps.next(&mut stage)? {}
            self.seen(stage.into_collected())
        };
        let [first, second] = snapshots.map(rest);
        let (first, second) = (first?, second?);
        second.same_as(&first).map_err(|text| Error::internal(format!("{differ}: {text}")))
    }

    /// A run that is broken off and taken up from a snapshot at random places.
    pub(crate) fn restarting(
        &self,
        batches: Vec<RecordBatch>,
        target: BatchTarget,
        dice: &mut Dice,
    ) -> Result<Seen> {
        let harness = self.harness(target)?;
        let mut stage = self.build(&harness)?;
        let mut steps = self.steps(batches)?;
        let mut all = Collected::default();
        let mut restarts = Vec::new();
        let often = 1 + dice.below(4);
        // Also before the first call, now and then.
        let mut more = dice.once_in(3) || steps.next(&mut stage)?;
        while more {
            if dice.once_in(often) {
                restarts.push(steps.calls);
                stage = self.restart(&harness, stage, &mut all, restarts.len() as u64, dice)?;
            }
            more = steps
                .next(&mut stage)
                .map_err(|e| e.context(format!("after restarts at the calls {restarts:?}")))?;
        }
        all.append(stage.into_collected());
        self.seen(all)
    }

    fn restart(
        &self,
        harness: &Harness,
        mut stage: Driven,
        all: &mut Collected,
        epoch: u64,
        dice: &mut Dice,
    ) -> Result<Driven> {
        let snapshot = stage.snapshot()?;
        if dice.once_in(2) {
            stage.committed(epoch)?;
        }
        all.append(stage.into_collected());
        let restored = self
            .build(&harness.clone().with_restored(snapshot))
            .map_err(|e| e.context("cannot be built from its snapshot"))?;
        if restored.is_stuck() {
            let text = "goes on from a snapshot in which it takes nothing, not even the end of its \
                        input, and holds nothing";
            return Err(Error::internal(text));
        }
        Ok(restored)
    }

    /// A run that ends in the middle: the stage is dropped after so many calls.
    pub(crate) fn broken_off(
        &self,
        batches: Vec<RecordBatch>,
        target: BatchTarget,
        calls: usize,
    ) -> Result<()> {
        let mut stage = self.build(&self.harness(target)?)?;
        let mut steps = self.steps(batches)?;
        for _ in 0..calls {
            if !steps.next(&mut stage)? {
                break;
            }
        }
        let dropped = unpanicked("drop", || {
            drop(stage);
            Ok(())
        });
        // What it has published all the same is not to be there when the next one begins.
        if let Some(effect) = &self.settings.effect {
            let _ = effect();
        }
        dropped
    }

    /// A run of a source that is stopped after so many calls.
    pub(crate) fn stopped(&self, target: BatchTarget, calls: usize) -> Result<Seen> {
        let mut stage = self.build(&self.harness(target)?)?;
        let mut steps = self.steps(Vec::new())?;
        let mut more = true;
        for _ in 0..calls {
            more = more && steps.next(&mut stage)?;
        }
        if more && stage.stop()? {
            while steps.next(&mut stage)? {}
        }
        self.seen(stage.into_collected())
    }

    /// A run on several workers, or `None` if there can be only one.
    pub(crate) fn workers(
        &self,
        batches: &[RecordBatch],
        target: BatchTarget,
        workers: usize,
    ) -> Result<Option<Seen>> {
        let planned = self.kind.plan(self.options, self.schema.as_ref())?;
        if let Some(steps) = &planned.steps {
            return self.in_steps(steps, batches, target, workers).map(Some);
        }
        let Some(shares) = shares(planned.partitioning, batches, workers)? else {
            return Ok(None);
        };
        let mut all = Collected::default();
        for (worker, share) in shares.into_iter().enumerate() {
            let harness = self.harness(target)?.with_instance(worker, workers);
            let mut stage = self.build(&harness)?;
            self.drive(&mut stage, share)?;
            all.append(stage.into_collected());
        }
        self.seen(all).map(Some)
    }

    /// A run in two steps: on several workers, and on those that put together what these made.
    fn in_steps(
        &self,
        steps: &gristmill_stage::Steps,
        batches: &[RecordBatch],
        target: BatchTarget,
        workers: usize,
    ) -> Result<Seen> {
        let first = gristmill_stage::Steps::options(self.options, &steps.first);
        let second = gristmill_stage::Steps::options(self.options, &steps.second);
        let mut all = Collected::default();
        for (worker, share) in in_turn(batches, workers).into_iter().enumerate() {
            let harness = self.harness(target)?.with_instance(worker, workers);
            let mut stage =
                unpanicked("build", || harness.build(self.kind, &first, self.schema.as_ref()))?;
            self.drive(&mut stage, share)?;
            all.append(stage.into_collected());
        }
        let between = self.kind.plan(&first, self.schema.as_ref())?.output;
        let partitioning = self.kind.plan(&second, Some(&between))?.partitioning;
        let made = std::mem::take(&mut all.batches);
        all.ports.clear();
        let shares = shares(partitioning, &made, workers)?.unwrap_or_else(|| vec![made]);
        let workers = shares.len();
        for (worker, share) in shares.into_iter().enumerate() {
            let harness = self.harness(target)?.with_narrow(None).with_instance(worker, workers);
            let mut stage =
                unpanicked("build", || harness.build(self.kind, &second, Some(&between)))?;
            let mut calls = Steps::new(false, share);
            while calls.next(&mut stage)? {}
            all.append(stage.into_collected());
        }
        self.seen(all)
    }

    fn harness(&self, target: BatchTarget) -> Result<Harness> {
        let harness = if self.settings.real { Harness::real()? } else { Harness::new() };
        Ok(harness
            .with_batch(target)
            .with_ordered(self.settings.ordered)
            .with_narrow(self.shown.clone().filter(|_| self.narrowed))
            .with_origins(self.settings.origins.clone()))
    }

    fn build(&self, harness: &Harness) -> Result<Driven> {
        self.settings.again();
        unpanicked("build", || harness.build(self.kind, self.options, self.schema.as_ref()))
    }

    fn drive(&self, stage: &mut Driven, batches: Vec<RecordBatch>) -> Result<()> {
        let mut steps = self.steps(batches)?;
        while steps.next(stage)? {}
        Ok(())
    }

    /// The calls of a run, with the columns that the stage gets.
    fn steps(&self, mut batches: Vec<RecordBatch>) -> Result<Steps> {
        let narrow = self.shown.as_ref().filter(|_| self.narrowed);
        if let (Some(narrow), Some(schema)) = (narrow, &self.schema) {
            let schema = narrow.input(&self.kind.plan(self.options, Some(schema))?, schema);
            for batch in &mut batches {
                *batch = project(batch, &schema)?;
            }
        }
        Ok(Steps::new(self.schema.is_none(), batches))
    }

    fn seen(&self, collected: Collected) -> Result<Seen> {
        let mut ignored = self.settings.ignored.clone();
        if let Some(narrow) = &self.shown {
            let planned = self.kind.plan(self.options, self.schema.as_ref())?;
            let names = planned.output.fields().iter().map(|field| field.name());
            ignored.extend(names.filter(|name| !narrow.shows(&planned, name)).cloned());
        }
        // Each output has an order of its own.
        let mut batches: Vec<_> = collected.ports.iter().zip(&collected.batches).collect();
        batches.sort_by_key(|(port, _)| **port);
        let mut rows = Vec::new();
        for (port, batch) in batches {
            let mut found = texts(json_rows([batch])?, &ignored);
            if *port > 0 {
                found.iter_mut().for_each(|row| *row = format!("by output {port}: {row}"));
            }
            rows.extend(found);
        }
        if let Some(effect) = &self.settings.effect {
            let effect = effect().map_err(|e| Error::internal(format!("the effect: {e}")))?;
            rows.extend(texts(effect, &self.settings.ignored));
        }
        let mut rejected = Vec::new();
        for refused in &collected.rejected {
            let reason = if self.settings.ignore_reasons { "" } else { &refused.reason };
            let rows = texts(json_rows([&refused.rows])?, &[]).into_iter();
            rejected.extend(rows.map(|row| match self.shown {
                // They have the columns of the input, whichever these are.
                Some(_) => reason.to_owned(),
                None => format!("{row} {reason}"),
            }));
        }
        let ordered = self.settings.ordered;
        Ok(Seen { rows, rejected, violations: collected.violations, ordered })
    }
}

/// The calls of a run one by one.
#[derive(Clone)]
struct Steps {
    source: bool,
    batches: std::vec::IntoIter<RecordBatch>,
    finished: bool,
    calls: usize,
}

impl Steps {
    fn new(source: bool, batches: Vec<RecordBatch>) -> Self {
        Self { source, batches: batches.into_iter(), finished: false, calls: 0 }
    }

    /// Makes the next call. False when the run is over.
    fn next(&mut self, stage: &mut Driven) -> Result<bool> {
        if self.finished {
            return Ok(false);
        }
        self.calls += 1;
        if self.calls > MOST_CALLS {
            return Err(Error::internal("it has no end"));
        }
        if self.source {
            self.finished = !stage.poll()?;
        } else if let Some(batch) = self.batches.next() {
            if !stage.process(batch)? {
                self.batches = Vec::new().into_iter();
            }
        } else {
            self.finished = !stage.finish_once()?;
        }
        Ok(!self.finished)
    }
}
