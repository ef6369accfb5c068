//! The same kinds built in and loaded as plugins: what the border costs.
//!
//! `cargo run --release -p gristmill-benchmarks --bin plugins`
//!
//! Batches of five columns go straight into a stage, without a pipeline around it. `limit` hands them on
//! as they are, so what it costs more as a plugin is the border alone; `dedupe` and `mask` do some work.
//! In the end, a hundred million rows through a plugin, and ten thousand of its stages: what they leave in memory.

use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray};
use gristmill_benchmarks::{Side, compare};
use gristmill_loader::{Loader, Wanted, add};
use gristmill_stage::{BuildContext, Kind, Output, Registry, Result, Stage, SystemClock};
use serde_json::{Value, json};

fn main() {
    let mut built_in = Registry::new();
    gristmill_shape::register(&mut built_in);
    built_in.add(mask::Mask);
    let mut loaded = Registry::new();
    for library in ["libgristmill_shape.so", "libmask.so"] {
        if let Err(error) = load(library, &mut loaded) {
            eprintln!("{error}");
            return;
        }
    }
    for (kind, options, rows, batches) in [
        // Many: to plan and to open a stage takes longer in a plugin as well, and is not what is asked.
        ("limit", json!({ "rows": u64::MAX }), 8192, 10_000),
        ("limit", json!({ "rows": u64::MAX }), 64, 10_000),
        ("dedupe", json!({ "by": ["n"] }), 8192, 400),
        ("mask", json!({}), 8192, 400),
    ] {
        let side = |name: &str, registry: &Registry| {
            let kind = registry.get(kind).cloned();
            let options = options.clone();
            Side::new(name, move || {
                if let Err(error) =
                    kind.as_ref().map_or(Ok(()), |kind| run(&**kind, &options, rows, batches))
                {
                    eprintln!("{error}");
                }
            })
        };
        let title = format!("{kind}, {batches} batches of {rows} rows and five columns");
        let sides = vec![side("built in", &built_in), side("as a plugin", &loaded)];
        compare(&title, batches as f64, "batches", 15, sides);
    }
    if let Some(kind) = loaded.get("mask")
        && let Err(error) = memory(&**kind)
    {
        eprintln!("{error}");
    }
}

/// What much work leaves in memory, once some was done.
fn memory(kind: &dyn Kind) -> Result<()> {
    let options = json!({});
    let batches = 100_000_000 / 8192 + 1;
    run(kind, &options, 8192, batches / 10)?;
    let before = resident()?;
    run(kind, &options, 8192, batches)?;
    let rows = resident()?;
    for _ in 0..10_000 {
        run(kind, &options, 64, 1)?;
    }
    let stages = resident()?;
    println!(
        "mask, as a plugin: {before} KiB after 10 million rows, {rows} KiB after 100 million more, {stages} KiB after 10,000 stages more"
    );
    Ok(())
}

/// Memory of this process that is its own, in KiB.
fn resident() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number.and_then(|number| number.parse().ok()).unwrap_or(0))
}

/// Adds the kinds of a library of the workspace.
fn load(name: &str, registry: &mut Registry) -> Result<()> {
    let program = std::env::current_exe()?;
    let folder = program.parent().unwrap_or(Path::new(".")).join("deps");
    let path = format!("./{name}");
    let wanted = Wanted { path: &path, folder: &folder, sha256: None };
    add(registry, Loader::default().open(wanted)?.kinds(None))
}

/// Counts the rows, so that nobody can leave the work out.
struct Counter(usize);

impl Output for Counter {
    fn emit(&mut self, batch: RecordBatch) -> Result<()> {
        self.0 += batch.num_rows();
        Ok(())
    }

    fn reject(&mut self, rows: RecordBatch, _: &str) -> Result<()> {
        self.0 += rows.num_rows();
        Ok(())
    }
}

fn run(kind: &dyn Kind, options: &Value, rows: usize, batches: usize) -> Result<()> {
    let batch = batch(rows)?;
    let planned = kind.plan(options, Some(&batch.schema()))?;
    let context = BuildContext::new("measured", Arc::new(SystemClock::start()))
        .with_schemas(batch.schema(), planned.output);
    let Stage::Transform(mut stage) = kind.build(options, context)? else { return Ok(()) };
    let mut out = Counter(0);
    for _ in 0..batches {
        stage.process(batch.clone(), &mut out)?;
        while stage.holding() || !stage.ready() {
            stage.wake(&mut out)?;
        }
    }
    stage.finish(&mut out)?;
    assert!(out.0 > 0, "nothing came out");
    Ok(())
}

fn batch(rows: usize) -> Result<RecordBatch> {
    let numbers = Int64Array::from_iter_values((0..rows as i64).map(|n| n * 7 % 8191));
    let name: StringArray = (0..rows).map(|n| Some(format!("customer {n}"))).collect();
    let mail: StringArray = (0..rows).map(|n| Some(format!("customer.{n}@shop.example"))).collect();
    let price: Float64Array = (0..rows).map(|n| (n % 9 > 0).then_some(n as f64)).collect();
    let flag: BooleanArray = (0..rows).map(|n| Some(n % 2 == 0)).collect();
    let columns: [(&str, ArrayRef); 5] = [
        ("n", Arc::new(numbers)),
        ("name", Arc::new(name)),
        ("mail", Arc::new(mail)),
        ("price", Arc::new(price)),
        ("flag", Arc::new(flag)),
    ];
    Ok(RecordBatch::try_from_iter(columns)?)
}
