//! `sqlite`, seen from the file that it writes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use arrow_array::{
    ArrayRef, BinaryArray, Date32Array, Decimal128Array, Float64Array, RecordBatch,
    TimestampMicrosecondArray, UInt64Array,
};
use common::{killed, kind};
use gristmill_stage::{Error, Planned};
use gristmill_testkit::{Collected, Harness, rows};
use rusqlite::Connection;
use serde_json::{Value, json};
use tempfile::TempDir;

struct World {
    folder: TempDir,
    options: Value,
}

impl World {
    fn new(options: Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut all = json!({ "path": folder.path().join("out.sqlite"), "table": "t" });
        all.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
        Self { folder, options: all }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("out.sqlite")
    }

    fn sql(&self, sql: &str) -> Connection {
        let connection = Connection::open(self.path()).unwrap();
        connection.execute_batch(sql).unwrap();
        connection
    }

    fn plan(&self, batch: &RecordBatch) -> Result<Planned, Error> {
        kind("sqlite").plan(&self.options, Some(&batch.schema()))
    }

    fn write(&self, batch: &RecordBatch) -> Result<Collected, Error> {
        let harness = Harness::new();
        let kind = kind("sqlite");
        let mut stage = harness.build(kind.as_ref(), &self.options, Some(&batch.schema()))?;
        stage.run_transform([batch.clone()])?;
        Ok(stage.into_collected())
    }

    /// What the query gives, a row a line.
    fn read(&self, sql: &str) -> Vec<String> {
        let connection = Connection::open(self.path()).unwrap();
        let mut statement = connection.prepare(sql).unwrap();
        let columns = statement.column_count();
        let rows = statement.query_map([], |row| {
            let cells = (0..columns).map(|n| row.get::<_, rusqlite::types::Value>(n).unwrap());
            let cells: Vec<String> = cells.map(|value| format!("{value:?}")).collect();
            Ok(cells.join(" "))
        });
        rows.unwrap().map(Result::unwrap).collect()
    }
}

fn reasons(collected: &Collected) -> Vec<&str> {
    collected.rejected.iter().map(|rows| rows.reason.as_str()).collect()
}

#[test]
fn every_type_has_a_form() {
    let world = World::new(json!({}));
    let columns: [(&str, ArrayRef); 7] = [
        ("big", Arc::new(UInt64Array::from(vec![Some(7), Some(u64::MAX), None]))),
        ("real", Arc::new(Float64Array::from(vec![0.1, 1.0, f64::INFINITY]))),
        ("day", Arc::new(Date32Array::from(vec![20_000, 0, 0]))),
        (
            "at",
            Arc::new(TimestampMicrosecondArray::from(vec![1_500_000, 0, 0]).with_timezone("UTC")),
        ),
        (
            "price",
            Arc::new(
                Decimal128Array::from(vec![12_345_678_901_234_567_890_i128, 0, 5])
                    .with_precision_and_scale(30, 2)
                    .unwrap(),
            ),
        ),
        ("raw", Arc::new(BinaryArray::from(vec![Some(b"\x00\xff".as_slice()), None, None]))),
        (
            "list",
            gristmill_testkit::table(&json!([{ "l": [1, null] }, { "l": [] }, { "l": null }]))
                .unwrap()
                .column(0)
                .clone(),
        ),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let collected = world.write(&batch).unwrap();
    assert_eq!(
        reasons(&collected),
        ["column `big`: 18446744073709551615 is more than an integer of SQLite holds"]
    );
    assert_eq!(
        world.read("SELECT * FROM t"),
        [
            "Integer(7) Real(0.1) Text(\"2024-10-04\") Text(\"1970-01-01T00:00:01.500Z\") \
             Text(\"123456789012345678.90\") Blob([0, 255]) Text(\"[1,null]\")",
            "Null Real(inf) Text(\"1970-01-01\") Text(\"1970-01-01T00:00:00Z\") Text(\"0.05\") \
             Null Null",
        ]
    );
    let types = world.read("SELECT type FROM pragma_table_info('t')").join(" ");
    assert_eq!(types.matches("TEXT").count(), 4, "{types}");
}

#[test]
fn names_and_values_are_never_sql() {
    let world = World::new(json!({ "table": "a\"; DROP TABLE \"b" }));
    world.sql("CREATE TABLE b (x)");
    let batch = rows!([{ "c\"d'); --": "'); DROP TABLE b; --" }]);
    assert_eq!(world.write(&batch).unwrap().rejected_rows(), 0);
    assert_eq!(
        world.read("SELECT * FROM \"a\"\"; DROP TABLE \"\"b\""),
        ["Text(\"'); DROP TABLE b; --\")"]
    );
    assert_eq!(world.read("SELECT count(*) FROM b"), ["Integer(0)"]);
}

#[test]
fn a_constraint_rejects_a_row_and_the_rest_goes_on() {
    let world = World::new(json!({}));
    world.sql(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, n INT CHECK (n < 10), s TEXT NOT NULL) STRICT; \
         INSERT INTO t VALUES (3, 0, 'there')",
    );
    let batch = rows!([
        { "id": 1, "n": 1, "s": "a" },
        { "id": 2, "n": 10, "s": "b" },
        { "id": 3, "n": 1, "s": "c" },
        { "id": 4, "n": 1, "s": null },
        { "id": 5, "n": 1, "s": "e" },
        { "id": 5, "n": 2, "s": "e" },
    ]);
    let collected = world.write(&batch).unwrap();
    assert_eq!(
        reasons(&collected),
        [
            "CHECK constraint failed: n < 10",
            "UNIQUE constraint failed: t.id",
            "NOT NULL constraint failed: t.s",
            "UNIQUE constraint failed: t.id",
        ]
    );
    assert_eq!(world.read("SELECT id FROM t"), ["Integer(1)", "Integer(3)", "Integer(5)"]);
}

