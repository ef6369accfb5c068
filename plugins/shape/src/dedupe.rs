//! `dedupe`: the first of the rows that are equal.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{ArrayRef, BooleanArray, RecordBatch, UInt64Array};
use arrow_row::{RowConverter, SortField};
use arrow_schema::SchemaRef;
use arrow_select::filter::filter_record_batch;
use gristmill_stage::option::ByteSize;
use gristmill_stage::{
    BuildContext, Error, ErrorKind, Lineage, Output, Planned, Reading, Readout, Result, Role,
    Snapshot, Stage, StageSpec, State, Transform,
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::bloom::Bloom;
use crate::exact::{Exact, Full, hash};
use crate::keys::{Keys, comparable, find_all};
use crate::memory;

/// The kind `dedupe`.
#[derive(Debug, Clone, Copy)]
pub struct Dedupe;

/// Options of `dedupe`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DedupeOptions {
    /// Rows that are equal in these columns count as one; in all columns when left out. Nulls are
    /// equal to each other, and so are NaNs.
    #[serde(default)]
    by: Option<Vec<String>>,
    /// The most memory that what is remembered of the rows may take in a worker; more is an error.
    #[serde(default = "memory")]
    memory: ByteSize,
    /// Remembers less of each row, for inputs with more different rows than memory has room for.
    #[serde(default)]
    approximate: Option<Approximate>,
}

/// How rows are remembered in little memory.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Approximate {
    /// The share of new rows that may be taken for old ones, and so be lost: of `0.001`, at the most
    /// about one in a thousand. A Bloom filter of this rate needs some 2 bytes a row; exact memory
    /// needs the columns of `by` and 20 bytes.
    false_positives: f64,
}

impl DedupeOptions {
    fn columns(&self, schema: &SchemaRef) -> Result<Vec<usize>> {
        let columns = match &self.by {
            Some(names) => find_all(schema, names, "by")?,
            None => {
                for field in schema.fields() {
                    comparable(field.name(), field.data_type(), "")
                        .map_err(|e| e.help("name the columns that count: `by: [id]`"))?;
                }
                (0..schema.fields().len()).collect()
            }
        };
        match columns.is_empty() {
            true => Err(Error::option("by", "there is no column to compare rows by")
                .help("name one, or leave `by` out to compare all")),
            false => Ok(columns),
        }
    }
}

impl StageSpec for Dedupe {
    type Options = DedupeOptions;

    const KIND: &'static str = "dedupe";
    const SUMMARY: &'static str = "Passes the first of the rows on that are equal in some columns.";
    const ROLE: Role = Role::Transform;
    const EXAMPLE: &'static str = "type: dedupe\nwith: { by: [url] }";
    const INPUT: &'static str = "any columns";
    const OUTPUT: &'static str = "the columns of the input";
    const READINGS: &'static [Reading] =
        &[Reading::gauge("remembered", "Different rows that are remembered.")];

    fn plan(options: &DedupeOptions, input: Option<&SchemaRef>) -> Result<Planned> {
        let input = input.ok_or_else(|| Error::schema("`dedupe` has no input"))?;
        let columns = options.columns(input)?;
        let rate = options.approximate.as_ref().map(|approximate| approximate.false_positives);
        if rate.is_some_and(|rate| !(1e-9..=0.5).contains(&rate)) {
            let text = "the share of rows that may be lost must be from 1e-9 to 0.5";
            return Err(
                Error::option("approximate.false_positives", text).help("for example 0.001")
            );
        }
        let names = columns.into_iter().map(|index| input.field(index).name().clone());
        let names: Vec<String> = names.collect();
        let lineage = Lineage::carries(input, names.iter().cloned());
        Ok(Planned::emits(input.clone()).lineage(lineage).keyed(names).holds(options.memory.0))
    }

    fn build(options: DedupeOptions, context: BuildContext) -> Result<Stage> {
        let keys = Keys::equal(context.input(), &options.columns(context.input())?)?;
        let seen = match &options.approximate {
            None => Seen::Exact(Exact::new(options.memory)),
            Some(approximate) => {
                Seen::Bloom(Bloom::new(approximate.false_positives, options.memory))
            }
        };
        let remembered = context.reading("remembered")?;
        let mut stage = Deduping { keys, seen, memory: options.memory, remembered };
        if let Some(state) = context.restored().state(VERSION)? {
            stage.restore(state)?;
        }
        Ok(Stage::transform(stage))
    }
}

/// Layout of the snapshot: the keys as columns, or the filters and their sizes.
const VERSION: u32 = 1;
const KEYS: &str = "keys";
const FILTER: &str = "filter";
const SIZES: &str = "sizes";
/// Keys in a part of the snapshot.
const PART: usize = 65_536;

struct Deduping {
    keys: Keys,
    seen: Seen,
    memory: ByteSize,
    remembered: Readout,
}

