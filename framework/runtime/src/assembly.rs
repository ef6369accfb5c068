//! Puts a run together from its plan: queues for the edges, a worker for each instance.

use std::collections::BTreeMap;
use std::sync::Arc;

use event_listener::Event;
use gristmill_config::{Distribution, EdgeId, Mode, Plan, StageId, StagePlan};
use gristmill_stage::{
    BuildContext, Clock, Error, Kind, Origins, Readings, Registry, Result, Role, Stage,
};
use tokio::runtime::Handle;

use crate::bell::Bell;
use crate::control::Control;
use crate::drive::{Driver, guarded};
use crate::edge::{Dealing, EdgeOut, Inlet, Outlet, Queue};
use crate::letters::LetterBox;
use crate::meter::Meter;
use crate::own_runtime::OwnRuntime;
use crate::pool::Pool;
use crate::process::{self, Observed, Vitals, WorkerCommand};
use crate::tap::Tap;
use crate::trace::{Handed, Naming, SpanStage, Tracing, Tracker, Trail};
use crate::turns::Turns;
use crate::worker::Worker;

/// The queues of all edges of a run.
pub struct Queues {
    /// The queues of each edge.
    pub edges: Vec<Vec<Arc<Queue>>>,
    /// For each stage, what its workers listen to: one for all, or one each.
    readable: Vec<Vec<Arc<Event>>>,
}

impl Queues {
    /// Empty queues for every edge of the plan.
    pub fn new(plan: &Plan) -> Self {
        let own = |stage: StageId| {
            let inputs = &plan.stages[stage].inputs;
            inputs.iter().any(|&edge| plan.edges[edge].distribution != Distribution::Shared)
        };
        let readable: Vec<Vec<Arc<Event>>> = (0..plan.stages.len())
            .map(|stage| {
                let listeners = if own(stage) { plan.stages[stage].workers } else { 1 };
                (0..listeners).map(|_| Arc::default()).collect()
            })
            .collect();
        let edges = plan
            .edges
            .iter()
            .enumerate()
            .map(|(id, edge)| {
                let senders = plan.stages[edge.from].workers;
                let queues = plan.queues(id);
                let shared = edge.distribution == Distribution::Shared;
                let takers = if shared { plan.stages[edge.to].workers } else { 1 };
                (0..queues)
                    .map(|queue| {
                        let listeners = &readable[edge.to];
                        let readable = listeners[queue.min(listeners.len() - 1)].clone();
                        Arc::new(Queue::new(edge.bound, senders, takers, readable))
                    })
                    .collect()
            })
            .collect();
        Self { edges, readable }
    }

    fn inlet(&self, plan: &Plan, stage: StageId, instance: usize) -> Option<Inlet> {
        let inputs = &plan.stages[stage].inputs;
        if inputs.is_empty() {
            return None;
        }
        let pick = |edge: &EdgeId| {
            let queues = &self.edges[*edge];
            queues[instance.min(queues.len() - 1)].clone()
        };
        let listeners = &self.readable[stage];
        let readable = listeners[instance.min(listeners.len() - 1)].clone();
        Some(Inlet::new(inputs.iter().map(pick).collect(), readable))
    }

    fn outlet(&self, plan: &Plan, stage: StageId) -> Result<Outlet> {
        let edges = plan.stages[stage]
            .outputs
            .iter()
            .map(|&id| {
                let edge = &plan.edges[id];
                let distribution = Dealing::new(&edge.distribution, &edge.schema)?;
                let (port, queues) = (edge.port, self.edges[id].clone());
                Ok(EdgeOut { port, queues, distribution })
            })
            .collect::<Result<_>>()?;
        Ok(Outlet::new(edges))
    }
}

/// What all workers of a run share.
pub struct Shared<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// The known kinds.
    pub registry: &'a Registry,
    /// The queues.
    pub queues: &'a Queues,
    /// Where rows of each stage can be seen.
    pub(crate) taps: &'a [Arc<Tap>],
    /// The pools, as in the plan.
    pub pools: &'a [Pool],
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Addresses of this run.
    pub origins: Arc<Origins>,
    /// What stops it.
    pub control: Arc<Control>,
    /// Where rejected rows go.
    pub letters: LetterBox,
    /// How to start a child process.
    pub worker: Option<WorkerCommand>,
    /// What child processes are to log, by stage.
    pub log: &'a BTreeMap<String, String>,
    /// Where spans go, if traces are recorded.
    pub tracing: Option<Tracing>,
}

/// A worker ready to start.
pub struct Built {
    /// The worker.
    pub worker: Worker,
    /// The runtime that its thread drives; empty unless it is threaded and its stage asked for one.
    pub runtime: Arc<OwnRuntime>,
}

