//! Runs a plan: the loop, the executors, the edges, the metrics.
//!
//! [`Run::start`] takes a checked [`Plan`](gristmill_config::Plan) and a
//! [`Registry`](gristmill_stage::Registry), builds every stage, and starts its workers: threaded
//! ones on a thread each, pooled ones as tasks on their pool. [`Run::wait`] ends with a [`Report`].

mod assembly;
mod bell;
mod board;
mod control;
mod cpu;
mod drive;
mod edge;
mod intake;
mod latch;
mod latest;
mod letters;
mod memory;
mod meter;
pub mod metric;
pub mod metrics;
mod occupied;
mod own_runtime;
mod pause;
mod pool;
mod process;
mod run;
mod server;
mod status;
mod tap;
pub mod trace;
mod turns;
pub mod view;
mod worker;

pub use control::Failure;
pub use drive::{Action, Driver, Event, Need};
pub use edge::Level;
pub use memory::{Collect, Feed};
pub use meter::{Amount, TimeSplit};
pub use process::{
    DeathClass, LogLines, ProcessStatus, WorkerCommand, find_program_kind, how_it_ended, in_step,
    program_kinds, worker, worker_with,
};
pub use run::{Run, RunOptions, Stopper};
pub use server::Token;
pub use status::{Ending, Outcome, QueueStatus, Report, StageStatus};
