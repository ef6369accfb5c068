//! `lookup`: columns of a file beside the rows that go by.

mod pairs;
mod table;

use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow_schema::{Schema, SchemaRef};
use arrow_select::filter::filter_record_batch;
use arrow_select::take::take;
use gristmill_stage::option::ByteSize;
use gristmill_stage::{
    BuildContext, Error, Lineage, Output, Planned, Result, Role, Stage, StageSpec, Transform,
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::options::ReadOptions;
use crate::read::Read;
use table::{Key, Table};

pub use pairs::Pairs;

/// The kind `lookup`.
#[derive(Debug, Clone, Copy)]
pub struct Lookup;

/// What becomes of a row that has no row in the table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Missing {
    /// It stays, with null in the columns of the table.
    #[default]
    Null,
    /// It is rejected.
    Reject,
    /// It goes, and is not counted as rejected.
    Drop,
}

/// What is done when several rows of the table have the same key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Duplicates {
    /// It is an error, before the run.
    #[default]
    Error,
    /// The first of them counts.
    First,
}

/// Options of `lookup`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LookupOptions {
    /// The file with the table, by the options of `read`: `{ path: cities.csv }`. It is read as a
    /// whole before the run.
    table: ReadOptions,
    /// The columns that must be equal in a row and in the table: a list of those that have the same
    /// name in both, or names of the input with those of the table, `{ city_id: id }`. Null is equal
    /// to nothing. Texts, and whole numbers of any size, are compared with each other; other types
    /// must be the same.
    on: Pairs,
    /// The columns to take from the table: a list, or new names with those of the table,
    /// `{ country_name: name }`. All that are not in `on`, when left out.
    #[serde(default)]
    take: Option<Pairs>,
    /// What becomes of a row that has no row in the table.
    #[serde(default)]
    missing: Option<Missing>,
    /// What is done when several rows of the table have the same key.
    #[serde(default)]
    duplicates: Duplicates,
    /// The most memory that the table may take in each worker; more is an error.
    #[serde(default = "memory")]
    memory: ByteSize,
}

fn memory() -> ByteSize {
    ByteSize(256 << 20)
}

/// Which columns are compared and taken.
struct Shape {
    /// Of the input and of the table.
    keys: Vec<Key>,
    /// Of the table.
    taken: Vec<usize>,
    output: SchemaRef,
}

impl LookupOptions {
    fn shape(&self, input: &Schema, table: &Schema) -> Result<Shape> {
        let keys = self.keys(input, table)?;
        let missing = self.missing.unwrap_or_default() == Missing::Null;
        let mut fields = input.fields().to_vec();
        let mut taken = Vec::new();
        for (path, name, column) in self.taken(table) {
            let index = find(table, &column, &path, "the table")?;
            if fields.iter().any(|field| *field.name() == name) {
                let text = format!("there would be two columns `{name}`");
                return Err(Error::option(path, text).help(format!(
                    "take it under another name: `take: {{ new_name: {column} }}`"
                )));
            }
            let field = table.field(index).clone().with_name(name);
            let nullable = missing || field.is_nullable();
            fields.push(Arc::new(field.with_nullable(nullable)));
            taken.push(index);
        }
        let output = Schema::new_with_metadata(fields, input.metadata().clone());
        Ok(Shape { keys, taken, output: Arc::new(output) })
    }

    fn keys(&self, input: &Schema, table: &Schema) -> Result<Vec<Key>> {
        if self.on.is_empty() {
            return Err(Error::option("on", "there is nothing to find rows by")
                .help("name columns that the input and the table have"));
        }
        let pairs = self.on.each("on");
        pairs
            .map(|(path, ours, theirs)| {
                let ours = find(input, &ours, &path, "the input")?;
                let theirs = find(table, &theirs, &path, "the table")?;
                Key::new(input, ours, table, theirs, &path)
            })
            .collect()
    }

    /// Where each taken column is named, its new name, and its name in the table.
    fn taken(&self, table: &Schema) -> Vec<(String, String, String)> {
        match &self.take {
            Some(take) => take.each("take").collect(),
            None => {
                let keys: Vec<String> = self.on.each("on").map(|(_, _, theirs)| theirs).collect();
                let others = table.fields().iter().map(|field| field.name());
                let others = others.filter(|name| !keys.contains(name));
                others.map(|name| ("take".to_owned(), name.clone(), name.clone())).collect()
            }
        }
    }
}

