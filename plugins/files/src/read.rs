//! `read`: rows from files.

use std::collections::VecDeque;

use arrow_schema::SchemaRef;
use gristmill_stage::{
    BuildContext, Error, ErrorKind, Next, Output, Planned, Result, Role, Snapshot, Source, Stage,
    StageSpec,
};

use crate::blocks;
use crate::current::{Current, Position, Reading, Step, regular, rejected};
use crate::follow;
use crate::format::Format;
use crate::options::ReadOptions;
use crate::paths::Input;
use crate::pipe::Waiting;
use crate::split::Split;

/// The kind `read`.
#[derive(Debug, Clone, Copy)]
pub struct Read;

/// Layout of the snapshot: a [`Position`].
const VERSION: u32 = 1;

impl StageSpec for Read {
    type Options = ReadOptions;

    const KIND: &'static str = "read";
    const SUMMARY: &'static str =
        "Reads rows from files or stdin: JSON lines, CSV, TSV, plain lines, Parquet or Arrow IPC.";
    const ROLE: Role = Role::Source;
    const EXAMPLE: &'static str =
        "type: read\nwith:\n  path: items.csv\n  columns: { title: string, price: float64 }";
    const INPUT: &'static str = "none";
    const OUTPUT: &'static str = "The declared columns, or those found in the first rows; for plain lines `line` (string); \
        for Parquet and Arrow IPC those of the file. \
        Rejected lines have `line` (string), `file` (string) and `line_number` (uint64).";

    fn plan(options: &ReadOptions, _: Option<&SchemaRef>) -> Result<Planned> {
        let inputs = options.path.inputs()?;
        let format = options.format(&inputs)?;
        if options.follow {
            follow::check(options, format, &inputs)?;
        }
        if format.is_columnar() {
            return columns(options, format, &inputs);
        }
        format.delimiter(options.delimiter)?;
        if options.max_line.0 == 0 {
            return Err(
                Error::option("max_line", "no line is that short").help("for example 64MiB")
            );
        }
        if options.split.0 == 0 {
            return Err(Error::option("split", "no piece is that short").help("for example 8MiB"));
        }
        let schema = options.schema(format, &inputs)?;
        let lineage = options.lineage(format, &schema);
        let planned = Planned { lineage, ..Planned::emits(schema) }.holds(options.max_line.0);
        let planned = planned.takes_hints();
        let regular_files = inputs.iter().filter(|input| regular(input));
        let planned = regular_files.fold(planned, |planned, input| match input {
            Input::File(path) => planned.reads(path),
            Input::Stdin => planned,
        });
        let planned = if inputs.iter().all(regular) { planned } else { planned.once() };
        Ok(match inputs.as_slice() {
            [one] if !options.can_split(one) => planned.single("there is one input to read"),
            _ => planned,
        })
    }

    fn build(options: ReadOptions, context: BuildContext) -> Result<Stage> {
        if options.follow {
            return follow::build(options, &context);
        }
        let inputs = options.path.inputs()?;
        let format = options.format(&inputs)?;
        if format.is_columnar() {
            return blocks::build(inputs, format, &context);
        }
        let (instance, instances) = (context.instance(), context.instances().max(1));
        if instances > 1 && inputs.iter().all(|input| options.can_split(input)) {
            let split = Split::new(inputs, options.split.0, &context)?;
            return Ok(Stage::source(Reader {
                split: Some(split),
                ..Reader::new(options, format, &context)
            }));
        }
        let mine = inputs.into_iter().enumerate().filter(|(n, _)| n % instances == instance);
        let mut files: VecDeque<Input> = mine.map(|(_, input)| input).collect();
        let mut restored: Option<Position> = context.restored().value(VERSION)?;
        if let Some(position) = &restored {
            let at = match position.file.as_str() {
                "" => Some(files.len()),
                name => files.iter().position(|input| input.name() == name),
            };
            let at = at.ok_or_else(|| {
                let text = format!("the file {} that was being read is gone", position.file);
                Error::new(ErrorKind::Restore, text)
            })?;
            files.drain(..at);
        }
        if restored.as_ref().is_some_and(|position| position.file.is_empty()) {
            restored = None;
        }
        let waiting = match files.iter().all(regular) {
            true => None,
            false => Some(Waiting::new(&context)?),
        };
        Ok(Stage::source(Reader {
            waiting,
            files,
            restored,
            ..Reader::new(options, format, &context)
        }))
    }
}

