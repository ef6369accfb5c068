//! A stage that several workers cannot do, as two that they can: the first in as many workers as were
//! asked for, and behind it a second that puts together what they have made.

use std::sync::Arc;

use arrow_schema::SchemaRef;
use gristmill_stage::{Error, Kind, Partitioning, Planned, Result, Steps};
use serde_json::Value;

use crate::plan::{Bound, Distribution, EdgePlan, StagePlan};

/// The second of the two.
pub(crate) struct Second {
    options: Value,
    /// What the first emits.
    between: SchemaRef,
    workers: usize,
    distribution: Distribution,
    holds: u64,
}

/// What several workers of a stage, or of its first step, need.
pub(crate) fn needs(planned: &Planned) -> &Partitioning {
    if planned.steps.is_some() { &Partitioning::Any } else { &planned.partitioning }
}

/// Plans both steps of a stage: the options of the first, and the second.
///
/// # Errors
/// What the kind says.
pub(crate) fn divide(
    kind: &dyn Kind,
    options: &Value,
    input: &SchemaRef,
    planned: &Planned,
    workers: usize,
) -> Result<(Value, Second)> {
    let steps = planned.steps.as_ref().ok_or_else(|| Error::internal("there are no two steps"))?;
    let first = Steps::options(options, &steps.first);
    let options = Steps::options(options, &steps.second);
    let between = kind.plan(&first, Some(input))?.output;
    let second = kind.plan(&options, Some(&between))?;
    if second.output != planned.output {
        return Err(Error::internal("in two steps, other columns would come out"));
    }
    let (workers, distribution) = match second.partitioning {
        Partitioning::Any => (workers, Distribution::Shared),
        Partitioning::Keyed(keys) => (workers, Distribution::Hash(keys)),
        Partitioning::Single(_) => (1, Distribution::Shared),
    };
    let second = Second { options, between, workers, distribution, holds: second.holds };
    Ok((first, second))
}

/// Adds the second step behind the stage that was added last, which is the first.
pub(crate) fn add(
    second: Second,
    taken: &[&str],
    bound: Bound,
    stages: &mut Vec<StagePlan>,
    edges: &mut Vec<EdgePlan>,
) {
    let (to, edge) = (stages.len(), edges.len());
    let Some(first) = stages.last_mut() else { return };
    let Second { options, between, workers, distribution, holds } = second;
    let mut name = format!("{}.merge", first.name);
    while taken.contains(&name.as_str()) {
        name.push('\'');
    }
    let then = StagePlan {
        name,
        second: true,
        options,
        workers,
        scales: false,
        input: Arc::clone(&between),
        inputs: vec![edge],
        holds,
        notes: vec![format!("puts together what the workers of `{}` make", first.name)],
        ..first.clone()
    };
    (first.output, first.offered) = (Arc::clone(&between), Arc::clone(&between));
    first.outputs = vec![edge];
    stages.push(then);
    edges.push(EdgePlan { from: to - 1, port: 0, to, schema: between, bound, distribution });
}
