//! Columns that hold values, not numbers of values: rows of several batches can be put together
//! without one dictionary for all of them.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions, UInt64Array};
use arrow_schema::{DataType, Schema, SchemaRef};
use arrow_select::take::{take, take_record_batch};
use gristmill_stage::Result;

/// The schema with the values of dictionaries in their place.
pub(crate) fn schema_of(input: &SchemaRef) -> SchemaRef {
    let fields = input.fields().iter().map(|field| match field.data_type() {
        DataType::Dictionary(_, values) => {
            let plain = field.as_ref().clone().with_data_type(values.as_ref().clone());
            // A key that is there may stand for a null.
            Arc::new(plain.with_nullable(true))
        }
        _ => Arc::clone(field),
    });
    let fields: Vec<_> = fields.collect();
    Arc::new(Schema::new_with_metadata(fields, input.metadata().clone()))
}

/// The rows in that schema, without the memory of others: a slice keeps all of its batch alive.
pub(crate) fn own(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let columns = batch.columns().iter().map(|column| match column.as_any_dictionary_opt() {
        Some(dictionary) => Ok(take(dictionary.values(), dictionary.keys(), None)?),
        None => Ok(Arc::clone(column)),
    });
    let columns = columns.collect::<Result<Vec<ArrayRef>>>()?;
    let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let plain = RecordBatch::try_new_with_options(Arc::clone(schema), columns, &rows)?;
    let shown = crate::weigh::total(&plain);
    match plain.get_array_memory_size() > shown.saturating_mul(2).saturating_add(SLACK) {
        true => {
            let all = UInt64Array::from_iter_values(0..plain.num_rows() as u64);
            Ok(take_record_batch(&plain, &all)?)
        }
        false => Ok(plain),
    }
}

/// Less than this is not worth a copy.
const SLACK: usize = 4096;
