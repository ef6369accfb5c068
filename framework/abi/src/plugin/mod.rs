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
use crate::{FAILED, Failure, Grows, Kind, MAGIC, MAJOR, MINOR, OK, Plugin, read_table};

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
    unsafe { Failure::put(failure, &error) };
    FAILED
}

/// What a host has handed over, as far as it goes.
///
/// # Safety
/// It must be null, or a table of a call that is going on.
unsafe fn told<T: Grows>(table: *const T) -> Result<T> {
    let short =
        |size| format!("the host has handed over a table of {size} bytes, which is too short");
    if table.is_null() {
        return Err(Error::internal("the host has not handed over a table that it must"));
    }
    // SAFETY: by the contract of this function.
    unsafe { read_table(table) }.map_err(|size| Error::internal(short(size)))
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
