//! `sample`: some of the rows, by chance that can be repeated.

use arrow_array::{BooleanArray, RecordBatch};
use arrow_schema::SchemaRef;
use arrow_select::filter::filter_record_batch;
use gristmill_stage::option::ByteSize;
use gristmill_stage::{
    BuildContext, Error, Lineage, Output, Planned, Result, Role, Snapshot, Stage, StageSpec,
    Transform,
};
use schemars::JsonSchema;
use serde::Deserialize;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::best::{Best, RankKeys, Ranked};
use crate::kept::{Keeping, Rank};
use crate::keys::{Keys, find_all};
use crate::ordered::Place;
use crate::{memory, plain};

/// The kind `sample`.
#[derive(Debug, Clone, Copy)]
pub struct Sample;

/// Options of `sample`: one of `rate`, `every` and `rows`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SampleOptions {
    /// Each row stays with this chance, from 0 to 1: of `0.01`, about one row in a hundred.
    #[serde(default)]
    rate: Option<f64>,
    /// The first of every so many rows stays.
    #[serde(default)]
    every: Option<u64>,
    /// So many rows stay, all with the same chance, when the input has ended; in the order in which
    /// they came.
    #[serde(default)]
    rows: Option<usize>,
    /// With `rate`: the columns that decide. Rows that are equal in them stay or go together, however
    /// many workers there are.
    #[serde(default)]
    by: Vec<String>,
    /// Another number makes another choice. With the same one, the same rows of an input stay.
    #[serde(default)]
    seed: u64,
    /// The most memory that `rows` may take; more is an error.
    #[serde(default = "memory")]
    memory: ByteSize,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Choice {
    Rate(f64),
    Every(u64),
    Rows(usize),
}

impl SampleOptions {
    fn choice(&self) -> Result<Choice> {
        let choice = match (self.rate, self.every, self.rows) {
            (Some(rate), None, None) => Choice::Rate(rate),
            (None, Some(every), None) => Choice::Every(every),
            (None, None, Some(rows)) => Choice::Rows(rows),
            (None, None, None) => {
                return Err(Error::option("", "it does not say which rows stay")
                    .help("one of `rate: 0.01`, `every: 100` and `rows: 1000`"));
            }
            (rate, every, _) => {
                let path = if rate.is_some() && every.is_some() { "every" } else { "rows" };
                return Err(Error::option(
                    path,
                    "only one of `rate`, `every` and `rows` can choose",
                )
                .help("leave the others out"));
            }
        };
        if let Choice::Rate(rate) = choice
            && !(0.0..=1.0).contains(&rate)
        {
            return Err(Error::option("rate", format!("{rate} is no chance"))
                .help("a number from 0 to 1, such as 0.01"));
        }
        if choice == Choice::Every(0) || choice == Choice::Rows(0) {
            let path = if choice == Choice::Rows(0) { "rows" } else { "every" };
            return Err(Error::option(path, "no row would stay").help("1 or more"));
        }
        if !self.by.is_empty() && !matches!(choice, Choice::Rate(_)) {
            return Err(Error::option("by", "only with `rate` do columns decide")
                .help("leave it out, or write `rate`"));
        }
        Ok(choice)
    }

    fn keys(&self, schema: &SchemaRef) -> Result<Option<Keys>> {
        match find_all(schema, &self.by, "by")?.as_slice() {
            [] => Ok(None),
            columns => Keys::equal(schema, columns).map(Some),
        }
    }
}

impl StageSpec for Sample {
    type Options = SampleOptions;

    const KIND: &'static str = "sample";
    const SUMMARY: &'static str = "Passes some of the rows on, by a rate, by a step or a number.";
    const ROLE: Role = Role::Transform;
    const EXAMPLE: &'static str = "type: sample\nwith: { rate: 0.01 }";
    const INPUT: &'static str = "any columns";
    const OUTPUT: &'static str = "The columns of the input; with `rows`, dictionaries as values.";

