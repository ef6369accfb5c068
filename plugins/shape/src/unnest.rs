//! `unnest`: a row for each item of a list.

use std::sync::Arc;
use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch, RecordBatchOptions, UInt64Array};
use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef};
use arrow_select::take::take;
use gristmill_stage::{
    BatchTarget, BuildContext, Error, ErrorKind, Lineage, Output, Planned, Result, Role, Snapshot,
    Stage, StageSpec, State, Transform,
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::items::{self, Items};
use crate::weigh::{weigh, weigh_array};

/// The kind `unnest`.
#[derive(Debug, Clone, Copy)]
pub struct Unnest;

/// Options of `unnest`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UnnestOptions {
    /// The column with the lists. The items take its place, under its name; the other columns are
    /// repeated for each item. A map counts as a list of its keys and values.
    column: String,
    /// Whether items that are structs become a column for each of their fields. With it, `column` can
    /// also be a struct that is in no list.
    #[serde(default)]
    spread: bool,
    /// What stands before the names of the columns that `spread` makes.
    #[serde(default)]
    prefix: Option<String>,
    /// Whether a row whose list is empty or null stays, as one row without an item. Otherwise there
    /// is no row for it.
    #[serde(default)]
    keep_empty: bool,
    /// The name of a column for the place of the item in its list, from 1 on as in SQL; null without
    /// an item. There is none when left out.
    #[serde(default)]
    position: Option<String>,
}

/// How rows are taken apart.
#[derive(Clone)]
struct Shape {
    /// Where the column is.
    index: usize,
    /// Whether it is a list, not only a struct to be spread.
    list: bool,
    spread: bool,
    keep_empty: bool,
    position: bool,
    output: SchemaRef,
}

impl UnnestOptions {
    fn shape(&self, input: &SchemaRef) -> Result<Shape> {
        let name = &self.column;
        let index = input.index_of(name).map_err(|_| {
            Error::column(name, format!("there is no column `{name}`")).at("column")
        })?;
        let column = &input.fields()[index];
        let item = items::field(column.data_type());
        let inner = item.unwrap_or(column);
        let is_struct = matches!(inner.data_type(), DataType::Struct(_));
        if item.is_none() && !(is_struct && self.spread) {
            let text = format!("the column `{name}` is {}, not a list", column.data_type());
            let error = Error::option("column", text);
            return Err(match is_struct {
                true => error.help("`spread: true` makes columns of its fields"),
                false => error.help("name a column that holds lists"),
            });
        }
        if self.spread && !is_struct {
            let text = format!("the items of `{name}` are {}, not structs", inner.data_type());
            return Err(Error::option("spread", text).help("leave it out"));
        }
        if self.prefix.is_some() && !self.spread {
            return Err(Error::option("prefix", "it is for the columns that `spread` makes")
                .help("add `spread: true`, or leave it out"));
        }
        let mut fields = Vec::new();
        for (n, field) in input.fields().iter().enumerate() {
            match n == index {
                true => fields.extend(self.item_fields(column, inner, item.is_some())),
                false => fields.push(Arc::clone(field)),
            }
        }
        if let Some(position) = &self.position {
            fields.push(Arc::new(Field::new(position, DataType::Int64, self.keep_empty)));
        }
        self.check_names(&fields)?;
        let output = Arc::new(Schema::new_with_metadata(fields, input.metadata().clone()));
        Ok(Shape {
            index,
            list: item.is_some(),
            spread: self.spread,
            keep_empty: self.keep_empty,
            position: self.position.is_some(),
            output,
        })
    }

    /// The columns that stand for an item.
    fn item_fields(&self, column: &FieldRef, inner: &FieldRef, list: bool) -> Vec<FieldRef> {
        let empty = self.keep_empty && list;
        match inner.data_type() {
            DataType::Struct(fields) if self.spread => {
                let prefix = self.prefix.as_deref().unwrap_or("");
                let nullable = empty || inner.is_nullable();
                let spread = |field: &FieldRef| {
                    let named =
                        field.as_ref().clone().with_name(format!("{prefix}{}", field.name()));
                    Arc::new(named.with_nullable(nullable || field.is_nullable()))
                };
                fields.iter().map(spread).collect()
            }
            _ => {
                let item = inner.as_ref().clone().with_name(column.name());
                vec![Arc::new(item.with_nullable(empty || inner.is_nullable()))]
            }
        }
    }

