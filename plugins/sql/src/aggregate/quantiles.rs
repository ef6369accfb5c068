//! Approximate quantiles of all groups at once.
//!
//! DataFusion has them for one group at a time. Its adapter for many groups sorts the rows of each
//! batch by group and makes arrays of the few rows of each: that takes time for each group, whatever
//! the rows. Here a row costs what it costs to remember its value.

use std::sync::Arc;

use arrow_array::builder::{Float64Builder, ListBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef, BooleanArray, Float64Array, RecordBatch};
use arrow_buffer::NullBuffer;
use arrow_cast::cast;
use arrow_schema::{DataType, Field, FieldRef, Schema};
use datafusion_common::{
    DataFusionError, Result, ScalarValue, internal_err, not_impl_err, plan_err,
};
use datafusion_expr::{ColumnarValue, EmitTo, GroupsAccumulator};
use datafusion_physical_expr::aggregate::AggregateFunctionExpr;

use super::sketch::{Beyond, Parts, Sketch};

/// As in DataFusion, if the expression does not say.
const CENTROIDS: usize = 100;

/// A digest of more is no sketch any more.
const MOST_CENTROIDS: u64 = 10_000;

/// `approx_percentile_cont`, `approx_percentile_cont_with_weight` and `approx_median`.
pub(crate) struct Quantiles {
    /// Which share of the values is below the result.
    share: f64,
    /// How many centroids a digest has.
    centroids: usize,
    weighted: bool,
    /// The type of the result.
    data_type: DataType,
    sketches: Vec<Sketch>,
}

impl Quantiles {
    /// The accumulator of a function, if it is one of those.
    ///
    /// # Errors
    /// When its arguments are none.
    pub(crate) fn new(function: &AggregateFunctionExpr) -> Result<Option<Self>> {
        let name = function.fun().name();
        let weighted = name == "approx_percentile_cont_with_weight";
        let median = name == "approx_median";
        let data_type = function.field().data_type().clone();
        if !(weighted || median || name == "approx_percentile_cont") || !data_type.is_floating() {
            return Ok(None);
        }
        if function.is_distinct() {
            return not_impl_err!("{name} cannot have DISTINCT");
        }
        // It checks the arguments.
        function.create_accumulator()?;
        let arguments = function.expressions();
        let mut constants = arguments.iter().skip(1 + usize::from(weighted));
        let mut constant = || -> Result<Option<ScalarValue>> {
            let Some(expression) = constants.next() else { return Ok(None) };
            let none = RecordBatch::new_empty(Arc::new(Schema::empty()));
            match expression.evaluate(&none)? {
                ColumnarValue::Scalar(value) => Ok(Some(value)),
                ColumnarValue::Array(_) => {
                    plan_err!("the arguments after the column are constants")
                }
            }
        };
        let share = match constant()? {
            None => 0.5,
            Some(value) => match value.cast_to(&DataType::Float64)? {
                ScalarValue::Float64(Some(share)) => share,
                other => return plan_err!("{other} is no share between 0 and 1"),
            },
        };
        let centroids = match constant()? {
            None => CENTROIDS,
            Some(value) => match value.cast_to(&DataType::UInt64)? {
                ScalarValue::UInt64(Some(n @ 1..=MOST_CENTROIDS)) => n as usize,
                other => {
                    return plan_err!("{other} centroids are not between 1 and {MOST_CENTROIDS}");
                }
            },
        };
        let descending = function.order_bys().first().is_some_and(|by| by.options.descending);
        let share = if descending { 1.0 - share } else { share };
        Ok(Some(Self { share, centroids, weighted, data_type, sketches: Vec::new() }))
    }

    /// The columns of its state.
    pub(crate) fn state_fields() -> Vec<FieldRef> {
        let list = || DataType::List(Arc::new(Field::new_list_field(DataType::Float64, false)));
        let field = |name: &str, data_type| Arc::new(Field::new(name, data_type, false));
        vec![
            field("digest", list()),
            field("pending", list()),
            field("low", DataType::Float64),
            field("high", DataType::Float64),
            field("nan", DataType::Float64),
        ]
    }

