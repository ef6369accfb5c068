//! `read` and `write`: files in and out.
//!
//! `read` is a source of JSON lines, CSV, TSV, plain lines, Parquet or Arrow IPC; `write` is a sink of
//! all of them but plain lines, whose file appears under its name only when it is complete.

mod blocks;
mod compression;
mod current;
mod decode;
mod encode;
mod exact;
mod follow;
mod format;
mod layout;
mod names;
mod object;
mod options;
mod parted;
mod partition;
mod paths;
mod pipe;
mod plain;
mod read;
mod reason;
mod records;
mod roll;
mod sample;
mod target;
mod write;
mod write_options;
mod written;

use gristmill_stage::Registry;

pub use compression::Compression;
pub use format::{Columns, Format};
pub use options::ReadOptions;
pub use read::Read;
pub use roll::Roll;
pub use write::Write;
pub use write_options::{WriteCompression, WriteFormat, WriteOptions};

/// Adds `read` and `write`.
pub fn register(registry: &mut Registry) {
    registry.add(Read).add(Write);
}
