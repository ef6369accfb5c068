//! A worker of `aggregate` that gathers what comes to it, for others to put together.

use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use gristmill_stage::{BuildContext, Output, Result, Snapshot, Transform};

use super::groups::{Groups, conform, unfit};
use super::memory::Memory;
use super::plan::Prepared;
use super::rest::Rest;
use super::stage::{GROUPS, REST, VERSION};
use super::told::Told;
use crate::evaluate::{bytes_of, evaluate};

/// Its groups leave when they take too much memory, and at the end. The layout of snapshots is that of
/// other aggregates, but the rest has states.
pub(crate) struct FirstStage {
    prepared: Prepared,
    states: SchemaRef,
    groups: Groups,
    memory: Option<Memory>,
    rest: Rest,
    told: Told,
}

impl FirstStage {
    pub(crate) fn new(prepared: Prepared, context: &BuildContext) -> Result<Self> {
        let mut groups = Groups::new(&prepared)?;
        let states = groups.states(&prepared);
        let mut rest = Rest::new(context.batch());
        for (name, part) in context.restored().state(VERSION)?.iter().flat_map(|state| &state.parts)
        {
            match name.as_str() {
                GROUPS => groups.merge(part, &prepared)?,
                REST => rest.restore_as(part, &states)?,
                _ => return Err(unfit()),
            }
        }
        let memory = prepared.memory.clone();
        let told = Told::new(context)?;
        Ok(Self { prepared, states, groups, memory, rest, told })
    }

    /// Lets the groups go.
    fn leave(&mut self) -> Result<()> {
        if self.groups.len() > 0 {
            self.rest.push(conform(&self.groups.take(&self.prepared)?, &self.states)?);
        }
        Ok(())
    }

    fn emit(&mut self, out: &mut dyn Output) -> Result<()> {
        self.rest.next().map_or(Ok(()), |batch| out.emit(batch))
    }
}

impl Transform for FirstStage {
    fn process(&mut self, batch: RecordBatch, out: &mut dyn Output) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let evaluated = evaluate(&self.prepared.inputs, batch, out)?;
        let rows = evaluated.rows.num_rows();
        if rows == 0 {
            return Ok(());
        }
        self.groups.update(&evaluated.columns, rows, &self.prepared)?;
        let bytes = bytes_of(&evaluated.columns);
        if self.memory.as_mut().is_some_and(|memory| memory.is_full(rows, bytes, &self.groups)) {
            self.leave()?;
        }
        self.told.groups(self.groups.len());
        self.emit(out)
    }

    fn ready(&self) -> bool {
        self.rest.is_empty()
    }

    fn holding(&self) -> bool {
        !self.rest.is_empty()
    }

    fn wake(&mut self, out: &mut dyn Output) -> Result<()> {
        self.emit(out)
    }

    fn wake_at(&self) -> Option<Duration> {
        self.holding().then_some(Duration::ZERO)
    }

    fn finish(&mut self, out: &mut dyn Output) -> Result<()> {
        self.leave()?;
        self.told.groups(0);
        self.emit(out)
    }

    fn snapshot(&mut self) -> Result<Snapshot> {
        let mut parts = vec![(GROUPS.to_owned(), self.groups.state(&self.prepared)?)];
        parts.extend(self.rest.parts().map(|part| (REST.to_owned(), part.clone())));
        Ok(Snapshot::parts(VERSION, parts))
    }
}
