//! Stages in Python: what a user sees of them, also when they misbehave. `.ci/python` makes the Python that
//! they need.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod common;
#[path = "common/watched.rs"]
mod watched;

use std::fmt::Write;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use common::{Ended, Place};
use rustix::process::{Pid, Signal, kill_process};
use watched::{Sample, Watched, sum};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// A pipeline with the plugins of the tests.
fn pipeline(stages: &[&str]) -> String {
    let python = format!("{ROOT}/target/python/bin/python");
    assert!(std::path::Path::new(&python).exists(), "run .ci/python, which makes {python}");
    let mut yaml = format!(
        "plugins:\n  - {{ command: ['{python}', '{ROOT}/plugins/python/tests/broken.py'] }}\n\
         batch: {{ rows: 10 }}\nrejected: rejected.jsonl\nstages:\n"
    );
    stages.iter().for_each(|stage| writeln!(yaml, "  - {{ {stage} }}").unwrap());
    yaml
}

fn numbers(place: &Place, count: usize) {
    let lines: String = (0..count).map(|n| format!("{{\"n\":{n}}}\n")).collect();
    place.write("in.jsonl", &lines);
}

const READ: &str = "type: read, with: { path: in.jsonl, columns: { n: int64 } }";
const WRITE: &str = "type: write, with: { path: out.jsonl }";

/// Gives a hundred rows to a stage.
fn through(stage: &str) -> (Place, Ended) {
    let place = Place::new();
    numbers(&place, 100);
    let ended = place.run(&pipeline(&[READ, stage, WRITE]));
    (place, ended)
}

fn came(place: &Place, name: &str) -> Vec<i64> {
    let lines = place.read(name);
    let number = |line: &str| {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        row.pointer("/n").or_else(|| row.pointer("/row/n")).unwrap().as_i64().unwrap()
    };
    let mut found: Vec<i64> = lines.lines().map(number).collect();
    found.sort_unstable();
    found
}

fn all_but(rows: std::ops::Range<i64>) -> Vec<i64> {
    (0..100).filter(|n| !rows.contains(n)).collect()
}

#[test]
fn an_exception_rejects_the_row() {
    let (place, ended) = through("type: broken, with: { how: raise }");
    ended.expect(3);
    assert_eq!(came(&place, "out.jsonl"), all_but(7..8));
    assert_eq!(reason(&place), "ValueError: this row is too much (broken.py:N)");
    assert_eq!(came(&place, "rejected.jsonl"), [7]);
}

#[test]
fn in_a_function_of_tables_it_rejects_the_batch() {
    let (place, ended) = through("type: broken_tables, with: { how: raise }");
    ended.expect(3);
    assert_eq!(came(&place, "out.jsonl"), all_but(0..10));
    assert_eq!(came(&place, "rejected.jsonl"), (0..10).collect::<Vec<_>>());
}

/// A row that kills each process that comes to it is found and rejected.
fn kills(how: &str, said: &str, run: &str) {
    let place = Place::new();
    numbers(&place, 100);
    let stage = format!("type: broken, {run} with: {{ how: {how} }}");
    // Small batches are soon divided.
    let yaml = pipeline(&[READ, &stage, WRITE]).replace("rows: 10 ", "rows: 2 ");
    place.run(&yaml).expect(3);
    assert_eq!(came(&place, "out.jsonl"), all_but(7..8), "{how}");
    assert_eq!(came(&place, "rejected.jsonl"), [7], "{how}");
    let died = format!("the child process died each time it came to this row: {said}");
    assert_eq!(reason(&place), died, "{how}");
}

/// Why the first of the rejected rows was rejected, without the number of the line in the program.
fn reason(place: &Place) -> String {
    let rejected = place.read("rejected.jsonl");
    let row: serde_json::Value = serde_json::from_str(rejected.lines().next().unwrap()).unwrap();
    let reason = row["reason"].as_str().unwrap();
    match reason.split_once("(broken.py:") {
        Some((before, _)) => format!("{before}(broken.py:N)"),
        None => reason.to_owned(),
    }
}

#[test]
fn a_wild_pointer() {
    kills("segv", "it was killed by signal 11 (SIGSEGV)", "");
}

#[test]
fn ended_by_itself() {
    kills("exit", "it ended by itself with code 3", "");
    kills("leave", "it ended by itself with code 1; its last line: it leaves", "");
}

#[test]
fn hung() {
    // Long enough for the calls of a busy machine that do not hang.
    kills("hang", "one call of the stage took longer than 2s", "run: { timeout: 2s },");
}

#[test]
fn another_schema_than_it_said() {
    let said =
        "it broke the protocol: rows that cannot be read: it has other columns than were announced";
    kills("lie", said, "");
}

