//! The built-in crates that are also libraries: their kinds keep the contract when they are loaded as
//! plugins, by the same cases.

use std::path::{Path, PathBuf};

use gristmill_loader::{Loader, Wanted, add};
use gristmill_stage::Registry;

use crate::case::{Case, World};

/// The library that a crate of the workspace was built as, beside the tests.
fn library(name: &str) -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    tests.parent().unwrap().join(format!("libgristmill_{name}.so"))
}

/// A registry with nothing in it but the kinds of one library.
fn registry(name: &str) -> Registry {
    let path = library(name);
    let path = path.to_str().unwrap();
    let mut loader = Loader::new([]);
    let wanted = Wanted { path, folder: Path::new("/"), sha256: None };
    let library = loader.open(wanted).unwrap_or_else(|error| panic!("{error}"));
    let mut registry = Registry::new();
    add(&mut registry, library.kinds(None)).unwrap();
    registry
}

fn run(name: &str, table: fn(&World) -> Vec<Case>) {
    let (world, registry) = (World::new(), registry(name));
    let failed: Vec<String> =
        table(&world).iter().filter_map(|case| case.run(&registry).err()).collect();
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
}

#[test]
fn flow_conforms_as_a_plugin() {
    run("flow", crate::flow::cases);
}

#[test]
fn generate_conforms_as_a_plugin() {
    run("generate", crate::generate::cases);
}

#[test]
fn shape_conforms_as_a_plugin() {
    run("shape", crate::shape::cases);
}

#[test]
fn parse_conforms_as_a_plugin() {
    run("parse", crate::parse::cases);
}

#[test]
fn read_write_and_lookup_conform_as_a_plugin() {
    run("files", crate::files::cases);
}

#[test]
fn fetch_conforms_as_a_plugin() {
    run("fetch", crate::fetch::cases);
}

#[test]
fn command_conforms_as_a_plugin() {
    run("command", crate::command::cases);
}

#[test]
fn filter_map_and_route_conform_as_a_plugin() {
    run("sql", crate::rows::cases);
}

#[test]
fn aggregate_conforms_as_a_plugin() {
    run("sql", crate::aggregate::cases);
}

#[test]
fn sqlite_conforms_as_a_plugin() {
    run("databases", crate::databases::sqlite);
}

#[test]
fn postgres_conforms_as_a_plugin() {
    run("databases", crate::databases::postgres);
}

/// A kind that is registered and not exported would be missing from the library.
#[test]
fn every_library_has_the_kinds_of_its_crate() {
    for (name, register) in crate::PLUGINS {
        let mut built_in = Registry::new();
        register(&mut built_in);
        let names = |registry: &Registry| -> Vec<String> {
            registry.iter().map(|kind| kind.name().to_owned()).collect()
        };
        let loaded = registry(name);
        assert_eq!(names(&loaded), names(&built_in), "{name}");
        for kind in built_in.iter() {
            let other = loaded.get(kind.name()).unwrap();
            assert_eq!(other.options(), kind.options(), "{}", kind.name());
            assert_eq!((other.role(), other.summary()), (kind.role(), kind.summary()));
            assert_eq!(other.readings(), kind.readings(), "{}", kind.name());
        }
    }
}
