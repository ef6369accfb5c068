//! How many requests run, what a snapshot holds, and what ends when the stage does.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod common;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow_array::{Int32Array, RecordBatch};
use common::{Bench, Collected, Server, Way, fetch, ok, urls_batch};
use gristmill_stage::{BatchTarget, ErrorKind, Registry, Snapshot};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

common::in_every_way! {
    no_more_requests_run_than_may,
    a_snapshot_in_the_middle_makes_up_the_rest,
    dropping_the_stage_ends_its_requests,
    batches_keep_to_their_size,
    large_pages_come_in_small_batches,
    it_works_on_a_runtime_of_one_thread,
}

/// A server that answers only when there is a permit for it. `running` requests wait.
struct Gated {
    server: Server,
    gate: Arc<Semaphore>,
    most: Arc<AtomicUsize>,
}

impl Gated {
    fn start(way: Way) -> Self {
        let gate = Arc::new(Semaphore::new(0));
        let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let server = {
            let (gate, most) = (gate.clone(), most.clone());
            Server::start_async(way, move |asked| {
                let (gate, running, most) = (gate.clone(), running.clone(), most.clone());
                async move {
                    let now = running.fetch_add(1, Ordering::SeqCst) + 1;
                    most.fetch_max(now, Ordering::SeqCst);
                    gate.acquire().await.unwrap().forget();
                    running.fetch_sub(1, Ordering::SeqCst);
                    ok(asked.path)
                }
            })
        };
        Self { server, gate, most }
    }

    fn urls(&self, count: usize) -> Vec<String> {
        (0..count).map(|n| self.server.url(&format!("/{n}"))).collect()
    }

    fn wait_for(&self, requests: usize) {
        while self.server.asked.lock().unwrap().len() < requests {
            std::thread::yield_now();
        }
    }
}

fn no_more_requests_run_than_may(way: Way) {
    let gated = Gated::start(way);
    let bench = Bench::new();
    let input = urls_batch(gated.urls(40));
    let mut stage = bench.build(&gated.server.with(json!({ "concurrency": 5 })), &input).unwrap();
    let mut out = Collected::default();
    stage.process(input, &mut out).unwrap();
    assert!(!stage.ready());
    gated.wait_for(5);
    gated.gate.add_permits(40);
    let rest = bench.drive(&mut *stage, []).unwrap();
    assert_eq!(out.texts("url").len() + rest.texts("url").len(), 40);
    assert_eq!(gated.most.load(Ordering::SeqCst), 5);
}

fn a_snapshot_in_the_middle_makes_up_the_rest(way: Way) {
    let gated = Gated::start(way);
    let target = BatchTarget { rows: 4, bytes: 1 << 20 };
    let bench = Bench { ordered: false, target, ..Bench::new() };
    let urls = gated.urls(30);
    let input = urls_batch(urls.clone());
    let options = gated.server.with(json!({ "concurrency": 6 }));
    let mut stage = bench.build(&options, &input).unwrap();
    let mut first = Collected::default();
    stage.process(input.clone(), &mut first).unwrap();
    gated.gate.add_permits(10);
    while first.texts("url").len() < 8 {
        bench.wait(&*stage);
        stage.wake(&mut first).unwrap();
    }
    gated.wait_for(14);
    let snapshot = stage.snapshot().unwrap();
    drop(stage);

    gated.gate.add_permits(100);
    let bench = Bench { restored: snapshot, ..Bench::new() };
    let mut stage = bench.build(&options, &input).unwrap();
    let second = bench.drive(&mut *stage, []).unwrap();
    let all = [first.texts("url"), second.texts("url")].concat();
    assert_eq!(all.len(), 30);
    assert_eq!(all.into_iter().collect::<BTreeSet<_>>(), urls.into_iter().collect());
    assert_eq!(stage.snapshot().unwrap(), Snapshot::Stateless);
}

