//! The formats of lines: what comes out, and why lines are refused.

mod lines;
mod pairs;
mod rows;
mod xml;

use serde_json::Value;

use crate::testing::{Kept, bodies, plan_error, run_texts};

/// Checks the columns of one text.
fn gives(options: &Value, text: &str, columns: &[(&str, &str)]) {
    let kept = run_texts(options, &[text]);
    assert_eq!(kept.reasons(), [] as [&str; 0], "{text}");
    for (name, value) in columns {
        assert_eq!(kept.column(name), [*value], "{name} of {text}");
    }
}

/// Checks why texts are refused: each reason has this part.
fn refuses(options: &Value, texts: &[(&str, &str)]) {
    for (text, part) in texts {
        let kept = run_texts(options, &[text]);
        let reasons = kept.reasons();
        assert!(reasons.len() == 1 && reasons[0].contains(part), "{text}: {reasons:?}");
    }
}

/// Checks the places of wrong options.
fn wrong(options: &[(Value, &str)]) {
    let input = bodies(&[]).schema();
    for (options, place) in options {
        let error = plan_error(options, &input);
        assert_eq!(error.option_path(), Some(*place), "{options}: {error}");
    }
}

/// The names of the columns.
fn names(kept: &Kept) -> Vec<String> {
    let schema = kept.batches[0].schema();
    schema.fields().iter().map(|field| field.name().clone()).collect()
}
