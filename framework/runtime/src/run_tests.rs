//! Small random graphs whose workers are polled one at a time in a random order. Whatever the order,
//! every worker comes to its end: none sleeps beside a batch, or waits for room that is there.

use std::fmt::Write;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};

use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use arrow_schema::SchemaRef;
use gristmill_config::{Source as Yaml, Variables, load};
use gristmill_stage::schemars::{self, JsonSchema};
use gristmill_stage::serde::{self, Deserialize};
use gristmill_stage::{
    BuildContext, Output, Planned, Result as StageResult, Role, Stage, StageSpec, Transform,
};
use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::memory::{Collect, Feed};

fn batch(rows: usize) -> RecordBatch {
    let column: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows as i64));
    RecordBatch::try_from_iter([("n", column)]).unwrap()
}

#[derive(Deserialize, JsonSchema)]
#[serde(crate = "serde", deny_unknown_fields)]
#[schemars(crate = "schemars")]
struct NoOptions {}

/// Hands rows on one by one.
struct Single;

impl StageSpec for Single {
    type Options = NoOptions;
    const KIND: &'static str = "single";
    const SUMMARY: &'static str = "Hands rows on one by one.";
    const ROLE: Role = Role::Transform;
    const EXAMPLE: &'static str = "type: single";
    const INPUT: &'static str = "n";
    const OUTPUT: &'static str = "n";
    fn plan(_: &NoOptions, input: Option<&SchemaRef>) -> StageResult<Planned> {
        Ok(Planned::emits(input.cloned().unwrap()))
    }
    fn build(_: NoOptions, _: BuildContext) -> StageResult<Stage> {
        Ok(Stage::transform(Held(Vec::new())))
    }
}

struct Held(Vec<RecordBatch>);

impl Transform for Held {
    fn process(&mut self, rows: RecordBatch, _: &mut dyn Output) -> StageResult<()> {
        self.0.extend((0..rows.num_rows()).map(|row| rows.slice(row, 1)));
        Ok(())
    }
    fn ready(&self) -> bool {
        self.0.len() < 5
    }
    fn holding(&self) -> bool {
        !self.0.is_empty()
    }
    fn wake(&mut self, out: &mut dyn Output) -> StageResult<()> {
        self.0.pop().map_or(Ok(()), |rows| out.emit(rows))
    }
    fn wake_at(&self) -> Option<Duration> {
        self.holding().then_some(Duration::ZERO)
    }
}

#[derive(Debug, Clone)]
struct Node {
    from: Vec<Index>,
    workers: usize,
    ordered: bool,
    distribute: &'static str,
    rows: usize,
}

fn node() -> impl Strategy<Value = Node> {
    let from = prop::collection::vec(any::<Index>(), 1..4);
    let distribute = prop_oneof![Just("shared"), Just("hash(n)"), Just("broadcast")];
    (from, 1usize..4, any::<bool>(), distribute, 1usize..12).prop_map(
        |(from, workers, ordered, distribute, rows)| Node {
            from,
            workers,
            ordered,
            distribute,
            rows,
        },
    )
}

/// The YAML of a graph: sources, then nodes that take from any stage before them, then a sink for all.
fn yaml(sources: usize, nodes: &[Node], sink: usize) -> String {
    let mut yaml = "pools: { default: { threads: 1 } }\nstages:\n".to_owned();
    let mut names: Vec<String> = (0..sources).map(|n| format!("s{n}")).collect();
    for name in &names {
        writeln!(yaml, "  - {{ name: {name}, type: feed{name} }}").unwrap();
    }
    for (n, node) in nodes.iter().enumerate() {
        let mut from: Vec<_> = node.from.iter().map(|pick| pick.get(&names).clone()).collect();
        from.sort_unstable();
        from.dedup();
        let Node { workers, ordered, distribute, rows, .. } = node;
        writeln!(
            yaml,
            "  - {{ name: t{n}, type: single, from: [{}], run: {{ workers: {workers}, ordered: {ordered} }}, \
             channel: {{ rows: {rows}, distribute: \"{distribute}\" }} }}",
            from.join(", "),
        )
        .unwrap();
        names.push(format!("t{n}"));
    }
    let from = names.join(", ");
    write!(yaml, "  - {{ name: out, type: collect, from: [{from}], run: {{ workers: {sink} }}, channel: {{ rows: 3 }} }}")
        .unwrap();
    yaml
}

/// Whether a worker was woken since it was last polled.
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

struct Task {
    future: Pin<Box<dyn Future<Output = ()>>>,
    woken: Arc<Woken>,
}

/// Polls whoever was woken, in an order that comes from `seed`. Gives back those that nobody wakes.
fn poll_all(mut tasks: Vec<Task>, mut seed: u64) -> usize {
    loop {
        let woken = tasks.iter().enumerate().filter(|(_, t)| t.woken.0.load(Ordering::SeqCst));
        let woken: Vec<usize> = woken.map(|(n, _)| n).collect();
        if woken.is_empty() {
            return tasks.len();
        }
        // Marsaglia's xorshift.
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        let n = woken[seed as usize % woken.len()];
        let task = &mut tasks[n];
        task.woken.0.store(false, Ordering::SeqCst);
        let waker = Waker::from(task.woken.clone());
        if task.future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
            tasks.swap_remove(n);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]
    #[test]
    fn no_order_of_turns_lets_a_worker_sleep_for_ever(
        sources in prop::collection::vec(prop::collection::vec(1usize..9, 0..6), 1..4),
        nodes in prop::collection::vec(node(), 0..4),
        sink in 1usize..4,
        seed in 1u64..,
    ) {
        let mut registry = Registry::new();
        registry.add(Single).add_kind(Collect::new("collect").kind());
        for (n, rows) in sources.iter().enumerate() {
            let batches = rows.iter().map(|rows| batch(*rows)).collect();
            let feed = Feed::new(format!("feeds{n}"), batch(0).schema(), batches).unwrap();
            registry.add_kind(feed.kind());
        }
        let yaml = yaml(sources.len(), &nodes, sink);
        let plan = load(&Yaml::new("turns.yaml", yaml.as_str()), &Variables::new(), &registry);
        let plan = plan.map_err(|problems| TestCaseError::fail(problems.render(false)))?;
        let control = Arc::new(Control::default());
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
        let pools: Vec<_> = plan.pools.iter().map(|pool| Pool::start(pool).unwrap()).collect();
        let (letters, writer) =
            letters::start(&plan.rejected, plan.secrets.clone(), clock.clone(), control.clone())
                .unwrap();
        let queues = Queues::new(&plan);
        let taps: Vec<Arc<Tap>> = plan.stages.iter().map(|_| Arc::default()).collect();
        let shared = Shared {
            plan: &plan,
            registry: &registry,
            queues: &queues,
            taps: &taps,
            pools: &pools,
            clock,
            origins: Arc::default(),
            control: control.clone(),
            letters,
            worker: None,
            log: &BTreeMap::new(),
            tracing: None,
        };
        let workers = build_all(&shared).unwrap().into_iter().flatten();
        let tasks = workers.map(|built| Task {
            future: Box::pin(built.worker.run()),
            woken: Arc::new(Woken(AtomicBool::new(true))),
        });
        prop_assert_eq!(poll_all(tasks.collect(), seed), 0, "workers that nobody wakes\n{}", yaml);
        prop_assert!(control.failure().is_none(), "{:?}", control.failure());
        for level in queues.edges.iter().flatten().map(|queue| queue.level()) {
            prop_assert_eq!((level.rows, level.rows_in), (0, level.rows_out));
        }
        drop(shared);
        writer.finish(&control).unwrap();
    }
}
