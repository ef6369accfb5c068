//! What the statistics of a row group say about its rows.

use std::iter::once;

use arrow_array::{Array, ArrayRef, BooleanArray};
use arrow_schema::DataType;
use gristmill_stage::{Comparison, Constant, Relation, Test};
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::file::metadata::RowGroupMetaData;

use crate::skip::is;

/// Whether a row of this group may be one for which the comparison is true. What the file does not
/// say may be.
pub(super) fn may_hold(
    file: &ArrowReaderMetadata,
    group: &RowGroupMetaData,
    hint: &Comparison,
) -> bool {
    let converter =
        StatisticsConverter::try_new(&hint.column, file.schema(), file.parquet_schema());
    let Ok(column) = converter else { return true };
    let column = column.with_missing_null_counts_as_zero(false);
    let nulls = column.row_group_null_counts(once(group)).ok();
    let nulls = nulls.filter(|nulls| nulls.is_valid(0)).map(|nulls| nulls.value(0));
    let rows = u64::try_from(group.num_rows()).unwrap_or(u64::MAX);
    if hint.test == Test::Null {
        return nulls != Some(0);
    }
    if nulls == Some(rows) {
        return false;
    }
    let bounds = column.row_group_mins(once(group)).ok();
    let Some(bounds) = bounds.zip(column.row_group_maxes(once(group)).ok()) else { return true };
    match &hint.test {
        Test::Is(relation, value) => between(&bounds, *relation, value),
        Test::In(values) => values.iter().any(|value| between(&bounds, Relation::Equal, value)),
        Test::Null | Test::NotNull => true,
    }
}

/// Whether a value between these bounds may compare so. Bounds of long texts are cut, outwards.
fn between((least, greatest): &(ArrayRef, ArrayRef), relation: Relation, value: &Constant) -> bool {
    use Relation::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
    // NaN is greater than all numbers, or less, by its sign, and is in no bounds.
    if matches!(least.data_type(), DataType::Float16 | DataType::Float32 | DataType::Float64)
        && relation != Equal
    {
        return true;
    }
    let may = |bound: &ArrayRef, relation| {
        let fits = is(bound, relation, value).ok().flatten();
        fits.is_none_or(|fits: BooleanArray| fits.is_null(0) || fits.value(0))
    };
    match relation {
        Equal => may(least, LessOrEqual) && may(greatest, GreaterOrEqual),
        Less | LessOrEqual => may(least, relation),
        Greater | GreaterOrEqual => may(greatest, relation),
        NotEqual => true,
    }
}
