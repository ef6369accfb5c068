//! The built-in kinds.

use gristmill_stage::Registry;

/// A registry of all built-in kinds.
pub fn built_in() -> Registry {
    let mut registry = Registry::new();
    gristmill_generate::register(&mut registry);
    gristmill_fetch::register(&mut registry);
    gristmill_parse::register(&mut registry);
    gristmill_sql::register(&mut registry);
    gristmill_files::register(&mut registry);
    gristmill_flow::register(&mut registry);
    gristmill_shape::register(&mut registry);
    gristmill_databases::register(&mut registry);
    registry
}
