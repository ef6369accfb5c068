//! What can be told of the functions that expressions may use.

use std::collections::BTreeMap;

use datafusion_expr::Documentation;

use crate::functions::Functions;

/// A function that expressions may use, as its documentation tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// Other names of it.
    pub aliases: Vec<String>,
    /// What it works on.
    pub family: Family,
    /// The group it belongs to, such as `String Functions`; empty if nothing is told of it.
    pub section: String,
    /// How it is written, in one form or several.
    pub usage: Vec<String>,
    /// What it does; empty if nothing is told of it.
    pub description: String,
    /// What it takes: names and what they mean.
    pub arguments: Vec<(String, String)>,
    /// An example, as a query.
    pub example: Option<String>,
    /// The names of others that are like it.
    pub related: Vec<String>,
}

/// What a function works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// The values of one row.
    Scalar,
    /// The values of many rows.
    Aggregate,
}

impl Family {
    /// The family as one word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Aggregate => "aggregate",
        }
    }
}

/// Every function that expressions may use, scalar ones first, by section and name.
pub fn functions() -> Vec<Function> {
    let functions = Functions::new();
    let mut found: BTreeMap<(Family, String), Function> = BTreeMap::new();
    for function in functions.scalars() {
        let told =
            tell(Family::Scalar, function.name(), function.aliases(), function.documentation());
        found.insert((Family::Scalar, function.name().to_owned()), told);
    }
    for function in functions.aggregates() {
        let told =
            tell(Family::Aggregate, function.name(), function.aliases(), function.documentation());
        found.insert((Family::Aggregate, function.name().to_owned()), told);
    }
    let mut all: Vec<Function> = found.into_values().collect();
    all.sort_by(|a, b| {
        (a.family, a.section.is_empty(), &a.section, &a.name).cmp(&(
            b.family,
            b.section.is_empty(),
            &b.section,
            &b.name,
        ))
    });
    all
}

/// The name of a function that is nearest to `name`, if one is near enough to be meant.
pub fn nearest_function(name: &str) -> Option<String> {
    Functions::new().nearest(&name.to_lowercase()).map(str::to_owned)
}

fn tell(
    family: Family,
    name: &str,
    aliases: &[String],
    documentation: Option<&Documentation>,
) -> Function {
    let aliases = aliases.iter().filter(|alias| *alias != name).cloned().collect();
    let Some(told) = documentation else {
        return Function {
            name: name.to_owned(),
            aliases,
            family,
            section: String::new(),
            usage: vec![format!("{name}(…)")],
            description: String::new(),
            arguments: Vec::new(),
            example: None,
            related: Vec::new(),
        };
    };
    let more = told.alternative_syntax.iter().flatten();
    Function {
        name: name.to_owned(),
        aliases,
        family,
        section: told.doc_section.label.to_owned(),
        usage: std::iter::once(&told.syntax_example)
            .chain(more)
            .map(|text| trimmed(text))
            .collect(),
        description: trimmed(&told.description),
        arguments: told.arguments.clone().unwrap_or_default(),
        example: told.sql_example.as_deref().map(without_fence),
        related: told.related_udfs.clone().unwrap_or_default(),
    }
}

fn trimmed(text: &str) -> String {
    text.trim().to_owned()
}

/// An example without the marks that make it a block of code in a page.
fn without_fence(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("```"));
    let lines: Vec<&str> = lines.collect();
    lines.join("\n").trim_matches('\n').to_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a helper of a test fails the test")]
mod tests {
    use super::*;

    #[test]
    fn a_function_of_our_own_is_told_of_as_theirs() {
        let all = functions();
        let own = all.iter().find(|function| function.name == "approx_top_k").unwrap();
        assert_eq!(
            (own.family, own.section.as_str()),
            (Family::Aggregate, "Approximate Functions")
        );
        assert_eq!(own.usage, ["approx_top_k(expression, k[, counters])"]);
        assert!(own.description.contains("never too low"));
    }
}
