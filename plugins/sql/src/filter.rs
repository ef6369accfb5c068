//! `filter`: keeps the rows for which a condition is true.

use std::time::SystemTime;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_schema::{DataType, SchemaRef};
use arrow_select::filter::filter_record_batch;
use gristmill_stage::{
    BuildContext, Error, Lineage, Output, Planned, Result, Role, Stage, StageSpec, Transform,
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::columns::type_name;
use crate::evaluate::evaluate;
use crate::expression::{Compiled, Scope};
use crate::functions::Functions;
use crate::options::Expression;

/// Options of `filter`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FilterOptions {
    /// The condition, an SQL expression that is true or false: `status = 200 AND price > 0`. Rows
    /// for which it is true stay. Rows for which it is false or null go, and are not counted as
    /// rejected. A row on which the condition fails (a cast that does not work) is rejected.
    r#where: Expression,
}

/// The kind `filter`.
#[derive(Debug, Clone, Copy)]
pub struct Filter;

const AT: &str = "where";

impl StageSpec for Filter {
    type Options = FilterOptions;

    const KIND: &'static str = "filter";
    const SUMMARY: &'static str = "Keeps the rows for which an SQL condition is true.";
    const ROLE: Role = Role::Transform;
    const EXAMPLE: &'static str =
        "name: good\ntype: filter\nwith:\n  where: status = 200 AND price > 0\n";
    const INPUT: &'static str = "any; the condition names its columns";
    const OUTPUT: &'static str = "the columns of the input";

    fn plan(options: &FilterOptions, input: Option<&SchemaRef>) -> Result<Planned> {
        let input = input.ok_or_else(|| Error::internal("a filter was planned without input"))?;
        let condition = compile(options, input, SystemTime::UNIX_EPOCH)?;
        let facts = condition.facts();
        let columns = input.fields().iter().map(|field| field.name());
        let lineage = columns.fold(Lineage::new(), Lineage::passes).needs(facts.columns.clone());
        let planned = Planned::emits(input.clone());
        // A row on which the condition fails is rejected, and must come here for that.
        Ok(match facts.total {
            true => {
                planned.lineage(lineage.row_by_row()).passes_only(facts.comparisons.iter().cloned())
            }
            false => planned.lineage(lineage),
        })
    }

    fn build(options: FilterOptions, context: BuildContext) -> Result<Stage> {
        let condition = compile(&options, context.input(), context.clock().wall())?;
        // The condition may look at columns that nobody else does.
        let (input, output) = (context.input(), context.output());
        let kept = output.fields().iter().map(|field| Ok(input.index_of(field.name())?));
        let kept = kept.collect::<Result<_>>()?;
        Ok(Stage::transform(FilterStage { condition: [condition], kept }))
    }
}

fn compile(options: &FilterOptions, input: &SchemaRef, now: SystemTime) -> Result<Compiled> {
    let functions = Functions::new();
    let scope = Scope::new(&functions, input.clone(), now)?;
    condition(&scope, &options.r#where, AT)
}

/// The condition at an option, ready to be evaluated.
///
/// # Errors
/// When it cannot be true or false.
pub(crate) fn condition(scope: &Scope<'_>, expression: &Expression, at: &str) -> Result<Compiled> {
    let condition = scope.scalar(&expression.0, at)?;
    match condition.data_type() {
        // NULL alone: no row stays.
        DataType::Boolean | DataType::Null => Ok(condition.with_type(DataType::Boolean)),
        other => Err(Error::option(
            at,
            format!("the condition must be true or false, but this is {}", type_name(other)),
        )
        .help("compare it with something, for example `… > 0` or `… IS NOT NULL`")),
    }
}

struct FilterStage {
    condition: [Compiled; 1],
    /// The columns to hand on.
    kept: Vec<usize>,
}

impl Transform for FilterStage {
    fn process(&mut self, batch: RecordBatch, out: &mut dyn Output) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let evaluated = evaluate(&self.condition, batch, out)?;
        let Some(mask) = evaluated.columns.first().and_then(|mask| mask.as_boolean_opt()) else {
            return Err(Error::internal("the condition of a filter gave no truth values"));
        };
        let rows = evaluated.rows.project(&self.kept)?;
        match mask.true_count() {
            0 => Ok(()),
            count if count == mask.len() => out.emit(rows),
            _ => out.emit(filter_record_batch(&rows, mask)?),
        }
    }
}
