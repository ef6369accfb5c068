//! A file that is being read, and where in it.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{RecordBatch, StringArray, UInt64Array};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use gristmill_stage::{BatchTarget, BuildContext, Comparison, Error, Output, Result};
use serde::{Deserialize, Serialize};

use crate::decode::{Bad, Decoder, values, without_end};
use crate::format::Format;
use crate::options::ReadOptions;
use crate::paths::Input;
use crate::records::{Part, Records};
use crate::sample;
use crate::skip::skip;
use crate::split::Split;

/// The first record that is not blank.
pub(crate) enum Header {
    /// The names in it.
    Names(Vec<String>),
    /// There is none.
    Missing,
    /// It has to be waited for.
    Wait,
}

impl Header {
    pub(crate) fn read(records: &mut Records, delimiter: u8) -> Result<Self> {
        loop {
            match records.next(1, 1)? {
                Part::End => return Ok(Self::Missing),
                Part::Wait => return Ok(Self::Wait),
                Part::TooLong { .. } => return Err(Error::data("the header is too long")),
                Part::Records { records: ranges, .. } => {
                    let text = ranges.first().map(|range| &records.text()[range.clone()]);
                    if let Some(record) = text.filter(|record| !sample::is_blank(record)) {
                        return values(record, delimiter).map(Self::Names).ok_or_else(unnamed);
                    }
                }
            }
        }
    }
}

/// The error for a header that cannot be read.
pub(crate) fn unnamed() -> Error {
    Error::data("the first line names no columns: it is not UTF-8")
}

/// Whether the input is a file that can be read more than once.
pub(crate) fn regular(input: &Input) -> bool {
    match input {
        Input::Stdin => false,
        Input::File(path) => Path::new(path).is_file(),
    }
}

pub(crate) fn failed(input: &Input, error: std::io::Error) -> Error {
    Error::io(format!("{} cannot be read: {error}", input.name()))
}

/// The bytes of a file from `offset` on.
pub(crate) fn open_at(path: &Path, offset: u64) -> std::io::Result<Box<dyn Read + Send>> {
    let mut file = File::open(path)?;
    if offset > 0 {
        file.seek(SeekFrom::Start(offset))?;
    }
    Ok(Box::new(file))
}

/// Where reading goes on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Position {
    /// The file that is being read; empty when all are read.
    pub(crate) file: String,
    /// Bytes of it that were read.
    pub(crate) offset: u64,
    /// The number of the next line, from 1.
    pub(crate) line: u64,
}

impl Position {
    pub(crate) fn start(input: &Input) -> Self {
        Self { file: input.name(), offset: 0, line: 1 }
    }
}

/// A file that is being read.
pub(crate) struct Current {
    pub(crate) records: Records,
    /// `None` until the header has come.
    pub(crate) decoder: Option<Decoder>,
    pub(crate) input: Input,
}

/// How files are read.
pub(crate) struct Reading {
    pub(crate) options: ReadOptions,
    pub(crate) format: Format,
    pub(crate) schema: SchemaRef,
    /// Rows for which one of these is not true are of no use.
    hints: Vec<Comparison>,
    batch: BatchTarget,
}

impl Reading {
    pub(crate) fn new(options: ReadOptions, format: Format, context: &BuildContext) -> Self {
        Self {
            options,
            format,
            schema: context.output().clone(),
            hints: context.hints().to_vec(),
            batch: context.batch(),
        }
    }
}

/// What a step came to.
pub(crate) enum Step {
    /// Rows, or rejected rows.
    Rows,
    /// Nothing yet.
    Wait,
    /// The end.
    End,
}

impl Current {
    /// Emits or rejects the next records. In a piece of a file, `split` knows the numbers of lines.
    pub(crate) fn step(
        &mut self,
        reading: &Reading,
        split: Option<&mut Split>,
        out: &mut dyn Output,
    ) -> Result<Step> {
        let Self { records, decoder, input } = self;
        if decoder.is_none() {
            *decoder = reading.options.decoder(reading.format, &reading.schema, input, records)?;
        }
        let Some(decoder) = decoder else { return Ok(Step::Wait) };
        let in_file = |line| split.map_or(Ok(line), |split| split.line(line, input));
        let part = records.next(reading.batch.rows.max(1), reading.batch.bytes.max(1));
        match part.map_err(|e| failed(input, e))? {
            Part::Wait => return Ok(Step::Wait),
            Part::End => return Ok(Step::End),
            Part::TooLong { head, length, line } => {
                let max = reading.options.max_line;
                let reason = format!(
                    "the line has {length} bytes, `max_line` is {max}; only its beginning is kept"
                );
                out.reject(rejected(&head, &input.name(), in_file(line)?)?, &reason)?;
            }
            Part::Records { records: ranges, line } => {
                let whole = ranges.len() - usize::from(records.unclosed());
                let (batch, mut bad) = decoder.decode(records.text(), &ranges[..whole])?;
                if whole < ranges.len() {
                    bad.push((whole, "a quote is opened and never closed".to_owned()));
                }
                if !bad.is_empty() {
                    let place = (in_file(line)?, &*input.name());
                    reject(records.text(), &ranges, place, bad, out)?;
                }
                if let Some(batch) = batch {
                    out.emit(skip(batch, &reading.hints)?)?;
                }
            }
        }
        Ok(Step::Rows)
    }
}

/// Rejects these records, the first of which is in that line of that file.
fn reject(
    text: &[u8],
    records: &[Range<usize>],
    (mut line, file): (u64, &str),
    bad: Vec<Bad>,
    out: &mut dyn Output,
) -> Result<()> {
    let mut at = 0;
    for (n, reason) in bad {
        let Some(record) = records.get(n) else { continue };
        line += memchr::memchr_iter(b'\n', &text[at..record.start]).count() as u64;
        at = record.start;
        let row = rejected(&text[record.clone()], file, line)?;
        out.reject(row, &format!("{file}:{line}: {reason}"))?;
    }
    Ok(())
}

/// A line that could not be used, as a row.
pub(crate) fn rejected(record: &[u8], file: &str, line: u64) -> Result<RecordBatch> {
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
