//! What a plugin does wrong is an error that says so, and what it does right is as of any stage.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "these are tests")]

mod common;

use std::path::Path;
use std::sync::Arc;

use common::{Place, kind};
use gristmill_loader::{Loader, Wanted};
use gristmill_stage::arrow_array::RecordBatch;
use gristmill_stage::reading::{Figure, Unit};
use gristmill_stage::{
    BuildContext, Cause, ErrorKind, Kind, Output, Readings, Result, Snapshot, Stage, SystemClock,
};
use gristmill_testkit::conformance::{Settings, check};
use gristmill_testkit::{Harness, rows};
use serde_json::json;

fn input() -> RecordBatch {
    rows!([{ "n": 1, "t": "a" }, { "n": null, "t": null }, { "n": 3, "t": "c" }])
}

/// What comes of a run of the fixture.
fn run(kind: &dyn Kind) -> Result<gristmill_testkit::Collected> {
    let input = input();
    let mut stage = Harness::new().build(kind, &json!({}), Some(&input.schema()))?;
    stage.run_transform(vec![input])?;
    Ok(stage.into_collected())
}

#[test]
fn a_transform_in_c_keeps_the_contract() {
    let place = Place::new();
    let kind = kind(&place, &["-Wall", "-Wextra", "-Werror"]);
    let settings = Settings::new().ordered().one_to_one();
    let report = check(&*kind, &json!({}), vec![input()], &settings).unwrap();
    assert_eq!(report.rows, 3);
    assert!(
        ["layout", "strings", "snapshot", "restore"].iter().all(|one| report.checks.contains(one))
    );
}

#[test]
fn what_a_stage_does_wrong_is_an_error_that_says_so() {
    for (word, said) in [
        ("FEWER_COLUMNS", "has 1 columns inside, not 2"),
        ("NEGATIVE", "has -5 rows"),
        ("NO_BATCH", "put out an array that is missing"),
        ("RELEASED", "was released already"),
        ("FAILS_SILENTLY", "the plugin says nothing about it"),
        ("FAILS_AT_LENGTH", "xxxx"),
        ("UNKNOWN_ERROR", "an error of a later minor"),
        ("WRONG_PORT", "output 7"),
        ("SWALLOWS_THE_ERROR", "output 7"),
    ] {
        let place = Place::new();
        let kind = kind(&place, &[&format!("-D{word}")]);
        // The harness notes rows that nobody takes as a breach; here they must fail the call as well.
        let outcome = run(&*kind);
        match outcome {
            Err(error) => {
                assert!(error.message().contains(said), "{word}: {error}");
                assert!(error.message().len() <= 4096, "{word}");
            }
            Ok(collected) => {
                let violations = format!("{:?}", collected.violations);
                assert!(violations.contains(said), "{word}: {violations}");
            }
        }
    }
}

#[test]
fn what_a_kind_plans_wrong_is_an_error_that_says_so() {
    for (word, said) in [
        ("PLAN_BAD_FORMAT", "plans the column `x` with the type `?!`"),
        ("PLAN_LIST", "with the type `+l`, which has columns inside"),
        ("PLAN_VIEW", "plans columns of views"),
        ("PLAN_LONG_NAME", "gives a name of a column of 5000 bytes; more than 1024 are not taken"),
        ("PLAN_TWICE", "plans the column `n` twice"),
        ("PLAN_BAD_DETAILS", "plans something that is no plan"),
        ("PLAN_FAILS_SILENTLY", "the plugin says nothing about it"),
    ] {
        let place = Place::new();
        let kind = kind(&place, &[&format!("-D{word}")]);
        let error = kind.plan(&json!({}), Some(&input().schema())).unwrap_err();
        assert!(error.message().contains(said), "{word}: {error}");
        assert_eq!(error.kind(), ErrorKind::Internal, "{word}");
    }
}

#[test]
fn rejected_rows_have_the_columns_of_the_input() {
    let place = Place::new();
    let collected = run(&*kind(&place, &["-DREJECTS"])).unwrap();
    let [rejected] = &collected.rejected[..] else { panic!("{:?}", collected.rejected) };
    assert_eq!((rejected.rows.clone(), rejected.reason.as_str()), (input(), "not today"));
}

