//! Takes what a stage of a plugin puts out.

use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use gristmill_abi::{
    ArrowArray, ArrowSchema, FAILED, Failure, OK, Output as Table, Text, cause, check_rows,
    import_batch, import_schema,
};
use gristmill_stage::arrow_array::RecordBatch;
use gristmill_stage::arrow_schema::SchemaRef;
use gristmill_stage::{Cause, Error, ErrorKind, Output, Result};

use crate::bounds;

/// The output of one call.
pub(crate) struct Taker<'a> {
    out: &'a mut dyn Output,
    /// The planned schema.
    output: &'a SchemaRef,
    /// The schema of the batches that the plugin was given.
    input: &'a SchemaRef,
    /// Whether every row is looked at.
    strict: bool,
    /// Why rows could not be taken, also if the plugin does not pass it on.
    pub(crate) error: Option<Error>,
}

impl<'a> Taker<'a> {
    pub(crate) fn new(
        out: &'a mut dyn Output,
        output: &'a SchemaRef,
        input: &'a SchemaRef,
        strict: bool,
    ) -> Self {
        Self { out, output, input, strict, error: None }
    }

    /// What the plugin puts out by. Serves one call.
    pub(crate) fn table(&mut self) -> Table {
        let handle = (&raw mut *self).cast();
        Table { struct_size: size_of::<Table>(), handle, emit, reject, reject_as: Some(reject_as) }
    }

    fn look_at(&self, rows: &RecordBatch) -> Result<()> {
        if self.strict { check_rows(rows) } else { Ok(()) }
    }

    /// Takes rows, and tells the plugin if they cannot be taken.
    unsafe fn take(
        handle: *mut c_void,
        failure: *mut Failure,
        take: impl FnOnce(&mut Self) -> Result<()>,
    ) -> i32 {
        // SAFETY: the handle is that of a table of this call, and nobody else uses it meanwhile.
        let taker = unsafe { &mut *handle.cast::<Self>() };
        // After a panic the run makes no call but the one that drops the stage.
        let taken = catch_unwind(AssertUnwindSafe(|| take(taker)));
        let panicked = |_| Err(Error::new(ErrorKind::Panic, "the run could not take the rows"));
        let Err(error) = taken.unwrap_or_else(panicked) else { return OK };
        // SAFETY: a failure is null or one of the plugin, which waits for the end of the call.
        unsafe { Failure::put(failure, &error) };
        taker.error.get_or_insert(error);
        FAILED
    }
}

fn missing() -> Error {
    Error::internal("the plugin put out an array that is missing")
}

unsafe extern "C" fn emit(
    handle: *mut c_void,
    port: u32,
    batch: *mut ArrowArray,
    failure: *mut Failure,
) -> i32 {
    let take = |taker: &mut Taker<'_>| {
        if batch.is_null() {
            return Err(missing());
        }
        // SAFETY: the plugin gives the array away, by the C Data Interface.
        let batch = unsafe { import_batch(ArrowArray::from_raw(batch), taker.output, true) }?;
        taker.look_at(&batch)?;
        taker.out.emit_to(port as usize, batch)
    };
    // SAFETY: the plugin hands back the handle of its call.
    unsafe { Taker::take(handle, failure, take) }
}

unsafe extern "C" fn reject(
    handle: *mut c_void,
    rows: *mut ArrowArray,
    schema: *mut ArrowSchema,
    reason: Text,
    failure: *mut Failure,
) -> i32 {
    // SAFETY: what is said of this call is said of that.
    unsafe { reject_as(handle, rows, schema, cause::DATA, reason, failure) }
}

unsafe extern "C" fn reject_as(
    handle: *mut c_void,
    rows: *mut ArrowArray,
    schema: *mut ArrowSchema,
    cause: i32,
    reason: Text,
    failure: *mut Failure,
) -> i32 {
    let take = |taker: &mut Taker<'_>| {
        // SAFETY: the plugin gives both away, by the C Data Interface, also if one is missing.
        let (schema, rows) = unsafe {
            (
                (!schema.is_null()).then(|| ArrowSchema::from_raw(schema)),
                (!rows.is_null()).then(|| ArrowArray::from_raw(rows)),
            )
        };
        let rows = rows.ok_or_else(missing)?;
        // SAFETY: as above; the reason is lent.
        let (rows, reason) = unsafe {
            let schema = match schema {
                None => Arc::clone(taker.input),
                Some(schema) => import_schema(&schema)?,
            };
            (import_batch(rows, &schema, true)?, bounds::words(reason))
        };
        taker.look_at(&rows)?;
        let cause = u64::try_from(cause).map(Cause::said).unwrap_or_default();
        taker.out.reject_as(rows, cause, &reason)
    };
    // SAFETY: the plugin hands back the handle of its call.
    unsafe { Taker::take(handle, failure, take) }
}
