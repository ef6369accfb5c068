//! A table in memory, and the rows of it by their keys.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch, UInt32Array};
use arrow_buffer::NullBuffer;
use arrow_row::{RowConverter, Rows, SortField};
use arrow_schema::{DataType, Schema, SchemaRef};
use arrow_select::concat::concat_batches;
use gristmill_stage::keys::canonical;
use gristmill_stage::option::ByteSize;
use gristmill_stage::{BuildContext, Error, Next, Output, Result, Stage, StageSpec};
use hashbrown::HashMap;

use crate::lookup::inside;
use crate::options::ReadOptions;
use crate::read::Read;

/// A column of the input and one of the table, and the type in which they are compared.
pub(crate) struct Key {
    name: String,
    input: usize,
    table: usize,
    common: DataType,
}

impl Key {
    /// # Errors
    /// When values of the two cannot be compared.
    pub(crate) fn new(
        input: &Schema,
        ours: usize,
        table: &Schema,
        theirs: usize,
        path: &str,
    ) -> Result<Self> {
        let (ours_field, theirs_field) = (input.field(ours), table.field(theirs));
        let (left, right) = (ours_field.data_type(), theirs_field.data_type());
        let common = common(left, right).ok_or_else(|| {
            let (a, b) = (ours_field.name(), theirs_field.name());
            let text = format!("`{a}` is {left}, but `{b}` of the table is {right}");
            Error::option(path, text)
                .help("declare its type with `columns` of the table, or cast with `map` before")
        })?;
        Ok(Self { name: ours_field.name().clone(), input: ours, table: theirs, common })
    }
}

/// The type to compare in.
fn common(left: &DataType, right: &DataType) -> Option<DataType> {
    let plain = |data_type: &DataType| match data_type {
        DataType::Dictionary(_, values) => values.as_ref().clone(),
        other => other.clone(),
    };
    let (left, right) = (plain(left), plain(right));
    let common = if left.is_string() && right.is_string() {
        DataType::Utf8
    } else if left.is_integer() && right.is_integer() && left != right {
        // Holds every whole number.
        DataType::Decimal128(20, 0)
    } else if left.equals_datatype(&right) {
        left
    } else {
        return None;
    };
    RowConverter::supports_fields(&[SortField::new(common.clone())]).then_some(common)
}

/// Reads the rows of a table.
///
/// # Errors
/// When it cannot be read, has rows that do not fit, or takes more than the memory.
pub(crate) fn load(
    options: ReadOptions,
    schema: &SchemaRef,
    context: &BuildContext,
    memory: ByteSize,
) -> Result<RecordBatch> {
    let reading = BuildContext::new(context.stage(), Arc::clone(context.clock()))
        .with_schemas(Arc::new(Schema::empty()), Arc::clone(schema));
    let Stage::Source(mut source) = Read::build(options, reading).map_err(inside)? else {
        return Err(Error::internal("`read` is no source"));
    };
    let mut loaded = Loaded { batches: Vec::new(), bytes: 0, memory };
    loop {
        match source.poll(&mut loaded).map_err(inside)? {
            Next::Now => {}
            Next::Done => break,
            Next::At(_) | Next::Wait => {
                return Err(Error::option("table.path", "the table has no end"));
            }
        }
    }
    concat_batches(schema, &loaded.batches).map_err(|e| {
        Error::option("memory", format!("the table is too large: {e}"))
            .help("`memory` of 1GiB at the most keeps tables small enough")
    })
}

/// Takes the rows of a table.
struct Loaded {
    batches: Vec<RecordBatch>,
    bytes: usize,
    memory: ByteSize,
}

impl Output for Loaded {
    fn emit(&mut self, batch: RecordBatch) -> Result<()> {
        self.bytes += batch.get_array_memory_size();
        self.batches.push(batch);
        // Together they are copied once.
        within(self.bytes.saturating_mul(2), self.memory)
    }

    fn reject(&mut self, _: RecordBatch, reason: &str) -> Result<()> {
        Err(Error::data(format!("the table has a row that does not fit: {reason}")))
    }
}

fn within(bytes: usize, memory: ByteSize) -> Result<()> {
    match bytes as u64 > memory.0 {
        true => Err(Error::option("memory", format!("the table takes more than {memory}"))
            .help("raise it, or keep only the rows and columns that are needed in the file")),
        false => Ok(()),
    }
}

/// The rows of a table by their keys.
pub(crate) struct Table {
    keys: Vec<Key>,
    converter: RowConverter,
    rows: HashMap<Box<[u8]>, u32>,
}

/// What a key takes besides its bytes: itself, its hash, and the head of its allocation.
const OVERHEAD: usize = 48;

impl Table {
    /// # Errors
    /// When two rows have the same key, unless the `first` of them counts, or the keys take more
    /// than the memory.
    pub(crate) fn new(
        rows: &RecordBatch,
        keys: Vec<Key>,
        memory: ByteSize,
        first: bool,
    ) -> Result<Self> {
        let fields = keys.iter().map(|key| SortField::new(key.common.clone()));
        let converter = RowConverter::new(fields.collect())?;
        let mut table = Self { keys, converter, rows: HashMap::new() };
        let columns = table.keys.iter().map(|key| (rows.column(key.table), &key.common));
        let (encoded, nulls) = encode(&table.converter, columns)?;
        let mut bytes = rows.get_array_memory_size();
        for (number, row) in (0_u32..).zip(encoded.iter()) {
            if nulls.as_ref().is_some_and(|nulls| nulls.is_null(number as usize)) {
                continue;
            }
            let taken = table.rows.try_insert(row.data().into(), number).is_err();
            if taken && !first {
                let text = format!("two rows of the table have the same {}", table.names());
                return Err(Error::option("on", text).help(format!(
                    "the second is row {}; `duplicates: first` takes the first of them",
                    number + 1
                )));
            }
            bytes += row.data().len() + OVERHEAD;
        }
        within(bytes, memory)?;
        Ok(table)
    }

    fn names(&self) -> String {
        let names: Vec<String> = self.keys.iter().map(|key| format!("`{}`", key.name)).collect();
        names.join(" and ")
    }

    /// Why a row was not found.
    pub(crate) fn reason(&self) -> String {
        format!("no row of the table has its {}", self.names())
    }

    /// The row of the table for each row of a batch; null where there is none.
    pub(crate) fn find(&self, batch: &RecordBatch) -> Result<UInt32Array> {
        let columns = self.keys.iter().map(|key| (batch.column(key.input), &key.common));
        let (rows, nulls) = encode(&self.converter, columns)?;
        let found = rows.iter().enumerate().map(|(n, row)| {
            let null = nulls.as_ref().is_some_and(|nulls| nulls.is_null(n));
            if null { None } else { self.rows.get(row.data()).copied() }
        });
        Ok(found.collect())
    }
}

/// The key of each row, and which keys have a null in them.
fn encode<'a>(
    converter: &RowConverter,
    columns: impl Iterator<Item = (&'a ArrayRef, &'a DataType)>,
) -> Result<(Rows, Option<NullBuffer>)> {
    let mut nulls = None;
    let mut keys = Vec::new();
    for (column, common) in columns {
        let column = match column.data_type() == common {
            true => Arc::clone(column),
            false => arrow_cast::cast(column, common)?,
        };
        nulls = NullBuffer::union(nulls.as_ref(), column.logical_nulls().as_ref());
        keys.push(canonical(&column)?);
    }
    Ok((converter.convert_columns(&keys)?, nulls))
}
