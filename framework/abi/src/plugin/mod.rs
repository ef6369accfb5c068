//! The side of the plugin: the tables of kinds that are written in Rust.

mod context;
mod host;
mod instance;
mod kind;
mod output;
#[cfg(feature = "async")]
mod runtime;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use gristmill_stage::{Error, ErrorKind, Result};

use crate::text::Text;
use crate::{FAILED, Failure, Kind, MAGIC, MAJOR, MINOR, OK, Plugin};

pub use kind::kind;

/// The table of a plugin with these kinds.
pub const fn table(kinds: &'static [&'static Kind], software: &'static str) -> Plugin {
    Plugin {
        magic: MAGIC,
        struct_size: size_of::<Plugin>(),
        major: MAJOR,
        minor: MINOR,
        software: Text::new(software),
        // A reference and a pointer are laid out alike.
        kinds: kinds.as_ptr().cast(),
        kind_count: kinds.len(),
    }
}

/// Makes a call of the contract: neither an error nor a panic goes further than this.
///
/// # Safety
/// `failure` must be null or one that the host has handed over for this call.
unsafe fn answer(failure: *mut Failure, call: impl FnOnce() -> Result<()>) -> i32 {
    let Err(error) = guarded(call) else { return OK };
    // SAFETY: by the contract of this function.
    if let Some(failure) = unsafe { failure.as_mut() } {
        // SAFETY: as above.
        unsafe { failure.put(&error) };
    }
    FAILED
}

/// Makes an error of a panic.
fn guarded<T>(call: impl FnOnce() -> Result<T>) -> Result<T> {
    // After a panic the host makes no call but the one that frees the stage.
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| Err(panicked(&*panic)))
}

fn panicked(panic: &(dyn Any + Send)) -> Error {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let text = text.unwrap_or("(no message)");
    Error::new(ErrorKind::Panic, format!("the stage panicked: {text}"))
}
