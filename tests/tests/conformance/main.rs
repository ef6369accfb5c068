//! Every built-in kind keeps the contract of a stage, with several sets of options and inputs each.
//!
//! A kind that is added to a registry and not to the tables here fails the last test.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a helper of a test fails the test"
)]

mod aggregate;
mod broken;
mod case;
mod command;
mod databases;
mod fetch;
mod files;
mod float_keys;
mod flow;
mod generate;
mod loaded;
mod parse;
mod rows;
#[path = "../../../plugins/databases/tests/common/server.rs"]
mod server;
mod shape;

use std::collections::BTreeSet;

use gristmill_stage::Registry;

use case::{Case, World};

/// Every crate in `plugins/`, by its folder.
/// Adds the kinds of a crate.
type Register = fn(&mut Registry);

const PLUGINS: [(&str, Register); 10] = [
    ("broken", gristmill_broken::register),
    ("command", gristmill_command::register),
    ("databases", gristmill_databases::register),
    ("fetch", gristmill_fetch::register),
    ("files", gristmill_files::register),
    ("flow", gristmill_flow::register),
    ("generate", gristmill_generate::register),
    ("parse", gristmill_parse::register),
    ("shape", gristmill_shape::register),
    ("sql", gristmill_sql::register),
];

/// Every table of cases.
const TABLES: [fn(&World) -> Vec<Case>; 12] = [
    aggregate::cases,
    broken::cases,
    command::cases,
    databases::postgres,
    databases::sqlite,
    fetch::cases,
    files::cases,
    flow::cases,
    generate::cases,
    parse::cases,
    rows::cases,
    shape::cases,
];

fn registry() -> Registry {
    let mut registry = Registry::new();
    PLUGINS.iter().for_each(|(_, register)| register(&mut registry));
    registry
}

/// Runs a table, and shows all that was found wrong.
fn run(table: fn(&World) -> Vec<Case>) {
    let (world, registry) = (World::new(), registry());
    let failed: Vec<String> =
        table(&world).iter().filter_map(|case| case.run(&registry).err()).collect();
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
}

#[test]
fn aggregate_conforms() {
    run(aggregate::cases);
}

#[test]
fn broken_and_unseen_conform() {
    run(broken::cases);
}

#[test]
fn command_conforms() {
    run(command::cases);
}

#[test]
fn postgres_conforms() {
    run(databases::postgres);
}

#[test]
fn sqlite_conforms() {
    run(databases::sqlite);
}

#[test]
fn fetch_conforms() {
    run(fetch::cases);
}

#[test]
fn read_and_write_conform() {
    run(files::cases);
}

#[test]
fn inspect_and_discard_conform() {
    run(flow::cases);
}

#[test]
fn generate_conforms() {
    run(generate::cases);
}

#[test]
fn parse_conforms() {
    run(parse::cases);
}

#[test]
fn filter_and_map_conform() {
    run(rows::cases);
}

#[test]
fn limit_sample_dedupe_unnest_sort_and_top_conform() {
    run(shape::cases);
}

#[test]
fn every_kind_has_cases() {
    let world = World::new();
    let cases = TABLES.iter().flat_map(|table| table(&world));
    let covered: BTreeSet<String> = cases.map(|case| case.kind.to_owned()).collect();
    let known: BTreeSet<String> = registry().iter().map(|kind| kind.name().to_owned()).collect();
    assert_eq!(covered, known);

    let plugins = concat!(env!("CARGO_MANIFEST_DIR"), "/../plugins");
    let folders = std::fs::read_dir(plugins).unwrap().map(|entry| entry.unwrap());
    let crates = folders.filter(|entry| entry.path().join("Cargo.toml").exists());
    let crates: BTreeSet<String> =
        crates.map(|entry| entry.file_name().into_string().unwrap()).collect();
    let registered: BTreeSet<String> =
        PLUGINS.iter().map(|(folder, _)| (*folder).to_owned()).collect();
    assert_eq!(registered, crates);
}
