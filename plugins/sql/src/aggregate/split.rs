//! Splits an expression over aggregates, `sum(a) / count(*)`, into the aggregates and what is
//! computed of their results.

use arrow_schema::DataType;
use datafusion_common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion_common::{Column, DataFusionError};
use datafusion_expr::expr::AggregateFunction;
use datafusion_expr::{Expr, ExprSchemable, cast};
use gristmill_stage::{Error, Result};

use crate::expression::Scope;
use crate::wording;

/// Every number of 64 bits has fewer digits, or as many.
const DISTINCT_DIGITS: u8 = 20;

/// The aggregates of a stage, each once however often it is used.
#[derive(Default)]
pub(crate) struct Aggregates {
    /// The name of the column that holds the result, and the aggregate.
    pub(crate) found: Vec<(String, Expr)>,
    /// Names that the results must not take.
    pub(crate) taken: Vec<String>,
}

impl Aggregates {
    /// Replaces every aggregate in `expr` by the column that will hold its result. What is inside
    /// of an aggregate is settled against `input`.
    pub(crate) fn split(&mut self, expr: Expr, input: &Scope<'_>, at: &str) -> Result<Expr> {
        let mut failure = None;
        let split = expr.transform_down(|part| {
            if !matches!(part, Expr::AggregateFunction(_)) {
                return Ok(Transformed::no(part));
            }
            let replaced = refuse_nested(&part, at)
                .and_then(|()| input.settle(part, at))
                .and_then(|settled| self.replace(settled, input, at));
            match replaced {
                Ok(column) => Ok(Transformed::new(column, true, TreeNodeRecursion::Jump)),
                Err(error) => {
                    failure = Some(error);
                    Err(DataFusionError::Plan(String::new()))
                }
            }
        });
        match (split, failure) {
            (Ok(split), _) => Ok(split.data),
            (Err(_), Some(error)) => Err(error),
            (Err(error), None) => Err(Error::option(at, wording::plain(&error))),
        }
    }

    /// Settling can make other aggregates of one (an exact percentile of 0 is a minimum), so it is
    /// what comes out of it that is replaced.
    fn replace(&mut self, settled: Expr, input: &Scope<'_>, at: &str) -> Result<Expr> {
        let replaced = settled.transform_down(|part| {
            let Expr::AggregateFunction(function) = part else { return Ok(Transformed::no(part)) };
            let own = Expr::AggregateFunction(function.clone()).get_type(input.names())?;
            // Sums of whole numbers are kept wide, and must fit in the end.
            let whole = function.func.name() == "sum" && own.is_integer();
            let name = self.name_of(if whole { widened(function) } else { function });
            let column = Expr::Column(Column::new_unqualified(name));
            let column = if whole { cast(column, own) } else { column };
            Ok(Transformed::new(column, true, TreeNodeRecursion::Jump))
        });
        replaced
            .map(|replaced| replaced.data)
            .map_err(|error| Error::option(at, wording::plain(&error)))
    }

    fn name_of(&mut self, function: AggregateFunction) -> String {
        let expr = Expr::AggregateFunction(function);
        let known = self.found.iter().find(|(_, known)| *known == expr && !expr.is_volatile());
        if let Some((name, _)) = known {
            return name.clone();
        }
        let mut name = expr.human_display().to_string();
        while self.taken.contains(&name) {
            name.push('\'');
        }
        self.taken.push(name.clone());
        self.found.push((name.clone(), expr));
        name
    }
}

/// A sum of distinct whole numbers as one of decimals; others have an accumulator of their own.
fn widened(mut function: AggregateFunction) -> AggregateFunction {
    if function.params.distinct {
        let wide = |argument| cast(argument, DataType::Decimal128(DISTINCT_DIGITS, 0));
        let arguments = std::mem::take(&mut function.params.args);
        function.params.args = arguments.into_iter().map(wide).collect();
    }
    function
}

fn refuse_nested(expr: &Expr, at: &str) -> Result<()> {
    let mut depth_two = None;
    let walked = expr.apply_children(|child| {
        child.apply(|part| {
            Ok(match part {
                Expr::AggregateFunction(inner) => {
                    depth_two = Some(inner.func.name().to_owned());
                    TreeNodeRecursion::Stop
                }
                _ => TreeNodeRecursion::Continue,
            })
        })
    });
    match (walked, depth_two, expr) {
        (Ok(_), None, _) => Ok(()),
        (_, Some(inner), Expr::AggregateFunction(outer)) => Err(Error::option(
            at,
            format!("`{inner}` stands inside of `{}`: aggregates do not nest", outer.func.name()),
        )
        .help("a second `aggregate` stage can gather the results of the first")),
        (Err(error), ..) => Err(Error::option(at, wording::plain(&error))),
        (Ok(_), Some(_), _) => Err(Error::option(at, "aggregates do not nest")),
    }
}
