//! `inspect`: passes rows on and shows some of them.

use std::io::Write;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use gristmill_stage::{
    BuildContext, Error, Output, Planned, Result, Role, Snapshot, Stage, StageSpec, Transform,
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::table::table;

/// The kind `inspect`.
#[derive(Debug, Clone, Copy)]
pub struct Inspect;

/// Options of `inspect`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InspectOptions {
    /// How many rows each worker shows.
    #[serde(default = "rows")]
    rows: usize,
    /// Shows `rows` rows again after every so many rows; only the first ones when left out.
    #[serde(default)]
    every: Option<u64>,
}

fn rows() -> usize {
    5
}

impl StageSpec for Inspect {
    type Options = InspectOptions;

    const KIND: &'static str = "inspect";
    const SUMMARY: &'static str = "Passes all rows on and shows the first few on stderr.";
    const ROLE: Role = Role::Transform;
    const EXAMPLE: &'static str = "type: inspect\nwith: { rows: 3 }";
    const INPUT: &'static str = "any columns";
    const OUTPUT: &'static str = "the columns of the input";

    fn plan(options: &InspectOptions, input: Option<&SchemaRef>) -> Result<Planned> {
        if options.rows == 0 {
            return Err(Error::option("rows", "there is nothing to show").help("1 or more"));
        }
        if options.every.is_some_and(|every| every < options.rows as u64) {
            let help = format!("at least `rows`, {}", options.rows);
            return Err(Error::option("every", "the rows shown would overlap").help(help));
        }
        match input {
            None => Err(Error::schema("`inspect` has no input")),
            Some(input) => Ok(Planned::emits(input.clone())),
        }
    }

    fn build(options: InspectOptions, context: BuildContext) -> Result<Stage> {
        Inspecting::new(options, &context, Stderr(context.clone())).map(Stage::transform)
    }
}

/// Stderr, locked for one table at a time.
struct Stderr(BuildContext);

impl Show for Stderr {
    fn show(&mut self, text: &str) {
        // What is shown is a courtesy: a closed stderr must not end the run.
        let text = self.0.redact(text);
        let _ = std::io::stderr().lock().write_all(text.as_bytes());
    }
}

/// Where tables go.
trait Show: Send {
    fn show(&mut self, text: &str);
}

/// Layout of the snapshot: how many rows have passed.
const VERSION: u32 = 1;

struct Inspecting<S> {
    name: String,
    rows: u64,
    every: Option<u64>,
    /// Rows that have passed.
    passed: u64,
    show: S,
}

impl<S: Show> Inspecting<S> {
    fn new(options: InspectOptions, context: &BuildContext, show: S) -> Result<Self> {
        let name = match context.instances() {
            0 | 1 => context.stage().to_owned(),
            _ => format!("{} #{}", context.stage(), context.instance()),
        };
        let passed = context.restored().value(VERSION)?.unwrap_or(0);
        Ok(Self { name, rows: options.rows as u64, every: options.every, passed, show })
    }

    /// Shows the rows of the batch that are due.
    fn look(&mut self, batch: &RecordBatch) -> Result<()> {
        let (mut at, end) = (self.passed, self.passed + batch.num_rows() as u64);
        while at < end {
            // Where the rows to show begin that `at` is among, or has behind it.
            let begin = self.every.map_or(0, |every| at / every * every);
            if at < begin + self.rows {
                let until = end.min(begin + self.rows);
                let rows = batch.slice((at - self.passed) as usize, (until - at) as usize);
                let (name, first) = (&self.name, at + 1);
                let text = format!("{name}: rows {first} to {until}\n{}\n", table(&rows)?);
                self.show.show(&text);
            }
            match self.every {
                None => return Ok(()),
                Some(every) => at = begin.saturating_add(every),
            }
        }
        Ok(())
    }
}

impl<S: Show> Transform for Inspecting<S> {
    fn process(&mut self, batch: RecordBatch, out: &mut dyn Output) -> Result<()> {
        self.look(&batch)?;
        self.passed += batch.num_rows() as u64;
        out.emit(batch)
    }

    fn snapshot(&mut self) -> Result<Snapshot> {
        Snapshot::of(VERSION, &self.passed)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, Int64Array};
    use gristmill_stage::SystemClock;

    use super::*;

    impl Show for Vec<String> {
        fn show(&mut self, text: &str) {
            self.push(text.to_owned());
        }
    }

    #[derive(Default)]
    struct Passed(Vec<RecordBatch>);

    impl Output for Passed {
        fn emit(&mut self, batch: RecordBatch) -> Result<()> {
            self.0.push(batch);
            Ok(())
        }

        fn reject(&mut self, _: RecordBatch, reason: &str) -> Result<()> {
            panic!("rejected: {reason}")
        }
    }

    fn numbers(from: i64, to: i64) -> RecordBatch {
        let column: ArrayRef = Arc::new(Int64Array::from_iter_values(from..to));
        RecordBatch::try_from_iter([("n", column)]).expect("batch")
    }

    fn inspecting(rows: usize, every: Option<u64>, restored: Snapshot) -> Inspecting<Vec<String>> {
        let context =
            BuildContext::new("look", Arc::new(SystemClock::start())).with_restored(restored);
        Inspecting::new(InspectOptions { rows, every }, &context, Vec::new()).expect("built")
    }

    fn titles(stage: &Inspecting<Vec<String>>) -> Vec<&str> {
        stage.show.iter().filter_map(|text| text.lines().next()).collect()
    }

    #[test]
    fn the_first_rows_are_shown_and_all_pass() {
        let (mut stage, mut out) = (inspecting(3, None, Snapshot::Stateless), Passed::default());
        for batch in [numbers(0, 2), numbers(0, 0), numbers(2, 10), numbers(10, 12)] {
            stage.process(batch, &mut out).expect("process");
        }
        assert_eq!(titles(&stage), ["look: rows 1 to 2", "look: rows 3 to 3"]);
        assert_eq!(out.0, [numbers(0, 2), numbers(0, 0), numbers(2, 10), numbers(10, 12)]);
    }

    #[test]
    fn every_shows_again_also_across_batches_and_after_a_restore() {
        let (mut stage, mut out) =
            (inspecting(2, Some(10), Snapshot::Stateless), Passed::default());
        stage.process(numbers(0, 11), &mut out).expect("process");
        assert_eq!(titles(&stage), ["look: rows 1 to 2", "look: rows 11 to 11"]);
        let mut stage = inspecting(2, Some(10), stage.snapshot().expect("snapshot"));
        stage.process(numbers(11, 45), &mut out).expect("process");
        let last = [
            "look: rows 12 to 12",
            "look: rows 21 to 22",
            "look: rows 31 to 32",
            "look: rows 41 to 42",
        ];
        assert_eq!(titles(&stage), last);
    }

    #[test]
    fn options_that_show_nothing_are_errors() {
        let input = numbers(0, 0).schema();
        for (rows, every, option) in [(0, None, "rows"), (5, Some(4), "every")] {
            let error =
                Inspect::plan(&InspectOptions { rows, every }, Some(&input)).expect_err(option);
            assert_eq!(error.option_path(), Some(option));
        }
        let planned = Inspect::plan(&InspectOptions { rows: 5, every: Some(5) }, Some(&input));
        assert_eq!(planned.expect("planned").output, input);
    }
}
