//! Finds parts of an expression that fail whatever the row is, so that they are errors of the
//! pipeline and not of every single row.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchOptions, new_null_array};
use arrow_schema::Schema;
use datafusion_common::DataFusionError;
use datafusion_common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion_expr::{Expr, Operator};
use datafusion_physical_expr::create_physical_expr;
use gristmill_stage::{Error, Result};

use crate::checked::checked;
use crate::expression::Scope;
use crate::syntax::shorten;
use crate::wording;

/// Tries what can be tried without knowing a row: every function on nulls and on no rows at all, and
/// what is constant as it is. Works on an expression that was settled.
///
/// # Errors
/// The smallest part that fails. A constant that fails where it may never be reached, as in a CASE,
/// is left alone; it may be meant.
pub(crate) fn try_out(scope: &Scope<'_>, expr: &Expr, at: &str) -> Result<()> {
    let trial = Trial::new(scope)?;
    match trial.look(expr, true) {
        Found::Works | Found::Hidden => Ok(()),
        Found::Fails(part, error) => {
            let text = shorten(&shown(&part));
            let message = format!("`{text}` can never work: {}", wording::plain(&error));
            let error = Error::option(at, message);
            let usage = match &*part {
                Expr::ScalarFunction(function) => function.func.documentation(),
                _ => None,
            };
            Err(match usage {
                Some(usage) => error.help(format!("it is used as {}", usage.syntax_example)),
                None => error,
            })
        }
    }
}

/// Finds arithmetic on constants that leaves the range of whole numbers: evaluated before the run, it
/// would wrap around. Works on an expression that has its types.
///
/// # Errors
/// The smallest such part.
pub(crate) fn check_constants(scope: &Scope<'_>, expr: &Expr, at: &str) -> Result<()> {
    let arithmetic = |part: &Expr| match part {
        Expr::BinaryExpr(binary) => {
            matches!(binary.op, Operator::Plus | Operator::Minus | Operator::Multiply)
        }
        Expr::Negative(_) => true,
        _ => false,
    };
    let mut found = Vec::new();
    let walked = expr.apply(|part| {
        if arithmetic(part) && part.column_refs().is_empty() && !part.is_volatile() {
            found.push(part);
        }
        Ok(TreeNodeRecursion::Continue)
    });
    if walked.is_err() || found.is_empty() {
        return Ok(());
    }
    let trial = Trial::new(scope)?;
    // Parts come after what they are part of.
    match found.iter().rev().find_map(|part| Some((part, trial.run(part, true)?))) {
        None => Ok(()),
        Some((part, error)) => {
            let text = shorten(&shown(part));
            Err(Error::option(at, format!("`{text}` can never work: {}", wording::plain(&error))))
        }
    }
}

/// What is known of a part.
enum Found {
    Works,
    /// Something in it fails, but may never be reached.
    Hidden,
    Fails(Box<Expr>, DataFusionError),
}

struct Trial<'a> {
    scope: &'a Scope<'a>,
    /// A row in which everything is null.
    nulls: RecordBatch,
}

impl<'a> Trial<'a> {
    fn new(scope: &'a Scope<'a>) -> Result<Self> {
        let fields = scope.schema().fields().iter();
        let fields = fields.map(|field| field.as_ref().clone().with_nullable(true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let columns = schema.fields().iter().map(|field| new_null_array(field.data_type(), 1));
        let columns = columns.collect();
        let one = RecordBatchOptions::new().with_row_count(Some(1));
        let nulls = RecordBatch::try_new_with_options(schema, columns, &one)?;
        Ok(Self { scope, nulls })
    }

    /// Looks at a part, its own parts first. `reached` when every row gets to it.
    fn look(&self, part: &Expr, reached: bool) -> Found {
        let (mut found, mut index) = (Found::Works, 0);
        let walked = part.apply_children(|child| {
            let inner = self.look(child, reached && always_reached(part, index));
            index += 1;
            if !matches!(inner, Found::Works) {
                found = inner;
            }
            Ok(match found {
                Found::Fails(..) => TreeNodeRecursion::Stop,
                _ => TreeNodeRecursion::Continue,
            })
        });
        if walked.is_err() || !matches!(found, Found::Works) {
            return found;
        }
        let function = matches!(part, Expr::ScalarFunction(_));
        let constant = part.column_refs().is_empty() && !part.is_volatile();
        if matches!(part, Expr::Literal(..)) || !(function || constant) {
            return Found::Works;
        }
        match self.run(part, constant) {
            None => Found::Works,
            Some(error) if function || reached => Found::Fails(Box::new(part.clone()), error),
            Some(_) => Found::Hidden,
        }
    }

    /// How it fails, if it does. What cannot be compiled by itself, as the body of a lambda, is not
    /// tried.
    fn run(&self, part: &Expr, constant: bool) -> Option<DataFusionError> {
        let context = PhysicalPlanningContext::default();
        let code =
            create_physical_expr(part, self.scope.names(), self.scope.props(), &context).ok()?;
        let code = checked(code, self.scope.schema()).ok()?;
        // Some functions take no null, others cannot do without a row, and a few panic on either:
        // none of that is a mistake of the user.
        let fails = |rows: &RecordBatch| {
            catch_unwind(AssertUnwindSafe(|| code.evaluate(rows).err())).ok().flatten()
        };
        let mut error = fails(&self.nulls)?;
        if !constant {
            error = fails(&self.nulls.slice(0, 0))?;
        }
        (!matches!(error.find_root(), DataFusionError::Internal(_))).then_some(error)
    }
}

/// Whether a part is evaluated for every row that gets to `whole`.
fn always_reached(whole: &Expr, index: usize) -> bool {
    match whole {
        Expr::Case(_) => false,
        Expr::BinaryExpr(binary) if matches!(binary.op, Operator::And | Operator::Or) => index == 0,
        Expr::ScalarFunction(function) if function.func.short_circuits() => index == 0,
        _ => true,
    }
}

/// The part about as it was written, without the casts that were added.
fn shown(part: &Expr) -> String {
    match part {
        Expr::Literal(value, _) => match value.try_as_str() {
            Some(Some(text)) => format!("'{text}'"),
            _ => value.to_string(),
        },
        Expr::Column(column) => column.name.clone(),
        Expr::Cast(cast) => shown(&cast.expr),
        Expr::ScalarFunction(function) => {
            let args: Vec<String> = function.args.iter().map(shown).collect();
            format!("{}({})", function.name(), args.join(", "))
        }
        other => other.human_display().to_string(),
    }
}