#[test]
fn out_of_memory() {
    kills("memory", "MemoryError: too much (broken.py:N)", "");
}

#[test]
fn an_error_that_ends_the_run() {
    let (place, ended) = through("type: broken, with: { how: fail }");
    ended
        .expect(4)
        .says("error: stage `broken`, batch ")
        .says(": it has had enough (less of it)\n");
    assert!(!place.exists("out.jsonl"));
}

#[test]
fn what_it_prints_is_in_the_log() {
    let place = Place::new();
    numbers(&place, 100);
    let write = "type: write, with: { path: '-', format: jsonl }";
    let yaml = pipeline(&[READ, "type: broken, with: { how: print }", write]);
    let ended = place.run(&yaml).expect(0);
    let ended = ended
        .says("WARN gristmill_runtime::process::child: what is printed stage=\"broken\" worker=0");
    let ended = ended.says(" and what is written stage=\"broken\" worker=0");
    assert_eq!(ended.stdout.lines().count(), 100, "{}", ended.stdout);
}

#[test]
fn a_flood_on_stderr_holds_nothing_up() {
    let (place, ended) = through("type: broken, with: { how: flood }");
    let ended = ended.expect(0);
    // Two megabytes, line by line.
    assert_eq!(ended.stderr.matches(&"x".repeat(999)).count(), 2000);
    assert_eq!(came(&place, "out.jsonl").len(), 100);
}

#[test]
fn a_sink_may_print() {
    let place = Place::new();
    numbers(&place, 100);
    let ended = place.run(&pipeline(&[READ, "type: print_all"])).expect(0);
    let printed: Vec<i64> = ended.stdout.lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(printed, (0..100).collect::<Vec<_>>());
}

#[test]
fn a_source_goes_on_where_another_died() {
    let place = Place::new();
    let died = place.path().join("died").display().to_string();
    for at in [0, 35, 99] {
        let stage = format!("type: count, with: {{ how: '{died}', at: {at} }}");
        let ended = place.run(&pipeline(&[&stage, WRITE])).expect(0);
        ended.says("it ended by itself with code 1");
        assert_eq!(came(&place, "out.jsonl"), (0..100).collect::<Vec<_>>(), "{at}");
        std::fs::remove_file(&died).unwrap();
    }
}

#[test]
fn a_state_outlives_its_process() {
    for every in [0, 2, 3] {
        let (place, ended) = through(&format!("type: total, with: {{ every: {every} }}"));
        ended.expect(0);
        assert_eq!(place.read("out.jsonl"), "{\"total\":4950}\n", "{every}");
    }
}

#[test]
fn many_rows_of_one() {
    let place = Place::new();
    numbers(&place, 3);
    let count =
        "type: aggregate, with: { group_by: [n], select: { rows: count(*), last: max(i) } }";
    place.run(&pipeline(&[READ, "type: explode", count, WRITE])).expect(0);
    let mut lines: Vec<_> = place.read("out.jsonl").lines().map(str::to_owned).collect();
    lines.sort();
    let line = |n| format!("{{\"n\":{n},\"rows\":20000,\"last\":19999}}");
    assert_eq!(lines, [line(0), line(1), line(2)]);
}

#[test]
fn values_of_every_type_are_the_same_there_and_back() {
    let place = Place::new();
    let made = std::process::Command::new(format!("{ROOT}/target/python/bin/python"))
        .args([format!("{ROOT}/plugins/python/tests/types_file.py"), "in.arrow".to_owned()])
        .current_dir(place.path())
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let read = "type: read, with: { path: in.arrow }";
    place.run(&pipeline(&[read, WRITE])).expect(0);
    let expected = place.read("out.jsonl");
    assert_eq!(expected.lines().count(), 50);
    for kind in ["same_tables", "same_rows", "same_frames"] {
        place.run(&pipeline(&[read, &format!("type: {kind}"), WRITE])).expect(0);
        assert_eq!(place.read("out.jsonl"), expected, "{kind}");
    }
}

#[test]
fn one_ctrl_c_ends_a_source_in_order() {
    let place = Place::new();
    place.write(
        "pipeline.yaml",
        &pipeline(&["type: endless", "type: write, with: { path: '-', format: jsonl }"]),
    );
    let mut command = place.command(&["run", "pipeline.yaml"]);
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "{\"n\":0}");
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    let rest: Vec<_> = lines.map(Result::unwrap).collect();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let expected: Vec<_> = (1..=rest.len()).map(|n| format!("{{\"n\":{n}}}")).collect();
    assert_eq!(rest, expected);
}

