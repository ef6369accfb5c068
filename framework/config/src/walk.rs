//! Checks a node against a JSON Schema and says at which place it does not fit.
//!
//! It knows the part of JSON Schema that option types are made of. What it does not know it lets
//! pass: the kind of the stage reads its options itself afterwards.

use serde_json::{Map, Value};

use crate::choice;
use crate::misspelt::Misspelt;
use crate::node::{Data, Node};
use crate::pattern::Patterns;
use crate::problem::Problem;
use crate::span::Span;
use crate::suggest::Suggest;

/// How many schemas one walk may try. Alternatives inside alternatives multiply; a walk that runs
/// out says no more.
const STEPS: usize = 200_000;
/// How many `$ref` may follow each other at one node.
const REFS: usize = 32;

/// A walk along a node and its schema.
pub(crate) struct Walk<'a> {
    /// The whole schema, where `$defs` are.
    root: &'a Value,
    pub(crate) suggest: &'a Suggest,
    patterns: &'a Patterns,
    /// What the keys are, as in "`fetch` has no option `x`".
    subject: &'a str,
    word: &'a str,
    pub(crate) problems: Vec<Problem>,
    steps: usize,
}

/// A node under its name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Named<'a> {
    /// The key or the item, in words.
    pub(crate) name: &'a str,
    pub(crate) node: &'a Node,
    /// What an error points at.
    pub(crate) mark: Span,
}

impl<'a> Walk<'a> {
    /// A walk by `root`. `subject` is whose keys they are, `word` what a key is called.
    pub(crate) fn new(
        root: &'a Value,
        suggest: &'a Suggest,
        patterns: &'a Patterns,
        subject: &'a str,
        word: &'a str,
    ) -> Self {
        Self { root, suggest, patterns, subject, word, problems: Vec::new(), steps: STEPS }
    }

    /// Checks a node and returns all that is wrong with it.
    pub(crate) fn check(mut self, named: Named<'_>) -> Vec<Problem> {
        self.visit(self.root, named);
        self.problems
    }

    /// Checks a node against a part of the schema.
    pub(crate) fn visit(&mut self, schema: &'a Value, named: Named<'_>) {
        let Some(left) = self.steps.checked_sub(1) else { return };
        self.steps = left;
        if matches!(named.node.data, Data::Unknown) {
            return;
        }
        let Some(schema) = self.resolve(schema) else { return };
        if let Some(all) = schema.get("allOf").and_then(Value::as_array) {
            all.iter().for_each(|part| self.visit(part, named));
        }
        let branches =
            schema.get("oneOf").or_else(|| schema.get("anyOf")).and_then(Value::as_array);
        if let Some(words) = choice::words(self, schema) {
            if let Some(problem) = choice::check_words(self, &words, named) {
                self.problems.push(problem);
            }
            return;
        }
        if !accepts(schema, named.node) {
            let found = describe(named.node);
            let message =
                format!("{} must be {}, not {found}", self.owner(named), expected(schema));
            self.problems.push(type_help(schema, Problem::at(named.mark, message), named.node));
            return;
        }
        if let Some(branches) = branches {
            choice::visit_branches(self, branches, named);
        }
        self.pattern(schema, named);
        self.number(schema, named);
        self.map(schema, named);
        self.list(schema, named);
    }

