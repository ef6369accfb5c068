//! A worker of `aggregate` that emits its groups at the end of the input.

use std::sync::Arc;
use std::time::Duration;

use arrow_array::RecordBatch;
use gristmill_stage::{BuildContext, Output, Result, Snapshot, State, Transform};

use super::groups::{Groups, batch_of, unfit};
use super::plan::Prepared;
use super::rest::Rest;
use crate::evaluate::evaluate;

/// The layout of snapshots: a part [`GROUPS`] with a row per group, its keys and then the states of
/// the aggregates; or, once the input is at its end, a part [`REST`] with the groups to emit.
pub(crate) const VERSION: u32 = 1;
pub(crate) const GROUPS: &str = "groups";
pub(crate) const REST: &str = "rest";

pub(crate) struct AggregateStage {
    prepared: Prepared,
    groups: Groups,
    /// Groups that are still to be emitted.
    rest: Rest,
    /// Whether the input is at its end.
    ended: bool,
}

impl AggregateStage {
    pub(crate) fn new(prepared: Prepared, context: &BuildContext) -> Result<Self> {
        let groups = Groups::new(&prepared)?;
        let mut stage = Self { prepared, groups, rest: Rest::new(context.batch()), ended: false };
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
                GROUPS => self.groups.merge(part, &self.prepared)?,
                REST => {
                    self.rest.restore(part, &self.prepared)?;
                    self.ended = true;
                }
                _ => return Err(unfit()),
            }
        }
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
        self.groups.update(&evaluated.columns, rows, &self.prepared)
    }

    fn ready(&self) -> bool {
        !self.ended
    }

    fn holding(&self) -> bool {
        !self.rest.is_empty()
    }

    fn wake(&mut self, out: &mut dyn Output) -> Result<()> {
        self.rest.emit(&self.prepared, out)
    }

    fn wake_at(&self) -> Option<Duration> {
        self.holding().then_some(Duration::ZERO)
    }

    fn finish(&mut self, out: &mut dyn Output) -> Result<()> {
        if !self.ended {
            let (columns, groups) = self.groups.results(&self.prepared)?;
            self.rest.push(batch_of(Arc::clone(&self.prepared.gathered), columns, groups)?);
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
            vec![(GROUPS.to_owned(), self.groups.state(&self.prepared)?)]
        };
        Ok(Snapshot::parts(VERSION, parts))
    }
}
