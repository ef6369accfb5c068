//! The two steps in which several workers gather groups of rows that were not dealt out by their keys:
//! the first gathers what comes to each worker, and the second puts these groups together.

use std::fmt::Write;
use std::sync::Arc;

use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::SchemaRef;
use gristmill_stage::serde_json::{Map, json};
use gristmill_stage::{Error, Result, Steps};
use serde::Deserialize;

use super::plan::Prepared;

/// Which of the two steps a stage does. No word of users: a plan with several workers says it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Step {
    /// Emits the states of its groups.
    First,
    /// Takes such states. The types of its expressions hang on the rows that came into the first,
    /// whose schema this is: Arrow IPC, in hexadecimal digits.
    Second(String),
}

/// Functions whose result depends on the order of the rows.
const BY_ORDER: [&str; 6] =
    ["any_value", "array_agg", "first_value", "last_value", "nth_value", "string_agg"];

/// The function that keeps an aggregate from being computed in two steps.
pub(crate) fn by_order(prepared: &Prepared) -> Option<&str> {
    let names = prepared.slots.iter().map(|slot| slot.function.fun().name());
    names.into_iter().find(|name| BY_ORDER.contains(name))
}

/// The two steps of a stage with this input.
pub(crate) fn steps(input: &SchemaRef) -> Result<Steps> {
    let options = |step| Map::from_iter([("step".to_owned(), step)]);
    let mut bytes = Vec::new();
    StreamWriter::try_new(&mut bytes, input)?.finish()?;
    let mut digits = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing into a string does not fail.
        let _ = write!(digits, "{byte:02x}");
    }
    Ok(Steps { first: options(json!("first")), second: options(json!({ "second": digits })) })
}

/// The schema of the rows that came into the first step.
pub(crate) fn rows_of(digits: &str) -> Result<SchemaRef> {
    let wrong = || Error::internal("the second step of an aggregate does not know the first");
    let pairs = digits.as_bytes().chunks_exact(2).map(|pair| {
        let pair = std::str::from_utf8(pair).ok()?;
        u8::from_str_radix(pair, 16).ok()
    });
    let bytes: Vec<u8> = pairs.collect::<Option<_>>().ok_or_else(wrong)?;
    let reader = StreamReader::try_new(bytes.as_slice(), None).map_err(|_| wrong())?;
    Ok(Arc::clone(&reader.schema()))
}
