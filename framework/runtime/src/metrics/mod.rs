//! The metrics of a run. They are read off the meters when somebody asks, so a scrape that nobody makes
//! costs nothing. Which there are is said here and nowhere else: the pages in text, and what is sent to a
//! collector, are made of the same [`Family`]s.

mod family;
mod text;

use std::sync::Arc;

use gristmill_config::{Plan, StageId};
use gristmill_stage::reading::{Figure, Measure, Series};

use self::family::Families;
pub use self::family::{Exemplar, Family, Labels, Sample, Type, Value};
pub(crate) use self::text::Format;
use crate::board::Board;
use crate::meter::{BOUNDS, Meter};
use crate::metric::{
    BATCH_DURATION, BATCHES_IN, BATCHES_OUT, BLOCKED, BUILD, BUSY, BYTES_IN, BYTES_OUT, CPU,
    DEATHS, ERRORS, OWN_CPU, OWN_FILES, OWN_FILES_LIMIT, OWN_MEMORY, OWN_START, PIPELINE,
    PROCESS_MEMORY, PROCESS_PEAK, QUEUE_BYTES, QUEUE_BYTES_LIMIT, QUEUE_ROWS, QUEUE_ROWS_LIMIT,
    REJECTED, ROWS_IN, ROWS_OUT, SPANS, SPANS_DROPPED, WAITING, WORKERS, of_reading,
};
use crate::process::{DeathClass, ProcessStatus, Program, Vitals};
use crate::status::Sum;

/// Every metric of the framework: name, type, what it says. Names follow the conventions of
/// Prometheus: base units, and `_total` for what only grows.
const METRICS: &[(&str, Type, &str)] = &[
    (BUILD, Type::Gauge, "Always one; its label `version` says which Gristmill runs."),
    (
        PIPELINE,
        Type::Gauge,
        "Always one; its labels say which pipeline runs, and the hash of its file.",
    ),
    (ROWS_IN, Type::Counter, "Rows that the worker took in."),
    (ROWS_OUT, Type::Counter, "Rows that the worker handed on."),
    (BATCHES_IN, Type::Counter, "Batches that the stage took in."),
    (BATCHES_OUT, Type::Counter, "Batches that the stage handed on."),
    (BYTES_IN, Type::Counter, "Bytes of Arrow buffers that the stage took in."),
    (BYTES_OUT, Type::Counter, "Bytes of Arrow buffers that the stage handed on."),
    (REJECTED, Type::Counter, "Rows that the stage rejected, by the class of the reason."),
    (ERRORS, Type::Counter, "Errors of the stage by kind; an error ends the run."),
    (BUSY, Type::Counter, "Seconds that the worker worked."),
    (WAITING, Type::Counter, "Seconds that the worker waited for input."),
    (BLOCKED, Type::Counter, "Seconds that the worker waited for room downstream."),
    (CPU, Type::Counter, "Processor seconds of the worker, its child processes included."),
    (BATCH_DURATION, Type::Histogram, "Seconds that the stage took for a batch."),
    (WORKERS, Type::Gauge, "Workers of the stage."),
    (QUEUE_ROWS, Type::Gauge, "Rows in the channel in front of the stage."),
    (QUEUE_BYTES, Type::Gauge, "Bytes in the channel in front of the stage."),
    (QUEUE_ROWS_LIMIT, Type::Gauge, "Rows that the channel in front of the stage can hold."),
    (QUEUE_BYTES_LIMIT, Type::Gauge, "Bytes that the channel in front of the stage can hold."),
    (DEATHS, Type::Counter, "Child processes of the worker that died and were replaced, by cause."),
    (PROCESS_MEMORY, Type::Gauge, "Bytes resident in the worker's child process."),
    (PROCESS_PEAK, Type::Gauge, "The most bytes that a child process of the worker had resident."),
    (SPANS, Type::Counter, "Spans of traces that were recorded."),
    (SPANS_DROPPED, Type::Counter, "Spans that were recorded and did not get to the collector."),
    (OWN_CPU, Type::Counter, "Processor seconds of the whole program, its child processes apart."),
    (OWN_MEMORY, Type::Gauge, "Bytes resident in the whole program, its child processes apart."),
    (OWN_START, Type::Gauge, "When the program was started, in seconds since 1970."),
    (OWN_FILES, Type::Gauge, "Files that the program has open."),
    (OWN_FILES_LIMIT, Type::Gauge, "Files that it may have open."),
];

