//! One worker of a kind in Rust, and the calls that the host makes of it.

use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use gristmill_stage::arrow_schema::SchemaRef;
use gristmill_stage::{Error, Next as When, Result, Source, Stage, Transform};

use super::answer;
use super::context::Surroundings;
use super::output::HostOutput;
use super::{panicked, told};
use crate::batch::import_batch;
use crate::failure::FailureBuffer;
use crate::snapshot::export_snapshot;
use crate::{ArrowArray, Failure, NEVER, Next, Output, StateWriter, next};

/// One worker.
pub(super) struct Instance {
    stage: Stage,
    input: SchemaRef,
    output: SchemaRef,
    failure: FailureBuffer,
    /// A panic in a call that cannot fail; the next one that can says it.
    panic: Option<Error>,
    // Behind the stage, which may use it until it is dropped.
    _surroundings: Surroundings,
}

impl Instance {
    pub(super) fn new(
        stage: Stage,
        (input, output): (SchemaRef, SchemaRef),
        surroundings: Surroundings,
    ) -> Self {
        let failure = FailureBuffer::new();
        Self { stage, input, output, failure, panic: None, _surroundings: surroundings }
    }

    /// The stage that a host hands back.
    ///
    /// # Safety
    /// It must be what `open` has given, and nobody else may use it now.
    unsafe fn of<'a>(stage: *mut c_void) -> &'a mut Self {
        // SAFETY: by the contract of this function.
        unsafe { &mut *stage.cast() }
    }

    /// Lets the stage act, with an output to put rows out by.
    ///
    /// # Safety
    /// `out` must be one that the host has handed over for a call that is going on.
    unsafe fn act<T>(
        &mut self,
        out: *const Output,
        call: impl FnOnce(&mut Stage, &SchemaRef, &mut HostOutput<'_>) -> Result<T>,
    ) -> Result<T> {
        self.sound()?;
        let Self { stage, input, output, failure, .. } = self;
        // SAFETY: by the contract of this function.
        let table = unsafe { told(out) }?;
        call(stage, input, &mut HostOutput { table: &table, output, input, failure })
    }

    fn sound(&self) -> Result<()> {
        self.panic.clone().map_or(Ok(()), Err)
    }

    /// Asks the stage what cannot fail.
    fn ask<T>(&mut self, instead: T, ask: impl FnOnce(&dyn Transform) -> T) -> T {
        if self.panic.is_some() {
            return instead;
        }
        let Stage::Transform(transform) = &self.stage else { return instead };
        match catch_unwind(AssertUnwindSafe(|| ask(&**transform))) {
            Ok(answer) => answer,
            Err(panic) => {
                self.panic = Some(panicked(&*panic));
                instead
            }
        }
    }
}

fn transform(stage: &mut Stage) -> Result<&mut dyn Transform> {
    match stage {
        Stage::Transform(transform) => Ok(&mut **transform),
        Stage::Source(_) => {
            Err(Error::internal("the kind has built a source, but says it is none"))
        }
    }
}

fn source(stage: &mut Stage) -> Result<&mut dyn Source> {
    match stage {
        Stage::Source(source) => Ok(&mut **source),
        Stage::Transform(_) => Err(Error::internal("the kind is a source, but has built none")),
    }
}

pub(super) unsafe extern "C" fn close(stage: *mut c_void) {
    // SAFETY: the host hands back what `open` has given, for the last time.
    let instance = unsafe { Box::from_raw(stage.cast::<Instance>()) };
    // Nobody is left to hear of a panic.
    let _ = catch_unwind(AssertUnwindSafe(|| drop(instance)));
}

pub(super) unsafe extern "C" fn process(
    stage: *mut c_void,
    batch: *mut ArrowArray,
    out: *const Output,
    failure: *mut Failure,
) -> i32 {
    let call = || {
        // SAFETY: the host gives the array away, and it is one of the C Data Interface.
        let array = unsafe { ArrowArray::from_raw(batch) };
        // SAFETY: the host makes one call at a time, of a stage that it has opened.
        unsafe {
            Instance::of(stage).act(out, |stage, input, out| {
                transform(stage)?.process(import_batch(array, input, false)?, out)
            })
        }
    };
    // SAFETY: the host hands over a failure for this call.
    unsafe { answer(failure, call) }
}

pub(super) unsafe extern "C" fn wake(
    stage: *mut c_void,
    out: *const Output,
    failure: *mut Failure,
) -> i32 {
    // SAFETY: the host makes one call at a time, of a stage that it has opened.
    let call =
        || unsafe { Instance::of(stage).act(out, |stage, _, out| transform(stage)?.wake(out)) };
    // SAFETY: the host hands over a failure for this call.
    unsafe { answer(failure, call) }
}

pub(super) unsafe extern "C" fn finish(
    stage: *mut c_void,
    out: *const Output,
    failure: *mut Failure,
) -> i32 {
    // SAFETY: the host makes one call at a time, of a stage that it has opened.
    let call =
        || unsafe { Instance::of(stage).act(out, |stage, _, out| transform(stage)?.finish(out)) };
    // SAFETY: the host hands over a failure for this call.
    unsafe { answer(failure, call) }
}

pub(super) unsafe extern "C" fn ready(stage: *mut c_void) -> i32 {
    // SAFETY: the host makes one call at a time, of a stage that it has opened.
    i32::from(unsafe { Instance::of(stage) }.ask(true, |stage| stage.ready()))
}

pub(super) unsafe extern "C" fn done(stage: *mut c_void) -> i32 {
    // SAFETY: the host makes one call at a time, of a stage that it has opened.
    i32::from(unsafe { Instance::of(stage) }.ask(false, |stage| stage.done()))
}

pub(super) unsafe extern "C" fn holding(stage: *mut c_void) -> i32 {
    // SAFETY: the host makes one call at a time, of a stage that it has opened.
    i32::from(unsafe { Instance::of(stage) }.ask(false, |stage| stage.holding()))
}

pub(super) unsafe extern "C" fn wake_at(stage: *mut c_void) -> u64 {
    // SAFETY: the host makes one call at a time, of a stage that it has opened.
    let at = unsafe { Instance::of(stage) }.ask(None, |stage| stage.wake_at());
    at.map_or(NEVER, nanos)
}

/// A time in nanoseconds; those of more than 500 years do not come.
fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(NEVER)
}

