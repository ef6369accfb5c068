//! source -> +1 -> keep even -> count over int64, in both modes, beside timely dataflow.
//!
//! `cargo run --release -p gristmill-benchmarks --bin numbers`

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use gristmill_benchmarks::{Side, built_in, compare, run};
use gristmill_stage::schemars::{self, JsonSchema};
use gristmill_stage::serde::{self, Deserialize};
use gristmill_stage::{
    BuildContext, Next, Output, Planned, Result, Role, Source, Stage, StageSpec, Transform,
};
use timely::dataflow::operators::Inspect;
use timely::dataflow::operators::vec::{Filter, Map, ToStream};

const ROWS: u64 = 200_000_000;
const BATCH: i64 = 8192;

static COUNTED: AtomicU64 = AtomicU64::new(0);

fn main() {
    let mut registry = built_in();
    registry.add(Numbers).add(PlusOne).add(KeepEven).add(Count);
    let own = |mode: &str| {
        format!(
            "channel: {{ rows: 65536 }}\nstages:\n  \
             - {{ type: numbers, run: {{ mode: {mode} }}, with: {{ count: {ROWS} }} }}\n  \
             - {{ type: plus_one, run: {{ mode: {mode} }} }}\n  \
             - {{ type: keep_even, run: {{ mode: {mode} }} }}\n  \
             - {{ type: count, run: {{ mode: {mode} }} }}\n"
        )
    };
    let sql = |mode: &str| {
        format!(
            "channel: {{ rows: 65536 }}\nstages:\n  \
             - {{ type: generate, run: {{ mode: {mode} }}, with: {{ count: {ROWS} }} }}\n  \
             - {{ type: map, run: {{ mode: {mode} }}, with: {{ set: {{ n: n + 1 }} }} }}\n  \
             - {{ type: filter, run: {{ mode: {mode} }}, with: {{ where: n % 2 = 0 }} }}\n  \
             - {{ type: count, run: {{ mode: {mode} }} }}\n"
        )
    };
    let registry = &registry;
    let gristmill = |name: &str, yaml: String| {
        Side::new(name, move || {
            COUNTED.store(0, Ordering::Relaxed);
            run(&yaml, registry);
            assert_eq!(COUNTED.load(Ordering::Relaxed), ROWS / 2);
        })
    };
    compare(
        "source -> +1 -> keep even -> count, int64",
        ROWS as f64,
        "rows",
        5,
        vec![
            Side::new("timely, 2 workers", || timely(2)),
            Side::new("timely, 1 worker", || timely(1)),
            gristmill("gristmill, threaded", own("threaded")),
            gristmill("gristmill, pooled", own("pooled")),
            gristmill("gristmill, SQL, threaded", sql("threaded")),
            gristmill("gristmill, SQL, pooled", sql("pooled")),
        ],
    );
}

/// The same work as a timely program, each worker with its share of the numbers.
#[expect(clippy::expect_used, reason = "a benchmark that does not run must not print figures")]
fn timely(workers: usize) {
    COUNTED.store(0, Ordering::Relaxed);
    timely::execute(timely::Config::process(workers), move |worker| {
        let (index, peers) = (worker.index() as u64, worker.peers() as u64);
        let share = ROWS / peers;
        worker.dataflow::<u64, _, _>(|scope| {
            (index * share..(index + 1) * share)
                .to_stream(scope)
                .map(|n: u64| n + 1)
                .filter(|n| n % 2 == 0)
                .inspect_core(|event| {
                    if let Ok((_, batch)) = event {
                        COUNTED.fetch_add(batch.len() as u64, Ordering::Relaxed);
                    }
                });
        });
    })
    .expect("timely starts");
    assert_eq!(COUNTED.load(Ordering::Relaxed), ROWS / 2);
}

#[derive(Deserialize, JsonSchema)]
#[serde(crate = "serde", deny_unknown_fields)]
#[schemars(crate = "schemars")]
struct Nothing {}

#[derive(Deserialize, JsonSchema)]
#[serde(crate = "serde", deny_unknown_fields)]
#[schemars(crate = "schemars")]
struct HowMany {
    count: i64,
}

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]))
}

fn batch(values: Int64Array) -> Result<RecordBatch> {
    Ok(RecordBatch::try_new(schema(), vec![Arc::new(values) as ArrayRef])?)
}

struct Numbers;
struct PlusOne;
struct KeepEven;
struct Count;

macro_rules! spec {
    ($name:ident, $kind:literal, $role:ident, $options:ty, $planned:expr, $build:expr) => {
        impl StageSpec for $name {
            type Options = $options;
            const KIND: &'static str = $kind;
            const SUMMARY: &'static str = "a step of the benchmark";
            const ROLE: Role = Role::$role;
            const EXAMPLE: &'static str = concat!("type: ", $kind);
            const INPUT: &'static str = "n";
            const OUTPUT: &'static str = "n";
            fn plan(_: &$options, _: Option<&SchemaRef>) -> Result<Planned> {
                Ok($planned)
            }
            fn build(options: $options, _: BuildContext) -> Result<Stage> {
                Ok(($build)(options))
            }
        }
    };
}

spec!(Numbers, "numbers", Source, HowMany, Planned::emits(schema()), |o: HowMany| Stage::source(
    Range(0, o.count)
));
spec!(PlusOne, "plus_one", Transform, Nothing, Planned::emits(schema()), |_| Stage::transform(
    PlusOne
));
spec!(KeepEven, "keep_even", Transform, Nothing, Planned::emits(schema()), |_| Stage::transform(
    KeepEven
));
spec!(Count, "count", Sink, Nothing, Planned::sink(), |_| Stage::transform(Count));

struct Range(i64, i64);

impl Source for Range {
    fn poll(&mut self, out: &mut dyn Output) -> Result<Next> {
        let end = self.1.min(self.0 + BATCH);
        out.emit(batch(Int64Array::from_iter_values(self.0..end))?)?;
        self.0 = end;
        Ok(if end == self.1 { Next::Done } else { Next::Now })
    }
}

impl Transform for PlusOne {
    fn process(&mut self, rows: RecordBatch, out: &mut dyn Output) -> Result<()> {
        let column = rows.column(0).as_primitive::<Int64Type>().clone();
        drop(rows);
        // In place, as nobody else holds the values.
        let sums = match column.unary_mut(|n| n + 1) {
            Ok(sums) => sums,
            Err(shared) => shared.unary(|n| n + 1),
        };
        out.emit(batch(sums)?)
    }
}

impl Transform for KeepEven {
    fn process(&mut self, rows: RecordBatch, out: &mut dyn Output) -> Result<()> {
        let values = rows.column(0).as_primitive::<Int64Type>().values();
        let mut kept = vec![0; values.len()];
        let mut end = 0;
        for &n in values.iter() {
            // Written always, kept only when even: no branch to guess wrong.
            kept[end] = n;
            end += usize::from(n % 2 == 0);
        }
        kept.truncate(end);
        out.emit(batch(Int64Array::from(kept))?)
    }
}

impl Transform for Count {
    fn process(&mut self, rows: RecordBatch, _: &mut dyn Output) -> Result<()> {
        COUNTED.fetch_add(rows.num_rows() as u64, Ordering::Relaxed);
        Ok(())
    }
}
