//! The plugins that a pipeline names. They are read before everything else, because they bring the
//! kinds that the stages are checked by.

use std::path::{Path, PathBuf};

use gristmill_stage::Error;
use gristmill_stage::schemars::schema_for;

use crate::node::{Data, Node};
use crate::parse::parse;
use crate::pattern::Patterns;
use crate::problem::{Problem, Problems};
use crate::span::Span;
use crate::suggest::Suggest;
use crate::walk::{Named, Walk};
use crate::words::{CommandWords, LibraryWords, PluginWords};
use crate::{Secrets, Source, Variables};

/// What stands under `plugins:`. The caller opens them, adds their kinds to a registry, and gives that
/// to [`load`](crate::load).
#[derive(Debug, Clone)]
pub struct Plugins {
    source: Source,
    secrets: Secrets,
    plugins: Vec<PluginDef>,
}

/// One plugin, as the pipeline names it.
#[derive(Debug, Clone)]
pub struct PluginDef {
    /// What it is.
    pub origin: PluginOrigin,
    /// What goes before the names of its kinds, with a dot between.
    pub namespace: Option<String>,
    node: Node,
}

/// What a plugin is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PluginOrigin {
    /// A library that is loaded into the process.
    Library {
        /// Its path as it stands there; without a slash, a name to be searched for.
        path: String,
        /// The SHA-256 that its file must have, in lower-case hexadecimal digits.
        sha256: Option<String>,
    },
    /// A program that is started as a child process.
    Command {
        /// The program and its arguments; at least one.
        argv: Vec<String>,
    },
}

impl Plugins {
    /// Reads what stands under `plugins:`. A text in which that cannot be found, because it is no YAML at
    /// all, has none: [`load`](crate::load) says what is wrong with it.
    ///
    /// # Errors
    /// All that is wrong with what stands there.
    pub fn read(source: &Source, variables: &Variables) -> Result<Self, Problems> {
        let suggest = Suggest::new();
        let parsed = parse(source.text(), variables, &suggest);
        let (problems, secrets) = (parsed.problems, parsed.noted.secrets);
        let wrong = |problems| Problems::of(source, secrets.clone(), problems);
        let none = Self { source: source.clone(), secrets: secrets.clone(), plugins: Vec::new() };
        let root = parsed.root.filter(|_| parsed.complete);
        let Some(entry) = root.as_ref().and_then(|root| root.entry("plugins")) else {
            return Ok(none);
        };
        if !entry.value.whole {
            return Err(wrong(problems));
        }
        if entry.value.is_null() {
            return Ok(none);
        }
        let schema = schema_for!(Vec<PluginWords>).to_value();
        let patterns = Patterns::default();
        let walk = Walk::new(&schema, &suggest, &patterns, "the plugin", "word");
        let named = Named { name: "`plugins`", node: &entry.value, mark: entry.mark() };
        let found = walk.check(named);
        if !found.is_empty() {
            return Err(wrong(found));
        }
        let mut plugins = Vec::new();
        for node in entry.value.items() {
            let words = serde_json::from_value(node.to_json());
            let words = words.map_err(|error| {
                wrong(vec![Problem::at(mark(node), format!("this is no plugin: {error}"))])
            })?;
            plugins.push(PluginDef::of(words, node));
        }
        Ok(Self { plugins, ..none })
    }

    /// The plugins, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &PluginDef> {
        self.plugins.iter()
    }

    /// The folder that paths of plugins are seen from: that of the pipeline, or the current one where it
    /// was not read from a file.
    pub fn folder(&self) -> PathBuf {
        let folder = self.source.folder().unwrap_or_else(|| Path::new("."));
        if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder.to_owned() }
    }

    /// What is wrong with plugins, shown where they stand. The option of an error is a word of the plugin
    /// (`path`, `sha256`, `command[0]`).
    pub fn problems<'a>(
        &self,
        errors: impl IntoIterator<Item = (&'a PluginDef, Error)>,
    ) -> Problems {
        let problem = |(plugin, error): (&PluginDef, Error)| {
            let mark = mark(&plugin.node);
            let place = error.option_path().map_or(mark, |path| plugin.node.place(path, mark));
            let problem = Problem::at(place, error.message());
            match error.help_text() {
                Some(help) => problem.help(help),
                None => problem,
            }
        };
        let problems = errors.into_iter().map(problem).collect();
        Problems::of(&self.source, self.secrets.clone(), problems)
    }
}

impl PluginDef {
    fn of(words: PluginWords, node: &Node) -> Self {
        let library = |path, sha256: Option<String>| PluginOrigin::Library {
            path,
            sha256: sha256.map(|digits| digits.to_ascii_lowercase()),
        };
        let (origin, namespace) = match words {
            PluginWords::Path(path) => (library(path, None), None),
            PluginWords::Library(LibraryWords { path, sha256, namespace }) => {
                (library(path, sha256), namespace)
            }
            PluginWords::Command(CommandWords { command, namespace }) => {
                (PluginOrigin::Command { argv: command }, namespace)
            }
        };
        Self { origin, namespace, node: node.clone() }
    }
}

/// What an error about a plugin points at.
fn mark(node: &Node) -> Span {
    match &node.data {
        Data::Map(_) => {
            let entry = ["path", "command"].iter().find_map(|key| node.entry(key));
            entry.map_or_else(|| node.mark(), |entry| entry.value.mark())
        }
        _ => node.mark(),
    }
}