pub(super) unsafe extern "C" fn poll(
    stage: *mut c_void,
    out: *const Output,
    when: *mut Next,
    failure: *mut Failure,
) -> i32 {
    let call = || {
        // SAFETY: the host makes one call at a time, of a stage that it has opened.
        let polled =
            unsafe { Instance::of(stage).act(out, |stage, _, out| source(stage)?.poll(out))? };
        let (kind, at) = match polled {
            When::Now => (next::NOW, 0),
            When::At(time) => (next::AT, nanos(time)),
            When::Wait => (next::WAIT, 0),
            When::Done => (next::DONE, 0),
        };
        // SAFETY: the host wants it there.
        unsafe { when.write(Next { when: kind, reserved: 0, at }) };
        Ok(())
    };
    // SAFETY: the host hands over a failure for this call.
    unsafe { answer(failure, call) }
}

pub(super) unsafe extern "C" fn stop(
    stage: *mut c_void,
    poll_on: *mut i32,
    failure: *mut Failure,
) -> i32 {
    let call = || {
        // SAFETY: the host makes one call at a time, of a stage that it has opened.
        let instance = unsafe { Instance::of(stage) };
        instance.sound()?;
        let more = source(&mut instance.stage)?.stop()?;
        // SAFETY: the host wants it there.
        unsafe { poll_on.write(i32::from(more)) };
        Ok(())
    };
    // SAFETY: the host hands over a failure for this call.
    unsafe { answer(failure, call) }
}

pub(super) unsafe extern "C" fn snapshot(
    stage: *mut c_void,
    state: *const StateWriter,
    failure: *mut Failure,
) -> i32 {
    let call = || {
        // SAFETY: the host makes one call at a time, of a stage that it has opened.
        let instance = unsafe { Instance::of(stage) };
        instance.sound()?;
        let snapshot = match &mut instance.stage {
            Stage::Source(source) => source.snapshot()?,
            Stage::Transform(transform) => transform.snapshot()?,
        };
        // SAFETY: the host hands over a writer for this call.
        unsafe { export_snapshot(&snapshot, &told(state)?) }
    };
    // SAFETY: the host hands over a failure for this call.
    unsafe { answer(failure, call) }
}

pub(super) unsafe extern "C" fn committed(
    stage: *mut c_void,
    epoch: u64,
    failure: *mut Failure,
) -> i32 {
    let call = || {
        // SAFETY: the host makes one call at a time, of a stage that it has opened.
        let instance = unsafe { Instance::of(stage) };
        // One that has panicked publishes nothing.
        instance.sound()?;
        match &mut instance.stage {
            Stage::Source(source) => source.committed(epoch),
            Stage::Transform(transform) => transform.committed(epoch),
        }
    };
    // SAFETY: the host hands over a failure for this call.
    unsafe { answer(failure, call) }
}
