//! YAML with places, checked into a plan.
//!
//! [`load`] takes the text of a pipeline, puts [`Variables`] in, checks everything that can be
//! known before a run (words, options, wiring, schemas, workers) and returns a [`Plan`]: plain
//! data, which the runtime runs. What is wrong comes back as [`Problems`], all of them at once,
//! each with its line and column and what would be right.
//!
//! ```
//! use gristmill_config::{Source, Variables, load};
//! use gristmill_stage::Registry;
//!
//! let source = Source::new("shop.yaml", "stages:\n  - type: fecth\n");
//! let problems = load(&source, &Variables::new(), &Registry::new()).unwrap_err();
//! assert!(problems.render(false).contains("shop.yaml:2:11"));
//! ```

mod check;
mod choice;
mod columns;
mod distribute;
mod document;
mod files;
mod graph;
mod json_schema;
mod load;
mod misspelt;
mod mistake;
mod narrow;
mod node;
mod options;
mod parse;
mod pattern;
mod pipeline;
mod plan;
mod plan_debug;
mod plugins;
mod ports;
mod problem;
mod render;
mod rewrite;
mod scalar;
mod secrets;
mod source;
mod span;
mod steps;
mod suggest;
mod variables;
mod walk;
mod words;

pub use json_schema::json_schema;
pub use load::{load, load_with, problems_beside};
pub use pipeline::{Pipeline, StageDef};
pub use plan::{
    Bound, Distribution, EdgeId, EdgePlan, Mode, Plan, PoolId, PoolPlan, ProcessLimits,
    ProcessPlan, RejectedPlan, RunChoice, StageId, StagePlan,
};
pub use plugins::{PluginDef, PluginOrigin, Plugins};
pub use problem::{Problem, Problems};
pub use rewrite::rewrite;
pub use secrets::Secrets;
pub use source::Source;
pub use variables::Variables;
