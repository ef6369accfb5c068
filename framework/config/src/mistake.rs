//! What to say about a text that is not YAML, and about variables that cannot be put in.

use crate::problem::Problem;
use crate::span::Span;
use crate::variables::{Fault, What};

/// The parser stopped at a byte of the text.
pub(crate) fn syntax(text: &str, at: usize, info: &str) -> Problem {
    let at = at.min(text.len());
    let line_start = text[..at].rfind('\n').map_or(0, |at| at + 1);
    let line = text[line_start..].lines().next().unwrap_or_default();
    let problem = Problem::at(Span::new(at, at), format!("this is not YAML: {info}"));
    let before = text[line_start..at].trim_end();
    if before.ends_with('$') && text[at..].starts_with('{') {
        problem.help("inside `{ }` and `[ ]` a value with `${…}` needs quotes: \"${VAR}\"")
    } else if line.starts_with('\t') || (info.contains("tab") && line.contains('\t')) {
        problem.help("indent with spaces, YAML takes no tabs")
    } else if info.contains("unknown anchor") {
        problem
            .help("an anchor `&name` must stand before its alias; put a text with `*` into quotes")
    } else if info.contains("flow sequence") || info.contains("flow mapping") {
        problem.help("a `[` or a `{` above is still open: close it")
    } else if info.contains("quoted scalar") {
        problem.help("close the quotes")
    } else if line.matches(": ").count() > 1 && !line.contains(['{', '"', '\'']) {
        problem.help("put a value with a colon into quotes")
    } else {
        problem
    }
}

/// A variable cannot be put in. `raw` is the scalar as it stands in the source at `span`, `text`
/// what it was read into.
pub(crate) fn variable<'n>(
    raw: &str,
    text: &str,
    fault: &Fault,
    span: Span,
    nearest: impl FnOnce(&str) -> Option<&'n str>,
) -> Problem {
    // Escapes and folding move characters, but the dollar signs keep their order.
    let nth = text.get(..fault.at).unwrap_or_default().matches('$').count();
    let same = raw.matches('$').count() == text.matches('$').count();
    let place = same.then(|| raw.match_indices('$').nth(nth)).flatten().map(|(at, _)| {
        let word = text.get(fault.at..fault.at + fault.len).unwrap_or("$");
        let len = if raw[at..].starts_with(word) { word.len() } else { 1 };
        Span::new(span.start + at, span.start + at + len)
    });
    let place = place.unwrap_or(span);
    match &fault.what {
        What::Unclosed => Problem::at(place, "`${` has no closing `}`")
            .help("write `${VAR}`, or `$${` for the two characters themselves"),
        What::Name(name) => Problem::at(place, format!("`{name}` is not the name of a variable"))
            .help("write `${VAR}` or `${VAR:-default}`; a name has letters, digits and `_`")
            .help("write `$${` for the two characters themselves"),
        What::Nested => Problem::at(place, "too many defaults stand inside each other"),
        What::Undefined(name) => {
            let problem = Problem::at(place, format!("the variable `{name}` is not set"));
            let problem = match nearest(name) {
                Some(near) => problem.help(format!("did you mean `{near}`?")),
                None => problem,
            };
            problem
                .help(format!("set it with `--set {name}=…` or give a default: `${{{name}:-…}}`"))
        }
    }
}
