//! Plans cut to what is measured.

use std::path::Path;

use arrow_schema::{Schema, SchemaRef};
use gristmill_config::{Bound, Distribution, EdgePlan, Mode, Plan, StageId, StagePlan};
use gristmill_stage::Role;
use serde_json::{Value, json};

use super::sample::{CAP, FEED, RECORD};

/// What takes all rows and keeps none.
const DISCARD: &str = "discard";

/// Puts a kind of the benchmark in the place of a stage.
fn replace(stage: &mut StagePlan, kind: &str, options: Value) {
    kind.clone_into(&mut stage.kind);
    stage.options = options;
    (stage.mode, stage.workers, stage.scales) = (Mode::Pooled, 1, false);
    (stage.holds, stage.blocks) = (0, false);
    stage.program = None;
    stage.writes.clear();
    stage.hints.clear();
    stage.notes.clear();
}

/// Sinks take their rows and do nothing with them.
pub fn mute(plan: &mut Plan) {
    for stage in plan.stages.iter_mut().filter(|stage| stage.role == Role::Sink) {
        replace(stage, DISCARD, Value::Null);
    }
}

/// Lets only so many rows out of each source. A stage behind it does that: it works in every mode,
/// and the source is the one that the user runs.
pub fn cap(plan: &mut Plan, rows: u64) {
    let mut stages: Vec<StagePlan> = Vec::with_capacity(plan.stages.len() + 1);
    // Where each stage comes to stand, and which stage its rows come from.
    let (mut places, mut feeds) = (Vec::new(), Vec::new());
    let mut new_edges = Vec::new();
    for stage in std::mem::take(&mut plan.stages) {
        let id = stages.len();
        places.push(id);
        stages.push(stage);
        let Some(source) = stages.last_mut().filter(|stage| is_capped(stage)) else {
            feeds.push(id);
            continue;
        };
        let edge = plan.edges.len() + new_edges.len();
        let mut after = source.clone();
        after.name = format!("{} (capped)", source.name);
        // So many rows of the source, and not so many that are of use.
        source.hints.clear();
        after.role = Role::Transform;
        after.input = source.output.clone();
        after.inputs = vec![edge];
        replace(&mut after, CAP, json!({ "rows": rows }));
        let bound = source.outputs.first().and_then(|&out| plan.edges.get(out));
        let bound = bound.map_or(Bound { rows: 65536, bytes: 64 << 20 }, |edge| edge.bound);
        source.outputs = vec![edge];
        let (schema, distribution) = (source.output.clone(), Distribution::Shared);
        new_edges.push(EdgePlan { from: id, port: 0, to: id + 1, schema, bound, distribution });
        feeds.push(id + 1);
        stages.push(after);
    }
    for edge in &mut plan.edges {
        (edge.from, edge.to) = (feeds[edge.from], places[edge.to]);
    }
    plan.edges.extend(new_edges);
    plan.stages = stages;
}

/// Of a source with several outputs, each would need a cap of its own.
fn is_capped(stage: &StagePlan) -> bool {
    stage.role == Role::Source && stage.ports.is_empty()
}

/// Keeps what comes before a stage, and puts a recorder in its place.
pub fn record(plan: &mut Plan, stage: StageId, sample: &Path) {
    let mut keep = vec![false; plan.stages.len()];
    above(plan, stage, &mut keep);
    let target = &mut plan.stages[stage];
    target.role = Role::Sink;
    target.ports.clear();
    target.ordered = false;
    replace(target, RECORD, json!({ "path": sample }));
    for &edge in &target.inputs {
        plan.edges[edge].distribution = Distribution::Shared;
    }
    retain(plan, &keep);
}

/// Marks a stage and all that feed it.
fn above(plan: &Plan, id: StageId, keep: &mut [bool]) {
    let mut open = vec![id];
    while let Some(id) = open.pop() {
        keep[id] = true;
        open.extend(plan.stages[id].inputs.iter().map(|&edge| plan.edges[edge].from));
    }
}

/// Drops all other stages, and the edges that lose an end.
fn retain(plan: &mut Plan, keep: &[bool]) {
    let place = |kept: &[bool], id: usize| kept[..id].iter().filter(|kept| **kept).count();
    let edges: Vec<bool> = plan.edges.iter().map(|edge| keep[edge.from] && keep[edge.to]).collect();
    let mut id = 0..;
    plan.stages.retain(|_| id.next().is_some_and(|id| keep[id]));
    for stage in &mut plan.stages {
        for list in [&mut stage.inputs, &mut stage.outputs] {
            list.retain(|&edge| edges[edge]);
            list.iter_mut().for_each(|edge| *edge = place(&edges, *edge));
        }
    }
    let mut id = 0..;
    plan.edges.retain(|_| id.next().is_some_and(|id| edges[id]));
    for edge in &mut plan.edges {
        (edge.from, edge.to) = (place(keep, edge.from), place(keep, edge.to));
    }
}

/// One stage alone: its input from memory unless it is a source, its output discarded.
pub fn alone(plan: &mut Plan, stage: StageId) {
    let mut target = plan.stages[stage].clone();
    let edge_in = target.inputs.first().map(|&edge| plan.edges[edge].clone());
    let edge_out = target.outputs.first().map(|&edge| plan.edges[edge].clone());
    (target.inputs, target.outputs) = (Vec::new(), Vec::new());
    (plan.stages, plan.edges) = (Vec::new(), Vec::new());
    if let Some(edge) = edge_in {
        let mut feed = beside(&target, Role::Source, FEED, "input");
        feed.output = target.input.clone();
        feed.input = SchemaRef::new(Schema::empty());
        feed.outputs = vec![0];
        target.inputs = vec![0];
        let schema = target.input.clone();
        plan.edges.push(EdgePlan { from: 0, port: 0, to: 1, schema, ..edge });
        plan.stages.push(feed);
    }
    let id = plan.stages.len();
    if let Some(edge) = edge_out {
        let mut rest = beside(&target, Role::Sink, DISCARD, "output");
        rest.input = target.output.clone();
        rest.output = SchemaRef::new(Schema::empty());
        let out = plan.edges.len();
        (target.outputs, rest.inputs) = (vec![out], vec![out]);
        let distribution = Distribution::Shared;
        plan.edges.push(EdgePlan { from: id, to: id + 1, distribution, ..edge });
        plan.stages.extend([target, rest]);
    } else {
        plan.stages.push(target);
    }
}

/// A stage beside the one that is measured.
fn beside(target: &StagePlan, role: Role, kind: &str, name: &str) -> StagePlan {
    let mut stage = target.clone();
    stage.ports.clear();
    stage.role = role;
    stage.name = format!("{} ({name})", target.name);
    stage.ordered = false;
    replace(&mut stage, kind, Value::Null);
    stage
}
