//! `discard`: takes all and keeps nothing.

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use gristmill_stage::{
    BuildContext, Error, Output, Planned, Result, Role, Stage, StageSpec, Transform,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// The kind `discard`.
#[derive(Debug, Clone, Copy)]
pub struct Discard;

/// `discard` has no options.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DiscardOptions {}

impl StageSpec for Discard {
    type Options = DiscardOptions;

    const KIND: &'static str = "discard";
    const SUMMARY: &'static str =
        "Takes all rows and keeps nothing, to measure what comes before it.";
    const ROLE: Role = Role::Sink;
    const EXAMPLE: &'static str = "type: discard";
    const INPUT: &'static str = "any columns";
    const OUTPUT: &'static str = "none";

    fn plan(_: &DiscardOptions, input: Option<&SchemaRef>) -> Result<Planned> {
        match input {
            None => Err(Error::schema("`discard` has no input")),
            Some(_) => Ok(Planned::sink()),
        }
    }

    fn build(_: DiscardOptions, _: BuildContext) -> Result<Stage> {
        Ok(Stage::transform(Discarding))
    }
}

struct Discarding;

impl Transform for Discarding {
    fn process(&mut self, _: RecordBatch, _: &mut dyn Output) -> Result<()> {
        Ok(())
    }
}
