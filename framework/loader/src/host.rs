//! The run, as a plugin sees it.

use std::ffi::c_void;
use std::sync::{Arc, Weak};
use std::task::Waker;
use std::time::{Duration, UNIX_EPOCH};

use gristmill_abi::{Host, NEVER, Text, Writer};
use gristmill_stage::{BuildContext, Clock, Redact};

/// What a stage may ask of its run, counted by who holds on to it.
pub(crate) struct Run {
    table: Host,
    waker: Waker,
    clock: Arc<dyn Clock>,
    redact: Option<Arc<Redact>>,
}

// SAFETY: the pointer in the table leads to this very value, and all else may go to any thread.
unsafe impl Send for Run {}
// SAFETY: as above; nothing in it changes.
unsafe impl Sync for Run {}

impl Run {
    pub(crate) fn new(context: &BuildContext) -> Arc<Self> {
        Arc::new_cyclic(|own: &Weak<Self>| Self {
            table: Host {
                struct_size: size_of::<Host>(),
                handle: own.as_ptr().cast(),
                retain,
                release,
                wake,
                now,
                wall,
                redact,
            },
            waker: context.waker().clone(),
            clock: Arc::clone(context.clock()),
            redact: context.redactor().cloned(),
        })
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
