//! `gristmill plugin`: what authors see of their plugins, also of those that hang, crash or lie.

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

use common::{Ended, Place};
use library::{compile, libraries, root};

/// A folder with the example in C.
fn with_ratio() -> Place {
    let place = Place::new();
    compile(&place, &root().join("examples/c-transform/ratio.c"), "libratio.so");
    place
}

/// Tests the plugin `broken`, at the row 8.
fn broken(how: &str, more: &[&str]) -> Ended {
    let library = libraries().join("libgristmill_broken.so");
    let with = format!("{{ column: n, at: ['8'], how: {how} }}");
    let mut args = vec!["plugin", "test", library.to_str().unwrap(), "--kind", "broken"];
    args.extend(["--with", &with, "--seeds", "1", "--batch", "0"]);
    args.extend(more);
    Place::new().gristmill(&args)
}

#[test]
fn a_plugin_is_inspected() {
    let place = with_ratio();
    let file = place.path().join("libratio.so");
    let said = place.gristmill(&["plugin", "inspect", "libratio.so"]).expect(0);
    said.prints("ratio (transform): Adds the quotient of two columns.")
        .prints("interface: 1.1")
        .prints("metric gristmill_ratio_nulls_total: Rows without a quotient")
        .prints("of: The column that is divided.");
    let json = place.gristmill(&["plugin", "inspect", file.to_str().unwrap(), "--json"]).expect(0);
    let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    let readings = &json["kinds"][0]["readings"];
    assert_eq!(readings[0]["name"], "nulls");
    assert_eq!(readings[0]["measure"], "counter");
    let pin = json["sha256"].as_str().unwrap();
    place.write(
        "pipeline.yaml",
        &format!(
            "plugins: [{{ path: ./libratio.so, sha256: {pin} }}]\nstages:\n  \
             - {{ type: generate, with: {{ count: 3 }} }}\n  - {{ type: discard }}\n"
        ),
    );
    place.gristmill(&["check", "--quiet", "pipeline.yaml"]).expect(0);
    place
        .gristmill(&["plugin", "inspect", "nowhere"])
        .expect(1)
        .says("there is no plugin `nowhere`");
}

/// A library that does something when it is loaded: its hash is known before.
#[test]
fn a_library_is_hashed_before_it_is_loaded() {
    let place = Place::new();
    place.write(
        "bad.c",
        "#include <stdlib.h>\n#include <stdio.h>\n\
         __attribute__((constructor)) static void begin(void) { fclose(fopen(\"loaded\", \"w\")); abort(); }\n\
         const void *gristmill_plugin(void);\nconst void *gristmill_plugin(void) { return 0; }\n",
    );
    compile(&place, &place.path().join("bad.c"), "bad.so");
    let said = place.gristmill(&["plugin", "inspect", "bad.so", "--no-load"]).expect(0);
    let hash = said.stdout.lines().find(|line| line.starts_with("sha256:")).unwrap().to_owned();
    let json = place.gristmill(&["plugin", "inspect", "bad.so", "--no-load", "--json"]).expect(0);
    let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert!(hash.ends_with(json["sha256"].as_str().unwrap()), "{hash}");
    assert!(!place.exists("loaded"));
    // -1: it is killed by a signal.
    let said = place.gristmill(&["plugin", "inspect", "bad.so"]).expect(-1);
    said.prints(&hash).says("loaded now, and that runs code of it");
    std::fs::remove_file(place.path().join("loaded")).unwrap();
    place
        .gristmill(&["plugin", "test", "bad.so"])
        .expect(4)
        .says("error: bad.so broke off while it was loaded: it was killed by signal 6 (SIGABRT)");
    assert!(place.exists("loaded"));
}

#[test]
fn a_plugin_goes_through_the_suite() {
    let place = with_ratio();
    let tested = ["plugin", "test", "libratio.so", "--with", "{ of: n, by: x }", "--seeds", "2"];
    place
        .gristmill(&tested)
        .expect(0)
        .prints("ratio keeps the contract of a stage: plain")
        .prints("restore")
        .prints("empty")
        .prints("large")
        .prints("cancelled");
    let mut here = tested.to_vec();
    here.push("--in-process");
    place.gristmill(&here).expect(0).prints("ratio keeps the contract of a stage: plain");
    place
        .gristmill(&["plugin", "test", "libratio.so"])
        .expect(4)
        .says("the input has no column `price`")
        .says("--input");
    let mask = libraries().join("libmask.so");
    let customers = root().join("examples/rust-transform/customers.csv");
    let (mask, customers) = (mask.to_str().unwrap(), customers.to_str().unwrap());
    let tested = ["plugin", "test", mask, "--seeds", "2", "--input", customers];
    place.gristmill(&tested).expect(0).prints("(3 rows out, 1 rejected)");
}

