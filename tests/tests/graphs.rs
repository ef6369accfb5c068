//! Random graphs on both executors, with queues from one row up: no edge loses or doubles a row,
//! every rejected row is in the file, and the counts of every stage add up.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a test fails by panicking"
)]

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use arrow_schema::SchemaRef;
use gristmill_config::{Source as Yaml, Variables, load};
use gristmill_runtime::{Collect, Feed, Outcome, Run, RunOptions};
use gristmill_stage::schemars::{self, JsonSchema};
use gristmill_stage::serde::{self, Deserialize};
use gristmill_stage::{
    BuildContext, Clock, Output, Planned, Registry, Result, Role, Stage, StageSpec, Transform,
};
use proptest::prelude::*;

type Rows = BTreeMap<i64, u64>;

fn batch(values: impl IntoIterator<Item = i64>) -> RecordBatch {
    let column: ArrayRef = Arc::new(Int64Array::from_iter_values(values));
    RecordBatch::try_from_iter([("n", column)]).unwrap()
}

fn values(batch: &RecordBatch) -> Vec<i64> {
    batch.column(0).as_primitive::<Int64Type>().values().to_vec()
}

#[derive(Deserialize, JsonSchema)]
#[serde(crate = "serde", deny_unknown_fields)]
#[schemars(crate = "schemars")]
struct SieveOptions {
    modulo: i64,
}

/// Rejects rows that divide by a number, hands on the others.
struct Sieve;

impl StageSpec for Sieve {
    type Options = SieveOptions;
    const KIND: &'static str = "sieve";
    const SUMMARY: &'static str = "Rejects rows that divide by a number.";
    const ROLE: Role = Role::Transform;
    const EXAMPLE: &'static str = "type: sieve\nwith: { modulo: 7 }";
    const INPUT: &'static str = "n";
    const OUTPUT: &'static str = "n";
    fn plan(_: &SieveOptions, input: Option<&SchemaRef>) -> Result<Planned> {
        Ok(Planned::emits(input.cloned().unwrap()))
    }
    fn build(options: SieveOptions, _: BuildContext) -> Result<Stage> {
        Ok(Stage::transform(Sieving(options.modulo)))
    }
}

struct Sieving(i64);

