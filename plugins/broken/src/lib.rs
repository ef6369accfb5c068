//! `broken`: hands rows on, and misbehaves at some of them. For tests of what must survive it; it is not
//! part of the command.

mod harm;

use arrow_array::{Array, BooleanArray, RecordBatch};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::SchemaRef;
use gristmill_stage::concurrent::{AsyncRows, Concurrent, Limits, Row, Selection, Turn};
use gristmill_stage::{
    BuildContext, Error, Output, Planned, Registry, Result, Role, Snapshot, Stage, StageSpec,
    Transform,
};
use schemars::JsonSchema;
use serde::Deserialize;

use harm::Harm;

gristmill_abi::export_stages!(Broken, Unseen);

/// Adds the kinds of this crate.
pub fn register(registry: &mut Registry) {
    registry.add(Broken).add(Unseen);
}

/// The kind `broken`.
#[derive(Debug, Clone, Copy)]
pub struct Broken;

/// Options of `broken`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BrokenOptions {
    /// The column to look at.
    column: String,
    /// Texts of the values at which it misbehaves.
    #[serde(default)]
    at: Vec<String>,
    /// What it does then.
    #[serde(default)]
    how: Harm,
    /// Works on rows one by one, many at a time, away from the call that brought them.
    #[serde(default)]
    asynchronous: bool,
    /// Does it only when it is asked for a snapshot the next time.
    #[serde(default)]
    in_snapshot: bool,
}

impl StageSpec for Broken {
    type Options = BrokenOptions;

    const KIND: &'static str = "broken";
    const SUMMARY: &'static str = "Hands rows on, and misbehaves at some of them.";
    const ROLE: Role = Role::Transform;
    const EXAMPLE: &'static str = "type: broken\nwith: { column: n, at: [\"7\"], how: kill }";
    const INPUT: &'static str = "any columns";
    const OUTPUT: &'static str = "the same";

    fn plan(options: &BrokenOptions, input: Option<&SchemaRef>) -> Result<Planned> {
        let input = input.ok_or_else(|| Error::schema("`broken` has no input"))?;
        if input.column_with_name(&options.column).is_none() {
            return Err(Error::column(&options.column, "there is no such column"));
        }
        Ok(Planned::emits(input.clone()))
    }

    fn build(options: BrokenOptions, context: BuildContext) -> Result<Stage> {
        let BrokenOptions { column, at, how, in_snapshot, .. } = options;
        let trap = Trap { column, at, how, in_snapshot, due: false };
        if options.asynchronous {
            let limits = Limits::new(8);
            return Ok(Stage::transform(Concurrent::new(trap, limits, &context)?));
        }
        Ok(Stage::transform(trap))
    }
}

/// Does harm at some values.
struct Trap {
    column: String,
    at: Vec<String>,
    how: Harm,
    in_snapshot: bool,
    /// The next snapshot does harm.
    due: bool,
}

impl Trap {
    fn is_at(&self, rows: &RecordBatch) -> Result<bool> {
        Ok(texts(rows, &self.column)?.iter().any(|text| self.at.contains(text)))
    }

    fn step(&self, rows: &RecordBatch) -> Result<()> {
        if self.is_at(rows)? {
            self.how.act();
        }
        Ok(())
    }
}

/// The values of a column as they are shown.
fn texts(rows: &RecordBatch, column: &str) -> Result<Vec<String>> {
    let column = rows
        .column_by_name(column)
        .ok_or_else(|| Error::column(column, "there is no such column"))?;
    let options = FormatOptions::default();
    let format = ArrayFormatter::try_new(column.as_ref(), &options)?;
    Ok((0..column.len()).map(|row| format.value(row).to_string()).collect())
}

impl Transform for Trap {
    fn process(&mut self, rows: RecordBatch, out: &mut dyn Output) -> Result<()> {
        if self.how == Harm::Fail && self.is_at(&rows)? {
            out.reject(rows, "the last one")?;
            return Err(Error::data("this row is too much"));
        }
        match self.in_snapshot {
            true => self.due |= self.is_at(&rows)?,
            false => self.step(&rows)?,
        }
        out.emit(rows)
    }

    fn snapshot(&mut self) -> Result<Snapshot> {
        if std::mem::take(&mut self.due) {
            self.how.act();
        }
        Ok(Snapshot::Stateless)
    }
}

impl AsyncRows for Trap {
    type Out = ();

    async fn call(&self, row: Row, _: &mut Turn) -> Result<()> {
        self.step(&row.slice())
    }

    fn size(&self, (): &()) -> usize {
        0
    }

    fn collect(&self, rows: Vec<(Row, ())>) -> Result<RecordBatch> {
        let rows: Vec<Row> = rows.into_iter().map(|(row, ())| row).collect();
        Selection::new(&rows).batch()?.ok_or_else(|| Error::internal("no rows"))
    }
}

/// The kind `unseen`: hands on only rows whose value it has not seen before, so all it knows is state.
#[derive(Debug, Clone, Copy)]
pub struct Unseen;

/// Options of `unseen`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UnseenOptions {
    /// The column whose values are to be new.
    column: String,
}

impl StageSpec for Unseen {
    type Options = UnseenOptions;

    const KIND: &'static str = "unseen";
    const SUMMARY: &'static str = "Hands on the first row of each value.";
    const ROLE: Role = Role::Transform;
    const EXAMPLE: &'static str = "type: unseen\nwith: { column: n }";
    const INPUT: &'static str = "any columns";
    const OUTPUT: &'static str = "the same";

    fn plan(options: &UnseenOptions, input: Option<&SchemaRef>) -> Result<Planned> {
        let input = input.ok_or_else(|| Error::schema("`unseen` has no input"))?;
        Ok(Planned::emits(input.clone()).keyed([options.column.as_str()]))
    }

    fn build(options: UnseenOptions, context: BuildContext) -> Result<Stage> {
        let seen = context.restored().value(1)?.unwrap_or_default();
        Ok(Stage::transform(Seen { column: options.column, seen }))
    }
}

struct Seen {
    column: String,
    seen: std::collections::BTreeSet<String>,
}

impl Transform for Seen {
    fn process(&mut self, rows: RecordBatch, out: &mut dyn Output) -> Result<()> {
        let texts = texts(&rows, &self.column)?;
        let new: BooleanArray =
            texts.into_iter().map(|text| Some(self.seen.insert(text))).collect();
        out.emit(arrow_select::filter::filter_record_batch(&rows, &new)?)
    }

    fn snapshot(&mut self) -> Result<Snapshot> {
        Snapshot::of(1, &self.seen)
    }
}