    fn plan(options: &SampleOptions, input: Option<&SchemaRef>) -> Result<Planned> {
        let input = input.ok_or_else(|| Error::schema("`sample` has no input"))?;
        let choice = options.choice()?;
        options.keys(input)?;
        let planned = match choice {
            Choice::Rows(_) => Planned::emits(plain::schema_of(input)).holds(options.memory.0),
            Choice::Rate(_) | Choice::Every(_) => Planned::emits(input.clone()),
        };
        let planned = planned.lineage(Lineage::carries(input, options.by.iter().cloned()));
        Ok(match options.by.is_empty() {
            true => planned.single("the place of a row among all rows decides whether it stays"),
            false => planned,
        })
    }

    fn build(options: SampleOptions, context: BuildContext) -> Result<Stage> {
        let seed = options.seed;
        let choice = match options.choice()? {
            Choice::Rows(rows) => {
                let rank = Draw { seed };
                let keeping = Keeping::new(rank, rows, options.memory, &context)?;
                return Ok(Stage::transform(keeping));
            }
            choice => choice,
        };
        let keys = options.keys(context.input())?;
        let passed = context.restored().value(VERSION)?.unwrap_or(0);
        Ok(Stage::transform(Sampling { choice, keys, seed, passed }))
    }
}

/// Layout of the snapshot: how many rows have passed.
const VERSION: u32 = 1;

struct Sampling {
    choice: Choice,
    keys: Option<Keys>,
    seed: u64,
    passed: u64,
}

impl Sampling {
    fn mask(&self, batch: &RecordBatch) -> Result<BooleanArray> {
        let numbers = self.passed..self.passed + batch.num_rows() as u64;
        Ok(match (&self.choice, &self.keys) {
            (Choice::Every(every), _) => {
                numbers.map(|number| Some(number.is_multiple_of(*every))).collect()
            }
            (Choice::Rate(rate), Some(keys)) => {
                let rows = keys.of(batch)?;
                let stays = |key: &[u8]| share(xxh3_64_with_seed(key, self.seed)) < *rate;
                rows.iter().map(|row| Some(stays(row.data()))).collect()
            }
            (Choice::Rate(rate), None) => {
                numbers.map(|number| Some(share(draw(number, self.seed)) < *rate)).collect()
            }
            (Choice::Rows(_), _) => BooleanArray::from(vec![true; batch.num_rows()]),
        })
    }
}

/// What chance gives to the row of that number.
fn draw(number: u64, seed: u64) -> u64 {
    xxh3_64_with_seed(&number.to_le_bytes(), seed)
}

/// The number as a part of all numbers: from 0 on, below 1.
fn share(hash: u64) -> f64 {
    // As many bits as a float has.
    (hash >> 11) as f64 / (1_u64 << 53) as f64
}

impl Transform for Sampling {
    fn process(&mut self, batch: RecordBatch, out: &mut dyn Output) -> Result<()> {
        let mask = self.mask(&batch)?;
        self.passed += batch.num_rows() as u64;
        match mask.true_count() {
            0 => Ok(()),
            count if count == batch.num_rows() => out.emit(batch),
            _ => out.emit(filter_record_batch(&batch, &mask)?),
        }
    }

    fn snapshot(&mut self) -> Result<Snapshot> {
        match self.keys {
            Some(_) => Ok(Snapshot::Stateless),
            None => Snapshot::of(VERSION, &self.passed),
        }
    }
}

/// Every row draws a number; those with the smallest stay.
struct Draw {
    seed: u64,
}

impl Rank for Draw {
    fn rank(&mut self, _: &RecordBatch, numbers: &[u64]) -> Result<Ranked> {
        let keys = numbers.iter().map(|number| draw(*number, self.seed).to_be_bytes());
        Ok(Ranked { groups: None, keys: RankKeys::Numbers(keys.collect()) })
    }

    fn order(&self, best: &Best) -> Result<Vec<Place>> {
        let mut rows: Vec<(u64, Place)> =
            best.entries().map(|(_, entry, place)| (entry.number, place)).collect();
        rows.sort_unstable();
        Ok(rows.into_iter().map(|(_, place)| place).collect())
    }
}