#[test]
fn rejected_rows_keep_their_class() {
    for (word, cause) in [
        ("GRISTMILL_CAUSE_DATA", Cause::Data),
        ("GRISTMILL_CAUSE_IO", Cause::Io),
        ("GRISTMILL_CAUSE_LATE", Cause::Late),
        ("GRISTMILL_CAUSE_REFUSED", Cause::Refused),
        // Those of a later minor, and numbers that are none.
        ("4", Cause::Data),
        ("-1", Cause::Data),
    ] {
        let place = Place::new();
        let collected = run(&*kind(&place, &[&format!("-DREJECTS_AS={word}")])).unwrap();
        let [rejected] = &collected.rejected[..] else { panic!("{:?}", collected.rejected) };
        assert_eq!((rejected.rows.clone(), rejected.cause), (input(), cause), "{word}");
    }
}

/// Readings that the fixture sets; `side` also has a value that it does not.
const READINGS: &str = r#"[{"name":"rows","measure":"counter","help":"Rows."},
    {"name":"side","measure":"counter","help":"Calls.","label":"side","values":["right","left"],"later":1},
    {"name":"held","measure":"gauge","unit":"bytes","help":"What is held."},
    {"name":"took","measure":"histogram","unit":"seconds","help":"How long.","bounds":[0.1,1]}]"#;

/// As an argument of the compiler.
fn declares(json: &str) -> String {
    format!("-DREADINGS=\"{}\"", json.replace('"', "\\\"").replace('\n', " "))
}

#[test]
fn a_kind_declares_readings_and_its_stages_set_them() {
    for word in ["-DQUIET", "-DREADS_WRONGLY"] {
        let place = Place::new();
        let kind = kind(&place, &[&declares(READINGS), word]);
        let names: Vec<_> = kind.readings().iter().map(|reading| reading.name).collect();
        assert_eq!(names, ["rows", "side", "held", "took"]);
        assert_eq!(kind.readings()[2].unit, Some(Unit::Bytes));
        let readings = Arc::new(Readings::new(kind.readings()));
        let schema = input().schema();
        let context = BuildContext::new("told", Arc::new(SystemClock::start()))
            .with_schemas(schema.clone(), schema)
            .with_readings(readings.clone());
        let Stage::Transform(mut stage) = kind.build(&json!({}), context).unwrap() else {
            panic!("no transform");
        };
        stage.process(input(), &mut Nowhere).unwrap();
        stage.process(input(), &mut Nowhere).unwrap();
        let told: Vec<_> = readings
            .read()
            .into_iter()
            .map(|series| (series.reading.name, series.value, series.figure))
            .collect();
        let expected = [
            ("rows", None, Figure::Number(6.0)),
            ("side", Some("right"), Figure::Number(0.0)),
            ("side", Some("left"), Figure::Number(2.0)),
            ("held", None, Figure::Number(5.0)),
            ("took", None, Figure::Histogram { counts: vec![0, 2, 0], sum: 1.0 }),
        ];
        assert_eq!(told, expected, "{word}");
    }
}

/// They come into files and messages.
#[test]
fn texts_have_bounds() {
    let place = Place::new();
    let collected = run(&*kind(&place, &["-DREJECTS_AT_LENGTH"])).unwrap();
    let reason = &collected.rejected[0].reason;
    assert!(reason.len() < 20_000 && reason.ends_with("x…"), "{} bytes", reason.len());
    let place = Place::new();
    place.compile(&["-DENDLESS_SCHEMA"]);
    let error = place.refused();
    assert!(error.message().contains("has 16777216 bytes or more"), "{error}");
}

/// A look at every byte of every text takes too long for a run, and is what a strict loader is for.
#[test]
fn a_strict_loader_finds_texts_that_are_none() {
    let place = Place::new();
    place.compile(&["-DBAD_TEXT"]);
    let wanted = Wanted { path: "./lib.so", folder: place.path(), sha256: None };
    let kind = Loader::new([]).strict().open(wanted).unwrap().kinds(None).remove(0);
    let error = run(&*kind).unwrap_err();
    assert!(error.message().contains("handed over a broken column `t`"), "{error}");
    assert!(error.message().contains("UTF"), "{error}");
}

