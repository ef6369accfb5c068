//! The rules, in the order in which they are asked.

use std::collections::BTreeMap;

use crate::view::PoolView;

use super::look::{Look, is_full};
use super::{ALL, Cause, Limit, MOST, State};

/// A view of less time than this says nothing.
const SHORT: f64 = 0.5;
/// A stage whose busiest worker is busy less than this does not limit anything by itself.
const BUSY: f64 = 0.5;
/// Two stages nearer than this are about as busy; then the queues decide.
const ALIKE: f64 = 0.15;
/// Of processors, so much in use leaves none that could be counted on.
const USED: f64 = 0.75;
/// A channel that is filled less than this has room.
const ROOM: f64 = 0.4;
/// Blocked so long, a stage is held up by something.
const HELD: f64 = 0.4;
/// Batches of fewer rows are small.
const SMALL: f64 = 64.0;
/// A call that takes less time than this, in seconds, is over as soon as it began.
const MOMENT: f64 = 0.001;
/// So many deaths of child processes in the time that a view looks back are no accident.
const DEATHS: f64 = 2.5;

/// What limits the pipeline, without the words.
pub(super) fn diagnose(look: &Look<'_>) -> Limit {
    let view = look.view;
    if look.open().next().is_none() {
        return Limit { cause: Cause::Over, ..Limit::default() };
    }
    if view.window < SHORT {
        return Limit::default();
    }
    let stages = [deaths, held, busiest, crowded, input];
    let found = stages.iter().find_map(|rule| rule(look));
    let mut limit = found.unwrap_or_else(|| nothing(look));
    if let Some(id) = limit.stage {
        limit.busy = look.busiest(id).1;
        limit.starved = if limit.cause.limits() { starved(look, id) } else { Vec::new() };
        limit.evidence.extend(evidence(look, id));
    }
    limit
}

fn because(cause: Cause, stage: usize) -> Limit {
    Limit { stage: Some(stage), cause, ..Limit::default() }
}

/// Child processes that die again and again.
fn deaths(look: &Look<'_>) -> Option<Limit> {
    let died = |id: usize| look.stage(id).recent.deaths * look.view.window;
    let most = look.open().max_by(|a, b| died(*a).total_cmp(&died(*b)))?;
    // A stage that has time to wait for input is not held up by them.
    let waits = look.stage(most).recent.times.waiting >= MOST;
    (died(most) >= DEATHS && !waits).then(|| because(Cause::Deaths, most))
}

/// A stage that is blocked although there is room behind it: it waits for its turn, or for the file
/// of rejected rows.
fn held(look: &Look<'_>) -> Option<Limit> {
    let blocked = |id: usize| look.stage(id).recent.times.blocked;
    let held = look.open().filter(|&id| blocked(id) >= HELD && look.full_behind(id) < ROOM);
    let most = held.max_by(|a, b| blocked(*a).total_cmp(&blocked(*b)))?;
    let stage = look.stage(most);
    if stage.recent.rejected > 0.0 {
        return Some(because(Cause::Rejected, most));
    }
    stage.ordered.then(|| because(Cause::Order, most))
}

/// The busiest stage.
fn busiest(look: &Look<'_>) -> Option<Limit> {
    let busy = |id: usize| look.busiest(id).1;
    let top = look.open().map(busy).fold(0.0, f64::max);
    if top < BUSY {
        return None;
    }
    // Rows pile up before the one that limits, and run short behind it.
    let pressure = |id: usize| {
        let before = if look.stage(id).role == "source" { 0.5 } else { look.full_before(id) };
        before - look.full_behind(id) + busy(id)
    };
    let alike = look.open().filter(|&id| busy(id) >= top - ALIKE && busy(id) >= BUSY);
    let id = alike.max_by(|a, b| pressure(*a).total_cmp(&pressure(*b)))?;
    Some(why(look, id))
}

/// Why a busy stage is busy.
fn why(look: &Look<'_>, id: usize) -> Limit {
    let stage = look.stage(id);
    if let Some(worker) = skewed(look, id) {
        return Limit { worker: Some(worker), ..because(Cause::Skew, id) };
    }
    if is_small(look, id) {
        return because(Cause::Batches, id);
    }
    if look.computing(id) < MOST {
        // On a pool, who waits for a thread in the middle of its work is busy as well.
        let queues = |pool: &PoolView| pool.recent_busy >= USED * pool.threads as f64;
        if let Some(limit) = look.pool(id).filter(|pool| queues(pool)).and(scarce(look, id)) {
            return limit;
        }
        return because(if stage.role == "sink" { Cause::Sink } else { Cause::Outside }, id);
    }
    scarce(look, id).unwrap_or_else(|| because(Cause::Computes, id))
}

/// The one worker that has the rows of all, as a hash deals them out.
fn skewed(look: &Look<'_>, id: usize) -> Option<usize> {
    let workers = look.stage(id).workers.len();
    let hashed = look.inputs(id).any(|edge| edge.distribution.starts_with("hash"));
    if workers < 2 || !hashed {
        return None;
    }
    let (worker, most) = look.busiest(id);
    let all: f64 = look.busy(id).iter().sum();
    let others = (all - most) / (workers - 1) as f64;
    // Each row costs about the same, so rows must say it, too.
    let taken = |worker: usize| look.stage(id).workers[worker].recent.rows_in;
    let rows: f64 = (0..workers).map(taken).sum();
    (others < most / 2.0 && taken(worker) > 1.5 * rows / workers as f64).then_some(worker)
}

