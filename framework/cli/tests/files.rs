//! Who may read and write which file: stages, rejected rows, and the pipeline itself.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod common;

use std::os::unix::fs::symlink;
use std::process::Stdio;

use common::{Place, ended};

/// Three numbers to a file.
fn writing(head: &str, path: &str) -> String {
    format!(
        "{head}stages:\n  - {{ type: generate, with: {{ count: 3 }} }}\n  \
         - {{ type: write, with: {{ path: \"{path}\", format: jsonl }} }}\n"
    )
}

/// A place with rows in `in.jsonl`, a folder and a link to it.
fn place() -> Place {
    let place = Place::new();
    place.write("in.jsonl", "{\"n\":1}\n{\"n\":2}\n");
    std::fs::create_dir(place.path().join("real")).unwrap();
    symlink("real", place.path().join("link")).unwrap();
    place
}

#[test]
fn one_file_has_one_writer_however_it_is_spelled() {
    let place = place();
    let before = place.files();
    for (one, other) in [
        ("out.jsonl", "./out.jsonl"),
        ("real/out.jsonl", "link/out.jsonl"),
        ("real/out.jsonl", "real/../link/./out.jsonl"),
        ("new/out.jsonl", "missing/../new/out.jsonl"),
    ] {
        let yaml = format!(
            "stages:\n  - {{ name: n, type: generate, with: {{ count: 3 }} }}\n  \
             - {{ name: a, type: write, from: n, with: {{ path: {one} }} }}\n  \
             - {{ name: b, type: write, from: n, with: {{ path: {other} }} }}\n"
        );
        let ended = place.run(&yaml).expect(1).says(&format!("`a` and `b` both write {one}"));
        ended.says("pipeline.yaml:4:").says(&format!("path: {other}"));
        let yaml = writing(&format!("rejected: {other}\n"), one);
        place.run(&yaml).expect(1).says(&format!("go to {one}, which `write` writes"));
    }
    assert_eq!(place.files().len(), before.len() + 1, "only the pipeline is new");
    // Any number of stages may write to a device.
    let yaml = "\
stages:
  - { name: n, type: generate, with: { count: 3 } }
  - { name: a, type: write, from: n, with: { path: /dev/null, format: jsonl } }
  - { name: b, type: write, from: n, with: { path: /dev/null, format: jsonl } }
";
    place.run(yaml).expect(0);
}

#[test]
fn no_stage_writes_over_its_pipeline() {
    let place = place();
    for path in ["pipeline.yaml", "./pipeline.yaml", "real/../pipeline.yaml"] {
        let yaml = writing("", path);
        place.run(&yaml).expect(1).says("`write` writes over the pipeline itself");
        assert_eq!(place.read("pipeline.yaml"), yaml);
        let yaml = writing(&format!("rejected: {path}\n"), "out.jsonl");
        place.run(&yaml).expect(1).says("added to the pipeline itself").says("pipeline.yaml:1:11");
    }
    symlink("pipeline.yaml", place.path().join("other.yaml")).unwrap();
    place.write("pipeline.yaml", &writing("", "pipeline.yaml"));
    place.gristmill(&["run", "other.yaml"]).expect(1).says("over the pipeline itself");
}

#[cfg(target_os = "linux")]
#[test]
fn a_pipeline_from_redirected_stdin_is_its_file() {
    let place = place();
    place.write("pipeline.yaml", &writing("", "pipeline.yaml"));
    let file = std::fs::File::open(place.path().join("pipeline.yaml")).unwrap();
    let run = place.command(&["run", "-"]).stdin(Stdio::from(file)).output().unwrap();
    ended(run).expect(1).says("over the pipeline itself");
}

#[test]
fn the_file_for_rejected_rows_is_checked_before_the_run() {
    let place = place();
    place.write("file", "");
    place.write("kept.jsonl", "");
    symlink("round", place.path().join("round")).unwrap();
    let kept = place.path().join("kept.jsonl");
    let mut permissions = std::fs::metadata(&kept).unwrap().permissions();
    permissions.set_readonly(true);
    std::fs::set_permissions(&kept, permissions).unwrap();
    for (path, wrong) in [
        ("/proc/nowhere/rejected.jsonl", "nothing can be written to the folder `/proc`"),
        ("real", "`real` is a folder"),
        ("real/", "`real/` is a folder"),
        ("file/rejected.jsonl", "`file` is a file, not a folder"),
        ("kept.jsonl", "`kept.jsonl` cannot be written: it is read-only"),
        ("\"\"", "the path is empty"),
        (&"long".repeat(100), "is too long for a name of a file"),
        ("round", "links go in circles"),
    ] {
        for head in [format!("rejected: {path}\n"), format!("rejected: {{ path: {path} }}\n")] {
            place.write("pipeline.yaml", &writing(&head, "out.jsonl"));
            let check = place.gristmill(&["check", "pipeline.yaml"]).expect(1).says(wrong);
            check.says("pipeline.yaml:1:");
        }
    }
    place.run(&writing("rejected: new/deep/rejected.jsonl\n", "out.jsonl")).expect(0);
    assert!(!place.exists("new"), "nothing was rejected, so nothing was made");
}

