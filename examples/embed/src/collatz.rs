//! A stage of one's own, written at the height of typed rows: a struct in, a struct out.

use gristmill_stage::arrow_schema::SchemaRef;
use gristmill_stage::schemars::{self, JsonSchema};
use gristmill_stage::{BuildContext, Planned, Result, Role, Stage, StageSpec, rows};
use serde::{Deserialize, Serialize};

/// Counts the steps of the Collatz sequence.
pub struct Collatz;

/// The options under `with`: there are none.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Options {}

#[derive(Debug, Deserialize)]
struct Number {
    n: i64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Steps {
    odd: bool,
    steps: i64,
}

impl StageSpec for Collatz {
    type Options = Options;
    const KIND: &'static str = "collatz";
    const SUMMARY: &'static str =
        "Counts the steps to 1: halve the even, triple the odd and add 1.";
    const ROLE: Role = Role::Transform;
    const EXAMPLE: &'static str = "type: collatz";
    const INPUT: &'static str = "`n` (int64)";
    const OUTPUT: &'static str = "`odd` (boolean), `steps` (int64)";

    fn plan(_: &Options, input: Option<&SchemaRef>) -> Result<Planned> {
        rows::expect::<Number>(input)?;
        Ok(Planned::emits(rows::schema_of::<Steps>()?))
    }

    fn build(_: Options, context: BuildContext) -> Result<Stage> {
        rows::map(context, |Number { n }: Number| Ok(Steps { odd: n % 2 == 1, steps: steps(n) }))
    }
}

fn steps(mut n: i64) -> i64 {
    let mut steps = 0;
    while n > 1 {
        n = if n % 2 == 0 { n / 2 } else { 3 * n + 1 };
        steps += 1;
    }
    steps
}