/// Whether batches cost more than their rows.
fn is_small(look: &Look<'_>, id: usize) -> bool {
    let stage = look.stage(id);
    let (batches, rows) =
        (stage.recent.batches_in.max(stage.recent.batches_out), look.batch_rows(id));
    // In half of the calls, whoever had the processor meanwhile.
    batches > 0.0 && rows < SMALL && rows > 0.0 && stage.call_p50 < MOMENT && {
        // What is under way beside the calls is no work on batches.
        let busy: f64 = look.busy(id).iter().sum();
        busy / batches < 10.0 * MOMENT
    }
}

/// What there is too little of for a stage: threads of its pool, or processors. The stage that needs
/// most of them is named.
fn scarce(look: &Look<'_>, id: usize) -> Option<Limit> {
    let neediest = |stages: &mut dyn Iterator<Item = usize>| {
        stages.max_by(|a, b| look.wanted(*a).total_cmp(&look.wanted(*b))).unwrap_or(id)
    };
    let pool = look.pool(id).filter(|pool| is_crowded(look, pool));
    if let Some(pool) = pool {
        return Some(because(Cause::Pool, neediest(&mut look.members(pool))));
    }
    is_saturated(look).then(|| because(Cause::Machine, neediest(&mut look.open())))
}

/// Whether the threads of a pool are all at work, and more could be.
fn is_crowded(look: &Look<'_>, pool: &PoolView) -> bool {
    if !is_full(pool) || pool.threads >= look.view.program.processors {
        return false;
    }
    // What the stages of the pool do, or would do if they had a thread.
    let wanted: f64 = look.members(pool).map(|one| look.wanted(one)).sum();
    wanted > pool.threads as f64 * 1.2
}

/// Whether more workers would find no processor.
fn is_saturated(look: &Look<'_>) -> bool {
    let (program, all) = (&look.view.program, look.view.program.processors as f64);
    let used = program.recent_machine.max(program.recent_processors);
    used >= USED * all && look.demand() >= ALL * all
}

/// No stage is busy half of the time, as many share what there is.
fn crowded(look: &Look<'_>) -> Option<Limit> {
    look.open().find_map(|id| scarce(look, id))
}

/// All wait for a source.
fn input(look: &Look<'_>) -> Option<Limit> {
    let sources = look.open().filter(|&id| look.stage(id).role == "source");
    let waiting = sources.filter(|&id| look.stage(id).recent.times.waiting >= MOST);
    let most = waiting.max_by(|a, b| {
        let waiting = |id: usize| look.stage(id).recent.times.waiting;
        waiting(*a).total_cmp(&waiting(*b))
    })?;
    let comes = look.stage(most).recent.rows_out > 0.0;
    Some(because(if comes { Cause::SlowInput } else { Cause::NoInput }, most))
}

fn nothing(look: &Look<'_>) -> Limit {
    let busy = |id: usize| look.busiest(id).1;
    let stage = look.open().max_by(|a, b| busy(*a).total_cmp(&busy(*b)));
    Limit { stage, cause: Cause::Nothing, ..Limit::default() }
}

/// Stages of other branches that wait because what feeds them is blocked by this one.
fn starved(look: &Look<'_>, id: usize) -> Vec<usize> {
    let (above, below) = (look.above(id), look.below(id));
    let blocked = |one: usize| above[one] && look.stage(one).recent.times.blocked >= HELD;
    let mut starved = Vec::new();
    for edge in &look.view.edges {
        let other = edge.to != id && !above[edge.to] && !below[edge.to];
        let waits = look.stage(edge.to).state == State::Waiting;
        if other && waits && blocked(edge.from) && !starved.contains(&edge.to) {
            starved.push(edge.to);
        }
    }
    starved
}

/// The numbers of the stage and those beside it.
fn evidence(look: &Look<'_>, id: usize) -> BTreeMap<String, f64> {
    let (view, stage) = (look.view, look.stage(id));
    let before = look.inputs(id).map(|edge| look.stage(edge.from).recent.times.blocked);
    let behind = look.outputs(id).map(|edge| look.stage(edge.to).recent.times.waiting);
    let mut known = vec![
        ("busy", look.busiest(id).1),
        ("blocked", stage.recent.times.blocked),
        ("waiting", stage.recent.times.waiting),
        ("workers", stage.workers.len() as f64),
        ("computing", look.computing(id)),
        ("run_processors", view.program.recent_processors),
        ("run_processors_wanted", look.demand()),
        ("machine_processors", view.program.recent_machine),
        ("all_processors", view.program.processors as f64),
        ("full_before", look.full_before(id)),
        ("full_behind", look.full_behind(id)),
        ("rows_in_a_batch", look.batch_rows(id)),
        ("blocked_before", before.fold(0.0, f64::max)),
        ("waiting_behind", behind.fold(0.0, f64::max)),
        ("seconds", view.window),
    ];
    known.extend(stage.recent.processors.map(|used| ("processors", used)));
    if stage.recent.deaths > 0.0 {
        known.push(("deaths", stage.recent.deaths * view.window));
    }
    known.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
