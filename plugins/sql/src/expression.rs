//! From the text of an expression to code that runs on batches of one schema.

use std::sync::Arc;
use std::time::SystemTime;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, SchemaRef};
use datafusion_common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion_common::{DFSchema, DFSchemaRef, DataFusionError, SchemaError};
use datafusion_expr::execution_props::ExecutionProps;
use datafusion_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion_expr::simplify::SimplifyContext;
use datafusion_expr::{Documentation, Expr, ExprSchemable};
use datafusion_optimizer::simplify_expressions::ExprSimplifier;
use datafusion_physical_expr::utils::collect_columns;
use datafusion_physical_expr::{PhysicalExpr, create_physical_expr};
use datafusion_sql::planner::{ParserOptions, PlannerContext, SqlToRel};
use gristmill_stage::{Error, Result};

use crate::checked::checked;
use crate::columns::{cast_to, plain_type, type_name};
use crate::facts::Facts;
use crate::functions::Functions;
use crate::syntax::{self, shorten};
use crate::trial::{check_constants, try_out};
use crate::wording;

/// A schema that expressions are written against.
pub(crate) struct Scope<'a> {
    functions: &'a Functions,
    schema: SchemaRef,
    names: DFSchemaRef,
    simplifier: ExprSimplifier,
    props: ExecutionProps,
}

/// An expression that is ready to run, with where it stands in the options.
#[derive(Debug, Clone)]
pub(crate) struct Compiled {
    at: String,
    code: Arc<dyn PhysicalExpr>,
    data_type: DataType,
    facts: Facts,
}

impl<'a> Scope<'a> {
    /// Expressions against `schema`, for which `now()` is `now`.
    ///
    /// # Errors
    /// When two columns have the same name.
    pub(crate) fn new(
        functions: &'a Functions,
        schema: SchemaRef,
        now: SystemTime,
    ) -> Result<Self> {
        let names = DFSchema::try_from(Arc::clone(&schema))
            .map_err(|error| Error::schema(format!("the input {}", wording::plain(&error))))?;
        let names = Arc::new(names);
        let context = SimplifyContext::builder()
            .with_schema(Arc::clone(&names))
            .with_query_execution_start_time(Some(now.into()))
            .build();
        let props = ExecutionProps::new().with_query_execution_start_time(now.into());
        let simplifier = ExprSimplifier::new(context);
        Ok(Self { functions, schema, names, simplifier, props })
    }

    /// The columns with the names by which expressions refer to them.
    pub(crate) fn names(&self) -> &DFSchema {
        &self.names
    }

    /// What is behind `now()` and the like.
    pub(crate) fn props(&self) -> &ExecutionProps {
        &self.props
    }

    /// The columns.
    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Parses an expression and finds its columns and functions. Types are not looked at yet.
    pub(crate) fn parse(&self, text: &str, at: &str) -> Result<Expr> {
        let syntax = syntax::parse(self.functions, text, at)?;
        let options = ParserOptions::new()
            .with_enable_ident_normalization(false)
            .with_map_string_types_to_utf8view(false)
            .with_collect_spans(true);
        let planner = SqlToRel::new_with_options(self.functions, options);
        let parsed = planner
            .sql_to_expr(syntax, &self.names, &mut PlannerContext::new())
            .map_err(|error| planning_error(&error, text, at))?;
        refuse_foreign(&parsed, at)?;
        Ok(parsed)
    }

    /// Gives every part its type, evaluates what is constant, and tries the rest as far as that goes
    /// without rows.
    pub(crate) fn settle(&self, expr: Expr, at: &str) -> Result<Expr> {
        let wrong = |error: DataFusionError| self.type_error(&expr, &error, at);
        let coerced = self.simplifier.coerce(expr.clone(), &self.names).map_err(wrong)?;
        check_constants(self, &coerced, at)?;
        let settled = self.simplifier.simplify(coerced).map_err(wrong)?;
        try_out(self, &settled, at)?;
        Ok(settled)
    }

