//! Batches and schemas over the Arrow C Data Interface.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow_array::ffi::from_ffi_and_data_type;
use arrow_array::{Array, RecordBatch, RecordBatchOptions, StructArray};
use arrow_data::ArrayData;
use arrow_schema::{DataType, Schema, SchemaRef};
use gristmill_stage::{Error, Result};

use crate::check::check;
use crate::plain::plain_schema;
use crate::{ArrowArray, ArrowSchema};

/// A batch as one struct array. Whoever gets it releases it.
pub fn export_batch(batch: RecordBatch) -> ArrowArray {
    ArrowArray::new(&StructArray::from(batch).into_data())
}

/// The batch that an array of this schema is. No row is copied.
///
/// With `foreign`, its structure is checked first: what came from another library may be anything. So
/// are all numbers by which values are found: offsets, and keys of dictionaries. Not checked is whether
/// texts are UTF-8, which for other than ASCII takes longer than the whole border; see
/// [`check_rows`].
///
/// # Safety
/// The array must be one of the C Data Interface: pointers that are not null lead to as much as its
/// lengths and types say, and its release callback may be called from any thread.
///
/// # Errors
/// When it has another structure than the schema says.
pub unsafe fn import_batch(
    array: ArrowArray,
    schema: &SchemaRef,
    foreign: bool,
) -> Result<RecordBatch> {
    if !foreign {
        // SAFETY: by the contract of this function.
        return unsafe { import(array, schema, false) };
    }
    // What the check does not see, Arrow's import may panic at.
    // SAFETY: by the contract of this function.
    let read = catch_unwind(AssertUnwindSafe(|| unsafe { import(array, schema, true) }));
    read.unwrap_or_else(|_| Err(Error::internal("the plugin handed over a broken array")))
}

unsafe fn import(array: ArrowArray, schema: &SchemaRef, foreign: bool) -> Result<RecordBatch> {
    let kind = DataType::Struct(schema.fields().clone());
    if foreign {
        // SAFETY: by the contract of this function.
        unsafe { check(&array, &kind) }?;
    }
    let broken = |e| Error::internal(format!("the plugin handed over a broken array: {e}"));
    // SAFETY: by the contract of this function.
    let data = mended(unsafe { from_ffi_and_data_type(array, kind) }.map_err(broken)?);
    let rows = data.len();
    let (_, columns, nulls) = StructArray::from(data).into_parts();
    if nulls.is_some_and(|nulls| nulls.null_count() > 0) {
        return Err(Error::internal("the plugin handed over a batch in which whole rows are null"));
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options).map_err(broken)
}

/// Arrow's import takes empty columns of texts for ones without bytes, also if their offsets begin
/// further on, and such a column panics when it is worked on.
fn mended(data: ArrayData) -> ArrayData {
    fn has_empty(data: &ArrayData) -> bool {
        data.child_data().iter().any(|child| child.is_empty() || has_empty(child))
    }
    if data.is_empty() {
        return ArrayData::new_empty(data.data_type());
    }
    if !has_empty(&data) {
        return data;
    }
    let children = data.child_data().iter().cloned().map(mended).collect();
    // SAFETY: nothing has changed but columns without rows.
    unsafe { data.into_builder().child_data(children).build_unchecked() }
}

/// Checks all that [`import_batch`] does not: that texts are UTF-8.
///
/// # Errors
/// Which column is broken, and why.
pub fn check_rows(batch: &RecordBatch) -> Result<()> {
    for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
        column.to_data().validate_full().map_err(|e| {
            let name = field.name();
            Error::internal(format!("the plugin handed over a broken column `{name}`: {e}"))
        })?;
    }
    Ok(())
}

/// A schema as one struct type. Whoever gets it releases it.
///
/// # Errors
/// When a type has no name in the C Data Interface.
pub fn export_schema(schema: &Schema) -> Result<ArrowSchema> {
    ArrowSchema::try_from(schema).map_err(|e| Error::schema(e.to_string()))
}

/// The schema of a struct type.
///
/// # Safety
/// It must be one of the C Data Interface that is not released.
///
/// # Errors
/// When it is no struct, or has a type that is unknown here.
pub unsafe fn import_schema(schema: &ArrowSchema) -> Result<SchemaRef> {
    // SAFETY: by the contract of this function.
    let schema = unsafe { import_any_schema(schema) }?;
    match plain_schema(&schema)? {
        None => Ok(schema),
        Some(_) => {
            Err(Error::internal("the plugin handed over a schema with views, which do not cross"))
        }
    }
}

/// The schema of a part of a state, which may have views: a stage gets back just what it has kept.
///
/// # Safety
/// It must be one of the C Data Interface that is not released.
///
/// # Errors
/// When it is no struct, or has a type that is unknown here.
pub unsafe fn import_any_schema(schema: &ArrowSchema) -> Result<SchemaRef> {
    if schema.release.is_none() {
        return Err(Error::internal("the plugin handed over a schema that was released already"));
    }
    // Arrow's import panics at pointers that are null.
    let read = catch_unwind(AssertUnwindSafe(|| Schema::try_from(schema)));
    match read {
        Ok(Ok(schema)) => Ok(Arc::new(schema)),
        Ok(Err(e)) => Err(Error::internal(format!("the plugin handed over a broken schema: {e}"))),
        Err(_) => Err(Error::internal("the plugin handed over a broken schema")),
    }
}
