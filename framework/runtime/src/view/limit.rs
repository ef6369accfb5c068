//! What holds a pipeline up, from the time split of its stages.

use serde::{Deserialize, Serialize};

use super::StageView;

/// A stage whose workers are busy less than this does not limit anything by itself.
const BUSY: f64 = 0.5;
/// A share of the time that is most of it.
const MOST: f64 = 0.5;

/// What the time of a stage says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It holds the others up.
    Limits,
    /// It is at work most of the time.
    Busy,
    /// It has no input most of the time.
    Waiting,
    /// It has no room for its output most of the time.
    Blocked,
    /// None of these.
    Mixed,
    /// All its workers are at their end.
    Complete,
}

/// What holds the others up.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Limit {
    /// Index of the stage, if it is one.
    pub stage: Option<usize>,
    /// How busy it is, or the busiest worker of it.
    pub busy: f64,
}

/// Finds the stage that limits, and tells every stage its state.
pub(super) fn find(stages: &mut [StageView]) -> Limit {
    let busiest = |stage: &StageView| {
        let workers = stage.workers.iter().map(|worker| worker.recent.times.busy);
        workers.fold(stage.recent.times.busy, f64::max)
    };
    for stage in stages.iter_mut() {
        let times = stage.recent.times;
        stage.state = match () {
            () if stage.ending == "complete" => State::Complete,
            () if times.busy >= MOST => State::Busy,
            () if times.waiting >= MOST => State::Waiting,
            () if times.blocked >= MOST => State::Blocked,
            () => State::Mixed,
        };
    }
    let open = stages.iter().enumerate().filter(|(_, stage)| stage.state != State::Complete);
    let busy = open.map(|(id, stage)| (id, busiest(stage)));
    let top = busy.max_by(|a, b| a.1.total_cmp(&b.1)).filter(|(_, busy)| *busy >= BUSY);
    let Some((id, busy)) = top else { return Limit::default() };
    stages[id].state = State::Limits;
    Limit { stage: Some(id), busy }
}
