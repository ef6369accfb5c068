//! parse: text in, columns out.
//!
//! One column of text or bytes is read as HTML, JSON, a log line or whatever its format says, and
//! gives typed columns. A row that does not fit is rejected with the reason.

mod cells;
mod charset;
mod convert;
mod field;
mod format;
mod layout;
mod options;
mod stage;
mod text;
mod time;

#[cfg(test)]
mod testing;

use gristmill_stage::Registry;

gristmill_abi::export_stages!(stage::Parse);

/// Adds the kind `parse` to the registry.
pub fn register(registry: &mut Registry) {
    registry.add(stage::Parse);
}
