//! The table: what is known of it, and the SQL for it.

use std::time::Duration;

use arrow_schema::{DataType, SchemaRef};
use gristmill_stage::{Error, Result};
use tokio_postgres::Row;

use super::PostgresOptions;
use crate::cell::{Class, class};
use crate::options::{Load, Mode};

/// Where it stands how far workers have come.
const MARKS: &str = "gristmill_published";

/// Rows of a batch as texts, and those of them that are refused.
pub(super) const ROWS: &str = "pg_temp.gristmill_rows";
pub(super) const REFUSED: &str = "pg_temp.gristmill_refused";

/// What the database knows of the columns of a table. The name goes in as a value.
pub(super) const COLUMNS: &str = "SELECT a.attname::text, format_type(a.atttypid, -1), \
    t.typcategory::text, t.typname::text, \
    a.attnotnull AND NOT a.atthasdef AND a.attidentity = '', \
    a.attgenerated <> '' OR a.attidentity = 'a' \
    FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid \
    WHERE a.attrelid = to_regclass($1::text) AND a.attnum > 0 AND NOT a.attisdropped \
    ORDER BY a.attnum";

/// The table, as the options have it.
pub(super) struct Table {
    /// Its name, quoted; its schema as well, if one is given.
    pub(super) name: String,
    schema: Option<String>,
    pub(super) load: Load,
    pub(super) input: SchemaRef,
    /// The input columns to write.
    pub(super) columns: Vec<usize>,
}

/// A column of the table in the database.
struct Found {
    name: String,
    kind: String,
    category: String,
    base: String,
    needed: bool,
    generated: bool,
}

impl Table {
    pub(super) fn new(
        options: &PostgresOptions,
        load: &Load,
        input: &SchemaRef,
        columns: Vec<usize>,
    ) -> Result<Self> {
        let (schema, table) = match options.table.split_once('.') {
            Some((schema, table)) => (Some(schema), table),
            None => (None, options.table.as_str()),
        };
        let empty = table.is_empty() || schema.is_some_and(str::is_empty);
        if empty || table.contains('.') || options.table.contains(['\0', '"']) {
            let text = format!("`{}` is not the name of a table", options.table);
            return Err(Error::option("table", text).help("like `prices` or `shop.prices`"));
        }
        let schema = schema.map(quoted);
        let within = |name: &str| match &schema {
            Some(schema) => format!("{schema}.{}", quoted(name)),
            None => quoted(name),
        };
        let (name, load, input) = (within(table), load.clone(), input.clone());
        Ok(Self { name, schema, load, input, columns })
    }

