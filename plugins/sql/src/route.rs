//! `route`: rows to several outputs, by conditions.

use std::time::SystemTime;

use arrow_array::cast::AsArray;
use arrow_array::{BooleanArray, RecordBatch};
use arrow_schema::SchemaRef;
use arrow_select::filter::filter_record_batch;
use gristmill_stage::{
    BuildContext, Error, Lineage, Output, Planned, Result, Role, Stage, StageSpec, Transform,
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::evaluate::evaluate;
use crate::expression::{Compiled, Scope};
use crate::filter::condition;
use crate::functions::Functions;
use crate::options::Named;

/// Options of `route`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RouteOptions {
    /// The names of the outputs with their conditions, SQL expressions that are true or false:
    /// `{ errors: status >= 500, slow: latency > 1000 }`. A row goes to the first whose condition is
    /// true, and to the output `rest` if none is. A row on which a condition fails (a cast that does
    /// not work) is rejected. Other stages take from an output by `from: stage.output`; each output
    /// must be taken, and `discard` keeps nothing.
    routes: Named,
}

/// The kind `route`.
#[derive(Debug, Clone, Copy)]
pub struct Route;

/// The output of rows that no condition is true for.
const REST: &str = "rest";

impl StageSpec for Route {
    type Options = RouteOptions;

    const KIND: &'static str = "route";
    const SUMMARY: &'static str = "Parts rows by SQL conditions into several outputs, with a rest.";
    const ROLE: Role = Role::Transform;
    const EXAMPLE: &'static str = "name: router\ntype: route\nwith:\n  routes:\n    \
         errors: status >= 500\n    slow: latency > 1000\n\
         # further stages: from: router.errors, from: router.slow, from: router.rest";
    const INPUT: &'static str = "any; the conditions name its columns";
    const OUTPUT: &'static str = "the columns of the input, by each output";

    fn plan(options: &RouteOptions, input: Option<&SchemaRef>) -> Result<Planned> {
        let input = input.ok_or_else(|| Error::internal("a route was planned without input"))?;
        let conditions = compile(options, input, SystemTime::UNIX_EPOCH)?;
        let columns = conditions.iter().flat_map(|condition| &condition.facts().columns);
        let lineage = Lineage::carries(input, columns);
        let names = options.routes.0.iter().map(|(name, _)| name.as_str());
        Ok(Planned::emits(input.clone()).lineage(lineage).ports(names.chain([REST])))
    }

    fn build(options: RouteOptions, context: BuildContext) -> Result<Stage> {
        let conditions = compile(&options, context.input(), context.clock().wall())?;
        Ok(Stage::transform(Routing { conditions }))
    }
}

fn compile(options: &RouteOptions, input: &SchemaRef, now: SystemTime) -> Result<Vec<Compiled>> {
    if options.routes.0.is_empty() {
        return Err(Error::option("routes", "there is no output besides the rest")
            .help("name one with its condition, such as `errors: status >= 500`"));
    }
    let functions = Functions::new();
    let scope = Scope::new(&functions, input.clone(), now)?;
    let routes = options.routes.0.iter();
    routes
        .map(|(name, expression)| {
            let at = format!("routes.{name}");
            check_name(name, &at)?;
            condition(&scope, expression, &at)
        })
        .collect()
}

fn check_name(name: &str, at: &str) -> Result<()> {
    if name == REST {
        let text = "`rest` is the output of rows that no condition is true for";
        return Err(Error::option(at, text).help("choose another name"));
    }
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
    match !name.is_empty() && name.chars().all(plain) {
        true => Ok(()),
        false => Err(Error::option(at, format!("`{name}` cannot name an output"))
            .help("letters, digits, `_` and `-`, as it stands after `from: stage.`")),
    }
}

struct Routing {
    conditions: Vec<Compiled>,
}

impl Transform for Routing {
    fn process(&mut self, batch: RecordBatch, out: &mut dyn Output) -> Result<()> {
        let mut left = batch;
        for (port, condition) in self.conditions.iter().enumerate() {
            if left.num_rows() == 0 {
                return Ok(());
            }
            let evaluated = evaluate(std::slice::from_ref(condition), left, out)?;
            let Some(mask) = evaluated.columns.first().and_then(|mask| mask.as_boolean_opt())
            else {
                return Err(Error::internal("a condition of a route gave no truth values"));
            };
            left = match mask.true_count() {
                0 => evaluated.rows,
                count if count == mask.len() => return out.emit_to(port, evaluated.rows),
                _ => {
                    out.emit_to(port, filter_record_batch(&evaluated.rows, mask)?)?;
                    let others = mask.iter().map(|is_true| Some(is_true != Some(true)));
                    filter_record_batch(&evaluated.rows, &BooleanArray::from_iter(others))?
                }
            };
        }
        match left.num_rows() {
            0 => Ok(()),
            _ => out.emit_to(self.conditions.len(), left),
        }
    }
}
