//! What columns a file has, from its first rows.

use std::borrow::Borrow;
use std::collections::BTreeSet;
use std::sync::Arc;

use arrow_schema::{ArrowError, DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use gristmill_stage::option::ColumnType;
use gristmill_stage::{Error, Result};
use serde_json::{Value, json};

use crate::decode::without_end;
use crate::records::{Part, Records};

/// The first records, as texts. Too long ones are passed over.
pub(crate) fn first(records: &mut Records, rows: usize) -> std::io::Result<Vec<Vec<u8>>> {
    let mut found = Vec::new();
    while found.len() < rows {
        match records.next(rows - found.len(), 1 << 20) {
            // Only files are looked at, and these need no wait.
            Ok(Part::End | Part::Wait) => break,
            // What comes before a place where compressed data is cut short is enough to look at.
            Err(e) if found.is_empty() => return Err(e),
            Err(_) => break,
            Ok(Part::TooLong { .. }) => {}
            Ok(Part::Records { records: ranges, .. }) => {
                let text = records.text();
                found.extend(ranges.into_iter().map(|range| text[range].to_vec()));
            }
        }
    }
    Ok(found)
}

/// The columns of JSON lines, in the order in which they turn up; lines that are no JSON object do
/// not count. `None` when no line does.
pub(crate) fn json(lines: &[Vec<u8>]) -> Result<Option<SchemaRef>> {
    let values: Vec<Value> = lines
        .iter()
        .filter_map(|line| serde_json::from_slice(line).ok())
        .filter(Value::is_object)
        .collect();
    let schema = infer(values.iter()).map_err(|e| {
        let names = values.iter().filter_map(Value::as_object).flat_map(|row| row.keys());
        let mixed = names.collect::<BTreeSet<_>>().into_iter().find(|name| {
            let alone = values.iter().filter_map(|row| Some(json!({ *name: row.get(*name)? })));
            infer(alone).is_err()
        });
        let what = match mixed {
            Some(name) => format!("the first rows have values of several kinds in column `{name}`"),
            None => format!("the columns cannot be told from the first rows: {e}"),
        };
        Error::option("columns", what)
            .help("declare the columns; one with values of several kinds has the type `json`")
    })?;
    let mut fields: Vec<FieldRef> = Vec::new();
    let names = values.iter().filter_map(Value::as_object).flat_map(|row| row.keys());
    for name in names {
        // Once all are found the rows need no more looking at.
        if fields.len() < schema.fields().len() && !fields.iter().any(|field| field.name() == name)
        {
            fields.extend(
                schema.field_with_name(name).ok().map(|field| settled(&Arc::new(field.clone()))),
            );
        }
    }
    Ok((!fields.is_empty()).then(|| Arc::new(Schema::new(fields))))
}

fn infer(rows: impl Iterator<Item = impl Borrow<Value>>) -> Result<Schema, ArrowError> {
    arrow_json::reader::infer_json_schema_from_iterator(rows.map(Ok))
}

/// The columns of CSV: `names` with the types that the records have. Records with another number of
/// values do not count.
pub(crate) fn csv(names: &[String], records: &[Vec<u8>], delimiter: u8) -> SchemaRef {
    let format = arrow_csv::reader::Format::default().with_header(false).with_delimiter(delimiter);
    let infer = |text: &[u8]| format.infer_schema(text, None).ok().map(|(schema, _)| schema);
    let fits = |schema: &Schema| schema.fields().len() == names.len();
    let all = infer(&records.concat()).filter(fits).or_else(|| {
        let good = records.iter().filter(|record| infer(record).is_some_and(|s| fits(&s)));
        let good: Vec<&[u8]> = good.map(Vec::as_slice).collect();
        infer(&good.concat()).filter(fits)
    });
    let kind =
        |at: usize| all.as_ref().map_or(DataType::Utf8, |all| all.field(at).data_type().clone());
    let field = |(at, name)| settled(&Arc::new(Field::new(name, kind(at), true)));
    Arc::new(Schema::new(names.iter().enumerate().map(field).collect::<Vec<_>>()))
}

/// The field as it is used: null is allowed, what never had a value is text, a time has its zone,
/// and the fields within have an order of their own.
fn settled(field: &FieldRef) -> FieldRef {
    let data_type = match field.data_type() {
        DataType::Null => DataType::Utf8,
        DataType::Timestamp(..) => ColumnType::Timestamp.data_type(),
        DataType::List(item) => DataType::List(settled(item)),
        DataType::Struct(fields) => {
            let mut fields: Vec<FieldRef> = fields.iter().map(settled).collect();
            fields.sort_by(|a, b| a.name().cmp(b.name()));
            DataType::Struct(Fields::from(fields))
        }
        other => other.clone(),
    };
    Arc::new(Field::new(field.name(), data_type, true))
}

/// Whether a record holds nothing but its line end.
pub(crate) fn is_blank(record: &[u8]) -> bool {
    without_end(record).is_empty()
}
