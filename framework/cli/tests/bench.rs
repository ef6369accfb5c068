//! `gristmill bench` as a user runs it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod common;

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use common::{Ended, Place, ended};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Halves numbers; a row is rejected, and the rest would be written.
const HALVES: &str = "\
# halves
name: halves
stages:
  - { type: generate, with: { count: 20000 } }   # numbers
  - name: halve
    type: map   # rejects one
    run: { mode: pooled }
    with: { set: { half: 10 / (n - 2) } }
  - { name: sums, type: aggregate, with: { group_by: [half], select: { all: count(*) } } }
  - { name: out, type: write, with: { path: out.jsonl } }
";

/// A place with a pipeline, and a folder inside it for whatever is temporary.
fn place(yaml: &str) -> Place {
    let place = Place::new();
    place.write("pipeline.yaml", yaml);
    std::fs::create_dir(place.path().join("tmp")).unwrap();
    place
}

fn bench(place: &Place, args: &[&str]) -> Ended {
    let mut all = vec!["bench", "pipeline.yaml", "--quiet"];
    all.extend(args);
    let mut command = place.command(&all);
    command.env("TMPDIR", place.path().join("tmp")).stdin(Stdio::null());
    let ended = ended(command.output().unwrap());
    assert_eq!(left_in(place), 0, "temporary files are left");
    ended
}

fn left_in(place: &Place) -> usize {
    std::fs::read_dir(place.path().join("tmp")).unwrap().count()
}

fn json(ended: &Ended) -> Value {
    serde_json::from_str(&ended.stdout).unwrap()
}

fn list<'a>(value: &'a Value, name: &str) -> &'a Vec<Value> {
    value[name].as_array().unwrap_or_else(|| panic!("no list `{name}` in {value:#}"))
}

#[test]
fn every_mode_is_measured_and_nothing_is_written() {
    let place = place(HALVES);
    let ended = bench(&place, &["--json", "--workers", "1,2", "--repeat", "2"]).expect(0);
    let found = json(&ended);
    assert_eq!((&found["pipeline"], &found["sinks"]), (&"halves".into(), &"muted".into()));
    let variants = list(&found["rounds"][0], "variants");
    let names: Vec<_> = variants.iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names[..2], ["pooled ×1 (as it stands)", "pooled ×2"]);
    assert!(names.contains(&"threaded ×1") && names.contains(&"threaded ×2"), "{names:?}");
    for variant in variants {
        let settings = list(variant, "settings");
        assert_eq!(settings.len(), 3, "all but the sink: {settings:?}");
        let runs = list(variant, "runs");
        assert_eq!(runs.len(), 2);
        for run in runs {
            assert_eq!((&run["rows"], &run["rejected"]), (&20000.into(), &1.into()));
            assert!(run["seconds"].as_f64().unwrap() > 0.0);
            assert!(run["cpu_seconds"].as_f64().unwrap() > 0.0);
            assert!(run["peak_bytes"].as_u64().unwrap() > 1 << 20);
            assert_eq!(list(run, "stages").len(), 4);
        }
        assert_ne!(variant["verdict"], "slower", "two runs cannot tell");
    }
    assert_eq!(found["advice"]["change"], false);
    assert_eq!(found["complete"], true);
    assert_eq!(place.files(), ["pipeline.yaml", "tmp"]);
}

#[test]
fn the_table_and_the_advice_in_words() {
    let place = place(HALVES);
    bench(&place, &["--modes", "threaded", "--workers", "1", "--repeat", "1"])
        .expect(0)
        .prints("rows/s")
        .prints("peak memory")
        .prints("threaded ×1")
        .prints("`sums`: leave it pooled ×1")
        .prints("1 row was rejected in each run")
        .prints("Sinks were muted");
}

#[test]
fn rows_are_capped_exactly() {
    let place = place(HALVES);
    let args = ["--json", "--workers", "2", "--repeat", "1", "--rows", "12345"];
    let found = json(&bench(&place, &args).expect(0));
    for round in list(&found, "rounds") {
        for variant in list(round, "variants") {
            assert_eq!(variant["runs"][0]["rows"], 12345, "{}", variant["name"]);
            let stages = list(&variant["runs"][0], "stages");
            let halve = stages.iter().find(|stage| stage["stage"] == "halve").unwrap();
            assert_eq!(halve["rows_in"], 12345);
        }
    }
}