    /// Compiles an expression that has been settled.
    pub(crate) fn compile(&self, expr: &Expr, at: &str) -> Result<Compiled> {
        let context = PhysicalPlanningContext::default();
        let code = create_physical_expr(expr, &self.names, &self.props, &context)
            .and_then(|code| checked(code, &self.schema))
            .map_err(|error| self.type_error(expr, &error, at))?;
        Compiled::new(code, &self.schema, at)
    }

    /// All of the above for an expression on single rows.
    pub(crate) fn scalar(&self, text: &str, at: &str) -> Result<Compiled> {
        let parsed = self.parse(text, at)?;
        if let Some(name) = first_aggregate(&parsed) {
            return Err(Error::option(
                at,
                format!("`{name}` gathers many rows, but this expression sees one row at a time"),
            )
            .help("use it in an `aggregate` stage, under `select`"));
        }
        let settled = self.settle(parsed.clone(), at)?;
        let facts = Facts::new(&parsed, &settled, &self.names);
        Ok(Compiled { facts, ..self.compile(&settled, at)? })
    }

    /// The smallest part of `expr` that does not work is to blame.
    pub(crate) fn type_error(&self, expr: &Expr, error: &DataFusionError, at: &str) -> Error {
        if let Some(error) = missing_column(error, "", at) {
            return error;
        }
        let Some((part, error)) = self.blame(expr) else {
            return Error::option(at, wording::plain(error));
        };
        let types = |parts: &[Expr]| -> Vec<String> {
            parts
                .iter()
                .map(|part| self.type_of(part).map_or_else(|| "?".to_owned(), |t| type_name(&t)))
                .collect()
        };
        let usage = |documentation: Option<&Documentation>| {
            documentation.map(|d| format!("it is used as {}", d.syntax_example))
        };
        let call = |name: &str, args: &[Expr], documentation| {
            let given = types(args).join(", ");
            let message = format!("`{name}` does not take ({given}): {}", wording::plain(&error));
            match usage(documentation) {
                Some(usage) => Error::option(at, message).help(usage),
                None => Error::option(at, message),
            }
        };
        match &part {
            Expr::BinaryExpr(binary) => {
                let sides = types(&[(*binary.left).clone(), (*binary.right).clone()]);
                Error::option(
                    at,
                    format!(
                        "`{}` does not work on {} and {}",
                        shorten(&part.human_display().to_string()),
                        sides[0],
                        sides[1],
                    ),
                )
                .help("cast one side, for example `cast(x as double)`")
            }
            Expr::ScalarFunction(f) => call(f.name(), &f.args, f.func.documentation()),
            Expr::AggregateFunction(f) => {
                call(f.func.name(), &f.params.args, f.func.documentation())
            }
            other => Error::option(
                at,
                format!(
                    "`{}` does not work: {}",
                    shorten(&other.human_display().to_string()),
                    wording::plain(&error)
                ),
            ),
        }
    }

    fn blame(&self, expr: &Expr) -> Option<(Expr, DataFusionError)> {
        let mut found = None;
        let walked = expr.apply_children(|child| {
            found = self.blame(child);
            Ok(if found.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        });
        if walked.is_ok() && found.is_some() {
            return found;
        }
        let coerced = self.simplifier.coerce(expr.clone(), &self.names);
        let error = match coerced.and_then(|expr| expr.get_type(&self.names)) {
            Ok(_) => return None,
            Err(error) => error,
        };
        Some((expr.clone(), error))
    }

    fn type_of(&self, expr: &Expr) -> Option<DataType> {
        self.simplifier.coerce(expr.clone(), &self.names).ok()?.get_type(&self.names).ok()
    }
}

impl Compiled {
    /// Code against `schema`, with where it stands in the options.
    pub(crate) fn new(code: Arc<dyn PhysicalExpr>, schema: &SchemaRef, at: &str) -> Result<Self> {
        let data_type =
            code.data_type(schema).map_err(|error| Error::option(at, wording::plain(&error)))?;
        let (data_type, facts) = (plain_type(&data_type), Facts::default());
        Ok(Self { at: at.to_owned(), code, data_type, facts })
    }

