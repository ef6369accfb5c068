//! `write`: rows to a file.

use std::path::PathBuf;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use gristmill_stage::path::{check_append, check_replace};
use gristmill_stage::{
    BuildContext, Error, Lineage, Output, Planned, Result, Role, Snapshot, Stage, StageSpec,
    Transform,
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::encode::Encoder;
use crate::format::{Format, is_database};
use crate::target::{Aside, Target};

/// The kind `write`.
#[derive(Debug, Clone, Copy)]
pub struct Write;

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WriteFormat {
    /// A JSON object per line. Nulls are written; binary is in hex. JSON has no number for NaN and
    /// the infinities: they are the texts `NaN`, `Infinity` and `-Infinity`.
    Jsonl,
    /// Values between commas. Nested values are JSON text; a null is an empty value.
    Csv,
    /// As `csv`, between tabs.
    Tsv,
}

/// Options of `write`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WriteOptions {
    /// The file; `-` is stdout. Its folder is made when it is missing. The rows are written aside
    /// and stand under this name only when they are complete; a device or a pipe is written as rows
    /// come. With several workers the path must hold `{worker}`, the number of the worker.
    path: String,
    /// How rows are written; from the ending of the path when left out (`.jsonl`, `.ndjson`,
    /// `.json`, `.csv`, `.tsv`), `jsonl` on stdout.
    #[serde(default)]
    format: Option<WriteFormat>,
    /// The columns to write, in this order; all of them when left out.
    #[serde(default)]
    columns: Option<Vec<String>>,
    /// Whether the first record of CSV or TSV names the columns.
    #[serde(default = "yes")]
    header: bool,
    /// What stands between two values of CSV; `,` when left out, a tab in TSV.
    #[serde(default)]
    delimiter: Option<char>,
    /// Adds the rows to the end of the file, once they are complete, in place of replacing it.
    #[serde(default)]
    append: bool,
}

fn yes() -> bool {
    true
}

/// What stands for the number of the worker in a path.
const WORKER: &str = "{worker}";

impl WriteOptions {
    fn format(&self) -> Result<WriteFormat> {
        let known = match Format::of(&self.path) {
            Some(Format::Jsonl) => Some(WriteFormat::Jsonl),
            Some(Format::Csv) => Some(WriteFormat::Csv),
            Some(Format::Tsv) => Some(WriteFormat::Tsv),
            Some(Format::Lines) | None => None,
        };
        let stdout = || (self.path == "-").then_some(WriteFormat::Jsonl);
        self.format.or(known).or_else(stdout).ok_or_else(|| {
            let text = format!("the format of `{}` is not known by its name", self.path);
            Error::option("format", text).help(match is_database(&self.path) {
                true => "`type: sqlite` writes a database",
                false => "one of `jsonl`, `csv`, `tsv`",
            })
        })
    }

    fn encoder(&self, input: &SchemaRef) -> Result<Encoder> {
        let format = self.format()?;
        let like = match format {
            WriteFormat::Tsv => Format::Tsv,
            WriteFormat::Jsonl | WriteFormat::Csv => Format::Csv,
        };
        Encoder::new(input, format, like.delimiter(self.delimiter)?, self.columns.as_deref())
    }

    fn path(&self, worker: usize) -> PathBuf {
        self.path.replace(WORKER, &worker.to_string()).into()
    }

    /// Looks whether the file could be written, without making anything.
    fn check(&self) -> Result<()> {
        if self.path.is_empty() {
            return Err(
                Error::option("path", "the path is empty").help("a file, or `-` for stdout")
            );
        }
        let path = self.path(0);
        let checked = check_replace(&path).and_then(|()| match self.append {
            true => check_append(&path),
            false => Ok(()),
        });
        checked.map_err(|error| error.at("path"))
    }
}

/// Layout of the snapshot: what of the file aside counts.
const VERSION: u32 = 1;

impl StageSpec for Write {
    type Options = WriteOptions;

    const KIND: &'static str = "write";
    const SUMMARY: &'static str = "Writes rows to a file or stdout: JSON lines, CSV or TSV. The file appears when it is complete.";
    const ROLE: Role = Role::Sink;
    const EXAMPLE: &'static str = "type: write\nwith: { path: prices.jsonl }";
    const INPUT: &'static str = "any columns";
    const OUTPUT: &'static str = "none";

    fn plan(options: &WriteOptions, input: Option<&SchemaRef>) -> Result<Planned> {
        let input = input.ok_or_else(|| Error::schema("`write` has no input"))?;
        options.format()?;
        let stdout = options.path == "-";
        if !stdout {
            options.check()?;
        }
        options.encoder(input)?;
        let planned = match &options.columns {
            Some(columns) => Planned::sink().lineage(Lineage::new().needs(columns.clone())),
            None => Planned::sink(),
        };
        if stdout {
            return Ok(planned.blocks().single("there is one stdout"));
        }
        let path = options.path(0);
        // A pipe takes rows when its reader likes.
        let special = path.exists() && !path.is_file();
        let planned = if special { planned.blocks() } else { planned };
        let planned = planned.writes(path);
        Ok(match options.path.contains(WORKER) {
            true => planned,
            false => planned.single("it writes one file; put `{worker}` into `path` for one each"),
        })
    }

    fn build(options: WriteOptions, context: BuildContext) -> Result<Stage> {
        let encoder = options.encoder(context.input())?;
        let restored: Option<Aside> = context.restored().value(VERSION)?;
        let target = match options.path.as_str() {
            "-" => Target::stdout(restored.as_ref())?,
            _ => Target::create(&options.path(context.instance()), options.append, restored)?
                .outlives(context.resumable()),
        };
        let mut writer = Writer { encoder, target, bytes: Vec::new() };
        if options.header && !writer.target.continues() {
            writer.encoder.header(&mut writer.bytes)?;
        }
        Ok(Stage::transform(writer))
    }
}

struct Writer {
    encoder: Encoder,
    target: Target,
    /// Encoded and not yet written; between calls only the header, until the first rows.
    bytes: Vec<u8>,
}

impl Writer {
    fn flush(&mut self) -> Result<()> {
        let written = match self.bytes.is_empty() {
            true => Ok(()),
            false => self.target.write(&self.bytes),
        };
        self.bytes.clear();
        written
    }
}

impl Transform for Writer {
    fn process(&mut self, batch: RecordBatch, _: &mut dyn Output) -> Result<()> {
        if batch.num_rows() > 0 {
            self.encoder.encode(&batch, &mut self.bytes)?;
        }
        self.flush()
    }

    fn finish(&mut self, _: &mut dyn Output) -> Result<()> {
        self.flush()?;
        self.target.finish()
    }

    fn snapshot(&mut self) -> Result<Snapshot> {
        self.flush()?;
        match self.target.snapshot()? {
            None => Ok(Snapshot::Stateless),
            Some(aside) => Snapshot::of(VERSION, &aside),
        }
    }
}
