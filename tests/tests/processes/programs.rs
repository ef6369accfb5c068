//! A program that has kinds of its own: here the one that child processes run in any case, so that each of
//! its kinds can be held against the built-in one.

use std::path::Path;

use arrow_schema::{DataType, Field, Schema, SchemaRef};
use gristmill_config::{Mode, Source, Variables, load};
use gristmill_runtime::{Outcome, Run, RunOptions, find_program_kind, program_kinds};
use gristmill_stage::Registry;
use serde_json::json;

use crate::mill::{Mill, once};

fn program() -> Vec<String> {
    vec![env!("CARGO_BIN_EXE_gristmill-test-worker").to_owned()]
}

/// The built-in kinds, and the same of the program with `own.` before their names.
fn both() -> Registry {
    let mut registry = gristmill_tests::registry();
    for kind in program_kinds(&program(), Path::new("."), Some("own")).unwrap() {
        registry.add_kind(kind);
    }
    registry
}

#[test]
fn its_kinds_say_what_the_built_in_ones_say() {
    let registry = both();
    let known = gristmill_tests::registry();
    assert!(known.iter().count() > 10);
    for kind in known.iter() {
        let own = registry.get(&format!("own.{}", kind.name())).unwrap();
        assert_eq!(own.options(), kind.options());
        let words = |kind: &dyn gristmill_stage::Kind| {
            [kind.summary(), kind.input(), kind.output(), kind.example()].map(str::to_owned)
        };
        assert_eq!(words(&**own), words(&**kind));
        assert_eq!(own.role(), kind.role());
        assert_eq!(own.program().unwrap().kind, kind.name());
        let again = find_program_kind(&own.provider().unwrap().data).unwrap().unwrap();
        assert_eq!(again.name(), own.name());
    }
}

#[test]
fn plans_and_mistakes_are_the_same() {
    let registry = both();
    let fields =
        vec![Field::new("n", DataType::Int64, true), Field::new("s", DataType::Utf8, true)];
    let input: SchemaRef = Schema::new(fields).into();
    let asked = [
        ("filter", json!({ "where": "n > 1" })),
        ("filter", json!({ "where": "m > 1" })),
        ("filter", json!({ "where": "n >" })),
        ("map", json!({ "set": { "m": "n * 2" } })),
        ("map", json!({ "drop": ["nothing"] })),
        ("aggregate", json!({ "group_by": ["s"], "select": { "n": "count(*)" } })),
        ("route", json!({ "routes": { "few": "n < 3", "rest": "n >= 3" } })),
        ("sort", json!({ "by": ["n"] })),
        ("write", json!({ "path": "out.jsonl" })),
        ("write", json!({ "path": "out" })),
        ("discard", json!({})),
    ];
    for (name, options) in asked {
        let plan = |name: &str| registry.get(name).unwrap().plan(&options, Some(&input));
        match (plan(name), plan(&format!("own.{name}"))) {
            (Ok(built_in), Ok(own)) => {
                let said = |planned: &gristmill_stage::Planned| {
                    let planned = planned.clone();
                    let paths = (planned.reads, planned.writes, planned.blocks, planned.once);
                    (planned.ports, planned.partitioning, paths, planned.holds, planned.notes)
                };
                assert_eq!(said(&own), said(&built_in), "{name} {options}");
                assert_eq!(own.output.fields(), built_in.output.fields(), "{name} {options}");
            }
            (built_in, own) => {
                assert_eq!(own.unwrap_err(), built_in.unwrap_err(), "{name} {options}");
            }
        }
    }
    let error = registry.get("own.read").unwrap().plan(&json!({}), Some(&input)).unwrap_err();
    assert!(error.message().contains("cannot stand here"), "{error}");
}

#[test]
fn its_stages_run_in_its_child_processes() {
    let (mill, registry) = (Mill::new(1000), both());
    let yaml = format!(
        "rejected: '{}'\nstages:\n  - {{ type: own.read, with: {{ path: '{}' }} }}\n  \
         - {{ type: own.broken, with: {{ column: n, at: ['500'], how: kill }} }}\n  \
         - {{ type: own.filter, run: {{ workers: 2 }}, with: {{ where: n % 2 = 0 }} }}\n  \
         - {{ type: own.write, with: {{ path: '{}' }} }}\n",
        mill.path("rejected.jsonl").display(),
        mill.path("in.jsonl").display(),
        mill.path("out.jsonl").display(),
    );
    let plan = load(&Source::new("test.yaml", yaml), &Variables::new(), &registry)
        .unwrap_or_else(|problems| panic!("{}", problems.render(false)));
    assert!(plan.stages.iter().all(|stage| stage.mode == Mode::Process));
    // No program of the run's own is needed.
    let options = RunOptions { worker: None, ..RunOptions::default() };
    let report = Run::start(plan, &registry, options).unwrap_or_else(|f| panic!("{f}")).wait();
    assert!(matches!(report.outcome, Outcome::Done), "{:?}", report.outcome);
    assert_eq!(mill.output(), once((0..1000).filter(|n| n % 2 == 0 && *n != 500)));
    assert_eq!(mill.rejected().into_keys().collect::<Vec<_>>(), [500]);
}
