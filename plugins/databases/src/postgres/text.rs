//! Rows in the text form that COPY reads: a line for each, tabs between the values.

use std::fmt::Write;

use arrow_array::RecordBatch;
use gristmill_stage::Result;

use super::table::Table;
use crate::cell::{Cell, columns};
use crate::letters::Refused;

/// The rows of a batch, without those whose values have no form.
#[derive(Debug, Default)]
pub(super) struct Lines {
    pub(super) bytes: Vec<u8>,
    pub(super) rows: usize,
    pub(super) refused: Refused,
}

/// With `numbered`, the number of the row in its batch comes first.
pub(super) fn lines(table: &Table, batch: &RecordBatch, numbered: bool) -> Result<Lines> {
    let columns = columns(batch, &table.columns, &table.load.key)?;
    let mut text = String::with_capacity(batch.num_rows() * columns.len() * 12);
    let mut lines = Lines::default();
    for row in 0..batch.num_rows() {
        let start = text.len();
        if numbered {
            put(&mut text, format_args!("{row}\t"));
        }
        let mut wrong = None;
        for (n, column) in columns.iter().enumerate() {
            if n > 0 {
                text.push('\t');
            }
            if let Err(why) = column.cell(row).and_then(|cell| value(&mut text, &cell)) {
                let name = table.input.field(table.columns[n]).name();
                wrong = Some(format!("column `{name}`: {why}"));
                break;
            }
        }
        match wrong {
            None => {
                text.push('\n');
                lines.rows += 1;
            }
            Some(why) => {
                text.truncate(start);
                lines.refused.push((row, why));
            }
        }
    }
    lines.bytes = text.into_bytes();
    Ok(lines)
}

fn put(text: &mut String, value: std::fmt::Arguments<'_>) {
    // Writing into a text cannot fail.
    let _ = text.write_fmt(value);
}

fn value(text: &mut String, cell: &Cell<'_>) -> Result<(), String> {
    match cell {
        Cell::Null => text.push_str("\\N"),
        Cell::Bool(value) => text.push(if *value { 't' } else { 'f' }),
        Cell::Int(value) => put(text, format_args!("{value}")),
        Cell::Large(value) => put(text, format_args!("{value}")),
        // Whole numbers without a point, so that integer columns take them; large and small ones
        // with an exponent, in place of hundreds of zeros.
        Cell::Single(value) if value.abs() < 1e9 && value.abs() > 1e-5 || *value == 0.0 => {
            put(text, format_args!("{value}"));
        }
        Cell::Double(value) if value.abs() < 1e15 && value.abs() > 1e-5 || *value == 0.0 => {
            put(text, format_args!("{value}"));
        }
        Cell::Single(value) => float(text, f64::from(*value), format_args!("{value:e}")),
        Cell::Double(value) => float(text, *value, format_args!("{value:e}")),
        Cell::Text(value) => escaped(text, value)?,
        Cell::Bytes(bytes) => {
            text.push_str("\\\\x");
            for byte in *bytes {
                const DIGITS: &[u8; 16] = b"0123456789abcdef";
                text.push(char::from(DIGITS[usize::from(byte >> 4)]));
                text.push(char::from(DIGITS[usize::from(byte & 15)]));
            }
        }
    }
    Ok(())
}

fn float(text: &mut String, value: f64, digits: std::fmt::Arguments<'_>) {
    match value {
        value if value.is_nan() => text.push_str("NaN"),
        f64::INFINITY => text.push_str("Infinity"),
        f64::NEG_INFINITY => text.push_str("-Infinity"),
        _ => put(text, digits),
    }
}

/// Adds a text as COPY has it.
fn escaped(out: &mut String, text: &str) -> Result<(), String> {
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|b| matches!(b, b'\\' | b'\n' | b'\r' | b'\t' | 0)) {
        out.push_str(&rest[..at]);
        out.push_str(match rest.as_bytes()[at] {
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            _ => return Err("PostgreSQL has no form for the character U+0000".to_owned()),
        });
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
    Ok(())
}
