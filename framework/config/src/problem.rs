//! What is wrong with a pipeline, and where.

use std::fmt;

use crate::misspelt::Misspelt;
use crate::span::{Lines, Span};
use crate::{Secrets, Source, render};

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub(crate) message: String,
    pub(crate) helps: Vec<String>,
    pub(crate) span: Option<Span>,
    /// Other places that belong to it, with what is to say there.
    pub(crate) others: Vec<(Span, String)>,
    /// The key that it is about, if nobody knows that.
    pub(crate) misspelt: Option<Misspelt>,
    position: Option<(usize, usize)>,
}

impl Problem {
    /// Without a place: it concerns the whole file.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        let message = message.into();
        let (helps, others) = (Vec::new(), Vec::new());
        Self { message, helps, span: None, others, misspelt: None, position: None }
    }

    /// At a place.
    pub(crate) fn at(span: Span, message: impl Into<String>) -> Self {
        Self { span: Some(span), ..Self::new(message) }
    }

    /// Adds a line that says what would be right.
    #[must_use]
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.helps.push(help.into());
        self
    }

    /// Adds another place.
    #[must_use]
    pub(crate) fn also(mut self, span: Span, label: impl Into<String>) -> Self {
        self.others.push((span, label.into()));
        self
    }

    /// What is wrong, in a sentence.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The line, from 1.
    pub fn line(&self) -> Option<usize> {
        self.position.map(|(line, _)| line)
    }

    /// The column in characters, from 1.
    pub fn column(&self) -> Option<usize> {
        self.position.map(|(_, column)| column)
    }

    /// What would be right, if it is known; there can be more in [`helps`](Self::helps).
    pub fn help_text(&self) -> Option<&str> {
        self.helps.first().map(String::as_str)
    }

    /// All lines that say what would be right.
    pub fn helps(&self) -> impl Iterator<Item = &str> {
        self.helps.iter().map(String::as_str)
    }

    fn finish(&mut self, source: &Source, lines: &Lines, secrets: &Secrets) {
        self.message = clean(&self.message, secrets);
        self.helps.iter_mut().for_each(|help| *help = clean(help, secrets));
        self.others.iter_mut().for_each(|(_, label)| *label = clean(label, secrets));
        self.position = self.span.map(|span| lines.position(span.start, source.text()));
    }
}

/// A text without secrets, and without characters that a terminal would act on.
fn clean(text: &str, secrets: &Secrets) -> String {
    let text = secrets.redact(text);
    let mut clean = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => clean.push(c),
            _ if c.is_control() => clean.extend(c.escape_default()),
            _ => clean.push(c),
        }
    }
    clean
}

/// Everything that is wrong with a pipeline, in the order of the text. Secrets are redacted.
#[derive(Clone)]
pub struct Problems {
    source: Source,
    secrets: Secrets,
    problems: Vec<Problem>,
}

impl Problems {
    /// Orders and cleans what was found.
    pub(crate) fn of(source: &Source, secrets: Secrets, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| problem.span);
        problems.dedup();
        let lines = Lines::of(source.text());
        problems.iter_mut().for_each(|problem| problem.finish(source, &lines, &secrets));
        Self { source: source.clone(), secrets, problems }
    }

    /// These and others of the same source.
    #[must_use]
    pub(crate) fn and(mut self, others: Self) -> Self {
        self.problems.extend(others.problems);
        self.problems.sort_by_key(|problem| problem.span);
        self.problems.dedup();
        self
    }

    /// One problem of a source whose text could not be had.
    pub(crate) fn without_text(name: &str, problem: Problem) -> Self {
        Self::of(&Source::new(name, ""), Secrets::new(), vec![problem])
    }

    /// The problems.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.problems.iter()
    }

    /// How many there are; at least one.
    pub fn len(&self) -> usize {
        self.problems.len()
    }

    /// Whether there is none, which [`load`](crate::load) never returns.
    pub fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }

    /// All problems for a terminal: message, file with line and column, the line itself with a
    /// caret, and what would be right. The line is shown as it stands in the file, so a variable
    /// shows by its name and never by its value.
    pub fn render(&self, color: bool) -> String {
        render::render(&self.source, &self.secrets, &self.problems, color)
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl fmt::Debug for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not derived: the text of the source can hold a secret.
        let name = self.source.name();
        f.debug_struct("Problems").field("source", &name).field("problems", &self.problems).finish()
    }
}

impl std::error::Error for Problems {}
