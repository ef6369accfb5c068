//! What it costs to pass batches of 8192 rows from one stage to the next: our edge, between two
//! threads and between two tasks, beside a bare async-channel.
//!
//! `cargo run --release -p gristmill-benchmarks --bin edge`

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use gristmill_benchmarks::{Side, built_in, compare, run};
use gristmill_runtime::Feed;

const BATCHES: usize = 20_000;
const ROWS: usize = 8192;

#[expect(clippy::expect_used, reason = "a benchmark that does not run must not print figures")]
fn main() {
    let column: ArrayRef = Arc::new(Int64Array::from_iter_values(0..ROWS as i64));
    let batch = RecordBatch::try_from_iter([("n", column)]).expect("one column");
    let feed = Feed::new("feed", batch.schema(), vec![batch.clone(); BATCHES]).expect("one schema");
    let mut registry = built_in();
    registry.add_kind(feed.kind());
    let pipeline = |mode: &str, rows: usize| {
        format!(
            "channel: {{ rows: {rows} }}\nstages:\n  \
             - {{ type: feed, run: {{ mode: {mode} }} }}\n  \
             - {{ type: discard, run: {{ mode: {mode} }} }}\n"
        )
    };
    let registry = &registry;
    let ours = |name: &str, mode: &str, rows: usize| {
        let yaml = pipeline(mode, rows);
        Side::new(name, move || drop(run(&yaml, registry)))
    };
    let batch = &batch;
    compare(
        "160 million rows through one edge, in batches of 8192 (5 ns a row are 200M rows/s)",
        (BATCHES * ROWS) as f64,
        "rows",
        5,
        vec![
            Side::new("async-channel, 8 batches, threads", || bare(batch, 8)),
            ours("edge, 64 Ki rows, threaded", "threaded", 65536),
            ours("edge, 64 Ki rows, pooled", "pooled", 65536),
            Side::new("async-channel, 1 batch, threads", || bare(batch, 1)),
            ours("edge, 8 Ki rows, threaded", "threaded", 8192),
            ours("edge, 8 Ki rows, pooled", "pooled", 8192),
        ],
    );
}

/// The same batches through a bare channel between two threads.
#[expect(clippy::expect_used, reason = "a benchmark that does not run must not print figures")]
fn bare(batch: &RecordBatch, capacity: usize) {
    let (sender, receiver) = async_channel::bounded(capacity);
    let batch = batch.clone();
    let thread = std::thread::spawn(move || {
        for _ in 0..BATCHES {
            sender.send_blocking(batch.clone()).expect("the receiver is there");
        }
    });
    let mut rows = 0;
    while let Ok(batch) = receiver.recv_blocking() {
        rows += batch.num_rows();
    }
    thread.join().expect("no panic");
    assert_eq!(rows, BATCHES * ROWS);
}