#[test]
fn one_stage_alone_gets_the_input_it_had() {
    let place = place(HALVES);
    let args = ["--json", "--stage", "sums", "--workers", "3", "--repeat", "1"];
    let found = json(&bench(&place, &args).expect(0));
    assert_eq!((found["stage"].as_str(), list(&found, "rounds").len()), (Some("sums"), 1));
    for variant in list(&found["rounds"][0], "variants") {
        let run = &variant["runs"][0];
        let sums = list(run, "stages").iter().find(|stage| stage["stage"] == "sums").unwrap();
        // One of the rows was rejected before it.
        let rows = 19999 * found["passes"].as_u64().unwrap();
        assert_eq!((&run["rows"], &sums["rows_in"]), (&rows.into(), &rows.into()));
        assert_eq!(list(run, "stages").len(), 3, "its input, itself, its output");
    }
    let found = json(&bench(&place, &["--json", "--stage", "generate", "--repeat", "1"]).expect(0));
    assert_eq!(found["rounds"][0]["variants"][0]["runs"][0]["rows"], 20000);
    assert_eq!(place.files(), ["pipeline.yaml", "tmp"]);
}

#[test]
fn sinks_work_when_they_are_kept() {
    let place = place(HALVES);
    let args = ["--json", "--keep-sinks", "--modes", "pooled", "--workers", "1", "--repeat", "1"];
    let found = json(&bench(&place, &args).expect(0));
    assert_eq!(list(&found["rounds"][0]["variants"][0], "settings").len(), 4);
    assert_eq!(place.files(), ["out.jsonl", "pipeline.yaml", "tmp"]);
    bench(&place, &["--stage", "out", "--keep-sinks", "--repeat", "1"]).expect(0).prints("`out`");
}

#[test]
fn the_demo_site_answers_all_runs() {
    let place = place(
        "stages:\n  - { type: generate, with: { url: 'demo:/item/{n}.json', count: 20 } }\n  \
         - { type: fetch }\n  - { type: discard }\n",
    );
    let found = json(&bench(&place, &["--json", "--workers", "1", "--repeat", "1"]).expect(0));
    for variant in list(&found["rounds"][0], "variants") {
        assert_eq!(
            (&variant["runs"][0]["rows"], &variant["runs"][0]["rejected"]),
            (&20.into(), &0.into())
        );
    }
}

#[test]
fn the_written_pipeline_is_the_authors_own() {
    let place = place(HALVES);
    bench(&place, &["--repeat", "1", "--write", "better.yaml"]).expect(0).says("wrote better.yaml");
    place.gristmill(&["check", "better.yaml"]).expect(0).prints("pipeline halves");
    let better = place.read("better.yaml");
    let run = |line: &&str| !line.contains("run:");
    let without: Vec<_> = HALVES.lines().filter(run).collect();
    for line in without {
        assert!(better.contains(line.trim_end_matches(" }")), "{line} in {better}");
    }
}

#[test]
fn the_report_needs_nothing_else() {
    let place = place(&HALVES.replace("name: halve\n", "name: <b>&halve\n"));
    bench(&place, &["--repeat", "2", "--report", "report.html"])
        .expect(0)
        .says("wrote report.html");
    let page = place.read("report.html");
    for word in
        ["<svg", "prefers-color-scheme: dark", "Mann-Whitney", "&lt;b&gt;&amp;halve", "<table"]
    {
        assert!(page.contains(word), "{word}");
    }
    for word in ["http:", "https:", "<script", "<link", "src=", "@import", "url(", "<b>&halve"] {
        assert!(!page.contains(word), "{word}");
    }
}

