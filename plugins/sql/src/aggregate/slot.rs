//! One aggregate function with the state of all its groups.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BooleanArray, new_empty_array, new_null_array};
use arrow_schema::{DataType, FieldRef};
use arrow_select::filter::prep_null_mask_filter;
use datafusion_common::DataFusionError;
use datafusion_expr::{EmitTo, GroupsAccumulator};
use datafusion_physical_expr::GroupsAccumulatorAdapter;
use datafusion_physical_expr::aggregate::AggregateFunctionExpr;
use gristmill_stage::{Error, Result};

use super::quantiles::Quantiles;
use super::whole::{WIDE, WholeSums};
use crate::wording;

/// How one aggregate is computed of the columns that are evaluated for each batch.
#[derive(Debug, Clone)]
pub(crate) struct SlotPlan {
    /// The function with its arguments.
    pub(crate) function: Arc<AggregateFunctionExpr>,
    /// Which evaluated columns it takes.
    pub(crate) inputs: Vec<usize>,
    /// Which evaluated column says what rows count.
    pub(crate) filter: Option<usize>,
}

/// An aggregate and its state, indexed by group.
pub(crate) struct Slot {
    plan: SlotPlan,
    state_fields: Vec<FieldRef>,
    accumulator: Box<dyn GroupsAccumulator>,
    /// The state as columns, a row per group, while it is not in the accumulator.
    parked: Option<Vec<ArrayRef>>,
}

impl Slot {
    /// An aggregate without any group.
    pub(crate) fn new(plan: SlotPlan) -> Result<Self, DataFusionError> {
        if let Some(quantiles) = Quantiles::new(&plan.function)? {
            let (state_fields, accumulator) = (Quantiles::state_fields(), Box::new(quantiles));
            return Ok(Self { plan, state_fields, accumulator, parked: None });
        }
        if let Some(sums) = WholeSums::new(&plan.function) {
            let (state_fields, accumulator) = (WholeSums::state_fields(), Box::new(sums));
            return Ok(Self { plan, state_fields, accumulator, parked: None });
        }
        let state_fields = plan.function.state_fields()?;
        let accumulator: Box<dyn GroupsAccumulator> =
            if plan.function.groups_accumulator_supported() {
                plan.function.create_groups_accumulator()?
            } else {
                // Made once now, so that a function that cannot work fails here.
                plan.function.create_accumulator()?;
                let function = Arc::clone(&plan.function);
                Box::new(GroupsAccumulatorAdapter::new(move || function.create_accumulator()))
            };
        Ok(Self { plan, state_fields, accumulator, parked: None })
    }

    /// The type of its results.
    pub(crate) fn data_type(plan: &SlotPlan) -> DataType {
        match WholeSums::new(&plan.function) {
            Some(_) => WIDE,
            None => plan.function.field().data_type().clone(),
        }
    }

    /// Takes rows: `groups` has the group of each, `total` groups are known by now.
    ///
    /// # Errors
    /// When the function fails. Its state is then lost.
    pub(crate) fn update(
        &mut self,
        columns: &[ArrayRef],
        groups: &[usize],
        total: usize,
    ) -> Result<()> {
        self.unpark()?;
        let inputs: Vec<ArrayRef> =
            self.plan.inputs.iter().map(|index| Arc::clone(&columns[*index])).collect();
        let filter = self.plan.filter.map(|index| mask(&columns[index]));
        self.accumulator
            .update_batch(&inputs, groups, filter.as_ref(), total)
            .map_err(|error| self.failed(&error))
    }

    /// Makes the one group of an input without rows. It takes a row that does not count, since a
    /// group that comes with no row at all is taken for one that has values.
    pub(crate) fn open(&mut self, types: &[DataType]) -> Result<()> {
        let inputs: Vec<ArrayRef> =
            self.plan.inputs.iter().map(|index| new_null_array(&types[*index], 1)).collect();
        let none = BooleanArray::from(vec![false]);
        self.accumulator
            .update_batch(&inputs, &[0], Some(&none), 1)
            .map_err(|error| self.failed(&error))
    }

    /// The result of every group, in the order of the groups. The state is gone afterwards.
    pub(crate) fn results(&mut self) -> Result<ArrayRef> {
        self.unpark()?;
        self.accumulator.evaluate(EmitTo::All).map_err(|error| self.failed(&error))
    }

    /// The state of all `total` groups as columns. Asking for it empties an accumulator, and what is
    /// merged back is not always the very same: sets come in another order, and means differ in
    /// their last bit. So it stays parked until rows or results need it, and is the same for as
    /// often as it is asked for in between.
    pub(crate) fn state(&mut self, total: usize) -> Result<Vec<ArrayRef>> {
        if total == 0 {
            let types = self.state_fields.iter().map(|field| field.data_type());
            return Ok(types.map(new_empty_array).collect());
        }
        if let Some(state) = &self.parked
            && self.parked_groups() == total
        {
            return Ok(state.clone());
        }
        self.unpark()?;
        let state = self.accumulator.state(EmitTo::All).map_err(|error| self.failed(&error))?;
        self.parked = Some(state.clone());
        Ok(state)
    }

    fn parked_groups(&self) -> usize {
        self.parked.as_ref().and_then(|state| state.first()).map_or(0, |column| column.len())
    }

    /// Gives a parked state back to the accumulator, as that of as many groups as it is of: a group
    /// that comes without a row is taken for one that has values.
    fn unpark(&mut self) -> Result<()> {
        let total = self.parked_groups();
        match self.parked.take() {
            Some(state) => self.merge_in(&state, &(0..total).collect::<Vec<_>>(), total),
            None => Ok(()),
        }
    }

    /// Adds states, row by row, to the groups that `groups` names.
    pub(crate) fn merge(
        &mut self,
        state: &[ArrayRef],
        groups: &[usize],
        total: usize,
    ) -> Result<()> {
        self.unpark()?;
        self.merge_in(state, groups, total)
    }

    fn merge_in(&mut self, state: &[ArrayRef], groups: &[usize], total: usize) -> Result<()> {
        self.accumulator.merge_batch(state, groups, total).map_err(|error| self.failed(&error))
    }

    /// The bytes that it takes.
    pub(crate) fn size(&self) -> usize {
        let parked = self.parked.iter().flatten().map(|column| column.get_array_memory_size());
        self.accumulator.size() + parked.sum::<usize>()
    }

    /// The columns of its state: name and type.
    pub(crate) fn state_columns(&self) -> impl Iterator<Item = (String, DataType)> + '_ {
        self.state_fields.iter().enumerate().map(|(index, field)| {
            (format!("{}#{index}", self.plan.function.name()), field.data_type().clone())
        })
    }

    fn failed(&self, error: &DataFusionError) -> Error {
        Error::data(format!("{}: {}", self.plan.function.name(), wording::plain(error)))
    }
}

/// Null does not count, like false.
fn mask(column: &ArrayRef) -> BooleanArray {
    match column.as_boolean_opt() {
        Some(mask) if mask.null_count() > 0 => prep_null_mask_filter(mask),
        Some(mask) => mask.clone(),
        None => BooleanArray::new_null(column.len()),
    }
}