    fn take(&mut self, emit_to: EmitTo) -> Vec<Sketch> {
        match emit_to {
            EmitTo::All => std::mem::take(&mut self.sketches),
            EmitTo::First(n) => self.sketches.drain(..n).collect(),
        }
    }
}

impl GroupsAccumulator for Quantiles {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.sketches.resize_with(total_num_groups, Sketch::default);
        let values =
            [Some(wide(&values[0])?), self.weighted.then(|| wide(&values[1])).transpose()?];
        let (Some(numbers), weights) = (&values[0], &values[1]) else {
            return internal_err!("a quantile has no argument");
        };
        // Rows that do not count: null, or not within the filter.
        let filter = opt_filter.map(|filter| NullBuffer::new(filter.values().clone()));
        let counted = NullBuffer::union(numbers.nulls(), filter.as_ref());
        let counted = NullBuffer::union(counted.as_ref(), weights.as_ref().and_then(|w| w.nulls()));
        let counted = counted.filter(|counted| counted.null_count() > 0);
        let (sketches, centroids) = (&mut self.sketches, self.centroids);
        let mut add = |row: usize| {
            let sketch = &mut sketches[group_indices[row]];
            match weights {
                None => sketch.add(numbers.value(row), centroids),
                Some(weights) => {
                    sketch.add_weighted(numbers.value(row), weights.value(row), centroids);
                }
            }
        };
        match counted {
            None => (0..group_indices.len()).for_each(&mut add),
            Some(counted) => counted.valid_indices().for_each(&mut add),
        }
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let (share, weighted, centroids) = (self.share, self.weighted, self.centroids);
        let sketches = self.take(emit_to).into_iter();
        let results: Float64Array =
            sketches.map(|sketch| sketch.quantile(share, weighted, centroids)).collect();
        Ok(cast(&results, &self.data_type)?)
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let item = || Arc::new(Field::new_list_field(DataType::Float64, false));
        let list = || ListBuilder::new(Float64Builder::new()).with_field(item());
        let (mut digests, mut pending) = (list(), list());
        let mut beyond = Vec::new();
        for sketch in self.take(emit_to) {
            let parts = sketch.into_parts();
            digests.values().append_slice(&parts.digest);
            digests.append(true);
            pending.values().append_slice(&parts.pending);
            pending.append(true);
            beyond.push(parts.beyond);
        }
        let column = |of: fn(&Beyond) -> f64| -> ArrayRef {
            Arc::new(Float64Array::from_iter_values(beyond.iter().map(of)))
        };
        Ok(vec![
            Arc::new(digests.finish()),
            Arc::new(pending.finish()),
            column(|beyond| beyond.low),
            column(|beyond| beyond.high),
            column(|beyond| beyond.nan),
        ])
    }

    fn merge_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        total_num_groups: usize,
    ) -> Result<()> {
        self.sketches.resize_with(total_num_groups, Sketch::default);
        let list = |column: usize, row: usize| -> Vec<f64> {
            let list = values[column].as_list::<i32>().value(row);
            list.as_primitive::<Float64Type>().values().to_vec()
        };
        let number = |column: usize, row| values[column].as_primitive::<Float64Type>().value(row);
        for (row, group) in group_indices.iter().enumerate() {
            let beyond = Beyond { low: number(2, row), high: number(3, row), nan: number(4, row) };
            let parts = Parts { digest: list(0, row), pending: list(1, row), beyond };
            let sketch = Sketch::from_parts(parts, self.centroids)?;
            self.sketches[*group].merge(sketch, self.weighted, self.centroids);
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
        let spare = self.sketches.capacity() - self.sketches.len();
        self.sketches.iter().map(Sketch::size).sum::<usize>() + spare * size_of::<Sketch>()
    }
}

/// The numbers with 64 bits.
fn wide(column: &ArrayRef) -> Result<Float64Array, DataFusionError> {
    match column.as_primitive_opt::<Float64Type>() {
        Some(numbers) => Ok(numbers.clone()),
        None => Ok(cast(column, &DataType::Float64)?.as_primitive::<Float64Type>().clone()),
    }
}
