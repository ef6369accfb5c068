//! The kinds that only a benchmark has: one that keeps rows in a file, one that lets so many pass.

use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::SchemaRef;
use gristmill_runtime::Feed;
use gristmill_stage::schemars::JsonSchema;
use gristmill_stage::{
    BuildContext, Error, Output, Planned, Registry, Result, Role, Stage, StageSpec, Transform,
};
use serde::Deserialize;

/// Lets so many rows pass.
pub const CAP: &str = "bench-cap";
/// Gives recorded rows out again.
pub const FEED: &str = "bench-feed";
/// Keeps rows in a file.
pub const RECORD: &str = "bench-record";

/// The most bytes that are recorded of the input of a stage: it is held in memory when it is fed.
const RECORD_BYTES: usize = 256 << 20;

/// Adds the kinds of this file to those that pipelines can name.
pub fn register(registry: &mut Registry) {
    registry.add(Cap).add(Record);
}

/// Adds recorded rows, so many times over, as a source.
///
/// # Errors
/// When the file cannot be read, or holds other columns.
pub fn feed(
    registry: &mut Registry,
    schema: &SchemaRef,
    sample: &Path,
    passes: usize,
) -> Result<()> {
    let reader = StreamReader::try_new(BufReader::new(File::open(sample)?), None)?;
    let batches = reader
        .map(|batch| Ok(batch?.with_schema(schema.clone())?))
        .collect::<Result<Vec<RecordBatch>>>()?;
    // The same memory each time: a batch is only pointed at.
    let batches = batches.iter().cycle().take(batches.len() * passes).cloned().collect();
    registry.add_kind(Feed::new(FEED, schema.clone(), batches)?.kind());
    Ok(())
}

struct Cap;

#[derive(Deserialize, JsonSchema)]
#[schemars(crate = "gristmill_stage::schemars")]
struct CapOptions {
    rows: u64,
}

impl StageSpec for Cap {
    type Options = CapOptions;

    const KIND: &'static str = CAP;
    const SUMMARY: &'static str = "Lets so many rows pass, then ends its input.";
    const ROLE: Role = Role::Transform;
    const EXAMPLE: &'static str = "type: bench-cap\nwith: { rows: 1000 }";
    const INPUT: &'static str = "any columns";
    const OUTPUT: &'static str = "the columns of the input";

    fn plan(_: &CapOptions, input: Option<&SchemaRef>) -> Result<Planned> {
        match input {
            None => Err(Error::schema("a cap has no input")),
            Some(input) => Ok(Planned::emits(input.clone()).single("it counts rows")),
        }
    }

    fn build(options: CapOptions, _: BuildContext) -> Result<Stage> {
        Ok(Stage::transform(Capped { left: options.rows }))
    }
}

struct Capped {
    left: u64,
}

impl Transform for Capped {
    fn process(&mut self, batch: RecordBatch, out: &mut dyn Output) -> Result<()> {
        let rows = batch.num_rows() as u64;
        let taken = rows.min(self.left);
        self.left -= taken;
        // A part of a batch has less rows than the batch, which are counted in usize.
        out.emit(if taken == rows { batch } else { batch.slice(0, taken as usize) })
    }

    fn done(&self) -> bool {
        self.left == 0
    }
}

struct Record;

#[derive(Deserialize, JsonSchema)]
#[schemars(crate = "gristmill_stage::schemars")]
struct RecordOptions {
    path: PathBuf,
}

impl StageSpec for Record {
    type Options = RecordOptions;

    const KIND: &'static str = RECORD;
    const SUMMARY: &'static str = "Keeps rows in an Arrow file, up to a number of bytes.";
    const ROLE: Role = Role::Sink;
    const EXAMPLE: &'static str = "type: bench-record\nwith: { path: sample.arrows }";
    const INPUT: &'static str = "any columns";
    const OUTPUT: &'static str = "none";

    fn plan(_: &RecordOptions, _: Option<&SchemaRef>) -> Result<Planned> {
        Ok(Planned::sink().single("it writes one file"))
    }

    fn build(options: RecordOptions, context: BuildContext) -> Result<Stage> {
        let file = BufWriter::new(File::create(&options.path)?);
        let writer = StreamWriter::try_new(file, context.input())?;
        Ok(Stage::transform(Recorder { writer, left: RECORD_BYTES }))
    }
}

struct Recorder {
    writer: StreamWriter<BufWriter<File>>,
    left: usize,
}

impl Transform for Recorder {
    fn process(&mut self, batch: RecordBatch, _: &mut dyn Output) -> Result<()> {
        self.left = self.left.saturating_sub(batch.get_array_memory_size());
        Ok(self.writer.write(&batch)?)
    }

    fn done(&self) -> bool {
        self.left == 0
    }

    fn finish(&mut self, _: &mut dyn Output) -> Result<()> {
        Ok(self.writer.finish()?)
    }
}
