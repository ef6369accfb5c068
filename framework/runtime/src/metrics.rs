//! The metrics of a run, in the Prometheus text format. The recorder is a value of the run.
//!
//! Counters and gauges are read off the meters when somebody scrapes, so they cost a running stage
//! nothing; only the durations of calls are recorded as they happen.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use gristmill_config::{Plan, StageId};
use metrics::{Key, Label, Level, Metadata, Recorder, Unit};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use crate::meter::CallObserver;
use crate::metric::{
    BATCH_DURATION, BATCHES_IN, BATCHES_OUT, BLOCKED, BUSY, BYTES_IN, BYTES_OUT, DEATHS, ERRORS,
    PROCESS_CPU, PROCESS_MEMORY, PROCESS_PEAK, QUEUE_BYTES, QUEUE_BYTES_LIMIT, QUEUE_ROWS,
    QUEUE_ROWS_LIMIT, REJECTED, ROWS_IN, ROWS_OUT, WAITING, WORKERS,
};
use crate::process::{DeathClass, ProcessStatus};
use crate::run::Board;
use crate::status::Sum;

/// Every metric: name, type, unit, what it says. Names follow the conventions of Prometheus: base
/// units, and `_total` (which the exporter does not add) for what only grows.
const METRICS: &[(&str, Type, Option<Unit>, &str)] = &[
    (ROWS_IN, Type::Counter, None, "Rows that the stage took in."),
    (ROWS_OUT, Type::Counter, None, "Rows that the stage handed on."),
    (BATCHES_IN, Type::Counter, None, "Batches that the stage took in."),
    (BATCHES_OUT, Type::Counter, None, "Batches that the stage handed on."),
    (BYTES_IN, Type::Counter, None, "Bytes of Arrow buffers that the stage took in."),
    (BYTES_OUT, Type::Counter, None, "Bytes of Arrow buffers that the stage handed on."),
    (REJECTED, Type::Counter, None, "Rows that the stage rejected."),
    (ERRORS, Type::Counter, None, "Errors of the stage by kind; an error ends the run."),
    (BUSY, Type::Gauge, None, "Seconds that the stage's workers worked."),
    (WAITING, Type::Gauge, None, "Seconds that the stage's workers waited for input."),
    (BLOCKED, Type::Gauge, None, "Seconds that the stage's workers waited for room downstream."),
    (BATCH_DURATION, Type::Histogram, None, "Seconds that the stage took for a batch."),
    (WORKERS, Type::Gauge, None, "Workers of the stage."),
    (QUEUE_ROWS, Type::Gauge, None, "Rows in the channel in front of the stage."),
    (QUEUE_BYTES, Type::Gauge, None, "Bytes in the channel in front of the stage."),
    (QUEUE_ROWS_LIMIT, Type::Gauge, None, "Rows that the channel in front of the stage can hold."),
    (
        QUEUE_BYTES_LIMIT,
        Type::Gauge,
        None,
        "Bytes that the channel in front of the stage can hold.",
    ),
    (
        DEATHS,
        Type::Counter,
        None,
        "Child processes of the stage that died and were replaced, by cause.",
    ),
    (
        PROCESS_CPU,
        Type::Gauge,
        None,
        "Processor seconds of the stage's child processes, the dead ones included.",
    ),
    (PROCESS_MEMORY, Type::Gauge, None, "Bytes resident in the stage's child processes."),
    (
        PROCESS_PEAK,
        Type::Gauge,
        None,
        "The most bytes that one child process of the stage had resident.",
    ),
];

/// Upper bounds of the duration histogram, in seconds: 10 µs to 10 s, about three to a decade.
const BUCKETS: [f64; 19] = [
    1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5,
    1.0, 2.5, 5.0, 10.0,
];

/// So many samples of a stage are kept at the most.
const TIDY_AFTER: u64 = 1 << 16;

enum Type {
    Counter,
    Gauge,
    Histogram,
}

const METADATA: Metadata<'static> = Metadata::new(module_path!(), Level::INFO, None);

/// The recorder of one run.
pub(crate) struct Metrics {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
}

impl Metrics {
    /// A recorder that knows every metric and has no values yet.
    pub(crate) fn new() -> Self {
        // Fails only for an empty list of bounds; then the durations become a summary.
        let builder = PrometheusBuilder::new()
            .set_buckets(&BUCKETS)
            .unwrap_or_else(|_| PrometheusBuilder::new());
        let recorder = builder.build_recorder();
        for (name, kind, unit, help) in METRICS {
            match kind {
                Type::Counter => recorder.describe_counter((*name).into(), *unit, (*help).into()),
                Type::Gauge => recorder.describe_gauge((*name).into(), *unit, (*help).into()),
                Type::Histogram => {
                    recorder.describe_histogram((*name).into(), *unit, (*help).into());
                }
            }
        }
        let handle = recorder.handle();
        Self { recorder, handle }
    }