#[test]
fn rejected_rows_are_not_added_to_what_is_read() {
    let place = place();
    let read = "  - { type: read, with: { path: [in.jsonl] } }\n";
    let rest = "  - { type: filter, with: { where: 1 / (n - 1) > 0 } }\n  \
                - { type: write, with: { path: out.jsonl } }\n";
    let yaml = format!("rejected: link/../in.jsonl\nstages:\n{read}{rest}");
    place.run(&yaml).expect(1).says("added to in.jsonl, which `read` reads").says("yaml:1:11");
    std::fs::hard_link(place.path().join("in.jsonl"), place.path().join("hard")).unwrap();
    let yaml = format!("rejected: hard\nstages:\n{read}{rest}");
    place.run(&yaml).expect(1).says("added to hard, which `read` reads");
    // The place that nobody chose is the same trap: `pipeline.rejected.jsonl`, worked through again.
    place.write("pipeline.rejected.jsonl", "{\"n\":1}\n");
    let again = read.replace("in.jsonl", "pipeline.rejected.jsonl");
    let yaml = format!("stages:\n{again}{rest}");
    place.run(&yaml).expect(1).says("which `read` reads").says("`rejected: FILE`");
    place.write("in.txt", "demo:/item/1\n");
    for stage in ["{ file: in.txt }", "{ url: \"demo:/{x}\", vars: { x: { file: in.txt } } }"] {
        let yaml = format!(
            "rejected: in.txt\nstages:\n  - {{ type: generate, with: {stage} }}\n  \
             - {{ type: discard }}\n"
        );
        place.run(&yaml).expect(1).says("added to in.txt, which `generate` reads");
    }
    assert_eq!(place.read("in.jsonl"), "{\"n\":1}\n{\"n\":2}\n");
}

#[test]
fn a_file_can_be_replaced_by_what_comes_of_it_and_by_nothing_else() {
    let place = place();
    let yaml = "\
stages:
  - { type: read, with: { path: in.jsonl } }
  - { type: map, with: { set: { n: n + 1 } } }
  - { type: write, with: { path: ./in.jsonl } }
";
    place.run(yaml).expect(0);
    assert_eq!(place.read("in.jsonl"), "{\"n\":2}\n{\"n\":3}\n");
    place.run(&yaml.replace("./in.jsonl", "in.jsonl, append: true")).expect(0);
    assert_eq!(place.read("in.jsonl"), "{\"n\":2}\n{\"n\":3}\n{\"n\":3}\n{\"n\":4}\n");
    let yaml = "\
stages:
  - { type: generate, with: { count: 3 } }
  - { name: first, type: write, with: { path: in.jsonl } }
  - { type: read, with: { path: in.jsonl } }
  - { name: second, type: write, with: { path: out.jsonl } }
";
    place
        .run(yaml)
        .expect(1)
        .says("`read` reads in.jsonl while `first` writes it")
        .says("pipeline.yaml:4:33")
        .says("two pipelines");
    assert!(!place.exists("out.jsonl"));
}

#[test]
fn check_names_what_is_read() {
    let place = place();
    for n in 0..5 {
        place.write(&format!("real/{n}.jsonl"), "{\"n\":1}\n");
    }
    let yaml = "stages:\n  - { type: read, with: { path: PATH } }\n  - { type: discard }\n";
    place.write("pipeline.yaml", &yaml.replace("PATH", "in.jsonl"));
    place.gristmill(&["check", "pipeline.yaml"]).expect(0).prints("    reads in.jsonl\n");
    place.write("pipeline.yaml", &yaml.replace("PATH", "real/*.jsonl"));
    let check = place.gristmill(&["check", "pipeline.yaml"]).expect(0);
    check.prints("    reads real/2.jsonl\n    reads 2 more\n");
}

#[test]
fn what_nobody_uses_is_not_read() {
    let place = Place::new();
    place.write(
        "in.jsonl",
        "{\"key\":\"a\",\"n\":1,\"text\":\"x\"}\n{\"key\":\"b\",\"n\":\"no number\",\"text\":\"y\"}\n\
         {\"key\":\"b\",\"n\":3,\"text\":4,\n{\"key\":\"b\",\"n\":4,\"text\":\"z\"}\n",
    );
    let yaml = |head: &str, column: &str| {
        format!(
            "{head}stages:\n  - type: read\n    with: {{ path: in.jsonl, columns: {{ key: string, n: int64, text: string }} }}\n  \
             - {{ type: filter, with: {{ where: key = 'b' AND text > 'a' }} }}\n  \
             - {{ type: write, with: {{ path: out.jsonl, columns: [{column}] }} }}\n"
        )
    };
    place.write("pipeline.yaml", &yaml("", "text"));
    let check = place.gristmill(&["check", "pipeline.yaml"]).expect(0);
    let check = check.prints("    out: key string, text string\n");
    let check = check.prints("    reads 2 of 3 columns: key, text\n");
    check.prints("    pushed down: key = 'b' AND text > 'a'\n");
    // Half a line is no line, but nobody asked whether `n` is a number.
    place.run(&yaml("", "text")).expect(3);
    assert_eq!(place.read("out.jsonl"), "{\"text\":\"y\"}\n{\"text\":\"z\"}\n");
    for (head, column) in [("", "n"), ("rejected: { whole_rows: true }\n", "text")] {
        let _ = std::fs::remove_file(place.path().join("pipeline.rejected.jsonl"));
        place.run(&yaml(head, column)).expect(3);
        assert_eq!(place.read("out.jsonl").lines().count(), 1, "{head}{column}");
        let rejected = place.read("pipeline.rejected.jsonl");
        assert!(
            rejected.contains("column `n`: `\\\"no number\\\"` is not of type int64"),
            "{rejected}"
        );
    }
}
