//! Children that are killed while they write into a database.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use gristmill_config::{Plan, Source, Variables, load};
use gristmill_runtime::{Outcome, Report};
use proptest::prelude::Rng;
use proptest::test_runner::{RngAlgorithm, TestRng};
use rusqlite::Connection;

use crate::children::{kill, of_run};
use crate::mill::{Mill, stage};
use crate::server::Server;

/// Reads the rows of the mill and writes them by this sink.
fn plan(mill: &Mill, mark: u64, sink: &str) -> Plan {
    let yaml = format!(
        "rejected: '{}'\nbatch: {{ rows: 100 }}\nstages:\n  - {{ type: read, with: {{ path: '{}' }} }}\n  \
         - {{ name: sink, run: {{ mode: process, limits: {{ open_files: {mark} }} }}, {sink} }}\n",
        mill.path("rejected.jsonl").display(),
        mill.path("in.jsonl").display()
    );
    let registry = gristmill_tests::registry();
    load(&Source::new("test.yaml", yaml), &Variables::new(), &registry)
        .unwrap_or_else(|problems| panic!("{}", problems.render(false)))
}

/// Runs while children are killed again and again.
fn killed(mark: u64, plan: Plan) -> Report {
    let over = Arc::new(AtomicBool::new(false));
    let killer = thread::spawn({
        let over = over.clone();
        move || {
            let mut rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
            // Not for ever: on a slow machine, what is published in one go would never come to its end.
            let mut kills = 0;
            while !over.load(Ordering::Relaxed) && kills < 30 {
                // The first that is seen goes at once, however short the run.
                if kills > 0 {
                    thread::sleep(Duration::from_millis(u64::from(rng.next_u32() % 60)));
                }
                for pid in of_run(mark) {
                    if kills == 0 || rng.next_u32().is_multiple_of(2) {
                        kills += 1;
                        kill(pid);
                    }
                }
            }
            kills
        }
    });
    let report = Mill::start(plan).wait();
    over.store(true, Ordering::Relaxed);
    assert!(killer.join().unwrap() > 0, "nobody was killed");
    assert!(matches!(report.outcome, Outcome::Done), "{:?}", report.outcome);
    report
}

/// All rows but those that are in the table already, which are rejected.
fn complete(mill: &Mill, rows: i64, found: &[i64]) {
    let all: BTreeSet<i64> = found.iter().copied().collect();
    assert_eq!(all.len(), found.len(), "a row is there twice");
    assert_eq!(all, (0..rows).collect::<BTreeSet<i64>>());
    assert_eq!(mill.rejected().into_keys().collect::<Vec<_>>(), [7, 1007, 4321]);
}

#[test]
fn sqlite() {
    for (mark, commit) in [(1021, ""), (1022, ", commit: { rows: 250 }")] {
        let mill = Mill::new(6_000);
        let path = mill.path("out.sqlite");
        let open = || Connection::open(&path).unwrap();
        open()
            .execute_batch(
                "CREATE TABLE t (n INTEGER UNIQUE, key, text); \
                 INSERT INTO t (n) VALUES (7), (1007), (4321)",
            )
            .unwrap();
        let sink =
            format!("type: sqlite, with: {{ path: '{}', table: t{commit} }}", path.display());
        killed(mark, plan(&mill, mark, &sink));
        let connection = open();
        let mut statement = connection.prepare("SELECT n FROM t").unwrap();
        let found = statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap);
        complete(&mill, 6_000, &found.collect::<Vec<i64>>());
    }
}

fn table(server: &Server) {
    let sql = "CREATE TABLE t (n bigint UNIQUE, key text, text text); \
               INSERT INTO t (n) VALUES (7), (1007), (4321)";
    server.client().batch_execute(sql).unwrap();
}

fn found(server: &Server) -> Vec<i64> {
    let rows = server.client().query("SELECT n FROM t", &[]).unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[test]
fn postgres() {
    let server = Server::start();
    for (mark, commit) in [(1023, ""), (1024, ", commit: { rows: 1000 }")] {
        let mill = Mill::new(6_000);
        table(&server);
        let sink = format!("type: postgres, with: {{ url: '{}', table: t{commit} }}", server.url());
        killed(mark, plan(&mill, mark, &sink));
        complete(&mill, 6_000, &found(&server));
        server.client().batch_execute("DROP TABLE t").unwrap();
    }
}

/// Stands before a server, and kills the child in the moment in which it would hear that its rows are
/// in: the first few times.
fn kill_at_commits(server: &Server, mark: u64, times: usize) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let socket = server.socket();
    let killed = Arc::new(AtomicUsize::new(0));
    thread::spawn(move || {
        for client in listener.incoming() {
            let (client, server) = (client.unwrap(), UnixStream::connect(&socket).unwrap());
            let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            thread::spawn(move || {
                let _ = std::io::copy(&mut from, &mut to);
                let _ = to.shutdown(Shutdown::Both);
            });
            let killed = killed.clone();
            thread::spawn(move || answers(server, client, &killed, mark, times));
        }
    });
    port
}

fn answers(
    mut server: UnixStream,
    mut client: TcpStream,
    killed: &AtomicUsize,
    mark: u64,
    times: usize,
) {
    let mut bytes = [0; 4096];
    while let Ok(read @ 1..) = server.read(&mut bytes) {
        let committed = bytes[..read].windows(7).any(|word| word == b"COMMIT\0");
        if committed && killed.fetch_add(1, Ordering::SeqCst) < times {
            of_run(mark).into_iter().for_each(kill);
        }
        if client.write_all(&bytes[..read]).is_err() {
            break;
        }
    }
    let _ = client.shutdown(Shutdown::Both);
    let _ = server.shutdown(Shutdown::Both);
}

#[test]
fn killed_within_the_last_commit() {
    let server = Server::start();
    for (mark, commit, times) in [(1025, "", 1), (1026, ", commit: { rows: 2000 }", 3)] {
        let mill = Mill::new(6_000);
        table(&server);
        let port = kill_at_commits(&server, mark, times);
        let sink = format!(
            "type: postgres, with: {{ url: 'postgres://gristmill@127.0.0.1:{port}/postgres?sslmode=disable', \
             table: t, spool: '{}'{commit} }}",
            mill.path("").display()
        );
        let report = Mill::start(plan(&mill, mark, &sink)).wait();
        assert!(matches!(report.outcome, Outcome::Done), "{:?}", report.outcome);
        let deaths = stage(&report, "sink").process.as_ref().map_or(0, |p| p.restarts());
        assert_eq!(deaths, times as u64);
        let left = std::fs::read_dir(mill.path("")).unwrap().map(|e| e.unwrap().file_name());
        let left: Vec<_> =
            left.filter(|name| name.to_string_lossy().contains("gristmill-")).collect();
        assert!(left.is_empty(), "{left:?}");
        complete(&mill, 6_000, &found(&server));
        server.client().batch_execute("DROP TABLE t").unwrap();
    }
}
