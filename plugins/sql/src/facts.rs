//! What is known of an expression before there is a row.

use std::collections::BTreeSet;

use arrow_schema::DataType;
use datafusion_common::{DFSchema, ScalarValue};
use datafusion_expr::expr::InList;
use datafusion_expr::{Expr, Operator};
use gristmill_stage::{Comparison, Constant, Relation, Test};

use crate::total::is_total;

/// What is known of an expression on single rows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Facts {
    /// The columns that it names.
    pub(crate) columns: BTreeSet<String>,
    /// Whether it has a value on every row, and always the same.
    pub(crate) total: bool,
    /// Comparisons that are true wherever it is.
    pub(crate) comparisons: Vec<Comparison>,
}

impl Facts {
    /// Of an expression as it was written, and as it is after it was settled.
    pub(crate) fn new(written: &Expr, settled: &Expr, schema: &DFSchema) -> Self {
        let columns = written.column_refs().into_iter().map(|column| column.name.clone());
        let mut comparisons = Vec::new();
        conjuncts(settled, schema, &mut comparisons);
        Self { columns: columns.collect(), total: is_total(settled, schema), comparisons }
    }
}

fn conjuncts(expr: &Expr, schema: &DFSchema, found: &mut Vec<Comparison>) {
    match expr {
        Expr::BinaryExpr(binary) if binary.op == Operator::And => {
            conjuncts(&binary.left, schema, found);
            conjuncts(&binary.right, schema, found);
        }
        Expr::Between(between) if !between.negated => {
            let bounds =
                [(Relation::GreaterOrEqual, &between.low), (Relation::LessOrEqual, &between.high)];
            for (relation, bound) in bounds {
                found.extend(compared(&between.expr, relation, bound, schema));
            }
        }
        other => found.extend(comparison(other, schema)),
    }
}

fn comparison(expr: &Expr, schema: &DFSchema) -> Option<Comparison> {
    let test = |column: &Expr, test| Some(Comparison { column: name(column)?, test });
    match expr {
        Expr::BinaryExpr(binary) if binary.op == Operator::Or => one_of(expr, schema),
        Expr::BinaryExpr(binary) => {
            let relation = relation(binary.op)?;
            compared(&binary.left, relation, &binary.right, schema)
                .or_else(|| compared(&binary.right, relation.flipped(), &binary.left, schema))
        }
        Expr::InList(InList { expr, list, negated: false }) => {
            let values = list.iter().map(|item| constant(expr, item, schema));
            test(expr, Test::In(values.collect::<Option<_>>()?))
        }
        Expr::IsNull(inner) => test(inner, Test::Null),
        Expr::IsNotNull(inner) => test(inner, Test::NotNull),
        Expr::Not(inner) => test(inner, Test::Is(Relation::Equal, Constant::Boolean(false))),
        Expr::Column(_) => test(expr, Test::Is(Relation::Equal, Constant::Boolean(true))),
        _ => None,
    }
}

/// `a = 1 OR a = 2`, which is what becomes of a short `a IN (1, 2)`.
fn one_of(expr: &Expr, schema: &DFSchema) -> Option<Comparison> {
    match expr {
        Expr::BinaryExpr(binary) if binary.op == Operator::Or => {
            let left = one_of(&binary.left, schema)?;
            let right = one_of(&binary.right, schema)?;
            match (left.test, right.test) {
                (Test::In(mut values), Test::In(more)) if left.column == right.column => {
                    values.extend(more);
                    Some(Comparison { column: left.column, test: Test::In(values) })
                }
                _ => None,
            }
        }
        other => match comparison(other, schema)? {
            Comparison { column, test: Test::Is(Relation::Equal, value) } => {
                Some(Comparison { column, test: Test::In(vec![value]) })
            }
            other => matches!(other.test, Test::In(_)).then_some(other),
        },
    }
}

fn compared(
    column: &Expr,
    relation: Relation,
    value: &Expr,
    schema: &DFSchema,
) -> Option<Comparison> {
    let value = constant(column, value, schema)?;
    Some(Comparison { column: name(column)?, test: Test::Is(relation, value) })
}

fn name(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Column(column) => Some(column.name.clone()),
        _ => None,
    }
}

fn relation(operator: Operator) -> Option<Relation> {
    Some(match operator {
        Operator::Eq => Relation::Equal,
        Operator::NotEq => Relation::NotEqual,
        Operator::Lt => Relation::Less,
        Operator::LtEq => Relation::LessOrEqual,
        Operator::Gt => Relation::Greater,
        Operator::GtEq => Relation::GreaterOrEqual,
        _ => return None,
    })
}

/// A literal of the very type of the column.
fn constant(column: &Expr, value: &Expr, schema: &DFSchema) -> Option<Constant> {
    let (Expr::Column(column), Expr::Literal(value, _)) = (column, value) else { return None };
    let field = schema.field_with_unqualified_name(&column.name).ok()?;
    if *field.data_type() != value.data_type() {
        return None;
    }
    Some(match value {
        ScalarValue::Boolean(Some(value)) => Constant::Boolean(*value),
        // There are two zeros, and whoever compares must not have to know which are equal.
        ScalarValue::Float64(Some(value)) if value.is_finite() && *value != 0.0 => {
            Constant::Float(*value)
        }
        ScalarValue::Utf8(Some(text))
        | ScalarValue::LargeUtf8(Some(text))
        | ScalarValue::Utf8View(Some(text)) => Constant::Text(text.clone()),
        integer if integer.data_type().is_integer() && !integer.is_null() => {
            match integer.cast_to(&DataType::Int64).ok()? {
                ScalarValue::Int64(Some(value)) => Constant::Integer(value),
                _ => return None,
            }
        }
        _ => return None,
    })
}