fn find(schema: &Schema, name: &str, path: &str, whose: &str) -> Result<usize> {
    schema.index_of(name).map_err(|_| {
        let text = format!("{whose} has no column `{name}`");
        if whose == "the input" {
            return Error::column(name, text).at(path);
        }
        let names: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        Error::option(path, text).help(format!("it has {}", names.join(", ")))
    })
}

/// Puts an error of `read` where its option stands here.
fn inside(error: Error) -> Error {
    let path = match error.option_path() {
        None | Some("") => "table".to_owned(),
        Some(path) => format!("table.{path}"),
    };
    error.at(path)
}

impl StageSpec for Lookup {
    type Options = LookupOptions;

    const KIND: &'static str = "lookup";
    const SUMMARY: &'static str = "Adds columns of a small file to the rows that have its keys.";
    const ROLE: Role = Role::Transform;
    const EXAMPLE: &'static str = "type: lookup\nwith:\n  table: { path: cities.csv }\n  \
         on: { city_id: id }\n  take: [name, country]";
    const INPUT: &'static str = "any; `on` names its columns";
    const OUTPUT: &'static str = "the columns of the input, and those taken from the table";

    fn plan(options: &LookupOptions, input: Option<&SchemaRef>) -> Result<Planned> {
        let input = input.ok_or_else(|| Error::schema("`lookup` has no input"))?;
        let read = Read::plan(&options.table, None).map_err(inside)?;
        if read.once {
            return Err(Error::option("table.path", "a table comes from files that have an end")
                .help("write what comes from the pipe to a file first"));
        }
        let shape = options.shape(input, &read.output)?;
        let lineage = Lineage::carries(input, options.on.each("on").map(|(_, ours, _)| ours));
        let planned = Planned::emits(shape.output).lineage(lineage).holds(options.memory.0);
        Ok(read.reads.into_iter().fold(planned, Planned::reads))
    }

    fn build(options: LookupOptions, context: BuildContext) -> Result<Stage> {
        let table = Read::plan(&options.table, None).map_err(inside)?;
        let shape = options.shape(context.input(), &table.output)?;
        let first = options.duplicates == Duplicates::First;
        let rows = table::load(options.table, &table.output, &context, options.memory)?;
        let table = Table::new(&rows, shape.keys, options.memory, first)?;
        let taken = shape.taken.iter().map(|index| Arc::clone(rows.column(*index))).collect();
        Ok(Stage::transform(Looking {
            table,
            taken,
            missing: options.missing.unwrap_or_default(),
            output: Arc::clone(context.output()),
        }))
    }
}

struct Looking {
    table: Table,
    taken: Vec<ArrayRef>,
    missing: Missing,
    output: SchemaRef,
}

impl Looking {
    /// Parts the rows that the table has nothing for from the others.
    fn part(
        &self,
        batch: RecordBatch,
        found: UInt32Array,
        out: &mut dyn Output,
    ) -> Result<(RecordBatch, UInt32Array)> {
        let known = BooleanArray::from_iter(found.iter().map(|row| Some(row.is_some())));
        if self.missing == Missing::Null || known.true_count() == known.len() {
            return Ok((batch, found));
        }
        if self.missing == Missing::Reject {
            let unknown = BooleanArray::from_unary(&known, |known| !known);
            out.reject(filter_record_batch(&batch, &unknown)?, &self.table.reason())?;
        }
        let found = UInt32Array::from_iter_values(found.iter().flatten());
        Ok((filter_record_batch(&batch, &known)?, found))
    }
}

impl Transform for Looking {
    fn process(&mut self, batch: RecordBatch, out: &mut dyn Output) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let found = self.table.find(&batch)?;
        let (batch, found) = self.part(batch, found, out)?;
        let mut columns = batch.columns().to_vec();
        for column in &self.taken {
            columns.push(take(column.as_ref(), &found, None)?);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let output = Arc::clone(&self.output);
        out.emit(RecordBatch::try_new_with_options(output, columns, &options)?)
    }
}
