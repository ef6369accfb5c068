//! From the options of `aggregate` to what is evaluated, gathered and computed at the end.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion_common::Column;
use datafusion_common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion_expr::Expr;
use datafusion_expr::expr::AggregateFunction;
use datafusion_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion_expr::utils::AggregateOrderSensitivity;
use datafusion_physical_expr::PhysicalExpr;
use datafusion_physical_expr::aggregate::LoweredAggregateBuilder;
use gristmill_stage::{Error, Result};

use super::emissions::{self, EMITTED, FINAL};
use super::memory::Memory;
use super::slot::{Slot, SlotPlan};
use super::split::Aggregates;
use super::table::GroupTable;
use super::window::Window;
use super::{AggregateOptions, is_empty};
use crate::checked::checked;
use crate::columns::{computed, key_type, type_name};
use crate::expression::{Compiled, Scope};
use crate::functions::Functions;
use crate::options::{GroupBy, Select};
use crate::wording;

/// All that a worker needs to begin.
pub(crate) struct Prepared {
    /// What is evaluated for each batch: the keys first.
    pub(crate) inputs: Vec<Compiled>,
    /// The columns of the input that the expressions name.
    pub(crate) columns: BTreeSet<String>,
    /// The types of the keys.
    pub(crate) key_types: Vec<DataType>,
    /// The aggregates.
    pub(crate) slots: Vec<SlotPlan>,
    /// Keys and results of the aggregates, as they are before the last step. Before them, what is
    /// said of the emission, and the bounds of the window.
    pub(crate) gathered: SchemaRef,
    /// The windows, of which the time is evaluated after all that the groups need.
    pub(crate) window: Option<Window>,
    /// How often results are emitted while the input goes on.
    pub(crate) every: Option<Duration>,
    /// What is computed of them for the columns after the keys.
    pub(crate) finals: Vec<Compiled>,
    /// The types of what is evaluated.
    pub(crate) input_types: Vec<DataType>,
    /// The columns that are emitted.
    pub(crate) output: SchemaRef,
    /// The most groups that there may be.
    pub(crate) max_groups: usize,
    /// What bounds the memory of the groups, if something does.
    pub(crate) memory: Option<Memory>,
}

/// So many groups where all stay in memory, if nothing else is said.
const MOST_IN_MEMORY: u64 = 10_000_000;

impl Prepared {
    pub(crate) fn new(
        options: &AggregateOptions,
        input: &SchemaRef,
        now: SystemTime,
    ) -> Result<Self> {
        check(options)?;
        let functions = Functions::new();
        let scope = Scope::new(&functions, Arc::clone(input), now)?;
        let window = options.window.as_ref().map(|window| Window::new(window, &scope));
        let window = window.transpose()?;
        let every = emissions::period(options.every)?;
        let emission = every.iter().flat_map(|_| emissions::fields());
        let bounds: Vec<_> = emission.chain(window.iter().flat_map(Window::fields)).collect();
        let (keys, mut inputs) = keys(&options.group_by, &scope)?;
        check_names(&bounds, &keys, options)?;
        let times = window.iter().map(|window| &window.time);
        let facts = inputs.iter().chain(times).flat_map(|key| &key.facts().columns);
        let mut columns: BTreeSet<String> = facts.cloned().collect();
        if let Select::Columns(names) = &options.group_by {
            columns.extend(names.iter().cloned());
        }
        let all = Scope::new(&functions, with_keys(input, &[&bounds[..], &keys].concat()), now)?;

        let mut aggregates = Aggregates {
            taken: bounds.iter().chain(&keys).map(|key| key.name().clone()).collect(),
            ..Aggregates::default()
        };
        let mut slots = Vec::new();
        let mut split = Vec::new();
        for (name, text) in &options.select.0 {
            let at = format!("select.{name}");
            let parsed = all.parse(&text.0, &at)?;
            let named = parsed.column_refs().into_iter().map(|column| column.name.clone());
            columns.extend(named.filter(|name| input.column_with_name(name).is_some()));
            let expr = aggregates.split(parsed, &scope, &at)?;
            for (name, aggregate) in &aggregates.found[slots.len()..] {
                slots.push(slot(name, aggregate, &scope, &mut inputs, &at)?);
            }
            split.push((name, at, expr));
        }

        inputs.extend(window.iter().map(|window| window.time.clone()));
        let mut fields = [bounds, keys.clone()].concat();
        let results = slots.iter().map(|(_, result)| Arc::clone(result));
        let gathered: SchemaRef =
            Arc::new(Schema::new(fields.iter().cloned().chain(results).collect::<Vec<_>>()));
        let last = Scope::new(&functions, Arc::clone(&gathered), now)?;
        let mut finals = Vec::new();
        for (name, at, expr) in split {
            check_columns(&expr, &gathered, &at)?;
            let compiled = last.compile(&last.settle(expr, &at)?, &at)?;
            fields.push(Arc::new(computed(name, compiled.data_type())));
            finals.push(compiled);
        }
        Ok(Self {
            input_types: inputs.iter().map(|input| input.data_type().clone()).collect(),
            inputs,
            columns,
            key_types: keys.iter().map(|key| key.data_type().clone()).collect(),
            slots: slots.into_iter().map(|(slot, _)| slot).collect(),
            gathered,
            window,
            every,
            finals,
            output: Arc::new(Schema::new(fields)),
            max_groups: most_groups(options),
            memory: Memory::of(options),
        })
    }
}

