//! What can be read of a run while it goes on.

use std::sync::Arc;

use gristmill_config::{Mode, Plan};

use crate::assembly::Queues;
use crate::edge::Level;
use crate::meter::Meter;
use crate::metrics::readings;
use crate::process::ProcessStatus;
use crate::status::{Ending, QueueStatus, StageStatus, Sum, call_times};
use crate::tap::Tap;
use crate::trace::Told;

/// What can be read of a run while it goes on.
pub(crate) struct Board {
    pub(crate) plan: Arc<Plan>,
    pub(crate) meters: Vec<Vec<Arc<Meter>>>,
    pub(crate) queues: Queues,
    /// Where rows of each stage can be seen.
    pub(crate) taps: Vec<Arc<Tap>>,
    /// How many spans there were, if traces are recorded.
    pub(crate) spans: Option<Arc<Told>>,
}

impl Board {
    pub(crate) fn status(&self) -> Vec<StageStatus> {
        self.plan.stages.iter().enumerate().map(|(id, _)| self.stage(id, true)).collect()
    }

    pub(crate) fn stage(&self, id: usize, calls: bool) -> StageStatus {
        let stage = &self.plan.stages[id];
        let meters = || self.meters[id].iter().map(|meter| &**meter);
        let sum = Sum::of(meters());
        let [call_p50, call_p99] = if calls { call_times(meters()) } else { Default::default() };
        StageStatus {
            name: stage.name.clone(),
            kind: stage.kind.clone(),
            mode: stage.mode,
            workers: stage.workers,
            ending: Ending::of(meters()),
            taken: sum.taken,
            sent: sum.sent,
            rejected: sum.rejects(),
            causes: sum.rejected.into_iter().filter(|(_, count)| *count > 0).collect(),
            errors: sum.errors.into_iter().filter(|(_, count)| *count > 0).collect(),
            times: sum.times,
            cpu: sum.cpu,
            call_p50,
            call_p99,
            process: self.processes(id),
            readings: readings(meters()),
            queues: stage.inputs.iter().map(|&edge| self.queue(edge)).collect(),
        }
    }

    /// The child processes of a stage, if it runs in some.
    pub(crate) fn processes(&self, id: usize) -> Option<ProcessStatus> {
        (self.plan.stages[id].mode == Mode::Process).then(|| {
            let mut sum = ProcessStatus::default();
            let vitals = self.meters[id].iter().filter_map(|meter| meter.vitals());
            vitals.for_each(|vitals| vitals.add_to(&mut sum));
            sum
        })
    }

    /// How full each queue of an edge is.
    pub(crate) fn levels(&self, edge: usize) -> impl Iterator<Item = Level> + '_ {
        self.queues.edges[edge].iter().map(|queue| queue.level())
    }

    pub(crate) fn queue(&self, edge: usize) -> QueueStatus {
        let plan = &self.plan.edges[edge];
        let mut level = Level::default();
        self.levels(edge).for_each(|one| level += one);
        QueueStatus { from: self.plan.stages[plan.from].name.clone(), level, bound: plan.bound }
    }
}
