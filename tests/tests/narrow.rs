//! Only what the pipeline uses is read, and nobody can tell from what comes out.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a test fails by panicking"
)]

use std::fmt::Write;
use std::fs;
use std::path::Path;

use gristmill_config::{Plan, Source, Variables, load};
use gristmill_runtime::{Outcome, Run, RunOptions, WorkerCommand};
use proptest::prelude::*;
use serde_json::{Value, json};

const COLUMNS: &str = "{ n: int64, m: int64, x: float64, text: string, more: string, key: string, \
                       yes: boolean, nested: json }";

fn plan(yaml: &str) -> Plan {
    let registry = gristmill_tests::registry();
    let loaded = load(&Source::new("narrow.yaml", yaml), &Variables::new(), &registry);
    loaded.unwrap_or_else(|problems| panic!("{}\n{yaml}", problems.render(false)))
}

/// The columns that come out of a stage, and what it may leave out.
fn told(plan: &Plan, name: &str) -> String {
    let stage = plan.stages.iter().find(|stage| stage.name == name).unwrap();
    let columns = stage.output.fields().iter().map(|field| field.name().as_str());
    let hints = stage.hints.iter().map(|hint| format!(" [{hint}]"));
    columns.collect::<Vec<_>>().join(" ") + &hints.collect::<String>()
}

/// A pipeline that reads `COLUMNS` and goes on like this.
fn pipeline(folder: &Path, head: &str, stages: &[&str]) -> String {
    let path = folder.join("in.jsonl");
    fs::write(&path, "").unwrap();
    let path = path.display();
    let mut yaml = format!(
        "{head}stages:\n  - {{ name: in, type: read, with: {{ path: '{path}', columns: {COLUMNS} }} }}\n"
    );
    stages.iter().for_each(|stage| writeln!(yaml, "  - {stage}").unwrap());
    yaml
}

const COUNT: &str = "{ type: aggregate, with: { group_by: [key], select: { rows: count(*) } } }";
const OUT: &str = "{ type: write, with: { path: '-' } }";