impl Prepared {
    /// The columns of the keys and of the results of the aggregates.
    pub(crate) fn results(&self) -> &[FieldRef] {
        let fields = self.gathered.fields();
        &fields[fields.len() - self.key_types.len() - self.slots.len()..]
    }

    /// The columns of the keys.
    pub(crate) fn keys(&self) -> &[FieldRef] {
        &self.results()[..self.key_types.len()]
    }
}

/// No two columns of the output have one name.
fn check_names(bounds: &[FieldRef], keys: &[FieldRef], options: &AggregateOptions) -> Result<()> {
    let has = |fields: &[FieldRef], name: &str| fields.iter().any(|field| field.name() == name);
    if let Some(key) = keys.iter().find(|key| has(bounds, key.name())) {
        return Err(Error::option(
            "group_by",
            format!("`{}` is a column of {}", key.name(), owner(key.name())),
        )
        .help("give it another name"));
    }
    for (name, _) in &options.select.0 {
        let of = if has(bounds, name) {
            owner(name)
        } else if has(keys, name) {
            "`group_by`"
        } else {
            continue;
        };
        return Err(Error::option(
            format!("select.{name}"),
            format!("`{name}` is a column of {of} already"),
        )
        .help("give it another name"));
    }
    Ok(())
}

/// What a column before those of `group_by` belongs to.
fn owner(name: &str) -> &'static str {
    if name == EMITTED || name == FINAL { "`every`" } else { "the window" }
}

/// The most groups that there may be.
fn most_groups(options: &AggregateOptions) -> usize {
    let in_memory = options.window.is_some() || options.every.is_some();
    let most = options.max_groups.or(in_memory.then_some(MOST_IN_MEMORY));
    most.and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX)
}

fn check(options: &AggregateOptions) -> Result<()> {
    if options.max_groups == Some(0) {
        return Err(Error::option("max_groups", "there must be room for one group at least"));
    }
    Memory::check(options)?;
    if options.select.0.is_empty() && is_empty(&options.group_by) {
        return Err(Error::option("", "there is nothing to compute")
            .help("name what to compute, for example `select: { n: count(*) }`"));
    }
    Ok(())
}

/// The key columns and the expressions that compute them.
fn keys(group_by: &GroupBy, scope: &Scope<'_>) -> Result<(Vec<FieldRef>, Vec<Compiled>)> {
    let mut keys = Vec::new();
    let mut add = |name: &str, input: Option<&Field>, compiled: Compiled, at: &str| {
        let data_type = key_type(compiled.data_type());
        if !GroupTable::supports(&data_type) {
            let given = type_name(&data_type);
            return Err(Error::option(at, format!("rows cannot be grouped by a {given}")));
        }
        let field = match input {
            Some(field) => field.clone().with_data_type(data_type.clone()),
            None => computed(name, &data_type),
        };
        let compiled = match compiled.data_type() {
            // The table looks up the values of a dictionary, not those of the rows.
            DataType::Dictionary(_, values) if **values == data_type => compiled,
            _ => compiled.with_type(data_type),
        };
        keys.push((Arc::new(field), compiled));
        Ok(())
    };
    match group_by {
        Select::Columns(names) => {
            for (index, name) in names.iter().enumerate() {
                let at = format!("group_by[{index}]");
                let Some((_, field)) = scope.schema().column_with_name(name) else {
                    let missing = format!("there is no column `{name}`");
                    return Err(Error::column(name, missing).at(at));
                };
                let column = Expr::Column(Column::new_unqualified(name));
                add(name, Some(field), scope.compile(&column, &at)?, &at)?;
            }
        }
        Select::Named(named) => {
            for (name, text) in &named.0 {
                let at = format!("group_by.{name}");
                add(name, None, scope.scalar(&text.0, &at)?, &at)?;
            }
        }
    }
    Ok(keys.into_iter().unzip())
}

