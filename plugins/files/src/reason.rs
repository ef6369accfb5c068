//! Why a record does not fit, in words.

use std::fmt::Display;
use std::sync::Arc;

use arrow_schema::{DataType, Schema, TimeUnit};
use serde::de::IgnoredAny;

use crate::decode::{Csv, Decoder, Jsonl, values, without_end};
use crate::object::Object;

/// Why a single record does not fit. What the reader told of it is the last resort: readers count
/// and name things of their own.
pub(crate) fn of(decoder: &Decoder, record: &[u8], told: String) -> String {
    let found = match decoder {
        Decoder::Csv(csv) => of_csv(csv, without_end(record)),
        Decoder::Jsonl(jsonl) => of_json(jsonl, without_end(record)),
        Decoder::Lines { .. } => None,
    };
    found.unwrap_or(told)
}

/// What is said of a number that is too large.
pub(crate) fn too_large(number: &str) -> String {
    format!("{} is out of range", quoted(number))
}

fn of_csv(csv: &Csv, record: &[u8]) -> Option<String> {
    let Some(values) = values(record, csv.delimiter) else {
        return Some("the line is not UTF-8".to_owned());
    };
    let columns = csv.file.fields().len();
    if values.len() != columns {
        let (values, columns) = (count(values.len(), "value"), count(columns, "column"));
        return Some(format!("the line has {values}, the file has {columns}"));
    }
    csv.schema.fields().iter().enumerate().find_map(|(at, field)| {
        csv.column(at).ok()?.whole(record, 1).err()?;
        let value = values.get(csv.projection[at])?;
        Some(unfit(field.name(), value, field.data_type()))
    })
}

fn of_json(jsonl: &Jsonl, record: &[u8]) -> Option<String> {
    let mut all = serde_json::Deserializer::from_slice(record).into_iter::<IgnoredAny>();
    match all.next()? {
        Ok(_) => {}
        Err(error) if error.is_eof() => return Some("the line ends within a value".to_owned()),
        Err(error) => return Some(format!("the line is not JSON: {}", placed(&error))),
    }
    if all.next().is_some() {
        return Some("the line holds more than one value".to_owned());
    }
    let Ok(Object(members)) = serde_json::from_slice(record) else {
        return Some(match record.trim_ascii_start().first() {
            Some(b'{') => "the line is not UTF-8".to_owned(),
            _ => format!("{} is not a JSON object", quoted(&String::from_utf8_lossy(record))),
        });
    };
    jsonl.schema.fields().iter().find_map(|field| {
        let schema = Arc::new(Schema::new(vec![field.clone()]));
        let json = jsonl.json.iter().filter(|name| *name == field.name()).cloned().collect();
        Jsonl::new(schema, json).decode(record, 1).err()?;
        let (_, value) = members.iter().rev().find(|(name, _)| name == field.name())?;
        Some(unfit(field.name(), value.get(), field.data_type()))
    })
}

/// What serde says, without the line, which is always the first.
fn placed(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.split_once(" at line 1 column ") {
        Some((what, column)) => format!("{what} (column {column})"),
        None => text,
    }
}

fn unfit(column: &str, value: &str, data_type: &DataType) -> String {
    let large = value.trim_start_matches(['+', '-']).starts_with(|c: char| c.is_ascii_digit())
        && value.parse::<f64>().is_ok_and(f64::is_infinite);
    match large && *data_type == DataType::Float64 {
        true => format!("column `{column}`: {}", too_large(value)),
        false => format!("column `{column}`: {} is not of type {}", quoted(value), word(data_type)),
    }
}

/// The type as it is declared, or what Arrow calls it.
fn word(data_type: &DataType) -> &dyn Display {
    match data_type {
        DataType::Utf8 => &"string",
        DataType::Int64 => &"int64",
        DataType::Float64 => &"float64",
        DataType::Boolean => &"boolean",
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => &"timestamp",
        DataType::Date32 => &"date",
        other => other,
    }
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// The beginning of a value.
fn quoted(value: &str) -> String {
    const LONGEST: usize = 60;
    let value = value.trim();
    match value.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("`{}…`", &value[..end]),
        None => format!("`{value}`"),
    }
}
