//! The same rows in other batches and other layouts.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, UInt32Array};
use arrow_schema::{ArrowError, DataType, Field, Schema};
use arrow_select::take::take_record_batch;

use crate::conformance::dice::Dice;

/// A batch for each row.
pub(crate) fn single(whole: &RecordBatch) -> Vec<RecordBatch> {
    (0..whole.num_rows()).map(|row| whole.slice(row, 1)).collect()
}

/// The batches with an empty one before, between and after them.
pub(crate) fn with_empty(batches: &[RecordBatch]) -> Vec<RecordBatch> {
    let mut all = Vec::new();
    for batch in batches {
        all.extend([batch.slice(0, 0), batch.clone()]);
    }
    all.extend(batches.first().map(|batch| RecordBatch::new_empty(batch.schema())));
    all
}

/// The rows cut at random, now and then with an empty batch.
pub(crate) fn cut(whole: &RecordBatch, dice: &mut Dice) -> Vec<RecordBatch> {
    let mut batches = Vec::new();
    let mut start = 0;
    let most = 1 + dice.below(whole.num_rows().max(1));
    while start < whole.num_rows() {
        let rows = dice.below(most + 1).min(whole.num_rows() - start);
        batches.push(whole.slice(start, rows));
        start += rows;
    }
    batches
}

/// The same rows as a slice out of a larger batch: every column begins at an offset.
pub(crate) fn padded(whole: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    if whole.num_rows() == 0 {
        return Ok(whole.clone());
    }
    let rows = whole.num_rows() as u32;
    let order: Vec<u32> =
        [rows - 1, 0, rows - 1].into_iter().chain(0..rows).chain([0, rows - 1]).collect();
    let large = take_record_batch(whole, &UInt32Array::from(order))?;
    Ok(large.slice(3, whole.num_rows()))
}

/// Ways in which Arrow lays out texts.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Layout {
    LargeUtf8,
    Utf8View,
    Dictionary,
}

impl Layout {
    pub(crate) const ALL: [Self; 3] = [Self::LargeUtf8, Self::Utf8View, Self::Dictionary];

    fn data_type(self) -> DataType {
        match self {
            Self::LargeUtf8 => DataType::LargeUtf8,
            Self::Utf8View => DataType::Utf8View,
            Self::Dictionary => {
                DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
            }
        }
    }
}

/// The rows with all text columns in that layout; `None` when there is no text column.
pub(crate) fn strings(
    batch: &RecordBatch,
    layout: Layout,
) -> Result<Option<RecordBatch>, ArrowError> {
    let schema = batch.schema();
    let mut found = false;
    let mut fields = Vec::new();
    let mut columns: Vec<ArrayRef> = Vec::new();
    for (field, column) in schema.fields().iter().zip(batch.columns()) {
        if field.data_type() == &DataType::Utf8 {
            found = true;
            let data_type = layout.data_type();
            columns.push(arrow_cast::cast(column, &data_type)?);
            fields.push(Arc::new(Field::new(field.name(), data_type, field.is_nullable())));
        } else {
            columns.push(Arc::clone(column));
            fields.push(Arc::clone(field));
        }
    }
    if !found {
        return Ok(None);
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map(Some)
}
