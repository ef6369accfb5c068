//! The tests of the crates in `plugins/`, run a second time: here their kinds come from the crates'
//! libraries, through the loader, as those of anyone's plugin do.
//!
//! The suites are the crates' own files. They ask `gristmill_files::register` and the like for their
//! kinds; in this program those names mean this very file, whose [`register`] loads.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::duplicate_mod,
    clippy::items_after_test_module,
    reason = "a helper of a test fails the test; each suite has a `common` of its own"
)]

extern crate self as gristmill_command;
extern crate self as gristmill_databases;
extern crate self as gristmill_fetch;
extern crate self as gristmill_files;
extern crate self as gristmill_flow;
extern crate self as gristmill_generate;
extern crate self as gristmill_shape;
extern crate self as gristmill_sql;

#[path = "../../../plugins/command/tests/command.rs"]
mod command;
#[path = "../../../plugins/databases/tests/into_postgres.rs"]
mod databases_into_postgres;
#[path = "../../../plugins/databases/tests/into_sqlite.rs"]
mod databases_into_sqlite;
#[path = "../../../plugins/fetch/tests/answers.rs"]
mod fetch_answers;
#[path = "../../../plugins/fetch/tests/connections.rs"]
mod fetch_connections;
#[path = "../../../plugins/fetch/tests/failures.rs"]
mod fetch_failures;
#[path = "../../../plugins/fetch/tests/flow.rs"]
mod fetch_flow;
#[path = "../../../plugins/fetch/tests/https.rs"]
mod fetch_https;
#[path = "../../../plugins/files/tests/columns.rs"]
mod files_columns;
#[path = "../../../plugins/files/tests/compressed.rs"]
mod files_compressed;
#[path = "../../../plugins/files/tests/follow.rs"]
mod files_follow;
#[path = "../../../plugins/files/tests/lookup.rs"]
mod files_lookup;
#[path = "../../../plugins/files/tests/parted.rs"]
mod files_parted;
#[path = "../../../plugins/files/tests/pipe.rs"]
mod files_pipe;
#[path = "../../../plugins/files/tests/read.rs"]
mod files_read;
#[path = "../../../plugins/files/tests/row_groups.rs"]
mod files_row_groups;
#[path = "../../../plugins/files/tests/split.rs"]
mod files_split;
#[path = "../../../plugins/files/tests/write.rs"]
mod files_write;
#[path = "../../../plugins/flow/tests/kinds.rs"]
mod flow_kinds;
#[path = "../../../plugins/generate/tests/generate.rs"]
mod generate;
#[path = "../../../plugins/shape/tests/bounds.rs"]
mod shape_bounds;
#[path = "../../../plugins/shape/tests/refusals.rs"]
mod shape_refusals;
#[path = "../../../plugins/shape/tests/shapes.rs"]
mod shape_shapes;
#[path = "../../../plugins/sql/tests/aggregate.rs"]
mod sql_aggregate;
#[path = "../../../plugins/sql/tests/errors.rs"]
mod sql_errors;
#[path = "../../../plugins/sql/tests/every.rs"]
mod sql_every;
#[path = "../../../plugins/sql/tests/groups.rs"]
mod sql_groups;
#[path = "../../../plugins/sql/tests/oracle.rs"]
mod sql_oracle;
#[path = "../../../plugins/sql/tests/property.rs"]
mod sql_property;
#[path = "../../../plugins/sql/tests/quantiles.rs"]
mod sql_quantiles;
#[path = "../../../plugins/sql/tests/route.rs"]
mod sql_route;
#[path = "../../../plugins/sql/tests/rows.rs"]
mod sql_rows;
#[path = "../../../plugins/sql/tests/sessions.rs"]
mod sql_sessions;
#[path = "../../../plugins/sql/tests/spill.rs"]
mod sql_spill;
#[path = "../../../plugins/sql/tests/top_k.rs"]
mod sql_top_k;
#[path = "../../../plugins/sql/tests/windows.rs"]
mod sql_windows;

use std::path::Path;
use std::sync::{Arc, LazyLock};

use gristmill_loader::{Library, Loader, Wanted, add};
use gristmill_stage::Registry;

/// The crates whose suites are run.
const CRATES: [&str; 8] =
    ["command", "databases", "fetch", "files", "flow", "generate", "shape", "sql"];

/// Adds the kinds of all libraries. Each is loaded once: it stays in memory for good.
pub fn register(registry: &mut Registry) {
    static LOADED: LazyLock<Vec<Arc<Library>>> = LazyLock::new(|| {
        let beside = std::env::current_exe().unwrap();
        let mut loader = Loader::new([]).strict();
        let mut load = |name: &str| {
            let path = format!("./libgristmill_{name}.so");
            let folder = beside.parent().unwrap();
            let wanted = Wanted { path: &path, folder, sha256: None };
            loader.open(wanted).unwrap_or_else(|error| panic!("{error}"))
        };
        CRATES.iter().map(|name| load(name)).collect()
    });
    LOADED.iter().for_each(|library| add(registry, library.kinds(None)).unwrap());
}

#[test]
fn all_kinds_come_from_libraries() {
    let mut registry = Registry::new();
    register(&mut registry);
    for kind in registry.iter() {
        let from = kind.provider().unwrap_or_else(|| panic!("{} is built in", kind.name()));
        assert!(from.name.contains("libgristmill_"), "{} is from {}", kind.name(), from.name);
    }
    assert!(registry.get("aggregate").is_some() && registry.get("write").is_some());
}

#[test]
fn every_suite_is_here() {
    let here = include_str!("main.rs");
    let plugins = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../plugins"));
    let listed =
        |path: &Path| std::fs::read_dir(path).into_iter().flatten().map(|e| e.unwrap().path());
    let suites = listed(plugins).flat_map(|plugin| listed(&plugin.join("tests")));
    for suite in suites.filter(|path| path.extension().is_some_and(|ending| ending == "rs")) {
        let suite = suite.strip_prefix(plugins).unwrap().display();
        assert!(here.contains(&format!("\"../../../plugins/{suite}\"")), "{suite} is missing");
    }
}