/// The columns of the input and the keys that are no columns of the input.
fn with_keys(input: &SchemaRef, keys: &[FieldRef]) -> SchemaRef {
    let new = keys.iter().filter(|key| input.column_with_name(key.name()).is_none());
    Arc::new(Schema::new(input.fields().iter().chain(new).cloned().collect::<Vec<_>>()))
}

/// Outside of aggregates an expression sees keys only.
fn check_columns(expr: &Expr, gathered: &SchemaRef, at: &str) -> Result<()> {
    let mut single = None;
    let walked = expr.apply(|part| {
        Ok(match part {
            Expr::Column(column) if gathered.column_with_name(&column.name).is_none() => {
                single = Some(column.name.clone());
                TreeNodeRecursion::Stop
            }
            _ => TreeNodeRecursion::Continue,
        })
    });
    match (walked, single) {
        (Ok(_), None) => Ok(()),
        (_, Some(name)) => Err(Error::option(
            at,
            format!("`{name}` has many values in a group: it is not in `group_by`"),
        )
        .help(format!("add it to `group_by`, or aggregate it, for example `max({name})`"))),
        (Err(error), None) => Err(Error::option(at, wording::plain(&error))),
    }
}

/// Plans one aggregate; adds what it takes to `inputs`.
fn slot(
    name: &str,
    aggregate: &Expr,
    scope: &Scope<'_>,
    inputs: &mut Vec<Compiled>,
    at: &str,
) -> Result<(SlotPlan, FieldRef)> {
    let Expr::AggregateFunction(function) = aggregate else {
        return Err(Error::internal("an aggregate is no aggregate"));
    };
    check_order(function, at)?;
    let context = PhysicalPlanningContext::default();
    let lowered = LoweredAggregateBuilder::new(
        aggregate,
        scope.names(),
        scope.schema(),
        scope.props(),
        &context,
    )
    .with_name(name)
    .build()
    .map_err(|error| scope.type_error(aggregate, &error, at))?;

    let mut add = |code: Arc<dyn PhysicalExpr>| -> Result<usize> {
        let code = checked(code, scope.schema())
            .map_err(|error| scope.type_error(aggregate, &error, at))?;
        let known = inputs.iter().position(|known| **known.code() == *code);
        if let (Some(known), false) = (known, aggregate.is_volatile()) {
            // A key can be emitted as another type than the column has.
            let own = code.data_type(scope.schema());
            if own.is_ok_and(|own| own == *inputs[known].data_type()) {
                return Ok(known);
            }
        }
        inputs.push(Compiled::new(code, scope.schema(), at)?.with_own_type(scope.schema())?);
        Ok(inputs.len() - 1)
    };
    let function = &lowered.aggregate;
    let mut columns = Vec::new();
    for code in function.expressions() {
        columns.push(add(code)?);
    }
    // A function that sorts by itself takes what to sort by after its arguments.
    if !function.fun().supports_within_group_clause() {
        for order in function.order_bys() {
            columns.push(add(Arc::clone(&order.expr))?);
        }
    }
    let filter = lowered.filter.map(&mut add).transpose()?;
    let plan = SlotPlan { function: Arc::clone(function), inputs: columns, filter };
    let result = Arc::new(computed(name, &Slot::data_type(&plan)));
    try_out(&plan, inputs, at)?;
    Ok((plan, result))
}

/// Sorting all rows of the input is no work for this stage, so only functions that sort by
/// themselves can have an order.
fn check_order(function: &AggregateFunction, at: &str) -> Result<()> {
    let sorted = !function.params.order_by.is_empty();
    let hard = function.func.order_sensitivity() == AggregateOrderSensitivity::HardRequirement;
    if sorted && hard && !function.func.supports_within_group_clause() {
        return Err(Error::option(
            at,
            format!("`{}` cannot have an ORDER BY here", function.func.name()),
        )
        .help("array_agg, first_value and last_value can"));
    }
    Ok(())
}

/// Lets the function aggregate nothing, so that one that does not work for these types fails when
/// the pipeline is checked.
fn try_out(plan: &SlotPlan, inputs: &[Compiled], at: &str) -> Result<()> {
    let aggregate = plan.function.fun().name();
    let mut slot = Slot::new(plan.clone()).map_err(|error| {
        Error::option(at, format!("`{aggregate}` does not work: {}", wording::plain(&error)))
    })?;
    let types: Vec<_> = inputs.iter().map(|input| input.data_type().clone()).collect();
    let tried = slot.open(&types).and_then(|()| slot.results());
    tried.map(drop).map_err(|error| Error::option(at, error.message()))
}