    /// The schema that a `$ref` stands for; none of a schema that takes anything.
    pub(crate) fn resolve(&self, schema: &'a Value) -> Option<&'a Map<String, Value>> {
        let mut schema = schema;
        for _ in 0..REFS {
            let object = schema.as_object()?;
            match object.get("$ref").and_then(Value::as_str) {
                None => return Some(object),
                Some(path) => schema = self.root.pointer(path.strip_prefix('#')?)?,
            }
        }
        None
    }

    /// Runs part of a walk aside and returns what it found.
    pub(crate) fn aside(&mut self, run: impl FnOnce(&mut Self)) -> Vec<Problem> {
        let before = std::mem::take(&mut self.problems);
        run(self);
        std::mem::replace(&mut self.problems, before)
    }

    fn pattern(&mut self, schema: &Map<String, Value>, named: Named<'_>) {
        let pattern = schema.get("pattern").and_then(Value::as_str);
        let (Some(pattern), Some(text)) = (pattern, named.node.text()) else { return };
        if self.patterns.fit(pattern, text) {
            return;
        }
        let wanted = match title(schema) {
            Some(title) => format!("must be {title}"),
            None => format!("must match `{pattern}`"),
        };
        let (owner, found) = (self.owner(named), describe(named.node));
        self.problems.push(Problem::at(named.mark, format!("{owner} {wanted}, not {found}")));
    }

    fn number(&mut self, schema: &Map<String, Value>, named: Named<'_>) {
        let Data::Scalar(scalar) = &named.node.data else { return };
        let Some(value) = scalar.value.as_f64() else { return };
        let limit = |key: &str| schema.get(key).and_then(Value::as_f64);
        let whole = |number: f64| Value::from(number).to_string().trim_end_matches(".0").to_owned();
        let found = describe(named.node);
        let wrong = match (limit("minimum"), limit("maximum")) {
            (Some(least), _) if value < least => format!("at least {}", whole(least)),
            (_, Some(most)) if value > most => format!("at most {}", whole(most)),
            _ => match (limit("exclusiveMinimum"), limit("exclusiveMaximum")) {
                (Some(least), _) if value <= least => format!("more than {}", whole(least)),
                (_, Some(most)) if value >= most => format!("less than {}", whole(most)),
                _ => return,
            },
        };
        let message = format!(
            "{} must be {wrong}, not {}",
            named.name,
            found.trim_start_matches("the number ")
        );
        self.problems.push(Problem::at(named.mark, message));
    }

    fn map(&mut self, schema: &'a Map<String, Value>, named: Named<'_>) {
        let Data::Map(entries) = &named.node.data else { return };
        let properties = schema.get("properties").and_then(Value::as_object);
        let others = schema.get("additionalProperties");
        let patterns = schema.contains_key("patternProperties");
        // What misspelt keys stand for is not missing as well.
        let mut meant: Vec<&str> = Vec::new();
        for entry in entries.iter() {
            let name = format!("`{}`", entry.key);
            let value = Named { name: &name, node: &entry.value, mark: entry.mark() };
            match (properties.and_then(|known| known.get(&entry.key)), others) {
                (Some(schema), _) => self.visit(schema, value),
                (None, Some(Value::Bool(false))) if !patterns => {
                    let mut problem =
                        self.unknown_key(properties, &entry.key, entry.key_span, named);
                    let known = properties.into_iter().flat_map(Map::keys).map(String::as_str);
                    let near = self.suggest.nearest(&entry.key, known);
                    let free = near.filter(|near| named.node.entry(near).is_none());
                    let meant_here = free.map(str::to_owned);
                    problem.misspelt = Some(Misspelt { at: entry.key_span, meant: meant_here });
                    self.problems.push(problem);
                    meant.extend(near);
                }
                (None, Some(schema)) => self.visit(schema, value),
                (None, None) => {}
            }
        }
        let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
        for key in required.filter_map(Value::as_str) {
            if named.node.entry(key).is_none() && !meant.contains(&key) {
                let problem = self.missing(properties, key, named);
                self.problems.push(problem);
            }
        }
    }

    fn unknown_key(
        &self,
        properties: Option<&Map<String, Value>>,
        key: &str,
        at: Span,
        named: Named<'_>,
    ) -> Problem {
        let (subject, word) = (self.owner(named), self.word);
        let problem = Problem::at(at, format!("{subject} has no {word} `{key}`"));
        match properties.filter(|known| !known.is_empty()) {
            None => problem.help(format!("it takes no {word}s")),
            Some(known) => {
                let known = known.keys().map(String::as_str);
                problem.help(self.suggest.help(key, known, &format!("its {word}s are")))
            }
        }
    }

    fn missing(
        &self,
        properties: Option<&Map<String, Value>>,
        key: &str,
        named: Named<'_>,
    ) -> Problem {
        let (subject, word) = (self.owner(named), self.word);
        let problem = Problem::at(named.mark, format!("{subject} needs the {word} `{key}`"));
        let about = properties.and_then(|known| known.get(key)).and_then(|schema| {
            let own = schema.get("description");
            own.or_else(|| self.resolve(schema)?.get("description")).and_then(Value::as_str)
        });
        match about.and_then(|text| text.split("\n\n").next()) {
            Some(about) => problem.help(format!("add `{key}`: {}", about.replace('\n', " "))),
            None => problem.help(format!("add `{key}`")),
        }
    }

    fn owner<'t>(&'t self, named: Named<'t>) -> &'t str {
        if named.name.is_empty() { self.subject } else { named.name }
    }

    fn list(&mut self, schema: &'a Map<String, Value>, named: Named<'_>) {
        let Data::List(items) = &named.node.data else { return };
        let count = items.len() as u64;
        let limit = |key: &str| schema.get(key).and_then(Value::as_u64);
        if let Some(least) = limit("minItems").filter(|least| count < *least) {
            let message =
                format!("{} needs at least {least} items, not {count}", self.owner(named));
            self.problems.push(Problem::at(named.mark, message.replace("1 items", "1 item")));
        }
        if let Some(most) = limit("maxItems").filter(|most| count > *most) {
            let message = format!("{} takes at most {most} items, not {count}", self.owner(named));
            self.problems.push(Problem::at(named.mark, message));
        }
        let first = schema.get("prefixItems").and_then(Value::as_array);
        let rest = schema.get("items");
        for (index, node) in items.iter().enumerate() {
            let name = format!("item {} of {}", index + 1, self.owner(named));
            let value = Named { name: &name, node, mark: node.mark() };
            if let Some(schema) = first.and_then(|first| first.get(index)).or(rest) {
                self.visit(schema, value);
            }
        }
    }
}

/// The types that a schema takes; none when it does not say.
pub(crate) fn types(schema: &Map<String, Value>) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(one)) => vec![one.as_str()],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// Whether the node has one of the types that the schema takes.
pub(crate) fn accepts(schema: &Map<String, Value>, node: &Node) -> bool {
    let types = types(schema);
    types.is_empty() || types.iter().any(|name| is(node, name))
}

