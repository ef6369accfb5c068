//! Plugins are as good as built-in kinds: the examples run in every mode, their errors show line and
//! column, and what breaks in a plugin is said as it is of any stage.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod common;
#[path = "common/library.rs"]
mod library;

use std::process::Command;

use common::{Ended, Place};
use library::{compile, libraries, root};

const MODES: [&str; 3] = ["threaded", "pooled", "process"];

/// The command, with the libraries of the workspace.
fn gristmill(place: &Place, args: &[&str]) -> Ended {
    let libraries = libraries();
    let [command, rest @ ..] = args else { panic!("no command") };
    let mut all = vec![*command, "--plugins", libraries.to_str().unwrap()];
    all.extend(rest);
    place.gristmill(&all)
}

fn run(place: &Place, yaml: &str) -> Ended {
    place.write("pipeline.yaml", yaml);
    gristmill(place, &["run", "--quiet", "pipeline.yaml"])
}

/// The pipeline of an example, with its plugin's stage in a mode.
fn example(folder: &str, kind: &str, mode: &str) -> String {
    let path = root().join("examples").join(folder).join("pipeline.yaml");
    let yaml = std::fs::read_to_string(path).unwrap();
    let kind = format!("    type: {kind}\n");
    assert!(yaml.contains(&kind), "{yaml}");
    yaml.replace(&kind, &format!("{kind}    run: {{ mode: {mode} }}\n"))
}

fn sorted(text: &str) -> String {
    let mut lines: Vec<_> = text.lines().collect();
    lines.sort_unstable();
    lines.join("\n")
}

#[test]
fn the_transform_in_rust_runs_in_every_mode() {
    for mode in MODES {
        let place = Place::new();
        let customers = root().join("examples/rust-transform/customers.csv");
        let yaml = example("rust-transform", "mask", mode)
            .replace("examples/rust-transform/customers.csv", customers.to_str().unwrap());
        run(&place, &yaml).expect(3);
        assert_eq!(
            sorted(&place.read("masked.jsonl")),
            "{\"name\":\"Ann Lee\",\"mail\":\"an***@shop.example\",\"domain\":\"shop.example\"}\n\
             {\"name\":\"Bob\",\"mail\":null,\"domain\":null}\n\
             {\"name\":\"Dora\",\"mail\":\"do***@post.example\",\"domain\":\"post.example\"}",
            "{mode}"
        );
        let rejected = place.read("masked.rejected.jsonl");
        assert!(rejected.contains("`nowhere` is no mail address"), "{mode}: {rejected}");
    }
}

#[test]
fn the_source_in_rust_runs_in_every_mode() {
    for mode in MODES {
        let place = Place::new();
        let inbox = root().join("examples/rust-source/inbox");
        let yaml = example("rust-source", "mbox", mode)
            .replace("examples/rust-source/inbox", inbox.to_str().unwrap());
        run(&place, &yaml).expect(0);
        let mails = place.read("mails.jsonl");
        assert_eq!(mails.lines().count(), 3, "{mode}: {mails}");
        assert!(mails.contains("\"subject\":\"Re: The order of Monday\",\"lines\":2"), "{mails}");
    }
}

#[test]
fn the_sink_in_rust_runs_in_every_mode() {
    for mode in MODES {
        let place = Place::new();
        run(&place, &example("rust-sink", "markdown", mode)).expect(0);
        let table = place.read("squares.md");
        assert!(table.starts_with("| n | square |\n| --- | --- |\n"), "{mode}: {table}");
        assert!(table.contains("| 9 | 81 |\n"), "{mode}: {table}");
        let left: Vec<_> =
            place.files().into_iter().filter(|name| name.starts_with(".table")).collect();
        assert!(left.is_empty(), "{mode}: {left:?}");
    }
}

#[test]
fn the_enricher_in_rust_runs_in_every_mode() {
    for mode in MODES {
        let place = Place::new();
        run(&place, &example("rust-enricher", "ask", mode)).expect(0);
        let answers = place.read("answers.jsonl");
        assert_eq!(answers.lines().count(), 20, "{mode}: {answers}");
        assert!(answers.lines().all(|line| line.contains("\"status\":200")), "{mode}: {answers}");
    }
}

/// A folder with the example in C.
fn with_ratio() -> Place {
    let place = Place::new();
    compile(&place, &root().join("examples/c-transform/ratio.c"), "libratio.so");
    place
}