    /// The table of marks stands beside the table.
    pub(super) fn marks(&self) -> String {
        match &self.schema {
            Some(schema) => format!("{schema}.{MARKS}"),
            None => MARKS.to_owned(),
        }
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|at| self.input.field(*at).name().as_str())
    }

    fn list(&self) -> String {
        self.names().map(quoted).collect::<Vec<_>>().join(", ")
    }

    fn key(&self) -> String {
        self.load.key.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", ")
    }

    /// Compares what is written with the columns that are there. Returns the types of those that are
    /// written, or none when there is no table and one will be made.
    pub(super) fn compare(&self, rows: &[Row]) -> Result<Option<Vec<String>>, Error> {
        let there = rows.iter().map(Found::read).collect::<Result<Vec<_>, _>>();
        let there = there.map_err(|e| Error::internal(format!("columns of the table: {e}")))?;
        let table = &self.name;
        if there.is_empty() {
            return match self.load.create {
                true => Ok(None),
                false => Err(Error::option("table", format!("there is no table {table}"))
                    .help("`create: true` makes it")),
            };
        }
        let mut kinds = Vec::new();
        for (n, at) in self.columns.iter().enumerate() {
            let (field, option) = (self.input.field(*at), self.option(n));
            let name = field.name();
            let Some(column) = there.iter().find(|column| &column.name == name) else {
                let known: Vec<_> = there.iter().map(|c| format!("`{}`", c.name)).collect();
                let help = format!("it has {}; `columns` names those to write", known.join(", "));
                let text = format!("table {table} has no column `{name}`");
                return Err(Error::option(option, text).help(help));
            };
            if column.generated {
                let text = format!("column `{name}` of table {table} is generated");
                return Err(Error::option(option, text).help("`columns` names those to write"));
            }
            if !column.takes(class(field.data_type())) {
                let (kind, given) = (&column.kind, field.data_type());
                let text = format!(
                    "column `{name}` of table {table} is {kind}, and the input has {given}"
                );
                return Err(Error::option(option, text).help("convert it with `map` before"));
            }
            kinds.push(column.kind.clone());
        }
        let unset = |column: &&Found| column.needed && !self.names().any(|n| n == column.name);
        if let Some(column) = there.iter().find(unset) {
            let text = format!("column `{}` of table {table} must have a value", column.name);
            return Err(Error::option("table", text)
                .help("the input has no column of this name, and the table no default for it"));
        }
        Ok(Some(kinds))
    }

    /// The option to blame for the column of that number.
    fn option(&self, n: usize) -> String {
        self.load.columns.as_ref().map_or(String::new(), |_| format!("columns.{n}"))
    }

    /// What to say when there is no index for the key.
    pub(super) fn no_index(&self) -> Error {
        let (table, key) = (&self.name, self.key());
        let text =
            format!("table {table} has no primary key or unique index of just these columns");
        Error::option("key", text)
            .help(format!("create one: CREATE UNIQUE INDEX ON {table} ({key})"))
    }

    /// Plans the statement that rows go in by, and so looks at rights and keys, without running it.
    pub(super) fn explain(&self, kinds: &[String]) -> String {
        let nulls: Vec<_> = kinds.iter().map(|kind| format!("NULL::{kind}")).collect();
        let (table, list, nulls) = (&self.name, self.list(), nulls.join(", "));
        let conflict = self.conflict();
        format!("EXPLAIN INSERT INTO {table} ({list}) SELECT {nulls} WHERE false{conflict}")
    }

    /// Lets a connection wait for no lock longer than it may.
    pub(super) fn wait(&self) -> String {
        format!("SET lock_timeout = {}", millis(self.load.timeout.0))
    }

    /// Starts the transaction.
    pub(super) fn begin(&self) -> String {
        // Texts are read the same way wherever the server stands, and constraints looked at row by row.
        format!(
            "{}; BEGIN; SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO, YMD'; \
             SET CONSTRAINTS ALL IMMEDIATE",
            self.wait()
        )
    }

    pub(super) fn copy(&self) -> String {
        format!("COPY {} ({}) FROM STDIN", self.name, self.list())
    }

    /// Makes the tables of a transaction.
    pub(super) fn temporary(&self) -> String {
        let texts: Vec<_> = (0..self.columns.len()).map(|n| format!("c{n} text")).collect();
        let texts = texts.join(", ");
        format!(
            "CREATE TEMP TABLE IF NOT EXISTS gristmill_rows (n bigint, {texts}) ON COMMIT DROP; \
             CREATE TEMP TABLE IF NOT EXISTS gristmill_refused (n bigint, why text) ON COMMIT DROP; \
             TRUNCATE {ROWS}, {REFUSED}"
        )
    }

    /// Adds or updates all rows of a batch at once; of those with one key, the last.
    pub(super) fn merge(&self, kinds: &[String]) -> String {
        let values = self.casts("", kinds);
        let is_key = |name: &str| self.load.key.iter().any(|key| key == name);
        let keys = self.names().enumerate().filter(|(_, name)| is_key(name));
        let keys: Vec<_> = keys.map(|(n, _)| format!("c{n}")).collect();
        let keys = keys.join(", ");
        let (table, list, conflict) = (&self.name, self.list(), self.conflict());
        format!(
            "INSERT INTO {table} ({list}) SELECT {values} FROM \
             (SELECT DISTINCT ON ({keys}) * FROM {ROWS} ORDER BY {keys}, n DESC) rows{conflict}"
        )
    }

    /// Adds or updates the rows of a batch one by one, and notes which are refused, and why. All in
    /// the server: a round trip for each row would take a hundred times as long.
    pub(super) fn one_by_one(&self, kinds: &[String]) -> String {
        let (table, list, conflict) = (&self.name, self.list(), self.conflict());
        let values = self.casts("gristmill_row.", kinds);
        let body = format!(
            "#variable_conflict use_column\n\
             DECLARE gristmill_row record; gristmill_detail text; BEGIN \
             FOR gristmill_row IN SELECT * FROM {ROWS} ORDER BY n LOOP BEGIN \
             INSERT INTO {table} ({list}) VALUES ({values}){conflict}; \
             EXCEPTION WHEN data_exception OR integrity_constraint_violation \
             OR with_check_option_violation OR raise_exception THEN \
             GET STACKED DIAGNOSTICS gristmill_detail = PG_EXCEPTION_DETAIL; \
             INSERT INTO {REFUSED} VALUES (gristmill_row.n, SQLERRM || \
             CASE WHEN gristmill_detail <> '' THEN ' (' || gristmill_detail || ')' ELSE '' END); \
             END; END LOOP; END"
        );
        let mut tag = "$gristmill$".to_owned();
        while body.contains(&tag) {
            tag.insert(1, '_');
        }
        format!("DO {tag}{body}{tag}")
    }

    /// The texts of a row as the types of the columns.
    fn casts(&self, of: &str, kinds: &[String]) -> String {
        let casts = kinds.iter().enumerate().map(|(n, kind)| format!("{of}c{n}::{kind}"));
        casts.collect::<Vec<_>>().join(", ")
    }

    fn conflict(&self) -> String {
        if self.load.mode != Mode::Upsert {
            return String::new();
        }
        let others = self.names().filter(|name| !self.load.key.iter().any(|key| key == name));
        let sets: Vec<_> =
            others.map(quoted).map(|name| format!("{name} = excluded.{name}")).collect();
        match sets.is_empty() {
            true => format!(" ON CONFLICT ({}) DO NOTHING", self.key()),
            false => format!(" ON CONFLICT ({}) DO UPDATE SET {}", self.key(), sets.join(", ")),
        }
    }

    /// The statement that makes the table.
    pub(super) fn create(&self) -> String {
        let mut parts = Vec::new();
        for at in &self.columns {
            let field = self.input.field(*at);
            let own = self.load.types.get(field.name()).cloned();
            let kind = own.unwrap_or_else(|| column_type(field.data_type()));
            parts.push(format!("{} {kind}", quoted(field.name())));
        }
        if !self.load.key.is_empty() {
            parts.push(format!("PRIMARY KEY ({})", self.key()));
        }
        format!("CREATE TABLE IF NOT EXISTS {} ({})", self.name, parts.join(", "))
    }

    /// The statement that makes the table of marks.
    pub(super) fn create_marks(&self) -> String {
        format!(
            "CREATE TABLE IF NOT EXISTS {} (id text PRIMARY KEY, part bigint NOT NULL, \
             taken bigint NOT NULL, at timestamptz NOT NULL DEFAULT now())",
            self.marks()
        )
    }
}

