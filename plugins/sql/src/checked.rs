//! Arithmetic that fails where a whole number does not fit, in place of wrapping around.

use std::sync::Arc;

use arrow_schema::Schema;
use datafusion_common::tree_node::{Transformed, TreeNode};
use datafusion_common::{DataFusionError, ScalarValue};
use datafusion_expr::Operator;
use datafusion_physical_expr::PhysicalExpr;
use datafusion_physical_expr::expressions::{BinaryExpr, Literal, NegativeExpr};

/// The same code against `schema`, in which sums, differences, products and signs of whole numbers
/// that are out of range are errors. Others than whole numbers have no range to leave, or fail by
/// themselves.
pub(crate) fn checked(
    code: Arc<dyn PhysicalExpr>,
    schema: &Schema,
) -> Result<Arc<dyn PhysicalExpr>, DataFusionError> {
    let made = code.transform_up(|part| {
        if let Some(binary) = part.downcast_ref::<BinaryExpr>()
            && let op @ (Operator::Plus | Operator::Minus | Operator::Multiply) = *binary.op()
        {
            return Ok(Transformed::yes(whole(binary.left(), op, binary.right())));
        }
        if let Some(negative) = part.downcast_ref::<NegativeExpr>() {
            let data_type = negative.arg().data_type(schema)?;
            if data_type.is_signed_integer() {
                let zero = ScalarValue::new_zero(&data_type)?;
                let zero: Arc<dyn PhysicalExpr> = Arc::new(Literal::new(zero));
                return Ok(Transformed::yes(whole(&zero, Operator::Minus, negative.arg())));
            }
        }
        Ok(Transformed::no(part))
    });
    made.map(|made| made.data)
}

fn whole(
    left: &Arc<dyn PhysicalExpr>,
    op: Operator,
    right: &Arc<dyn PhysicalExpr>,
) -> Arc<dyn PhysicalExpr> {
    let binary = BinaryExpr::new(Arc::clone(left), op, Arc::clone(right));
    Arc::new(binary.with_fail_on_overflow(true))
}
