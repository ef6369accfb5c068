//! A worker of `aggregate`.

use std::sync::Arc;
use std::time::Duration;

use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use gristmill_stage::{
    BatchTarget, BuildContext, Error, ErrorKind, Output, Result, Snapshot, State, Transform,
};

use super::plan::Prepared;
use super::slot::Slot;
use super::table::GroupTable;
use crate::evaluate::evaluate;
use crate::wording;

/// The layout of snapshots: a part [`GROUPS`] with a row per group, its keys and then the states of
/// the aggregates; or, once the input is at its end, a part [`REST`] with the groups to emit.
const VERSION: u32 = 1;
const GROUPS: &str = "groups";
const REST: &str = "rest";

pub(crate) struct AggregateStage {
    prepared: Prepared,
    table: GroupTable,
    slots: Vec<Slot>,
    /// The group of each row of the batch in hand; kept for its memory.
    numbers: Vec<usize>,
    batch: BatchTarget,
    /// Groups that are still to be emitted; there once the input is at its end.
    rest: Option<RecordBatch>,
}

impl AggregateStage {
    pub(crate) fn new(prepared: Prepared, context: &BuildContext) -> Result<Self> {
        let (table, slots) = empty(&prepared)?;
        let mut stage = Self {
            prepared,
            table,
            slots,
            numbers: Vec::new(),
            batch: context.batch(),
            rest: None,
        };
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
                GROUPS => self.restore_groups(part)?,
                REST if *part.schema() == *self.prepared.gathered => {
                    self.rest = Some(part.clone());
                }
                _ => return Err(unfit()),
            }
        }
        Ok(())
    }

    fn restore_groups(&mut self, part: &RecordBatch) -> Result<()> {
        let expected = self.layout();
        let schema = part.schema();
        let fits = expected.len() == schema.fields().len()
            && expected.iter().zip(schema.fields()).all(|((name, data_type), field)| {
                name == field.name() && data_type.equals_datatype(field.data_type())
            });
        if !fits {
            return Err(unfit());
        }
        if part.num_rows() == 0 {
            return Ok(());
        }
        let (keys, mut states) = part.columns().split_at(self.prepared.key_types.len());
        self.table.find(keys, part.num_rows(), &mut self.numbers)?;
        for slot in &mut self.slots {
            let (state, others) = states.split_at(slot.state_columns().count());
            slot.merge(state, &self.numbers, self.table.len())?;
            states = others;
        }
        Ok(())
    }

    /// The columns of a snapshot: name and type.
    fn layout(&self) -> Vec<(String, DataType)> {
        let keys = self.prepared.gathered.fields().iter().zip(&self.prepared.key_types);
        let keys = keys.map(|(field, data_type)| (field.name().clone(), data_type.clone()));
        keys.chain(self.slots.iter().flat_map(Slot::state_columns)).collect()
    }

    /// Keys and results of all groups.
    fn gather(&mut self) -> Result<RecordBatch> {
        let mut groups = self.table.len();
        if groups == 0 {
            if !self.prepared.key_types.is_empty() {
                return Ok(RecordBatch::new_empty(Arc::clone(&self.prepared.gathered)));
            }
            for slot in &mut self.slots {
                slot.open(&self.prepared.input_types)?;
            }
            groups = 1;
        }
        let mut columns = self.table.keys()?;
        for slot in &mut self.slots {
            columns.push(slot.results()?);
        }
        // What was gathered is in the columns now.
        (self.table, self.slots) = empty(&self.prepared)?;
        batch_of(Arc::clone(&self.prepared.gathered), columns, groups)
    }

    /// Emits about a batch of the rest.
    fn emit(&mut self, out: &mut dyn Output) -> Result<()> {
        let Some(rest) = self.rest.take() else {
            return Ok(());
        };
        let rows = rest.num_rows().min(self.rows_per_batch(&rest));
        let now = rest.slice(0, rows);
        self.rest = Some(rest.slice(rows, rest.num_rows() - rows));
        if rows == 0 {
            return Ok(());
        }
        let evaluated = evaluate(&self.prepared.finals, now, out)?;
        let keys = self.prepared.key_types.len();
        let mut columns: Vec<ArrayRef> = evaluated.rows.columns()[..keys].to_vec();
        columns.extend(evaluated.columns);
        out.emit(RecordBatch::try_new(Arc::clone(&self.prepared.output), columns)?)
    }

    fn rows_per_batch(&self, rest: &RecordBatch) -> usize {
        // A slice counts the memory of what it was cut from, so count by its share of bytes.
        let bytes: usize = rest
            .columns()
            .iter()
            .map(|column| column.to_data().get_slice_memory_size().unwrap_or(0))
            .sum();
        let each = bytes / rest.num_rows().max(1) + 1;
        (self.batch.bytes / each).clamp(1, self.batch.rows.max(1))
    }
}

/// The state before the first row.
fn empty(prepared: &Prepared) -> Result<(GroupTable, Vec<Slot>)> {
    let table = GroupTable::new(&prepared.key_types, prepared.max_groups)?;
    let slots = prepared.slots.iter().cloned().map(Slot::new).collect::<Result<Vec<_>, _>>();
    Ok((table, slots.map_err(|error| Error::internal(wording::plain(&error)))?))
}

/// A batch that may have rows without columns.
fn batch_of(schema: SchemaRef, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
    let rows = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(schema, columns, &rows)?)
}

fn unfit() -> Error {
    Error::new(ErrorKind::Restore, "the snapshot was made with other groups or aggregates")
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
        let keys = &evaluated.columns[..self.prepared.key_types.len()];
        self.table.find(keys, rows, &mut self.numbers)?;
        for slot in &mut self.slots {
            slot.update(&evaluated.columns, &self.numbers, self.table.len())?;
        }
        Ok(())
    }

    fn ready(&self) -> bool {
        self.rest.is_none()
    }

    fn holding(&self) -> bool {
        self.rest.as_ref().is_some_and(|rest| rest.num_rows() > 0)
    }

    fn wake(&mut self, out: &mut dyn Output) -> Result<()> {
        self.emit(out)
    }

    fn wake_at(&self) -> Option<Duration> {
        self.holding().then_some(Duration::ZERO)
    }

    fn finish(&mut self, out: &mut dyn Output) -> Result<()> {
        if self.rest.is_none() {
            self.rest = Some(self.gather()?);
        }
        self.emit(out)
    }

    fn snapshot(&mut self) -> Result<Snapshot> {
        if let Some(rest) = &self.rest {
            return Ok(Snapshot::parts(VERSION, vec![(REST.to_owned(), rest.clone())]));
        }
        let mut columns = self.table.keys()?;
        for slot in &mut self.slots {
            columns.extend(slot.state(self.table.len())?);
        }
        let fields = self.layout().into_iter().zip(&columns);
        let fields =
            fields.map(|((name, _), column)| Field::new(name, column.data_type().clone(), true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let groups = batch_of(schema, columns, self.table.len())?;
        Ok(Snapshot::parts(VERSION, vec![(GROUPS.to_owned(), groups)]))
    }
}
