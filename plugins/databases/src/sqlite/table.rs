//! The table: what is known of it, and the SQL for it.

use std::path::PathBuf;
use std::time::Duration;

use arrow_schema::{DataType, SchemaRef};
use gristmill_stage::{Error, ErrorKind, Result};
use rusqlite::{Connection, OpenFlags, OptionalExtension, ffi};

use super::SqliteOptions;
use crate::cell::{Class, class};
use crate::options::{Load, Mode};

/// Where it stands how far workers have come that may have to be replaced.
pub(super) const MARKS: &str = "gristmill_published";

/// The table, as the options have it.
pub(super) struct Table {
    pub(super) path: PathBuf,
    pub(super) name: String,
    pub(super) load: Load,
    pub(super) input: SchemaRef,
    /// The input columns to write.
    pub(super) columns: Vec<usize>,
}

/// What a look at the database has shown.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Rows can be written.
    Fits,
    /// There is no such table; it will be made.
    Missing,
    /// Somebody else has locked it.
    Busy,
}

impl Table {
    pub(super) fn new(
        options: &SqliteOptions,
        load: &Load,
        input: &SchemaRef,
        columns: Vec<usize>,
    ) -> Self {
        let (path, name) = (PathBuf::from(&options.path), options.table.clone());
        Self { path, name, load: load.clone(), input: input.clone(), columns }
    }

    /// Opens the database that is there, if one is; with `write`, to write into it as well.
    pub(super) fn open(&self, write: bool) -> Result<Option<Connection>> {
        if std::fs::metadata(&self.path).map_or(true, |found| found.len() == 0) {
            return Ok(None);
        }
        let flags = match write {
            true => OpenFlags::SQLITE_OPEN_READ_WRITE,
            false => OpenFlags::SQLITE_OPEN_READ_ONLY,
        };
        self.connect(flags | OpenFlags::SQLITE_OPEN_NO_MUTEX).map(Some)
    }

