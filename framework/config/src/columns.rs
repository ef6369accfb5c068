//! Schemas side by side: what several inputs have in common, and how they are told in words.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_schema::{Field, Schema, SchemaRef};

/// The schema of a stage with several inputs. Columns must agree in name, type and order; where
/// one of them can be null, it can be null.
///
/// # Errors
/// How the first two that differ do, in a sentence.
pub(crate) fn unite(inputs: &[(&str, SchemaRef)]) -> Result<SchemaRef, String> {
    let Some(((first_name, first), others)) = inputs.split_first() else {
        return Ok(Arc::new(Schema::empty()));
    };
    let mut united = Arc::clone(first);
    for (name, schema) in others {
        if Arc::ptr_eq(schema, first) {
            continue;
        }
        if let Some(difference) = difference(first_name, first, name, schema) {
            return Err(difference);
        }
        if united.fields() != schema.fields() {
            let pairs = united.fields().iter().zip(schema.fields());
            let fields: Vec<Field> = pairs
                .map(|(one, other)| {
                    one.as_ref().clone().with_nullable(one.is_nullable() || other.is_nullable())
                })
                .collect();
            united = Arc::new(Schema::new_with_metadata(fields, united.metadata().clone()));
        }
    }
    Ok(united)
}

fn difference(a_name: &str, a: &Schema, b_name: &str, b: &Schema) -> Option<String> {
    const SHOWN: usize = 6;
    let types = |schema: &Schema| -> HashMap<String, String> {
        let fields = schema.fields().iter();
        fields.map(|field| (field.name().clone(), field.data_type().to_string())).collect()
    };
    let same = a.fields().len() == b.fields().len()
        && a.fields()
            .iter()
            .zip(b.fields())
            .all(|(a, b)| a.name() == b.name() && a.data_type() == b.data_type());
    if same {
        return None;
    }
    let (in_a, in_b) = (types(a), types(b));
    let mut parts = Vec::new();
    for field in a.fields() {
        let name = field.name();
        match in_b.get(name) {
            None => parts.push(format!("only `{a_name}` has `{name}` ({})", field.data_type())),
            Some(other) if *other != field.data_type().to_string() => parts.push(format!(
                "`{name}` is {} in `{a_name}` and {other} in `{b_name}`",
                field.data_type()
            )),
            Some(_) => {}
        }
    }
    let only_b = b.fields().iter().filter(|field| !in_a.contains_key(field.name()));
    parts
        .extend(only_b.map(|field| {
            format!("only `{b_name}` has `{}` ({})", field.name(), field.data_type())
        }));
    if parts.is_empty() {
        let names = |schema: &Schema| {
            let names: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
            names.join(", ")
        };
        let (a, b) = (names(a), names(b));
        return Some(format!("the order differs: `{a_name}` has {a}, `{b_name}` has {b}"));
    }
    let more = parts.len().saturating_sub(SHOWN);
    parts.truncate(SHOWN);
    if more > 0 {
        parts.push(format!("and {more} more"));
    }
    Some(parts.join("; "))
}

/// The columns with their types, in words.
pub(crate) fn describe(schema: &Schema) -> String {
    const SHOWN: usize = 40;
    if schema.fields().is_empty() {
        return "the input has no columns".to_owned();
    }
    let fields = schema.fields().iter().take(SHOWN);
    let columns: Vec<_> =
        fields.map(|field| format!("`{}` ({})", field.name(), field.data_type())).collect();
    let more = schema.fields().len().saturating_sub(SHOWN);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("the input has {}{more}", columns.join(", "))
}
