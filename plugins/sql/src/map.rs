//! `map`: adds, replaces, drops and selects columns.

use std::sync::Arc;
use std::time::SystemTime;

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::{FieldRef, Schema, SchemaRef};
use gristmill_stage::{
    BuildContext, Error, Lineage, Output, Planned, Result, Role, Stage, StageSpec, Transform,
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::columns::computed;
use crate::evaluate::evaluate;
use crate::expression::{Compiled, Scope};
use crate::functions::Functions;
use crate::options::{Named, Select};

/// Options of `map`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MapOptions {
    /// Columns to add or to replace: a name and an SQL expression each. Every expression sees the
    /// columns of the input, also those that another entry replaces. New columns come last, in the
    /// order in which they stand here.
    #[serde(default)]
    set: Named,
    /// Columns to leave out. Expressions under `set` still see them.
    #[serde(default)]
    drop: Vec<String>,
    /// The columns to emit, exactly these and in this order: a list of columns of the input, or
    /// names with an SQL expression each. Not together with `set` or `drop`.
    #[serde(default)]
    select: Option<Select>,
}

/// The kind `map`.
#[derive(Debug, Clone, Copy)]
pub struct Map;

impl StageSpec for Map {
    type Options = MapOptions;

    const KIND: &'static str = "map";
    const SUMMARY: &'static str = "Adds, replaces, drops and selects columns by SQL expressions.";
    const ROLE: Role = Role::Transform;
    const EXAMPLE: &'static str = "name: totals\ntype: map\nwith:\n  set:\n    total: round(price * amount, 2)\n  drop: [amount]\n";
    const INPUT: &'static str = "any; the expressions name their columns";
    const OUTPUT: &'static str =
        "the columns of the input without `drop` and with `set`; or exactly those of `select`";

    fn plan(options: &MapOptions, input: Option<&SchemaRef>) -> Result<Planned> {
        let input = input.ok_or_else(|| Error::internal("a map was planned without input"))?;
        let stage = MapStage::new(options, input, None, SystemTime::UNIX_EPOCH)?;
        Ok(Planned::emits(stage.schema.clone()).lineage(stage.lineage()))
    }

    fn build(options: MapOptions, context: BuildContext) -> Result<Stage> {
        let now = context.clock().wall();
        let (input, output) = (context.input(), context.output());
        Ok(Stage::transform(MapStage::new(&options, input, Some(output), now)?))
    }
}

/// Where a column of the output comes from.
#[derive(Debug, Clone, Copy)]
enum Origin {
    Input(usize),
    Computed(usize),
}

struct MapStage {
    expressions: Vec<Compiled>,
    columns: Vec<Origin>,
    schema: SchemaRef,
}

impl MapStage {
    /// Emits the columns of `wanted`, or all. With columns that are not wanted, what only they are
    /// made of can be missing in the input.
    fn new(
        options: &MapOptions,
        input: &SchemaRef,
        wanted: Option<&SchemaRef>,
        now: SystemTime,
    ) -> Result<Self> {
        let functions = Functions::new();
        let scope = Scope::new(&functions, input.clone(), now)?;
        let mut layout = Layout { wanted, ..Layout::default() };
        match &options.select {
            Some(_) if !options.set.0.is_empty() => return Err(excludes("set")),
            Some(_) if !options.drop.is_empty() => return Err(excludes("drop")),
            Some(Select::Columns(names)) => layout.take(input, names)?,
            Some(Select::Named(named)) => {
                for (name, text) in named.0.iter().filter(|(name, _)| wants(wanted, name)) {
                    layout.compute(name, scope.scalar(&text.0, &format!("select.{name}"))?);
                }
            }
            None => layout.change(options, &scope)?,
        }
        layout.sort();
        if layout.columns.is_empty() {
            return Err(Error::option("", "no column would be left"));
        }
        let Layout { expressions, columns, .. } = layout;
        let (fields, columns): (Vec<FieldRef>, Vec<Origin>) = columns.into_iter().unzip();
        Ok(Self { expressions, columns, schema: Arc::new(Schema::new(fields)) })
    }