/// A source, which is stopped as well.
#[test]
fn a_source_goes_through_the_suite() {
    let library = libraries().join("libgristmill_generate.so");
    let args = ["plugin", "test", library.to_str().unwrap(), "--with", "{ count: 50 }"];
    let said = Place::new().gristmill(&args).expect(0);
    said.prints("generate keeps the contract of a stage").prints("cancelled").prints("large");
}

#[test]
fn what_breaks_on_a_row_breaks_the_suite() {
    broken("panic", &[]).expect(4).says("does not keep the contract").says("this row is too much");
}

#[test]
fn a_plugin_that_ends_its_process_is_told_by_the_check_that_it_did_it_in() {
    for (how, said) in [
        ("segv", "it was killed by signal 11 (SIGSEGV)"),
        ("abort", "it was killed by signal 6 (SIGABRT)"),
        ("kill", "it was killed by signal 9 (SIGKILL)"),
        ("exit", "it ended by itself with code 0"),
    ] {
        broken(how, &[])
            .expect(4)
            .says(&format!("error: `broken` broke off in the check `plain` (as it is): {said}\n"))
            .says("  = help: `--kind broken --in-process` does it again under a debugger");
    }
}

/// The other kinds are tested all the same, each in another process where one has died.
#[test]
fn the_seed_of_a_random_check_is_named_and_the_next_kind_is_tested() {
    let library = libraries().join("libgristmill_broken.so");
    let with = "{ column: n, at: ['8'], how: abort, in_snapshot: true }";
    let args = ["plugin", "test", library.to_str().unwrap(), "--with", with, "--seeds", "2"];
    let said = Place::new().gristmill(&args).expect(4);
    said.says(
        "`broken` broke off in the check `snapshot` (after every call, seed 0): it was killed",
    )
    .says("`unseen` does not take");
}

#[test]
fn a_plugin_that_hangs_is_ended() {
    broken("hang", &["--timeout", "1"]).expect(4).says(
        "`broken` broke off in the check `plain` (as it is): it hung: after 1 s it was killed",
    );
}

#[test]
fn a_plugin_that_prints_is_told_so() {
    let said =
        broken("print", &[]).expect(0).says("the plugin prints to stdout").says("from stdout");
    assert!(!said.stdout.contains("from stdout"), "{}", said.stdout);
}

/// Only as much is read as is needed.
#[test]
fn the_first_rows_of_an_input_without_end_are_taken() {
    let place = with_ratio();
    let lines: String = (0..200_000).map(|n| format!("{{\"n\":{n},\"x\":2.0}}\n")).collect();
    place.write("rows.jsonl", &lines);
    // A tebibyte, of which all but the beginning is a hole.
    let file = std::fs::File::options().write(true).open(place.path().join("rows.jsonl"));
    file.unwrap().set_len(1 << 40).unwrap();
    let with = "{ of: n, by: x }";
    let args = ["plugin", "test", "libratio.so", "--input", "rows.jsonl", "--with", with];
    let said = place.gristmill(&[&args[..], &["--seeds", "1", "--batch", "0"]].concat()).expect(0);
    said.prints("(200 rows out, 0 rejected)");
}

/// A word that breaks the plugin in C.
fn pass(word: &str) -> Ended {
    let place = Place::new();
    let source = std::fs::read_to_string(root().join("framework/loader/tests/c/pass.c")).unwrap();
    place.write("pass.c", &format!("#define {word}\n{source}"));
    compile(&place, &place.path().join("pass.c"), "libpass.so");
    place.gristmill(&["plugin", "test", "libpass.so", "--seeds", "1", "--batch", "0"])
}

/// What a run believes, since a look at every byte takes too long, the suite looks at.
#[test]
fn texts_that_are_no_utf8_are_found() {
    pass("BAD_TEXT").expect(4).says("broken column `text`").says("UTF");
}

mod programs {
    use super::*;

    fn test(program: &str, more: &[&str]) -> Ended {
        let place = Place::new();
        let python = root().join("target/python/bin/python");
        assert!(python.exists(), "run .ci/python, which makes {}", python.display());
        let program = root().join(program);
        let mut args = vec!["plugin", "test"];
        args.extend(more);
        args.extend(["--command", python.to_str().unwrap(), program.to_str().unwrap()]);
        place.gristmill(&args)
    }

