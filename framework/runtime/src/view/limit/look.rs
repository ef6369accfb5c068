//! What the rules measure.

use crate::view::{EdgeView, PoolView, RunView, StageView, WorkerView};

use super::{ALL, State};

/// A channel that is filled more than this has input for all that take from it.
const INPUT: f64 = 0.5;

/// Whether all threads of a pool are at work.
pub(super) fn is_full(pool: &PoolView) -> bool {
    pool.recent_busy >= ALL * pool.threads as f64
}

/// A view, asked questions.
pub(super) struct Look<'a> {
    pub(super) view: &'a RunView,
    /// Processors in use by the program without its children, and for how many more it had work.
    own: [f64; 2],
}

impl<'a> Look<'a> {
    pub(super) fn at(view: &'a RunView) -> Self {
        let workers = view.stages.iter().flat_map(|stage| &stage.workers);
        let children =
            workers.filter(|worker| worker.child.is_some()).fold([0.0; 2], |sum, one| {
                let recent = one.recent;
                [sum[0] + recent.processors.unwrap_or(0.0), sum[1] + recent.delayed.unwrap_or(0.0)]
            });
        let program = &view.program;
        let own = [
            (program.recent_processors - children[0]).max(0.0),
            (program.recent_delayed - children[1]).max(0.0),
        ];
        Self { view, own }
    }

    pub(super) fn stage(&self, id: usize) -> &'a StageView {
        &self.view.stages[id]
    }

    /// The stages that are not at their end.
    pub(super) fn open(&self) -> impl Iterator<Item = usize> + 'a {
        let stages = self.view.stages.iter().enumerate();
        stages.filter(|(_, stage)| stage.state != State::Complete).map(|(id, _)| id)
    }

    /// The channels in front of a stage.
    pub(super) fn inputs(&self, id: usize) -> impl Iterator<Item = &'a EdgeView> {
        self.view.edges.iter().filter(move |edge| edge.to == id)
    }

    /// The channels behind it.
    pub(super) fn outputs(&self, id: usize) -> impl Iterator<Item = &'a EdgeView> {
        self.view.edges.iter().filter(move |edge| edge.from == id)
    }

    /// How full the fullest queue in front of a stage is; nothing is in front of a source.
    pub(super) fn full_before(&self, id: usize) -> f64 {
        self.inputs(id).map(|edge| edge.recent_fullest.max(edge.recent_fill)).fold(0.0, f64::max)
    }

    /// How full the fullest queue behind a stage is.
    pub(super) fn full_behind(&self, id: usize) -> f64 {
        self.outputs(id).map(|edge| edge.recent_fullest.max(edge.recent_fill)).fold(0.0, f64::max)
    }

    /// How busy each worker of a stage is, or would be. Who feeds a child's rows on waits while a source
    /// computes in it, so for these the processor tells. A worker that waits although there is input
    /// waits for a thread of its pool.
    pub(super) fn busy(&self, id: usize) -> Vec<f64> {
        let stage = self.stage(id);
        let source = stage.role == "source";
        let remote = source && stage.mode == "process";
        let full = self.pool(id).is_some_and(is_full);
        // Of a hash, one queue may be full and the others empty.
        let shared = self.inputs(id).all(|edge| edge.distribution == "shared");
        // One that never had the thread waits for it as much as one that had it.
        let begun = stage.workers.iter().any(|worker| worker.recent.times.busy > 0.0);
        let queued = full && !source && shared && begun && self.full_before(id) > INPUT;
        let of = |worker: &WorkerView| {
            let recent = worker.recent;
            let rest = 1.0 - recent.times.blocked;
            match recent.processors.filter(|_| remote) {
                Some(used) => {
                    recent.times.busy.max((used + recent.delayed.unwrap_or(0.0)).min(rest))
                }
                None if queued => rest,
                None => recent.times.busy,
            }
        };
        stage.workers.iter().map(of).collect()
    }

    /// The busiest worker of a stage, and how busy it is.
    pub(super) fn busiest(&self, id: usize) -> (usize, f64) {
        let busy = self.busy(id).into_iter().enumerate();
        busy.max_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or((0, 0.0))
    }

    /// The share of its busy time in which a stage computes or would if there were a processor; the
    /// most that it can be, where its processors are not known.
    pub(super) fn computing(&self, id: usize) -> f64 {
        let stage = self.stage(id);
        let busy: f64 = self.busy(id).iter().sum();
        let [used, delayed] = self.own;
        let wanted = match (stage.recent.processors, stage.recent.delayed) {
            (Some(used), Some(delayed)) => used + delayed,
            // What the program lacked, its stages lacked in the same measure.
            (Some(one), None) => one * (1.0 + delayed / used.max(0.01)),
            (None, _) => used + delayed,
        };
        (wanted * self.queued(id) / busy.max(1e-9)).min(1.0)
    }

    /// The pool that a stage shares with others.
    pub(super) fn pool(&self, id: usize) -> Option<&'a PoolView> {
        let name = self.stage(id).pool.as_ref()?;
        self.view.pools.iter().find(|pool| &pool.name == name)
    }

    /// The stages that share a pool.
    pub(super) fn members<'b>(&'b self, pool: &'b PoolView) -> impl Iterator<Item = usize> + 'b {
        self.open().filter(|&id| self.stage(id).pool.as_ref() == Some(&pool.name))
    }

    /// How many times as much the stages of a full pool would do, if each had a thread as soon as it
    /// has work: busy is also who waits for one in the middle of its work.
    fn queued(&self, id: usize) -> f64 {
        let Some(pool) = self.pool(id).filter(|pool| is_full(pool)) else { return 1.0 };
        let busy: f64 = self.members(pool).map(|one| self.busy(one).iter().sum::<f64>()).sum();
        (busy / pool.threads.max(1) as f64).max(1.0)
    }

    /// How many processors a stage would use if there were enough.
    pub(super) fn wanted(&self, id: usize) -> f64 {
        self.busy(id).iter().sum::<f64>() * self.computing(id)
    }

    /// How many processors the stages would use if there were enough. Each thread that wakes up waits a
    /// little on a machine with other work, so what all of them lacked together says too much.
    pub(super) fn demand(&self) -> f64 {
        self.open().map(|id| self.wanted(id)).sum::<f64>().max(self.view.program.recent_processors)
    }

    /// Rows in a batch that a stage works on.
    pub(super) fn batch_rows(&self, id: usize) -> f64 {
        let recent = self.stage(id).recent;
        let (rows, batches) = match self.stage(id).role.as_str() {
            "source" => (recent.rows_out, recent.batches_out),
            _ => (recent.rows_in, recent.batches_in),
        };
        if batches > 0.0 { rows / batches } else { 0.0 }
    }

    /// All stages that rows of a stage come to.
    pub(super) fn below(&self, id: usize) -> Vec<bool> {
        self.reach(id, |edge| (edge.from, edge.to))
    }

    /// All stages that rows of a stage come from.
    pub(super) fn above(&self, id: usize) -> Vec<bool> {
        self.reach(id, |edge| (edge.to, edge.from))
    }

    fn reach(&self, id: usize, ends: fn(&EdgeView) -> (usize, usize)) -> Vec<bool> {
        let mut seen = vec![false; self.view.stages.len()];
        let mut open = vec![id];
        while let Some(id) = open.pop() {
            for (near, far) in self.view.edges.iter().map(ends) {
                if near == id && !std::mem::replace(&mut seen[far], true) {
                    open.push(far);
                }
            }
        }
        seen
    }
}
