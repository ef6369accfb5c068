//! The command as a user runs it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod common;

use std::io::Write;
use std::process::Stdio;

use common::{Place, ended};

const SHORT: &str = "\
stages:
  - { type: generate, with: { count: 3 } }
  - { type: write, with: { path: out.jsonl } }
";

#[test]
fn run_writes_the_result_and_shows_a_table() {
    let place = Place::new();
    let ended = place.run(SHORT).expect(0).says("done in").says("wrote out.jsonl");
    for column in ["rows in", "rejected", "busy", "waiting", "blocked", "p50/batch", "p99/batch"] {
        assert!(ended.stderr.contains(column), "{column}:\n{}", ended.stderr);
    }
    assert_eq!(place.read("out.jsonl"), "{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n");
    assert_eq!(place.files(), ["out.jsonl", "pipeline.yaml"]);
}

#[test]
fn run_reads_the_pipeline_from_stdin_and_writes_to_stdout() {
    let place = Place::new();
    let mut child = place
        .command(&["run", "-", "--quiet", "--set", "COUNT=2"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let yaml = "\
stages:
  - type: generate
    with:
      count: ${COUNT}
  - { type: write, with: { path: \"-\" } }
";
    child.stdin.take().unwrap().write_all(yaml.as_bytes()).unwrap();
    let ended = ended(child.wait_with_output().unwrap()).expect(0);
    assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("{\"n\":1}\n{\"n\":2}\n", ""));
}

#[test]
fn rejected_rows_are_in_a_file_and_in_the_exit_code() {
    let place = Place::new();
    let yaml = "\
stages:
  - { type: generate, with: { count: 4 } }
  - { name: halve, type: map, with: { set: { half: 10 / (n - 2) } } }
  - { type: write, with: { path: data/out.jsonl } }
";
    place.run(yaml).expect(3).says("1 row was rejected; it is in data/pipeline.rejected.jsonl");
    assert_eq!(place.read("data/out.jsonl").lines().count(), 3);
    let letters = place.read("data/pipeline.rejected.jsonl");
    let letter: serde_json::Value = serde_json::from_str(letters.trim()).unwrap();
    assert_eq!(letter["stage"], "halve");
    assert_eq!(letter["row"]["n"], 2);
    assert_eq!(letter["origin"]["batch"], 1);
    assert!(letter["reason"].as_str().unwrap().to_lowercase().contains("zero"), "{letter}");
    assert!(letter["time"].as_str().unwrap().ends_with('Z'));
}

#[test]
fn rejected_rows_keep_all_digits() {
    let place = Place::new();
    let yaml = "\
stages:
  - { type: generate, with: { count: 1 } }
  - name: numbers
    type: map
    with:
      select:
        d: cast('12345678901234567890123456.70' as decimal(38, 2))
        x: cast('NaN' as double)
        l: make_array(cast('0.1000000000000000000001' as decimal(38, 22)))
        t: concat('a', n)
  - { name: bad, type: filter, with: { where: cast(t as int) > 0 } }
  - { type: write, with: { path: out.jsonl } }
";
    place.run(yaml).expect(3);
    let letters = place.read("pipeline.rejected.jsonl");
    let row = r#""row":{"d":12345678901234567890123456.70,"x":"NaN","l":[0.1000000000000000000001],"t":"a1"}}"#;
    assert!(letters.ends_with(&format!("{row}\n")), "{letters}");
}

#[test]
fn too_many_rejected_rows_fail_the_run() {
    let place = Place::new();
    let yaml = "\
rejected: { path: bad.jsonl, limit: 2 }
stages:
  - { type: generate, with: { count: 9 } }
  - { name: halve, type: map, with: { set: { half: 1 / (n - n) } } }
  - { type: write, with: { path: out.jsonl } }
";
    place.run(yaml).expect(4).says("more than the limit of 2");
    assert!(!place.exists("out.jsonl"));
}

#[test]
fn check_prints_the_plan() {
    let place = Place::new();
    place.write("short.yaml", SHORT);
    place
        .gristmill(&["check", "short.yaml"])
        .expect(0)
        .prints("pipeline short: 2 stages, 1 channels")
        .prints("n int64")
        .prints("at most 65,536 rows and 64MiB")
        .prints("memory: channels hold at most 64MiB")
        .prints("writes out.jsonl");
    assert_eq!(place.files(), ["short.yaml"], "check changes nothing");
}

#[test]
fn a_pool_has_its_own_processors_and_niceness() {
    let place = Place::new();
    let yaml = "\
pools: { slow: { threads: 1, cpus: [0], nice: 5 }, lost: { threads: 1, cpus: [1000] } }
stages:
  - { type: generate, run: { pool: slow }, with: { count: 3 } }
  - { type: write, run: { pool: POOL }, with: { path: out.jsonl } }
";
    place.run(&yaml.replace("POOL", "slow")).expect(4).says("pool `lost`");
    assert!(!place.exists("out.jsonl"));
    let yaml = yaml.replace(", lost: { threads: 1, cpus: [1000] }", "").replace("POOL", "slow");
    place.run(&yaml).expect(0);
    assert_eq!(place.read("out.jsonl").lines().count(), 3);
    let check = place.gristmill(&["check", "pipeline.yaml"]).expect(0);
    check.prints("pool slow: 1 threads on cpus [0], nice 5");
}

#[test]
fn check_lists_all_errors_of_all_files() {
    let place = Place::new();
    place.write("a.yaml", "stages:\n  - { type: genrate }\n  - { type: discard, wiht: {} }\n");
    place.write("b.yaml", SHORT);
    place
        .gristmill(&["check", "a.yaml", "b.yaml"])
        .expect(1)
        .says("a.yaml:2:")
        .says("generate")
        .says("a.yaml:3:")
        .says("with")
        .prints("pipeline b");
}

#[test]
fn run_refuses_a_bad_pipeline_before_anything_happens() {
    let place = Place::new();
    place.run("stages: []\n").expect(1);
    place.gristmill(&["run", "missing.yaml"]).expect(1).says("missing.yaml");
    place.gristmill(&["run"]).expect(2);
    place.gristmill(&["run", "x.yaml", "--set", "novalue"]).expect(2).says("VAR=VALUE");
    assert_eq!(place.files(), ["pipeline.yaml"]);
}

#[test]
fn metrics_on_a_taken_port_fail_the_run() {
    let place = Place::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    place.write("short.yaml", SHORT);
    let ended = place.gristmill(&["run", "short.yaml", "--metrics", &addr]).expect(4);
    ended.says("error: metrics cannot be served on 127.0.0.1:");
    assert_eq!(place.files(), ["short.yaml"]);
}

#[test]
fn a_secret_never_appears() {
    let place = Place::new();
    let yaml = "\
stages:
  - { type: generate, with: { url: \"ftp://x/${API_TOKEN}/{n}\", count: 2 } }
  - { type: fetch, with: { headers: { authorization: \"Bearer ${API_TOKEN}\" } } }
  - { type: discard }
";
    place.write("pipeline.yaml", yaml);
    let set = "API_TOKEN=hunter2secret";
    let run = place.gristmill(&["-v", "run", "pipeline.yaml", "--set", set]).expect(3);
    let check = place.gristmill(&["check", "pipeline.yaml", "--set", set]).expect(0);
    let letters = place.read("pipeline.rejected.jsonl");
    for text in [&run.stdout, &run.stderr, &check.stdout, &check.stderr, &letters] {
        assert!(!text.contains("hunter2"), "{text}");
    }
    assert!(letters.contains("***"));
}

#[test]
fn a_secret_too_short_to_be_kept_is_told() {
    let place = Place::new();
    let yaml = "\
stages:
  - { type: generate, with: { url: \"http://x/${API_KEY}/${USE_AUTH}/{n}\", count: 1 } }
  - { type: write, with: { path: out.jsonl } }
";
    place.write("pipeline.yaml", yaml);
    let of = |command: &[&str], value: &str| {
        let set = ["--set", value, "--set", "USE_AUTH=true", "pipeline.yaml"];
        place.gristmill(&[command, &set].concat()).expect(0)
    };
    for command in [&["run"][..], &["run", "-q"], &["check"]] {
        of(command, "API_KEY=abc").says("warning: the value of `API_KEY` has fewer than 4");
    }
    for (command, value) in [(&["check"][..], "API_KEY=abcd"), (&["check", "-q"], "API_KEY=abc")] {
        let ended = of(command, value);
        assert!(!ended.stderr.contains("warning"), "{value}: {}", ended.stderr);
    }
}

#[test]
fn no_file_is_named_by_a_secret() {
    let place = Place::new();
    place.write("pipeline.yaml", &format!("name: ${{API_TOKEN}}\n{SHORT}"));
    let run = &["run", "pipeline.yaml", "--set", "API_TOKEN=hunter2"];
    let ended = place.gristmill(run).expect(1).says("cannot hold a secret");
    assert!(!ended.stderr.contains("hunter2"), "{}", ended.stderr);
    assert_eq!(place.files(), ["pipeline.yaml"]);
}

#[test]
fn inspect_shows_no_secret() {
    let place = Place::new();
    let yaml = "\
stages:
  - { type: generate, with: { url: \"http://x/${API_TOKEN}/{n}\", count: 1 } }
  - { type: inspect }
  - { type: discard }
";
    place.write("pipeline.yaml", yaml);
    let set = "API_TOKEN=hunter2secret";
    let ended = place.gristmill(&["run", "-q", "pipeline.yaml", "--set", set]).expect(0);
    assert!(ended.stderr.contains("***") && !ended.stderr.contains("hunter2"), "{}", ended.stderr);
}

#[test]
fn numbers_that_do_not_fit_are_rejected_and_never_changed() {
    let place = Place::new();
    place.write(
        "in.jsonl",
        "{\"a\":1,\"f\":0.5}\n{\"a\":1.9,\"f\":0.5}\n{\"a\":9007199254740993,\"f\":1}\n\
         {\"a\":2,\"f\":1e999}\n{\"a\":null,\"f\":null}\n",
    );
    let yaml = "\
stages:
  - { type: read, with: { path: in.jsonl, columns: { a: int64, f: float64 } } }
  - { type: write, with: { path: out.jsonl } }
";
    place.run(yaml).expect(3).says("2 rows were rejected");
    let expected =
        "{\"a\":1,\"f\":0.5}\n{\"a\":9007199254740993,\"f\":1.0}\n{\"a\":null,\"f\":null}\n";
    assert_eq!(place.read("out.jsonl"), expected);
    let letters = place.read("pipeline.rejected.jsonl");
    assert!(letters.contains("in.jsonl:2: column `a`: `1.9` is not of type int64"), "{letters}");
    let reason = "in.jsonl:4: column `f`: `1e999` is out of range";
    assert!(letters.contains(reason), "{letters}");
}

#[test]
fn a_full_disk_under_stdout_is_not_silent() {
    let place = Place::new();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let run = place.command(&["schema"]).stdout(full).output().unwrap();
    ended(run).expect(4).says("stdout cannot be written");
}

#[test]
fn stages_lists_and_explains_every_kind() {
    let place = Place::new();
    let list = place.gristmill(&["stages"]).expect(0);
    let kinds = [
        "aggregate",
        "dedupe",
        "discard",
        "fetch",
        "filter",
        "generate",
        "inspect",
        "limit",
        "lookup",
        "map",
        "parse",
        "read",
        "route",
        "sample",
        "sort",
        "top",
        "unnest",
        "write",
    ];
    for kind in kinds {
        assert!(list.stdout.contains(kind), "{kind}");
        let one =
            place.gristmill(&["stages", kind]).expect(0).prints("example:").prints("columns in:");
        // The example is a stage as it stands: it passes the check of words.
        let example = one.stdout.split("example:").nth(1).unwrap();
        assert!(example.contains(&format!("type: {kind}")), "{example}");
    }
    place.gristmill(&["stages", "fetsh"]).expect(1).says("there are aggregate");
}

#[test]
fn schema_is_a_json_schema_of_all_kinds() {
    let place = Place::new();
    let schema = place.gristmill(&["schema"]).expect(0).stdout;
    let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
    let text = schema.to_string();
    for word in ["$schema", "stages", "concurrency", "group_by", "channel", "ordered"] {
        assert!(text.contains(word), "{word}");
    }
}

#[test]
fn functions_are_listed_and_explained() {
    let place = Place::new();
    let all = place.gristmill(&["functions"]).expect(0);
    let all = all.prints("String Functions\n").prints("\n  date_trunc ").prints("\n  median ");
    assert!(!all.stdout.contains("row_number"), "there are no window functions");
    let told = place.gristmill(&["functions", "DATE_TRUNC"]).expect(0);
    let told = told.prints("date_trunc (scalar)\n\n  date_trunc(precision, expression)\n");
    told.prints("arguments:\n  precision: ").prints("also called: datetrunc").prints("example");
    // By another name.
    place.gristmill(&["functions", "mean"]).expect(0).prints("avg (aggregate)");
    let wrong = place.gristmill(&["functions", "date_trnc"]).expect(1);
    wrong.says("error: there is no function `date_trnc`\nhelp: did you mean `date_trunc`?");
    place.gristmill(&["functions", "qqqq"]).expect(1).says("`gristmill functions` lists them");
}

#[test]
fn completions_and_help_are_there() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = place.gristmill(&["completions", shell]).expect(0).prints("demo-site");
        // Fish is told no values of an argument without a name.
        if shell != "fish" {
            script.prints("date_trunc").prints("aggregate");
        }
    }
    place.gristmill(&["--help"]).expect(0).prints("Exit codes:");
    for command in
        ["run", "bench", "check", "stages", "functions", "schema", "demo-site", "completions"]
    {
        place.gristmill(&[command, "--help"]).expect(0).prints("Examples:");
    }
}

#[test]
fn a_variable_that_no_pipeline_has_cannot_be_set() {
    let place = Place::new();
    place.write("short.yaml", SHORT);
    place.write(
        "pipeline.yaml",
        "# not ${COMMENT}\nstages:\n  - type: generate\n    with:\n      count: ${COUNT:-${LEAST:-1}}\n  \
         - { type: write, with: { path: out.jsonl } }\n",
    );
    for command in ["run", "check", "bench"] {
        let set = |set: &[&str]| place.gristmill(&[&[command, "pipeline.yaml"], set].concat());
        let ended = set(&["--set", "COUTN=hunter2"]).expect(2).says("`COUTN`");
        let ended = ended.says("no such variable in pipeline.yaml").says("did you mean `COUNT`?");
        assert!(!ended.stderr.contains("hunter2"), "a value is nobody's business");
        set(&["--set", "COMMENT=1"]).expect(2).says("`COMMENT`");
        set(&["--set", "COUNT=1", "--set", "COUNT=2"]).expect(2).says("`COUNT` a value twice");
    }
    assert!(!place.exists("out.jsonl"), "nothing ran");
    // One of several pipelines is enough, and a default's own variable counts.
    let both = ["check", "-q", "short.yaml", "pipeline.yaml", "--set"];
    place.gristmill(&[&both[..], &["COUNT=2"]].concat()).expect(0);
    place.gristmill(&[&both[..], &["LEAST=2"]].concat()).expect(0);
    place.gristmill(&[&both[..], &["MOST=2"]].concat()).expect(2).says("any of the pipelines");
    // What is wrong with the pipeline comes first; in a text without an end there may be anything.
    place.write("short.yaml", &SHORT.replace("count", "cuont"));
    let ended = place.gristmill(&[&both[..], &["MOST=2"]].concat()).expect(1).says("`MOST`");
    ended.says("no option `cuont`");
    place.write("short.yaml", "stages: [");
    let ended = place.gristmill(&[&both[..], &["MOST=2"]].concat()).expect(1);
    assert!(!ended.stderr.contains("MOST"), "{}", ended.stderr);
}
