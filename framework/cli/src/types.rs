//! Column types as people name them.

use arrow_schema::{DataType, TimeUnit};

/// `string`, `list of int64`, `map to string`: the words of the YAML where it has one.
pub fn name(data_type: &DataType) -> String {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "string".to_owned(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "bytes".to_owned(),
        DataType::Boolean => "boolean".to_owned(),
        DataType::Date32 | DataType::Date64 => "date".to_owned(),
        DataType::Timestamp(unit, zone) => {
            let unit = match unit {
                TimeUnit::Second => "s",
                TimeUnit::Millisecond => "ms",
                TimeUnit::Microsecond => "µs",
                TimeUnit::Nanosecond => "ns",
            };
            match zone {
                Some(zone) => format!("timestamp ({unit}, {zone})"),
                None => format!("timestamp ({unit})"),
            }
        }
        DataType::List(item) | DataType::LargeList(item) => {
            format!("list of {}", name(item.data_type()))
        }
        DataType::Struct(fields) => {
            let fields = fields.iter().map(|f| format!("{} {}", f.name(), name(f.data_type())));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(", "))
        }
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) if fields.len() == 2 => {
                format!("map to {}", name(fields[1].data_type()))
            }
            other => format!("map of {}", name(other)),
        },
        DataType::Dictionary(_, value) => name(value),
        other => other.to_string().to_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use arrow_schema::Field;

    #[test]
    fn types_have_plain_names() {
        let list = DataType::List(Arc::new(Field::new("item", DataType::Int64, true)));
        let pair = DataType::Struct(
            vec![
                Field::new("keys", DataType::Utf8, false),
                Field::new("values", DataType::Utf8View, true),
            ]
            .into(),
        );
        let map = DataType::Map(Arc::new(Field::new("entries", pair.clone(), false)), false);
        let named = [DataType::Float64, list, pair, map].map(|data_type| name(&data_type));
        let expected =
            ["float64", "list of int64", "{keys string, values string}", "map to string"];
        assert_eq!(named, expected);
    }
}
