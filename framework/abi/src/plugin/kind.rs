//! The table of one kind.

use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use gristmill_stage::arrow_schema::SchemaRef;
use gristmill_stage::reading::Declared;
use gristmill_stage::{Error, Kind as _, Planned, Result, Role, StageSpec, Typed};
use serde_json::Value;

use super::context::build_context;
use super::instance::{self, Instance};
use super::{answer, told};
use crate::batch::{export_schema, import_schema};
use crate::details::Details;
use crate::plain::plain_schema;
use crate::text::{Text, Writer};
use crate::{ArrowSchema, Context, Failure, Kind, Options, Plan, role};

/// The table of a kind that is written in Rust.
pub const fn kind<S: StageSpec>() -> Kind {
    let (role, is_source) = match S::ROLE {
        Role::Source => (role::SOURCE, true),
        Role::Transform => (role::TRANSFORM, false),
        Role::Sink => (role::SINK, false),
    };
    let table = Kind {
        struct_size: size_of::<Kind>(),
        role,
        reserved: 0,
        name: Text::new(S::KIND),
        summary: Text::new(S::SUMMARY),
        example: Text::new(S::EXAMPLE),
        input: Text::new(S::INPUT),
        output: Text::new(S::OUTPUT),
        options_schema: Some(options_schema::<S>),
        plan: Some(plan::<S>),
        open: Some(open::<S>),
        close: Some(instance::close),
        process: None,
        wake: None,
        finish: None,
        ready: None,
        done: None,
        holding: None,
        wake_at: None,
        poll: None,
        stop: None,
        snapshot: Some(instance::snapshot),
        committed: Some(instance::committed),
        readings: Some(readings::<S>),
    };
    if is_source {
        return Kind { poll: Some(instance::poll), stop: Some(instance::stop), ..table };
    }
    Kind {
        process: Some(instance::process),
        wake: Some(instance::wake),
        finish: Some(instance::finish),
        ready: Some(instance::ready),
        done: Some(instance::done),
        holding: Some(instance::holding),
        wake_at: Some(instance::wake_at),
        ..table
    }
}

unsafe extern "C" fn options_schema<S: StageSpec>(out: *const Writer) {
    // SAFETY: the host waits for the end of the call with the writer that it has handed over.
    unsafe { write(out, || Some(Typed::<S>::new().options().to_string())) };
}

unsafe extern "C" fn readings<S: StageSpec>(out: *const Writer) {
    let declared = || {
        let all: Vec<Declared> = S::READINGS.iter().map(Declared::of).collect();
        serde_json::to_string(&all).ok()
    };
    // SAFETY: as above.
    unsafe { write(out, declared) };
}

/// Writes what the kind says, if it says anything.
///
/// # Safety
/// The writer must be null, or one of a call that is going on.
unsafe fn write(out: *const Writer, say: impl FnOnce() -> Option<String>) {
    let said = catch_unwind(AssertUnwindSafe(say));
    // SAFETY: by the contract of this function.
    if let (Ok(Some(said)), Some(out)) = (said, unsafe { out.as_ref() }) {
        // SAFETY: as above.
        unsafe { out.put(&said) };
    }
}

unsafe extern "C" fn plan<S: StageSpec>(
    options: *const Options,
    input: *const ArrowSchema,
    plan: *const Plan,
    failure: *mut Failure,
) -> i32 {
    let call = || {
        // SAFETY: the host hands over tables that live as long as the call.
        let (options, input, taker) = unsafe { (read(options)?, schema(input)?, told(plan)?) };
        let mut planned = Typed::<S>::new().plan(&options, input.as_ref())?;
        if let Some(plain) = plain_schema(&planned.output)? {
            planned.output = plain;
        }
        let mut output = export_schema(&planned.output)?;
        let details = details(planned)?;
        // SAFETY: the call is going on, and what it is given lives until it returns.
        unsafe {
            (taker.schema)(taker.handle, &raw mut output);
            (taker.details)(taker.handle, Text::new(&details));
        }
        Ok(())
    };
    // SAFETY: the host hands over a failure for this call.
    unsafe { answer(failure, call) }
}

fn details(planned: Planned) -> Result<String> {
    let text = serde_json::to_string(&Details::of(planned));
    text.map_err(|e| Error::internal(format!("the plan cannot be written as JSON: {e}")))
}

unsafe extern "C" fn open<S: StageSpec>(
    options: *const Options,
    context: *const Context,
    stage: *mut *mut c_void,
    failure: *mut Failure,
) -> i32 {
    let call = || {
        // SAFETY: the host hands over tables that live as long as the call.
        let (options, context) = unsafe { (read(options)?, told(context)?) };
        // SAFETY: as above.
        let (context, surroundings) = unsafe { build_context(&context, S::READINGS)? };
        let schemas = (Arc::clone(context.input()), Arc::clone(context.output()));
        let built = Typed::<S>::new().build(&options, context)?;
        let instance = Box::new(Instance::new(built, schemas, surroundings));
        // SAFETY: the host wants the stage there.
        unsafe { stage.write(Box::into_raw(instance).cast()) };
        Ok(())
    };
    // SAFETY: the host hands over a failure for this call.
    unsafe { answer(failure, call) }
}

/// The options as JSON.
unsafe fn read(options: *const Options) -> Result<Value> {
    // SAFETY: the host hands over options that live as long as the call.
    let json = unsafe { told(options)?.json.get() }.unwrap_or_default();
    serde_json::from_str(json).map_err(|e| Error::internal(format!("the options are no JSON: {e}")))
}

/// The schema that is there; none of a source.
pub(super) unsafe fn schema(schema: *const ArrowSchema) -> Result<Option<SchemaRef>> {
    // SAFETY: the host hands over schemas that live as long as the call.
    match unsafe { schema.as_ref() } {
        // SAFETY: as above.
        Some(schema) => unsafe { import_schema(schema) }.map(Some),
        None => Ok(None),
    }
}
