//! Columns to rows and back.

use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::{DataType, FieldRef, Schema, SchemaRef};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_arrow::schema::{SchemaLike, TracingOptions};

use crate::{Error, Result};

/// The schema of a struct: a column per field, null only where the field is an `Option`.
///
/// `String` becomes `Utf8`, `Vec` becomes `List`, a map becomes `Map`, an enum without data `Utf8`.
///
/// # Errors
/// [`ErrorKind::Schema`](crate::ErrorKind::Schema) when `T` is no struct or has a field whose type
/// cannot be known beforehand, such as `serde_json::Value`.
pub fn schema_of<T: DeserializeOwned>() -> Result<SchemaRef> {
    let options = TracingOptions::default()
        .strings_as_large_utf8(false)
        .sequence_as_large_list(false)
        .bytes_as_large_binary(false)
        .map_as_struct(false)
        .enums_without_data_as_strings(true)
        .from_type_budget(1000);
    let fields = Vec::<FieldRef>::from_type::<T>(options).map_err(|e| {
        let name = std::any::type_name::<T>();
        Error::schema(format!("`{name}` has no schema of columns: {}", explain(&e)))
    })?;
    Ok(Arc::new(Schema::new(fields.iter().map(plain).collect::<Vec<_>>())))
}

/// The field with text in place of a dictionary, which is what enums are traced as.
fn plain(field: &FieldRef) -> FieldRef {
    let data_type = match field.data_type() {
        DataType::Dictionary(_, values) => values.as_ref().clone(),
        DataType::List(item) => DataType::List(plain(item)),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(plain).collect()),
        _ => return field.clone(),
    };
    Arc::new(field.as_ref().clone().with_data_type(data_type))
}

/// Checks that the input has a column for each field of `T` that is no `Option`. Types are not
/// compared: numbers are converted where they fit, row by row.
///
/// # Errors
/// [`Error::column`] for the first column that is missing, and the errors of [`schema_of`].
pub fn expect<T: DeserializeOwned>(input: Option<&SchemaRef>) -> Result<()> {
    let wanted = schema_of::<T>()?;
    let missing = wanted
        .fields()
        .iter()
        .filter(|field| !field.is_nullable())
        .find(|field| input.is_none_or(|input| input.column_with_name(field.name()).is_none()));
    match missing {
        None => Ok(()),
        Some(field) => {
            let (name, kind) = (field.name(), field.data_type());
            Err(Error::column(name, format!("the input has no column `{name}` ({kind})")))
        }
    }
}

/// The rows of a batch as structs. Columns without a field are passed over.
///
/// # Errors
/// [`ErrorKind::Data`](crate::ErrorKind::Data) for the first row that does not fit, naming the
/// column.
pub fn from_batch<T: DeserializeOwned>(batch: &RecordBatch) -> Result<Vec<T>> {
    let reader = Reader::new(batch)?;
    (0..batch.num_rows())
        .map(|row| reader.get(row).map_err(|e| e.context(format_args!("row {row}"))))
        .collect()
}

/// A batch of the schema from structs that fit it, such as those of [`schema_of`].
///
/// # Errors
/// [`ErrorKind::Data`](crate::ErrorKind::Data) when a value does not fit its column.
pub fn to_batch<T: Serialize>(schema: &SchemaRef, rows: &[T]) -> Result<RecordBatch> {
    let columns = serde_arrow::to_arrow(schema.fields(), rows).map_err(|e| {
        Error::data(format!("a row does not fit the columns it should go into: {}", explain(&e)))
    })?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    Ok(RecordBatch::try_new_with_options(schema.clone(), columns, &options)?)
}

/// Reads single rows of a batch.
pub(super) struct Reader<'a>(serde_arrow::Deserializer<'a>);

impl<'a> Reader<'a> {
    pub(super) fn new(batch: &'a RecordBatch) -> Result<Self> {
        serde_arrow::Deserializer::from_record_batch(batch).map(Self).map_err(|e| {
            Error::schema(format!("the columns cannot be read as rows: {}", explain(&e)))
        })
    }

    pub(super) fn get<T: DeserializeOwned>(&self, row: usize) -> Result<T> {
        let item = self.0.get(row).ok_or_else(|| Error::internal(format!("no row {row}")))?;
        T::deserialize(item).map_err(|e| Error::data(explain(&e)))
    }
}

/// The error in our words, with the column first.
fn explain(error: &serde_arrow::Error) -> String {
    let text = error.to_string();
    // The place is only in the text: `message (data_type: "Utf8", field: "$.price")`.
    let field = text.rsplit_once("field: \"$.").and_then(|(_, rest)| rest.split_once('"'));
    let message = ["deserialization failed: ", "serialization failed: "]
        .iter()
        .find_map(|prefix| error.message().strip_prefix(prefix))
        .unwrap_or(error.message());
    match (error.kind(), field) {
        (serde_arrow::ErrorKind::NullabilityViolation { .. }, Some((field, _))) => {
            format!("column `{field}` is null, but a value is needed")
        }
        (_, Some((field, _))) => format!("column `{field}`: {message}"),
        (_, None) => message.to_owned(),
    }
}
