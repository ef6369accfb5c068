//! `approx_top_k`: the most frequent values of a group.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{
    Array, ArrayRef, BooleanArray, Int64Array, ListArray, RecordBatch, StructArray, UInt64Array,
};
use arrow_buffer::OffsetBuffer;
use arrow_row::{RowConverter, SortField};
use arrow_schema::{DataType, Field, FieldRef, Fields, Schema};
use datafusion_common::{Result, ScalarValue, internal_err, not_impl_err, plan_err};
use datafusion_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion_expr::{
    Accumulator, AggregateUDFImpl, ColumnarValue, DocSection, Documentation, EmitTo,
    GroupsAccumulator, Signature, Volatility,
};
use datafusion_physical_expr::PhysicalExpr;
use gristmill_stage::keys::canonical;

use super::frequent::Frequent;
use crate::columns::{cast_to, key_type};

const NAME: &str = "approx_top_k";

/// The most values that can be asked for, and the most counters for each group.
const MOST_VALUES: i64 = 10_000;
const MOST_COUNTERS: i64 = 1_000_000;

/// Counters, if the expression does not say how many: so many for each value that is asked for, and
/// no less than those.
const COUNTERS_EACH: i64 = 20;
const LEAST_COUNTERS: i64 = 200;

/// The function, as expressions know it.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct ApproxTopK {
    signature: Signature,
    documentation: Documentation,
}

impl ApproxTopK {
    pub(crate) fn new() -> Self {
        let section =
            DocSection { include: true, label: "Approximate Functions", description: None };
        let documentation = Documentation::builder(
            section,
            "Returns the `k` most frequent values as a list of structs with `value`, `count` and `error`, the most \
             frequent first; nulls do not count. A `count` is never too low, and too high by `error` at the most. \
             `error` is 0 as long as a group has no more than twice as many different values as there are \
             counters, and never more than the number of its values divided by the number of counters: so a \
             value that is more frequent than that is not missed. (Misra and Gries 1982; Anderson et al. 2017)",
            "approx_top_k(expression, k[, counters])",
        )
        .with_argument("expression", "The values.")
        .with_argument("k", "How many values to return, 10000 at the most: a constant.")
        .with_argument(
            "counters",
            "How many counters to keep for each group, at least `k` and at most 1000000: a constant. Left \
             out, there are 20 times `k`, and 200 at the least. Up to twice as many values are held.",
        )
        .with_sql_example("> SELECT approx_top_k(path, 3) FROM requests;")
        .build();
        Self { signature: Signature::user_defined(Volatility::Immutable), documentation }
    }
}

impl AggregateUDFImpl for ApproxTopK {
    fn name(&self) -> &'static str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        match types {
            [values] => plan_err!("{NAME} takes how many of the {values} values to return"),
            [values, numbers @ ..] if (1..=2).contains(&numbers.len()) => {
                let numbers = numbers.iter().map(|_| DataType::Int64);
                Ok(std::iter::once(values.clone()).chain(numbers).collect())
            }
            _ => {
                plan_err!("{NAME} takes values, how many to return, and maybe the counters to keep")
            }
        }
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        let Some(values) = types.first().map(key_type) else {
            return plan_err!("{NAME} takes values");
        };
        if !RowConverter::supports_fields(&[SortField::new(values.clone())]) {
            return plan_err!("{NAME} does not take {values}");
        }
        Ok(DataType::List(item(DataType::Struct(fields(values)))))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let Some(values) = args.input_fields.first() else {
            return internal_err!("{NAME} has no argument");
        };
        let list = |data_type| DataType::List(item(data_type));
        Ok(vec![
            Arc::new(Field::new("values", list(key_type(values.data_type())), false)),
            Arc::new(Field::new("counts", list(DataType::UInt64), false)),
            Arc::new(Field::new("error", DataType::UInt64, false)),
        ])
    }

    fn accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        not_impl_err!("{NAME} works on groups only")
    }

    fn groups_accumulator_supported(&self, _: AccumulatorArgs<'_>) -> bool {
        true
    }

    fn create_groups_accumulator(
        &self,
        args: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        if args.is_distinct {
            return not_impl_err!("{NAME} cannot have DISTINCT");
        }
        if !args.order_bys.is_empty() {
            return not_impl_err!("{NAME} cannot have an ORDER BY");
        }
        let (Some(values), Some(k)) = (args.expr_fields.first(), args.exprs.get(1)) else {
            return plan_err!("{NAME} takes values and how many to return");
        };
        let k = constant(k, "values to return", 1, MOST_VALUES)?;
        let counters = match args.exprs.get(2) {
            Some(counters) => constant(counters, "counters", k, MOST_COUNTERS)?,
            None => (k * COUNTERS_EACH).max(LEAST_COUNTERS),
        };
        let values = key_type(values.data_type());
        Ok(Box::new(TopK {
            k: usize::try_from(k).unwrap_or(usize::MAX),
            counters: usize::try_from(counters).unwrap_or(usize::MAX),
            converter: RowConverter::new(vec![SortField::new(values.clone())])?,
            values,
            groups: Vec::new(),
        }))
    }
}

