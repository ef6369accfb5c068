//! `${VAR}` in the values of a pipeline.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use crate::parse::parse;
use crate::suggest::Suggest;
use crate::{Secrets, Source};

type Lookup = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// What `${VAR}` stands for. Values that were set come before those of the environment.
///
/// `${VAR}` is the value, `${VAR:-text}` the text when the variable is not set or empty, `$$` is a
/// dollar sign. A dollar sign before anything else stays as it is (`$1`, `price in $`). A
/// default can hold variables itself. Only values are looked at, never keys.
#[derive(Clone, Default)]
pub struct Variables {
    set: BTreeMap<String, String>,
    lookup: Option<Lookup>,
}

impl Variables {
    /// None at all.
    pub fn new() -> Self {
        Self::default()
    }

    /// Those of the process's environment. One that is not Unicode counts as not set.
    pub fn from_environment() -> Self {
        Self::from_lookup(|name| std::env::var(name).ok())
    }

    /// Those that a function knows.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        Self { set: BTreeMap::new(), lookup: Some(Arc::new(lookup)) }
    }

    /// Gives a variable a value, whatever the environment says.
    #[must_use]
    pub fn set(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.set.insert(name.into(), value.into());
        self
    }

    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<String> {
        match self.set.get(name) {
            Some(value) => Some(value.clone()),
            None => self.lookup.as_ref().and_then(|lookup| lookup(name)),
        }
    }

    /// Those that were set and that none of these pipelines has, each with the name that was
    /// probably meant. None when a text cannot be read to its end: who knows what comes there.
    pub fn unused(&self, sources: &[Source]) -> Vec<(&str, Option<String>)> {
        if self.set.is_empty() {
            return Vec::new();
        }
        let mut known = BTreeSet::new();
        let suggest = Suggest::new();
        for source in sources {
            let parsed = parse(source.text(), self, &suggest);
            if !parsed.complete {
                return Vec::new();
            }
            known.extend(parsed.noted.names);
        }
        let unknown = self.names().filter(|name| !known.contains(*name));
        unknown
            .map(|name| {
                let near = suggest.nearest(name, known.iter().map(String::as_str));
                (name, near.map(str::to_owned))
            })
            .collect()
    }

    /// The names of those that were set.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.set.keys().map(String::as_str)
    }
}

impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Names only: values can be secrets.
        f.debug_set().entries(self.set.keys()).finish()
    }
}

/// What is noted of variables while they are put in.
#[derive(Debug, Default)]
pub(crate) struct Noted {
    /// The values of those that are secret.
    pub(crate) secrets: Secrets,
    /// Every name.
    pub(crate) names: BTreeSet<String>,
    /// The names of secrets that are too short to be kept out of messages.
    pub(crate) short: BTreeSet<String>,
}

impl Noted {
    /// What is worth a look, but hinders nothing.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let warning = |name: &String| {
            format!(
                "the value of `{name}` has fewer than 4 characters, too few to be kept out of \
                 messages; if it is no secret, give the variable another name"
            )
        };
        self.short.iter().map(warning).collect()
    }
}

/// A text with its variables put in.
#[derive(Debug, PartialEq)]
pub(crate) struct Expanded {
    pub(crate) text: String,
    /// Whether there was a variable in it.
    pub(crate) changed: bool,
    /// Whether a secret is in it.
    pub(crate) secret: bool,
}

/// Why a text cannot be expanded, and at which of its bytes.
#[derive(Debug, PartialEq)]
pub(crate) struct Fault {
    /// Where the `$` stands.
    pub(crate) at: usize,
    /// How much text it is about.
    pub(crate) len: usize,
    pub(crate) what: What,
}

/// What is wrong with a variable.
#[derive(Debug, PartialEq)]
pub(crate) enum What {
    /// No `}`.
    Unclosed,
    /// What stands inside the braces is not a variable.
    Name(String),
    /// It has no value.
    Undefined(String),
    /// Defaults within defaults within defaults.
    Nested,
}

/// How deep defaults may stand in defaults.
const DEPTH: usize = 8;

/// Puts variables in and notes what there is to note.
pub(crate) fn expand(
    text: &str,
    variables: &Variables,
    noted: &mut Noted,
) -> Result<Expanded, Vec<Fault>> {
    let mut expander = Expander { text, variables, noted, faults: Vec::new(), secret: false };
    let mut out = String::with_capacity(text.len());
    expander.run(0, None, &mut out, 0);
    if expander.faults.is_empty() {
        let secret = expander.secret;
        Ok(Expanded { changed: text.contains("${") || text.contains("$$"), text: out, secret })
    } else {
        Err(expander.faults)
    }
}

struct Expander<'a> {
    text: &'a str,
    variables: &'a Variables,
    noted: &'a mut Noted,
    faults: Vec<Fault>,
    secret: bool,
}

