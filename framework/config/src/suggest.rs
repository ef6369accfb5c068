//! "Did you mean": the known word that is nearest to a misspelt one.

use std::cell::Cell;

/// How many comparisons one run over a file may make. With ten thousand stages that all name a
/// wrong input the last ones go without a suggestion, instead of taking minutes.
const BUDGET: usize = 1_000_000;

/// Finds the word that was probably meant.
#[derive(Debug)]
pub(crate) struct Suggest {
    left: Cell<usize>,
}

impl Suggest {
    /// With a full budget.
    pub(crate) const fn new() -> Self {
        Self { left: Cell::new(BUDGET) }
    }

    /// The nearest of the known words, if one is near enough to be meant.
    pub(crate) fn nearest<'a>(
        &self,
        word: &str,
        known: impl IntoIterator<Item = &'a str>,
    ) -> Option<&'a str> {
        let mut best: Option<(f64, &str)> = None;
        let lower = word.to_lowercase();
        // Comparing takes the product of the lengths; nobody misspells a word of 64 letters.
        if lower.len() > 64 {
            return None;
        }
        for candidate in known {
            let left = self.left.get().checked_sub(1)?;
            self.left.set(left);
            if candidate.len() > 64 || candidate.len().abs_diff(lower.len()) > 8 {
                continue;
            }
            let same = candidate.to_lowercase();
            let likeness = if same == lower {
                1.0
            } else {
                strsim::normalized_damerau_levenshtein(&lower, &same)
                    .max(strsim::jaro(&lower, &same) - 0.2)
            };
            if likeness > best.map_or(0.59, |(best, _)| best) {
                best = Some((likeness, candidate));
            }
        }
        best.map(|(_, candidate)| candidate)
    }

    /// A line of help for an unknown word: the nearest, or all there are.
    pub(crate) fn help<'a>(
        &self,
        word: &str,
        known: impl IntoIterator<Item = &'a str> + Clone,
        all: &str,
    ) -> String {
        match self.nearest(word, known.clone()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("{all}: {}", list(known)),
        }
    }
}

/// Words in backticks with commas between them; a long list is cut.
pub(crate) fn list<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    const SHOWN: usize = 24;
    let mut words = words.into_iter();
    let mut text = String::new();
    for (index, word) in words.by_ref().take(SHOWN).enumerate() {
        if index > 0 {
            text.push_str(", ");
        }
        text.push('`');
        text.push_str(word);
        text.push('`');
    }
    match words.count() {
        0 if text.is_empty() => "none".to_owned(),
        0 => text,
        more => format!("{text} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_found_and_far_ones_are_not() {
        let known = ["generate", "fetch", "parse", "aggregate"];
        let near = |word| Suggest::new().nearest(word, known);
        assert_eq!(near("fecth"), Some("fetch"));
        assert_eq!(near("Parse"), Some("parse"));
        assert_eq!(near("agregate"), Some("aggregate"));
        assert_eq!(near("zebra"), None);
        assert_eq!(near(""), None);
    }
}
