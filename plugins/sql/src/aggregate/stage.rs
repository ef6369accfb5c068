//! A worker of `aggregate` without windows: it emits its groups at the end of the input, and all that
//! is known of them each so often before.

use std::sync::Arc;
use std::time::Duration;

use arrow_array::{ArrayRef, RecordBatch};
use gristmill_stage::{BuildContext, Output, Result, Snapshot, State, Transform};

use super::emissions::{Emissions, results_so_far};
use super::groups::{Groups, batch_of, unfit};
use super::plan::Prepared;
use super::rest::Rest;
use crate::evaluate::evaluate;

/// The layout of snapshots: a part [`GROUPS`] with a row per group, its keys and then the states of
/// the aggregates, and parts [`RUNNING`] with results to emit before any more rows; or, once the
/// input is at its end, a part [`REST`] with those to emit.
pub(crate) const VERSION: u32 = 1;
pub(crate) const GROUPS: &str = "groups";
pub(crate) const REST: &str = "rest";
const RUNNING: &str = "running";

pub(crate) struct AggregateStage {
    prepared: Prepared,
    groups: Groups,
    emissions: Emissions,
    /// Groups that are still to be emitted.
    rest: Rest,
    /// Whether the input is at its end.
    ended: bool,
}

impl AggregateStage {
    pub(crate) fn new(prepared: Prepared, context: &BuildContext) -> Result<Self> {
        let groups = Groups::new(&prepared)?;
        let emissions = Emissions::new(prepared.every, context.clock());
        let rest = Rest::new(context.batch());
        let mut stage = Self { prepared, groups, emissions, rest, ended: false };
        if let Some(state) = context.restored().state(VERSION)? {
            stage.restore(state)?;
        }
        Ok(stage)
    }

    /// Adds the groups of a snapshot. Several parts of one name, as several workers left them, add
    /// up.
    fn restore(&mut self, state: &State) -> Result<()> {
        for (name, part) in &state.parts {
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
                _ => return Err(unfit()),
            }
        }
        Ok(())
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
        let evaluated = evaluate(&self.prepared.inputs, batch, out)?;
        let rows = evaluated.rows.num_rows();
        if rows == 0 {
            return Ok(());
        }
        self.emissions.changed();
        self.groups.update(&evaluated.columns, rows, &self.prepared)
    }

    fn ready(&self) -> bool {
        !self.ended && self.rest.is_empty()
    }

    fn holding(&self) -> bool {
        !self.rest.is_empty()
    }

    fn wake(&mut self, out: &mut dyn Output) -> Result<()> {
        if self.rest.is_empty()
            && let Some(time) = self.emissions.take_due()
        {
            let (results, rows) = results_so_far(&mut self.groups, &self.prepared)?;
            self.push(self.emissions.running(time, rows), results, rows)?;
        }
        self.rest.emit(&self.prepared, out)
    }

    fn wake_at(&self) -> Option<Duration> {
        if self.holding() { Some(Duration::ZERO) } else { self.emissions.wake_at() }
    }

    fn finish(&mut self, out: &mut dyn Output) -> Result<()> {
        if !self.ended {
            let (results, rows) = self.groups.results(&self.prepared)?;
            self.push(self.emissions.last(rows), results, rows)?;
            self.emissions.end();
            self.ended = true;
        }
        self.rest.emit(&self.prepared, out)
    }

    fn snapshot(&mut self) -> Result<Snapshot> {
        let parts = if self.ended {
            // One without rows says that the input is at its end.
            let none = RecordBatch::new_empty(Arc::clone(&self.prepared.gathered));
            let parts: Vec<_> = self.rest.parts().cloned().collect();
            let parts = if parts.is_empty() { vec![none] } else { parts };
            parts.into_iter().map(|part| (REST.to_owned(), part)).collect()
        } else {
            let groups = (GROUPS.to_owned(), self.groups.state(&self.prepared)?);
            let rest = self.rest.parts().map(|part| (RUNNING.to_owned(), part.clone()));
            std::iter::once(groups).chain(rest).collect()
        };
        Ok(Snapshot::parts(VERSION, parts))
    }
}