/// The metrics of a run.
#[derive(Clone)]
pub struct Metrics {
    board: Arc<Board>,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").field("pipeline", &self.board.plan.name).finish_non_exhaustive()
    }
}

impl Metrics {
    /// The metrics of what is on the board.
    pub(crate) fn new(board: Arc<Board>) -> Self {
        Self { board }
    }

    /// The name of the pipeline.
    pub fn pipeline(&self) -> &str {
        &self.board.plan.name
    }

    /// The text of a scrape.
    pub(crate) fn render(&self, format: Format) -> String {
        format.text(&self.read())
    }

    /// All metrics that there are now, each with its samples.
    pub fn read(&self) -> Vec<Family> {
        let plan = &self.board.plan;
        let mut page = Families::default();
        for (name, kind, help) in METRICS {
            page.declare(name, *kind, help);
        }
        program(&mut page, plan);
        if let Some(spans) = &self.board.spans {
            page.number(SPANS, &Labels::default(), spans.recorded() as f64);
            page.number(SPANS_DROPPED, &Labels::default(), spans.dropped() as f64);
        }
        for stage in 0..plan.stages.len() {
            let labels = labels(plan, stage);
            let meters = &self.board.meters[stage];
            self.stage(&mut page, stage, &labels);
            for (worker, meter) in meters.iter().enumerate() {
                self::worker(&mut page, meter, &labels.clone().with("worker", worker));
            }
            for &edge in &plan.stages[stage].inputs {
                self.queue(&mut page, edge, &labels);
            }
            for series in readings(meters.iter().map(|meter| &**meter)) {
                reading(&mut page, &plan.stages[stage].kind, &series, &labels);
            }
        }
        page.into_all()
    }

    fn stage(&self, page: &mut Families, stage: StageId, labels: &Labels) {
        let meters = &self.board.meters[stage];
        let sum = Sum::of(meters.iter().map(|meter| &**meter));
        for (name, value) in [
            (BATCHES_IN, sum.taken.batches),
            (BATCHES_OUT, sum.sent.batches),
            (BYTES_IN, sum.taken.bytes),
            (BYTES_OUT, sum.sent.bytes),
            (WORKERS, meters.len() as u64),
        ] {
            page.number(name, labels, value as f64);
        }
        for (cause, count) in sum.rejected {
            page.number(REJECTED, &labels.clone().with("reason", cause.name()), count as f64);
        }
        for (kind, count) in sum.errors {
            page.number(ERRORS, &labels.clone().with("error", kind.name()), count as f64);
        }
        if let Some(durations) = sum.durations {
            page.histogram(BATCH_DURATION, labels, &BOUNDS, &durations, sum.exemplars);
        }
    }

    fn queue(&self, page: &mut Families, edge: usize, labels: &Labels) {
        let status = self.board.queue(edge);
        let queues = self.board.plan.queues(edge) as f64;
        let labels = labels.clone().with("from", &status.from);
        for (name, value) in [
            (QUEUE_ROWS, status.level.rows as f64),
            (QUEUE_BYTES, status.level.bytes as f64),
            (QUEUE_ROWS_LIMIT, status.bound.rows as f64 * queues),
            (QUEUE_BYTES_LIMIT, status.bound.bytes as f64 * queues),
        ] {
            page.number(name, &labels, value);
        }
    }
}

/// All labels of a stage's metrics. Their values come from the pipeline file alone.
fn labels(plan: &Plan, stage: StageId) -> Labels {
    let stage = &plan.stages[stage];
    Labels::default()
        .with("pipeline", &plan.name)
        .with("stage", &stage.name)
        .with("kind", &stage.kind)
        .with("mode", stage.mode.name())
}

