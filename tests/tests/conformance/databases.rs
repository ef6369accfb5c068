//! Cases of `sqlite` and `postgres`.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow_array::RecordBatch;
use gristmill_testkit::conformance::Settings;
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::case::{Case, World};
use crate::server::Server;

/// 40 rows; of each `k` that is divisible by 8 there are two, and one of ten has no `k`.
fn table() -> RecordBatch {
    let row = |n: i64| {
        json!({
            "k": if n % 10 == 9 { Value::Null } else { json!(if n > 32 { n - 33 } else { n }) },
            "s": if n % 7 == 3 { Value::Null } else { json!(format!("ü\t\\{n}")) },
            "x": n as f64 / 4.0,
            "l": [n, null],
        })
    };
    gristmill_testkit::table(&Value::Array((0..40).map(row).collect())).unwrap()
}

pub fn sqlite(world: &World) -> Vec<Case> {
    let case = |title, name: &str, before: Option<&'static str>, mut options: Value| {
        let path = world.path(name);
        prepare(&path, before);
        options["path"] = json!(path);
        options["table"] = json!("t");
        let settings = Settings::new().seeds(6).effect(move || taken(&path, before));
        Case::new("sqlite", title, options).on(&table()).with(settings)
    };
    let old = Some("CREATE TABLE t (k INT UNIQUE, s, x, l); INSERT INTO t (k) VALUES (1)");
    vec![
        case("into a new table", "new.sqlite", None, json!({})).gives(40, 0),
        case("with a key", "key.sqlite", None, json!({ "key": ["k"] })).gives(30, 10),
        case("added in parts", "parts.sqlite", old, json!({ "commit": { "rows": 6 } }))
            .gives(34, 7),
        case("updated by key", "up.sqlite", old, json!({ "mode": "upsert", "key": ["k"] }))
            .gives(30, 4),
        case(
            "some columns in place of others",
            "over.sqlite",
            old,
            json!({ "mode": "replace", "columns": ["l", "s"], "commit": { "rows": 15 } }),
        )
        .gives(40, 0),
    ]
}

fn prepare(path: &Path, before: Option<&str>) {
    let connection = Connection::open(path).unwrap();
    connection.execute_batch(before.unwrap_or("DROP TABLE IF EXISTS t")).unwrap();
}

/// The rows of the table, which is as before afterwards.
fn taken(path: &Path, before: Option<&str>) -> Result<Vec<Value>, String> {
    let wrong = |e: rusqlite::Error| e.to_string();
    let connection = Connection::open(path).map_err(wrong)?;
    let mut statement = connection.prepare("SELECT k, s, x, l FROM t").map_err(wrong)?;
    let row = |row: &rusqlite::Row<'_>| {
        let (k, s): (Option<i64>, Option<String>) = (row.get(0)?, row.get(1)?);
        let (x, l): (Option<f64>, Option<String>) = (row.get(2)?, row.get(3)?);
        Ok(json!({ "k": k, "s": s, "x": x, "l": l }))
    };
    let rows: Result<Vec<Value>, _> = statement.query_map([], row).map_err(wrong)?.collect();
    drop(statement);
    connection.execute_batch("DROP TABLE t").map_err(wrong)?;
    prepare(path, before);
    rows.map_err(wrong)
}

pub fn postgres(_: &World) -> Vec<Case> {
    // Tests that run at the same time share the server.
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    let call = CALLS.fetch_add(1, Ordering::Relaxed);
    let server = Server::shared();
    let case = |title, name: &str, before: Option<&str>, mut options: Value| {
        let (server, name) = (server.clone(), format!("{name}_{call}"));
        options["url"] = json!(server.url());
        options["table"] = json!(name);
        let make = before.unwrap_or_default().replace("NAME", &name);
        server.client().batch_execute(&make).unwrap();
        let effect = move || rows(&server, &name, &make);
        let settings = Settings::new().real().seeds(2).effect(effect);
        Case::new("postgres", title, options).on(&table()).with(settings)
    };
    let old = Some(
        "CREATE TABLE NAME (k bigint UNIQUE, s text, x real, l jsonb); \
         INSERT INTO NAME (k) VALUES (1)",
    );
    vec![
        case("into a new table", "new", None, json!({})).gives(40, 0),
        case("with a key", "keyed", None, json!({ "key": ["k"] })).gives(30, 10),
        case("added in parts", "parts", old, json!({ "commit": { "rows": 6 } })).gives(34, 7),
        case("updated by key", "up", old, json!({ "mode": "upsert", "key": ["k"] })).gives(30, 4),
        case(
            "in place of others",
            "over",
            old,
            json!({ "mode": "replace", "columns": ["l", "s"], "commit": { "rows": 15 } }),
        )
        .gives(40, 0),
    ]
}

fn rows(server: &Server, name: &str, make: &str) -> Result<Vec<Value>, String> {
    let mut client = server.client();
    let texts = client
        .query(&format!("SELECT to_jsonb(t)::text FROM {name} t"), &[])
        .map_err(|e| e.to_string())?;
    client.batch_execute(&format!("DROP TABLE {name}; {make}")).map_err(|e| e.to_string())?;
    Ok(texts.iter().map(|row| serde_json::from_str(row.get(0)).unwrap()).collect())
}
