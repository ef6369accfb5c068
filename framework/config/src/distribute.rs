//! How rows are dealt out to the workers of a stage: what the YAML asks for against what the stage
//! needs.

use arrow_schema::Schema;
use gristmill_stage::Partitioning;

use crate::columns::describe;
use crate::plan::Distribution;
use crate::problem::Problem;
use crate::span::Span;
use crate::suggest::Suggest;

/// Reads `shared`, `broadcast` or `hash(a, b)`.
pub(crate) fn parse(text: &str, mark: Span, suggest: &Suggest) -> Result<Distribution, Problem> {
    let word = text.trim();
    match word {
        "shared" => return Ok(Distribution::Shared),
        "broadcast" => return Ok(Distribution::Broadcast),
        _ => {}
    }
    let inside =
        word.strip_prefix("hash").map(str::trim_start).and_then(|rest| rest.strip_prefix('('));
    if let Some(columns) = inside.and_then(|rest| rest.strip_suffix(')')) {
        let columns: Vec<String> = columns.split(',').map(|name| name.trim().to_owned()).collect();
        if columns.iter().any(String::is_empty) {
            return Err(Problem::at(mark, "`hash` needs the names of columns")
                .help("write `hash(category)` or `hash(category, city)`"));
        }
        return Ok(Distribution::Hash(columns));
    }
    let problem = Problem::at(mark, format!("`distribute` cannot be `{word}`"));
    let near =
        suggest.nearest(word.split('(').next().unwrap_or(word), ["shared", "broadcast", "hash"]);
    let problem = match near {
        Some("hash") => problem.help("did you mean `hash(column, …)`?"),
        Some(near) => problem.help(format!("did you mean `{near}`?")),
        None => problem,
    };
    Err(problem.help("it can be `shared`, `broadcast` or `hash(column, …)`"))
}

/// Where the parts of a stage stand that have to do with dealing out rows.
pub(crate) struct Marks {
    /// The number of workers.
    pub(crate) workers: Span,
    /// The word after `distribute`.
    pub(crate) distribute: Span,
}

/// Decides how rows are dealt out to `workers` workers of the stage `name`.
///
/// # Errors
/// When the result of the stage would be wrong.
pub(crate) fn decide(
    name: &str,
    asked: Option<Distribution>,
    needs: &Partitioning,
    workers: usize,
    marks: &Marks,
) -> Result<Distribution, Problem> {
    let chosen = asked.clone().unwrap_or(Distribution::Shared);
    if workers < 2 {
        return Ok(chosen);
    }
    let single = |because: &str| {
        let message = format!("`{name}` can have one worker only: {because}");
        Err(Problem::at(marks.workers, message).help("leave `workers` out"))
    };
    match (needs, asked) {
        (Partitioning::Any, _) => Ok(chosen),
        (Partitioning::Single(because), _) => single(because),
        (Partitioning::Keyed(keys), _) if keys.is_empty() => single("all rows must meet in it"),
        (Partitioning::Keyed(keys), None) => Ok(Distribution::Hash(keys.clone())),
        // Rows equal in all keys are equal in some of them, so they still meet.
        (Partitioning::Keyed(keys), Some(Distribution::Hash(columns)))
            if columns.iter().all(|column| keys.contains(column)) =>
        {
            Ok(chosen)
        }
        (Partitioning::Keyed(keys), Some(_)) => {
            let keys = keys.join(", ");
            let message =
                format!("rows of `{name}` that are equal in {keys} must meet in one worker");
            Err(Problem::at(marks.distribute, message)
                .help(format!("write `hash({keys})`, or leave `distribute` out")))
        }
    }
}

/// Checks that the input has the columns by which rows are dealt out.
pub(crate) fn check_columns(
    distribution: &Distribution,
    input: &Schema,
    mark: Span,
    suggest: &Suggest,
) -> Vec<Problem> {
    let Distribution::Hash(columns) = distribution else { return Vec::new() };
    let missing = columns.iter().filter(|column| input.index_of(column).is_err());
    missing
        .map(|column| {
            let problem =
                Problem::at(mark, format!("the input has no column `{column}` to deal out by"));
            let known = input.fields().iter().map(|field| field.name().as_str());
            match suggest.nearest(column, known) {
                Some(near) => problem.help(format!("did you mean `{near}`?")),
                None => problem,
            }
            .help(describe(input))
        })
        .collect()
}
