//! What is logged, and how.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod common;

use common::{Ended, Place};
use serde_json::Value;

/// Three rows, the first of which a filter rejects, in this mode.
fn pipeline(mode: &str) -> String {
    format!(
        "name: logged\nstages:\n  \
         - {{ name: requests, type: generate, with: {{ url: 'x:{{n}}', count: 3 }} }}\n  \
         - {{ name: picky, type: filter, run: {{ mode: {mode} }}, with: {{ where: '1 / (n / 2) > 0' }} }}\n  \
         - {{ name: out, type: discard }}\n"
    )
}

fn run(place: &Place, yaml: &str, arguments: &[&str]) -> Ended {
    place.write("pipeline.yaml", yaml);
    place.gristmill(&[&["run", "pipeline.yaml"], arguments].concat())
}

/// The lines of stderr, all of which must be objects.
fn objects(ended: &Ended) -> Vec<Value> {
    let object = |line: &str| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"));
    ended.stderr.lines().map(object).collect()
}

#[test]
fn a_stage_has_a_level_of_its_own_in_every_mode() {
    for mode in ["pooled", "threaded", "process"] {
        let place = Place::new();
        let quiet = run(&place, &pipeline(mode), &["-q"]).expect(3);
        assert!(!quiet.stderr.contains("rejected: "), "{}", quiet.stderr);
        let told = run(&place, &pipeline(mode), &["-q", "--log", "error,picky=debug"]).expect(3);
        assert_eq!(told.stderr.matches("rejected: ").count(), 1, "{mode}: {}", told.stderr);
        assert!(told.stderr.contains("stage=\"picky\""), "{mode}: {}", told.stderr);
        assert!(!told.stderr.contains("stage=\"out\""), "{mode}: {}", told.stderr);
    }
}

#[test]
fn a_child_process_says_what_is_wanted_of_its_stage() {
    let lines = |levels: &str| {
        let place = Place::new();
        let arguments = ["-q", "--log", levels, "--log-format", "json"];
        let ended = run(&place, &pipeline("process"), &arguments).expect(3);
        let lines = objects(&ended).into_iter();
        let built = lines.filter(|line| {
            line["message"].as_str().unwrap().starts_with("the stage is built pid=")
        });
        built.collect::<Vec<_>>()
    };
    let told = lines("error,picky=debug");
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!([&told[0]["stage"], &told[0]["level"]], ["picky", "debug"]);
    assert_eq!(told[0]["part"], "gristmill_runtime::process::serve::session");
    assert_ne!(told[0]["message"], format!("the stage is built pid={}", std::process::id()));
    assert_eq!(lines("debug").len(), 1);
    assert_eq!(lines("error,gristmill_runtime=debug").len(), 1, "by the part of the program");
    for levels in ["error", "error,out=debug", "debug,picky=info", "debug,gristmill_runtime=off"] {
        assert!(lines(levels).is_empty(), "{levels}");
    }
}

#[test]
fn every_line_is_an_object_if_asked() {
    let place = Place::new();
    let arguments = ["--log-format", "json", "--log", "picky=debug", "--metrics", "0"];
    let ended = run(&place, &pipeline("pooled"), &arguments).expect(3);
    let lines = objects(&ended);
    for line in &lines {
        for field in ["timestamp", "level", "target", "message"] {
            assert!(line[field].is_string(), "{line}");
        }
    }
    let find = |message: &str| {
        let has = |line: &&Value| line["message"].as_str().unwrap().contains(message);
        lines.iter().filter(has).collect::<Vec<_>>()
    };
    let rejected = find("rejected: ");
    assert_eq!(rejected.len(), 1, "{lines:?}");
    assert_eq!(rejected[0]["stage"], "picky");
    assert_eq!(rejected[0]["worker"], 0);
    assert_eq!(rejected[0]["cause"], "data");
    assert_eq!(rejected[0]["level"], "debug");
    assert_eq!(find("metrics at http://").len(), 1);
    // What people see as a table.
    let stages = find("the stage has ended");
    let names: Vec<_> = stages.iter().map(|line| line["stage"].as_str().unwrap()).collect();
    assert_eq!(names, ["requests", "picky", "out"]);
    assert_eq!([&stages[1]["rows_in"], &stages[1]["rejected"]], [3, 1]);
    let end = find("1 row was rejected");
    assert_eq!(end[0]["level"], "info", "{end:?}");
}

#[test]
fn errors_have_their_level() {
    let place = Place::new();
    let yaml = "stages:\n  - { type: generate, with: { url: 'x:{n}', count: 1 } }\n  \
                - { type: write, with: { path: /proc/none/x.jsonl } }\n";
    let ended = run(&place, yaml, &["--log-format", "json"]);
    let lines = objects(&ended);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(lines[0]["level"], "error");
    assert!(lines[0]["message"].as_str().unwrap().contains(" --> pipeline.yaml:3:"), "{lines:?}");
}

#[test]
fn no_secret_is_in_any_form_of_the_log() {
    // Quotes and backslashes look otherwise in JSON.
    let secret = "a\"b\\c-hunter2";
    let yaml = "name: logged\nstages:\n  \
         - { name: requests, type: generate, with: { url: 'x:{n}', count: 1 } }\n  \
         - name: picky\n    type: filter\n    with:\n      where: cast(concat(url, '${API_TOKEN}') as bigint) > 0\n  \
         - { name: out, type: discard }\n";
    for format in ["text", "json"] {
        let place = Place::new();
        let set = format!("API_TOKEN={secret}");
        let arguments = ["--log", "debug", "--log-format", format, "--set", &set];
        let ended = run(&place, yaml, &arguments).expect(3);
        assert!(ended.stderr.contains("rejected: "), "{}", ended.stderr);
        assert!(!ended.stderr.contains("hunter2"), "{format}: {}", ended.stderr);
    }
}

#[test]
fn a_level_that_is_none_is_refused() {
    let place = Place::new();
    run(&place, &pipeline("pooled"), &["--log", "loud"]).expect(2).says("`loud` is no level");
    run(&place, &pipeline("pooled"), &["--log-format", "xml"]).expect(2).says("json");
}