#[test]
fn append_upsert_and_replace() {
    let first = rows!([{ "k": "a", "n": 1 }, { "k": "b", "n": 2 }]);
    let second = rows!([{ "k": "b", "n": 3 }, { "k": "c", "n": 4 }, { "k": "c", "n": 5 }]);
    for (mode, wanted) in [
        ("append", vec!["a1", "b2", "b3", "c4", "c5"]),
        ("upsert", vec!["a1", "b3", "c5"]),
        ("replace", vec!["b3", "c4", "c5"]),
    ] {
        let mut options = json!({ "mode": mode });
        if mode == "upsert" {
            options["key"] = json!(["k"]);
        }
        let world = World::new(options);
        for batch in [&first, &second] {
            assert_eq!(world.write(batch).unwrap().rejected_rows(), 0, "{mode}");
        }
        let found = world.read("SELECT k || n FROM t ORDER BY k, n");
        let wanted: Vec<_> = wanted.iter().map(|text| format!("Text(\"{text}\")")).collect();
        assert_eq!(found, wanted, "{mode}");
        assert_eq!(world.read("SELECT name FROM sqlite_master WHERE type = 'table'").len(), 1);
    }
}

#[test]
fn what_does_not_fit_is_found_before_the_run() {
    let batch = rows!([{ "id": 1, "text": "x" }]);
    let error = |options: Value, sql: &str| {
        let world = World::new(options);
        world.sql(sql);
        let error = world.plan(&batch).unwrap_err();
        (error.option_path().map(str::to_owned), error.to_string())
    };
    let find = |options: Value, sql: &str, option: Option<&str>, part: &str| {
        let (found, text) = error(options, sql);
        assert_eq!(found.as_deref(), option, "{text}");
        assert!(text.contains(part), "{text}");
    };
    find(json!({}), "CREATE TABLE t (id INT)", Some(""), "table `t` has no column `text`");
    find(
        json!({}),
        "CREATE TABLE t (id, text, x INT NOT NULL)",
        Some("table"),
        "column `x` of table `t` must have a value",
    );
    find(
        json!({}),
        "CREATE TABLE t (id, text AS (id))",
        Some(""),
        "column `text` of table `t` is generated",
    );
    find(
        json!({ "create": false }),
        "CREATE TABLE other (id)",
        Some("table"),
        "there is no table `t`",
    );
    let upsert = json!({ "mode": "upsert", "key": ["id"] });
    find(upsert, "CREATE TABLE t (id INT, text)", Some("key"), "no primary key or unique index");
    find(json!({ "mode": "upsert" }), "", Some("key"), "needs a `key`");
    find(json!({ "key": ["no"] }), "", Some("key.0"), "none of the columns");
    find(json!({ "commit": {} }), "", Some("commit"), "does not say when");
    find(json!({ "types": { "id": "INT; DROP" } }), "", Some("types.id"), "not a type of SQL");
    find(json!({ "table": "sqlite_master" }), "", Some("table"), "reserved");

    let world = World::new(json!({}));
    std::fs::write(world.path(), "no database at all, but a text of some length\n".repeat(99))
        .unwrap();
    let text = world.plan(&batch).unwrap_err().to_string();
    assert!(text.contains("is no SQLite database"), "{text}");
    let fine = World::new(json!({ "columns": ["id"], "types": { "id": "numeric(10, 2)" } }));
    fine.sql("CREATE TABLE t (id, n INTEGER PRIMARY KEY, x NOT NULL DEFAULT 1)");
    assert!(fine.plan(&batch).is_ok());
}

