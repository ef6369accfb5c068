//! What a run showed, and how it is compared.

use gristmill_stage::{Error, Result};
use serde_json::Value;

use crate::table::differ;

/// What a run showed.
pub(crate) struct Seen {
    pub(crate) rows: Vec<String>,
    pub(crate) rejected: Vec<String>,
    pub(crate) violations: Vec<String>,
    pub(crate) ordered: bool,
}

impl Seen {
    /// That nothing went against the contract.
    pub(crate) fn clean(&self) -> Result<()> {
        if self.violations.is_empty() {
            return Ok(());
        }
        Err(Error::internal(self.violations.join("\n  ")))
    }

    /// That it showed what the plain run did.
    pub(crate) fn same_as(&self, plain: &Self) -> Result<(), String> {
        self.clean().map_err(|e| e.to_string())?;
        differ(self.rows.clone(), plain.rows.clone())?;
        if self.ordered && self.rows != plain.rows {
            let at = self.rows.iter().zip(&plain.rows).take_while(|(a, b)| a == b).count();
            let row = plain.rows.get(at).map_or("", String::as_str);
            return Err(format!(
                "the rows are the same, but the order differs from row {at} on: {row}"
            ));
        }
        differ(self.rejected.clone(), plain.rejected.clone())
            .map_err(|text| format!("of the rejected rows, {text}"))
    }

    /// That all rows are among those of the plain run; if there is an order, the first of them.
    pub(crate) fn part_of(&self, plain: &Self) -> Result<(), String> {
        self.clean().map_err(|e| e.to_string())?;
        let strange =
            |row: &String| format!("a row came out that the whole run does not have: {row}");
        if self.ordered {
            let mut pairs = self.rows.iter().enumerate();
            return match pairs.find(|(at, row)| plain.rows.get(*at) != Some(*row)) {
                None => Ok(()),
                Some((at, row)) => Err(format!("row {at} is another than in the whole run: {row}")),
            };
        }
        let mut left = std::collections::BTreeMap::<&String, usize>::new();
        plain.rows.iter().for_each(|row| *left.entry(row).or_default() += 1);
        for row in &self.rows {
            match left.get_mut(row) {
                Some(count) if *count > 0 => *count -= 1,
                _ => return Err(strange(row)),
            }
        }
        Ok(())
    }
}

/// Rows as texts to compare by, without some columns.
pub(crate) fn texts(rows: Vec<Value>, ignored: &[String]) -> Vec<String> {
    let text = |mut row: Value| {
        if let Value::Object(columns) = &mut row {
            columns.retain(|name, _| !ignored.contains(name));
        }
        round(&mut row);
        row.to_string()
    };
    rows.into_iter().map(text).collect()
}

/// Rounds fractions to 12 digits: sums of fractions depend on their order a little.
fn round(value: &mut Value) {
    match value {
        Value::Number(number) if number.is_f64() => {
            let rounded = number.as_f64().and_then(|n| format!("{n:.11e}").parse::<f64>().ok());
            if let Some(rounded) = rounded.and_then(serde_json::Number::from_f64) {
                *number = rounded;
            }
        }
        Value::Array(values) => values.iter_mut().for_each(round),
        Value::Object(columns) => columns.values_mut().for_each(round),
        _ => {}
    }
}
