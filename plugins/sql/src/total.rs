//! Whether an expression has a value on every row.

use arrow_schema::DataType;
use datafusion_common::DFSchema;
use datafusion_expr::expr::{Case, InList, Like};
use datafusion_expr::{Cast, Expr, ExprSchemable, Operator};

/// Functions that take any value of their types, and make the same of it every time.
const FUNCTIONS: [&str; 16] = [
    "bit_length",
    "btrim",
    "character_length",
    "coalesce",
    "concat",
    "contains",
    "ends_with",
    "isnan",
    "lower",
    "ltrim",
    "nullif",
    "octet_length",
    "reverse",
    "rtrim",
    "starts_with",
    "upper",
];

/// Whether an expression that was settled can neither fail on a row nor differ from one time to the
/// next. In doubt it can.
pub(crate) fn is_total(expr: &Expr, schema: &DFSchema) -> bool {
    let total = |expr: &Expr| is_total(expr, schema);
    let plain = |expr: &Expr| expr.get_type(schema).is_ok_and(|kind| !kind.is_nested());
    let float = |expr: &Expr| expr.get_type(schema).is_ok_and(|kind| kind.is_floating());
    match expr {
        Expr::Literal(..) | Expr::Column(_) => true,
        Expr::Alias(alias) => total(&alias.expr),
        Expr::BinaryExpr(binary) => {
            let (left, right) = (&*binary.left, &*binary.right);
            let works = match binary.op {
                Operator::And | Operator::Or => true,
                // Integers are divided by zero, and dates leave their calendar.
                Operator::Plus | Operator::Minus | Operator::Multiply | Operator::Divide => {
                    float(left) && float(right)
                }
                op => compares(op) && plain(left) && plain(right),
            };
            works && total(left) && total(right)
        }
        Expr::Not(inner)
        | Expr::IsNull(inner)
        | Expr::IsNotNull(inner)
        | Expr::IsTrue(inner)
        | Expr::IsFalse(inner)
        | Expr::IsUnknown(inner)
        | Expr::IsNotTrue(inner)
        | Expr::IsNotFalse(inner)
        | Expr::IsNotUnknown(inner) => total(inner),
        Expr::Between(between) => {
            plain(&between.expr)
                && [&between.expr, &between.low, &between.high].into_iter().all(|part| total(part))
        }
        Expr::InList(InList { expr, list, .. }) => {
            plain(expr) && total(expr) && list.iter().all(total)
        }
        Expr::Like(Like { expr, pattern, escape_char: None, .. }) => {
            matches!(**pattern, Expr::Literal(..)) && total(expr)
        }
        Expr::Case(Case { expr, when_then_expr, else_expr }) => {
            let pairs = when_then_expr.iter().flat_map(|(when, then)| [when, then]);
            pairs.chain(expr).chain(else_expr).all(|part| total(part))
        }
        Expr::Cast(Cast { expr, field }) => {
            let from = expr.get_type(schema);
            from.is_ok_and(|from| always_fits(&from, field.data_type())) && total(expr)
        }
        Expr::ScalarFunction(function) => {
            FUNCTIONS.contains(&function.name())
                && function.args.iter().all(|part| plain(part) && total(part))
        }
        _ => false,
    }
}

fn compares(operator: Operator) -> bool {
    matches!(
        operator,
        Operator::Eq
            | Operator::NotEq
            | Operator::Lt
            | Operator::LtEq
            | Operator::Gt
            | Operator::GtEq
            | Operator::IsDistinctFrom
            | Operator::IsNotDistinctFrom
    )
}

/// Whether every value of one type is one of the other.
fn always_fits(from: &DataType, to: &DataType) -> bool {
    let text =
        |kind: &DataType| matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    match (from, to) {
        (from, to) if from == to => true,
        (DataType::Null, _) => true,
        (from, to) if text(to) => text(from) || from.is_numeric() || *from == DataType::Boolean,
        (from, DataType::Float64) => from.is_integer() || from.is_floating(),
        (DataType::UInt64, DataType::Int64) => false,
        (from, DataType::Int64) => from.is_integer(),
        _ => false,
    }
}
