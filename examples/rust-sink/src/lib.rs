//! `markdown`: writes rows as a table in Markdown. The table stands under its name when it is complete,
//! and not before.

use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use gristmill_stage::arrow_array::RecordBatch;
use gristmill_stage::arrow_array::cast::AsArray;
use gristmill_stage::arrow_array::types::{Float64Type, Int64Type};
use gristmill_stage::arrow_array::{Array, ArrayRef};
use gristmill_stage::arrow_schema::{DataType, SchemaRef};
use gristmill_stage::schemars::JsonSchema;
use gristmill_stage::{
    BuildContext, Error, Output, Planned, Result, Role, Snapshot, Stage, StageSpec, Transform,
};
use serde::{Deserialize, Serialize};

gristmill_abi::export_stages!(Markdown);

/// The kind `markdown`.
pub struct Markdown;

/// The options under `with`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(crate = "gristmill_stage::schemars")]
pub struct Options {
    /// The file to write.
    path: PathBuf,
}

const VERSION: u32 = 1;

impl StageSpec for Markdown {
    type Options = Options;
    const KIND: &'static str = "markdown";
    const SUMMARY: &'static str = "Writes rows as a table in Markdown.";
    const ROLE: Role = Role::Sink;
    const EXAMPLE: &'static str = "type: markdown\nwith: { path: report.md }";
    const INPUT: &'static str = "columns of text, whole numbers, fractions and booleans";
    const OUTPUT: &'static str = "none";

    fn plan(options: &Options, input: Option<&SchemaRef>) -> Result<Planned> {
        let input = input.ok_or_else(|| Error::schema("`markdown` has no input"))?;
        for field in input.fields() {
            if !matches!(
                field.data_type(),
                DataType::Utf8 | DataType::Int64 | DataType::Float64 | DataType::Boolean
            ) {
                let text = format!("a table has no cells of the type {}", field.data_type());
                return Err(Error::column(field.name(), text));
            }
        }
        Ok(Planned::sink().writes(&options.path).single("a file has one writer"))
    }

    fn build(options: Options, context: BuildContext) -> Result<Stage> {
        let written: Option<Written> = context.restored().value(VERSION)?;
        let resumable = context.resumable();
        Ok(Stage::transform(Table::open(&options.path, context.input(), written, resumable)?))
    }
}

/// What a snapshot knows of the file aside: where it is, and how much of it counts.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Written {
    aside: PathBuf,
    bytes: u64,
}

struct Table {
    path: PathBuf,
    written: Written,
    file: File,
    /// Whether the table is not under its name yet.
    unfinished: bool,
    /// Whether another run may go on from a snapshot of this one.
    resumable: bool,
    /// Whether a snapshot knows of the file aside.
    known: bool,
}

impl Table {
    fn open(
        path: &Path,
        input: &SchemaRef,
        written: Option<Written>,
        resumable: bool,
    ) -> Result<Self> {
        let known = written.is_some();
        let failed = |e| Error::io(format!("{} cannot be written: {e}", path.display()));
        let (mut file, written) = match written {
            // Another worker has begun it: what it wrote after its snapshot does not count.
            Some(written) => {
                let file = OpenOptions::new().write(true).open(&written.aside).map_err(failed)?;
                file.set_len(written.bytes).map_err(failed)?;
                (file, written)
            }
            None => {
                let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
                let (mut file, aside) = tempfile::Builder::new()
                    .prefix(".table")
                    .suffix(".part")
                    .tempfile_in(folder.unwrap_or(Path::new(".")))
                    .and_then(|aside| Ok(aside.keep()?))
                    .map_err(failed)?;
                let names: Vec<_> = input.fields().iter().map(|f| cell(f.name())).collect();
                let head =
                    format!("| {} |\n|{}\n", names.join(" | "), " --- |".repeat(names.len()));
                file.write_all(head.as_bytes()).map_err(failed)?;
                (file, Written { aside, bytes: head.len() as u64 })
            }
        };
        file.seek(SeekFrom::Start(written.bytes)).map_err(failed)?;
        Ok(Self { path: path.to_owned(), written, file, unfinished: true, resumable, known })
    }
}

impl Transform for Table {
    fn process(&mut self, batch: RecordBatch, _: &mut dyn Output) -> Result<()> {
        let mut text = String::new();
        for row in 0..batch.num_rows() {
            let cells: Vec<_> = batch.columns().iter().map(|column| value(column, row)).collect();
            text.push_str(&format!("| {} |\n", cells.join(" | ")));
        }
        self.file.write_all(text.as_bytes())?;
        self.written.bytes += text.len() as u64;
        Ok(())
    }

    fn finish(&mut self, _: &mut dyn Output) -> Result<()> {
        self.file.sync_all()?;
        std::fs::rename(&self.written.aside, &self.path)?;
        self.unfinished = false;
        Ok(())
    }

    fn snapshot(&mut self) -> Result<Snapshot> {
        if self.resumable {
            // What counts must be on the disk when the snapshot is.
            self.file.sync_data()?;
        }
        self.known = true;
        Snapshot::of(VERSION, &self.written)
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        if self.unfinished && !(self.resumable && self.known) {
            // Whether it goes or not, the table under its name is as it was.
            let _ = std::fs::remove_file(&self.written.aside);
        }
    }
}

fn value(column: &ArrayRef, row: usize) -> String {
    if column.is_null(row) {
        return String::new();
    }
    match column.data_type() {
        DataType::Utf8 => cell(column.as_string::<i32>().value(row)),
        DataType::Int64 => column.as_primitive::<Int64Type>().value(row).to_string(),
        DataType::Float64 => column.as_primitive::<Float64Type>().value(row).to_string(),
        _ => column.as_boolean().value(row).to_string(),
    }
}

/// A text that ends neither its cell nor its row.
fn cell(text: &str) -> String {
    text.replace('\\', "\\\\").replace('|', "\\|").replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use gristmill_stage::Typed;
    use gristmill_testkit::{Harness, rows};
    use serde_json::json;

    use super::*;

    #[test]
    fn a_table_is_written_when_all_has_come() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.md");
        let input = rows!([{ "a": "x|y", "n": 1 }, { "a": null, "n": 2 }]);
        let kind = Typed::<Markdown>::new();
        let options = json!({ "path": path });
        let mut stage = Harness::new().build(&kind, &options, Some(&input.schema())).unwrap();
        assert!(!path.exists());
        stage.run_transform(vec![input]).unwrap();
        drop(stage);
        let written = std::fs::read_to_string(&path).unwrap();
        assert_eq!(written, "| a | n |\n| --- | --- |\n| x\\|y | 1 |\n|  | 2 |\n");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
