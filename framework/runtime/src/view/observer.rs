//! Reads the counters of a run into views.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use gristmill_config::{Distribution, Mode, Plan, PoolPlan};
use gristmill_stage::Clock;

use super::history::{Counts, EdgeSample, Sample, Samples, between};
use super::{
    ChildView, Description, EdgeView, Flow, History, Limit, PoolView, ProgramView, RejectedView,
    RunView, StageView, State, Times, WorkerView, limit,
};
use crate::board::Board;
use crate::control::Control;
use crate::edge::Level;
use crate::latest::Latest;
use crate::meter::{Amount, Meter, TimeSplit};
use crate::occupied::Occupied;
use crate::process::{Program, Vitals, delayed, machine};
use crate::status::StageStatus;

/// Looks at a run.
pub(crate) struct Observer {
    board: Arc<Board>,
    control: Arc<Control>,
    latest: Latest,
    clock: Arc<dyn Clock>,
    description: Description,
    pools: Vec<Arc<Occupied>>,
    samples: Mutex<Samples>,
}

impl Observer {
    pub(crate) fn new(
        board: Arc<Board>,
        control: Arc<Control>,
        latest: Latest,
        clock: Arc<dyn Clock>,
        description: Description,
        pools: Vec<Arc<Occupied>>,
    ) -> Self {
        let samples = Mutex::default();
        Self { board, control, latest, clock, description, pools, samples }
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
            let bound = self.plan().edges[edge].bound;
            let levels: Vec<Level> = self.board.levels(edge).collect();
            let full = |level: &Level| {
                let rows = level.rows as f64 / bound.rows.max(1) as f64;
                rows.max(level.bytes as f64 / bound.bytes.max(1) as f64).min(1.0)
            };
            EdgeSample {
                rows: levels.iter().map(|level| level.rows_in).sum(),
                fill: levels.iter().map(full).sum::<f64>() / levels.len().max(1) as f64,
                fullest: levels.iter().map(full).fold(0.0, f64::max),
            }
        });
        Sample {
            at,
            workers: workers.collect(),
            edges: edges.collect(),
            pools: self.pools.iter().map(|pool| pool.time(at)).collect(),
            cpu: Program::of_this().cpu,
            delayed: delayed("self").unwrap_or_default(),
            machine: machine().unwrap_or_default(),
        }
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
            edges: vec![EdgeSample::default(); now.edges.len()],
            pools: vec![Duration::ZERO; now.pools.len()],
            cpu: Duration::ZERO,
            delayed: Duration::ZERO,
            machine: now.machine,
        };
        let then = window.first().copied().unwrap_or(&start);
        let statuses = self.board.status().into_iter().enumerate();
        let stages: Vec<StageView> =
            statuses.map(|(id, status)| self.stage(id, status, then, &now)).collect();
        let edges = (0..self.plan().edges.len()).map(|id| self.edge(id, &window, then, &now));
        let edges = edges.collect();
        let program = program(&stages, then, &now);
        let pools = self.pools(then, &now);
        let mut view = RunView {
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
            pools,
            limit: Limit::default(),
        };
        limit::find(&mut view);
        view
    }

    fn pools(&self, then: &Sample, now: &Sample) -> Vec<PoolView> {
        let seconds = now.at.saturating_sub(then.at).as_secs_f64().max(1e-9);
        let pools = self.plan().pools.iter().zip(then.pools.iter().zip(&now.pools));
        let view = |(plan, (then, now)): (&PoolPlan, (&Duration, &Duration))| PoolView {
            name: plan.name.clone(),
            threads: plan.threads,
            recent_busy: now.saturating_sub(*then).as_secs_f64() / seconds,
        };
        pools.map(view).collect()
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
            scales: plan.scales,
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
        let levels = window.iter().skip(1).map(|sample| sample.edges[id]);
        let levels: Vec<EdgeSample> = levels.chain([now.edges[id]]).collect();
        let mean = |of: fn(&EdgeSample) -> f64| {
            levels.iter().map(of).sum::<f64>() / levels.len().max(1) as f64
        };
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
            recent_rows: now.edges[id].rows.saturating_sub(then.edges[id].rows) as f64 / seconds,
            recent_fill: mean(|level| level.fill),
            recent_fullest: mean(|level| level.fullest),
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
        delayed: meter.vitals().map(|vitals| {
            vitals.pid().and_then(|pid| delayed(&pid.to_string())).unwrap_or_default()
        }),
        deaths: meter.vitals().map_or(0, |vitals| vitals.sum().restarts()),
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

fn program(stages: &[StageView], then: &Sample, now: &Sample) -> ProgramView {
    let used = |sample: &Sample| sample.cpu + sample.children();
    let workers = stages.iter().flat_map(|stage| &stage.workers);
    let children_delayed: f64 = workers.filter_map(|worker| worker.recent.delayed).sum();
    let own = Program::of_this();
    let seconds = now.at.saturating_sub(then.at).as_secs_f64().max(1e-9);
    ProgramView {
        processors: std::thread::available_parallelism().map_or(1, usize::from),
        recent_processors: used(now).saturating_sub(used(then)).as_secs_f64() / seconds,
        recent_delayed: now.delayed.saturating_sub(then.delayed).as_secs_f64() / seconds
            + children_delayed,
        recent_machine: now.machine.saturating_sub(then.machine).as_secs_f64() / seconds,
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
