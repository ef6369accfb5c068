//! Conformance suite and simulated runner for stages.
//!
//! For authors of stages, ours and everyone's. Three things, from small to large:
//!
//! - [`rows!`], [`json_rows`] and [`same_rows`] write tables and compare them tersely;
//! - [`Harness`] drives one stage by the contract, in simulated time unless told otherwise, and
//!   collects what comes out, what is rejected, and every breach of the contract;
//! - [`conformance::check`] runs a kind of stage through all that a runner may do to it: other
//!   batches, snapshots, restarts, several workers, other layouts of its columns.
//!
//! ```
//! use gristmill_testkit::{Harness, json_rows, rows};
//! use gristmill_stage::{Output, Result, Stage, Transform, arrow_array::RecordBatch};
//! use serde_json::json;
//!
//! struct Pass;
//! impl Transform for Pass {
//!     fn process(&mut self, batch: RecordBatch, out: &mut dyn Output) -> Result<()> {
//!         out.emit(batch)
//!     }
//! }
//!
//! let batch = rows!([{ "n": 1 }, { "n": 2 }]);
//! let harness = Harness::new();
//! let mut pass = harness.start(Stage::transform(Pass), batch.schema());
//! pass.run_transform(vec![batch])?;
//! let out = pass.into_collected();
//! assert_eq!(json_rows(&out.batches)?, [json!({ "n": 1 }), json!({ "n": 2 })]);
//! assert!(out.violations.is_empty());
//! # Ok::<(), gristmill_stage::Error>(())
//! ```

mod clock;
mod collected;
pub mod conformance;
mod driven;
mod harness;
mod signal;
mod table;

pub use clock::SimClock;
pub use collected::{Collected, Rejected};
pub use driven::Driven;
pub use harness::Harness;
pub use table::{json_rows, same_rows, table, table_of};

#[doc(hidden)]
pub mod private {
    pub use crate::table::{table_of_or_panic, table_or_panic};
    pub use serde_json::json;
}
