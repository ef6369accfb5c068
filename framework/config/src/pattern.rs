//! The `pattern` of a schema.

use std::cell::RefCell;
use std::collections::HashMap;

use regex::Regex;

/// Patterns that are compiled once, however many stages have them.
#[derive(Debug, Default)]
pub(crate) struct Patterns(RefCell<HashMap<String, Option<Regex>>>);

impl Patterns {
    /// Whether the pattern is found in the text. One that only engines of JavaScript know (it looks
    /// around, or back) fits all: the kind of the stage reads its options itself afterwards.
    pub(crate) fn fit(&self, pattern: &str, text: &str) -> bool {
        let mut known = self.0.borrow_mut();
        if !known.contains_key(pattern) {
            known.insert(pattern.to_owned(), Regex::new(pattern).ok());
        }
        known.get(pattern).and_then(Option::as_ref).is_none_or(|regex| regex.is_match(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_searched_for_and_unknown_ones_fit() {
        let patterns = Patterns::default();
        for (pattern, text, fits) in [
            ("b+", "abc", true),
            ("^b", "abc", false),
            (r"^\S+$", "a b", false),
            ("(?=x)y", "", true),
        ] {
            assert_eq!(patterns.fit(pattern, text), fits, "{pattern}");
            assert_eq!(patterns.fit(pattern, text), fits, "{pattern}, a second time");
        }
    }
}
