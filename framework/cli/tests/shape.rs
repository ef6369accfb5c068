//! `sort` and the other kinds that change which rows there are, in real runs.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod common;

use std::fmt::Write as _;
use std::process::{Command, Stdio};

use common::{Place, ended};

/// Rows with a number in no order, a key, a list and a long text.
fn input(place: &Place, rows: usize) {
    let mut lines = String::new();
    for n in 0..rows {
        let (number, key) = (n * 7919 % rows, n % 50);
        let text = "x".repeat(80 + n % 40);
        writeln!(
            lines,
            "{{\"n\":{number},\"key\":\"k{key}\",\"l\":[{n},{key}],\"text\":\"{text}\"}}"
        )
        .unwrap();
    }
    place.write("in.jsonl", &lines);
    place.write("keys.csv", "key,weight\nk1,10\nk2,20\nk3,30\n");
}

#[test]
fn every_kind_gives_the_same_rows_in_every_mode() {
    let place = Place::new();
    input(&place, 20_000);
    let pipeline = |mode: &str, workers: usize| {
        format!(
            "batch: {{ rows: 1000 }}
stages:
  - {{ name: in, type: read, with: {{ path: in.jsonl }} }}
  - {{ name: first, type: dedupe, run: {{ mode: {mode}, workers: {workers} }}, with: {{ by: [n] }} }}
  - {{ name: sorted, type: sort, run: {{ mode: {mode} }}, with: {{ by: [key, n desc], memory: 1MiB, spill: spill }} }}
  - {{ name: items, type: unnest, run: {{ mode: {mode} }}, with: {{ column: l, position: at }} }}
  - {{ name: weights, type: lookup, run: {{ mode: {mode} }}, with: {{ table: {{ path: keys.csv }}, on: [key] }} }}
  - {{ name: some, type: sample, run: {{ mode: {mode} }}, with: {{ rate: 0.5 }} }}
  - {{ name: best, type: top, run: {{ mode: {mode} }}, with: {{ by: [l desc, at], rows: 7, group_by: [key] }} }}
  - {{ name: head, type: limit, run: {{ mode: {mode} }}, with: {{ rows: 300, offset: 10 }} }}
  - {{ name: out, type: write, with: {{ path: out.jsonl }} }}
"
        )
    };
    let mut outputs = Vec::new();
    // With one worker the order is that of the input, so all rows are the same.
    for mode in ["threaded", "pooled", "process"] {
        place.run(&pipeline(mode, 1)).expect(0);
        outputs.push(place.read("out.jsonl"));
        assert_eq!(std::fs::read_dir(place.path().join("spill")).unwrap().count(), 0, "{mode}");
    }
    assert_eq!(outputs[0].lines().count(), 300);
    assert!(outputs.iter().all(|output| *output == outputs[0]));
    // Rows that are equal in `n` do not exist here, so the workers of `dedupe` change only the order
    // before `sort`.
    place.run(&pipeline("threaded", 3)).expect(0);
    assert_eq!(place.read("out.jsonl"), outputs[0]);
}

