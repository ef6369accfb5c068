//! Leaves out rows that make no difference further on.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, Scalar, StringArray,
};
use arrow_ord::cmp;
use arrow_schema::{ArrowError, DataType};
use gristmill_stage::{Comparison, Constant, Relation, Test};

/// The rows without those for which a comparison is not true. All of them when most would stay: to
/// copy these would take longer than to hand on the others. One of another type than its column
/// does not count.
///
/// # Errors
/// When a column cannot be compared after all.
pub(crate) fn skip(rows: RecordBatch, hints: &[Comparison]) -> Result<RecordBatch, ArrowError> {
    let mut mask: Option<BooleanArray> = None;
    for hint in hints {
        let Some(column) = rows.column_by_name(&hint.column) else { continue };
        let Some(fits) = test(column, &hint.test)? else { continue };
        mask = Some(match mask {
            Some(mask) => arrow_arith::boolean::and(&mask, &fits)?,
            None => fits,
        });
    }
    match mask {
        Some(mask) if mask.true_count() <= rows.num_rows() / 2 => {
            arrow_select::filter::filter_record_batch(&rows, &mask)
        }
        _ => Ok(rows),
    }
}

/// For which rows it is true; none if it cannot be told.
fn test(column: &ArrayRef, test: &Test) -> Result<Option<BooleanArray>, ArrowError> {
    match test {
        Test::Is(relation, value) => is(column, *relation, value),
        Test::In(values) => {
            let mut mask: Option<BooleanArray> = None;
            for value in values {
                let Some(fits) = is(column, Relation::Equal, value)? else { return Ok(None) };
                mask = Some(match mask {
                    Some(mask) => arrow_arith::boolean::or(&mask, &fits)?,
                    None => fits,
                });
            }
            Ok(mask)
        }
        Test::Null => arrow_arith::boolean::is_null(column).map(Some),
        Test::NotNull => arrow_arith::boolean::is_not_null(column).map(Some),
    }
}

/// For which values of a column it is true; none if it cannot be told.
pub(crate) fn is(
    column: &ArrayRef,
    relation: Relation,
    value: &Constant,
) -> Result<Option<BooleanArray>, ArrowError> {
    let Some(value) = scalar(value, column.data_type())? else { return Ok(None) };
    let compare = match relation {
        Relation::Equal => cmp::eq,
        Relation::NotEqual => cmp::neq,
        Relation::Less => cmp::lt,
        Relation::LessOrEqual => cmp::lt_eq,
        Relation::Greater => cmp::gt,
        Relation::GreaterOrEqual => cmp::gt_eq,
    };
    compare(column, &value).map(Some)
}

/// The value in the type of the column; none if it is of another.
fn scalar(value: &Constant, to: &DataType) -> Result<Option<Scalar<ArrayRef>>, ArrowError> {
    let text = matches!(to, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    let array: ArrayRef = match value {
        Constant::Boolean(value) if *to == DataType::Boolean => {
            Arc::new(BooleanArray::from(vec![*value]))
        }
        Constant::Integer(value) if to.is_integer() => Arc::new(Int64Array::from(vec![*value])),
        Constant::Float(value) if *to == DataType::Float64 => {
            Arc::new(Float64Array::from(vec![*value]))
        }
        Constant::Text(value) if text => Arc::new(StringArray::from(vec![value.as_str()])),
        _ => return Ok(None),
    };
    let array = arrow_cast::cast(&array, to)?;
    Ok(array.is_valid(0).then(|| Scalar::new(array)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> RecordBatch {
        let numbers = Int64Array::from(vec![Some(1), None, Some(3), Some(4), Some(5), Some(6)]);
        let texts = StringArray::from(vec!["a", "b", "a", "b", "a", "b"]);
        RecordBatch::try_from_iter([
            ("n", Arc::new(numbers) as ArrayRef),
            ("text", Arc::new(texts) as ArrayRef),
        ])
        .expect("two columns")
    }

    fn left(hints: &[(&str, Test)]) -> usize {
        let hints: Vec<Comparison> = hints
            .iter()
            .map(|(column, test)| Comparison { column: (*column).to_owned(), test: test.clone() })
            .collect();
        skip(rows(), &hints).expect("what fits is compared").num_rows()
    }

    #[test]
    fn rows_go_when_most_of_them_do() {
        let more_than = |n| Test::Is(Relation::Greater, Constant::Integer(n));
        let text = |text: &str| Test::Is(Relation::Equal, Constant::Text(text.to_owned()));
        assert_eq!(left(&[("n", more_than(4))]), 2);
        assert_eq!(left(&[("n", more_than(2))]), 6, "four of six stay, so all do");
        assert_eq!(left(&[("n", more_than(2)), ("text", text("b"))]), 2);
        assert_eq!(left(&[("n", Test::Null)]), 1);
        assert_eq!(left(&[("n", Test::NotNull)]), 6);
        let values = [1, 6, 7].map(Constant::Integer).to_vec();
        assert_eq!(left(&[("n", Test::In(values))]), 2);
    }

    #[test]
    fn every_relation_is_what_it_says() {
        let is = |relation| left(&[("n", Test::Is(relation, Constant::Integer(4))), ("n", most())]);
        // Of 1, 4 and 5, besides the null.
        let relations = [
            Relation::Equal,
            Relation::NotEqual,
            Relation::Less,
            Relation::LessOrEqual,
            Relation::Greater,
            Relation::GreaterOrEqual,
        ];
        assert_eq!(relations.map(is), [1, 2, 1, 2, 1, 2]);
    }

    fn most() -> Test {
        Test::In([1, 4, 5].map(Constant::Integer).to_vec())
    }

    #[test]
    fn what_does_not_fit_does_not_count() {
        let five = Test::Is(Relation::Equal, Constant::Text("5".to_owned()));
        assert_eq!(left(&[("n", five.clone()), ("other", five)]), 6);
    }
}