#[test]
fn the_transform_in_c_runs_in_every_mode() {
    for mode in MODES {
        let place = with_ratio();
        let yaml = example("c-transform", "ratio", mode).replace("[ratio]", "[./libratio.so]");
        run(&place, &yaml).expect(0);
        let ratios = place.read("ratios.jsonl");
        assert_eq!(ratios.lines().count(), 21, "{mode}: {ratios}");
        assert_eq!(ratios.matches("\"ratio\":2.0}").count(), 20, "{mode}: {ratios}");
        assert!(ratios.contains("\"n\":0") && ratios.contains("\"ratio\":null}"), "{ratios}");
    }
}

#[test]
fn option_errors_of_a_plugin_show_their_place() {
    let place = with_ratio();
    place.write(
        "wrong.yaml",
        "plugins: [./libratio.so]\nstages:\n  - { type: generate, with: { count: 3 } }\n  - type: ratio\n    \
         with: { of: n, by: wieght, into: r }\n  - type: discard\n",
    );
    gristmill(&place, &["check", "wrong.yaml"])
        .expect(1)
        .says("the input has no column `wieght`")
        .says("wrong.yaml:5:24")
        .says("an int64 or a float64 column");
    place.write(
        "unknown.yaml",
        "plugins: [mask]\nstages:\n  - { type: generate, with: { count: 3 } }\n  - type: mask\n    \
         with: { kepe: 3 }\n  - type: discard\n",
    );
    gristmill(&place, &["check", "unknown.yaml"])
        .expect(1)
        .says("`mask` has no option `kepe`")
        .says("unknown.yaml:5:13")
        .says("did you mean `keep`?");
}

#[test]
fn kinds_of_plugins_are_listed_and_explained() {
    let place = with_ratio();
    place
        .write("acme.yaml", "plugins:\n  - { path: ./libratio.so, namespace: acme }\nstages: []\n");
    let listed = place.gristmill(&["stages", "acme.yaml"]).expect(0);
    listed.prints("acme.ratio").prints("Adds the quotient of two columns.").prints("libratio.so");
    let explained = place.gristmill(&["stages", "acme.yaml", "acme.ratio"]).expect(0);
    explained
        .prints("The column that is divided.")
        .prints("- type: acme.ratio")
        .prints("libratio.so");
    let schema = place.gristmill(&["schema", "acme.yaml"]).expect(0);
    schema.prints("with.acme.ratio").prints("The name of the quotient.");
    let folder = place.path().to_str().unwrap().to_owned();
    place.gristmill(&["stages", "--plugins", &folder]).expect(0).prints("ratio ");
    place.gristmill(&["stages", "discard", "ratio"]).expect(2).says("`discard` is no pipeline");
}

#[test]
fn two_kinds_of_one_name_are_told_apart_by_who_brings_them() {
    let place = with_ratio();
    std::fs::copy(place.path().join("libratio.so"), place.path().join("other.so")).unwrap();
    let yaml = |second: &str| {
        format!(
            "plugins:\n  - ./libratio.so\n  - {second}\nstages:\n  - {{ type: generate, with: {{ count: 3 }} }}\n  - type: discard\n"
        )
    };
    place.write("twice.yaml", &yaml("./other.so"));
    let other = place.path().canonicalize().unwrap().join("other.so");
    gristmill(&place, &["check", "twice.yaml"])
        .expect(1)
        .says("twice.yaml:3:5")
        .says("there are two kinds named `ratio`")
        .says(other.to_str().unwrap())
        .says("namespace");
    place.write("named.yaml", &yaml("{ path: ./other.so, namespace: mine }"));
    gristmill(&place, &["check", "--quiet", "named.yaml"]).expect(0);
    // The same file under the same name is no conflict.
    place.write("same.yaml", &yaml("./libratio.so"));
    gristmill(&place, &["check", "--quiet", "same.yaml"]).expect(0);
    place.write("builtin.yaml", &yaml("gristmill_flow"));
    gristmill(&place, &["check", "builtin.yaml"]).expect(1).says("one is built in, one from");
}

#[test]
fn a_plugin_that_cannot_be_loaded_is_shown_where_it_is_named() {
    let place = Place::new();
    place.write("text.so", "#!/bin/sh\n");
    place.write(
        "bad.yaml",
        "plugins:\n  - ./text.so\n  - ./missing.so\n  - nowhere\n  - { path: mask, sha256: \
         0000000000000000000000000000000000000000000000000000000000000000 }\nstages: []\n",
    );
    gristmill(&place, &["check", "bad.yaml"])
        .expect(1)
        .says("bad.yaml:2:5")
        .says("text.so is a script")
        .says("bad.yaml:3:5")
        .says("there is no file missing.so")
        .says("bad.yaml:4:5")
        .says("there is no plugin `nowhere`")
        .says("bad.yaml:5:27")
        .says("is another file than the pinned one")
        .says("its SHA-256 is ");
}

