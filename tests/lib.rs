//! What the tests of what crosses crates share with the program that their child processes run.

use gristmill_stage::Registry;

/// All built-in kinds, and those that misbehave on purpose.
pub fn registry() -> Registry {
    let mut registry = Registry::new();
    gristmill_generate::register(&mut registry);
    gristmill_fetch::register(&mut registry);
    gristmill_parse::register(&mut registry);
    gristmill_sql::register(&mut registry);
    gristmill_files::register(&mut registry);
    gristmill_command::register(&mut registry);
    gristmill_flow::register(&mut registry);
    gristmill_shape::register(&mut registry);
    gristmill_databases::register(&mut registry);
    gristmill_broken::register(&mut registry);
    registry
}