/// The value of an argument that is the same for all rows.
fn constant(code: &Arc<dyn PhysicalExpr>, what: &str, least: i64, most: i64) -> Result<i64> {
    let none = RecordBatch::new_empty(Arc::new(Schema::empty()));
    let Ok(ColumnarValue::Scalar(value)) = code.evaluate(&none) else {
        return plan_err!("the number of {what} is a constant");
    };
    match value.cast_to(&DataType::Int64)? {
        ScalarValue::Int64(Some(number)) if (least..=most).contains(&number) => Ok(number),
        ScalarValue::Int64(Some(number)) => {
            plan_err!("{number} {what} are not between {least} and {most}")
        }
        _ => plan_err!("the number of {what} is not there"),
    }
}

fn item(data_type: DataType) -> FieldRef {
    Arc::new(Field::new_list_field(data_type, true))
}

fn fields(values: DataType) -> Fields {
    Fields::from(vec![
        Field::new("value", values, true),
        Field::new("count", DataType::Int64, true),
        Field::new("error", DataType::Int64, true),
    ])
}

/// The counters of all groups.
struct TopK {
    k: usize,
    counters: usize,
    values: DataType,
    converter: RowConverter,
    groups: Vec<Frequent>,
}

impl TopK {
    fn take(&mut self, emit_to: EmitTo) -> Vec<Frequent> {
        match emit_to {
            EmitTo::All => std::mem::take(&mut self.groups),
            EmitTo::First(n) => self.groups.drain(..n).collect(),
        }
    }

    /// Values from their bytes.
    fn column<'a>(&self, values: impl Iterator<Item = &'a [u8]>) -> Result<ArrayRef> {
        let parser = self.converter.parser();
        // It reads bytes that it has written.
        let rows: Vec<_> = values.map(|value| parser.parse(value)).collect();
        let mut columns = self.converter.convert_rows(rows)?;
        match columns.pop() {
            Some(column) => Ok(column),
            None => internal_err!("{NAME} has lost its values"),
        }
    }
}

impl GroupsAccumulator for TopK {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.groups.resize_with(total_num_groups, Frequent::default);
        let column = canonical(&cast_to(Arc::clone(&values[0]), &self.values)?)?;
        let nulls = column.logical_nulls();
        let rows = self.converter.convert_columns(&[column])?;
        for (row, group) in group_indices.iter().enumerate() {
            let counts = opt_filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row));
            if counts && nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row)) {
                self.groups[*group].add(rows.row(row).data(), 1, self.counters);
            }
        }
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let groups = self.take(emit_to);
        let top: Vec<Vec<(&[u8], u64)>> = groups.iter().map(|group| group.top(self.k)).collect();
        let values = self.column(top.iter().flatten().map(|(value, _)| *value))?;
        let (mut counts, mut errors) = (Vec::new(), Vec::new());
        for (group, top) in groups.iter().zip(&top) {
            let error = group.error();
            counts.extend(top.iter().map(|(_, count)| whole(count.saturating_add(error))));
            errors.resize(counts.len(), whole(error));
        }
        let numbers = |numbers| -> ArrayRef { Arc::new(Int64Array::from(numbers)) };
        let columns = vec![values, numbers(counts), numbers(errors)];
        let structs = StructArray::try_new(fields(self.values.clone()), columns, None)?;
        let lengths = OffsetBuffer::from_lengths(top.iter().map(Vec::len));
        let item = item(structs.data_type().clone());
        Ok(Arc::new(ListArray::try_new(item, lengths, Arc::new(structs), None)?))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let groups = self.take(emit_to);
        let all = || groups.iter().flat_map(Frequent::counters);
        let values = self.column(all().map(|(value, _)| value))?;
        let counts = UInt64Array::from_iter_values(all().map(|(_, count)| count));
        let lengths =
            OffsetBuffer::from_lengths(groups.iter().map(|group| group.counters().count()));
        let list = |column: ArrayRef| -> Result<ArrayRef> {
            let item = item(column.data_type().clone());
            Ok(Arc::new(ListArray::try_new(item, lengths.clone(), column, None)?))
        };
        let errors = UInt64Array::from_iter_values(groups.iter().map(Frequent::error));
        Ok(vec![list(values)?, list(Arc::new(counts))?, Arc::new(errors)])
    }

    fn merge_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        total_num_groups: usize,
    ) -> Result<()> {
        self.groups.resize_with(total_num_groups, Frequent::default);
        let (lists, counts) = (values[0].as_list::<i32>(), values[1].as_list::<i32>());
        let errors = values[2].as_primitive::<UInt64Type>();
        let rows = self.converter.convert_columns(&[Arc::clone(lists.values())])?;
        let all = counts.values().as_primitive::<UInt64Type>();
        for (row, group) in group_indices.iter().enumerate() {
            let own = lists.value_offsets()[row]..lists.value_offsets()[row + 1];
            let others = counts.value_offsets()[row]..counts.value_offsets()[row + 1];
            for (value, count) in own.zip(others) {
                let (value, count) = (rows.row(value as usize), all.value(count as usize));
                self.groups[*group].add(value.data(), count, self.counters);
            }
            self.groups[*group].doubt(errors.value(row));
        }
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
        self.groups.iter().map(Frequent::size).sum()
    }
}

/// A count of rows never comes near what does not fit.
fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