    /// What can be left out: columns that are handed on, and such as can be made of any row. The
    /// others may reject a row, and so are made in any case.
    fn lineage(&self) -> Lineage {
        let mut lineage = Lineage::new();
        for (field, origin) in self.schema.fields().iter().zip(&self.columns) {
            lineage = match origin {
                Origin::Input(_) => lineage.passes(field.name()),
                Origin::Computed(index) => {
                    let facts = self.expressions[*index].facts();
                    let columns = facts.columns.iter().cloned();
                    match facts.total {
                        true => lineage.makes(field.name(), columns),
                        false => lineage.needs(columns),
                    }
                }
            };
        }
        let total = self.expressions.iter().all(|expression| expression.facts().total);
        if total { lineage.row_by_row() } else { lineage }
    }
}

fn excludes(option: &str) -> Error {
    Error::option(option, format!("`select` and `{option}` exclude each other"))
        .help("`select` names all columns to emit; leave out the other")
}

fn wants(wanted: Option<&SchemaRef>, name: &str) -> bool {
    wanted.is_none_or(|wanted| wanted.column_with_name(name).is_some())
}

/// The output as it is put together.
#[derive(Default)]
struct Layout<'a> {
    /// The columns to emit; none: all.
    wanted: Option<&'a SchemaRef>,
    expressions: Vec<Compiled>,
    columns: Vec<(FieldRef, Origin)>,
}

impl Layout<'_> {
    /// Columns of the input, as they are.
    fn take(&mut self, input: &SchemaRef, names: &[String]) -> Result<()> {
        let wanted = self.wanted;
        for (index, name) in names.iter().enumerate().filter(|(_, name)| wants(wanted, name)) {
            let (column, field) = input.column_with_name(name).ok_or_else(|| {
                Error::column(name, format!("there is no column `{name}`"))
                    .at(format!("select[{index}]"))
            })?;
            self.columns.push((Arc::new(field.clone()), Origin::Input(column)));
        }
        Ok(())
    }

    /// A computed column, in the place of one of the same name or as the last.
    fn compute(&mut self, name: &str, expression: Compiled) {
        let field = Arc::new(computed(name, expression.data_type()));
        let column = (field, Origin::Computed(self.expressions.len()));
        self.expressions.push(expression);
        match self.columns.iter_mut().find(|(field, _)| field.name() == name) {
            Some(place) => *place = column,
            None => self.columns.push(column),
        }
    }

    /// The columns of the input with `set` and without `drop`.
    fn change(&mut self, options: &MapOptions, scope: &Scope<'_>) -> Result<()> {
        let (input, wanted) = (scope.schema(), self.wanted);
        for (index, name) in options.drop.iter().enumerate() {
            let at = format!("drop[{index}]");
            if input.column_with_name(name).is_none() && wanted.is_none() {
                return Err(Error::column(name, format!("there is no column `{name}`")).at(at));
            }
            if options.set.0.iter().any(|(set, _)| set == name) {
                return Err(Error::option(at, format!("`{name}` is both set and dropped")));
            }
        }
        let fields = input.fields().iter().enumerate();
        self.columns = fields
            .filter(|(_, field)| {
                !options.drop.contains(field.name()) && wants(wanted, field.name())
            })
            .map(|(index, field)| (Arc::clone(field), Origin::Input(index)))
            .collect();
        for (name, text) in options.set.0.iter().filter(|(name, _)| wants(wanted, name)) {
            self.compute(name, scope.scalar(&text.0, &format!("set.{name}"))?);
        }
        Ok(())
    }

    /// Brings the columns into the order in which they are wanted: one that is replaced stands in its
    /// place, also when what it replaces is missing.
    fn sort(&mut self) {
        if let Some(wanted) = self.wanted {
            self.columns.sort_by_key(|(field, _)| wanted.index_of(field.name()).ok());
        }
    }
}

impl Transform for MapStage {
    fn process(&mut self, batch: RecordBatch, out: &mut dyn Output) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let evaluated = evaluate(&self.expressions, batch, out)?;
        let columns = self.columns.iter().map(|from| match from {
            Origin::Input(index) => Arc::clone(evaluated.rows.column(*index)),
            Origin::Computed(index) => Arc::clone(&evaluated.columns[*index]),
        });
        let rows = RecordBatchOptions::new().with_row_count(Some(evaluated.rows.num_rows()));
        let schema = Arc::clone(&self.schema);
        out.emit(RecordBatch::try_new_with_options(schema, columns.collect(), &rows)?)
    }
}
