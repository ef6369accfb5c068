//! JSON lines to columns.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::builder::{BooleanBuilder, PrimitiveBuilder, StringBuilder};
use arrow_array::timezone::Tz;
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Float64Type, Int64Type, TimestampMicrosecondType,
};
use arrow_array::{ArrayRef, RecordBatch, StringArray};
use arrow_cast::parse::{Parser, string_to_datetime};
use arrow_schema::SchemaRef;
use gristmill_stage::Result;
use gristmill_stage::option::{ColumnType, Columns};
use serde_json::value::RawValue;

/// What became of some lines.
pub(crate) struct Read {
    pub(crate) rows: RecordBatch,
    /// Lines that do not fit, each with the reason.
    pub(crate) wrong: Vec<(String, String)>,
}

/// A value of one of the types.
enum Cell {
    Text(String),
    Whole(i64),
    Number(f64),
    Flag(bool),
    Micros(i64),
    Days(i32),
}

/// Reads lines into one batch.
pub(crate) fn read<'a>(
    lines: impl Iterator<Item = &'a [u8]>,
    columns: &Columns,
    schema: &SchemaRef,
) -> Result<Read> {
    let mut cells: Vec<Vec<Option<Cell>>> = columns.0.iter().map(|_| Vec::new()).collect();
    let mut wrong = Vec::new();
    for line in lines {
        match row(line, columns) {
            Ok(row) => cells.iter_mut().zip(row).for_each(|(column, cell)| column.push(cell)),
            Err(reason) => wrong.push((String::from_utf8_lossy(line).into_owned(), reason)),
        }
    }
    let arrays = columns.0.iter().zip(cells).map(|((_, kind), cells)| array(*kind, cells));
    let rows = RecordBatch::try_new(schema.clone(), arrays.collect())?;
    Ok(Read { rows, wrong })
}

/// A batch of lines that do not fit.
pub(crate) fn rejected(line: String) -> Result<RecordBatch> {
    let column: ArrayRef = Arc::new(StringArray::from(vec![line]));
    Ok(RecordBatch::try_from_iter([("line", column)])?)
}

fn row(line: &[u8], columns: &Columns) -> Result<Vec<Option<Cell>>, String> {
    let members: HashMap<Cow<'_, str>, &RawValue> = serde_json::from_slice(line)
        .map_err(|e| format!("a line of the program is no JSON object: {e}"))?;
    let cell = |(name, kind): &(String, ColumnType)| {
        let Some(raw) = members.get(name.as_str()).map(|raw| raw.get()) else { return Ok(None) };
        if raw == "null" {
            return Ok(None);
        }
        let found = cell(raw, *kind).ok_or_else(|| {
            let shown: String = raw.chars().take(60).collect();
            format!("`{name}` of a line of the program is no {}: {shown}", kind.name())
        });
        found.map(Some)
    };
    columns.0.iter().map(cell).collect()
}

fn cell(raw: &str, kind: ColumnType) -> Option<Cell> {
    let text = || serde_json::from_str::<String>(raw).ok();
    let plain = !raw.starts_with(['{', '[']);
    Some(match kind {
        ColumnType::Json => Cell::Text(raw.to_owned()),
        ColumnType::String => match text() {
            Some(text) => Cell::Text(text),
            None => Cell::Text(plain.then(|| raw.to_owned())?),
        },
        ColumnType::Int64 => Cell::Whole(raw.parse().ok()?),
        ColumnType::Float64 => Cell::Number(match text().as_deref() {
            None => serde_json::from_str(raw).ok()?,
            Some("NaN") => f64::NAN,
            Some("Infinity") => f64::INFINITY,
            Some("-Infinity") => f64::NEG_INFINITY,
            Some(_) => return None,
        }),
        ColumnType::Boolean => Cell::Flag(raw.parse().ok()?),
        ColumnType::Timestamp => {
            let utc: Tz = "UTC".parse().ok()?;
            Cell::Micros(string_to_datetime(&utc, &text()?).ok()?.timestamp_micros())
        }
        ColumnType::Date => Cell::Days(Date32Type::parse(&text()?)?),
    })
}

fn array(kind: ColumnType, cells: Vec<Option<Cell>>) -> ArrayRef {
    match kind {
        ColumnType::Int64 => numbers::<Int64Type>(cells, |cell| match cell {
            Cell::Whole(value) => Some(value),
            _ => None,
        }),
        ColumnType::Float64 => numbers::<Float64Type>(cells, |cell| match cell {
            Cell::Number(value) => Some(value),
            _ => None,
        }),
        ColumnType::Date => numbers::<Date32Type>(cells, |cell| match cell {
            Cell::Days(value) => Some(value),
            _ => None,
        }),
        ColumnType::Timestamp => {
            let mut column =
                PrimitiveBuilder::<TimestampMicrosecondType>::with_capacity(cells.len())
                    .with_timezone("UTC");
            cells.into_iter().for_each(|cell| match cell {
                Some(Cell::Micros(value)) => column.append_value(value),
                _ => column.append_null(),
            });
            Arc::new(column.finish())
        }
        ColumnType::Boolean => {
            let mut column = BooleanBuilder::with_capacity(cells.len());
            cells.into_iter().for_each(|cell| match cell {
                Some(Cell::Flag(value)) => column.append_value(value),
                _ => column.append_null(),
            });
            Arc::new(column.finish())
        }
        ColumnType::String | ColumnType::Json => {
            let mut column = StringBuilder::new();
            cells.into_iter().for_each(|cell| match cell {
                Some(Cell::Text(value)) => column.append_value(value),
                _ => column.append_null(),
            });
            Arc::new(column.finish())
        }
    }
}

fn numbers<T: ArrowPrimitiveType>(
    cells: Vec<Option<Cell>>,
    value: impl Fn(Cell) -> Option<T::Native>,
) -> ArrayRef {
    let mut column = PrimitiveBuilder::<T>::with_capacity(cells.len());
    cells.into_iter().for_each(|cell| column.append_option(cell.and_then(&value)));
    Arc::new(column.finish())
}
