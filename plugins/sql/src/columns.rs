//! The types of columns that leave a stage, and their names for people.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch, UInt64Array};
use arrow_schema::{ArrowError, DataType, Field, FieldRef};

/// The type in which a computed column of type `from` is emitted: views become plain strings and
/// bytes, also inside of lists and structs, since not every consumer reads views.
pub(crate) fn plain_type(from: &DataType) -> DataType {
    convert(from, &DataType::clone)
}

/// The type in which a group column is kept and emitted: plain, and dictionaries as their values.
pub(crate) fn key_type(from: &DataType) -> DataType {
    convert(from, &|other| match other {
        DataType::Dictionary(_, values) => key_type(values),
        other => other.clone(),
    })
}

/// The plain type, with `rest` of what is no view, list or struct.
fn convert(from: &DataType, rest: &dyn Fn(&DataType) -> DataType) -> DataType {
    let field = |field: &FieldRef| -> FieldRef {
        let plain = convert(field.data_type(), rest);
        if plain == *field.data_type() {
            Arc::clone(field)
        } else {
            Arc::new(field.as_ref().clone().with_data_type(plain))
        }
    };
    match from {
        DataType::Utf8View => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        DataType::List(item) | DataType::ListView(item) => DataType::List(field(item)),
        DataType::LargeList(item) | DataType::LargeListView(item) => {
            DataType::LargeList(field(item))
        }
        DataType::FixedSizeList(item, size) => DataType::FixedSizeList(field(item), *size),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(field).collect()),
        DataType::Map(entries, sorted) => DataType::Map(field(entries), *sorted),
        other => rest(other),
    }
}

/// `array` as `to`, without work when it is that already.
pub(crate) fn cast_to(array: ArrayRef, to: &DataType) -> Result<ArrayRef, ArrowError> {
    if array.data_type() == to { Ok(array) } else { arrow_cast::cast(&array, to) }
}

/// Whether slices of a column have the values of all its rows under them.
pub(crate) fn shares_values(data_type: &DataType) -> bool {
    let encoded = matches!(data_type, DataType::Dictionary(..) | DataType::RunEndEncoded(..));
    encoded || data_type.is_nested()
}

/// `rows` with columns that hold the values of these rows and no others, as far as the columns with
/// these numbers go.
pub(crate) fn alone(rows: RecordBatch, columns: &[usize]) -> Result<RecordBatch, ArrowError> {
    let order = UInt64Array::from_iter_values(0..rows.num_rows() as u64);
    let (schema, mut arrays, _) = rows.into_parts();
    for index in columns {
        let taken = arrow_select::take::take(&arrays[*index], &order, None)?;
        // A taken dictionary still has all its values.
        let data_type = taken.data_type().clone();
        arrays[*index] = cast_to(cast_to(taken, &key_type(&data_type))?, &data_type)?;
    }
    RecordBatch::try_new(schema, arrays)
}

/// The parts of a column of this type as one. Dictionaries are made anew, so that those of all parts
/// need no more keys than their values do.
pub(crate) fn joined(parts: &[ArrayRef], data_type: &DataType) -> Result<ArrayRef, ArrowError> {
    let plain = key_type(data_type);
    let parts = parts.iter().map(|part| cast_to(Arc::clone(part), &plain));
    let parts = parts.collect::<Result<Vec<_>, _>>()?;
    let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
    cast_to(arrow_select::concat::concat(&parts)?, data_type)
}

/// A column that an expression computes. Any can be null.
pub(crate) fn computed(name: &str, data_type: &DataType) -> Field {
    Field::new(name, data_type.clone(), true)
}

/// The name of a type as people write it in a pipeline.
pub(crate) fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "string".to_owned(),
        DataType::Boolean => "bool".to_owned(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "binary".to_owned(),
        DataType::Null => "null".to_owned(),
        DataType::Dictionary(_, values) => type_name(values),
        DataType::Timestamp(..) => "timestamp".to_owned(),
        DataType::Date32 | DataType::Date64 => "date".to_owned(),
        DataType::Interval(_) => "interval".to_owned(),
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            format!("list of {}", type_name(item.data_type()))
        }
        DataType::Struct(_) => "struct".to_owned(),
        other => other.to_string().to_lowercase(),
    }
}