#[test]
fn what_it_reads_of_its_work_and_why_it_rejects_is_in_the_metrics() {
    for workers in [1, 2] {
        let place = Place::new();
        numbers(&place, 100);
        let stage = format!("type: tells, run: {{ workers: {workers} }}");
        let open = "name: open, type: read, with: { path: '-', format: lines }";
        let yaml = pipeline(&[READ, &stage, "type: discard", open, "name: end, type: discard"]);
        let mut run = Watched::run(&place, &yaml);
        let of = |samples: &[Sample], name: &str, labels: &[&str]| {
            let stage = ["stage=\"tells\"", "mode=\"process\""];
            sum(samples, &format!("gristmill_{name}"), &[&stage[..], labels].concat())
        };
        let told = run.wait_for("all is counted", |samples| {
            of(samples, "tells_rows_total", &[]) == 100.0
                && of(samples, "stage_rows_rejected_total", &[]) == 12.0
        });
        for (name, labels, value) in [
            ("tells_rows_total", "side=\"even\"", 50.0),
            ("tells_rows_total", "side=\"odd\"", 50.0),
            ("tells_number_bucket", "le=\"10\"", 11.0),
            ("tells_number_bucket", "le=\"50\"", 51.0),
            ("tells_number_bucket", "le=\"+Inf\"", 100.0),
            ("tells_number_sum", "kind=\"tells\"", 4950.0),
            ("stage_rows_rejected_total", "reason=\"late\"", 10.0),
            ("stage_rows_rejected_total", "reason=\"io\"", 1.0),
            ("stage_rows_rejected_total", "reason=\"data\"", 1.0),
        ] {
            assert_eq!(of(&told, name, &[labels]), value, "{workers} {name} {labels}");
        }
        assert!(told.iter().any(|one| one.name == "gristmill_tells_last_bytes"));
        let never = told.iter().filter(|one| one.name.contains("never")).count();
        assert_eq!(never, 0, "{told:?}");
    }
}

#[test]
fn a_reading_that_can_be_no_metric_is_an_error_that_names_it() {
    let place = Place::new();
    place.write(
        "wrong.py",
        "from dataclasses import dataclass\nimport gristmill\n@dataclass\nclass Readings:\n    \
         Misses: gristmill.Counter = gristmill.counter('Misses.')\n\
         @gristmill.rows('clean')\ndef clean(row: dict, readings: Readings) -> dict:\n    return row\n\
         gristmill.main()\n",
    );
    let python = format!("{ROOT}/target/python/bin/python");
    let yaml = format!("plugins:\n  - {{ command: ['{python}', ./wrong.py] }}\nstages: []\n");
    place.write("pipeline.yaml", &yaml);
    place
        .gristmill(&["check", "pipeline.yaml"])
        .expect(1)
        .says("`clean` of `")
        .says("the reading `Misses` has a name that is not of letters from a to z")
        .says("pipeline.yaml:2:17");
}

#[test]
fn mistakes_are_shown_where_they_stand() {
    let place = Place::new();
    numbers(&place, 1);
    let check = |stage: &str| {
        place.write("pipeline.yaml", &pipeline(&[READ, stage, WRITE]));
        place.gristmill(&["check", "pipeline.yaml"]).expect(1)
    };
    check("type: broken, with: { hwo: raise }")
        .says("`broken` has no option `hwo`")
        .says("pipeline.yaml:7:29")
        .says("did you mean `how`?");
    check("type: broken, with: { how: raise, at: seven }")
        .says("`at` must be a whole number, not the text `seven`")
        .says("pipeline.yaml:7:45");
    check("type: broken, run: { mode: threaded }, with: { how: raise }")
        .says("`broken` cannot run in the mode `threaded`")
        .says("pipeline.yaml:7:34");
    check("type: brokne, with: { how: raise }").says("did you mean `broken`?");
    check("type: wide, with: { how: x }").says("puts out two columns named `n`");
    check("type: total, run: { workers: 2 }").says("it is one sum");
}

#[test]
fn kinds_are_listed_explained_and_in_the_schema() {
    let place = Place::new();
    place.write("pipeline.yaml", &pipeline(&["type: endless", WRITE]));
    let listed = place.gristmill(&["stages", "pipeline.yaml"]).expect(0);
    listed.prints("Adds up `n`, and puts the sum out at the end.").prints("fetch");
    let explained = place.gristmill(&["stages", "pipeline.yaml", "broken"]).expect(0);
    explained.prints("The row at which it does it.").prints("integer");
    let schema = place.gristmill(&["schema", "pipeline.yaml"]).expect(0);
    let schema: serde_json::Value = serde_json::from_str(&schema.stdout).unwrap();
    let at = schema.pointer("/$defs/with.broken/properties/at/default");
    assert_eq!(at, Some(&serde_json::json!(7)));
}