/// Mistakes of the stages are shown as well; what only follows from the plugin's is not.
#[test]
fn a_plugin_that_cannot_be_loaded_hides_no_mistake_of_the_stages() {
    let place = Place::new();
    let stages = "stages:\n  - { type: generate, with: { cuont: 3 } }\n  - { type: words, with: { n: 1 } }\n  \
                  - { type: filter, with: { whree: x } }\n  - { type: discard }\n";
    for plugins in ["[./missing.so]", "[{ pth: ./missing.so }]", "[{ command: [./no-program] }]"] {
        place.write("bad.yaml", &format!("plugins: {plugins}\n{stages}"));
        let ended = gristmill(&place, &["check", "bad.yaml"]).expect(1);
        let ended = ended.says("bad.yaml:1:").says("`generate` has no option `cuont`");
        let ended = ended.says("did you mean `where`?").says("bad.yaml:5:");
        assert!(!ended.stderr.contains("no type of stage"), "{}", ended.stderr);
        assert_eq!(ended.stderr.matches("error: ").count(), 3, "{}", ended.stderr);
    }
    place.write(
        "typo.yaml",
        "plugins: [mask]\nstages:\n  - { type: generte }\n  - { type: mask }\n",
    );
    gristmill(&place, &["check", "typo.yaml"]).expect(1).says("did you mean `generate`?");
}

#[test]
fn bench_measures_stages_of_plugins() {
    let place = with_ratio();
    let yaml = example("c-transform", "ratio", "pooled").replace("[ratio]", "[./libratio.so]");
    place.write("pipeline.yaml", &yaml);
    let args = ["bench", "pipeline.yaml", "--repeat", "1", "--workers", "1", "--quiet", "--json"];
    gristmill(&place, &args).expect(0).prints("\"rounds\"");
}

/// A pipeline of a stage of the plugin `broken`, at the row 7 of 20.
fn broken(how: &str, mode: &str) -> String {
    format!(
        "name: broken\nplugins: [gristmill_broken]\nstages:\n  - {{ type: generate, with: {{ count: 20 }} }}\n  \
         - name: breaks\n    type: broken\n    run: {{ mode: {mode}, restarts: 9 }}\n    \
         with: {{ column: n, at: ['7'], how: {how} }}\n  - {{ type: write, with: {{ path: out.jsonl }} }}\n"
    )
    .replace(", restarts: 9 }", if mode == "process" { ", restarts: 90 }" } else { " }" })
}

#[test]
fn a_panic_in_a_plugin_ends_the_run_or_its_child() {
    for mode in ["threaded", "pooled"] {
        let place = Place::new();
        run(&place, &broken("panic", mode))
            .expect(4)
            .says("the stage panicked: this row is too much")
            .says("breaks");
        assert!(!place.exists("out.jsonl"));
    }
    let place = Place::new();
    run(&place, &broken("panic", "process")).expect(3);
    assert_eq!(place.read("out.jsonl").lines().count(), 19);
    assert!(place.read("broken.rejected.jsonl").contains("\"n\":7"));
}

#[test]
fn an_error_of_a_plugin_is_that_of_any_stage() {
    for mode in MODES {
        let place = Place::new();
        run(&place, &broken("fail", mode)).expect(4).says("this row is too much");
    }
}

#[test]
fn what_kills_takes_only_its_child() {
    for how in ["kill", "segv", "abort", "exit"] {
        let place = Place::new();
        run(&place, &broken(how, "process")).expect(3);
        assert_eq!(place.read("out.jsonl").lines().count(), 19, "{how}");
        assert!(place.read("broken.rejected.jsonl").contains("\"n\":7"), "{how}");
    }
}

#[test]
fn a_plugin_that_hangs_is_killed_in_its_child() {
    let place = Place::new();
    let yaml = broken("hang", "process").replace("restarts: 90", "restarts: 90, timeout: 1s");
    run(&place, &yaml).expect(3);
    assert_eq!(place.read("out.jsonl").lines().count(), 19);
}

/// A folder with the plugin in C that hands rows on, with a word defined that breaks it.
fn with_pass(word: &str) -> Place {
    let place = Place::new();
    let source = std::fs::read_to_string(root().join("framework/loader/tests/c/pass.c")).unwrap();
    place.write("pass.c", &format!("#define {word}\n{source}"));
    compile(&place, &place.path().join("pass.c"), "libpass.so");
    place
}

fn pass(mode: &str) -> String {
    broken("none", mode)
        .replace("[gristmill_broken]", "[./libpass.so]")
        .replace("type: broken", "type: pass")
        .replace("    with: { column: n, at: ['7'], how: none }\n", "")
}