    fn check_names(&self, fields: &[FieldRef]) -> Result<()> {
        let twice = fields
            .iter()
            .enumerate()
            .find(|(n, field)| fields[..*n].iter().any(|earlier| earlier.name() == field.name()));
        let Some((_, field)) = twice else { return Ok(()) };
        let text = format!("there would be two columns `{}`", field.name());
        Err(match &self.position {
            Some(position) if position == field.name() => {
                Error::option("position", text).help("choose another name")
            }
            _ => Error::option("spread", text)
                .help(format!("`prefix: {}_` names those of the items otherwise", self.column)),
        })
    }
}

impl StageSpec for Unnest {
    type Options = UnnestOptions;

    const KIND: &'static str = "unnest";
    const SUMMARY: &'static str = "Makes a row of each item of a list, and columns of structs.";
    const ROLE: Role = Role::Transform;
    const EXAMPLE: &'static str = "type: unnest\nwith: { column: items, spread: true }";
    const INPUT: &'static str = "any; `column` holds lists";
    const OUTPUT: &'static str = "The columns of the input with an item in place of the list, and `position` if it is named.";

    fn plan(options: &UnnestOptions, input: Option<&SchemaRef>) -> Result<Planned> {
        let input = input.ok_or_else(|| Error::schema("`unnest` has no input"))?;
        let lineage = Lineage::carries(input, [options.column.as_str()]);
        Ok(Planned::emits(options.shape(input)?.output).lineage(lineage))
    }

    fn build(options: UnnestOptions, context: BuildContext) -> Result<Stage> {
        let shape = options.shape(context.input())?;
        let mut stage = Unnesting { shape, batch: context.batch(), held: None };
        if let Some(state) = context.restored().state(VERSION)? {
            stage.held = Some(Held::restore(state, context.input(), &stage.shape)?);
        }
        Ok(Stage::transform(stage))
    }
}

/// Layout of the snapshot: rows that were not gone through, and the item of the first to go on with.
const VERSION: u32 = 1;
const ROWS: &str = "held";
const ITEM: &str = "item";

struct Unnesting {
    shape: Shape,
    batch: BatchTarget,
    held: Option<Held>,
}

/// A batch that is being gone through.
struct Held {
    rows: RecordBatch,
    items: Items,
    row_weights: Vec<usize>,
    item_weights: Vec<usize>,
    /// The next row, and the next of its items.
    row: usize,
    item: usize,
}

/// Which rows and items make a batch.
#[derive(Default)]
struct Piece {
    rows: Vec<u64>,
    items: Vec<Option<u64>>,
    positions: Vec<Option<i64>>,
}

impl Held {
    fn new(rows: RecordBatch, shape: &Shape) -> Result<Self> {
        let column = rows.column(shape.index);
        let items = match shape.list {
            true => Items::of(column.as_ref()),
            false => Some(Items::single(Arc::clone(column))),
        };
        let items = items.ok_or_else(|| Error::internal("a column of lists is none"))?;
        let mut others: Vec<usize> = (0..rows.num_columns()).collect();
        others.remove(shape.index);
        let row_weights = weigh(&rows.project(&others)?);
        let item_weights = weigh_array(items.values.as_ref());
        Ok(Self { rows, items, row_weights, item_weights, row: 0, item: 0 })
    }

    fn restore(state: &State, input: &SchemaRef, shape: &Shape) -> Result<Self> {
        let unfit = || Error::new(ErrorKind::Restore, "the snapshot was made with other columns");
        let rows = state.part(ROWS).ok_or_else(unfit)?;
        let rows = RecordBatch::try_new(Arc::clone(input), rows.columns().to_vec());
        let item = state.part(ITEM).and_then(|part| part.columns().first());
        let item = item.and_then(|column| column.as_primitive_opt::<UInt64Type>());
        let item = item.filter(|item| item.len() == 1).ok_or_else(unfit)?.value(0) as usize;
        Ok(Self { item, ..Self::new(rows.map_err(|_| unfit())?, shape)? })
    }

