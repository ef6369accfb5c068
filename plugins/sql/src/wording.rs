//! DataFusion's errors in the words of this framework.

use arrow_schema::ArrowError;
use datafusion_common::{DataFusionError, SchemaError};

/// Why rows cannot be used, or why an expression does not work, as the end of a sentence.
pub(crate) fn plain(error: &DataFusionError) -> String {
    match error.find_root() {
        DataFusionError::ArrowError(error, _) => plain_arrow(error),
        DataFusionError::SchemaError(error, _) => match error.as_ref() {
            SchemaError::FieldNotFound { field, .. } => {
                format!("there is no column `{}`", field.name)
            }
            other => lower_first(&other.to_string()),
        },
        DataFusionError::NotImplemented(message) => {
            format!("this is not supported: {}", first_line(message))
        }
        DataFusionError::Internal(message)
        | DataFusionError::Plan(message)
        | DataFusionError::Configuration(message)
        | DataFusionError::Execution(message)
        | DataFusionError::ResourcesExhausted(message) => first_line(message),
        other => first_line(&other.to_string()),
    }
}

fn plain_arrow(error: &ArrowError) -> String {
    match error {
        ArrowError::DivideByZero => "division by zero".to_owned(),
        ArrowError::CastError(message)
        | ArrowError::ComputeError(message)
        | ArrowError::InvalidArgumentError(message)
        | ArrowError::ParseError(message)
        | ArrowError::ArithmeticOverflow(message)
        | ArrowError::NotYetImplemented(message) => first_line(message),
        other => first_line(&other.to_string()),
    }
}

/// The first line without the prefixes that say which layer of DataFusion speaks.
fn first_line(message: &str) -> String {
    const LAYERS: [&str; 7] = [
        "Error during planning: ",
        "Execution error: ",
        "Arrow error: ",
        "Cast error: ",
        "Parser error: ",
        "Invalid argument error: ",
        "Compute error: ",
    ];
    // A regular expression is drawn with a caret over several lines, the last of which says what.
    if message.contains("regex parse error:")
        && let Some(what) = message.lines().rev().find_map(|line| line.strip_prefix("error: "))
    {
        return format!("the regular expression does not compile: {what}");
    }
    let mut line = message.lines().next().unwrap_or("");
    while let Some(rest) = LAYERS.iter().find_map(|layer| line.strip_prefix(layer)) {
        line = rest;
    }
    let line = ["No function matches", "You might need"]
        .iter()
        .filter_map(|tail| line.find(tail))
        .min()
        .map_or(line, |end| &line[..end]);
    lower_first(line.trim().trim_end_matches('.'))
}

/// The text with a small first letter, unless the first word is an abbreviation or a name.
pub(crate) fn lower_first(text: &str) -> String {
    let word = text.split(' ').next().unwrap_or_default();
    if word.chars().skip(1).any(|c| c.is_uppercase() || c.is_ascii_digit()) {
        return text.to_owned();
    }
    let mut chars = text.chars();
    match (chars.next(), chars.clone().next()) {
        (Some(first), Some(second)) if first.is_uppercase() && !second.is_uppercase() => {
            first.to_lowercase().chain(chars).collect()
        }
        _ => text.to_owned(),
    }
}