#[test]
fn limit_ends_a_source_without_end() {
    let place = Place::new();
    let yaml = "stages:
  - { type: generate, with: { url: \"demo:/item/{n}\", range: { from: 1, to: 1000000000000 } } }
  - { type: limit, with: { rows: 5 } }
  - { type: write, with: { path: out.jsonl } }
";
    for mode in ["threaded", "pooled", "process"] {
        let yaml = yaml.replace("type: limit", &format!("type: limit, run: {{ mode: {mode} }}"));
        place.run(&yaml).expect(0);
        assert_eq!(place.read("out.jsonl").lines().count(), 5, "{mode}");
    }
}

/// No file may become larger than 32 KiB; to the program that is a disk that is full.
#[test]
fn a_full_disk_is_a_clear_error_and_is_given_back() {
    let place = Place::new();
    input(&place, 20_000);
    let sort = "{ type: sort, with: { by: n, memory: 1MiB, spill: spill } }";
    let groups = "{ type: aggregate, with: { group_by: [n], memory: 1MiB, spill: spill, select: { all: array_agg(n) } } }";
    for (stage, what) in [(sort, "rows"), (groups, "groups")] {
        let yaml = format!(
            "stages:\n  - {{ type: read, with: {{ path: in.jsonl }} }}\n  - {stage}\n  - {{ type: discard }}\n"
        );
        place.write("pipeline.yaml", &yaml);
        let command = place.command(&["run", "pipeline.yaml"]);
        let mut shell = Command::new("bash");
        // Without the signal, a write that goes too far is an error.
        shell.args(["-c", "trap '' XFSZ; ulimit -f 32; exec \"$0\" run pipeline.yaml"]);
        shell.arg(command.get_program()).current_dir(place.path()).env("NO_COLOR", "1");
        let ended = ended(shell.stdin(Stdio::null()).output().unwrap());
        let spilled = format!("{what} cannot be spilled to");
        ended.expect(4).says(&spilled).says("no space left").says("`spill`");
        assert_eq!(std::fs::read_dir(place.path().join("spill")).unwrap().count(), 0);
    }
}

const ROUTES: &str = "stages:
  - { type: read, with: { path: in.jsonl } }
  - { name: router, type: route, run: RUN, with: { routes: { low: n < 100, k3: \"key = 'k3'\" } } }
  - { name: low, type: write, from: router.low, with: { path: low.jsonl } }
  - { name: both, type: write, from: [router.k3, router.low], with: { path: both.jsonl } }
  - { name: rest, type: write, from: router.rest, with: { path: rest.jsonl } }
";

#[test]
fn each_row_leaves_by_the_first_output_that_it_fits_in_every_mode() {
    let place = Place::new();
    input(&place, 5_000);
    for run in
        ["{ mode: threaded }", "{ mode: pooled, workers: 2 }", "{ mode: process, workers: 2 }"]
    {
        place.run(&ROUTES.replace("RUN", run)).expect(0);
        let numbers = |name: &str| {
            let text = place.read(name);
            let rows = text.lines().map(|line| serde_json::from_str(line).unwrap());
            let mut rows: Vec<(i64, String)> = rows
                .map(|row: serde_json::Value| {
                    (row["n"].as_i64().unwrap(), row["key"].as_str().unwrap().to_owned())
                })
                .collect();
            rows.sort();
            rows
        };
        let (low, both, rest) =
            (numbers("low.jsonl"), numbers("both.jsonl"), numbers("rest.jsonl"));
        assert_eq!(low.iter().map(|(n, _)| *n).collect::<Vec<_>>(), (0..100).collect::<Vec<_>>());
        assert!(both.iter().all(|(n, key)| *n < 100 || key == "k3"), "{run}");
        assert!(rest.iter().all(|(n, key)| *n >= 100 && key != "k3"), "{run}");
        assert_eq!((both.len() + rest.len(), low.len()), (5_000, 100), "{run}");
    }
    let plan = place.gristmill(&["check", "pipeline.yaml"]).expect(0);
    plan.prints("by:  low, k3, rest").prints("from router.k3,").prints("from router.rest,");
}

#[test]
fn outputs_are_named_and_taken() {
    let place = Place::new();
    input(&place, 10);
    let yaml = ROUTES.replace("RUN", "{}");
    for (right, wrong, says, help) in [
        (
            "from: router.low,",
            "from: router.lwo,",
            "`router` has no output `lwo`",
            "did you mean `router.low`?",
        ),
        (
            "from: router.low,",
            "from: router.what,",
            "`router` has no output `what`",
            "its outputs are `router.low`, `router.k3`, `router.rest`",
        ),
        (
            "from: router.low,",
            "from: router,",
            "`router` has several outputs",
            "`router.low`, `router.k3`, `router.rest`",
        ),
        (
            "from: router.low,",
            "from: rooter.low,",
            "there is no stage named `rooter.low`",
            "did you mean `router.low`?",
        ),
        (
            "from: router.low,",
            "from: read.low,",
            "there is no stage named `read.low`",
            "write `from: read`",
        ),
        (
            "[router.k3, router.low]",
            "[router.low]",
            "no stage takes what `router.k3` puts out",
            "`discard` keeps nothing",
        ),
        ("[router.k3, router.low]", "[router.k3, router.k3]", "`router.k3` is named twice", ""),
        ("low: n < 100", "rest: n < 100", "`rest` is the output", "another name"),
        ("low: n < 100", "a.b: n < 100", "`a.b` cannot name an output", "letters, digits"),
        ("low: n < 100", "low: n + 1", "must be true or false", ""),
    ] {
        place.write("pipeline.yaml", &yaml.replacen(right, wrong, 1));
        let checked = place.gristmill(&["check", "pipeline.yaml"]).expect(1);
        checked.says(says).says(help);
    }
}