    /// The next rows, about a batch of them.
    fn next(&mut self, target: BatchTarget, keep_empty: bool) -> Piece {
        let (mut piece, mut bytes) = (Piece::default(), 0_usize);
        while self.row < self.rows.num_rows() {
            let (start, length) = self.items.ranges[self.row];
            let left = length.saturating_sub(self.item);
            let empty = length == 0 && keep_empty;
            for _ in 0..left.max(usize::from(empty)) {
                let item = (!empty).then_some(start + self.item);
                let weight = item.map_or(0, |item| self.item_weights[item]);
                bytes = bytes.saturating_add(self.row_weights[self.row]).saturating_add(weight);
                let rows = piece.rows.len();
                if rows > 0 && (rows >= target.rows || bytes > target.bytes) {
                    return piece;
                }
                self.item += 1;
                piece.rows.push(self.row as u64);
                piece.items.push(item.map(|item| item as u64));
                piece.positions.push(item.map(|_| self.item as i64));
            }
            (self.row, self.item) = (self.row + 1, 0);
        }
        piece
    }

    fn is_over(&self) -> bool {
        self.row >= self.rows.num_rows()
    }

    /// The rows of a piece.
    fn take(&self, piece: Piece, shape: &Shape) -> Result<RecordBatch> {
        let count = piece.rows.len();
        let rows = UInt64Array::from(piece.rows);
        let mut columns: Vec<ArrayRef> = Vec::new();
        for (n, column) in self.rows.columns().iter().enumerate() {
            if n != shape.index {
                columns.push(take(column.as_ref(), &rows, None)?);
                continue;
            }
            let picked = UInt64Array::from_iter(piece.items.iter().copied());
            let items = take(self.items.values.as_ref(), &picked, None)?;
            match shape.spread {
                true => columns.extend(items.as_struct().flatten().1),
                false => columns.push(items),
            }
        }
        if shape.position {
            columns.push(Arc::new(Int64Array::from(piece.positions)));
        }
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&shape.output), columns, &options)?)
    }
}

impl Unnesting {
    fn emit(&mut self, out: &mut dyn Output) -> Result<()> {
        let Some(held) = &mut self.held else { return Ok(()) };
        let piece = held.next(self.batch, self.shape.keep_empty);
        if !piece.rows.is_empty() {
            out.emit(held.take(piece, &self.shape)?)?;
        }
        if held.is_over() {
            self.held = None;
        }
        Ok(())
    }
}

impl Transform for Unnesting {
    fn process(&mut self, batch: RecordBatch, out: &mut dyn Output) -> Result<()> {
        if batch.num_rows() > 0 {
            self.held = Some(Held::new(batch, &self.shape)?);
        }
        self.emit(out)
    }

    fn ready(&self) -> bool {
        self.held.is_none()
    }

    fn holding(&self) -> bool {
        self.held.is_some()
    }

    fn wake(&mut self, out: &mut dyn Output) -> Result<()> {
        self.emit(out)
    }

    fn wake_at(&self) -> Option<Duration> {
        self.holding().then_some(Duration::ZERO)
    }

    fn finish(&mut self, out: &mut dyn Output) -> Result<()> {
        self.emit(out)
    }

    fn snapshot(&mut self) -> Result<Snapshot> {
        let Some(held) = &self.held else { return Ok(Snapshot::Stateless) };
        let rows = held.rows.slice(held.row, held.rows.num_rows() - held.row);
        let item: ArrayRef = Arc::new(UInt64Array::from(vec![held.item as u64]));
        let item = RecordBatch::try_from_iter([(ITEM, item)])?;
        Ok(Snapshot::parts(VERSION, vec![(ROWS.to_owned(), rows), (ITEM.to_owned(), item)]))
    }
}
