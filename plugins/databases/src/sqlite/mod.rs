//! `sqlite`: rows into a table of an SQLite file.

mod insert;
mod publisher;
mod table;

use std::collections::BTreeMap;
use std::path::PathBuf;

use arrow_schema::SchemaRef;
use gristmill_stage::option::Time;
use gristmill_stage::path::{check_append, folder};
use gristmill_stage::{BuildContext, Error, Planned, Result, Role, Stage, StageSpec};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::loader::Loader;
use crate::options::{CommitOptions, Load, Mode, a_minute, yes};
use publisher::Sqlite;
use table::Found;

/// The kind `sqlite`.
#[derive(Debug, Clone, Copy)]
pub struct SqliteSink;

/// Options of `sqlite`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SqliteOptions {
    /// The file of the database. It and its folder are made when they are missing.
    path: String,
    /// The table.
    table: String,
    /// What becomes of rows that are in the table. All is done in one transaction when the input is
    /// at its end: a run that fails leaves the table as it was.
    #[serde(default)]
    mode: Mode,
    /// The columns that tell rows apart: what `upsert` goes by, and the primary key of a table that
    /// is created. A row with a null there is rejected.
    #[serde(default)]
    key: Vec<String>,
    /// The columns to write; all of them when left out. Booleans become 0 and 1; dates, times and
    /// decimals become texts, with all digits; lists and structs become JSON. NaN has no form in
    /// SQLite, so such a row is rejected.
    #[serde(default)]
    columns: Option<Vec<String>>,
    /// Creates the table when it is missing. Its columns are `INTEGER`, `REAL`, `TEXT` or `BLOB`, and
    /// `BOOLEAN` where the input says so.
    #[serde(default = "yes")]
    create: bool,
    /// Types of columns of a table that is created, in place of those.
    #[serde(default)]
    types: BTreeMap<String, String>,
    /// Publishes in parts, each in a transaction of its own, and not all at the end: for input
    /// without an end. A run that fails then keeps the parts before.
    #[serde(default)]
    commit: Option<CommitOptions>,
    /// For how long to try again while another program has locked the database.
    #[serde(default = "a_minute")]
    timeout: Time,
    /// The folder for the file of rows that are not yet published; that of the database when left out.
    #[serde(default)]
    spool: Option<PathBuf>,
}

impl SqliteOptions {
    fn load(&self) -> Load {
        Load {
            mode: self.mode,
            key: self.key.clone(),
            columns: self.columns.clone(),
            types: self.types.clone(),
            create: self.create,
            commit: self.commit,
            timeout: self.timeout,
        }
    }

    fn check(&self) -> Result<()> {
        if self.path.is_empty() || self.path.starts_with(":memory:") {
            return Err(
                Error::option("path", "the database needs a file").help("like `out.sqlite`")
            );
        }
        if self.table.is_empty() || self.table.contains('\0') {
            return Err(Error::option("table", "the table has no name"));
        }
        let reserved = self.table.get(..7).is_some_and(|head| head.eq_ignore_ascii_case("sqlite_"));
        if reserved || self.table.eq_ignore_ascii_case(table::MARKS) {
            let text = format!("the name `{}` is reserved", self.table);
            return Err(Error::option("table", text));
        }
        check_append(self.path.as_ref()).map_err(|error| error.at("path"))?;
        match &self.spool {
            Some(folder) if !folder.is_dir() => {
                let text = format!("`{}` is no folder", folder.display());
                Err(Error::option("spool", text).help("a folder that is there"))
            }
            _ => Ok(()),
        }
    }
}

impl StageSpec for SqliteSink {
    type Options = SqliteOptions;

    const KIND: &'static str = "sqlite";
    const SUMMARY: &'static str =
        "Writes rows into a table of an SQLite file: adds, replaces, or updates by key.";
    const ROLE: Role = Role::Sink;
    const EXAMPLE: &'static str =
        "type: sqlite\nwith: { path: prices.sqlite, table: prices, mode: upsert, key: [category] }";
    const INPUT: &'static str = "any columns";
    const OUTPUT: &'static str = "none";

    fn plan(options: &SqliteOptions, input: Option<&SchemaRef>) -> Result<Planned> {
        let input = input.ok_or_else(|| Error::schema("`sqlite` has no input"))?;
        let load = options.load();
        let columns = load.check(input)?;
        columns.iter().try_for_each(|at| crate::cell::check(input.field(*at)))?;
        options.check()?;
        let planned = Planned::sink().blocks().single("a SQLite file has one writer at a time");
        let planned = load.notes(planned.writes(&options.path)).holds(publisher::HOLDS);
        let table = table::Table::new(options, &load, input, columns);
        let found = match table.open(false)? {
            Some(connection) => table.look(&connection)?,
            None => table.missing()?,
        };
        Ok(match found {
            Found::Fits => planned,
            Found::Missing => planned.note(format!("table `{}` will be made", options.table)),
            Found::Busy => planned.note("the database is locked now; the table was not looked at"),
        })
    }

    fn build(options: SqliteOptions, context: BuildContext) -> Result<Stage> {
        let load = options.load();
        let columns = load.check(context.input())?;
        let path = gristmill_stage::path::resolve_links(options.path.as_ref())?;
        let spool = options.spool.clone().unwrap_or_else(|| folder(&path).to_owned());
        std::fs::create_dir_all(&spool)
            .map_err(|e| Error::io(format!("{} cannot be made: {e}", spool.display())))?;
        let table = table::Table::new(&options, &load, context.input(), columns);
        let publisher = Sqlite::new(table, context.clock().clone());
        Ok(Stage::transform(Loader::new(publisher, &spool, load.commit, &context)?))
    }
}
