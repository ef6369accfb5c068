//! Files that hold columns in blocks, each of which can be read without those before it.
//!
//! A format is a file here, an implementation of [`Blocks`], and a line in [`open`].

mod arrow;
mod bounds;
mod parquet;
mod reader;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::{FieldRef, Schema, SchemaRef};
use gristmill_stage::{BatchTarget, Comparison, Error, Result};

pub(crate) use self::reader::build;
use crate::current::regular;
use crate::format::Format;
use crate::paths::Input;
use crate::plain;

/// An open file of such a format.
pub(crate) trait Blocks: Send {
    /// How many blocks it has.
    fn count(&self) -> usize;

    /// Whether a row of that block may be one for which all of these are true. `false` is sure.
    fn may_hold(&self, _block: usize, _hints: &[Comparison]) -> bool {
        true
    }

    /// Goes to a row of a block.
    fn start(&mut self, block: usize, row: u64) -> Result<()>;

    /// The next rows of that block; `None` at its end.
    fn next(&mut self) -> Result<Option<RecordBatch>>;
}

/// Opens a file to read these columns; all of them when none are named.
fn open(
    format: Format,
    path: &Path,
    wanted: Option<&SchemaRef>,
    target: BatchTarget,
) -> Result<(SchemaRef, Box<dyn Blocks>)> {
    let opened = contained(|| {
        Ok(match format {
            Format::Parquet => {
                let (schema, blocks) = parquet::open(path, wanted, target)?;
                (schema, Box::new(blocks) as Box<dyn Blocks>)
            }
            _ => {
                let (schema, blocks) = arrow::open(path, wanted)?;
                (schema, Box::new(blocks) as Box<dyn Blocks>)
            }
        })
    });
    opened.map_err(|e| e.context(path.display()))
}

/// The readers of both formats panic over some files that are broken. What has panicked is dropped.
fn contained<T>(read: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| {
        Err(Error::data("its data is broken, in a way that its reader does not expect"))
    })
}

/// The columns of all these files, and the most blocks that one of them has.
pub(crate) fn schema(format: Format, inputs: &[Input]) -> Result<(SchemaRef, usize)> {
    let mut found: Option<(SchemaRef, String)> = None;
    let mut most = 0;
    for input in inputs {
        let wrong = |text: String| Error::option("path", text);
        let path = match input {
            Input::File(path) if regular(input) => path,
            _ => {
                return Err(wrong(format!("{} cannot be read as columns", input.name()))
                    .help("such files are read at any place, so it takes a regular file"));
            }
        };
        let opened = open(format, path, None, BatchTarget::default());
        let (schema, blocks) = opened.map_err(|e| e.at("path"))?;
        most = most.max(blocks.count());
        if let Some(name) = doubled(&schema) {
            return Err(wrong(format!("{} has two columns `{name}`", input.name())));
        }
        found = Some(match found {
            None => (schema, input.name()),
            Some((first, name)) => {
                let both = both(&first, &schema).map_err(|what| {
                    wrong(format!("{} {what}, other than {name}", input.name()))
                        .help("one `read` for the files of each kind")
                })?;
                (both, name)
            }
        });
    }
    found
        .map(|(schema, _)| (schema, most))
        .ok_or_else(|| Error::option("path", "there is no file to read"))
}

fn doubled(schema: &Schema) -> Option<&str> {
    let fields = schema.fields();
    let again = |(n, field): &(usize, &FieldRef)| {
        fields[..*n].iter().any(|before| before.name() == field.name())
    };
    fields.iter().enumerate().find(again).map(|(_, field)| field.name().as_str())
}

/// The columns of two files, which may stand in another order in the second. The error says what is
/// different in it.
fn both(first: &SchemaRef, second: &SchemaRef) -> Result<SchemaRef, String> {
    let mut fields = Vec::with_capacity(first.fields().len());
    for field in first.fields() {
        let Ok(other) = second.field_with_name(field.name()) else {
            return Err(format!("has no column `{}`", field.name()));
        };
        if other.data_type() != field.data_type() {
            let (name, kind) = (field.name(), other.data_type());
            return Err(format!("has {kind} in column `{name}`"));
        }
        let nullable = field.is_nullable() || other.is_nullable();
        fields.push(Arc::new(field.as_ref().clone().with_nullable(nullable)));
    }
    match second.fields().iter().find(|field| first.index_of(field.name()).is_err()) {
        Some(field) => Err(format!("has a column `{}`", field.name())),
        None => Ok(Arc::new(Schema::new(fields))),
    }
}

/// Which columns of a file these are, in the order of the file.
fn projection(file: &Schema, wanted: &Schema) -> Result<Vec<usize>> {
    let find = |field: &FieldRef| {
        file.index_of(field.name())
            .map_err(|_| Error::data(format!("it has no column `{}` any more", field.name())))
    };
    let mut columns = wanted.fields().iter().map(find).collect::<Result<Vec<_>>>()?;
    columns.sort_unstable();
    Ok(columns)
}

/// What was read, as it was planned: these columns in this order, with plain types.
fn fit(batch: &RecordBatch, wanted: &SchemaRef) -> Result<RecordBatch> {
    let column = |field: &FieldRef| {
        let column = batch.column_by_name(field.name());
        let column = column.ok_or_else(|| Error::internal("a column was not read"))?;
        plain::column(column, field.data_type())
    };
    let columns = wanted.fields().iter().map(column).collect::<Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(wanted.clone(), columns, &options)?)
}
