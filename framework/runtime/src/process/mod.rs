//! Stages in child processes.
//!
//! In the run, a worker of such a stage has a [`Remote`] in the place of the stage. It hands batches to
//! a [`ledger`], from which a [`link`] sends them to the child; what the child puts out comes back the
//! same way once the child has committed it. When the child dies, a keeper starts another, which gets
//! the last snapshot and all batches since. In the child, [`serve`] runs the very same loop around the
//! stage as every other executor.
//!
//! What is spoken between the two is `gristmill-wire`.

mod child;
mod command;
mod death;
mod desk;
mod in_step;
mod ledger;
mod link;
mod logged;
mod place;
mod planner;
mod plugin;
mod proc;
mod remote;
mod serve;
mod stderr;
mod vitals;
mod waiting;

use std::sync::Arc;

use gristmill_config::StagePlan;
use gristmill_stage::{BuildContext, Clock, Error, Kind, Redact, Result, Role, Stage};
use gristmill_wire::{BatchSize, Limits, Open};
use tokio::runtime::Handle;

pub use command::WorkerCommand;
pub use death::{DeathClass, how_it_ended};
pub use in_step::in_step;
pub use plugin::{find_program_kind, program_kinds};
pub(crate) use proc::{Program, delayed, machine, thread_cpu};
pub use serve::{LogLines, worker, worker_with};
pub use vitals::ProcessStatus;
pub(crate) use vitals::Vitals;

use child::Spec;
use desk::{Desk, Measured};
use ledger::Ledger;
use remote::Remote;

use crate::trace::{Handed, Tracker};

/// Who is told what of a stage in a child process.
pub(crate) struct Observed {
    pub(crate) vitals: Arc<Vitals>,
    pub(crate) measured: Measured,
    pub(crate) tracker: Tracker,
    /// Where the worker and its stage leave each other the spans of batches.
    pub(crate) handed: Handed,
    /// Which lines of the log are wanted of the child.
    pub(crate) log: Option<String>,
}

/// The stage of a worker whose mode is `process`: starts the child and waits until it has built it.
///
/// # Errors
/// What the stage says while it is built in the child; or no child can be started.
pub(crate) fn build(
    plan: &StagePlan,
    kind: &dyn Kind,
    command: WorkerCommand,
    context: &BuildContext,
    runtime: &Handle,
    observed: Observed,
) -> Result<Stage> {
    let Observed { vitals, measured, tracker, handed, log } = observed;
    // Half of what is kept for a child is what it is given, half is what it puts out.
    let half = plan.kept_bytes() / 2;
    let limits = Limits { credit: half.max(1 << 20), ..Limits::default() };
    let own_name = plan.program.as_ref().map_or(&plan.kind, |program| &program.kind);
    let open = Open {
        options: plan.options.clone(),
        ports: plan.ports.len(),
        log,
        // A program knows its own kinds.
        provider: match plan.program {
            None => kind.provider().map(|provider| provider.data.clone()),
            Some(_) => None,
        },
        ..opening(context, &plan.name, own_name, plan.role)
    };
    let clock: Arc<dyn Clock> = context.clock().clone();
    let name = (plan.name.as_str().into(), context.instance());
    let keep = usize::try_from(half).unwrap_or(usize::MAX);
    // Without the runtime, which would keep itself alive.
    let words = context.clone().with_runtime(Arc::new(|| Err(Error::internal("no runtime here"))));
    let redact: Arc<Redact> = Arc::new(move |text| words.redact(text).into_owned());
    let ledger = Ledger::new(keep).traced_by(tracker, plan.role);
    let desk = Desk::new(ledger, context.waker().clone(), measured, name, redact.clone());
    let spec = Spec {
        command,
        plan: plan.process.clone(),
        open,
        input: plan.input.clone(),
        output: plan.output.clone(),
        limits,
        clock,
        vitals,
        redact,
    };
    let remote = Remote::start(spec, desk, handed, runtime)?;
    Ok(match plan.role {
        Role::Source => Stage::source(remote),
        Role::Transform | Role::Sink => Stage::transform(remote),
    })
}

/// What a child is told to open, but for what is special to the stage.
fn opening(context: &BuildContext, stage: &str, kind: &str, role: Role) -> Open {
    Open {
        stage: stage.to_owned(),
        kind: kind.to_owned(),
        options: serde_json::Value::Null,
        role,
        instance: context.instance(),
        instances: context.instances(),
        ordered: context.ordered(),
        ports: 0,
        batch: BatchSize { rows: context.batch().rows, bytes: context.batch().bytes },
        clock: 0,
        origins: context.origins().iter().map(|(s, b)| (s.to_owned(), b.to_owned())).collect(),
        hints: context.hints().to_vec(),
        provider: None,
        log: None,
        heartbeat: link::BEAT.as_secs_f64(),
        restored: None,
    }
}
