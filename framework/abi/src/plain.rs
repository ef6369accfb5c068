//! Views are no part of the border: texts cross with offsets, which every library of Arrow knows.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BinaryArray, RecordBatch, RecordBatchOptions, StringArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use gristmill_stage::{Error, Result};

/// The schema with texts and bytes with offsets in the place of views; none if it has no views.
///
/// # Errors
/// When there are views inside another column.
pub fn plain_schema(schema: &Schema) -> Result<Option<SchemaRef>> {
    let mut changed = false;
    let mut fields = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        let plain = match field.data_type() {
            DataType::Utf8View => DataType::Utf8,
            DataType::BinaryView => DataType::Binary,
            other if holds_views(other) => {
                let name = field.name();
                return Err(Error::column(
                    name,
                    format!(
                        "the column `{name}` holds views inside, which a plugin cannot be given"
                    ),
                )
                .help("make plain texts of them before, with `map`"));
            }
            _ => {
                fields.push(Arc::clone(field));
                continue;
            }
        };
        changed = true;
        fields.push(Arc::new(Field::clone(field).with_data_type(plain)));
    }
    let plain = || Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()));
    Ok(changed.then(plain))
}

fn holds_views(kind: &DataType) -> bool {
    match kind {
        DataType::Utf8View | DataType::BinaryView => true,
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::ListView(field)
        | DataType::LargeListView(field)
        | DataType::FixedSizeList(field, _)
        | DataType::Map(field, _) => holds_views(field.data_type()),
        DataType::Struct(fields) => fields.iter().any(|field| holds_views(field.data_type())),
        DataType::Union(fields, _) => {
            fields.iter().any(|(_, field)| holds_views(field.data_type()))
        }
        DataType::Dictionary(_, values) => holds_views(values),
        DataType::RunEndEncoded(_, values) => holds_views(values.data_type()),
        _ => false,
    }
}

/// The batch under its plain schema.
///
/// # Errors
/// When a column has more than 2 GiB of text.
pub fn plain_batch(batch: &RecordBatch, plain: &SchemaRef) -> Result<RecordBatch> {
    let columns = batch.columns().iter().map(plain_column).collect::<Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(Arc::clone(plain), columns, &options)?)
}

fn plain_column(column: &ArrayRef) -> Result<ArrayRef> {
    let fits = |bytes: usize| match i32::try_from(bytes) {
        Ok(_) => Ok(()),
        Err(_) => Err(Error::data("a batch has more than 2 GiB of text in one column")),
    };
    Ok(match column.data_type() {
        DataType::Utf8View => {
            let views = column.as_string_view();
            fits(views.iter().flatten().map(str::len).sum())?;
            Arc::new(StringArray::from_iter(views.iter()))
        }
        DataType::BinaryView => {
            let views = column.as_binary_view();
            fits(views.iter().flatten().map(<[u8]>::len).sum())?;
            Arc::new(BinaryArray::from_iter(views.iter()))
        }
        _ => Arc::clone(column),
    })
}

#[cfg(test)]
mod tests {
    use arrow_array::{BinaryViewArray, Int64Array, StringViewArray};

    use super::*;

    #[test]
    fn views_become_plain_and_all_else_stays() {
        let texts: ArrayRef =
            Arc::new(StringViewArray::from(vec![Some("a long text, not inline"), None]));
        let bytes: ArrayRef = Arc::new(BinaryViewArray::from(vec![None, Some(&b"x"[..])]));
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
        let batch =
            RecordBatch::try_from_iter([("t", texts), ("b", bytes), ("n", numbers)]).unwrap();
        let plain = plain_schema(&batch.schema()).unwrap().unwrap();
        assert!(plain_schema(&plain).unwrap().is_none());
        let batch = plain_batch(&batch, &plain).unwrap();
        assert_eq!(batch.column(0).as_string::<i32>().value(0), "a long text, not inline");
        assert!(batch.column(0).is_null(1) && batch.column(1).is_null(0));
        assert_eq!(batch.column(1).as_binary::<i32>().value(1), b"x");
    }

    #[test]
    fn views_inside_are_refused() {
        let inside = DataType::new_list(DataType::Utf8View, true);
        let schema = Schema::new(vec![Field::new("tags", inside, true)]);
        let error = plain_schema(&schema).unwrap_err();
        assert_eq!(error.column_name(), Some("tags"));
    }
}
