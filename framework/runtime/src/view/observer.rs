//! Reads the counters of a run into views.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use gristmill_config::{Distribution, Mode, Plan};
use gristmill_stage::Clock;

use super::history::{Counts, Sample, Samples, between};
use super::{
    ChildView, Description, EdgeView, Flow, History, Limit, ProgramView, RejectedView, RunView,
    StageView, State, Times, WorkerView, limit,
};
use crate::control::Control;
use crate::latest::Latest;
use crate::meter::{Amount, Meter, TimeSplit};
use crate::process::{Program, Vitals};
use crate::run::Board;
use crate::status::StageStatus;

/// Looks at a run.
pub(crate) struct Observer {
    board: Arc<Board>,
    control: Arc<Control>,
    latest: Latest,
    clock: Arc<dyn Clock>,
    description: Description,
    samples: Mutex<Samples>,
}

impl Observer {
    pub(crate) fn new(
        board: Arc<Board>,
        control: Arc<Control>,
        latest: Latest,
        clock: Arc<dyn Clock>,
        description: Description,
    ) -> Self {
        let samples = Mutex::default();
        Self { board, control, latest, clock, description, samples }
    }

    /// What the run was told for those who look at it.
    pub(crate) fn description(&self) -> &Description {
        &self.description
    }

    fn samples(&self) -> MutexGuard<'_, Samples> {
        self.samples.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn plan(&self) -> &Plan {
        &self.board.plan
    }

    /// Keeps what the counters say, if the last time was long enough ago.
    pub(crate) fn sample(&self) {
        let now = self.clock.now();
        if self.samples().is_due(now) {
            let sample = self.read(now);
            self.samples().keep(sample);
        }
    }

    fn read(&self, at: Duration) -> Sample {
        let workers = self
            .board
            .meters
            .iter()
            .map(|workers| workers.iter().map(|meter| counts(meter)).collect());
        let edges = (0..self.plan().edges.len()).map(|edge| {
            let queue = self.board.queue(edge);
            let queues = self.plan().queues(edge) as f64;
            let rows = queue.level.rows as f64 / (queue.bound.rows as f64 * queues).max(1.0);
            let bytes = queue.level.bytes as f64 / (queue.bound.bytes as f64 * queues).max(1.0);
            (queue.level.rows_in, rows.max(bytes).min(1.0))
        });
        let (workers, edges) = (workers.collect(), edges.collect());
        Sample { at, workers, edges, cpu: Program::of_this().cpu }
    }

    /// What happened in the last minutes.
    pub(crate) fn history(&self) -> History {
        self.samples().history(self.plan().stages.len(), self.plan().edges.len())
    }

    /// The run as it is now.
    pub(crate) fn view(&self) -> RunView {
        let now = self.read(self.clock.now());
        let samples = self.samples();
        let window: Vec<&Sample> = samples.window(now.at).collect();
        let start = Sample {
            at: Duration::ZERO,
            workers: now.workers.iter().map(|w| vec![Counts::default(); w.len()]).collect(),
            edges: vec![(0, 0.0); now.edges.len()],
            cpu: Duration::ZERO,
        };
        let then = window.first().copied().unwrap_or(&start);
        let statuses = self.board.status().into_iter().enumerate();
        let mut stages: Vec<StageView> =
            statuses.map(|(id, status)| self.stage(id, status, then, &now)).collect();
        let edges = (0..self.plan().edges.len()).map(|id| self.edge(id, &window, then, &now));
        let edges = edges.collect();
        let limit: Limit = limit::find(&mut stages);
        let program = program(then, &now);
        RunView {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pipeline: self.plan().name.clone(),
            at: self
                .clock
                .wall()
                .duration_since(SystemTime::UNIX_EPOCH)
                .map_or(0.0, |t| t.as_secs_f64()),
            elapsed: now.at.as_secs_f64(),
            window: now.at.saturating_sub(then.at).as_secs_f64(),
            stopping: self.control.is_stopping(),
            program,
            stages,
            edges,
            rejected: RejectedView {
                rows: self.latest.count(),
                path: self.plan().rejected.path.display().to_string(),
                samples: self.latest.samples(),
            },
            limit,
        }
    }