fn is(node: &Node, name: &str) -> bool {
    match (&node.data, name) {
        (Data::Unknown, _) | (Data::Map(_), "object") | (Data::List(_), "array") => true,
        (Data::Scalar(scalar), _) => match name {
            "null" => scalar.value.is_null(),
            "boolean" => scalar.value.is_boolean(),
            "string" => scalar.value.is_string(),
            "number" => scalar.value.is_number(),
            "integer" => scalar.value.is_i64() || scalar.value.is_u64(),
            _ => false,
        },
        _ => false,
    }
}

/// What a schema takes by its own words: titles of types begin with a capital, those of options
/// that are written in a form of their own do not.
fn title(schema: &Map<String, Value>) -> Option<String> {
    let title = schema.get("title").and_then(Value::as_str)?;
    let first = schema.get("examples").and_then(Value::as_array).and_then(|all| all.first());
    let like = first.map(|example| format!(" like {}", example.to_string().trim_matches('"')));
    let own = title.starts_with(|c: char| c.is_ascii_lowercase());
    own.then(|| format!("a {title}{}", like.unwrap_or_default()))
}

/// What a schema takes, in words.
pub(crate) fn expected(schema: &Map<String, Value>) -> String {
    if let Some(title) = title(schema) {
        return title;
    }
    let words = types(schema).into_iter().filter(|name| *name != "null").map(|name| match name {
        "object" => "a mapping (`key: value`)",
        "array" => "a list",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "`true` or `false`",
        _ => "a text",
    });
    or(words.collect())
}

/// Words with `or` between them.
pub(crate) fn or(mut words: Vec<&str>) -> String {
    words.dedup();
    match words.split_last() {
        None => "nothing".to_owned(),
        Some((last, [])) => (*last).to_owned(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
    }
}

/// What a node is, in words; secrets by that word only.
pub(crate) fn describe(node: &Node) -> String {
    const SHOWN: usize = 60;
    match &node.data {
        Data::List(_) => "a list".to_owned(),
        Data::Map(_) => "a mapping".to_owned(),
        Data::Unknown => "unknown".to_owned(),
        Data::Scalar(scalar) if scalar.secret => "what the secret variable holds".to_owned(),
        Data::Scalar(scalar) => match &scalar.value {
            Value::Null => "nothing".to_owned(),
            Value::String(text) if text.is_empty() => "an empty text".to_owned(),
            Value::String(text) if text.chars().count() > SHOWN => {
                format!("the text `{}…`", text.chars().take(SHOWN).collect::<String>())
            }
            Value::String(text) => format!("the text `{text}`"),
            Value::Number(number) => format!("the number {number}"),
            other => format!("`{other}`"),
        },
    }
}

/// Adds how to write what was probably meant.
fn type_help(schema: &Map<String, Value>, problem: Problem, node: &Node) -> Problem {
    let takes = |name: &str| types(schema).contains(&name);
    let Data::Scalar(scalar) = &node.data else {
        let single = matches!(&node.data, Data::List(items) if items.len() == 1);
        return if single {
            problem.help("leave the list's brackets or dash out")
        } else {
            problem
        };
    };
    let like_number =
        scalar.value.as_str().is_some_and(|text| !crate::scalar::resolve(text).is_string());
    match &scalar.value {
        Value::Number(_) | Value::Bool(_) if takes("string") => problem.help("put it into quotes"),
        Value::String(_) if takes("array") => problem.help("write it as a list: `[a, b]`"),
        Value::String(_) if like_number && !takes("array") && !takes("object") => {
            problem.help("leave the quotes out")
        }
        _ => problem,
    }
}
