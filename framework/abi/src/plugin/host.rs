//! The run, as a stage in Rust sees it.

use std::sync::Arc;
use std::task::Wake;
use std::time::{Duration, SystemTime};

use gristmill_stage::{Clock, Result};

use super::told;
use crate::Host;
use crate::text::{Text, Writer};

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
