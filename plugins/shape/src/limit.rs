//! `limit`: the first rows and no more.

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use gristmill_stage::{
    BuildContext, Error, Lineage, Output, Planned, Result, Role, Snapshot, Stage, StageSpec,
    Transform,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// The kind `limit`.
#[derive(Debug, Clone, Copy)]
pub struct Limit;

/// Options of `limit`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LimitOptions {
    /// How many rows go on. When they have come, the stages above that nobody else needs end early.
    rows: u64,
    /// How many rows are passed over before them.
    #[serde(default)]
    offset: u64,
}

impl StageSpec for Limit {
    type Options = LimitOptions;

    const KIND: &'static str = "limit";
    const SUMMARY: &'static str =
        "Passes the first rows on, and ends its input when they have come.";
    const ROLE: Role = Role::Transform;
    const EXAMPLE: &'static str = "type: limit\nwith: { rows: 100 }";
    const INPUT: &'static str = "any columns";
    const OUTPUT: &'static str = "the columns of the input";

    fn plan(_: &LimitOptions, input: Option<&SchemaRef>) -> Result<Planned> {
        let input = input.ok_or_else(|| Error::schema("`limit` has no input"))?;
        let lineage = Lineage::carries(input, [""; 0]);
        Ok(Planned::emits(input.clone()).lineage(lineage).single("it counts all rows"))
    }

    fn build(options: LimitOptions, context: BuildContext) -> Result<Stage> {
        let passed = context.restored().value(VERSION)?.unwrap_or(0);
        let end = options.offset.saturating_add(options.rows);
        Ok(Stage::transform(Limiting { start: options.offset, end, passed }))
    }
}

/// Layout of the snapshot: how many rows have come.
const VERSION: u32 = 1;

struct Limiting {
    /// The first row that goes on, from 0, and the first after it that does not.
    start: u64,
    end: u64,
    passed: u64,
}

impl Transform for Limiting {
    fn process(&mut self, batch: RecordBatch, out: &mut dyn Output) -> Result<()> {
        let here = self.passed;
        let until = here.saturating_add(batch.num_rows() as u64).min(self.end.max(here));
        self.passed = until;
        let from = self.start.clamp(here, until);
        match (until - from) as usize {
            0 => Ok(()),
            rows => out.emit(batch.slice((from - here) as usize, rows)),
        }
    }

    fn done(&self) -> bool {
        self.passed >= self.end
    }

    fn snapshot(&mut self) -> Result<Snapshot> {
        Snapshot::of(VERSION, &self.passed)
    }
}
