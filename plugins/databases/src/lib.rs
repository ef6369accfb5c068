//! `sqlite` and `postgres`: rows into tables.
//!
//! Both keep rows in a file until the input is at its end (or a part is due), and publish them in
//! one short transaction. So a run that fails publishes nothing, the database is not locked while a
//! run goes on, and who takes the place of a dead worker has all that is needed to go on.

mod cell;
mod files;
mod letters;
mod loader;
mod options;
mod postgres;
mod publish;
mod spool;
mod sqlite;

use gristmill_stage::Registry;

pub use options::{CommitOptions, Mode};
pub use postgres::{PostgresOptions, PostgresSink};
pub use sqlite::{SqliteOptions, SqliteSink};

gristmill_abi::export_stages!(SqliteSink, PostgresSink);

/// Adds `sqlite` and `postgres`.
pub fn register(registry: &mut Registry) {
    registry.add(SqliteSink).add(PostgresSink);
}
