//! What both kinds have in common in their options.

use std::collections::BTreeMap;

use arrow_schema::SchemaRef;
use gristmill_stage::option::Time;
use gristmill_stage::{Error, Planned, Result};
use schemars::JsonSchema;
use serde::Deserialize;

/// What becomes of rows that are in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// They stay, and the new ones are added. A row that a constraint of the table forbids is
    /// rejected.
    #[default]
    Append,
    /// A new row takes the place of the one with the same `key`, column by column; of several with
    /// one key the last counts. The table must have a primary key or a unique index of these columns.
    Upsert,
    /// They go in the same transaction in which the new ones come.
    Replace,
}

/// When a part of the rows is published.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CommitOptions {
    /// So long after the first row that is not yet published.
    #[serde(default)]
    pub(crate) every: Option<Time>,
    /// When there are so many rows.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub(crate) rows: Option<u64>,
}

/// The options of both kinds.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    pub(crate) mode: Mode,
    pub(crate) key: Vec<String>,
    pub(crate) columns: Option<Vec<String>>,
    pub(crate) types: BTreeMap<String, String>,
    pub(crate) create: bool,
    pub(crate) commit: Option<CommitOptions>,
    pub(crate) timeout: Time,
}

pub(crate) fn yes() -> bool {
    true
}

pub(crate) fn a_minute() -> Time {
    Time(std::time::Duration::from_secs(60))
}

impl Load {
    /// The input columns to write, in order.
    ///
    /// # Errors
    /// With the option that is wrong.
    pub(crate) fn check(&self, input: &SchemaRef) -> Result<Vec<usize>> {
        let columns = self.chosen(input)?;
        let written = |name: &String| columns.iter().any(|at| input.field(*at).name() == name);
        if self.mode == Mode::Upsert && self.key.is_empty() {
            return Err(Error::option("key", "`mode: upsert` needs a `key`")
                .help("the columns that tell rows apart, like `key: [id]`"));
        }
        for (n, name) in self.key.iter().enumerate() {
            let option = format!("key.{n}");
            if self.key[..n].contains(name) {
                return Err(Error::option(option, format!("column `{name}` is named twice")));
            }
            if !written(name) {
                let text = format!("the key `{name}` is none of the columns that are written");
                return Err(Error::column(name, text).at(option));
            }
        }
        for (name, sql) in &self.types {
            let option = format!("types.{name}");
            if !written(name) {
                let text = format!("`{name}` is none of the columns that are written");
                return Err(Error::column(name, text).at(option));
            }
            let plain = |c: char| c.is_alphanumeric() || " _(),.[]\"".contains(c);
            if sql.trim().is_empty() || !sql.chars().all(plain) {
                return Err(Error::option(option, format!("`{sql}` is not a type of SQL"))
                    .help("like `numeric(10, 2)`"));
            }
        }
        if self.commit.is_some_and(|commit| commit.every.is_none() && commit.rows.is_none()) {
            return Err(Error::option("commit", "it does not say when")
                .help("`{ every: 10s }`, `{ rows: 100000 }`, or both"));
        }
        if self.commit.and_then(|commit| commit.rows) == Some(0) {
            return Err(
                Error::option("commit.rows", "no rows cannot be published").help("1 or more")
            );
        }
        Ok(columns)
    }

    fn chosen(&self, input: &SchemaRef) -> Result<Vec<usize>> {
        let Some(names) = &self.columns else {
            return match input.fields().is_empty() {
                true => Err(Error::schema("the input has no columns to write")),
                false => Ok((0..input.fields().len()).collect()),
            };
        };
        if names.is_empty() {
            return Err(
                Error::option("columns", "no columns are named").help("leave it out to write all")
            );
        }
        let mut columns = Vec::with_capacity(names.len());
        for (n, name) in names.iter().enumerate() {
            let option = format!("columns.{n}");
            let at = input.index_of(name).map_err(|_| {
                Error::column(name, format!("the input has no column `{name}`")).at(&option)
            })?;
            if columns.contains(&at) {
                return Err(Error::option(option, format!("column `{name}` is named twice")));
            }
            columns.push(at);
        }
        Ok(columns)
    }

    /// What `check` says of it.
    pub(crate) fn notes(&self, planned: Planned) -> Planned {
        match self.commit {
            None => planned,
            Some(_) => planned.note("published in parts: a run that fails keeps those before"),
        }
    }
}