    /// Records the duration of calls of a stage.
    pub(crate) fn call_observer(&self, plan: &Plan, stage: StageId) -> CallObserver {
        let key = Key::from_parts(BATCH_DURATION, labels(plan, stage));
        let histogram = self.recorder.register_histogram(&key, &METADATA);
        let (handle, recorded) = (self.handle.clone(), AtomicU64::new(0));
        Box::new(move |took: Duration| {
            histogram.record(took.as_secs_f64());
            // The recorder keeps single samples until somebody scrapes or tidies.
            if recorded.fetch_add(1, Ordering::Relaxed) % TIDY_AFTER == TIDY_AFTER - 1 {
                handle.run_upkeep();
            }
        })
    }

    fn counter(&self, name: &'static str, labels: Vec<Label>, value: u64) {
        let key = Key::from_parts(name, labels);
        self.recorder.register_counter(&key, &METADATA).absolute(value);
    }

    fn gauge(&self, name: &'static str, labels: Vec<Label>, value: f64) {
        let key = Key::from_parts(name, labels);
        self.recorder.register_gauge(&key, &METADATA).set(value);
    }
}

/// All labels of a stage's metrics. Their values come from the pipeline file alone.
fn labels(plan: &Plan, stage: StageId) -> Vec<Label> {
    let stage = &plan.stages[stage];
    vec![
        Label::new("pipeline", plan.name.clone()),
        Label::new("stage", stage.name.clone()),
        Label::new("kind", stage.kind.clone()),
        Label::new("mode", stage.mode.name()),
    ]
}

/// What is scraped.
#[derive(Clone)]
pub(crate) struct Source {
    metrics: Arc<Metrics>,
    board: Arc<Board>,
}

impl Source {
    /// The metrics of what is on the board.
    pub(crate) fn new(metrics: Metrics, board: Arc<Board>) -> Self {
        Self { metrics: Arc::new(metrics), board }
    }

    /// Takes recorded durations into their histograms, so that they do not pile up when nobody
    /// scrapes.
    pub(crate) fn tidy(&self) {
        self.metrics.handle.run_upkeep();
    }

    /// The text of a scrape.
    pub(crate) fn render(&self) -> String {
        let plan = &self.board.plan;
        for stage in 0..plan.stages.len() {
            self.read_stage(plan, stage);
            for &edge in &plan.stages[stage].inputs {
                self.read_queue(plan, edge);
            }
        }
        let mut text = self.metrics.handle.render();
        // The recorder knows counters of whole numbers only, so seconds are set as gauges; they
        // only grow, and Prometheus must know.
        for name in [BUSY, WAITING, BLOCKED, PROCESS_CPU] {
            text = text.replace(&format!("# TYPE {name} gauge"), &format!("# TYPE {name} counter"));
        }
        text
    }

    fn read_stage(&self, plan: &Plan, stage: StageId) {
        let sum = Sum::of(self.board.meters[stage].iter().map(|meter| &**meter));
        let labels = || labels(plan, stage);
        let counters = [
            (ROWS_IN, sum.taken.rows),
            (ROWS_OUT, sum.sent.rows),
            (BATCHES_IN, sum.taken.batches),
            (BATCHES_OUT, sum.sent.batches),
            (BYTES_IN, sum.taken.bytes),
            (BYTES_OUT, sum.sent.bytes),
            (REJECTED, sum.rejected),
        ];
        for (name, value) in counters {
            self.metrics.counter(name, labels(), value);
        }
        for (kind, count) in sum.errors {
            let mut labels = labels();
            labels.push(Label::new("error", kind.name()));
            self.metrics.counter(ERRORS, labels, count);
        }
        let seconds =
            [(BUSY, sum.times.busy), (WAITING, sum.times.waiting), (BLOCKED, sum.times.blocked)];
        for (name, value) in seconds {
            self.metrics.gauge(name, labels(), value.as_secs_f64());
        }
        self.metrics.gauge(WORKERS, labels(), plan.stages[stage].workers as f64);
        if let Some(processes) = self.board.processes(stage) {
            self.read_processes(plan, stage, &processes);
        }
    }

    fn read_processes(&self, plan: &Plan, stage: StageId, processes: &ProcessStatus) {
        let labels = || labels(plan, stage);
        for class in DeathClass::ALL {
            let mut labels = labels();
            labels.push(Label::new("cause", class.name()));
            self.metrics.counter(DEATHS, labels, processes.died_of(class));
        }
        self.metrics.gauge(PROCESS_CPU, labels(), processes.cpu.as_secs_f64());
        self.metrics.gauge(PROCESS_MEMORY, labels(), processes.memory as f64);
        self.metrics.gauge(PROCESS_PEAK, labels(), processes.peak_memory as f64);
    }

    fn read_queue(&self, plan: &Plan, edge: usize) {
        let status = self.board.queue(edge);
        let queues = plan.queues(edge) as f64;
        let gauges = [
            (QUEUE_ROWS, status.level.rows as f64),
            (QUEUE_BYTES, status.level.bytes as f64),
            (QUEUE_ROWS_LIMIT, status.bound.rows as f64 * queues),
            (QUEUE_BYTES_LIMIT, status.bound.bytes as f64 * queues),
        ];
        for (name, value) in gauges {
            let mut labels = labels(plan, plan.edges[edge].to);
            labels.push(Label::new("from", status.from.clone()));
            self.metrics.gauge(name, labels, value);
        }
    }
}
