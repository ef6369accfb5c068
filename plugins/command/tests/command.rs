//! Real programs: what comes out of them, and what becomes of those that misbehave.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use gristmill_stage::{BatchTarget, Error, Registry};
use gristmill_testkit::{Collected, Harness};
use serde_json::{Value, json};

fn registry() -> Registry {
    let mut registry = Registry::new();
    gristmill_command::register(&mut registry);
    registry
}

/// Numbers, each with a text of so many letters.
fn numbers(count: i64, letters: usize) -> RecordBatch {
    let texts = (0..count).map(|_| "x".repeat(letters));
    let columns: [(&str, ArrayRef); 2] = [
        ("n", Arc::new(Int64Array::from_iter_values(0..count))),
        ("s", Arc::new(StringArray::from_iter_values(texts))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true)))
        .unwrap()
}

/// What comes of one batch.
fn through(options: &Value, batch: RecordBatch) -> Collected {
    let harness = Harness::real().unwrap();
    let harness = harness.with_batch(BatchTarget { rows: 1000, ..BatchTarget::default() });
    let kind = registry().get("command").unwrap().clone();
    let mut stage = harness.build(kind.as_ref(), options, Some(&batch.schema())).unwrap();
    stage.run_transform([batch]).unwrap();
    let collected = stage.into_collected();
    assert!(collected.violations.is_empty(), "{:?}", collected.violations);
    collected
}

/// A script of the shell.
fn shell(script: &str) -> Value {
    json!({ "command": ["sh", "-c", script], "columns": { "n": "int64" } })
}

fn column(collected: &Collected) -> Vec<i64> {
    let batches = collected.batches.iter();
    batches
        .flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().to_vec())
        .collect()
}

/// The reason for which all rows of a batch are rejected.
fn rejected(options: &Value, rows: i64) -> String {
    let collected = through(options, numbers(rows, 10));
    assert_eq!((collected.rows(), collected.rejected_rows()), (0, usize::try_from(rows).unwrap()));
    collected.rejected[0].reason.clone()
}

#[test]
fn a_program_may_drop_change_and_add_rows() {
    let even = shell("awk -F'[:,]' '$2 % 2 == 0 { printf \"{\\\"n\\\": %d}\\n\", $2 * 10 }'");
    assert_eq!(column(&through(&even, numbers(6, 1))), [0, 20, 40]);
    let none = shell("cat > /dev/null");
    assert_eq!(through(&none, numbers(6, 1)).rows(), 0);
    let own = shell("cat > /dev/null; seq 3 | sed 's/.*/{\"n\":&}/'");
    assert_eq!(column(&through(&own, numbers(6, 1))), [1, 2, 3]);
}

#[test]
fn types_are_those_of_the_columns() {
    let line = r#"{"i":7,"s":1.50,"f":"NaN","b":true,"t":"2026-11-24T10:00:00+01:00","d":"2026-11-24","j":{"a":[1, 2]},"x":1}"#;
    let options = json!({
        "command": ["sh", "-c", "printf '%s\\n\\n{}\\n' \"$0\"", line],
        "columns": { "i": "int64", "s": "string", "f": "float64", "b": "boolean", "t": "timestamp",
                     "d": "date", "j": "json" },
    });
    let collected = through(&options, numbers(1, 1));
    let batch = &collected.batches[0];
    assert_eq!((batch.num_rows(), batch.num_columns()), (2, 7));
    let text = format!("{batch:?}");
    for value in
        ["7", "1.50", "NaN", "true", "2026-11-24T09:00:00", "2026-11-24", "{\\\"a\\\":[1, 2]}"]
    {
        assert!(text.contains(value) || text.contains(&value.replace('\\', "")), "{value}: {text}");
    }
    assert!(batch.columns().iter().all(|column| column.is_null(1) && !column.is_null(0)));
}

#[test]
fn lines_that_do_not_fit_are_rejected_alone() {
    let lines =
        shell("cat > /dev/null; printf '{\"n\":1}\\nno json\\n{\"n\":\"x\"}\\n{\"n\":4}\\n'");
    let collected = through(&lines, numbers(3, 1));
    assert_eq!(column(&collected), [1, 4]);
    let reasons: Vec<_> = collected.rejected.iter().map(|one| one.reason.as_str()).collect();
    assert!(reasons[0].starts_with("a line of the program is no JSON object"), "{reasons:?}");
    assert_eq!(reasons[1], "`n` of a line of the program is no int64: \"x\"");
    assert_eq!(collected.rejected[0].rows.column(0).as_string::<i32>().value(0), "no json");
}

#[test]
fn a_program_that_fails_gives_the_rows_back() {
    let reason = rejected(&shell("echo first >&2; echo the last >&2; exit 3"), 5);
    assert_eq!(reason, "`sh` ended with code 3: first | the last");
    assert_eq!(rejected(&shell("kill -9 $$"), 5), "`sh` was killed by signal 9");
}

#[test]
fn neither_waits_for_the_other() {
    // Ten megabytes, far more than pipes hold.
    let rows = || numbers(100_000, 100);
    let all = json!({ "command": ["cat"] });
    assert_eq!(column(&through(&all, rows())), (0..100_000).collect::<Vec<_>>());
    // It puts all out before it reads.
    let first = shell("yes '{\"n\":1}' | head -n 500000; cat > /dev/null");
    assert_eq!(through(&first, rows()).rows(), 500_000);
    // It reads all before it puts anything out, and talks on stderr meanwhile.
    let last = shell("yes noise | head -c 5000000 >&2; tac");
    assert_eq!(column(&through(&last, rows()))[..2], [99_999, 99_998]);
    // It does not read at all.
    let none = shell("exec < /dev/null; echo '{\"n\":1}'");
    assert_eq!(column(&through(&none, rows())), [1]);
}

#[test]
fn a_program_that_hangs_is_killed() {
    let mut options = shell("sleep 1000");
    options["timeout"] = json!("300ms");
    assert_eq!(rejected(&options, 5), "`sh` took longer than 0.3 s");
    // One that has ended, but has left its output to another.
    let mut options = shell("sleep 1000 & exit 0");
    options["timeout"] = json!("300ms");
    assert_eq!(rejected(&options, 5), "`sh` took longer than 0.3 s");
}

#[test]
fn output_is_bounded() {
    let mut options = shell("yes '{\"n\":1}'");
    options["max_output"] = json!("1MiB");
    assert_eq!(rejected(&options, 5), "`sh` puts out more than 1048576 bytes");
}

#[test]
fn what_cannot_work_is_said() {
    let plan = |options: Value| -> Error {
        let kind = registry().get("command").unwrap().clone();
        kind.plan(&options, Some(&numbers(1, 1).schema())).unwrap_err()
    };
    let error = plan(json!({ "command": ["no-such-program"] }));
    assert_eq!(error.option_path(), Some("command[0]"));
    assert_eq!(error.message(), "there is no program `no-such-program`");
    assert!(plan(json!({ "command": ["/etc/passwd"] })).message().contains("no program that may"));
    assert_eq!(plan(json!({ "command": ["cat"], "columns": {} })).option_path(), Some("columns"));
    assert_eq!(plan(json!({ "command": ["cat"], "timeout": 0 })).option_path(), Some("timeout"));
}
