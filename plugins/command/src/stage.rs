//! The stage.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use arrow_select::concat::concat_batches;
use gristmill_stage::option::Columns;
use gristmill_stage::{
    BatchTarget, BuildContext, Cause, Clock, Error, Output, Planned, Result, Role, Snapshot, Stage,
    StageSpec, Transform, json,
};

use crate::exchange::{Bounds, exchange};
use crate::find::find;
use crate::lines::{read, rejected};
use crate::options::CommandOptions;

/// The kind `command`.
#[derive(Debug, Clone, Copy)]
pub struct Command;

impl StageSpec for Command {
    type Options = CommandOptions;

    const KIND: &'static str = "command";
    const SUMMARY: &'static str =
        "Gives rows to any program that reads and writes JSON lines, a batch at a time.";
    const ROLE: Role = Role::Transform;
    const EXAMPLE: &'static str = "type: command\nwith:\n  command: [jq, -c, \"{title, \
                                   cents: (.price * 100 | floor)}\"]\n  columns: { title: string, cents: int64 }";
    const INPUT: &'static str = "any columns that JSON has a form for";
    const OUTPUT: &'static str = "the `columns`, or those of the input";

    fn plan(options: &CommandOptions, input: Option<&SchemaRef>) -> Result<Planned> {
        let input = input.ok_or_else(|| Error::schema("`command` has no input"))?;
        // Of whatever the columns are: that they have a form in JSON shows when they are written.
        json::write_lines(&RecordBatch::new_empty(input.clone()), &mut Vec::new())?;
        let columns = options.columns(input)?;
        find(options.command.first().map_or("", String::as_str))?;
        if options.timeout.0.is_zero() {
            return Err(Error::option("timeout", "no program is ready in no time"));
        }
        // Its calls wait for the program.
        Ok(Planned::emits(columns.schema()).blocks().holds(options.max_output.0))
    }

    fn build(options: CommandOptions, context: BuildContext) -> Result<Stage> {
        let columns = options.columns(context.input())?;
        let schema = columns.schema();
        let (target, clock) = (context.batch(), context.clock().clone());
        let mut rest = VecDeque::new();
        if let Some(state) = context.restored().state(VERSION)? {
            for (_, batch) in &state.parts {
                let starts = (0..batch.num_rows()).step_by(target.rows.max(1));
                let cut = |start| batch.slice(start, target.rows.min(batch.num_rows() - start));
                rest.extend(starts.map(cut));
            }
        }
        Ok(Stage::transform(Commanding { options, columns, schema, target, clock, rest }))
    }
}

/// Of the snapshot.
const VERSION: u32 = 1;

struct Commanding {
    options: CommandOptions,
    columns: Columns,
    schema: SchemaRef,
    target: BatchTarget,
    clock: Arc<dyn Clock>,
    /// What came out and has not left.
    rest: VecDeque<RecordBatch>,
}

impl Commanding {
    fn read(&mut self, output: &[u8], out: &mut dyn Output) -> Result<()> {
        let lines = output.split(|byte| *byte == b'\n');
        let lines: Vec<&[u8]> = lines.filter(|line| !line.trim_ascii().is_empty()).collect();
        for lines in lines.chunks(self.target.rows.max(1)) {
            let found = read(lines.iter().copied(), &self.columns, &self.schema)?;
            for (line, reason) in found.wrong {
                out.reject(rejected(line)?, &reason)?;
            }
            if found.rows.num_rows() > 0 {
                self.rest.push_back(found.rows);
            }
        }
        Ok(())
    }

    fn put(&mut self, out: &mut dyn Output) -> Result<()> {
        match self.rest.pop_front() {
            Some(rows) => out.emit(rows),
            None => Ok(()),
        }
    }
}

impl Transform for Commanding {
    fn process(&mut self, rows: RecordBatch, out: &mut dyn Output) -> Result<()> {
        if rows.num_rows() == 0 {
            return Ok(());
        }
        let mut input = Vec::new();
        json::write_lines(&rows, &mut input)?;
        let name = self.options.command.first().map_or("", String::as_str);
        let bounds = Bounds {
            clock: &*self.clock,
            timeout: self.options.timeout.0,
            output: usize::try_from(self.options.max_output.0).unwrap_or(usize::MAX),
        };
        let ended = exchange(&self.options.command, &input, bounds)
            .map_err(|e| Error::io(format!("`{name}` cannot be started: {e}")))?;
        match ended {
            Ok(output) => self.read(&output, out)?,
            Err(why) => out.reject_as(rows, Cause::Refused, &format!("`{name}` {why}"))?,
        }
        self.put(out)
    }

    fn ready(&self) -> bool {
        self.rest.is_empty()
    }

    fn holding(&self) -> bool {
        !self.rest.is_empty()
    }

    fn wake(&mut self, out: &mut dyn Output) -> Result<()> {
        self.put(out)
    }

    fn wake_at(&self) -> Option<Duration> {
        self.holding().then_some(Duration::ZERO)
    }

    fn finish(&mut self, out: &mut dyn Output) -> Result<()> {
        self.put(out)
    }

    fn snapshot(&mut self) -> Result<Snapshot> {
        if self.rest.is_empty() {
            return Ok(Snapshot::Stateless);
        }
        let rows = concat_batches(&self.schema, self.rest.iter())?;
        Ok(Snapshot::parts(VERSION, vec![("out".to_owned(), rows)]))
    }
}
