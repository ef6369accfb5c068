//! Schemas with alternatives: words to choose from, and shapes of which one must fit.

use serde_json::{Map, Value};

use crate::node::{Data, Node};
use crate::problem::Problem;
use crate::suggest::list;
use crate::walk::{Named, Walk, accepts, describe, expected, or};

/// The words of a schema that takes one of a set of them; none when it takes anything else.
pub(crate) fn words<'a>(walk: &Walk<'a>, schema: &'a Map<String, Value>) -> Option<Vec<&'a Value>> {
    let mut words = Vec::new();
    collect(walk, schema, &mut words, 0).then_some(words).filter(|words| !words.is_empty())
}

fn collect<'a>(
    walk: &Walk<'a>,
    schema: &'a Map<String, Value>,
    words: &mut Vec<&'a Value>,
    depth: usize,
) -> bool {
    const NULL: &Value = &Value::Null;
    if let Some(word) = schema.get("const") {
        words.push(word);
        return true;
    }
    if let Some(several) = schema.get("enum").and_then(Value::as_array) {
        words.extend(several);
        return true;
    }
    if schema.get("type").and_then(Value::as_str) == Some("null") {
        words.push(NULL);
        return true;
    }
    let branches = schema.get("oneOf").or_else(|| schema.get("anyOf")).and_then(Value::as_array);
    branches.is_some_and(|branches| {
        depth < 4
            && branches.iter().all(|branch| {
                walk.resolve(branch).is_some_and(|branch| collect(walk, branch, words, depth + 1))
            })
    })
}

/// Checks that the node is one of the words.
pub(crate) fn check_words(walk: &Walk<'_>, words: &[&Value], named: Named<'_>) -> Option<Problem> {
    let known = || words.iter().filter_map(|word| word.as_str());
    if let Data::Scalar(scalar) = &named.node.data
        && words.iter().any(|word| **word == scalar.value)
    {
        return None;
    }
    let found = describe(named.node);
    let message = format!("{} cannot be {found}", named.name);
    let problem = Problem::at(named.mark, message);
    let problem = match named.node.text().and_then(|text| walk.suggest.nearest(text, known())) {
        Some(near) => problem.help(format!("did you mean `{near}`?")),
        None => problem,
    };
    let shown: Vec<String> = words
        .iter()
        .filter(|word| !word.is_null())
        .map(|word| word.as_str().map_or_else(|| word.to_string(), str::to_owned))
        .collect();
    Some(problem.help(format!("it can be {}", list(shown.iter().map(String::as_str)))))
}

/// Checks that one of several schemas takes the node; if none does, says what is wrong by the one
/// that was probably meant.
pub(crate) fn visit_branches<'a>(walk: &mut Walk<'a>, branches: &'a [Value], named: Named<'_>) {
    let mut likely = Vec::new();
    for branch in branches {
        let Some(schema) = walk.resolve(branch) else { return };
        if accepts(schema, named.node) {
            likely.push((branch, schema));
        }
    }
    if likely.is_empty() {
        let shapes: Vec<String> = branches
            .iter()
            .filter_map(|branch| walk.resolve(branch))
            .map(expected)
            .filter(|shape| shape != "nothing")
            .collect();
        let shapes = or(shapes.iter().map(String::as_str).collect());
        let message = format!("{} must be {shapes}, not {}", named.name, describe(named.node));
        walk.problems.push(Problem::at(named.mark, message));
        return;
    }
    if let Some(problem) = tagged(walk, &mut likely, named.node) {
        walk.problems.push(problem);
        return;
    }
    let mut best: Option<Vec<Problem>> = None;
    for (branch, _) in likely {
        let found = walk.aside(|walk| walk.visit(branch, named));
        if found.is_empty() {
            return;
        }
        if best.as_ref().is_none_or(|best| found.len() < best.len()) {
            best = Some(found);
        }
    }
    walk.problems.extend(best.unwrap_or_default());
}

type Branch<'a> = (&'a Value, &'a Map<String, Value>);

/// Keeps only the branches that a mapping names by its tag (`kind: range`) or by its key
/// (`range: …`). A tag that no branch has is an error.
fn tagged<'a>(walk: &Walk<'a>, likely: &mut Vec<Branch<'a>>, node: &Node) -> Option<Problem> {
    if !matches!(node.data, Data::Map(_)) || likely.len() < 2 {
        return None;
    }
    let tags = |schema: &'a Map<String, Value>| {
        let properties = schema.get("properties").and_then(Value::as_object);
        properties
            .into_iter()
            .flatten()
            .filter_map(|(key, schema)| Some((key, schema.get("const")?)))
    };
    let (_, first) = likely.first()?;
    let tag = tags(first)
        .map(|(key, _)| key.as_str())
        .find(|tag| likely.iter().all(|(_, schema)| tags(schema).any(|(key, _)| key == tag)));
    if let Some(tag) = tag {
        let entry = node.entry(tag)?;
        let of = |schema: &'a Map<String, Value>| tags(schema).find(|(key, _)| *key == tag);
        let words: Vec<&Value> =
            likely.iter().filter_map(|(_, schema)| of(schema)).map(|(_, word)| word).collect();
        let name = format!("`{tag}`");
        let named = Named { name: &name, node: &entry.value, mark: entry.mark() };
        if let Some(problem) = check_words(walk, &words, named) {
            return Some(problem);
        }
        let text = entry.value.text();
        likely.retain(|(_, schema)| of(schema).is_some_and(|(_, word)| word.as_str() == text));
        return None;
    }
    let named = |schema: &Map<String, Value>| {
        let required = schema.get("required").and_then(Value::as_array);
        required.is_some_and(|required| {
            required.iter().filter_map(Value::as_str).any(|key| node.entry(key).is_some())
        })
    };
    if likely.iter().any(|(_, schema)| named(schema)) {
        likely.retain(|(_, schema)| named(schema));
    }
    None
}
