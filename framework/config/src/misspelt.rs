//! Keys that nobody knows. What was probably meant takes their place, so that the rest can be
//! checked all the same.

use std::collections::HashMap;

use crate::node::{Data, Entry, Node};
use crate::problem::Problem;
use crate::span::Span;

/// So many times keys are looked for again: what stands under a misspelt key can be misspelt, too.
pub(crate) const ROUNDS: usize = 8;

/// A key that nobody knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Misspelt {
    /// Where it stands.
    pub(crate) at: Span,
    /// What was probably meant, unless that is there as well.
    pub(crate) meant: Option<String>,
}

/// The misspelt keys among what was found.
pub(crate) fn misspelt(problems: &[Problem]) -> Vec<Misspelt> {
    problems.iter().filter_map(|problem| problem.misspelt.clone()).collect()
}

impl Node {
    /// The same with what was meant in the place of misspelt keys, and without those of which nobody
    /// knows what was meant. All places stay as they are.
    #[must_use]
    pub(crate) fn mended(&self, keys: &[Misspelt]) -> Self {
        self.mend(&keys.iter().map(|key| (key.at, key.meant.as_deref())).collect())
    }

    fn mend(&self, keys: &HashMap<Span, Option<&str>>) -> Self {
        match &self.data {
            Data::Scalar(_) | Data::Unknown => self.clone(),
            Data::List(items) => {
                Self::list(self.span, items.iter().map(|item| item.mend(keys)).collect())
            }
            Data::Map(entries) => {
                let mut kept: Vec<Entry> = Vec::with_capacity(entries.len());
                for entry in entries.iter() {
                    let key = match keys.get(&entry.key_span) {
                        None => entry.key.as_str(),
                        Some(Some(meant)) => meant,
                        Some(None) => continue,
                    };
                    // Of two that are meant to be the same, the first.
                    if kept.iter().all(|other| other.key != key) {
                        let value = entry.value.mend(keys);
                        kept.push(Entry { key: key.to_owned(), key_span: entry.key_span, value });
                    }
                }
                Self::map(self.span, kept)
            }
        }
    }
}
