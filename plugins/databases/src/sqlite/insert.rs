//! Rows into the table, one by one.

use arrow_array::RecordBatch;
use gristmill_stage::Result;
use rusqlite::types::ToSqlOutput;
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, Statement, ffi};

use super::table::Table;
use crate::cell::{Cell, Column, columns};
use crate::letters::Refused;

/// Puts the rows of a batch into the table; returns those that the database did not take.
pub(super) fn insert(
    connection: &Connection,
    table: &Table,
    batch: &RecordBatch,
) -> Result<Refused> {
    let columns = columns(batch, &table.columns, &table.load.key)?;
    let mut statement = connection.prepare(&table.insert()).map_err(|e| table.failed(&e))?;
    let mut refused = Refused::new();
    for row in 0..batch.num_rows() {
        let done = match bind(&mut statement, &columns, row) {
            Ok(()) => statement.raw_execute().map(|_| ()).map_err(Refusal::Database),
            Err(refusal) => Err(refusal),
        };
        match done {
            Ok(()) => {}
            Err(Refusal::Value(at, why)) => {
                let name = table.input.field(table.columns[at]).name();
                refused.push((row, format!("column `{name}`: {why}")));
            }
            // A trigger may have rolled all back: then it is no longer about this row alone.
            Err(Refusal::Database(e)) if of_row(&e) && !connection.is_autocommit() => {
                refused.push((row, said(&e)));
            }
            Err(Refusal::Database(e)) => return Err(table.failed(&e)),
        }
    }
    Ok(refused)
}

enum Refusal {
    /// The value in the column of that number has no form.
    Value(usize, String),
    Database(rusqlite::Error),
}

fn bind(statement: &mut Statement<'_>, columns: &[Column], row: usize) -> Result<(), Refusal> {
    for (at, column) in columns.iter().enumerate() {
        let cell = column.cell(row).map_err(|why| Refusal::Value(at, why))?;
        let value = value(&cell).map_err(|why| Refusal::Value(at, why))?;
        statement.raw_bind_parameter(at + 1, value).map_err(Refusal::Database)?;
    }
    Ok(())
}

fn value<'a>(cell: &'a Cell<'a>) -> Result<ToSqlOutput<'a>, String> {
    Ok(match cell {
        Cell::Null => ToSqlOutput::Owned(Value::Null),
        Cell::Bool(value) => ToSqlOutput::Owned(Value::Integer((*value).into())),
        Cell::Int(value) => ToSqlOutput::Owned(Value::Integer(*value)),
        Cell::Large(value) => match i64::try_from(*value) {
            Ok(value) => ToSqlOutput::Owned(Value::Integer(value)),
            Err(_) => return Err(format!("{value} is more than an integer of SQLite holds")),
        },
        // SQLite would make null of it, which is another value.
        Cell::Single(value) if value.is_nan() => return Err(NAN.to_owned()),
        Cell::Double(value) if value.is_nan() => return Err(NAN.to_owned()),
        Cell::Single(value) => ToSqlOutput::Owned(Value::Real((*value).into())),
        Cell::Double(value) => ToSqlOutput::Owned(Value::Real(*value)),
        Cell::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
        Cell::Bytes(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
    })
}

const NAN: &str = "SQLite has no form for NaN";

/// Whether another row may go in all the same.
fn of_row(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error().map(|e| e.code);
    matches!(
        code,
        Some(
            ffi::ErrorCode::ConstraintViolation
                | ffi::ErrorCode::TypeMismatch
                | ffi::ErrorCode::TooBig
        )
    )
}

/// The database's own words.
fn said(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqliteFailure(_, Some(text)) => text.clone(),
        other => other.to_string(),
    }
}
