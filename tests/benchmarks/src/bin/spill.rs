//! Groups of which most are on disk: 50 million keys, each in two rows far apart, and how much memory
//! that takes. Fails if a group is missing or wrong.
//!
//! `cargo run --release -p gristmill-benchmarks --bin spill [KEYS [MEMORY]]`

use std::sync::Arc;
use std::time::Instant;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use gristmill_benchmarks::built_in;
use gristmill_stage::{BuildContext, Error, Output, Result, Stage, SystemClock};
use serde_json::json;

const ROWS: u64 = 8192;

/// Odd, so that products with it are all different.
const SCATTER: u64 = 0x9e37_79b9_7f4a_7c15;

#[expect(clippy::expect_used, reason = "a benchmark that does not run must not print figures")]
#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn main() {
    let mut arguments = std::env::args().skip(1);
    let keys: u64 =
        arguments.next().map_or(50_000_000, |keys| keys.parse().expect("a number of keys"));
    let memory = arguments.next().unwrap_or_else(|| "256MiB".to_owned());
    let registry = built_in();
    let kind = registry.get("aggregate").expect("a built-in kind");
    let options = json!({
        "group_by": ["key"],
        "select": { "n": "count(*)", "sum": "sum(value)" },
        "memory": memory,
    });
    let input = batch(0, 0).schema();
    let planned = kind.plan(&options, Some(&input)).expect("a plan");
    let context = BuildContext::new("groups", Arc::new(SystemClock::start()))
        .with_schemas(input, planned.output);
    let Stage::Transform(mut stage) = kind.build(&options, context).expect("a stage") else {
        return;
    };
    let before = peak();
    let start = Instant::now();
    let mut out = Checked::default();
    // The second time from the other end.
    let starts = || (0..keys.div_ceil(ROWS)).map(|number| number * ROWS);
    for from in starts().chain(starts().rev()) {
        stage.process(batch(from, ROWS.min(keys - from)), &mut out).expect("rows");
    }
    let taken = start.elapsed();
    stage.finish(&mut out).expect("groups");
    while stage.holding() {
        stage.wake(&mut out).expect("groups");
    }
    let all = start.elapsed();
    assert!(out.groups == keys && out.keys == (0..keys).fold(0, |all, key| all ^ scattered(key)));
    let rate = |what: u64, seconds: f64| what as f64 / seconds / 1e6;
    println!("{keys} keys in {} rows, `memory: {memory}`", 2 * keys);
    println!(
        "taken in {:.1} s ({:.1}M rows/s), put together in {:.1} s ({:.1}M groups/s)",
        taken.as_secs_f64(),
        rate(2 * keys, taken.as_secs_f64()),
        (all - taken).as_secs_f64(),
        rate(keys, (all - taken).as_secs_f64()),
    );
    println!("peak {:.0} MiB, before the first row {:.0} MiB", peak(), before);
}

fn scattered(number: u64) -> i64 {
    number.wrapping_mul(SCATTER) as i64
}

#[expect(clippy::expect_used, reason = "a benchmark that does not run must not print figures")]
fn batch(from: u64, rows: u64) -> RecordBatch {
    let numbers = from..from + rows;
    let keys = Int64Array::from_iter_values(numbers.clone().map(scattered));
    let values = Int64Array::from_iter_values(numbers.map(|number| number as i64));
    RecordBatch::try_from_iter([("key", Arc::new(keys) as ArrayRef), ("value", Arc::new(values))])
        .expect("columns of one length")
}

/// Looks whether each group is right.
#[derive(Default)]
struct Checked {
    groups: u64,
    keys: i64,
}

impl Output for Checked {
    fn emit(&mut self, batch: RecordBatch) -> Result<()> {
        let column = |name| batch[name].as_primitive::<Int64Type>().values();
        let groups = column("key").iter().zip(column("n").iter().zip(column("sum")));
        for (key, (n, sum)) in groups {
            if *n != 2 || scattered(*sum as u64 / 2) != *key {
                return Err(Error::data(format!("key {key} has {n} rows of sum {sum}")));
            }
            self.keys ^= key;
        }
        self.groups += batch.num_rows() as u64;
        Ok(())
    }

    fn reject(&mut self, _: RecordBatch, reason: &str) -> Result<()> {
        Err(Error::data(reason))
    }
}

/// The most resident memory of this process so far, in MiB.
fn peak() -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kib.unwrap_or(f64::NAN) / 1024.0
}
