//! `aggregate`: gathers rows into groups and computes aggregates of each.

mod bounded;
mod emissions;
mod first;
mod frequent;
mod groups;
mod keys;
mod memory;
mod merge;
mod partials;
mod plan;
mod quantiles;
mod rest;
mod session_stage;
mod sessions;
mod sketch;
mod slot;
mod spill;
mod split;
mod stage;
mod step;
mod table;
mod told;
mod top_k;
mod whole;
mod window;
mod windowed;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use arrow_schema::SchemaRef;
use gristmill_stage::option::{ByteSize, Time};
use gristmill_stage::{
    BuildContext, Error, Lineage, Planned, Reading, Result, Role, Stage, StageSpec,
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::options::{GroupBy, Named, Select};
use first::FirstStage;
use groups::Groups;
use plan::Prepared;
use session_stage::SessionStage;
use stage::AggregateStage;
use step::Step;
pub(crate) use top_k::ApproxTopK;
use window::Extent;
pub use window::{Late, WindowOptions};
use windowed::WindowedStage;

/// Options of `aggregate`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AggregateOptions {
    /// What the rows are grouped by: a list of columns of the input, or names with an SQL
    /// expression each (`day: date_trunc('day', time)`). Null is a group like any other value, and
    /// so is NaN; -0.0 and 0.0 are one group. Left out, all rows are one group, which is there even
    /// if no row comes. With columns, several workers get the rows dealt out by them; with expressions or
    /// without any, each gathers its own, and a second step puts their groups together.
    #[serde(default)]
    group_by: GroupBy,
    /// The columns to compute for each group: a name and an SQL expression over aggregates each,
    /// such as `count(*)`, `avg(price)`, `sum(a) FILTER (WHERE b > 1) / count(*)`. Outside of an
    /// aggregate function an expression can use the group columns only. A group whose sum of whole
    /// numbers does not fit into 64 bits is rejected.
    #[serde(default)]
    select: Named,
    /// Groups of windows of time, so that results come while the input goes on: those of a window
    /// are emitted when it is closed. Before the other columns there are `window_start` and
    /// `window_end`, which is not part of the window. With several workers, each closes its windows
    /// by the times of its own rows.
    window: Option<WindowOptions>,
    /// For input that goes on without an end: all results so far are emitted each so often (`10s`),
    /// and once more at the end. They are of all rows up to then, not only of those since the last
    /// results; when no row has come since, there are none. Before the other columns there are
    /// `emitted_at`, the time at which they were due, which is a multiple of `every` since 1970-01-01
    /// 00:00 UTC, and `is_final`: true of the results at the end and, with `window`, of those of a
    /// window that is closed, whose `emitted_at` is the time of that. Each worker emits its own groups.
    every: Option<Time>,
    /// The memory that the groups of one worker may take, about; 256MiB when left out. Beyond it they
    /// are put on disk, and put together at the end of the input, batch by batch. A single group must
    /// fit into memory. It does not hold for groups of a
    /// `window`, nor with `every`, nor for all rows as one group.
    memory: Option<ByteSize>,
    /// The folder for groups that do not fit into memory; it is made when it is missing. The temporary
    /// folder of the system (`TMPDIR`, `/tmp`) when left out. The files go when the run ends; if the
    /// whole run is killed by SIGKILL they stay, in a folder `gristmill-aggregate-…`.
    spill: Option<PathBuf>,
    /// The most groups that one worker may have. More end the run with an error. When left out there
    /// is no such bound; with `window` or `every`, where all groups stay in memory, it is 10,000,000.
    #[schemars(range(min = 1))]
    max_groups: Option<u64>,
    #[schemars(skip)]
    step: Option<Step>,
}

/// The kind `aggregate`.
#[derive(Debug, Clone, Copy)]
pub struct Aggregate;

impl StageSpec for Aggregate {
    type Options = AggregateOptions;