/// Another program in the middle of a transaction. It is a program: where the stage is in a library, that has
/// a SQLite of its own, and in one process those would not see each other's locks.
struct Other(Child);

impl Other {
    fn holds(world: &World, statements: &[&str]) -> Self {
        let script = "import sqlite3, sys\n\
            other = sqlite3.connect(sys.argv[1], isolation_level=None)\n\
            for sql in sys.argv[2:]: other.execute(sql).fetchall()\n\
            print('holds', flush=True)\n\
            sys.stdin.read()\n\
            other.execute('COMMIT')\n\
            other.close()\n";
        let mut command = Command::new("python3");
        command.args(["-c", script]).arg(world.path()).args(statements);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut said = [0; 5];
        child.stdout.as_mut().unwrap().read_exact(&mut said).unwrap();
        Self(child)
    }

    fn commits(mut self) {
        drop(self.0.stdin.take());
        assert!(self.0.wait().unwrap().success());
    }
}

#[test]
fn a_locked_database_is_waited_for() {
    let batch = rows!([{ "id": 1 }]);
    let world = World::new(json!({ "timeout": "3s" }));
    let other = Other::holds(
        &world,
        &["CREATE TABLE t (id)", "BEGIN IMMEDIATE", "INSERT INTO t VALUES (0)"],
    );
    // Time is simulated: the wait is over at once.
    let harness = Harness::new();
    let sink = kind("sqlite");
    let mut stage = harness.build(sink.as_ref(), &world.options, Some(&batch.schema())).unwrap();
    let error = stage.run_transform([batch.clone()]).unwrap_err().to_string();
    assert!(harness.clock().now() >= std::time::Duration::from_secs(3), "it waited");
    drop(stage);
    assert!(error.contains("was locked by another program for 3s"), "{error}");
    other.commits();
    assert_eq!(world.write(&batch).unwrap().rejected_rows(), 0);

    // Readers hold up the end of a transaction; it goes on when they are gone.
    let reader = Other::holds(&world, &["BEGIN", "SELECT * FROM t"]);
    let harness = Harness::new();
    let kind = kind("sqlite");
    let mut stage = harness.build(kind.as_ref(), &world.options, Some(&batch.schema())).unwrap();
    stage.process(batch.clone()).unwrap();
    assert!(world.path().with_extension("sqlite-journal").metadata().is_err());
    reader.commits();
    stage.finish().unwrap();
    assert_eq!(world.read("SELECT * FROM t"), ["Integer(0)", "Integer(1)", "Integer(1)"]);
}

