//! `write`: rows to a file.

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use gristmill_stage::{
    BuildContext, Error, Lineage, Output, Planned, Result, Role, Snapshot, Stage, StageSpec,
    Transform,
};

use crate::encode::Encoding;
use crate::parted::Parted;
use crate::target::Aside;
use crate::write_options::{WORKER, WriteOptions};
use crate::written::Written;

/// The kind `write`.
#[derive(Debug, Clone, Copy)]
pub struct Write;

/// Layout of the snapshot: an [`Aside`], and beside it what the encoder holds.
const VERSION: u32 = 2;

impl StageSpec for Write {
    type Options = WriteOptions;

    const KIND: &'static str = "write";
    const SUMMARY: &'static str = "Writes rows to a file or stdout: JSON lines, CSV, TSV, Parquet or Arrow IPC. The file appears when it is complete.";
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
        let encoding = options.encoding(input)?;
        encoding.check()?;
        let planned = match options.needed() {
            Some(columns) => Planned::sink().lineage(Lineage::new().needs(columns)),
            None => Planned::sink(),
        };
        if options.is_numbered() {
            return numbered(options, planned);
        }
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
        let encoding = options.encoding(context.input())?;
        if options.is_numbered() {
            return Ok(Stage::transform(Parted::new(&options, encoding, &context)?));
        }
        let aside: Option<Aside> = context.restored().value(VERSION)?;
        let parts = context.restored().state(VERSION)?.map(|state| state.parts.clone());
        let restored = aside.map(|aside| (aside, parts.unwrap_or_default()));
        let encoder = encoding.encoder()?;
        let file = match options.path.as_str() {
            "-" => Written::stdout(encoder, restored)?,
            _ => {
                let path = options.path(context.instance());
                Written::create(encoder, &path, options.append, restored, context.resumable())?
            }
        };
        Ok(Stage::transform(Writer { encoding, file }))
    }
}

/// The plan for several files.
fn numbered(options: &WriteOptions, planned: Planned) -> Result<Planned> {
    options.check_numbered()?;
    let planned = planned.writes(options.names(0).file("", 1));
    Ok(match &options.partition_by {
        _ if options.path.contains(WORKER) => planned,
        // Each folder has one worker that writes into it.
        Some(columns) => planned.keyed(columns),
        None => planned.single("it writes one file; put `{worker}` into `path` for one each"),
    })
}

struct Writer {
    encoding: Encoding,
    file: Written,
}

impl Transform for Writer {
    fn process(&mut self, batch: RecordBatch, _: &mut dyn Output) -> Result<()> {
        match batch.num_rows() {
            0 => Ok(()),
            _ => self.file.rows(&self.encoding.columns(&batch)?),
        }
    }

    fn finish(&mut self, _: &mut dyn Output) -> Result<()> {
        self.file.finish()
    }

    fn snapshot(&mut self) -> Result<Snapshot> {
        let (aside, parts) = self.file.snapshot()?;
        let mut snapshot = Snapshot::of(VERSION, &aside)?;
        if let Snapshot::State(state) = &mut snapshot {
            state.parts.extend(parts);
        }
        Ok(snapshot)
    }
}
