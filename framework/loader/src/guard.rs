//! Calls of a plugin into this program, from which no panic may come out.

use std::panic::{AssertUnwindSafe, catch_unwind};

use gristmill_stage::{Error, ErrorKind, Result};

/// Does what a plugin asks for. A panic over what it has handed over is an error that says so.
pub(crate) fn guarded(act: impl FnOnce() -> Result<()>) -> Result<()> {
    catch_unwind(AssertUnwindSafe(act)).unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().map(String::as_str);
        let said = said.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no reason");
        let text = format!("what the plugin handed over cannot be taken: {said}");
        Err(Error::new(ErrorKind::Panic, text))
    })
}
