//! Tables as JSON and back.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_json::ReaderBuilder;
use arrow_json::writer::{LineDelimited, WriterBuilder};
use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef};
use gristmill_stage::{Error, Result};
use serde_json::Value;

/// Makes a batch from rows in JSON: `rows!([{ "n": 1, "s": "a" }, { "n": null, "s": "b" }])`.
///
/// Whole numbers become int64, others float64, texts utf8; every column may be null, and columns
/// stand in the order in which they come up. With a schema before it, `rows!(schema => […])`, the
/// rows are read as that schema. Panics on what is no table, as a test should.
#[macro_export]
macro_rules! rows {
    ([ $($json:tt)* ]) => {
        $crate::private::table_or_panic($crate::private::json!([ $($json)* ]))
    };
    ($schema:expr => [ $($json:tt)* ]) => {
        $crate::private::table_of_or_panic(&$schema, $crate::private::json!([ $($json)* ]))
    };
}

/// The batch of a JSON list of objects, its schema found out from the values. See [`rows!`].
///
/// # Errors
/// When it is no list of objects, or a column has values of several types.
pub fn table(rows: &Value) -> Result<RecordBatch> {
    let fields = struct_fields(list(rows)?)?;
    table_of(&Arc::new(Schema::new(fields)), rows)
}

/// The batch of a JSON list of objects, read as `schema`.
///
/// # Errors
/// When a value does not fit its column.
pub fn table_of(schema: &SchemaRef, rows: &Value) -> Result<RecordBatch> {
    let rows = list(rows)?;
    let builder = ReaderBuilder::new(Arc::clone(schema)).with_batch_size(rows.len().max(1));
    let mut decoder = builder.with_strict_mode(true).build_decoder()?;
    decoder.serialize(rows)?;
    Ok(decoder.flush()?.unwrap_or_else(|| RecordBatch::new_empty(Arc::clone(schema))))
}

/// All rows of some batches as JSON objects, in order and with their nulls.
///
/// # Errors
/// When a column has a type that JSON cannot show.
pub fn json_rows<'a>(batches: impl IntoIterator<Item = &'a RecordBatch>) -> Result<Vec<Value>> {
    let mut text = Vec::new();
    for batch in batches {
        let builder = WriterBuilder::new().with_explicit_nulls(true);
        let mut writer = builder.build::<_, LineDelimited>(&mut text);
        writer.write(batch)?;
        writer.finish()?;
    }
    serde_json::Deserializer::from_slice(&text)
        .into_iter()
        .collect::<Result<_, _>>()
        .map_err(|e| Error::internal(format!("arrow wrote JSON that cannot be read: {e}")))
}

/// Whether both have the same rows, in whatever order, and what differs if not.
///
/// # Errors
/// A text of the rows that only one of them has.
pub fn same_rows(found: &[Value], expected: &[Value]) -> Result<(), String> {
    let texts = |rows: &[Value]| rows.iter().map(ToString::to_string).collect::<Vec<_>>();
    differ(texts(found), texts(expected))
}

/// What two multisets of texts do not share, as text.
pub(crate) fn differ(mut found: Vec<String>, mut expected: Vec<String>) -> Result<(), String> {
    found.sort_unstable();
    expected.sort_unstable();
    let (mut missing, mut extra) = (Vec::new(), Vec::new());
    let (mut f, mut e) = (found.iter().peekable(), expected.iter().peekable());
    loop {
        match (f.peek(), e.peek()) {
            (None, None) => break,
            (Some(a), Some(b)) if a == b => {
                f.next();
                e.next();
            }
            (Some(a), b) if b.is_none_or(|b| a < b) => extra.extend(f.next()),
            _ => missing.extend(e.next()),
        }
    }
    if missing.is_empty() && extra.is_empty() {
        return Ok(());
    }
    let mut text = format!("{} rows instead of {}", found.len(), expected.len());
    for (what, rows) in [("missing", missing), ("too many", extra)] {
        if !rows.is_empty() {
            text.push_str(&format!("\n  {what}, {}:", rows.len()));
            rows.iter().take(5).for_each(|row| text.push_str(&format!("\n    {row}")));
        }
        if rows.len() > 5 {
            text.push_str("\n    …");
        }
    }
    Err(text)
}