#[test]
fn a_run_that_fails_publishes_nothing_and_leaves_nothing() {
    let world = World::new(json!({}));
    let batch = rows!([{ "id": 1 }]);
    let harness = Harness::new();
    let kind = kind("sqlite");
    let mut stage = harness.build(kind.as_ref(), &world.options, Some(&batch.schema())).unwrap();
    stage.process(batch.clone()).unwrap();
    assert_eq!(std::fs::read_dir(world.folder.path()).unwrap().count(), 1, "rows are kept aside");
    drop(stage);
    assert_eq!(std::fs::read_dir(world.folder.path()).unwrap().count(), 0);

    // A trigger that takes back all is no matter of one row.
    world.sql(
        "CREATE TABLE t (id); CREATE TRIGGER no BEFORE INSERT ON t WHEN new.id = 2 \
         BEGIN SELECT RAISE(ROLLBACK, 'not this one'); END",
    );
    let error = world.write(&rows!([{ "id": 1 }, { "id": 2 }])).unwrap_err().to_string();
    assert!(error.contains("not this one"), "{error}");
    assert_eq!(world.read("SELECT count(*) FROM t"), ["Integer(0)"]);
    assert_eq!(std::fs::read_dir(world.folder.path()).unwrap().count(), 1, "the database alone");
}

#[test]
fn parts_come_by_rows_and_by_time() {
    let world = World::new(json!({ "commit": { "rows": 3, "every": "10s" }, "mode": "replace" }));
    world.sql("CREATE TABLE t (id); INSERT INTO t VALUES (99)");
    let batch = |id: i64| rows!([{ "id": id }]);
    let harness = Harness::new();
    let kind = kind("sqlite");
    let mut stage = harness.build(kind.as_ref(), &world.options, Some(&batch(0).schema())).unwrap();
    let count = || world.read("SELECT count(*) FROM t").remove(0);
    for id in 0..3 {
        stage.process(batch(id)).unwrap();
        assert_eq!(count(), "Integer(1)", "the old row");
    }
    stage.wake_if_due().unwrap();
    assert_eq!(count(), "Integer(3)");
    stage.process(batch(3)).unwrap();
    stage.wake_if_due().unwrap();
    assert_eq!(count(), "Integer(3)");
    harness.sim_clock().unwrap().advance(std::time::Duration::from_secs(10));
    stage.wake_if_due().unwrap();
    assert_eq!(count(), "Integer(4)");
    stage.process(batch(4)).unwrap();
    drop(stage);
    assert_eq!(count(), "Integer(4)", "a run that fails keeps the parts before");
}

/// 60 rows in 15 batches; of each number that is divisible by 5 there are two.
fn table() -> Vec<RecordBatch> {
    let ids: Vec<i64> = (0..50).chain((0..50).step_by(5)).collect();
    ids.chunks(4)
        .map(|ids| {
            let rows: Vec<Value> = ids.iter().map(|id| json!({ "id": id })).collect();
            gristmill_testkit::table(&Value::Array(rows)).unwrap()
        })
        .collect()
}

fn dies(commit: Option<Value>, path: &Path, fates: &[killed::Fate]) {
    let options = json!({ "path": path, "table": "t", "key": ["id"], "commit": commit });
    let rejected = killed::run(kind("sqlite").as_ref(), &options, &Harness::new(), &table(), fates);
    let mut wanted = BTreeMap::new();
    for text in rejected {
        *wanted.entry(text).or_insert(0) += 1;
    }
    let expected: BTreeMap<String, i32> = (0..50)
        .step_by(5)
        .map(|id| (format!("{{\"id\":{id}}}: UNIQUE constraint failed: t.id"), 1))
        .collect();
    assert_eq!(wanted, expected);
    let connection = Connection::open(path).unwrap();
    let count = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(count("SELECT count(*) FROM t"), 50);
    assert_eq!(count("SELECT count(DISTINCT id) FROM t"), 50);
}

#[test]
fn workers_that_die_at_any_moment_lose_and_double_nothing() {
    for commit in [None, Some(json!({ "rows": 7 }))] {
        killed::many(80, |fates| {
            // In memory, where there is a folder for that: hundreds of commits wait for a disk.
            let folder = Path::new("/dev/shm");
            let folder = if folder.is_dir() { folder } else { Path::new("/tmp") };
            let folder = tempfile::tempdir_in(folder).unwrap();
            dies(commit.clone(), &folder.path().join("out.sqlite"), &fates);
        });
    }
}