enum Seen {
    Exact(Exact),
    Bloom(Bloom),
}

impl Seen {
    fn len(&self) -> u64 {
        match self {
            Self::Exact(exact) => exact.len() as u64,
            Self::Bloom(bloom) => bloom.len(),
        }
    }

    fn insert(&mut self, key: &[u8]) -> Result<bool, Full> {
        match self {
            Self::Exact(exact) => exact.insert(key),
            Self::Bloom(bloom) => bloom.insert(hash(key)),
        }
    }
}

impl Deduping {
    fn full(&self) -> Error {
        let more = match &self.seen {
            Seen::Exact(_) => ", or remember less with `approximate`",
            Seen::Bloom(_) => ", or allow more `false_positives`",
        };
        let rows = self.seen.len();
        let memory = self.memory;
        let text = format!("more than {rows} different rows do not fit into `memory`, {memory}");
        Error::data(text).help(format!("raise it, use several workers{more}"))
    }

    fn restore(&mut self, state: &State) -> Result<()> {
        for (name, part) in &state.parts {
            match (&mut self.seen, name.as_str()) {
                (Seen::Exact(_), KEYS) => self.restore_keys(part)?,
                (Seen::Bloom(_), SIZES) => {}
                (Seen::Bloom(bloom), filter) => restore_filter(bloom, state, filter, part)?,
                (Seen::Exact(_), _) => return Err(unfit()),
            }
        }
        Ok(())
    }

    fn restore_keys(&mut self, part: &RecordBatch) -> Result<()> {
        let fields =
            part.schema_ref().fields().iter().map(|f| SortField::new(f.data_type().clone()));
        let rows = RowConverter::new(fields.collect())?.convert_columns(part.columns())?;
        for row in &rows {
            if self.seen.insert(row.data()).is_err() {
                return Err(self.full());
            }
        }
        Ok(())
    }
}

fn restore_filter(bloom: &mut Bloom, state: &State, name: &str, part: &RecordBatch) -> Result<()> {
    let numbers = |batch: &RecordBatch| -> Option<Vec<u64>> {
        Some(batch.columns().first()?.as_primitive_opt::<UInt64Type>()?.values().to_vec())
    };
    let sizes = state.part(SIZES).and_then(numbers).ok_or_else(unfit)?;
    let number = name.strip_prefix(FILTER).and_then(|number| number.parse::<usize>().ok());
    let size = number.and_then(|number| sizes.chunks_exact(3).nth(number));
    let (Some([hashes, room, len]), Some(words)) = (size, numbers(part)) else {
        return Err(unfit());
    };
    bloom.restore(words, u32::try_from(*hashes).map_err(|_| unfit())?, *room, *len);
    Ok(())
}

fn unfit() -> Error {
    Error::new(ErrorKind::Restore, "the snapshot was made with other options")
}

fn numbers(values: Vec<u64>) -> Result<RecordBatch> {
    let column: ArrayRef = Arc::new(UInt64Array::from(values));
    Ok(RecordBatch::try_from_iter([("number", column)])?)
}

impl Transform for Deduping {
    fn process(&mut self, batch: RecordBatch, out: &mut dyn Output) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let rows = self.keys.of(&batch)?;
        let new: Result<Vec<bool>, Full> =
            rows.iter().map(|row| self.seen.insert(row.data())).collect();
        let new = BooleanArray::from(new.map_err(|Full| self.full())?);
        self.remembered.set(self.seen.len() as f64);
        match new.true_count() {
            0 => Ok(()),
            count if count == new.len() => out.emit(batch),
            _ => out.emit(filter_record_batch(&batch, &new)?),
        }
    }

    fn snapshot(&mut self) -> Result<Snapshot> {
        let mut parts = Vec::new();
        match &self.seen {
            Seen::Exact(exact) => {
                let converter = self.keys.converter();
                let parser = converter.parser();
                let mut keys = exact.keys().map(|key| parser.parse(key)).peekable();
                while keys.peek().is_some() {
                    let columns = converter.convert_rows(keys.by_ref().take(PART))?;
                    let columns = columns.into_iter().enumerate();
                    let columns = columns.map(|(n, column)| (n.to_string(), column, true));
                    let part = RecordBatch::try_from_iter_with_nullable(columns)?;
                    parts.push((KEYS.to_owned(), part));
                }
            }
            Seen::Bloom(bloom) => {
                let mut sizes = Vec::new();
                for (n, layer) in bloom.layers().iter().enumerate() {
                    sizes.extend([layer.hashes().into(), layer.room, layer.len]);
                    parts.push((format!("{FILTER}{n}"), numbers(layer.words().to_vec())?));
                }
                parts.push((SIZES.to_owned(), numbers(sizes)?));
            }
        }
        Ok(Snapshot::parts(VERSION, parts))
    }
}