    fn stage(&self, id: usize, status: StageStatus, then: &Sample, now: &Sample) -> StageView {
        let plan = &self.plan().stages[id];
        let workers = self.board.meters[id].iter().enumerate().map(|(at, meter)| {
            let (before, after) = (then.workers[id][at], now.workers[id][at]);
            WorkerView {
                recent: between(then, now, before, after),
                rows_in: after.taken.rows,
                rows_out: after.sent.rows,
                child: meter.vitals().map(child),
            }
        });
        let sum = now.stage(id);
        StageView {
            role: plan.role.name().to_owned(),
            mode: plan.mode.name().to_owned(),
            pool: (plan.mode == Mode::Pooled && !plan.blocks)
                .then(|| self.plan().pools[plan.pool].name.clone()),
            ordered: plan.ordered && plan.workers > 1,
            batch_rows: plan.batch.rows,
            ending: status.ending.name().to_owned(),
            taken: flow(status.taken),
            sent: flow(status.sent),
            rejected: status.rejected,
            errors: status.errors.iter().map(|(kind, n)| (kind.name().to_owned(), *n)).collect(),
            times: times(status.times),
            cpu: Some(sum.cpu.as_secs_f64()),
            call_p50: status.call_p50.as_secs_f64(),
            call_p99: status.call_p99.as_secs_f64(),
            recent: between(then, now, then.stage(id), sum),
            state: State::Mixed,
            workers: workers.collect(),
            name: status.name,
            kind: status.kind,
        }
    }

    fn edge(&self, id: usize, window: &[&Sample], then: &Sample, now: &Sample) -> EdgeView {
        let plan = self.plan();
        let edge = &plan.edges[id];
        let status = self.board.queue(id);
        let queues = plan.queues(id);
        let seconds = now.at.saturating_sub(then.at).as_secs_f64().max(1e-9);
        // The oldest sample is the beginning of the window, and no part of it.
        let fills = window.iter().skip(1).map(|sample| sample.edges[id].1);
        let (count, sum) =
            fills.chain([now.edges[id].1]).fold((0.0, 0.0), |(n, s), f| (n + 1.0, s + f));
        EdgeView {
            from: edge.from,
            output: plan.stages[edge.from].ports.get(edge.port).cloned(),
            to: edge.to,
            distribution: match &edge.distribution {
                Distribution::Shared => "shared".to_owned(),
                Distribution::Hash(columns) => format!("hash({})", columns.join(", ")),
                Distribution::Broadcast => "broadcast".to_owned(),
            },
            queues,
            rows: status.level.rows,
            bytes: status.level.bytes,
            limit_rows: status.bound.rows.saturating_mul(queues),
            limit_bytes: status.bound.bytes.saturating_mul(queues),
            passed: status.level.rows_in,
            recent_rows: now.edges[id].0.saturating_sub(then.edges[id].0) as f64 / seconds,
            recent_fill: sum / count,
        }
    }
}

fn counts(meter: &Meter) -> Counts {
    Counts {
        taken: meter.taken(),
        sent: meter.sent(),
        rejected: meter.rejects().map(|(_, count)| count).sum(),
        times: meter.times(),
        cpu: meter.cpu(),
        children: meter.vitals().map(Vitals::cpu).unwrap_or_default(),
    }
}

fn child(vitals: &Vitals) -> ChildView {
    let sum = vitals.sum();
    ChildView {
        pid: vitals.pid(),
        cpu: sum.cpu.as_secs_f64(),
        memory: sum.memory,
        peak_memory: sum.peak_memory,
        deaths: sum.deaths.iter().map(|(class, n)| (class.name().to_owned(), *n)).collect(),
    }
}

fn program(then: &Sample, now: &Sample) -> ProgramView {
    let used = |sample: &Sample| sample.cpu + sample.children();
    let own = Program::of_this();
    let seconds = now.at.saturating_sub(then.at).as_secs_f64().max(1e-9);
    ProgramView {
        processors: std::thread::available_parallelism().map_or(1, usize::from),
        recent_processors: used(now).saturating_sub(used(then)).as_secs_f64() / seconds,
        cpu: own.cpu.as_secs_f64(),
        memory: own.memory,
    }
}

fn flow(amount: Amount) -> Flow {
    Flow { rows: amount.rows, batches: amount.batches, bytes: amount.bytes }
}

fn times(split: TimeSplit) -> Times {
    let [busy, waiting, blocked] =
        [split.busy, split.waiting, split.blocked].map(|time| time.as_secs_f64());
    Times { busy, waiting, blocked }
}
