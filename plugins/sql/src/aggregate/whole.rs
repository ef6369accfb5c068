//! Sums of whole numbers, which do not wrap around.
//!
//! They are kept with 128 bits, so that only the result counts: whether it fits does not depend on the
//! order in which the numbers came. The last step casts it, which fails if it does not fit.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{ArrowPrimitiveType, Decimal128Type, Int64Type, UInt64Type};
use arrow_array::{Array, ArrayRef, BooleanArray, Decimal128Array};
use arrow_schema::{DECIMAL128_MAX_PRECISION, DataType, Field, FieldRef};
use datafusion_common::{Result, not_impl_err};
use datafusion_expr::{EmitTo, GroupsAccumulator};
use datafusion_functions_aggregate_common::aggregate::groups_accumulator::accumulate::NullState;
use datafusion_physical_expr::aggregate::AggregateFunctionExpr;

/// The type of such a sum before the last step.
pub(crate) const WIDE: DataType = DataType::Decimal128(DECIMAL128_MAX_PRECISION, 0);

/// `sum` of whole numbers.
pub(crate) struct WholeSums {
    sums: Vec<i128>,
    seen: NullState,
}

impl WholeSums {
    /// The accumulator of a function, if it is this one.
    pub(crate) fn new(function: &AggregateFunctionExpr) -> Option<Self> {
        let whole = function.fun().name() == "sum"
            && !function.is_distinct()
            && function.field().data_type().is_integer();
        whole.then(|| Self { sums: Vec::new(), seen: NullState::new() })
    }

    /// The columns of its state.
    pub(crate) fn state_fields() -> Vec<FieldRef> {
        vec![Arc::new(Field::new("sum", WIDE, true))]
    }

    fn add<T: ArrowPrimitiveType<Native: Into<i128>> + Send>(
        &mut self,
        values: &ArrayRef,
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total: usize,
    ) {
        let sums = &mut self.sums;
        sums.resize(total, 0);
        self.seen.accumulate(groups, values.as_primitive::<T>(), filter, total, |group, value| {
            // That many rows do not come.
            sums[group] = sums[group].wrapping_add(value.into());
        });
    }
}

impl GroupsAccumulator for WholeSums {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        let values = &values[0];
        match values.data_type() {
            DataType::Int64 => {
                self.add::<Int64Type>(values, group_indices, opt_filter, total_num_groups);
            }
            DataType::UInt64 => {
                self.add::<UInt64Type>(values, group_indices, opt_filter, total_num_groups);
            }
            other => return not_impl_err!("a sum of {other}"),
        }
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let sums = emit_to.take_needed(&mut self.sums);
        let nulls = self.seen.build(emit_to);
        Ok(Arc::new(Decimal128Array::new(sums.into(), nulls).with_data_type(WIDE)))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.evaluate(emit_to)?])
    }

    fn merge_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        total_num_groups: usize,
    ) -> Result<()> {
        self.add::<Decimal128Type>(&values[0], group_indices, None, total_num_groups);
        Ok(())
    }

    fn convert_to_state(
        &self,
        _values: &[ArrayRef],
        _opt_filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        not_impl_err!("states are made of groups")
    }

    fn size(&self) -> usize {
        self.sums.capacity() * size_of::<i128>() + self.seen.size()
    }
}
