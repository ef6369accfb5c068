//! The run, as a plugin sees it.

use std::ffi::c_void;
use std::sync::{Arc, Weak};
use std::task::Waker;
use std::time::{Duration, UNIX_EPOCH};

use gristmill_abi::{Host, NEVER, Text, Writer};
use gristmill_stage::{BuildContext, Clock, Reading, Readout, Redact, Result};

use crate::readings::Readouts;

/// What a stage may ask of its run, counted by who holds on to it.
pub(crate) struct Run {
    table: Host,
    waker: Waker,
    clock: Arc<dyn Clock>,
    redact: Option<Arc<Redact>>,
    readouts: Readouts,
}

// SAFETY: the pointer in the table leads to this very value, and all else may go to any thread.
unsafe impl Send for Run {}
// SAFETY: as above; nothing in it changes.
unsafe impl Sync for Run {}

impl Run {
    /// That of one worker of a kind with these readings.
    pub(crate) fn new(readings: &'static [Reading], context: &BuildContext) -> Result<Arc<Self>> {
        let readouts = Readouts::new(readings, context)?;
        Ok(Arc::new_cyclic(|own: &Weak<Self>| Self {
            table: Host {
                struct_size: size_of::<Host>(),
                handle: own.as_ptr().cast(),
                retain,
                release,
                wake,
                now,
                wall,
                redact,
                reading: Some(reading),
                add: Some(add),
                set: Some(set),
                change: Some(change),
                record: Some(record),
            },
            waker: context.waker().clone(),
            clock: Arc::clone(context.clock()),
            redact: context.redactor().cloned(),
            readouts,
        }))
    }

    pub(crate) fn table(&self) -> *const Host {
        &raw const self.table
    }

    /// The run behind a handle.
    ///
    /// # Safety
    /// It must be the handle of a table that somebody holds on to.
    unsafe fn of<'a>(handle: *const c_void) -> &'a Self {
        // SAFETY: by the contract of this function.
        unsafe { &*handle.cast() }
    }
}

/// Sets a reading of the run behind a handle.
///
/// # Safety
/// It must be the handle of a table that somebody holds on to.
unsafe fn with(handle: *const c_void, number: i64, set: impl FnOnce(&Readout)) {
    // SAFETY: by the contract of this function.
    if let Some(readout) = unsafe { Run::of(handle) }.readouts.get(number) {
        set(readout);
    }
}

/// A time in nanoseconds.
pub(crate) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(NEVER)
}

unsafe extern "C" fn retain(handle: *const c_void) {
    // SAFETY: the handle is that of an `Arc`, which somebody holds on to.
    unsafe { Arc::increment_strong_count(handle.cast::<Run>()) };
}

unsafe extern "C" fn release(handle: *const c_void) {
    // SAFETY: as above, and it was retained once more.
    unsafe { Arc::decrement_strong_count(handle.cast::<Run>()) };
}

unsafe extern "C" fn wake(handle: *const c_void) {
    // SAFETY: the plugin holds on to it.
    unsafe { Run::of(handle) }.waker.wake_by_ref();
}

unsafe extern "C" fn now(handle: *const c_void) -> u64 {
    // SAFETY: the plugin holds on to it.
    nanos(unsafe { Run::of(handle) }.clock.now())
}

unsafe extern "C" fn wall(handle: *const c_void) -> i64 {
    // SAFETY: the plugin holds on to it.
    let wall = unsafe { Run::of(handle) }.clock.wall();
    let signed = |time: Duration| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
    match wall.duration_since(UNIX_EPOCH) {
        Ok(since) => signed(since),
        Err(before) => -signed(before.duration()),
    }
}

unsafe extern "C" fn redact(handle: *const c_void, text: Text, out: *const Writer) {
    // SAFETY: the plugin holds on to the run, and text and writer live as long as the call.
    unsafe {
        let text = text.to_string_lossy();
        let text = match &Run::of(handle).redact {
            Some(redact) => redact(&text),
            None => text,
        };
        (*out).put(&text);
    }
}

unsafe extern "C" fn reading(handle: *const c_void, name: Text, value: Text) -> i64 {
    // SAFETY: the plugin holds on to the run, and both texts live as long as the call.
    unsafe { Run::of(handle).readouts.number(name, value) }
}

unsafe extern "C" fn add(handle: *const c_void, reading: i64, more: u64) {
    // SAFETY: the plugin holds on to it.
    unsafe { with(handle, reading, |readout| readout.add(more)) };
}

unsafe extern "C" fn set(handle: *const c_void, reading: i64, value: f64) {
    // SAFETY: the plugin holds on to it.
    unsafe { with(handle, reading, |readout| readout.set(value)) };
}

unsafe extern "C" fn change(handle: *const c_void, reading: i64, by: f64) {
    // SAFETY: the plugin holds on to it.
    unsafe { with(handle, reading, |readout| readout.change(by)) };
}

unsafe extern "C" fn record(handle: *const c_void, reading: i64, value: f64) {
    // SAFETY: the plugin holds on to it.
    unsafe { with(handle, reading, |readout| readout.record(value)) };
}