impl Transform for Sieving {
    fn process(&mut self, rows: RecordBatch, out: &mut dyn Output) -> Result<()> {
        let (bad, good): (Vec<_>, Vec<_>) =
            values(&rows).into_iter().partition(|n| n % self.0 == 0);
        out.emit(batch(good))?;
        out.reject(batch(bad), "divides")
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(crate = "serde", deny_unknown_fields)]
#[schemars(crate = "schemars")]
struct NoOptions {}

/// Holds rows as if calls were in flight, and hands them on one by one.
struct Hold;

impl StageSpec for Hold {
    type Options = NoOptions;
    const KIND: &'static str = "hold";
    const SUMMARY: &'static str = "Holds rows for a moment.";
    const ROLE: Role = Role::Transform;
    const EXAMPLE: &'static str = "type: hold";
    const INPUT: &'static str = "n";
    const OUTPUT: &'static str = "n";
    fn plan(_: &NoOptions, input: Option<&SchemaRef>) -> Result<Planned> {
        Ok(Planned::emits(input.cloned().unwrap()))
    }
    fn build(_: NoOptions, context: BuildContext) -> Result<Stage> {
        Ok(Stage::transform(Holding { held: VecDeque::new(), clock: context.clock().clone() }))
    }
}

struct Holding {
    held: VecDeque<(Duration, i64)>,
    clock: Arc<dyn Clock>,
}

impl Transform for Holding {
    fn process(&mut self, rows: RecordBatch, _: &mut dyn Output) -> Result<()> {
        let now = self.clock.now();
        // Every third row comes out later than at once.
        self.held.extend(values(&rows).into_iter().map(|n| {
            (now + if n % 3 == 0 { Duration::from_micros(300) } else { Duration::ZERO }, n)
        }));
        Ok(())
    }
    fn ready(&self) -> bool {
        self.held.len() < 5
    }
    fn holding(&self) -> bool {
        !self.held.is_empty()
    }
    fn wake(&mut self, out: &mut dyn Output) -> Result<()> {
        match self.held.front() {
            Some((due, _)) if *due > self.clock.now() => Ok(()),
            Some(_) => out.emit(batch(self.held.pop_front().map(|(_, n)| n))),
            None => Ok(()),
        }
    }
    fn wake_at(&self) -> Option<Duration> {
        self.held.front().map(|(due, _)| *due)
    }
}

#[derive(Debug, Clone)]
struct Node {
    /// 0: hold, otherwise sieve by this number.
    modulo: i64,
    /// Picks the stages it takes from; at least one.
    from: Vec<proptest::sample::Index>,
    run: RunWords,
    distribute: &'static str,
    rows: usize,
}

#[derive(Debug, Clone)]
struct RunWords {
    mode: &'static str,
    workers: usize,
    ordered: bool,
}

#[derive(Debug, Clone)]
struct Graph {
    /// Batch lengths of each source.
    sources: Vec<Vec<usize>>,
    nodes: Vec<Node>,
    sink: RunWords,
    sink_rows: usize,
}

fn run_words() -> impl Strategy<Value = RunWords> {
    let modes = prop_oneof![Just("threaded"), Just("pooled")];
    (modes, 1usize..4, any::<bool>()).prop_map(|(mode, workers, ordered)| RunWords {
        mode,
        workers,
        ordered,
    })
}

fn node() -> impl Strategy<Value = Node> {
    let distribute = prop_oneof![4 => Just("shared"), 2 => Just("hash(n)"), 1 => Just("broadcast")];
    let from = prop::collection::vec(any::<proptest::sample::Index>(), 1..3);
    let rows = prop_oneof![Just(1usize), Just(2), Just(7), Just(100)];
    let modulo = prop_oneof![Just(0i64), Just(3), Just(7)];
    (modulo, from, run_words(), distribute, rows).prop_map(
        |(modulo, from, run, distribute, rows)| Node { modulo, from, run, distribute, rows },
    )
}

fn graph() -> impl Strategy<Value = Graph> {
    let source = prop::collection::vec(0usize..12, 0..8);
    let sources = prop::collection::vec(source, 1..3);
    (sources, prop::collection::vec(node(), 0..6), run_words(), 1usize..20)
        .prop_map(|(sources, nodes, sink, sink_rows)| Graph { sources, nodes, sink, sink_rows })
}

/// A stage as the test expects it: what it takes, sends and rejects.
struct Expected {
    name: String,
    taken: Rows,
    sent: Rows,
    rejected: u64,
    is_source: bool,
}

fn total(rows: &Rows) -> u64 {
    rows.values().sum()
}

/// The YAML of a graph, and what each of its stages must do. The last stage collects everything that
/// nobody else takes.
fn describe(graph: &Graph, registry: &mut Registry, folder: &Path) -> (String, Vec<Expected>) {
    let mut yaml = format!(
        "pools: {{ default: {{ threads: 2 }} }}\nrejected: {}\nstages:\n",
        folder.join("rejected.jsonl").display()
    );
    let mut stages: Vec<Expected> = Vec::new();
    let mut next = 1;
    for (index, lengths) in graph.sources.iter().enumerate() {
        let mut sent = Rows::new();
        let batches = lengths.iter().map(|&length| {
            let rows = next..next + length as i64;
            next = rows.end;
            sent.extend(rows.clone().map(|n| (n, 1)));
            batch(rows)
        });
        let batches = batches.collect();
        let kind = format!("feed{index}");
        registry.add_kind(Feed::new(&kind, batch([]).schema(), batches).unwrap().kind());
        writeln!(yaml, "  - {{ name: s{index}, type: {kind}, run: {{ workers: {} }} }}", 1 + index)
            .unwrap();
        let name = format!("s{index}");
        stages.push(Expected { name, taken: Rows::new(), sent, rejected: 0, is_source: true });
    }
    let mut open: Vec<bool> = vec![true; stages.len()];
    for (index, node) in graph.nodes.iter().enumerate() {
        let mut from: Vec<usize> = node.from.iter().map(|pick| pick.index(stages.len())).collect();
        from.sort_unstable();
        from.dedup();
        let copies = if node.distribute == "broadcast" { node.run.workers as u64 } else { 1 };
        let mut taken = Rows::new();
        for &stage in &from {
            open[stage] = false;
            for (n, count) in &stages[stage].sent {
                *taken.entry(*n).or_default() += count * copies;
            }
        }
        let passes = |n: i64| node.modulo == 0 || n % node.modulo != 0;
        let sent: Rows = taken.iter().filter(|(n, _)| passes(**n)).map(|(n, c)| (*n, *c)).collect();
        let rejected = total(&taken) - total(&sent);
        let with = match node.modulo {
            0 => "type: hold".to_owned(),
            modulo => format!("type: sieve, with: {{ modulo: {modulo} }}"),
        };
        let names: Vec<_> = from.iter().map(|&stage| stages[stage].name.clone()).collect();
        writeln!(
            yaml,
            "  - {{ name: t{index}, {with}, from: [{}], channel: {{ rows: {}, distribute: \"{}\" }}, \
             run: {{ mode: {}, workers: {}, ordered: {} }} }}",
            names.join(", "),
            node.rows,
            node.distribute,
            node.run.mode,
            node.run.workers,
            node.run.ordered,
        )
        .unwrap();
        let name = format!("t{index}");
        stages.push(Expected { name, taken, sent, rejected, is_source: false });
        open.push(true);
    }
    let mut taken = Rows::new();
    let mut names = Vec::new();
    for (stage, _) in stages.iter().zip(&open).filter(|(_, open)| **open) {
        names.push(stage.name.clone());
        for (n, count) in &stage.sent {
            *taken.entry(*n).or_default() += count;
        }
    }
    writeln!(
        yaml,
        "  - {{ name: out, type: collect, from: [{}], channel: {{ rows: {} }}, \
         run: {{ mode: {}, workers: {} }} }}",
        names.join(", "),
        graph.sink_rows,
        graph.sink.mode,
        graph.sink.workers,
    )
    .unwrap();
    let name = "out".to_owned();
    stages.push(Expected { name, taken, sent: Rows::new(), rejected: 0, is_source: false });
    (yaml, stages)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, max_shrink_iters: 400, ..ProptestConfig::default() })]
    #[test]
    fn no_edge_loses_or_doubles_a_row(graph in graph()) {
        let folder = tempfile::tempdir().unwrap();
        let mut registry = Registry::new();
        registry.add(Sieve).add(Hold);
        let collect = Collect::new("collect");
        registry.add_kind(collect.kind());
        let (yaml, expected) = describe(&graph, &mut registry, folder.path());
        let plan = load(&Yaml::new("graph.yaml", yaml.as_str()), &Variables::new(), &registry);
        let plan = plan.map_err(|problems| TestCaseError::fail(problems.render(false)))?;
        let report = Run::start(plan, &registry, RunOptions::default()).unwrap().wait();
        prop_assert!(matches!(report.outcome, Outcome::Done), "{:?}\n{yaml}", report.outcome);

        let mut collected = Rows::new();
        for n in collect.take().iter().flat_map(values) {
            *collected.entry(n).or_default() += 1;
        }
        prop_assert_eq!(&collected, &expected.last().unwrap().taken, "{}", yaml);

        let mut rejected = BTreeMap::<String, u64>::new();
        let letters = std::fs::read_to_string(folder.path().join("rejected.jsonl"));
        for line in letters.unwrap_or_default().lines() {
            let letter: serde_json::Value = serde_json::from_str(line).unwrap();
            *rejected.entry(letter["stage"].as_str().unwrap().to_owned()).or_default() += 1;
            prop_assert!(letter["row"]["n"].is_i64());
        }
        for stage in &expected {
            let status = report.stages.iter().find(|status| status.name == stage.name).unwrap();
            prop_assert_eq!(status.taken.rows, total(&stage.taken), "{} took\n{}", stage.name, yaml);
            prop_assert_eq!(status.sent.rows, total(&stage.sent), "{} sent\n{}", stage.name, yaml);
            prop_assert_eq!(status.rejected, stage.rejected, "{} rejected\n{}", stage.name, yaml);
            let in_file = rejected.get(&stage.name).copied().unwrap_or_default();
            prop_assert_eq!(in_file, stage.rejected, "letters of {}\n{}", stage.name, yaml);
            prop_assert_eq!(status.queues.is_empty(), stage.is_source);
            for queue in &status.queues {
                prop_assert_eq!(queue.level.rows, 0);
                prop_assert_eq!(queue.level.rows_in, queue.level.rows_out);
            }
        }
    }

    /// Whatever several workers do, `ordered: true` hands rows on in the order they came.
    #[test]
    fn order_is_kept_over_several_workers(
        lengths in prop::collection::vec(1usize..9, 1..30),
        workers in 2usize..5,
        kind in prop_oneof![Just("hold"), Just("sieve, with: { modulo: 3 }")],
        mode in prop_oneof![Just("threaded"), Just("pooled")],
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut registry = Registry::new();
        registry.add(Sieve).add(Hold);
        let collect = Collect::new("collect");
        registry.add_kind(collect.kind());
        let mut next = 1;
        let batches = lengths.iter().map(|&length| {
            next += length as i64;
            batch(next - length as i64..next)
        });
        registry.add_kind(Feed::new("feed", batch([]).schema(), batches.collect()).unwrap().kind());
        let yaml = format!(
            "rejected: {}\nstages:\n  - type: feed\n  - {{ type: {kind}, channel: {{ rows: 20 }}, \
             run: {{ mode: {mode}, workers: {workers}, ordered: true }} }}\n  - type: collect\n",
            folder.path().join("rejected.jsonl").display(),
        );
        let plan = load(&Yaml::new("order.yaml", yaml.as_str()), &Variables::new(), &registry);
        let plan = plan.map_err(|problems| TestCaseError::fail(problems.render(false)))?;
        let report = Run::start(plan, &registry, RunOptions::default()).unwrap().wait();
        prop_assert!(matches!(report.outcome, Outcome::Done));
        let rows: Vec<i64> = collect.take().iter().flat_map(values).collect();
        let expected: Vec<i64> = (1..next).filter(|n| kind == "hold" || n % 3 != 0).collect();
        prop_assert_eq!(rows, expected);
    }
}