    const BROKEN: &str = "plugins/python/tests/broken.py";

    #[test]
    fn are_inspected() {
        let place = Place::new();
        let python = root().join("target/python/bin/python");
        let program = root().join(BROKEN);
        let (python, program) = (python.to_str().unwrap(), program.to_str().unwrap());
        let said = place.gristmill(&["plugin", "inspect", "--command", python, program]).expect(0);
        said.prints("total (transform): Adds up `n`, and puts the sum out at the end.")
            .prints("at: The row at which it does it.")
            .prints("metric gristmill_tells_rows_total: Rows by whether they are even.")
            .prints(&format!("command:   {python} {program}"));
        let said = place.gristmill(&["plugin", "inspect", "--json", "--command", python, program]);
        let json: serde_json::Value = serde_json::from_str(&said.expect(0).stdout).unwrap();
        assert_eq!(json["command"], serde_json::json!([python, program]));
        let none = place.gristmill(&["plugin", "inspect", "--command", "no-such-program"]);
        none.expect(1).says("there is no program `no-such-program`");
        place.gristmill(&["plugin", "inspect"]).expect(2);
    }

    #[test]
    fn of_rows_go_through_the_suite() {
        let with = ["--kind", "broken", "--with", "{ how: raise, at: 8 }", "--seeds", "1"];
        let said = test(BROKEN, &with).expect(0);
        said.prints("broken keeps the contract of a stage: plain, splitting, empty, large")
            .prints("(59 rows out, 1 rejected)");
    }

    #[test]
    fn with_a_state_go_through_the_suite() {
        let said = test(BROKEN, &["--kind", "total", "--input", &numbers(), "--seeds", "1"]);
        said.expect(0).prints("total keeps the contract of a stage").prints("one worker only");
    }

    #[test]
    fn that_are_sources_go_through_the_suite() {
        let place = Place::new();
        let there = place.path().join("there");
        std::fs::write(&there, "").unwrap();
        let with = format!("{{ how: '{}' }}", there.display());
        let said = test(BROKEN, &["--kind", "count", "--with", &with, "--seeds", "1"]).expect(0);
        said.prints("count keeps the contract of a stage").prints("(100 rows out, 0 rejected)");
    }

    #[test]
    fn that_make_many_rows_of_one_go_through_the_suite() {
        let with = ["--kind", "some", "--input", &numbers(), "--seeds", "1", "--batch", "0"];
        test(BROKEN, &with).expect(0).prints("(1800 rows out, 0 rejected)");
    }

    #[test]
    fn that_die_or_hang_are_told_by_the_check() {
        let died = |how: &str, said: &str| {
            let with = format!("{{ how: {how}, at: 8 }}");
            let with = ["--kind", "broken", "--with", &with, "--seeds", "1", "--timeout", "8"];
            test(BROKEN, &with).expect(4).says(said);
        };
        died("exit", "plain: its process died: it ended by itself with code 3");
        died("segv", "plain: its process died: it was killed by signal 11 (SIGSEGV)");
        died("lie", "plain: its process died: it broke the protocol");
        died("fail", "plain: it has had enough");
        died("hang", "`broken` broke off in the check `plain` (as it is): it hung");
    }

    /// A program that speaks the protocol without the SDK: this one, with the built-in kinds.
    #[test]
    fn without_the_sdk_go_through_the_suite() {
        for (kind, with) in [
            ("limit", "{ rows: 40 }"),
            ("top", "{ by: [text, n], rows: 50 }"),
            ("filter", "{ where: n > 5 }"),
            ("generate", "{ count: 40 }"),
        ] {
            let program = env!("CARGO_BIN_EXE_gristmill");
            let args = ["plugin", "test", "--kind", kind, "--with", with, "--seeds", "2"];
            let args = [&args[..], &["--command", program]].concat();
            let said = Place::new().gristmill(&args).expect(0);
            said.prints(&format!("{kind} keeps the contract of a stage"));
        }
    }

    /// A file of whole numbers, in the temporary folder of a test that leaves it to the system.
    fn numbers() -> String {
        let path = std::env::temp_dir().join(format!("numbers-{}.jsonl", std::process::id()));
        let lines: String = (0..60).map(|n| format!("{{\"n\":{n}}}\n")).collect();
        std::fs::write(&path, lines).unwrap();
        path.to_str().unwrap().to_owned()
    }
}