#[test]
fn a_plugin_of_a_later_minor_is_loaded() {
    let place = Place::new();
    let kind = kind(&place, &["-DLATER", "-DMINOR=9"]);
    assert_eq!(run(&*kind).unwrap().batches, [input()]);
}

/// The header and the plugin of 1.0 as they were: never change them.
#[test]
fn a_plugin_of_the_oldest_minor_is_loaded() {
    let frozen = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/c/frozen-1.0");
    for optimisation in ["-O0", "-O3"] {
        let place = Place::new();
        place.compile_with(&frozen.join("pass.c"), &frozen, &[optimisation]);
        let library = place.open("lib.so").unwrap();
        assert_eq!((library.version(), library.software()), ((1, 0), "pass 1.0"));
        let kind = library.kinds(None).remove(0);
        assert!(kind.readings().is_empty());
        let settings = Settings::new().ordered().one_to_one();
        check(&*kind, &json!({}), vec![input()], &settings).unwrap();
    }
}

#[test]
fn a_kind_is_found_again_by_what_its_provider_says() {
    let place = Place::new();
    place.compile(&[]);
    let library = place.open("lib.so").unwrap();
    let kind = library.kinds(Some("acme")).remove(0);
    assert_eq!((kind.name(), kind.example()), ("acme.pass", "type: acme.pass"));
    let provider = kind.provider().unwrap();
    let mut loader = Loader::default();
    let again = loader.find_again(&provider.data).unwrap();
    assert_eq!(again.provider(), Some(provider));
    assert_eq!(run(&*again).unwrap().batches, [input()]);
    // Another file by now.
    place.compile(&["-DREJECTS"]);
    let error = Loader::default().find_again(&provider.data);
    let error = error.err().expect("it is another file");
    assert!(error.message().contains("is another file than the pinned one"), "{error}");
}

/// What the fixture has counted, as it says in its snapshots.
fn counted(kind: &dyn Kind, restored: Snapshot) -> Snapshot {
    let schema = input().schema();
    let context = BuildContext::new("counts", Arc::new(SystemClock::start()))
        .with_schemas(schema.clone(), schema)
        .with_restored(restored);
    let Stage::Transform(mut stage) = kind.build(&json!({}), context).unwrap() else {
        panic!("no transform");
    };
    stage.process(input(), &mut Nowhere).unwrap();
    stage.snapshot().unwrap()
}

struct Nowhere;

impl Output for Nowhere {
    fn emit(&mut self, _: RecordBatch) -> Result<()> {
        Ok(())
    }

    fn reject(&mut self, _: RecordBatch, _: &str) -> Result<()> {
        Ok(())
    }
}

#[test]
fn a_stage_in_c_goes_on_from_its_snapshot() {
    let place = Place::new();
    let kind = kind(&place, &[]);
    let first = counted(&*kind, Snapshot::Stateless);
    assert_eq!(first.value::<u64>(1).unwrap(), Some(3));
    assert_eq!(counted(&*kind, first).value::<u64>(1).unwrap(), Some(6));
    let other = Snapshot::of(2, &3).unwrap();
    let context = BuildContext::new("counts", Arc::new(SystemClock::start())).with_restored(other);
    let error = kind.build(&json!({}), context).err().expect("it knows no version 2");
    assert_eq!(error.kind(), ErrorKind::Restore);
}

/// Two libraries with one path, one after the other, are two libraries.
#[test]
fn a_file_that_was_replaced_is_another_library() {
    let place = Place::new();
    let first = kind(&place, &[]);
    std::fs::remove_file(place.path().join("lib.so")).unwrap();
    let second = kind(&place, &["-DREJECTS"]);
    assert_eq!(run(&*first).unwrap().batches.len(), 1);
    assert_eq!(run(&*second).unwrap().rejected.len(), 1);
}

/// The system's loader knows a library by its inode, which stays when a file is written over.
#[test]
fn a_file_that_was_written_over_is_another_library() {
    let (place, other) = (Place::new(), Place::new());
    let first = kind(&place, &[]);
    let bytes = std::fs::read(other.compile(&["-DREJECTS"])).unwrap();
    place.write("lib.so", bytes);
    let second = place.open("lib.so").unwrap().kinds(None).remove(0);
    assert_eq!(run(&*second).unwrap().rejected.len(), 1);
    assert_eq!(run(&*first).unwrap().batches.len(), 1);
}