    const KIND: &'static str = "aggregate";
    const SUMMARY: &'static str = "Gathers rows into groups and computes SQL aggregates of each.";
    const ROLE: Role = Role::Transform;
    const EXAMPLE: &'static str = "name: prices\ntype: aggregate\nwith:\n  group_by: [category]\n  select:\n    n: count(*)\n    mean: avg(price)\n    p95: approx_percentile_cont(price, 0.95)\n";
    const INPUT: &'static str = "any; the expressions name their columns";
    const OUTPUT: &'static str = "a row per group, when the input is at its end or its window is closed, and as often as `every` says: when it was emitted, the bounds of the window, the columns of `group_by`, then those of `select`, in no promised order of rows";
    const READINGS: &'static [Reading] = told::READINGS;

    fn plan(options: &AggregateOptions, input: Option<&SchemaRef>) -> Result<Planned> {
        let input =
            input.ok_or_else(|| Error::internal("an aggregate was planned without input"))?;
        let rows = match &options.step {
            Some(Step::Second(rows)) => step::rows_of(rows)?,
            _ => Arc::clone(input),
        };
        let prepared = Prepared::new(options, &rows, SystemTime::UNIX_EPOCH)?;
        let keys: Vec<_> = prepared.keys().iter().map(|key| key.name().clone()).collect();
        let memory = prepared.memory.as_ref().map_or(0, |memory| memory.bytes as u64);
        let lineage = Lineage::new().needs(&prepared.columns);
        match &options.step {
            None => {}
            Some(Step::First) => {
                let states = Groups::new(&prepared)?.states(&prepared);
                return Ok(Planned::emits(states).lineage(lineage).holds(memory));
            }
            Some(Step::Second(_)) => {
                let planned = Planned::emits(prepared.output).holds(memory);
                return Ok(match keys.is_empty() {
                    true => planned.single("all rows are one group"),
                    false => planned.keyed(keys),
                });
            }
        }
        let planned = Planned::emits(Arc::clone(&prepared.output)).lineage(lineage).holds(memory);
        let because = match (&options.group_by, &options.window, step::by_order(&prepared)) {
            (Select::Columns(columns), ..) if !columns.is_empty() => {
                return Ok(planned.keyed(columns.iter().cloned()));
            }
            (_, None, Some(name)) => format!("`{name}` goes by the order of all rows"),
            (Select::Named(_), ..) => "its groups are computed by \
                expressions; a `map` before it can compute them as columns, and a `group_by` list of \
                columns can have several workers"
                .to_owned(),
            _ => "without `group_by` all rows are one group".to_owned(),
        };
        let planned = planned.single(because);
        let goes_on = options.window.is_some() || options.every.is_some();
        match !goes_on && step::by_order(&prepared).is_none() {
            true => Ok(planned.in_steps(step::steps(input)?)),
            false => Ok(planned),
        }
    }

    fn build(options: AggregateOptions, context: BuildContext) -> Result<Stage> {
        let rows = match &options.step {
            Some(Step::Second(rows)) => step::rows_of(rows)?,
            _ => Arc::clone(context.input()),
        };
        let prepared = Prepared::new(&options, &rows, context.clock().wall())?;
        Ok(match (prepared.window.clone(), &options.step) {
            (Some(window), _) => match window.extent {
                Extent::Sliding(sliding) => {
                    Stage::transform(WindowedStage::new(prepared, window, sliding, &context)?)
                }
                Extent::Session(gap) => {
                    Stage::transform(SessionStage::new(prepared, window, gap, &context)?)
                }
            },
            (None, Some(Step::First)) => Stage::transform(FirstStage::new(prepared, &context)?),
            (None, step) => {
                Stage::transform(AggregateStage::new(prepared, step.is_some(), &context)?)
            }
        })
    }
}

fn is_empty(group_by: &GroupBy) -> bool {
    match group_by {
        Select::Columns(columns) => columns.is_empty(),
        Select::Named(named) => named.0.is_empty(),
    }
}