/// The whole program, under the names that Prometheus has for every program.
fn program(page: &mut Families, plan: &Plan) {
    let none = Labels::default();
    page.number(BUILD, &none.clone().with("version", env!("CARGO_PKG_VERSION")), 1.0);
    let file = none.clone().with("pipeline", &plan.name).with("config_sha256", &plan.sha256);
    page.number(PIPELINE, &file, 1.0);
    let program = Program::of_this();
    for (name, value) in [
        (OWN_CPU, Some(program.cpu.as_secs_f64())),
        (OWN_MEMORY, Some(program.memory as f64)),
        (OWN_START, program.started),
        (OWN_FILES, program.files.map(|files| files as f64)),
        (OWN_FILES_LIMIT, program.files_limit.map(|files| files as f64)),
    ] {
        if let Some(value) = value {
            page.number(name, &none, value);
        }
    }
}

/// What there is for each worker: enough to see that one has more to do than the others, and no more,
/// as each is a series by worker.
fn worker(page: &mut Families, meter: &Meter, labels: &Labels) {
    let times = meter.times();
    for (name, value) in [
        (ROWS_IN, meter.taken().rows as f64),
        (ROWS_OUT, meter.sent().rows as f64),
        (BUSY, times.busy.as_secs_f64()),
        (WAITING, times.waiting.as_secs_f64()),
        (BLOCKED, times.blocked.as_secs_f64()),
        (CPU, meter.cpu().as_secs_f64()),
    ] {
        page.number(name, labels, value);
    }
    if let Some(vitals) = meter.vitals() {
        children(page, vitals, labels);
    }
}

fn children(page: &mut Families, vitals: &Vitals, labels: &Labels) {
    let mut children = ProcessStatus::default();
    vitals.add_to(&mut children);
    for class in DeathClass::ALL {
        let labels = labels.clone().with("cause", class.name());
        page.number(DEATHS, &labels, children.died_of(class) as f64);
    }
    page.number(PROCESS_MEMORY, labels, children.memory as f64);
    page.number(PROCESS_PEAK, labels, children.peak_memory as f64);
}

/// What the workers of a stage tell of their work, together.
pub(crate) fn readings<'a>(meters: impl IntoIterator<Item = &'a Meter>) -> Vec<Series> {
    let mut meters = meters.into_iter();
    let mut sum = meters.next().map(Meter::readings).unwrap_or_default();
    for meter in meters {
        sum.iter_mut().zip(meter.readings()).for_each(|(sum, more)| sum.add(&more.figure));
    }
    sum.retain(Series::is_set);
    sum
}

/// Puts a reading on the page, under the name of its kind.
fn reading(page: &mut Families, kind: &str, series: &Series, labels: &Labels) {
    let Series { reading, value, figure } = series;
    let name = of_reading(kind, reading);
    let shape = match reading.measure {
        Measure::Counter => Type::Counter,
        Measure::Gauge | Measure::Lowest => Type::Gauge,
        Measure::Histogram(_) => Type::Histogram,
    };
    // Two kinds whose names differ in signs alone can come to one name.
    if !page.declare(&name, shape, reading.help) {
        return;
    }
    let labels = match (reading.label, value) {
        (Some((label, _)), Some(value)) => labels.clone().with(label, value),
        _ => labels.clone(),
    };
    match (figure, reading.measure) {
        (Figure::Number(number), _) => page.number(&name, &labels, *number),
        (histogram, Measure::Histogram(bounds)) => {
            // A stage does not know of traces, so none stands for what it has counted.
            page.histogram(&name, &labels, bounds, histogram, Vec::new());
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gristmill_stage::Reading;

    #[test]
    fn no_reading_has_the_name_of_a_metric_of_the_framework() {
        for (kind, name) in [("stage", "workers"), ("queue", "rows"), ("pipeline", "info")] {
            let name = of_reading(kind, &Reading::gauge(name, ""));
            assert!(METRICS.iter().all(|(taken, ..)| *taken != name), "{name}");
        }
    }
}
