//! Rows of a CSV file into SQLite and PostgreSQL, beside what one would otherwise do: `executemany` of
//! Python's sqlite3, and `\copy` of psql.
//!
//! `cargo run --release -p gristmill-benchmarks --bin databases`

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use gristmill_benchmarks::{Side, built_in, compare, run};
use server::Server;

#[path = "../../../../plugins/databases/tests/common/server.rs"]
#[allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a benchmark that does not run must not print figures"
)]
mod server;

const ROWS: usize = 1_000_000;
const REPEAT: usize = 5;

const PYTHON: &str = "
import csv, sqlite3, sys
db = sqlite3.connect(sys.argv[2])
db.execute('DROP TABLE IF EXISTS t')
db.execute('CREATE TABLE t (id INTEGER, shop TEXT, price REAL, at TEXT)')
with open(sys.argv[1]) as file:
    rows = csv.reader(file)
    next(rows)
    db.executemany('INSERT INTO t VALUES (?, ?, ?, ?)', rows)
db.commit()
";

#[expect(clippy::expect_used, reason = "a benchmark that does not run must not print figures")]
fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = folder.path().join("in.csv");
    std::fs::write(&input, rows()).expect("the input");
    let database = folder.path().join("out.sqlite");
    let server = Server::start();
    let table = "CREATE TABLE t (id bigint, shop text, price double precision, at timestamp)";
    server.client().batch_execute(table).expect("a table");
    let url = server.url();

    let sink = |with: String| {
        let read = format!(
            "{{ path: '{}', columns: {{ id: int64, shop: string, price: float64, at: string }} }}",
            input.display()
        );
        run(
            &format!("stages:\n  - {{ type: read, with: {read} }}\n  - {{ {with} }}\n"),
            &built_in(),
        );
    };
    let sqlite = |more: &str| {
        sink(format!("type: sqlite, with: {{ path: '{}', table: {more} }}", database.display()));
    };
    let postgres =
        |more: &str| sink(format!("type: postgres, with: {{ url: '{url}', table: {more} }}"));
    compare(
        "1,000,000 rows of CSV into SQLite",
        ROWS as f64,
        "rows",
        REPEAT,
        vec![
            Side::new("sqlite, replace", || sqlite("t, mode: replace")),
            Side::new("sqlite, upsert of the same", || sqlite("u, mode: upsert, key: [id]")),
            Side::new("Python, executemany", || {
                by_hand("python3", &["-c", PYTHON], &input, &database)
            }),
        ],
    );
    let copy = format!("\\copy t FROM '{}' CSV HEADER", input.display());
    compare(
        "1,000,000 rows of CSV into PostgreSQL",
        ROWS as f64,
        "rows",
        REPEAT,
        vec![
            Side::new("postgres, replace", || postgres("t, mode: replace")),
            Side::new("postgres, upsert of the same", || postgres("u, mode: upsert, key: [id]")),
            Side::new("psql, TRUNCATE and \\copy", || {
                let psql = Command::new("psql")
                    .args(["-q", &url, "-c", "TRUNCATE t", "-c", &copy])
                    .status();
                assert!(psql.is_ok_and(|status| status.success()), "psql");
            }),
        ],
    );
}

fn by_hand(program: &str, args: &[&str], input: &Path, database: &Path) {
    let done = Command::new(program).args(args).arg(input).arg(database).status();
    assert!(done.is_ok_and(|status| status.success()), "{program}");
}

fn rows() -> String {
    let mut text = "id,shop,price,at\n".to_owned();
    for n in 0..ROWS {
        let (shop, cents, second) = (n * 7919 % 1000, n * 31 % 100_000, n % 60);
        // Writing into a text cannot fail.
        let _ = writeln!(
            text,
            "{n},shop number {shop},{}.{:02},2026-11-24T12:00:{second:02}",
            cents / 100,
            cents % 100
        );
    }
    text
}
