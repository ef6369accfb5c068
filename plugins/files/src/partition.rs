//! Rows by the values of columns, as folders that Hive, Spark, DuckDB and Polars know.

use std::collections::HashMap;
use std::fmt::Write;

use arrow_array::{Array, RecordBatch, StringArray, UInt32Array};
use arrow_cast::cast;
use arrow_schema::{DataType, SchemaRef};
use arrow_select::take::take_record_batch;
use gristmill_stage::{Error, Result};

/// What stands for null.
const NULL: &str = "__HIVE_DEFAULT_PARTITION__";
/// The most bytes of a name.
const LONGEST: usize = 255;

/// The columns that rows are parted by.
#[derive(Debug, Clone)]
pub(crate) struct Partition {
    /// Where they are in the input, and their names as a folder has them.
    columns: Vec<(usize, String)>,
}

/// The rows of a batch, parted.
pub(crate) struct Parts {
    /// By folder, in the order in which the folders turn up.
    pub(crate) good: Vec<(String, RecordBatch)>,
    /// Rows whose folder has no name.
    pub(crate) bad: Option<RecordBatch>,
}

impl Partition {
    /// # Errors
    /// A column that the input does not have, or whose values are no names.
    pub(crate) fn new(input: &SchemaRef, names: &[String]) -> Result<Self> {
        if names.is_empty() {
            return Err(Error::option("partition_by", "no columns are named")
                .help("leave it out to write one file"));
        }
        let mut columns: Vec<(usize, String)> = Vec::with_capacity(names.len());
        for (n, name) in names.iter().enumerate() {
            let option = format!("partition_by.{n}");
            let at = input.index_of(name).map_err(|_| {
                Error::column(name, format!("the input has no column `{name}`")).at(&option)
            })?;
            if columns.iter().any(|(before, _)| *before == at) {
                return Err(Error::option(option, format!("column `{name}` is named twice")));
            }
            let kind = input.field(at).data_type();
            if !is_name(kind) {
                let text = format!("values of column `{name}` ({kind}) are no names of folders");
                return Err(Error::column(name, text)
                    .at(&option)
                    .help("columns of texts, integers, booleans, dates, times and decimals are"));
            }
            columns.push((at, escaped(name)));
        }
        Ok(Self { columns })
    }

    /// The first column, as a folder has it.
    pub(crate) fn first(&self) -> &str {
        self.columns.first().map_or("", |(_, name)| name)
    }

    /// The names of all other columns.
    pub(crate) fn others(&self, input: &SchemaRef) -> Vec<String> {
        let fields = input.fields().iter().enumerate();
        let others = fields.filter(|(at, _)| !self.columns.iter().any(|(column, _)| column == at));
        others.map(|(_, field)| field.name().clone()).collect()
    }

    /// Parts the rows of a batch; those of a folder stay in their order.
    pub(crate) fn parts(&self, batch: &RecordBatch) -> Result<Parts> {
        let mut texts = Vec::with_capacity(self.columns.len());
        for (at, name) in &self.columns {
            let column = cast(batch.column(*at), &DataType::Utf8)?;
            let column = column.as_any().downcast_ref::<StringArray>().cloned();
            texts.push((name, column.ok_or_else(|| Error::internal("a cast made no texts"))?));
        }
        let mut folders: Vec<(String, Vec<u32>)> = Vec::new();
        let (mut known, mut bad) = (HashMap::<String, usize>::new(), Vec::new());
        let (mut folder, mut last) = (String::new(), None);
        for row in 0..batch.num_rows() {
            let number = u32::try_from(row).map_err(|_| Error::internal("a batch is too large"))?;
            folder.clear();
            if !texts.iter().all(|(name, column)| add(&mut folder, name, column, row)) {
                bad.push(number);
                continue;
            }
            // Rows that follow one another often go to the same folder.
            let at = match last.filter(|at: &usize| folders[*at].0 == folder) {
                Some(at) => at,
                None => *known.entry(folder.clone()).or_insert_with(|| {
                    folders.push((folder.clone(), Vec::new()));
                    folders.len() - 1
                }),
            };
            folders[at].1.push(number);
            last = Some(at);
        }
        let take = |rows: Vec<u32>| take_record_batch(batch, &UInt32Array::from(rows));
        let good = match (folders.len(), bad.is_empty()) {
            (1, true) => folders.into_iter().map(|(folder, _)| (folder, batch.clone())).collect(),
            _ => {
                let parts = folders.into_iter().map(|(folder, rows)| Ok((folder, take(rows)?)));
                parts.collect::<Result<_>>()?
            }
        };
        let bad = if bad.is_empty() { None } else { Some(take(bad)?) };
        Ok(Parts { good, bad })
    }
}

/// Adds the folder of a value. False when its name would be too long.
fn add(folder: &mut String, name: &str, column: &StringArray, row: usize) -> bool {
    if !folder.is_empty() {
        folder.push('/');
    }
    let begin = folder.len();
    folder.push_str(name);
    folder.push('=');
    match column.is_null(row) {
        true => folder.push_str(NULL),
        false => match column.value(row) {
            // A text that is the word for null is no null.
            NULL => folder.push_str(&NULL.replacen('_', "%5F", 1)),
            value => escape(value, folder),
        },
    }
    folder.len() - begin <= LONGEST
}

fn escaped(text: &str) -> String {
    let mut out = String::new();
    escape(text, &mut out);
    out
}

/// As Hive does it: what means something in a path is written as the number of its byte.
fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '"'
            | '#'
            | '%'
            | '\''
            | '*'
            | '/'
            | ':'
            | '='
            | '?'
            | '\\'
            | '{'
            | '['
            | ']'
            | '^'
            | '\u{7F}'
            | '\0'..='\u{1F}' => {
                // Writing a text into memory cannot fail.
                let _ = write!(out, "%{:02X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
}

/// Whether each value of such a column has one text.
fn is_name(kind: &DataType) -> bool {
    match kind {
        DataType::Dictionary(_, values) => is_name(values),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Boolean => true,
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) => true,
        DataType::Decimal128(..) | DataType::Decimal256(..) => true,
        other => other.is_integer(),
    }
}
