//! `postgres`, seen from a real server.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

use arrow_array::{
    ArrayRef, BinaryArray, Date32Array, Decimal128Array, Float64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray, UInt64Array,
};
use common::server::Server;
use common::{killed, kind};
use gristmill_stage::{Error, Planned};
use gristmill_testkit::{Collected, Harness, rows};
use serde_json::{Value, json};

fn options(server: &Server, table: &str, more: Value) -> Value {
    let mut all = json!({ "url": server.url(), "table": table });
    all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    all
}

fn plan(options: &Value, batch: &RecordBatch) -> Result<Planned, Error> {
    kind("postgres").plan(options, Some(&batch.schema()))
}

fn write(options: &Value, batch: &RecordBatch) -> Result<Collected, Error> {
    let harness = Harness::real()?;
    let kind = kind("postgres");
    let mut stage = harness.build(kind.as_ref(), options, Some(&batch.schema()))?;
    stage.run_transform([batch.clone()])?;
    Ok(stage.into_collected())
}

/// What the query gives, a row a line, as the server shows it.
fn read(server: &Server, sql: &str) -> Vec<String> {
    let messages = server.client().simple_query(sql).unwrap();
    let rows = messages.iter().filter_map(|message| match message {
        postgres::SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    rows.map(|row| {
        (0..row.len()).map(|n| row.get(n).unwrap_or("NULL")).collect::<Vec<_>>().join("|")
    })
    .collect()
}

fn reasons(collected: &Collected) -> Vec<&str> {
    collected.rejected.iter().map(|rows| rows.reason.as_str()).collect()
}

#[test]
fn every_type_has_a_form() {
    let server = Server::shared();
    let columns: [(&str, ArrayRef); 9] = [
        ("big", Arc::new(UInt64Array::from(vec![Some(u64::MAX), None, Some(1)]))),
        ("real", Arc::new(Float64Array::from(vec![1e300, f64::NAN, -0.5]))),
        ("day", Arc::new(Date32Array::from(vec![20_000, 0, 0]))),
        (
            "at",
            Arc::new(TimestampMicrosecondArray::from(vec![1_500_000, 0, 0]).with_timezone("UTC")),
        ),
        ("local", Arc::new(TimestampMicrosecondArray::from(vec![1_500_001, 0, 0]))),
        (
            "price",
            Arc::new(
                Decimal128Array::from(vec![12_345_678_901_234_567_890_i128, 0, 5])
                    .with_precision_and_scale(30, 2)
                    .unwrap(),
            ),
        ),
        ("raw", Arc::new(BinaryArray::from(vec![Some(b"\x00\xff\\".as_slice()), None, None]))),
        ("text", Arc::new(StringArray::from(vec!["a\tb\\N\n\r\\", "\\N", "nul\0"]))),
        (
            "o",
            gristmill_testkit::table(
                &json!([{ "o": { "x": "\\\"" } }, { "o": null }, { "o": null }]),
            )
            .unwrap()
            .column(0)
            .clone(),
        ),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let options = options(&server, "types", json!({}));
    let collected = write(&options, &batch).unwrap();
    assert_eq!(
        reasons(&collected),
        ["column `text`: PostgreSQL has no form for the character U+0000"]
    );
    assert_eq!(
        read(&server, "SET TimeZone = 'UTC'; SELECT * FROM types ORDER BY day DESC"),
        [
            "18446744073709551615|1e+300|2024-10-04|1970-01-01 00:00:01.5+00|\
             1970-01-01 00:00:01.500001|123456789012345678.90|\\x00ff5c|a\tb\\N\n\r\\|{\"x\": \"\\\\\\\"\"}",
            "NULL|NaN|1970-01-01|1970-01-01 00:00:00+00|1970-01-01 00:00:00|0.00|NULL|\\N|NULL",
        ]
    );
}

#[test]
fn a_constraint_rejects_a_row_and_the_rest_goes_on() {
    let server = Server::shared();
    server
        .client()
        .batch_execute(
            "CREATE SCHEMA shop; CREATE TABLE shop.\"Items\" (id int PRIMARY KEY, code varchar(3), \
         n smallint CHECK (n < 10), \"when\" date NOT NULL, u uuid); \
         INSERT INTO shop.\"Items\" VALUES (3, 'abc', 0, '2020-01-01')",
        )
        .unwrap();
    let batch = rows!([
        { "id": 1, "code": "a", "n": 1, "when": "2026-01-01", "u": null },
        { "id": 2, "code": "b", "n": 10, "when": "2026-01-01", "u": null },
        { "id": 3, "code": "c", "n": 1, "when": "2026-01-01", "u": null },
        { "id": 4, "code": "d", "n": 1, "when": null, "u": null },
        { "id": 5, "code": "long", "n": 1, "when": "2026-01-01", "u": null },
        { "id": 6, "code": "f", "n": 1, "when": "no day", "u": null },
        { "id": 7, "code": "g", "n": 99999, "when": "2026-01-01", "u": null },
        { "id": 8, "code": "h", "n": 1, "when": "2026-01-01", "u": "6ba7b810-9dad-11d1-80b4-00c04fd430c8" },
    ]);
    let collected = write(&options(&server, "shop.Items", json!({})), &batch).unwrap();
    let found = reasons(&collected);
    let parts = [
        "violates check constraint \"Items_n_check\" (Failing row contains",
        "duplicate key value violates unique constraint \"Items_pkey\" (Key (id)=(3) already exists.)",
        "null value in column \"when\"",
        "value too long for type character varying(3)",
        "invalid input syntax for type date: \"no day\"",
        "out of range",
    ];
    assert_eq!(found.len(), parts.len(), "{found:#?}");
    for (reason, part) in found.iter().zip(parts) {
        assert!(reason.contains(part), "{reason}");
    }
    assert_eq!(read(&server, "SELECT id FROM shop.\"Items\" ORDER BY id"), ["1", "3", "8"]);
    assert_eq!(read(&server, "SELECT count(*) FROM shop.gristmill_published"), ["0"]);
}

#[test]
fn append_upsert_and_replace() {
    let server = Server::shared();
    let first = rows!([{ "k": "a", "n": 1 }, { "k": "b", "n": 2 }]);
    let second = rows!([{ "k": "b", "n": 3 }, { "k": "c", "n": 4 }, { "k": "c", "n": 5 }]);
    for (mode, wanted) in [
        ("append", vec!["a1", "b2", "b3", "c4", "c5"]),
        ("upsert", vec!["a1", "b3", "c5"]),
        ("replace", vec!["b3", "c4", "c5"]),
    ] {
        let mut more = json!({ "mode": mode });
        if mode == "upsert" {
            more["key"] = json!(["k"]);
        }
        let options = options(&server, &format!("mode_{mode}"), more);
        for batch in [&first, &second] {
            assert_eq!(write(&options, batch).unwrap().rejected_rows(), 0, "{mode}");
        }
        let sql = format!("SELECT k || n FROM mode_{mode} ORDER BY k, n");
        assert_eq!(read(&server, &sql), wanted, "{mode}");
    }
}

#[test]
fn an_upsert_looks_at_rows_one_by_one_when_it_must() {
    let server = Server::shared();
    server
        .client()
        .batch_execute("CREATE TABLE loose (id int PRIMARY KEY, d int CHECK (d > 0), r text)")
        .unwrap();
    // Spelled otherwise, the key is the same; and one row is wrong.
    let batch = rows!([
        { "id": "1", "d": 1, "r": "first" },
        { "id": "01", "d": 2, "r": "second" },
        { "id": "2", "d": 0, "r": "wrong" },
    ]);
    let options = options(&server, "loose", json!({ "mode": "upsert", "key": ["id"] }));
    let collected = write(&options, &batch).unwrap();
    assert_eq!(collected.rejected_rows(), 1);
    assert_eq!(read(&server, "SELECT * FROM loose"), ["1|2|second"]);
}

#[test]
fn what_does_not_fit_is_found_before_the_run() {
    let server = Server::shared();
    server
        .client()
        .batch_execute(
            "CREATE TABLE narrow (id int); CREATE TABLE needs (id int, t text, x int NOT NULL); \
             CREATE TABLE other (id bytea, t text); CREATE TABLE keyless (id int, t text); \
             CREATE TABLE made (id int GENERATED ALWAYS AS IDENTITY, t text); \
             CREATE TABLE closed (id int, t text); CREATE USER guest; \
             CREATE TABLE fine (id bigint PRIMARY KEY, t text, x int NOT NULL DEFAULT 1)",
        )
        .unwrap();
    let batch = rows!([{ "id": 1, "t": "x" }]);
    let find = |table: &str, more: Value, option: &str, part: &str| {
        let error = plan(&options(&server, table, more), &batch).unwrap_err();
        assert_eq!(error.option_path(), Some(option), "{error}");
        assert!(error.to_string().contains(part), "{error}");
        assert!(!error.to_string().contains("open-sesame"), "{error}");
    };
    find("narrow", json!({}), "", "table \"narrow\" has no column `t` (it has `id`");
    find("needs", json!({}), "table", "column `x` of table \"needs\" must have a value");
    find(
        "other",
        json!({}),
        "",
        "column `id` of table \"other\" is bytea, and the input has Int64",
    );
    find("made", json!({ "columns": ["t", "id"] }), "columns.1", "is generated");
    find("none", json!({ "create": false }), "table", "there is no table \"none\"");
    find("keyless", json!({ "mode": "upsert", "key": ["id"] }), "key", "unique index");
    find("a.b.c", json!({}), "table", "not the name of a table");
    let guest = server.url().replace("gristmill:", "guest:");
    find("closed", json!({ "url": guest }), "url", "permission denied for table closed");
    find("fine", json!({ "url": server.url() + "_" }), "url", "does not exist");
    assert!(plan(&options(&server, "fine", json!({})), &batch).unwrap().notes.is_empty());
    let unmade = plan(&options(&server, "unmade", json!({})), &batch).unwrap();
    assert_eq!(unmade.notes, ["table \"unmade\" will be made"]);
    let away = json!({ "url": "postgres://u:open-sesame@127.0.0.1:1/db" });
    let notes = plan(&options(&server, "t", away), &batch).unwrap().notes;
    assert!(notes[0].contains("not looked at: database `db` at 127.0.0.1:1"), "{notes:?}");
    assert!(!notes[0].contains("sesame"), "{notes:?}");
}

#[test]
fn a_server_that_is_not_there_is_an_error_in_the_end() {
    let options = json!({
        "url": "postgres://u:open-sesame@127.0.0.1:1/db", "table": "t", "timeout": "300ms",
    });
    let error = write(&options, &rows!([{ "id": 1 }])).unwrap_err().to_string();
    assert!(error.contains("database `db` at 127.0.0.1:1 cannot be reached"), "{error}");
    assert!(error.contains("`timeout` is 300ms"), "{error}");
    assert!(!error.contains("sesame"), "{error}");
}

#[test]
fn a_server_that_restarts_in_the_middle_is_gone_on_with() {
    let server = Server::start();
    server.client().batch_execute("CREATE TABLE t (id int)").unwrap();
    let ids: Vec<Value> = (0..20_000).map(|id| json!({ "id": id })).collect();
    let batch = gristmill_testkit::table(&Value::Array(ids)).unwrap();
    let options = options(&server, "t", json!({}));
    let both = Arc::new(Barrier::new(2));
    let writer = thread::spawn({
        let both = both.clone();
        move || {
            let harness = Harness::real().unwrap();
            let kind = kind("postgres");
            let mut stage = harness.build(kind.as_ref(), &options, Some(&batch.schema())).unwrap();
            stage.process(batch).unwrap();
            both.wait();
            both.wait();
            stage.finish().unwrap();
            stage.into_collected().rejected_rows()
        }
    });
    both.wait();
    let mut holder = server.client();
    holder.batch_execute("BEGIN; LOCK TABLE t IN SHARE MODE").unwrap();
    both.wait();
    // Our own transaction holds it up in the middle of its own, until the server is gone.
    let mut looker = server.client();
    let waiting =
        "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'COPY%'";
    while looker.query(waiting, &[]).unwrap().is_empty() {
        thread::yield_now();
    }
    server.crash();
    assert_eq!(writer.join().unwrap(), 0);
    assert_eq!(read(&server, "SELECT count(*), count(DISTINCT id) FROM t"), ["20000|20000"]);
}

/// Stands before a server and swallows its first answers to COMMIT, and the connection with them.
fn swallow_commits(socket: PathBuf, commits: usize) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let swallowed = Arc::new(AtomicUsize::new(0));
    let count = swallowed.clone();
    thread::spawn(move || {
        for client in listener.incoming() {
            let (client, server) = (client.unwrap(), UnixStream::connect(&socket).unwrap());
            let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            thread::spawn(move || pass(from, to));
            let count = count.clone();
            thread::spawn(move || answers(server, client, commits, &count));
        }
    });
    (port, swallowed)
}

fn pass(mut from: TcpStream, mut to: UnixStream) {
    let _ = std::io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Both);
}

fn answers(mut server: UnixStream, mut client: TcpStream, commits: usize, count: &AtomicUsize) {
    let mut bytes = [0; 4096];
    while let Ok(read @ 1..) = server.read(&mut bytes) {
        let committed = bytes[..read].windows(7).any(|word| word == b"COMMIT\0");
        if committed && count.load(Ordering::SeqCst) < commits {
            count.fetch_add(1, Ordering::SeqCst);
            break;
        }
        if client.write_all(&bytes[..read]).is_err() {
            break;
        }
    }
    let _ = client.shutdown(Shutdown::Both);
    let _ = server.shutdown(Shutdown::Both);
}

#[test]
fn a_commit_whose_answer_is_lost_is_not_made_twice() {
    let server = Server::start();
    let (port, swallowed) = swallow_commits(server.socket(), 2);
    let url = format!("postgres://gristmill:open-sesame@127.0.0.1:{port}/postgres?sslmode=disable");
    let options = options(&server, "t", json!({ "url": url, "commit": { "rows": 2 } }));
    let harness = Harness::real().unwrap();
    let kind = kind("postgres");
    let batch = |id: i64| rows!([{ "id": id }]);
    let mut stage = harness.build(kind.as_ref(), &options, Some(&batch(0).schema())).unwrap();
    stage.run_transform((0..5).map(batch)).unwrap();
    assert_eq!(swallowed.load(Ordering::SeqCst), 2);
    assert_eq!(read(&server, "SELECT * FROM t ORDER BY id"), ["0", "1", "2", "3", "4"]);
}

#[test]
fn workers_that_die_at_any_moment_lose_and_double_nothing() {
    let server = Server::shared();
    let ids: Vec<i64> = (0..50).chain((0..50).step_by(5)).collect();
    let batches: Vec<RecordBatch> = ids
        .chunks(4)
        .map(|ids| {
            let rows: Vec<Value> = ids.iter().map(|id| json!({ "id": id })).collect();
            gristmill_testkit::table(&Value::Array(rows)).unwrap()
        })
        .collect();
    let tables = AtomicUsize::new(0);
    let harness = Harness::real().unwrap();
    for commit in [None, Some(json!({ "rows": 7 }))] {
        killed::many(8, |fates| {
            let table = format!("dies_{}", tables.fetch_add(1, Ordering::Relaxed));
            let more = json!({ "key": ["id"], "commit": commit });
            let options = options(&server, &table, more);
            let kind = kind("postgres");
            let mut rejected = killed::run(kind.as_ref(), &options, &harness, &batches, &fates);
            rejected.sort();
            let mut wanted: Vec<String> = (0..50)
                .step_by(5)
                .map(|id| {
                    format!(
                        "{{\"id\":{id}}}: duplicate key value violates unique constraint \
                         \"{table}_pkey\" (Key (id)=({id}) already exists.)"
                    )
                })
                .collect();
            wanted.sort();
            assert_eq!(rejected, wanted);
            let sql = format!("SELECT count(*), count(DISTINCT id) FROM {table}");
            assert_eq!(read(&server, &sql), ["50|50"]);
        });
    }
}
