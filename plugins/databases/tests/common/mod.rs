//! What the tests of both kinds share.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    dead_code,
    reason = "a test fails by panicking"
)]

pub mod killed;
pub mod server;

use std::sync::Arc;

use gristmill_stage::{Kind, Registry};

pub fn kind(name: &str) -> Arc<dyn Kind> {
    let mut registry = Registry::new();
    gristmill_databases::register(&mut registry);
    registry.get(name).unwrap().clone()
}
