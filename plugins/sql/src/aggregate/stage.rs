//! A worker of `aggregate` without windows: it emits its groups at the end of the input, and all that
//! is known of them each so often before.

use std::sync::Arc;
use std::time::Duration;

use arrow_array::{ArrayRef, RecordBatch};
use gristmill_stage::{BuildContext, Output, Result, Snapshot, Transform};

use super::bounded::BoundedGroups;
use super::emissions::{Emissions, results_so_far};
use super::groups::{batch_of, unfit};
use super::plan::Prepared;
use super::rest::Rest;
use super::told::Told;
use crate::evaluate::evaluate;

/// The layout of snapshots: a part [`GROUPS`] with a row per group, its keys and then the states of
/// the aggregates, and parts [`RUNNING`] with results to emit before any more rows; or, once the
/// input is at its end, a part [`REST`] with those to emit. Parts [`FILES`] name groups on disk.
pub(crate) const VERSION: u32 = 1;
pub(crate) const GROUPS: &str = "groups";
pub(crate) const REST: &str = "rest";
const RUNNING: &str = "running";
const FILES: &str = "files";

pub(crate) struct AggregateStage {
    prepared: Prepared,
    groups: BoundedGroups,
    emissions: Emissions,
    /// Groups that are still to be emitted.
    rest: Rest,
    /// Whether the input is at its end.
    ended: bool,
    /// Whether groups come that others have gathered.
    merges: bool,
    told: Told,
}

impl AggregateStage {
    pub(crate) fn new(prepared: Prepared, merges: bool, context: &BuildContext) -> Result<Self> {
        let state = context.restored().state(VERSION)?;
        let parts = state.map_or(&[][..], |state| &state.parts);
        let files = parts.iter().filter(|(name, _)| name == FILES).map(|(_, part)| part);
        let groups = BoundedGroups::new(&prepared, context, &files.collect::<Vec<_>>())?;
        let rest = Rest::new(context.batch());
        let emissions = Emissions::new(prepared.every, context.clock());
        let told = Told::new(context)?;
        let mut stage = Self { prepared, groups, emissions, rest, ended: false, merges, told };
        stage.restore(parts)?;
        Ok(stage)
    }

    /// Adds the groups of a snapshot. Several parts of one name, as several workers left them, add
    /// up.
    fn restore(&mut self, parts: &[(String, RecordBatch)]) -> Result<()> {
        for (name, part) in parts {
            match name.as_str() {
                GROUPS => {
                    self.groups.merge(part, &self.prepared)?;
                    if part.num_rows() > 0 {
                        self.emissions.changed();
                    }
                }
                RUNNING => self.rest.restore(part, &self.prepared)?,
                REST => {
                    self.rest.restore(part, &self.prepared)?;
                    self.ended = true;
                }
                FILES => {}
                _ => return Err(unfit()),
            }
        }
        if self.ended { self.groups.ended(&self.prepared) } else { Ok(()) }
    }

    /// Emits about a batch, after the end of the input.
    fn step(&mut self, out: &mut dyn Output) -> Result<()> {
        if self.rest.is_empty() && !self.groups.is_over() {
            let (results, rows) = self.groups.next(&self.prepared)?;
            if rows > 0 {
                self.push(self.emissions.last(rows), results, rows)?;
            }
        }
        self.rest.emit(&self.prepared, out)
    }

    /// Adds results, of which `emission` is said, to what is to be emitted.
    fn push(&mut self, emission: Vec<ArrayRef>, results: Vec<ArrayRef>, rows: usize) -> Result<()> {
        let columns = emission.into_iter().chain(results).collect();
        self.rest.push(batch_of(Arc::clone(&self.prepared.gathered), columns, rows)?);
        Ok(())
    }
}

impl Transform for AggregateStage {
    fn process(&mut self, batch: RecordBatch, out: &mut dyn Output) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        if self.merges {
            self.groups.merge(&batch, &self.prepared)?;
            self.told.groups(self.groups.in_memory().len());
            return Ok(());
        }
        let evaluated = evaluate(&self.prepared.inputs, batch, out)?;
        let rows = evaluated.rows.num_rows();
        if rows == 0 {
            return Ok(());
        }
        self.emissions.changed();
        self.groups.update(&evaluated.columns, rows, &self.prepared)?;
        self.told.groups(self.groups.in_memory().len());
        Ok(())
    }

    fn ready(&self) -> bool {
        // One that goes on from the very end must still be told of it.
        if self.ended { !self.holding() } else { self.rest.is_empty() }
    }

    fn holding(&self) -> bool {
        !self.rest.is_empty() || self.ended && !self.groups.is_over()
    }

    fn wake(&mut self, out: &mut dyn Output) -> Result<()> {
        if self.ended {
            return self.step(out);
        }
        if self.rest.is_empty()
            && let Some(time) = self.emissions.take_due()
        {
            let groups = self.groups.in_memory();
            let (results, rows) = results_so_far(groups, &self.prepared)?;
            self.push(self.emissions.running(time, rows), results, rows)?;
        }
        self.rest.emit(&self.prepared, out)
    }

    fn wake_at(&self) -> Option<Duration> {
        if self.holding() { Some(Duration::ZERO) } else { self.emissions.wake_at() }
    }

    fn finish(&mut self, out: &mut dyn Output) -> Result<()> {
        if !self.ended {
            self.groups.end(&self.prepared)?;
            self.emissions.end();
            self.ended = true;
        }
        self.step(out)?;
        self.told.groups(self.groups.in_memory().len());
        Ok(())
    }

    fn snapshot(&mut self) -> Result<Snapshot> {
        let mut parts = Vec::new();
        if self.ended {
            // One without rows says that the input is at its end.
            let none = RecordBatch::new_empty(Arc::clone(&self.prepared.gathered));
            let held: Vec<_> = self.rest.parts().cloned().collect();
            let held = if held.is_empty() { vec![none] } else { held };
            parts.extend(held.into_iter().map(|part| (REST.to_owned(), part)));
        } else {
            parts.push((GROUPS.to_owned(), self.groups.state(&self.prepared)?));
            parts.extend(self.rest.parts().map(|part| (RUNNING.to_owned(), part.clone())));
        }
        parts.extend(self.groups.files()?.into_iter().map(|part| (FILES.to_owned(), part)));
        Ok(Snapshot::parts(VERSION, parts))
    }
}
