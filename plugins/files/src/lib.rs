//! `read`, `write` and `lookup`: files in and out, and beside what goes by.
//!
//! `read` is a source of JSON lines, CSV, TSV, plain lines, Parquet or Arrow IPC; `write` is a sink of
//! all of them but plain lines, whose file appears under its name only when it is complete.

mod blocks;
mod compression;
mod current;
mod decode;
mod encode;
mod exact;
mod fast;
mod fields;
mod follow;
mod format;
mod layout;
mod lookup;
mod members;
mod names;
mod object;
mod options;
mod parted;
mod partition;
mod paths;
mod pipe;
mod plain;
mod quotes;
mod read;
mod reason;
mod records;
mod roll;
mod sample;
mod skip;
mod split;
mod target;
mod write;
mod write_options;
mod written;

use gristmill_stage::Registry;

pub use compression::Compression;
pub use format::Format;
pub use lookup::{Duplicates, Lookup, LookupOptions, Missing, Pairs};
pub use options::ReadOptions;
pub use read::Read;
pub use roll::Roll;
pub use write::Write;
pub use write_options::{WriteCompression, WriteFormat, WriteOptions};

gristmill_abi::export_stages!(Read, Write, Lookup);

/// Adds `read`, `write` and `lookup`.
pub fn register(registry: &mut Registry) {
    registry.add(Read).add(Write).add(Lookup);
}