impl Shared<'_> {
    /// Builds one worker of a stage.
    ///
    /// # Errors
    /// What the stage returns.
    pub fn build(
        &self,
        stage: StageId,
        instance: usize,
        turns: Option<Arc<Turns>>,
    ) -> Result<Built> {
        let plan = &self.plan.stages[stage];
        let kind = self
            .registry
            .get(&plan.kind)
            .ok_or_else(|| Error::internal(format!("kind `{}` is not known", plan.kind)))?;
        kind.readings().iter().try_for_each(|reading| reading.check())?;
        let readings = Arc::new(Readings::new(kind.readings()));
        let bell = Arc::new(Bell::default());
        let runtime = Arc::new(OwnRuntime::default());
        let context = BuildContext::new(plan.name.clone(), self.clock.clone())
            .with_instance(instance, plan.workers)
            .with_schemas(plan.input.clone(), plan.output.clone())
            .with_hints(plan.hints.clone())
            .with_batch(plan.batch)
            .with_ordered(plan.ordered)
            .with_resumable(false)
            .with_waker(bell.clone().into())
            .with_origins(self.origins.clone())
            .with_readings(readings.clone())
            .with_redact({
                let secrets = self.plan.secrets.clone();
                Arc::new(move |text| secrets.redact(text).into_owned())
            })
            .with_runtime(self.runtime(stage, runtime.clone()));
        let remote = plan.mode == Mode::Process;
        let vitals = remote.then(|| Arc::new(Vitals::new(kind.readings())));
        let meter = Arc::new(Meter::new(self.clock.clone(), vitals.clone(), readings));
        let tracker = self.tracker(plan, instance);
        let (built, trail) = match vitals {
            None => (guarded(|| kind.build(&plan.options, context)), Trail::Here(tracker)),
            Some(vitals) => {
                let observed = self.observed(plan, vitals, meter.clone(), tracker);
                let trail = Trail::There(observed.handed.clone());
                (self.remote(plan, &**kind, &context, &runtime, observed), trail)
            }
        };
        runtime.seal();
        let built = built?;
        let source = plan.role == Role::Source;
        if source != matches!(built, Stage::Source(_)) {
            let role = plan.role.name();
            return Err(Error::internal(format!("kind `{}` built no {role}", plan.kind)));
        }
        let sink = plan.role == Role::Sink;
        let worker = Worker {
            stage: plan.name.as_str().into(),
            instance,
            driver: Driver::new(built, plan.input.clone(), plan.output.clone(), sink)
                .with_ports(plan.ports.len()),
            bell,
            inlet: self.queues.inlet(self.plan, stage, instance),
            outlet: self.queues.outlet(self.plan, stage)?,
            sink,
            letters: self.letters.clone(),
            meter,
            tap: self.taps[stage].join(),
            control: self.control.clone(),
            clock: self.clock.clone(),
            turns,
            yields: source || runtime.get().is_some(),
            remote,
            trail,
        };
        Ok(Built { worker, runtime })
    }

    /// The worker's side of a stage in a child process.
    fn remote(
        &self,
        plan: &StagePlan,
        kind: &dyn Kind,
        context: &BuildContext,
        runtime: &OwnRuntime,
        observed: Observed,
    ) -> Result<Stage> {
        let own = || {
            self.worker.clone().ok_or_else(|| {
                let text = "this program has not said how to start its child processes";
                Error::internal(text).help("`RunOptions::worker` says it, or use another `mode`")
            })
        };
        let plugin = plan.program.as_ref().map(|program| WorkerCommand::plugin(&program.argv));
        let command = plugin.map_or_else(own, Ok)?;
        process::build(plan, kind, command, context, &runtime.handle()?, observed)
    }

    /// Who is told what of a child process.
    fn observed(
        &self,
        plan: &StagePlan,
        vitals: Arc<Vitals>,
        meter: Arc<Meter>,
        tracker: Tracker,
    ) -> Observed {
        let log = self.log.get(&plan.name).cloned();
        let measured = Box::new(move |took, trace| meter.called(took, trace));
        Observed { vitals, measured, tracker, handed: Handed::default(), log }
    }

    /// What makes the spans of a worker.
    fn tracker(&self, plan: &StagePlan, worker: usize) -> Tracker {
        let Some(tracing) = self.tracing.clone() else { return Tracker::default() };
        let (name, kind, mode) = (plan.name.clone(), plan.kind.clone(), plan.mode);
        let naming = Naming {
            stage: SpanStage { name, kind, mode, worker },
            source: plan.role == Role::Source,
            clock: self.clock.clone(),
            secrets: self.plan.secrets.clone(),
        };
        Tracker::new(tracing, naming)
    }

    /// Where the async work of a worker runs: for threaded workers on a runtime of its own, which
    /// its thread drives; for pooled ones on the pool's.
    fn runtime(
        &self,
        stage: StageId,
        own: Arc<OwnRuntime>,
    ) -> Arc<dyn Fn() -> Result<Handle> + Send + Sync> {
        let plan = &self.plan.stages[stage];
        match plan.mode {
            Mode::Pooled => {
                let io = self.pools[plan.pool].io().clone();
                Arc::new(move || io.handle())
            }
            Mode::Threaded | Mode::Process => Arc::new(move || own.handle()),
        }
    }
}
