//! What `aggregate` does a second on one core, beside a loop over a `HashMap` as one would write it
//! by hand: a key of text and number with a quantile, a number alone, a text alone, a dictionary.
//!
//! `cargo run --release -p gristmill-benchmarks --bin groups`

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type, Int64Type};
use arrow_array::{ArrayRef, DictionaryArray, Float64Array, Int64Array, RecordBatch, StringArray};
use gristmill_benchmarks::{Side, built_in, compare};
use gristmill_stage::{BuildContext, Output, Result, Stage, SystemClock};
use serde_json::{Value, json};

const BATCHES: usize = 611;
const ROWS: usize = 8192;
const REPEAT: usize = 5;

fn main() {
    let batches = batches();
    let rows = (BATCHES * ROWS) as f64;
    let ours = |options: Value| {
        let batches = &batches;
        Side::new("aggregate", move || {
            aggregate(&options, batches);
        })
    };
    compare(
        "5 million rows by (host, status): count, sum(bytes), p95(latency)",
        rows,
        "rows",
        REPEAT,
        vec![
            ours(json!({ "group_by": ["host", "status"], "select": {
                "n": "count(*)", "bytes": "sum(bytes)",
                "p95": "approx_percentile_cont(latency, 0.95)",
            } })),
            Side::new("HashMap, count and sum alone", || by_host_and_status(&batches)),
        ],
    );
    let sums = json!({ "n": "count(*)", "bytes": "sum(bytes)" });
    compare(
        "5 million rows by status: count, sum(bytes)",
        rows,
        "rows",
        REPEAT,
        vec![
            ours(json!({ "group_by": ["status"], "select": sums })),
            Side::new("HashMap", || by_number(&batches, "status")),
        ],
    );
    compare(
        "5 million rows by a number of a million values: count, sum(bytes)",
        rows,
        "rows",
        REPEAT,
        vec![
            ours(json!({ "group_by": ["user"], "select": sums })),
            Side::new("HashMap", || by_number(&batches, "user")),
        ],
    );
    for (title, key) in [("host", "host"), ("host, a dictionary", "host_dictionary")] {
        compare(
            &format!("5 million rows by {title}: count, sum(bytes)"),
            rows,
            "rows",
            REPEAT,
            vec![ours(json!({ "group_by": [key], "select": sums }))],
        );
    }
}

/// Lines of an access log: 1000 hosts, 8 statuses, a million users.
#[expect(clippy::expect_used, reason = "a benchmark that does not run must not print figures")]
fn batches() -> Vec<RecordBatch> {
    let mut seed = 42_u64;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    let statuses = [200, 200, 200, 304, 301, 404, 403, 500, 502, 503];
    let batch = |_| {
        let draws: Vec<u64> = (0..ROWS).map(|_| random()).collect();
        let host: StringArray =
            draws.iter().map(|x| Some(format!("host-{:04}.example.org", x % 1000))).collect();
        let dictionary: DictionaryArray<Int32Type> = host.iter().collect();
        let number = |of: fn(u64) -> i64| -> ArrayRef {
            Arc::new(Int64Array::from_iter_values(draws.iter().map(|x| of(*x))))
        };
        let latency = draws.iter().map(|x| (x >> 20 & 0xffff) as f64 / 97.0);
        RecordBatch::try_from_iter([
            ("host", Arc::new(host) as ArrayRef),
            ("host_dictionary", Arc::new(dictionary)),
            (
                "status",
                Arc::new(Int64Array::from_iter_values(
                    draws.iter().map(|x| statuses[(x >> 12) as usize % statuses.len()]),
                )),
            ),
            ("user", number(|x| (x >> 16) as i64 % 1_000_000)),
            ("bytes", number(|x| (x >> 32) as i64 % 100_000)),
            ("latency", Arc::new(Float64Array::from_iter_values(latency))),
        ])
        .expect("columns of one length")
    };
    (0..BATCHES).map(batch).collect()
}

struct Count(usize);

impl Output for Count {
    fn emit(&mut self, batch: RecordBatch) -> Result<()> {
        self.0 += batch.num_rows();
        Ok(())
    }

    fn reject(&mut self, rows: RecordBatch, _: &str) -> Result<()> {
        self.0 += rows.num_rows();
        Ok(())
    }
}

/// One worker, called as the runner calls it.
#[expect(clippy::expect_used, reason = "a benchmark that does not run must not print figures")]
fn aggregate(options: &Value, batches: &[RecordBatch]) -> usize {
    let registry = built_in();
    let kind = registry.get("aggregate").expect("a built-in kind");
    let input = batches[0].schema();
    let planned = kind.plan(options, Some(&input)).expect("a plan");
    let context = BuildContext::new("groups", Arc::new(SystemClock::start()))
        .with_schemas(input, planned.output);
    let Stage::Transform(mut stage) = kind.build(options, context).expect("a stage") else {
        return 0;
    };
    let mut out = Count(0);
    for batch in batches {
        stage.process(batch.clone(), &mut out).expect("rows");
    }
    stage.finish(&mut out).expect("groups");
    while stage.holding() {
        stage.wake(&mut out).expect("groups");
    }
    out.0
}

fn by_number(batches: &[RecordBatch], key: &str) {
    let mut groups: HashMap<i64, (i64, i64)> = HashMap::new();
    for batch in batches {
        let keys = batch[key].as_primitive::<Int64Type>().values();
        let bytes = batch["bytes"].as_primitive::<Int64Type>().values();
        for (key, bytes) in keys.iter().zip(bytes) {
            let group = groups.entry(*key).or_default();
            group.0 += 1;
            group.1 += bytes;
        }
    }
    std::hint::black_box(groups);
}

fn by_host_and_status(batches: &[RecordBatch]) {
    let mut groups: HashMap<(String, i64), (i64, i64)> = HashMap::new();
    for batch in batches {
        let hosts = batch["host"].as_string::<i32>();
        let statuses = batch["status"].as_primitive::<Int64Type>().values();
        let bytes = batch["bytes"].as_primitive::<Int64Type>().values();
        std::hint::black_box(batch["latency"].as_primitive::<Float64Type>());
        for ((host, status), bytes) in hosts.iter().zip(statuses).zip(bytes) {
            let key = (host.unwrap_or_default().to_owned(), *status);
            let group = groups.entry(key).or_default();
            group.0 += 1;
            group.1 += bytes;
        }
    }
    std::hint::black_box(groups);
}
