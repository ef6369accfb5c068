//! `read`: rows from files.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow_array::{RecordBatch, StringArray, UInt64Array};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use gristmill_stage::{
    BatchTarget, BuildContext, Comparison, Error, ErrorKind, Next, Output, Planned, Result, Role,
    Snapshot, Source, Stage, StageSpec,
};

use crate::current::{Current, Position, failed, regular};
use crate::decode::without_end;
use crate::format::Format;
use crate::options::ReadOptions;
use crate::paths::Input;
use crate::pipe::Waiting;
use crate::records::Part;
use crate::skip::skip;
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
        "Reads rows from files or stdin: JSON lines, CSV, TSV or plain lines.";
    const ROLE: Role = Role::Source;
    const EXAMPLE: &'static str =
        "type: read\nwith:\n  path: items.csv\n  columns: { title: string, price: float64 }";
    const INPUT: &'static str = "none";
    const OUTPUT: &'static str = "The declared columns, or those found in the first rows; for plain lines `line` (string). \
        Rejected lines have `line` (string), `file` (string) and `line_number` (uint64).";

    fn plan(options: &ReadOptions, _: Option<&SchemaRef>) -> Result<Planned> {
        let inputs = options.path.inputs()?;
        let format = options.format(&inputs)?;
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
        let inputs = options.path.inputs()?;
        let format = options.format(&inputs)?;
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

struct Reader {
    options: ReadOptions,
    format: Format,
    schema: SchemaRef,
    /// Rows for which one of these is not true are of no use.
    hints: Vec<Comparison>,
    batch: BatchTarget,
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
            options,
            format,
            schema: context.output().clone(),
            hints: context.hints().to_vec(),
            batch: context.batch(),
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
        if let (None, Some(split)) = (&self.file, &mut self.split) {
            self.file = split.next(&self.options, self.format, &self.schema)?;
            return Ok(self.file.is_some());
        }
        if self.file.is_none() {
            let Some(input) = self.files.pop_front() else { return Ok(false) };
            let position = self.restored.take().unwrap_or_else(|| Position::start(&input));
            let waiting = self.waiting.as_ref();
            let opened = self.options.open(self.format, &self.schema, &input, position, waiting)?;
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
        let (target, max) = (self.batch, self.options.max_line);
        if !self.open()? {
            return Ok(Next::Done);
        }
        let Some(file) = &mut self.file else { return Ok(Next::Now) };
        if file.decoder.is_none() {
            let Current { records, input, decoder } = file;
            *decoder = self.options.decoder(self.format, &self.schema, input, records)?;
        }
        let Some(decoder) = &file.decoder else { return self.pause(out) };
        let part = file.records.next(target.rows.max(1), target.bytes.max(1));
        match part.map_err(|e| failed(&file.input, e))? {
            Part::Wait => return self.pause(out),
            Part::End => {
                if let (Some(file), Some(split)) = (self.file.take(), &mut self.split) {
                    split.finished(file)?;
                }
            }
            Part::TooLong { head, length, line } => {
                let line = match &mut self.split {
                    Some(split) => split.line(line, &file.input)?,
                    None => line,
                };
                let reason = format!(
                    "the line has {length} bytes, `max_line` is {max}; only its beginning is kept"
                );
                let file = file.input.name();
                out.reject(rejected(&head, &file, line)?, &reason)?;
            }
            Part::Records { records, line } => {
                let text = file.records.text();
                let whole = records.len() - usize::from(file.records.unclosed());
                let (batch, mut bad) = decoder.decode(text, &records[..whole])?;
                if whole < records.len() {
                    bad.push((whole, "a quote is opened and never closed".to_owned()));
                }
                let name = file.input.name();
                let (mut at, mut line) = (0, line);
                if let (Some(split), false) = (&mut self.split, bad.is_empty()) {
                    line = split.line(line, &file.input)?;
                }
                for (n, reason) in bad {
                    let Some(record) = records.get(n) else { continue };
                    line += memchr::memchr_iter(b'\n', &text[at..record.start]).count() as u64;
                    at = record.start;
                    out.reject(
                        rejected(&text[record.clone()], &name, line)?,
                        &format!("{name}:{line}: {reason}"),
                    )?;
                }
                if let Some(batch) = batch {
                    out.emit(skip(batch, &self.hints)?)?;
                }
            }
        }
        Ok(Next::Now)
    }

    fn stop(&mut self) -> Result<bool> {
        self.files.clear();
        // What was not handed on of a file is in the file.
        let Some(file) = self.file.as_mut().filter(|file| !regular(&file.input)) else {
            return Ok(false);
        };
        file.records.stop();
        self.stopped = true;
        Ok(true)
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

/// A line that could not be used, as a row.
fn rejected(record: &[u8], file: &str, line: u64) -> Result<RecordBatch> {
    let text = String::from_utf8_lossy(without_end(record));
    let schema = Schema::new(vec![
        Field::new("line", DataType::Utf8, false),
        Field::new("file", DataType::Utf8, false),
        Field::new("line_number", DataType::UInt64, false),
    ]);
    Ok(RecordBatch::try_new(
        Arc::new(schema),
        vec![
            Arc::new(StringArray::from(vec![text.as_ref()])),
            Arc::new(StringArray::from(vec![file])),
            Arc::new(UInt64Array::from(vec![line])),
        ],
    )?)
}
