//! Groups with the state of their aggregates.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions, new_empty_array};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use gristmill_stage::{Error, ErrorKind, Result};

use super::plan::Prepared;
use super::slot::Slot;
use super::table::GroupTable;
use crate::columns::cast_to;
use crate::wording;

/// The groups of some rows.
pub(crate) struct Groups {
    table: GroupTable,
    slots: Vec<Slot>,
    /// The group of each row of the batch in hand; kept for its memory.
    numbers: Vec<usize>,
}

impl Groups {
    /// The state before the first row.
    pub(crate) fn new(prepared: &Prepared) -> Result<Self> {
        let table = GroupTable::new(&prepared.key_types, prepared.max_groups)?;
        let slots = prepared.slots.iter().cloned().map(Slot::new).collect::<Result<Vec<_>, _>>();
        let slots = slots.map_err(|error| Error::internal(wording::plain(&error)))?;
        Ok(Self { table, slots, numbers: Vec::new() })
    }

    /// How many groups there are.
    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// The bytes that they take.
    pub(crate) fn size(&self) -> usize {
        self.table.size() + self.slots.iter().map(Slot::size).sum::<usize>()
    }

    /// Takes rows, of which the columns were computed: the keys first.
    pub(crate) fn update(
        &mut self,
        columns: &[ArrayRef],
        rows: usize,
        prepared: &Prepared,
    ) -> Result<()> {
        let keys = &columns[..prepared.key_types.len()];
        self.table.find(keys, rows, &mut self.numbers)?;
        for slot in &mut self.slots {
            slot.update(columns, &self.numbers, self.table.len())?;
        }
        Ok(())
    }

    /// Adds the groups of a [`state`](Self::state).
    pub(crate) fn merge(&mut self, state: &RecordBatch, prepared: &Prepared) -> Result<()> {
        let expected = self.layout(prepared);
        let schema = state.schema();
        let fits = expected.len() == schema.fields().len()
            && expected.iter().zip(schema.fields()).all(|((name, data_type), field)| {
                name == field.name() && data_type.equals_datatype(field.data_type())
            });
        if !fits {
            return Err(unfit());
        }
        if state.num_rows() == 0 {
            return Ok(());
        }
        let (keys, mut states) = state.columns().split_at(prepared.key_types.len());
        self.table.find(keys, state.num_rows(), &mut self.numbers)?;
        for slot in &mut self.slots {
            let (state, others) = states.split_at(slot.state_columns().count());
            slot.merge(state, &self.numbers, self.table.len())?;
            states = others;
        }
        Ok(())
    }

    /// A row per group: its keys, and the states of its aggregates.
    pub(crate) fn state(&mut self, prepared: &Prepared) -> Result<RecordBatch> {
        let mut columns = self.table.keys()?;
        for slot in &mut self.slots {
            columns.extend(slot.state(self.table.len())?);
        }
        let fields = self.layout(prepared).into_iter().zip(&columns);
        let fields =
            fields.map(|((name, _), column)| Field::new(name, column.data_type().clone(), true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        batch_of(schema, columns, self.table.len())
    }

    /// The [`state`](Self::state) of all groups, which are then gone.
    pub(crate) fn take(&mut self, prepared: &Prepared) -> Result<RecordBatch> {
        let state = self.state(prepared)?;
        *self = Self::new(prepared)?;
        Ok(state)
    }

    /// The columns of a state: name and type.
    fn layout(&self, prepared: &Prepared) -> Vec<(String, DataType)> {
        let keys = prepared.keys().iter().zip(&prepared.key_types);
        let keys = keys.map(|(field, data_type)| (field.name().clone(), data_type.clone()));
        keys.chain(self.slots.iter().flat_map(Slot::state_columns)).collect()
    }

    /// The schema of a state, as it is planned.
    pub(crate) fn states(&self, prepared: &Prepared) -> SchemaRef {
        let fields = self.layout(prepared).into_iter();
        let fields = fields.map(|(name, data_type)| Field::new(name, data_type, true));
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }

    /// Keys and results of all groups, which are then gone, and how many there are. Without keys
    /// there is one in any case.
    pub(crate) fn results(&mut self, prepared: &Prepared) -> Result<(Vec<ArrayRef>, usize)> {
        let mut groups = self.table.len();
        if groups == 0 {
            if !prepared.key_types.is_empty() {
                // Not every function has a result of no groups.
                let types = prepared.results().iter().map(|field| field.data_type());
                return Ok((types.map(new_empty_array).collect(), 0));
            }
            for slot in &mut self.slots {
                slot.open(&prepared.input_types)?;
            }
            groups = 1;
        }
        let mut columns = self.table.keys()?;
        for slot in &mut self.slots {
            columns.push(slot.results()?);
        }
        *self = Self::new(prepared)?;
        Ok((columns, groups))
    }
}

/// A state as it is planned: the items of a list can have another name in it.
pub(crate) fn conform(state: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let columns = state.columns().iter().zip(schema.fields());
    let columns = columns.map(|(column, field)| cast_to(Arc::clone(column), field.data_type()));
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    batch_of(Arc::clone(schema), columns, state.num_rows())
}

/// A batch that may have rows without columns.
pub(crate) fn batch_of(
    schema: SchemaRef,
    columns: Vec<ArrayRef>,
    rows: usize,
) -> Result<RecordBatch> {
    let rows = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(schema, columns, &rows)?)
}

/// The error for a snapshot of another stage.
pub(crate) fn unfit() -> Error {
    Error::new(ErrorKind::Restore, "the snapshot was made with other groups or aggregates")
}
