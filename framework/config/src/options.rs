//! What stands under `with`, against the schema of the kind.

use std::collections::HashMap;

use gristmill_stage::Error;
use serde_json::Value;

use crate::document::{Declared, Document};
use crate::misspelt::{ROUNDS, misspelt};
use crate::node::{Data, Node};
use crate::pattern::Patterns;
use crate::problem::Problem;
use crate::span::Span;
use crate::suggest::Suggest;
use crate::walk::{Named, Walk};

/// The options of a stage.
pub(crate) struct Options {
    /// As JSON.
    pub(crate) value: Value,
    /// With their places.
    node: Node,
    /// What an error about all of them points at.
    mark: Span,
    /// Whether some were left out because nobody knows what they mean.
    pub(crate) lacking: bool,
}

impl Options {
    /// The place that an error of the kind is about.
    pub(crate) fn place(&self, error: &Error) -> Span {
        error.option_path().map_or(self.mark, |path| self.node.place(path, self.mark))
    }

    /// Whether an error of the kind may only follow from what was left out: it is about no option
    /// that is there.
    pub(crate) fn explains(&self, error: &Error) -> bool {
        self.lacking && self.place(error) == self.mark
    }
}

/// The options of every stage that has some which fit the schema of its kind, misspelt ones mended.
pub(crate) fn read_all(
    document: &Document<'_>,
    suggest: &Suggest,
    patterns: &Patterns,
    problems: &mut Vec<Problem>,
) -> Vec<Option<Options>> {
    let mut schemas: HashMap<&str, Value> = HashMap::new();
    let read = document.stages.iter().map(|stage| {
        let kind = stage.kind?;
        let schema = schemas.entry(kind.name()).or_insert_with(|| kind.options());
        let subject = format!("`{}`", kind.name());
        let walk = || Walk::new(schema, suggest, patterns, &subject, "option");
        read(stage, walk, problems)
    });
    read.collect()
}

fn read<'a>(
    stage: &Declared<'_>,
    walk: impl Fn() -> Walk<'a>,
    problems: &mut Vec<Problem>,
) -> Option<Options> {
    let entry = stage.node.entry("with");
    let node = entry.map(|entry| &entry.value).filter(|node| !node.is_null());
    let (mut node, mark) = match (node, entry) {
        (Some(node), Some(entry)) => (node.clone(), entry.key_span),
        _ => (Node::map(stage.mark, Vec::new()), stage.mark),
    };
    let whole = entry.map_or(stage.mark, |entry| entry.mark());
    if matches!(node.data, Data::Scalar(_) | Data::List(_)) {
        problems.push(
            Problem::at(whole, "`with` must be a mapping of options")
                .help("write the options under it, each as `option: value`"),
        );
        return None;
    }
    let (mut fits, mut lacking) = (node.whole, false);
    for _ in 0..ROUNDS {
        let found = walk().check(Named { name: "", node: &node, mark: whole });
        let keys = misspelt(&found);
        fits &= found.len() == keys.len();
        lacking |= keys.iter().any(|key| key.meant.is_none());
        // What is wrong besides is found again when the keys are mended.
        let last = keys.is_empty();
        problems.extend(found.into_iter().filter(|problem| last || problem.misspelt.is_some()));
        if last {
            return fits.then(|| Options { value: node.to_json(), node, mark, lacking });
        }
        node = node.mended(&keys);
    }
    None
}