fn dropping_the_stage_ends_its_requests(way: Way) {
    let gated = Gated::start(way);
    let bench = Bench::new();
    let input = urls_batch(gated.urls(10));
    let mut stage = bench.build(&gated.server.with(json!({ "concurrency": 3 })), &input).unwrap();
    stage.process(input, &mut Collected::default()).unwrap();
    gated.wait_for(3);
    drop(stage);
    gated.gate.add_permits(100);
    // Whatever still ran would make the requests that wait behind the first three.
    drop(bench);
    assert_eq!(gated.server.asked().len(), 3);
}

fn batches_keep_to_their_size(way: Way) {
    let server = Server::start(way, |_| ok(vec![b'x'; 10_000]));
    let bench = Bench { target: BatchTarget { rows: 1000, bytes: 100_000 }, ..Bench::new() };
    let out =
        bench.run(server.with(json!({ "concurrency": 8 })), urls_batch(vec![server.url("/"); 200]));
    assert_eq!(out.texts("body").len(), 200);
    assert!(out.batches.iter().all(|batch| batch.num_rows() <= 10));
}

fn large_pages_come_in_small_batches(way: Way) {
    let server = Server::start(way, |_| ok(vec![b'x'; 300_000]));
    let out = server.fetch(json!({ "concurrency": 8 }), vec![server.url("/"); 40]);
    assert_eq!(out.texts("body").len(), 40);
    // Three make 900 kB; with a fourth they would be more than a MiB.
    assert!(out.batches.iter().all(|batch| batch.num_rows() <= 3));
}

fn it_works_on_a_runtime_of_one_thread(way: Way) {
    let server = Server::start(way, |asked| ok(&asked.path));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut bench = Bench::new();
    bench.runtime = Arc::new(runtime);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let driver = {
        let runtime = bench.runtime.clone();
        std::thread::spawn(move || runtime.block_on(stopped))
    };
    let out = bench
        .run(server.with(json!({})), urls_batch((0..100).map(|n| server.url(&format!("/{n}")))));
    assert_eq!(out.texts("body").len(), 100);
    stop.send(()).unwrap();
    driver.join().unwrap().unwrap();
}

#[test]
fn mistakes_are_found_before_a_run() {
    let mut registry = Registry::new();
    gristmill_fetch::register(&mut registry);
    let kind = registry.get("fetch").unwrap();
    let plan = |options: Value, input: RecordBatch| {
        kind.plan(&options, Some(&input.schema())).unwrap_err()
    };
    let urls = || urls_batch(["http://x/"]);
    let numbers = |name| {
        let column = Arc::new(Int32Array::from(vec![1])) as _;
        RecordBatch::try_from_iter([("url", common::strings([""])), (name, column)]).unwrap()
    };
    assert_eq!(plan(json!({ "concurrency": 0 }), urls()).option_path(), Some("concurrency"));
    assert_eq!(plan(json!({ "retrys": 3 }), urls()).kind(), ErrorKind::Options);
    assert_eq!(plan(json!({ "ca_file": "/no/such" }), urls()).option_path(), Some("ca_file"));
    let none = RecordBatch::try_from_iter([("address", common::strings([""]))]).unwrap();
    assert_eq!(plan(json!({}), none).column_name(), Some("url"));
    for name in ["headers", "method", "body"] {
        assert_eq!(plan(json!({}), numbers(name)).column_name(), Some(name));
    }
}

#[test]
fn an_earlier_fetch_is_noticed() {
    let server = Server::start(Way::Plain, |_| ok("page"));
    let pages = fetch(json!({}), [server.url("/")]);
    let mut registry = Registry::new();
    gristmill_fetch::register(&mut registry);
    let schema = pages.batches[0].schema();
    let planned = registry.get("fetch").unwrap().plan(&json!({}), Some(&schema)).unwrap();
    assert!(planned.notes[0].contains("earlier fetch"));
    assert_eq!(planned.holds, 16 * (10 << 20) + 2 * (8 << 20));
}