#[test]
fn programs_that_are_no_plugins() {
    let place = Place::new();
    let says = |command: &str, text: &str| {
        let yaml = format!("plugins:\n  - {{ command: [{command}] }}\nstages: []\n");
        place.write("pipeline.yaml", &yaml);
        let ended = place.gristmill(&["check", "pipeline.yaml"]).expect(1);
        ended.says(text).says("pipeline.yaml:2:17");
    };
    says("no-such-program", "there is no program `no-such-program`");
    says("./no/such/program", "there is no program `./no/such/program`");
    says("/etc/passwd", "`/etc/passwd` is no program that may be run");
    says("sh, -c, 'echo no module >&2; exit 3'", "code 3; its last line: no module");
    says("sh, -c, 'echo what is this, if not a frame? >&0; cat'", "there is no frame of kind 32");
    says("python3, -S, -c, 'import gristmill'", "No module named 'gristmill'");
    let hello = r#"{"protocol":"gristmill-worker","major":9,"minor":0,"software":"other","limits":{"frame":1,"credit":1}}"#;
    // A program of another version of the protocol.
    let code = format!(
        "import os, struct; p = {hello:?}.encode(); os.write(0, struct.pack('<IBBHQ', len(p), 1, 0, 0, 0) + p); os.read(0, 1)"
    );
    place.write("other.py", &code);
    says("python3, ./other.py", "other speaks gristmill-worker 9.0, this is gristmill-worker 1.5");
    place.write("other.py", &code.replace("9,", "1,"));
    says("python3, ./other.py", "other speaks 1.0 and cannot say which kinds it has");
}

#[test]
fn two_plugins_with_one_kind() {
    let place = Place::new();
    numbers(&place, 1);
    let yaml = pipeline(&[READ, "type: broken, with: { how: x }", WRITE]);
    let line = yaml.lines().nth(1).unwrap().to_owned();
    let other = line.replace("bin/python'", "bin/python', '-B'");
    place.write("pipeline.yaml", &yaml.replace(&line, &format!("{line}\n{other}")));
    let ended = place.gristmill(&["check", "pipeline.yaml"]).expect(1);
    ended.says("there are two kinds named `broken`: one is from ").says("pipeline.yaml:3:17");
    let named = other.replace("] }", "], namespace: mine }");
    let both = yaml.replace(&line, &format!("{line}\n{named}"));
    place.run(&both.replace("type: broken", "type: mine.broken")).expect(0);
    assert_eq!(came(&place, "out.jsonl"), [0]);
}

#[test]
fn the_example_runs() {
    let place = Place::new();
    let example = format!("{ROOT}/examples/python");
    let set = |name: &str, value: String| ["--set".to_owned(), format!("{name}={value}")];
    let mut args = vec!["run".to_owned(), format!("{example}/access.yaml")];
    args.extend(set("PYTHON", format!("{ROOT}/target/python/bin/python")));
    args.extend(set("LOG", format!("{example}/access.log")));
    args.extend(set("OUT", "failed.jsonl".to_owned()));
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    place.gristmill(&args).expect(3);
    let lines = place.read("failed.jsonl");
    assert!(lines.starts_with(r#"{"path":"#) && lines.lines().count() > 5, "{lines}");
    let rejected = place.read("access.rejected.jsonl");
    assert!(rejected.contains("this is no line of an access log"), "{rejected}");
    assert_eq!(rejected.lines().count(), 1);
}

#[test]
fn what_new_plugin_makes_tests_and_runs() {
    let place = Place::new();
    place.gristmill(&["new", "plugin", "my-words", "--lang", "python"]).expect(0);
    let made = place.path().join("my-words");
    assert!(place.read("my-words/requirements.txt").ends_with("plugins/python\n"));
    let folder = format!("{ROOT}/target/python/bin");
    let tested = std::process::Command::new(format!("{folder}/python"))
        .arg("test_stage.py")
        .current_dir(&made)
        .output()
        .unwrap();
    assert!(tested.status.success(), "{}", String::from_utf8_lossy(&tested.stderr));
    let mut command = place.command(&["run", "--quiet", "pipeline.yaml"]);
    command.current_dir(&made);
    let path = format!("{folder}:{}", std::env::var("PATH").unwrap());
    let ended = common::ended(command.env("PATH", path).output().unwrap()).expect(0);
    assert_eq!(ended.stdout.lines().count(), 5);
    ended.prints(r#""text":"a page at demo:/item/1","words":4"#);
}
