//! `read`, `write` and `lookup`: files in and out, and beside what goes by.
//!
//! `read` is a source of JSON lines, CSV, TSV or plain lines; `write` is a sink of JSON lines, CSV
//! or TSV whose file appears under its name only when it is complete.

mod current;
mod decode;
mod encode;
mod exact;
mod fast;
mod format;
mod layout;
mod lookup;
mod members;
mod object;
mod options;
mod paths;
mod pipe;
mod quotes;
mod read;
mod reason;
mod records;
mod sample;
mod skip;
mod split;
mod target;
mod write;

use gristmill_stage::Registry;

pub use format::{Columns, Format};
pub use lookup::{Duplicates, Lookup, LookupOptions, Missing, Pairs};
pub use options::ReadOptions;
pub use read::Read;
pub use write::{Write, WriteFormat, WriteOptions};

/// Adds `read`, `write` and `lookup`.
pub fn register(registry: &mut Registry) {
    registry.add(Read).add(Write).add(Lookup);
}
