//! `top`: the first rows by an order, of all or of each group.

use arrow_array::RecordBatch;
use arrow_row::Rows;
use arrow_schema::SchemaRef;
use gristmill_stage::option::ByteSize;
use gristmill_stage::{BuildContext, Error, Lineage, Planned, Result, Role, Stage, StageSpec};
use hashbrown::HashMap;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::best::{Best, RankKeys, Ranked};
use crate::kept::{Keeping, Rank};
use crate::keys::{Keys, find_all};
use crate::order::Order;
use crate::ordered::Place;
use crate::{memory, plain};

/// The kind `top`.
#[derive(Debug, Clone, Copy)]
pub struct Top;

/// Options of `top`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TopOptions {
    /// The columns by which rows are compared, each with `asc` (when left out) or `desc`: `price
    /// desc`, or a list with the most important first. Nulls come last, or where `nulls first` says.
    /// NaN counts as the largest number. Of equal rows those that came first are the first.
    by: Order,
    /// How many rows are kept; with `group_by`, of each group.
    rows: usize,
    /// The first rows of each group of rows that are equal in these columns; of all rows when left
    /// out. Groups leave in the order of their values.
    #[serde(default)]
    group_by: Vec<String>,
    /// The most memory that the kept rows may take in a worker; more is an error.
    #[serde(default = "memory")]
    memory: ByteSize,
}

impl StageSpec for Top {
    type Options = TopOptions;

    const KIND: &'static str = "top";
    const SUMMARY: &'static str = "Keeps the first rows by an order, of all rows or of each group.";
    const ROLE: Role = Role::Transform;
    const EXAMPLE: &'static str =
        "type: top\nwith: { by: price desc, rows: 10, group_by: [category] }";
    const INPUT: &'static str = "any columns";
    const OUTPUT: &'static str =
        "The columns of the input, dictionaries as their values; rows in their order.";

    fn plan(options: &TopOptions, input: Option<&SchemaRef>) -> Result<Planned> {
        let input = input.ok_or_else(|| Error::schema("`top` has no input"))?;
        if options.rows == 0 {
            return Err(Error::option("rows", "no row would be kept").help("1 or more"));
        }
        let output = plain::schema_of(input);
        Ranking::new(options, &output)?;
        let by = options.by.columns(&output)?.into_iter();
        let by = by.map(|(index, _)| input.field(index).name());
        let lineage = Lineage::carries(input, by.chain(&options.group_by));
        let planned = Planned::emits(output).lineage(lineage).holds(options.memory.0);
        Ok(match options.group_by.as_slice() {
            [] => planned.single("all rows are compared; with `group_by` it can have more"),
            columns => planned.keyed(columns.iter().cloned()),
        })
    }

    fn build(options: TopOptions, context: BuildContext) -> Result<Stage> {
        let ranking = Ranking::new(&options, context.output())?;
        let keeping = Keeping::new(ranking, options.rows, options.memory, &context)?;
        Ok(Stage::transform(keeping))
    }
}

struct Ranking {
    order: Keys,
    groups: Option<Groups>,
}

/// Groups by their keys, each with a number.
struct Groups {
    keys: Keys,
    numbers: HashMap<Box<[u8]>, usize>,
}

impl Ranking {
    fn new(options: &TopOptions, schema: &SchemaRef) -> Result<Self> {
        let order = Keys::new(schema, &options.by.columns(schema)?)?;
        let columns = find_all(schema, &options.group_by, "group_by")?;
        let groups = match columns.as_slice() {
            [] => None,
            columns => {
                Some(Groups { keys: Keys::equal(schema, columns)?, numbers: HashMap::new() })
            }
        };
        Ok(Self { order, groups })
    }
}

impl Groups {
    fn of(&mut self, rows: &Rows) -> Vec<usize> {
        let numbers = &mut self.numbers;
        let number = |key: &[u8]| match numbers.get(key) {
            Some(number) => *number,
            None => {
                let number = numbers.len();
                numbers.insert(key.into(), number);
                number
            }
        };
        rows.iter().map(|row| row.data()).map(number).collect()
    }
}

impl Rank for Ranking {
    fn rank(&mut self, batch: &RecordBatch, _: &[u64]) -> Result<Ranked> {
        let keys = RankKeys::Rows(self.order.of(batch)?);
        let groups = match &mut self.groups {
            None => None,
            Some(groups) => {
                let rows = groups.keys.of(batch)?;
                Some(groups.of(&rows))
            }
        };
        Ok(Ranked { groups, keys })
    }

    fn order(&self, best: &Best) -> Result<Vec<Place>> {
        let groups = self.groups.as_ref().map_or(1, |groups| groups.numbers.len());
        let mut places = vec![0; groups];
        if let Some(groups) = &self.groups {
            let mut sorted: Vec<_> = groups.numbers.iter().collect();
            sorted.sort_unstable();
            sorted.into_iter().enumerate().for_each(|(place, (_, number))| places[*number] = place);
        }
        let mut rows: Vec<_> = best.entries().collect();
        rows.sort_unstable_by(|a, b| (places[a.0], a.1).cmp(&(places[b.0], b.1)));
        Ok(rows.into_iter().map(|(_, _, place)| place).collect())
    }
}