    /// Emits `data_type` in place of the type that the expression has by itself.
    pub(crate) fn with_type(mut self, data_type: DataType) -> Self {
        self.data_type = data_type;
        self
    }

    /// Emits the type that the expression has by itself, for code that goes by that type.
    pub(crate) fn with_own_type(mut self, schema: &SchemaRef) -> Result<Self> {
        self.data_type = self
            .code
            .data_type(schema)
            .map_err(|error| Error::option(&self.at, wording::plain(&error)))?;
        Ok(self)
    }

    /// The type of the column that it computes.
    pub(crate) fn data_type(&self) -> &DataType {
        &self.data_type
    }

    /// What is known of it, if it is an expression on single rows.
    pub(crate) fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The compiled code.
    pub(crate) fn code(&self) -> &Arc<dyn PhysicalExpr> {
        &self.code
    }

    /// The numbers of the columns that it reads.
    pub(crate) fn reads(&self) -> impl Iterator<Item = usize> {
        collect_columns(&self.code).into_iter().map(|column| column.index())
    }

    /// Computes the column.
    ///
    /// # Errors
    /// The reason, when one row or more cannot be computed.
    pub(crate) fn evaluate(&self, batch: &RecordBatch) -> std::result::Result<ArrayRef, String> {
        let array = self
            .code
            .evaluate(batch)
            .and_then(|value| value.into_array(batch.num_rows()))
            .map_err(|error| self.reason(&error))?;
        cast_to(array, &self.data_type).map_err(|error| self.reason(&error.into()))
    }

    fn reason(&self, error: &DataFusionError) -> String {
        format!("{}: {}", self.at, wording::plain(error))
    }
}

/// The first aggregate function in an expression.
fn first_aggregate(expr: &Expr) -> Option<String> {
    let mut name = None;
    let walked = expr.apply(|part| {
        Ok(match part {
            Expr::AggregateFunction(function) => {
                name = Some(function.func.name().to_owned());
                TreeNodeRecursion::Stop
            }
            _ => TreeNodeRecursion::Continue,
        })
    });
    walked.ok().and(name)
}

/// Refuses what SQL has and a stage has not.
fn refuse_foreign(expr: &Expr, at: &str) -> Result<()> {
    let mut foreign = None;
    let walked = expr.apply(|part| {
        foreign = match part {
            Expr::Unnest(_) => Some("`unnest` makes several rows of one"),
            Expr::Placeholder(_) => Some("a placeholder stands for a value that nobody gives"),
            Expr::WindowFunction(_) => Some("window functions look at other rows"),
            Expr::ScalarVariable(..) => Some("there are no variables"),
            Expr::GroupingSet(_) => Some("there are no grouping sets"),
            #[expect(deprecated, reason = "the parser still makes it")]
            Expr::Wildcard { .. } => Some("`*` stands only in `count(*)`"),
            _ => None,
        };
        Ok(if foreign.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    match (walked, foreign) {
        (Ok(_), None) => Ok(()),
        (_, Some(what)) => Err(Error::option(at, what)),
        (Err(error), None) => Err(Error::option(at, wording::plain(&error))),
    }
}

fn planning_error(error: &DataFusionError, text: &str, at: &str) -> Error {
    missing_column(error, text, at).unwrap_or_else(|| Error::option(at, wording::plain(error)))
}

/// The error for a column that is not there, if that is what `error` says.
fn missing_column(error: &DataFusionError, text: &str, at: &str) -> Option<Error> {
    let DataFusionError::SchemaError(error, _) = error.find_root() else {
        return None;
    };
    let SchemaError::FieldNotFound { field, .. } = error.as_ref() else {
        return None;
    };
    // `a.b` is read as column b of table a; people mean field b of column a.
    let name = match &field.relation {
        Some(relation) => relation.to_string().split('.').next().unwrap_or_default().to_owned(),
        None => field.name.clone(),
    };
    let error = Error::column(&name, format!("there is no column `{name}`")).at(at);
    Some(if text.contains(&syntax::quoted(&name)) {
        error.help(format!("a name stands in double quotes, a text in single ones: '{name}'"))
    } else {
        error
    })
}