#[test]
fn a_source_reads_what_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let cases: [(&[&str], &str); 22] = [
        (&[OUT], "n m x text more key yes nested"),
        (
            &[
                "{ type: sort, with: { by: x desc } }",
                "{ type: limit, with: { rows: 5 } }",
                COUNT,
                OUT,
            ],
            "x key",
        ),
        // What another branch wants comes through a stage that leaves nothing out.
        (
            &[
                "{ type: sort, with: { by: x desc } }",
                COUNT,
                OUT,
                "{ name: other, type: write, from: in, with: { path: /dev/null, format: jsonl, columns: [more] } }",
            ],
            "x more key",
        ),
        // So does what a parse makes whether it is wanted or not.
        (
            &[
                "{ type: parse, with: { column: text, format: combined } }",
                "{ name: ways, type: route, with: { routes: { bad: status > 499 } } }",
                "{ name: bad, type: write, from: ways.bad, with: { path: /dev/null, format: jsonl, columns: [status] } }",
                "{ name: sorted, type: sort, from: ways.rest, with: { by: path } }",
                "{ name: out, type: write, with: { path: '-', columns: [host, key] } }",
            ],
            "text key",
        ),
        // Which rows come first decides which go: a filter behind that is no hint.
        (
            &[
                "{ type: dedupe, with: { by: [m] } }",
                "{ type: filter, with: { where: n > 3 } }",
                COUNT,
                OUT,
            ],
            "n m key",
        ),
        // By which rows are dealt out is used as well.
        (
            &[
                "{ type: filter, channel: { distribute: hash(more) }, with: { where: 3 < n } }",
                COUNT,
                OUT,
            ],
            "n more key [n > 3]",
        ),
        (&["{ type: filter, with: { where: n > 3 OR x IS NULL } }", COUNT, OUT], "n x key"),
        (&["{ type: write, with: { path: '-', columns: [more, n] } }"], "n more"),
        (&[COUNT, OUT], "key"),
        (
            &["{ type: filter, with: { where: \"n > 3 AND text = 'a'\" } }", COUNT, OUT],
            "n text key [n > 3] [text = 'a']",
        ),
        // What fails on a row must see that row.
        (&["{ type: filter, with: { where: \"n > 3 AND 10 / m > 1\" } }", COUNT, OUT], "n m key"),
        (&["{ type: filter, with: { where: \"cast(text as int) = 3\" } }", COUNT, OUT], "text key"),
        // Nobody needs a column, but rows are counted.
        (&["{ type: aggregate, with: { select: { rows: count(*) } } }", OUT], "yes"),
        (
            &[
                "{ type: map, with: { set: { z: x * 2, w: \"1 / n\" }, drop: [nested] } }",
                COUNT,
                OUT,
            ],
            "n key",
        ),
        (&["{ type: map, with: { select: [key, text, m] } }", COUNT, OUT], "key"),
        (&["{ type: map, with: { select: { key: lower(text), n: n } } }", COUNT, OUT], "text"),
        // Behind a map a column may be another one.
        (
            &[
                "{ type: map, with: { set: { key: more } } }",
                "{ type: filter, with: { where: \"key = 'a' AND n < 2\" } }",
                COUNT,
                OUT,
            ],
            "n more [n < 2]",
        ),
        (
            &[
                "{ type: map, with: { drop: [x] } }",
                "{ type: filter, with: { where: 'yes AND n IN (1, 5, 7)' } }",
                COUNT,
                OUT,
            ],
            "n key yes [yes = true] [n IN (1, 5, 7)]",
        ),
        (&["{ type: inspect, with: { rows: 1 } }", COUNT, OUT], "n m x text more key yes nested"),
        // Each of several takers gets all that one of them uses.
        (
            &[
                "{ type: filter, with: { where: n > 3 } }",
                "{ name: other, type: aggregate, from: in, with: { select: { x: max(x) } } }",
                "{ type: discard, from: other }",
                "{ name: rest, type: write, from: filter, with: { path: '-', columns: [m] } }",
            ],
            "n m x",
        ),
        (
            &[
                "{ type: aggregate, channel: { distribute: hash(key) }, with: { group_by: [key, text], select: { n: sum(n) } } }",
                OUT,
            ],
            "n text key",
        ),
        (&["{ type: filter, with: { where: n = n OR m > 1 } }", COUNT, OUT], "n m key"),
    ];
    for (stages, expected) in cases {
        let plan = plan(&pipeline(folder.path(), "", stages));
        assert_eq!(told(&plan, "in"), expected, "{stages:?}");
    }
    let whole = pipeline(folder.path(), "rejected: { whole_rows: true }\n", &[COUNT, OUT]);
    assert_eq!(told(&plan(&whole), "in"), "n m x text more key yes nested");
}

#[test]
fn inputs_of_one_stage_keep_the_same_columns() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("more.jsonl");
    fs::write(&path, "").unwrap();
    let path = path.display();
    let yaml = pipeline(
        folder.path(),
        "",
        &[
            &format!(
                "{{ name: more, type: read, with: {{ path: '{path}', columns: {COLUMNS} }} }}"
            ),
            "{ name: some, type: map, from: more, with: { set: { m: 1 / n } } }",
            "{ name: both, type: aggregate, from: [in, some], with: { select: { n: sum(n) } } }",
            OUT,
        ],
    );
    let plan = plan(&yaml);
    // What can fail is computed, so its column is there, and so it is in the rows of the other input.
    let columns = ["in", "more", "some"].map(|stage| told(&plan, stage));
    assert_eq!(columns, ["n m", "n", "n m"]);
}

