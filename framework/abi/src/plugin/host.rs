//! The run, as a stage in Rust sees it.

use std::sync::Arc;
use std::task::Wake;
use std::time::{Duration, SystemTime};

use gristmill_stage::reading::Keeper;
use gristmill_stage::{Clock, Result};

use super::told;
use crate::text::{Text, Writer};
use crate::{Host, SetReading};

/// The host's table, as far as it goes; what it leads to is kept alive.
#[derive(Debug)]
pub(super) struct HostHandle(Host);

// SAFETY: the host takes calls from any thread.
unsafe impl Send for HostHandle {}
// SAFETY: as above.
unsafe impl Sync for HostHandle {}

impl HostHandle {
    /// Keeps the table of a host.
    ///
    /// # Safety
    /// The table must be there now.
    pub(super) unsafe fn new(host: *const Host) -> Result<Self> {
        // SAFETY: by the contract of this function.
        let host = unsafe { told(host) }?;
        // SAFETY: as above.
        unsafe { (host.retain)(host.handle) };
        Ok(Self(host))
    }

    /// The text without secrets.
    pub(super) fn redact(&self, text: &str) -> String {
        let Host { redact, handle, .. } = &self.0;
        // SAFETY: the host is there, and text and writer live until the call returns.
        let bytes = Writer::collect(|writer| unsafe { redact(*handle, Text::new(text), writer) });
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn tell(&self, call: Option<SetReading>, number: u64, value: f64) {
        if let Some(call) = call {
            // SAFETY: the host is there, and it is a call of its table.
            unsafe { call(self.0.handle, number.cast_signed(), value) };
        }
    }
}

/// A host of 1.0 keeps none.
impl Keeper for HostHandle {
    fn number(&self, name: &str, value: Option<&str>) -> Option<u64> {
        let (call, value) = (self.0.reading?, value.unwrap_or_default());
        // SAFETY: the host is there, and both texts live until the call returns.
        let number = unsafe { call(self.0.handle, Text::new(name), Text::new(value)) };
        u64::try_from(number).ok()
    }

    fn add(&self, number: u64, more: u64) {
        if let Some(add) = self.0.add {
            // SAFETY: the host is there.
            unsafe { add(self.0.handle, number.cast_signed(), more) };
        }
    }

    fn set(&self, number: u64, value: f64) {
        self.tell(self.0.set, number, value);
    }

    fn change(&self, number: u64, by: f64) {
        self.tell(self.0.change, number, by);
    }

    fn record(&self, number: u64, value: f64) {
        self.tell(self.0.record, number, value);
    }
}

impl Drop for HostHandle {
    fn drop(&mut self) {
        let Host { release, handle, .. } = &self.0;
        // SAFETY: it was retained, and nothing uses it after this.
        unsafe { release(*handle) };
    }
}

impl Clock for HostHandle {
    fn now(&self) -> Duration {
        let Host { now, handle, .. } = &self.0;
        // SAFETY: the host is there.
        Duration::from_nanos(unsafe { now(*handle) })
    }

    fn wall(&self) -> SystemTime {
        let Host { wall, handle, .. } = &self.0;
        // SAFETY: the host is there.
        let nanos = unsafe { wall(*handle) };
        let since = Duration::from_nanos(nanos.unsigned_abs());
        match nanos < 0 {
            true => SystemTime::UNIX_EPOCH.checked_sub(since),
            false => SystemTime::UNIX_EPOCH.checked_add(since),
        }
        .unwrap_or(SystemTime::UNIX_EPOCH)
    }
}

impl Wake for HostHandle {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let Host { wake, handle, .. } = &self.0;
        // SAFETY: the host is there.
        unsafe { wake(*handle) };
    }
}
