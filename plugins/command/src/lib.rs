//! `command`: rows through any program that reads and writes JSON lines.

mod exchange;
mod find;
mod lines;
mod options;
mod stage;

use gristmill_stage::Registry;

pub use options::CommandOptions;
pub use stage::Command;

gristmill_abi::export_stages!(Command);

/// Adds `command`.
pub fn register(registry: &mut Registry) {
    registry.add(Command);
}