#[test]
fn a_plugin_in_c_that_ruins_its_memory_takes_only_its_child() {
    for word in ["FREES_TWICE", "WILD"] {
        let place = with_pass(word);
        run(&place, &pass("process")).expect(3);
        assert_eq!(place.read("out.jsonl").lines().count(), 19, "{word}");
        assert!(place.read("broken.rejected.jsonl").contains("\"n\":7"), "{word}");
    }
}

#[test]
fn a_plugin_that_lies_about_its_rows_is_found_out_in_every_mode() {
    for mode in MODES {
        let place = with_pass("NEGATIVE");
        run(&place, &pass(mode)).expect(4).says("has -5 rows").says("breaks");
        assert!(!place.exists("out.jsonl"), "{mode}");
    }
}

#[test]
fn what_a_plugin_prints_does_not_get_into_files() {
    for mode in MODES {
        let place = Place::new();
        let ended = run(&place, &broken("print", mode)).expect(0);
        assert!((ended.stdout + &ended.stderr).contains("from stdout"), "{mode}");
        assert_eq!(place.read("out.jsonl").lines().count(), 20, "{mode}");
    }
}

#[test]
fn a_new_plugin_in_c_builds_and_runs() {
    let place = Place::new();
    place
        .gristmill(&["new", "plugin", "at-least", "--lang", "c"])
        .expect(0)
        .prints("cd at-least && make");
    let folder = place.path().join("at-least");
    let made = Command::new("make").arg("CC=cc -Werror").current_dir(&folder).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let run = |args: &[&str]| {
        let mut command = place.command(args);
        common::ended(command.current_dir(&folder).output().unwrap())
    };
    run(&["run", "--quiet", "pipeline.yaml"]).expect(0);
    assert_eq!(
        place.read("at-least/late.jsonl"),
        "{\"n\":2,\"name\":\"Bob\"}\n{\"n\":3,\"name\":\"Cleo\"}\n"
    );
    run(&["plugin", "test", "libat_least.so", "--with", "{ column: n, least: 20 }"]).expect(0);
    place.gristmill(&["new", "plugin", "at-least"]).expect(1).says("at-least is there already");
    place.gristmill(&["new", "plugin", "At Least"]).expect(1).says("cannot name it");
}

/// It is built in `.ci/run`: that takes as long as all that it stands on.
#[test]
fn a_new_plugin_is_named_as_nothing_else_is() {
    let place = Place::new();
    let refused = |name: &str, lang: &str, said: &str, help: &str| {
        place.gristmill(&["new", "plugin", name, "--lang", lang]).expect(1).says(said).says(help);
        assert!(!place.exists(name), "{name}");
    };
    let word = "is a word of Rust, so no crate can be named so";
    refused("match", "rust", word, "such as `match-rows`");
    refused("yield", "rust", word, "such as `yield-rows`");
    refused("proc-macro", "rust", "is a crate of Rust itself", "such as `proc-macro-rows`");
    refused("serde-json", "rust", "is a crate that the plugin uses", "serde-json-rows");
    for lang in ["rust", "c", "python"] {
        refused("filter", lang, "there is a built-in kind `filter`", "such as `my-filter`");
    }
    // They are words of no other language.
    place.gristmill(&["new", "plugin", "match", "--lang", "c"]).expect(0);
    place.gristmill(&["new", "plugin", "test", "--lang", "python"]).expect(0);
}

#[test]
fn a_new_plugin_in_rust_finds_the_crates_of_this_checkout() {
    let place = Place::new();
    place.gristmill(&["new", "plugin", "my-stage"]).expect(0).prints("cargo build");
    let manifest = place.read("my-stage/Cargo.toml");
    let abi = root().join("framework/abi");
    assert!(manifest.contains(&format!("{{ path = {:?} }}", abi.to_str().unwrap())), "{manifest}");
    assert!(place.read("my-stage/pipeline.yaml").contains("./target/debug/libmy_stage.so"));
    for file in ["Cargo.toml", "src/lib.rs", "pipeline.yaml", "README.md"] {
        let text = place.read(&format!("my-stage/{file}"));
        assert!(!text.contains("{{"), "{file}: {text}");
    }
}

#[test]
fn new_pipelines_run() {
    for (template, expected) in [("fetch", "items"), ("files", "initial")] {
        let place = Place::new();
        place.gristmill(&["new", "pipeline", "prices.yaml", "--template", template]).expect(0);
        place.gristmill(&["run", "--quiet", "prices.yaml"]).expect(0);
        assert!(place.read("prices.jsonl").contains(expected), "{template}");
        place
            .gristmill(&["new", "pipeline", "prices"])
            .expect(1)
            .says("prices.yaml is there already");
    }
}