#[test]
fn what_cannot_be_measured_is_said_at_once() {
    let place = place(HALVES);
    bench(&place, &["--stage", "halv"]).expect(1).says("the stages are generate, halve, sums, out");
    bench(&place, &["--stage", "out"]).expect(1).says("--keep-sinks");
    bench(&place, &["--write", "none/better.yaml"]).expect(1).says("a folder that exists");
    bench(&place, &["--modes", "fast"]).expect(2).says("the modes are pooled, threaded");
    bench(&place, &["--workers", "0"]).expect(2);
    place.write("pipeline.yaml", "stages: []\n");
    bench(&place, &[]).expect(1).says("pipeline.yaml:1");
    let stdin = "stages:\n  - { type: read, with: { path: \"-\", format: lines } }\n  - { type: discard }\n";
    place.write("pipeline.yaml", stdin);
    bench(&place, &[]).expect(1).says("put the rows into a file");
}

#[test]
fn a_pipeline_that_fails_says_why() {
    let place =
        place(&HALVES.replace("name: halves\n", "rejected: { path: bad.jsonl, limit: 0 }\n"));
    bench(&place, &["--repeat", "1"]).expect(4).says("stage `halve`").says("limit of 0");
    assert_eq!(place.files(), ["pipeline.yaml", "tmp"]);
}

#[test]
fn a_secret_is_in_no_result() {
    // In an option, and in the error that names it.
    let yaml = HALVES.replace("10 / (n - 2)", "\"concat(n, '${API_KEY}')\"");
    let place = self::place(&yaml);
    let args = ["--json", "--repeat", "1", "--report", "r.html", "--set", "API_KEY=hush20000"];
    let ended = bench(&place, &args).expect(0);
    for text in [&ended.stdout, &ended.stderr, &place.read("r.html")] {
        assert!(!text.contains("hush20000"), "{text}");
    }
    // A secret that looks like a number is none where a number stands.
    let place = self::place(&yaml);
    let args = ["--json", "--repeat", "1", "--set", "API_KEY=20000"];
    let found = json(&bench(&place, &args).expect(0));
    assert_eq!(found["rounds"][0]["variants"][0]["runs"][0]["rows"], 20000);
}

/// One request after another, each with its delay; more workers are sure to be faster.
fn slow(first: &str, run: &str) -> Place {
    place(&format!(
        "batch: {{ rows: 1 }}
stages:
  - {{ type: generate{first}, with: {{ url: 'demo:/delay/10?{{n}}', count: 20 }} }}
  - {{ name: a, type: fetch{run}, with: {{ concurrency: 1 }} }}  # slow
  - {{ type: discard }}
# the end
"
    ))
}

const SURE: [&str; 6] = ["--modes", "pooled", "--workers", "1,8", "--write", "better.yaml"];

#[test]
fn a_sure_win_is_recommended_and_written() {
    let place = slow("", "");
    bench(&place, &SURE)
        .expect(0)
        .prints("`a` limits the pipeline")
        .prints("it waits for something outside")
        .prints("Recommended: a pooled ×8")
        .prints("rows leave `a` in another order");
    let before = place.read("pipeline.yaml");
    let after = before.replace("type: fetch", "type: fetch, run: { mode: pooled, workers: 8 }");
    assert_eq!(place.read("better.yaml"), after);
}

#[test]
fn a_text_that_cannot_be_changed_is_left_alone() {
    // What is written once counts for two stages.
    let place = slow(", run: &slow { workers: 1 }", ", run: *slow");
    bench(&place, &SURE).expect(4).says("change by hand `a` to run: { mode: pooled, workers: 8 }");
    assert_eq!(place.files(), ["pipeline.yaml", "tmp"]);
}

#[test]
fn ctrl_c_shows_what_was_measured() {
    let place = place(HALVES);
    let mut command =
        place.command(&["bench", "pipeline.yaml", "--workers", "1,2", "--repeat", "1000"]);
    command.env("TMPDIR", place.path().join("tmp"));
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    // When the second round begins, the first was measured.
    assert!(lines.any(|line| line.unwrap() == "round 2 of 1000"));
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let rest: Vec<_> = lines.map(Result::unwrap).collect();
    let ended = ended(child.wait_with_output().unwrap());
    assert_eq!(ended.code, 130, "{rest:?}");
    ended.prints("pooled ×2").prints("Interrupted: this is what was measured until then");
    assert_eq!(left_in(&place), 0);
}
