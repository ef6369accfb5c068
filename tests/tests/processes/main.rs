//! Child processes that die, hang and are killed: no row is lost, none is doubled, and what kills is
//! found and rejected.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod children;
mod databases;
mod deaths;
mod files;
mod kept;
mod mill;
mod programs;
#[path = "../../../plugins/databases/tests/common/server.rs"]
mod server;
mod steps;