impl Expander<'_> {
    /// Copies from `at` up to the end, or up to the closing brace of the variable that opened at
    /// `inside`. Returns where it stopped; `None` when the brace is missing.
    fn run(
        &mut self,
        mut at: usize,
        inside: Option<usize>,
        out: &mut String,
        depth: usize,
    ) -> Option<usize> {
        let text = self.text;
        loop {
            let rest = text.get(at..).unwrap_or_default();
            let stop = rest.find(['$', '}']).unwrap_or(rest.len());
            out.push_str(&rest[..stop]);
            at += stop;
            let rest = &rest[stop..];
            if rest.is_empty() {
                return if inside.is_some() { None } else { Some(at) };
            } else if rest.starts_with("$$") {
                out.push('$');
                at += 2;
            } else if rest.starts_with("${") {
                at = self.variable(at, out, depth)?;
            } else if rest.starts_with('}') && inside.is_some() {
                return Some(at);
            } else {
                out.push_str(&rest[..1]);
                at += 1;
            }
        }
    }

    /// Reads the variable that begins at `at` and returns where it ends.
    fn variable(&mut self, at: usize, out: &mut String, depth: usize) -> Option<usize> {
        let text = self.text;
        let inner = text.get(at + 2..).unwrap_or_default();
        let end =
            inner.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(inner.len());
        let (name, rest) = inner.split_at(end);
        let after = at + 2 + end;
        let well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if well && rest.starts_with(['}', ':']) {
            self.noted.names.insert(name.to_owned());
        }
        if well && rest.starts_with('}') {
            match self.variables.get(name) {
                Some(value) => self.put(name, &value, out),
                None => self.fault(at, after + 1, What::Undefined(name.to_owned())),
            }
            return Some(after + 1);
        }
        if well && rest.starts_with(":-") {
            if depth >= DEPTH {
                self.fault(at, after, What::Nested);
                return None;
            }
            return self.with_default(at, name, after + 2, out, depth);
        }
        match rest.find('}') {
            Some(close) => {
                let word = text.get(at + 2..after + close).unwrap_or_default();
                self.fault(at, after + close + 1, What::Name(word.to_owned()));
                Some(after + close + 1)
            }
            None => self.unclosed(at, after),
        }
    }

    fn with_default(
        &mut self,
        at: usize,
        name: &str,
        from: usize,
        out: &mut String,
        depth: usize,
    ) -> Option<usize> {
        let value = self.variables.get(name).filter(|value| !value.is_empty());
        let (faults, secret) = (self.faults.len(), self.secret);
        let mut default = String::new();
        let Some(end) = self.run(from, Some(at), &mut default, depth + 1) else {
            return if self.faults.len() > faults { None } else { self.unclosed(at, from) };
        };
        match value {
            Some(value) => {
                // The default is not used, so what it lacks does not matter.
                self.faults.truncate(faults);
                self.secret = secret;
                self.put(name, &value, out);
            }
            None => self.put(name, &default, out),
        }
        Some(end + 1)
    }

    fn put(&mut self, name: &str, value: &str, out: &mut String) {
        if Secrets::is_secret_name(name) {
            self.noted.secrets.insert(value);
            if Secrets::is_too_short(value) {
                self.noted.short.insert(name.to_owned());
            }
            self.secret = true;
        }
        out.push_str(value);
    }

    fn unclosed(&mut self, at: usize, end: usize) -> Option<usize> {
        self.fault(at, end, What::Unclosed);
        None
    }

    fn fault(&mut self, at: usize, end: usize, what: What) {
        self.faults.push(Fault { at, len: end.saturating_sub(at), what });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(text: &str) -> Result<String, Vec<Fault>> {
        let variables = Variables::from_lookup(|name| (name == "HOME").then(|| "/home".to_owned()))
            .set("A", "1")
            .set("EMPTY", "")
            .set("BRACES", "}${A}$$");
        expand(text, &variables, &mut Noted::default()).map(|expanded| expanded.text)
    }

    #[test]
    fn forms() {
        for (text, expanded) in [
            ("${A}", "1"),
            ("x${A}y${HOME}z", "x1y/homez"),
            ("${A:-2}${B:-2}${EMPTY:-3}${EMPTY}", "123"),
            ("${B:-}", ""),
            ("${B:-${C:-${A}}!}", "1!"),
            ("${A:-${UNDEFINED}}", "1"),
            ("${B:-demo:}/item/{n}", "demo:/item/{n}"),
            ("$$", "$"),
            ("$${A}", "${A}"),
            ("$$$", "$$"),
            ("$1 costs $ a$b $(x) [$] ^a$", "$1 costs $ a$b $(x) [$] ^a$"),
            ("}{ü}", "}{ü}"),
            ("${BRACES}", "}${A}$$"),
            ("${B:-ü$x}", "ü$x"),
        ] {
            assert_eq!(run(text).as_deref(), Ok(expanded), "{text}");
        }
    }

    #[test]
    fn faults() {
        let fault = |at, len, what| vec![Fault { at, len, what }];
        assert_eq!(run("a ${B}"), Err(fault(2, 4, What::Undefined("B".to_owned()))));
        assert_eq!(run("${A"), Err(fault(0, 3, What::Unclosed)));
        assert_eq!(run("${A:-x"), Err(fault(0, 5, What::Unclosed)));
        assert_eq!(run("${"), Err(fault(0, 2, What::Unclosed)));
        assert_eq!(run("${}"), Err(fault(0, 3, What::Name(String::new()))));
        assert_eq!(run("${a-b}"), Err(fault(0, 6, What::Name("a-b".to_owned()))));
        assert_eq!(run("${1}"), Err(fault(0, 4, What::Name("1".to_owned()))));
        assert_eq!(run("${B:-${C}}"), Err(fault(5, 4, What::Undefined("C".to_owned()))));
        assert!(run(&"${B:-".repeat(1000)).is_err());
    }

    #[test]
    fn secrets_are_noted() {
        let mut noted = Noted::default();
        let variables = Variables::new().set("API_TOKEN", "s3cret!").set("USER", "someone");
        let text = "${USER}:${API_TOKEN}:${DB_PASSWORD:-fallback}";
        let expanded = expand(text, &variables, &mut noted).unwrap();
        assert!(expanded.secret && expanded.changed);
        assert_eq!(noted.secrets.redact(&expanded.text), "someone:***:***");
        assert_eq!(format!("{variables:?}"), r#"{"API_TOKEN", "USER"}"#);
    }
}