    /// Opens the database to write; the file is made if there is none.
    pub(super) fn read_write(&self) -> Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
        self.connect(flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)
    }

    fn connect(&self, flags: OpenFlags) -> Result<Connection> {
        // Waiting is done between the calls, not in them.
        let open = || -> rusqlite::Result<Connection> {
            let connection = Connection::open_with_flags(&self.path, flags)?;
            connection.busy_timeout(Duration::ZERO)?;
            Ok(connection)
        };
        open().map_err(|e| self.failed(&e))
    }

    /// Looks whether rows could be written. Changes nothing.
    ///
    /// # Errors
    /// Why not, with the option that is to blame.
    pub(super) fn look(&self, connection: &Connection) -> Result<Found> {
        match self.compare(connection) {
            Ok(found) => found,
            Err(e) if is_busy(&e) => Ok(Found::Busy),
            Err(e) => Err(self.failed(&e).at("path")),
        }
    }

    /// What it means that there is no table.
    pub(super) fn missing(&self) -> Result<Found> {
        match self.load.create {
            true => Ok(Found::Missing),
            false => {
                let (path, table) = (self.path.display(), &self.name);
                Err(Error::option("table", format!("there is no table `{table}` in {path}"))
                    .help("`create: true` makes it"))
            }
        }
    }

    fn compare(&self, connection: &Connection) -> rusqlite::Result<Result<Found>> {
        let query = "SELECT name, \"notnull\" AND dflt_value IS NULL AND NOT (pk AND type = 'INTEGER'), \
                     hidden FROM pragma_table_xinfo(?1)";
        let mut statement = connection.prepare(query)?;
        let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        let there: Vec<(String, bool, i64)> =
            statement.query_map([&self.name], row)?.collect::<rusqlite::Result<_>>()?;
        if there.is_empty() {
            return Ok(self.missing());
        }
        let same = |a: &str, b: &str| a.eq_ignore_ascii_case(b);
        let table = &self.name;
        for (n, name) in self.names().enumerate() {
            let option =
                self.load.columns.as_ref().map_or(String::new(), |_| format!("columns.{n}"));
            let wrong = match there.iter().find(|(column, ..)| same(column, name)) {
                None => format!("table `{table}` has no column `{name}`"),
                // 2 and 3: values that the database makes itself.
                Some((.., 2 | 3)) => format!("column `{name}` of table `{table}` is generated"),
                Some(_) => continue,
            };
            let known: Vec<_> = there.iter().map(|(name, ..)| format!("`{name}`")).collect();
            let help = format!("it has {}; `columns` names those to write", known.join(", "));
            return Ok(Err(Error::option(option, wrong).help(help)));
        }
        let unset = |(name, needed, _): &&(String, bool, i64)| {
            *needed && !self.names().any(|written| same(written, name))
        };
        if let Some((name, ..)) = there.iter().find(unset) {
            let text = format!("column `{name}` of table `{table}` must have a value");
            return Ok(Err(Error::option("table", text)
                .help("the input has no column of this name, and the table no default for it")));
        }
        // The rest is for the database to say: compiling runs nothing.
        match connection.prepare(&self.insert()) {
            Ok(_) => Ok(Ok(Found::Fits)),
            Err(e) if is_busy(&e) => Err(e),
            Err(e) if e.to_string().contains("ON CONFLICT") => Ok(Err(Error::option(
                "key",
                format!("table `{table}` has no primary key or unique index of just these columns"),
            )
            .help(format!(
                "create one: CREATE UNIQUE INDEX … ON {} ({})",
                quoted(table),
                self.key()
            )))),
            Err(e) => Ok(Err(self.failed(&e).at("table"))),
        }
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|at| self.input.field(*at).name().as_str())
    }

    fn key(&self) -> String {
        let names: Vec<_> = self.load.key.iter().map(|name| quoted(name)).collect();
        names.join(", ")
    }

    /// The statement that adds a row, or updates one.
    pub(super) fn insert(&self) -> String {
        let names: Vec<_> = self.names().map(quoted).collect();
        let values: Vec<_> = (1..=names.len()).map(|n| format!("?{n}")).collect();
        let head = format!("INSERT INTO {} ({})", quoted(&self.name), names.join(", "));
        let mut sql = format!("{head} VALUES ({})", values.join(", "));
        if self.load.mode == Mode::Upsert {
            let others = self.names().filter(|name| !self.load.key.iter().any(|key| key == name));
            let sets: Vec<_> =
                others.map(quoted).map(|name| format!("{name} = excluded.{name}")).collect();
            let action = match sets.is_empty() {
                true => "NOTHING".to_owned(),
                false => format!("UPDATE SET {}", sets.join(", ")),
            };
            sql += &format!(" ON CONFLICT ({}) DO {action}", self.key());
        }
        sql
    }

    /// The statement that makes the table.
    pub(super) fn create(&self) -> String {
        let mut parts = Vec::new();
        for at in &self.columns {
            let field = self.input.field(*at);
            let own = self.load.types.get(field.name()).map(String::as_str);
            let kind = own.unwrap_or_else(|| column_type(field.data_type()));
            let key = if self.load.key.contains(field.name()) { " NOT NULL" } else { "" };
            parts.push(format!("{} {kind}{key}", quoted(field.name())));
        }
        if !self.load.key.is_empty() {
            parts.push(format!("PRIMARY KEY ({})", self.key()));
        }
        format!("CREATE TABLE IF NOT EXISTS {} ({})", quoted(&self.name), parts.join(", "))
    }

    /// Whether there is a table or view of that name.
    pub(super) fn exists(connection: &Connection, name: &str) -> rusqlite::Result<bool> {
        let sql = "SELECT 1 FROM sqlite_master WHERE name = ?1 COLLATE NOCASE";
        Ok(connection.query_row(sql, [name], |_| Ok(())).optional()?.is_some())
    }

    /// What the database says, in words.
    pub(super) fn failed(&self, error: &rusqlite::Error) -> Error {
        let path = self.path.display();
        let code = error.sqlite_error().map(|e| e.code);
        match code {
            Some(ffi::ErrorCode::NotADatabase) => {
                Error::io(format!("{path} is no SQLite database")).help("name another file")
            }
            Some(ffi::ErrorCode::DiskFull) => {
                Error::io(format!("{path} cannot be written: there is no space left"))
            }
            Some(ffi::ErrorCode::DatabaseBusy | ffi::ErrorCode::DatabaseLocked) => {
                let waited = self.load.timeout;
                Error::io(format!("{path} was locked by another program for {waited}"))
                    .help("end its transaction, or let `timeout` be longer")
            }
            Some(ffi::ErrorCode::ConstraintViolation) => {
                Error::new(ErrorKind::Data, format!("{path}: {error}"))
            }
            _ => Error::io(format!("{path}: {error}")),
        }
    }
}

pub(super) fn is_busy(error: &rusqlite::Error) -> bool {
    let Some(error) = error.sqlite_error() else { return false };
    // The last: who died in a transaction has left it to the next who writes.
    matches!(error.code, ffi::ErrorCode::DatabaseBusy | ffi::ErrorCode::DatabaseLocked)
        || error.extended_code == ffi::SQLITE_READONLY_ROLLBACK
}

/// The name between quotes.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The type of a column that is made for such values. A `TEXT` column leaves decimals and times as they
/// are.
fn column_type(data_type: &DataType) -> &'static str {
    match class(data_type) {
        Class::Bool => "BOOLEAN",
        Class::Bytes => "BLOB",
        Class::Number if data_type.is_integer() => "INTEGER",
        Class::Number if data_type.is_floating() => "REAL",
        Class::Number => match data_type {
            DataType::Dictionary(_, values) => column_type(values),
            DataType::RunEndEncoded(_, values) => column_type(values.data_type()),
            _ => "TEXT",
        },
        Class::Text | Class::Time | Class::Nested | Class::Nothing => "TEXT",
    }
}