#[test]
fn a_message_knows_all_columns() {
    let folder = tempfile::tempdir().unwrap();
    let yaml =
        pipeline(folder.path(), "", &["{ type: filter, with: { where: nn > 1 } }", COUNT, OUT]);
    let loaded =
        load(&Source::new("n.yaml", yaml), &Variables::new(), &gristmill_tests::registry());
    let text = loaded.unwrap_err().render(false);
    assert!(text.contains("did you mean `n`?") && text.contains("`nested` (Utf8)"), "{text}");
}

/// A row in which every value fits its column.
fn row() -> impl Strategy<Value = Value> {
    let text = || prop_oneof!["[abAB0-9,\"\n ]{0,4}".prop_map(Value::from), Just(Value::Null)];
    let number = || prop_oneof![(-4i64..5).prop_map(Value::from), Just(Value::Null)];
    let float = prop_oneof![(-8i32..9).prop_map(|n| json!(f64::from(n) / 2.0)), Just(Value::Null)];
    let yes = prop_oneof![any::<bool>().prop_map(Value::from), Just(Value::Null)];
    (number(), number(), float, text(), text(), 0..3, yes).prop_map(
        |(n, m, x, text, more, key, yes)| {
            json!({ "n": n, "m": m, "x": x, "text": text, "more": more, "key": format!("k{key}"),
                    "yes": yes, "nested": [n, { "a": "b" }] })
        },
    )
}

/// A step that leaves the columns which the others name.
fn step() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        Just("{ type: filter, RUN, with: { where: \"n > 0\" } }"),
        Just("{ type: filter, RUN, with: { where: \"text <> 'a' AND x >= -1.5\" } }"),
        Just("{ type: filter, RUN, with: { where: \"m IN (1, 2, 3, -4) OR m IS NULL\" } }"),
        Just("{ type: filter, RUN, with: { where: \"m BETWEEN -2 AND 3 AND 4 / n > 0\" } }"),
        Just("{ type: filter, RUN, with: { where: \"NOT yes AND more IS NOT NULL\" } }"),
        Just("{ type: filter, RUN, with: { where: \"cast(text as int) < 50\" } }"),
        Just("{ type: filter, RUN, with: { where: \"text = 'zz'\" } }"),
        Just("{ type: map, RUN, with: { set: { x: x * 2, more: \"concat(text, '!')\" } } }"),
        Just("{ type: map, RUN, with: { set: { n: m, m: n, text: upper(more) } } }"),
        Just("{ type: map, RUN, with: { set: { n: 8 / m } } }"),
        Just("{ type: sort, ALONE, with: { by: [x desc, n] } }"),
        Just("{ type: map, RUN, with: { set: { nested: key } } }"),
        Just("{ type: map, RUN, with: { select: [more, key, n, m, yes, text, x] } }"),
        Just(
            "{ type: map, RUN, with: { select: { n: n, m: m + 1, x: x, text: text, more: more, \
              key: key, yes: \"n > m\" } } }"
        ),
    ]
}

fn end() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        Just("{ type: write, with: { path: OUT } }"),
        Just("{ type: write, with: { path: OUT, columns: [key, n] } }"),
        Just(
            "{ type: aggregate, RUN, with: { group_by: [key], select: { n: count(*), m: sum(m) } } }"
        ),
        Just("{ type: aggregate, with: { select: { n: count(*) } } }"),
        Just("{ type: aggregate, with: { select: { n: count(text) FILTER (WHERE yes) } } }"),
        Just("{ type: map, RUN, with: { select: { x: x, t: \"1 / (n + 10)\" } } }"),
    ]
}

/// The rows that came out, and of each rejected row the stage, the reason and `n`.
type Left = (Vec<String>, Vec<String>);

fn sorted(path: &Path, show: impl Fn(Value) -> String) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let mut lines: Vec<_> =
        text.lines().map(|line| show(serde_json::from_str(line).unwrap())).collect();
    lines.sort_unstable();
    lines
}