impl Found {
    fn read(row: &Row) -> Result<Self, tokio_postgres::Error> {
        Ok(Self {
            name: row.try_get(0)?,
            kind: row.try_get(1)?,
            category: row.try_get(2)?,
            base: row.try_get(3)?,
            needed: row.try_get(4)?,
            generated: row.try_get(5)?,
        })
    }

    /// Whether such values can be right in the column. Texts are read as whatever the column is.
    fn takes(&self, class: Class) -> bool {
        let category = self.category.as_str();
        match class {
            Class::Text | Class::Nothing => true,
            _ if category == "S" => true,
            Class::Number => category == "N",
            Class::Bool => category == "B",
            Class::Time => matches!(category, "D" | "T"),
            Class::Bytes => self.base == "bytea",
            Class::Nested => matches!(self.base.as_str(), "json" | "jsonb"),
        }
    }
}

/// A time as settings have it; 0 would mean for ever.
pub(super) fn millis(time: Duration) -> u128 {
    time.as_millis().clamp(1, i32::MAX as u128)
}

/// The name between quotes.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The type of a column that is made for such values.
fn column_type(data_type: &DataType) -> String {
    let fixed = match data_type {
        DataType::Dictionary(_, values) => return column_type(values),
        DataType::RunEndEncoded(_, values) => return column_type(values.data_type()),
        DataType::Decimal32(digits, scale)
        | DataType::Decimal64(digits, scale)
        | DataType::Decimal128(digits, scale)
        | DataType::Decimal256(digits, scale)
            if *scale >= 0 =>
        {
            return format!("numeric({digits}, {scale})");
        }
        DataType::Boolean => "boolean",
        DataType::Int8 | DataType::Int16 | DataType::UInt8 => "smallint",
        DataType::Int32 | DataType::UInt16 => "integer",
        DataType::Int64 | DataType::UInt32 => "bigint",
        DataType::Float16 | DataType::Float32 => "real",
        DataType::Float64 => "double precision",
        DataType::Date32 | DataType::Date64 => "date",
        DataType::Time32(_) | DataType::Time64(_) => "time",
        DataType::Timestamp(_, None) => "timestamp",
        DataType::Timestamp(_, Some(_)) => "timestamptz",
        DataType::Duration(_) | DataType::Interval(_) => "interval",
        other => match class(other) {
            Class::Number => "numeric",
            Class::Bytes => "bytea",
            Class::Nested => "jsonb",
            _ => "text",
        },
    };
    fixed.to_owned()
}
