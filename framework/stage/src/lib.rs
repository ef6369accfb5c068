//! The contract of a stage: everything that the author of a source, a transform or a sink needs,
//! and nothing of how the stage is run.
//!
//! A stage never names a thread, a channel or a metric. It is called with batches (Arrow
//! [`RecordBatch`](arrow_array::RecordBatch)es) and hands batches to an [`Output`]; the runner owns
//! the loop around it. So the same stage runs on its own threads, on a shared pool or in a child
//! process.
//!
//! There are three heights to write a stage at, all on this one contract:
//!
//! 1. **Batches**: implement [`Transform`] or [`Source`] and work on Arrow columns.
//! 2. **Typed rows** (feature `rows`): a serde struct in, serde structs out; see [`rows`].
//! 3. **One async call per row** (feature `async`): see [`concurrent`]; concurrency, order and
//!    linger are kept for you.
//!
//! A stage becomes usable from YAML by a [`StageSpec`] that is added to a [`Registry`].

mod cause;
mod comparison;
#[cfg(feature = "async")]
pub mod concurrent;
mod context;
mod error;
#[cfg(feature = "json")]
pub mod json;
pub mod keys;
mod kind;
mod lineage;
pub mod option;
pub mod path;
mod program;
pub mod reading;
mod registry;
#[cfg(feature = "rows")]
pub mod rows;
mod snapshot;
mod spec;
mod traits;

pub use cause::Cause;
pub use comparison::{Comparison, Constant, Relation, Test};
pub use context::{BatchTarget, BuildContext, Clock, Origins, Redact, SystemClock};
pub use error::{Error, ErrorKind, Result};
pub use kind::{Kind, Provider, Typed};
pub use lineage::Lineage;
pub use program::Program;
pub use reading::{Reading, Readings, Readout};
pub use registry::Registry;
pub use snapshot::{Snapshot, State};
pub use spec::{Partitioning, Planned, Role, StageSpec, Steps};
pub use traits::{Next, Output, Source, Stage, Transform};

pub use {arrow_array, arrow_schema, schemars, serde, serde_json};