fn run(folder: &Path, input: &str, steps: &[String], plain: bool) -> Left {
    let (out, rejected) = (folder.join("out.jsonl"), folder.join("rejected.jsonl"));
    for file in [&out, &rejected] {
        let _ = fs::remove_file(file);
    }
    let path = rejected.display();
    let mut yaml =
        format!("rejected: {{ path: '{path}', whole_rows: {plain} }}\nstages:\n  - {input}\n");
    for step in steps {
        let step = step.replace("OUT", &format!("'{}'", out.display()));
        writeln!(yaml, "  - {step}").unwrap();
    }
    let mut plan = plan(&yaml);
    if plain {
        plan.stages.iter_mut().for_each(|stage| stage.hints.clear());
    }
    let registry = gristmill_tests::registry();
    let worker = WorkerCommand::program(env!("CARGO_BIN_EXE_gristmill-test-worker"));
    let options = RunOptions { worker: Some(worker), ..RunOptions::default() };
    let report = Run::start(plan, &registry, options).unwrap_or_else(|f| panic!("{f}\n{yaml}"));
    let report = report.wait();
    assert!(matches!(report.outcome, Outcome::Done), "{:?}\n{yaml}", report.outcome);
    let letter = |letter: Value| format!("{} {}", letter["stage"], letter["reason"]);
    (sorted(&out, |row| row.to_string()), sorted(&rejected, letter))
}

/// How the file is read: JSON lines, or CSV with and without a header.
fn input(folder: &Path, rows: &[Value], format: usize, mode: &str) -> String {
    let names = ["n", "m", "x", "text", "more", "key", "yes", "nested"];
    let cell = |value: &Value| match value {
        Value::Null => String::new(),
        Value::String(text) => format!("\"{}\"", text.replace('"', "\"\"")),
        Value::Array(_) => "\"[]\"".to_owned(),
        other => other.to_string(),
    };
    let line = |row: &Value| names.map(|name| cell(&row[name])).join(",") + "\n";
    let (file, text, more) = match format {
        0 => ("in.jsonl", rows.iter().map(|row| format!("{row}\n")).collect(), ""),
        1 => ("in.csv", names.join(",") + "\n" + &rows.iter().map(line).collect::<String>(), ""),
        _ => ("in.csv", rows.iter().map(line).collect::<String>(), ", header: false"),
    };
    fs::write(folder.join(file), text).unwrap();
    let path = folder.join(file);
    format!(
        "{{ name: in, type: read, run: {{ mode: {mode} }}, with: {{ path: '{}', columns: {COLUMNS}{more} }} }}",
        path.display()
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, max_shrink_iters: 60, ..ProptestConfig::default() })]
    #[test]
    fn what_comes_out_is_the_same(
        rows in prop::collection::vec(row(), 0..60),
        steps in prop::collection::vec(step(), 0..4),
        end in end(),
        format in 0usize..3,
        mode in prop_oneof![3 => Just("pooled"), 2 => Just("threaded"), 1 => Just("process")],
        workers in 1usize..3,
        branch in any::<bool>(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let run_words = format!("run: {{ mode: {mode}, workers: {workers} }}");
        let mut stages: Vec<String> = Vec::new();
        for (index, step) in steps.iter().chain([&end]).enumerate() {
            let named = format!("name: s{index}, {run_words}");
            let step = step.replace("RUN", &named).replace("ALONE", &format!("name: s{index}"));
            stages.push(step);
        }
        if !end.contains("type: write") {
            stages.push("{ type: write, with: { path: OUT } }".to_owned());
        }
        if branch {
            stages.push("{ name: b, type: filter, from: in, with: { where: m > 1 } }".to_owned());
            stages.push("{ type: discard, from: b }".to_owned());
        }
        let input = input(folder.path(), &rows, format, mode);
        let expected = run(folder.path(), &input, &stages, true);
        prop_assert_eq!(run(folder.path(), &input, &stages, false), expected);
    }
}