/// The plan for files of columns.
fn columns(options: &ReadOptions, format: Format, inputs: &[Input]) -> Result<Planned> {
    options.no_text_options(format)?;
    let (schema, blocks) = blocks::schema(format, inputs)?;
    let lineage = options.lineage(format, &schema);
    let planned = Planned { lineage, ..Planned::emits(schema) }.takes_hints();
    let planned = inputs.iter().fold(planned, |planned, input| match input {
        Input::File(path) => planned.reads(path),
        Input::Stdin => planned,
    });
    Ok(match (inputs.len(), blocks) {
        (1, 0 | 1) => planned.single("there is one file to read, and all of it is one block"),
        _ => planned,
    })
}

struct Reader {
    reading: Reading,
    /// There when an input may have to be waited for.
    waiting: Option<Waiting>,
    /// Files not yet opened.
    files: VecDeque<Input>,
    /// Where in the first of them to go on.
    restored: Option<Position>,
    /// There when files are read in pieces, and not as they stand in `files`.
    split: Option<Split>,
    file: Option<Current>,
    /// No more is read; of a pipe, what was taken out of it still comes out.
    stopped: bool,
}

impl Reader {
    fn new(options: ReadOptions, format: Format, context: &BuildContext) -> Self {
        Self {
            reading: Reading::new(options, format, context),
            waiting: None,
            files: VecDeque::new(),
            restored: None,
            split: None,
            file: None,
            stopped: false,
        }
    }

    /// Opens the next file when there is none. False when all are read.
    fn open(&mut self) -> Result<bool> {
        let Reading { options, format, schema, .. } = &self.reading;
        if let (None, Some(split)) = (&self.file, &mut self.split) {
            self.file = split.next(options, *format, schema)?;
            return Ok(self.file.is_some());
        }
        if self.file.is_none() {
            let Some(input) = self.files.pop_front() else { return Ok(false) };
            let position = self.restored.take().unwrap_or_else(|| Position::start(&input));
            let waiting = self.waiting.as_ref();
            let opened = options.open(*format, schema, &input, position, waiting)?;
            self.file = Some(opened);
        }
        Ok(true)
    }

    /// Nothing can be read now. If the run is stopped, nothing ever will be, and of a line that was
    /// begun the rest stays in the pipe.
    fn pause(&mut self, out: &mut dyn Output) -> Result<Next> {
        let file = match &self.file {
            Some(file) if self.stopped => file,
            _ => return Ok(Next::Wait),
        };
        let rest = file.records.rest();
        if !rest.is_empty() {
            let (name, (_, line)) = (file.input.name(), file.records.position());
            let reason = format!("{name}:{line}: the run was stopped in the middle of this line");
            out.reject(rejected(rest, &name, line)?, &reason)?;
        }
        Ok(Next::Done)
    }
}

impl Source for Reader {
    fn poll(&mut self, out: &mut dyn Output) -> Result<Next> {
        if !self.open()? {
            return Ok(Next::Done);
        }
        let Some(file) = &mut self.file else { return Ok(Next::Now) };
        match file.step(&self.reading, self.split.as_mut(), out)? {
            Step::Wait => return self.pause(out),
            Step::End => {
                if let (Some(file), Some(split)) = (self.file.take(), &mut self.split) {
                    split.finished(file)?;
                }
            }
            Step::Rows => {}
        }
        Ok(Next::Now)
    }

    fn stop(&mut self) -> Result<bool> {
        self.files.clear();
        // What was not handed on of a file is in the file.
        self.stopped = self.file.as_ref().is_some_and(|file| !regular(&file.input));
        if let Some(waiting) = &self.waiting {
            waiting.stop();
        }
        Ok(self.stopped)
    }

    fn snapshot(&mut self) -> Result<Snapshot> {
        if let Some(split) = &self.split {
            return split.snapshot(self.file.as_ref());
        }
        let position = match (&self.file, &self.restored, self.files.front()) {
            // What was taken from a pipe cannot be had again; reading goes on with what is left.
            (Some(file), ..) if !regular(&file.input) => Position::start(&file.input),
            (Some(file), ..) => {
                let (offset, line) = file.records.position();
                Position { file: file.input.name(), offset, line }
            }
            (None, Some(restored), _) => restored.clone(),
            (None, None, Some(next)) => Position::start(next),
            (None, None, None) => Position { file: String::new(), offset: 0, line: 1 },
        };
        Snapshot::of(VERSION, &position)
    }
}