#[doc(hidden)]
#[track_caller]
#[expect(clippy::panic, reason = "tests fail by panicking")]
pub fn table_or_panic(rows: Value) -> RecordBatch {
    table(&rows).unwrap_or_else(|e| panic!("{e}"))
}

#[doc(hidden)]
#[track_caller]
#[expect(clippy::panic, reason = "tests fail by panicking")]
pub fn table_of_or_panic(schema: &SchemaRef, rows: Value) -> RecordBatch {
    table_of(schema, &rows).unwrap_or_else(|e| panic!("{e}"))
}

fn list(rows: &Value) -> Result<&Vec<Value>> {
    rows.as_array()
        .filter(|rows| rows.iter().all(Value::is_object))
        .ok_or_else(|| Error::data("a table is a list of objects"))
}

/// The fields of objects, in the order in which they come up.
fn struct_fields<'a>(objects: impl IntoIterator<Item = &'a Value>) -> Result<Fields> {
    let mut types: Vec<(String, Vec<&Value>)> = Vec::new();
    for (name, value) in objects.into_iter().filter_map(Value::as_object).flatten() {
        match types.iter_mut().find(|(known, _)| known == name) {
            Some((_, values)) => values.push(value),
            None => types.push((name.clone(), vec![value])),
        }
    }
    types
        .into_iter()
        .map(|(name, values)| {
            let data_type =
                data_type(&values).map_err(|e| e.context(format!("column `{name}`")))?;
            Ok(Field::new(name, data_type, true))
        })
        .collect()
}

fn data_type(values: &[&Value]) -> Result<DataType> {
    let values: Vec<&Value> = values.iter().copied().filter(|value| !value.is_null()).collect();
    let all = |is: fn(&Value) -> bool| values.iter().all(|value| is(value));
    Ok(match () {
        () if values.is_empty() => DataType::Null,
        () if all(Value::is_i64) => DataType::Int64,
        () if all(Value::is_number) => DataType::Float64,
        () if all(Value::is_string) => DataType::Utf8,
        () if all(Value::is_boolean) => DataType::Boolean,
        () if all(Value::is_object) => DataType::Struct(struct_fields(values)?),
        () if all(Value::is_array) => {
            let inside: Vec<&Value> =
                values.into_iter().filter_map(Value::as_array).flatten().collect();
            DataType::new_list(data_type(&inside)?, true)
        }
        () => return Err(Error::data("the values are of several types")),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tables_go_there_and_back() {
        let rows = json!([
            { "n": 1, "x": 1.5, "s": "a", "l": [1, 2], "o": { "b": true }, "z": null },
            { "n": null, "x": 2.0, "s": null, "l": null, "o": null, "z": null },
        ]);
        let batch = table(&rows).unwrap();
        assert_eq!(Value::Array(json_rows([&batch]).unwrap()), rows);
        assert_eq!(batch.schema().field(0).data_type(), &DataType::Int64);
        assert_eq!(rows!([{ "n": 7 }]).num_rows(), 1);
        assert_eq!(rows!(batch.schema() => []).num_rows(), 0);
        assert!(table(&json!([{ "a": 1 }, { "a": "x" }])).unwrap_err().message().contains("`a`"));
        assert!(table(&json!({ "a": 1 })).is_err());
    }

    #[test]
    fn differences_are_named() {
        let (a, b) = (json!({ "n": 1 }), json!({ "n": 2 }));
        assert!(same_rows(&[a.clone(), b.clone()], &[b.clone(), a.clone()]).is_ok());
        let text = same_rows(&[a.clone(), a.clone()], &[a, b]).unwrap_err();
        assert!(text.contains("missing, 1:\n    {\"n\":2}"), "{text}");
        assert!(text.contains("too many, 1:\n    {\"n\":1}"), "{text}");
    }
}
