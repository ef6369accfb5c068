//! `postgres`: rows into a table of a PostgreSQL database.

mod load;
mod publisher;
mod table;
mod target;
mod text;
mod trust;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arrow_schema::SchemaRef;
use gristmill_stage::option::Time;
use gristmill_stage::{BuildContext, Error, Planned, Result, Role, Stage, StageSpec};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::runtime::Handle;

use crate::loader::Loader;
use crate::options::{CommitOptions, Load, Mode, a_minute, yes};
use publisher::{Postgres, Worker};
use table::{COLUMNS, Table};
use target::{Failure, Target};

/// The kind `postgres`.
#[derive(Debug, Clone, Copy)]
pub struct PostgresSink;

/// Options of `postgres`.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PostgresOptions {
    /// The database: `postgres://user:password@host:5432/database`, best in a variable
    /// (`${DATABASE_URL}`). `?host=/var/run/postgresql` is a Unix socket. With `?sslmode=require` the
    /// server must prove by a certificate who it is; otherwise the connection is encrypted if the
    /// server can do it, and not with `?sslmode=disable`.
    url: String,
    /// The table, `prices` or `shop.prices`, as it stands: upper and lower case are not the same. What
    /// is published is noted in a small table `gristmill_published` beside it, so that nothing comes in
    /// twice when a connection or a process is lost.
    table: String,
    /// What becomes of rows that are in the table. All is done in one transaction when the input is
    /// at its end: a run that fails leaves the table as it was. With several workers each has a
    /// transaction of its own.
    #[serde(default)]
    mode: Mode,
    /// The columns that tell rows apart: what `upsert` goes by, and the primary key of a table that
    /// is created. A row with a null there is rejected. With several workers, rows of one key meet in one worker.
    #[serde(default)]
    key: Vec<String>,
    /// The columns to write; all of them when left out. Values are read as the columns of the table
    /// are: a text may be a `uuid`, an `inet` or an enum. Lists and structs are JSON, times without a
    /// zone are UTC, and times have microseconds.
    #[serde(default)]
    columns: Option<Vec<String>>,
    /// Creates the table when it is missing: `smallint`, `integer`, `bigint`, `real`,
    /// `double precision`, `numeric`, `boolean`, `text`, `bytea`, `date`, `time`, `timestamp`,
    /// `timestamptz`, `interval`, and `jsonb` for lists and structs.
    #[serde(default = "yes")]
    create: bool,
    /// Types of columns of a table that is created, in place of those.
    #[serde(default)]
    types: BTreeMap<String, String>,
    /// Publishes in parts, each in a transaction of its own, and not all at the end: for input
    /// without an end. A run that fails then keeps the parts before.
    #[serde(default)]
    commit: Option<CommitOptions>,
    /// For how long to try again when the database cannot be reached, restarts, or the table is
    /// locked.
    #[serde(default = "a_minute")]
    timeout: Time,
    /// Certificates (PEM) to trust besides those that the machine trusts; the server must then prove
    /// who it is.
    #[serde(default)]
    ca_file: Option<PathBuf>,
    /// The folder for the file of rows that are not yet published; the one for temporary files when
    /// left out.
    #[serde(default)]
    spool: Option<PathBuf>,
}

impl PostgresOptions {
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

    fn to(&self, input: &SchemaRef) -> Result<Postgres> {
        let load = self.load();
        let columns = load.check(input)?;
        columns.iter().try_for_each(|at| crate::cell::check(input.field(*at)))?;
        let table = Arc::new(Table::new(self, &load, input, columns)?);
        Ok(Postgres { target: Target::new(&self.url, self.ca_file.as_deref())?, table })
    }

    fn spool(&self) -> Result<PathBuf> {
        match &self.spool {
            Some(folder) if !folder.is_dir() => {
                let text = format!("`{}` is no folder", folder.display());
                Err(Error::option("spool", text).help("a folder that is there"))
            }
            Some(folder) => Ok(folder.clone()),
            None => Ok(std::env::temp_dir()),
        }
    }
}

/// What a worker holds: rows that are read ahead, and their text.
const HOLDS: u64 = 32 << 20;

/// For how long a check waits.
const CHECK: Duration = Duration::from_secs(3);

/// Looks at the table, if the database can be reached. Returns what is worth a note.
fn look(to: &Postgres) -> Result<Option<String>> {
    if Handle::try_current().is_ok() {
        // Waiting here would block whatever else runs on it.
        return Ok(Some("the table is looked at when the run starts".to_owned()));
    }
    let mut config = ::postgres::Config::from(to.target.config.clone());
    config.connect_timeout(CHECK);
    let seen = |failure: Failure| match failure {
        Failure::Passing(error) => {
            Ok(Some(format!("the table was not looked at: {}", error.message())))
        }
        Failure::Lasting(error) if error.option_path().is_some() => Err(error),
        Failure::Lasting(error) => Err(error.at("url")),
    };
    let mut client = match config.connect(to.target.tls.clone()) {
        Ok(client) => client,
        Err(e) => return seen(to.target.failed(&e)),
    };
    let wait = format!("SET lock_timeout = {}", table::millis(CHECK));
    if let Err(e) = client.batch_execute(&wait) {
        return seen(to.target.failed(&e));
    }
    let rows = match client.query(COLUMNS, &[&to.table.name]) {
        Ok(rows) => rows,
        Err(e) => return seen(to.target.failed(&e)),
    };
    let Some(kinds) = to.table.compare(&rows)? else {
        return Ok(Some(format!("table {} will be made", to.table.name)));
    };
    match client.batch_execute(&to.table.explain(&kinds)) {
        Ok(()) => Ok(None),
        Err(e) => seen(load::unplanned(to, &e)),
    }
}

impl StageSpec for PostgresSink {
    type Options = PostgresOptions;

    const KIND: &'static str = "postgres";
    const SUMMARY: &'static str =
        "Writes rows into a table of a PostgreSQL database: adds, replaces, or updates by key.";
    const ROLE: Role = Role::Sink;
    const EXAMPLE: &'static str = "type: postgres\nwith: { url: \"${DATABASE_URL}\", table: prices, mode: upsert, key: [category] }";
    const INPUT: &'static str = "any columns";
    const OUTPUT: &'static str = "none";

    fn plan(options: &PostgresOptions, input: Option<&SchemaRef>) -> Result<Planned> {
        let input = input.ok_or_else(|| Error::schema("`postgres` has no input"))?;
        let to = options.to(input)?;
        options.spool()?;
        let planned = to.table.load.notes(Planned::sink().holds(HOLDS));
        let planned = match options.mode {
            Mode::Append => planned,
            Mode::Upsert => planned.keyed(&options.key),
            Mode::Replace => planned.single("each worker would remove the rows of the others"),
        };
        Ok(match look(&to)? {
            Some(note) => planned.note(note),
            None => planned,
        })
    }

    fn build(options: PostgresOptions, context: BuildContext) -> Result<Stage> {
        let worker = Worker::new(options.to(context.input())?, &context)?;
        let loader = Loader::new(worker, &options.spool()?, options.commit, &context)?;
        Ok(Stage::transform(loader))
    }
}
