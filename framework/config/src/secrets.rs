//! Values that must not appear in any output.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// What stands in place of a secret.
const MASK: &str = "***";
/// Shorter values are not looked for in texts: they would blank out half of every message.
const SHORTEST: usize = 4;

/// A word in the name of a variable, or the end of one, that makes its value a secret.
const WORDS: [&str; 17] = [
    "TOKEN",
    "TOKENS",
    "SECRET",
    "SECRETS",
    "PASSWORD",
    "PASSWORDS",
    "PASSWD",
    "PASSPHRASE",
    "PWD",
    "KEY",
    "KEYS",
    "CREDENTIAL",
    "CREDENTIALS",
    "AUTH",
    "AUTHORIZATION",
    "COOKIE",
    "DSN",
];
/// These count only as whole words: as endings they would catch `COMPASS`.
const WHOLE_WORDS: [&str; 4] = ["PASS", "PRIVATE", "COOKIES", "BEARER"];

/// The values that came from variables named like a secret (`API_KEY`, `DB_PASSWORD`, …). Texts
/// that leave the program go through [`redact`](Secrets::redact).
///
/// Values of less than 4 characters, and `true` and `false`, are not looked for; of the short ones
/// [`Plan::warnings`](crate::Plan::warnings) tells.
#[derive(Clone, Default)]
pub struct Secrets {
    /// Every form of every value.
    forms: Arc<BTreeSet<String>>,
}

impl Secrets {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether a variable of this name holds a secret.
    pub fn is_secret_name(name: &str) -> bool {
        let name = name.to_ascii_uppercase();
        // The shell's working folder, not a password.
        if name == "PWD" || name == "OLDPWD" {
            return false;
        }
        name.split(['_', '-', '.']).any(|word| {
            WHOLE_WORDS.contains(&word) || WORDS.iter().any(|ending| word.ends_with(ending))
        })
    }

    /// Whether a value is too short to be looked for, although it may be a secret.
    pub(crate) fn is_too_short(value: &str) -> bool {
        let value = value.trim();
        !value.is_empty() && value.chars().count() < SHORTEST && !is_boolean(value)
    }

    /// Adds a value.
    pub fn insert(&mut self, value: &str) {
        let forms = Arc::make_mut(&mut self.forms);
        // Headers are trimmed and messages quote single lines, so these count by themselves.
        for part in std::iter::once(value).chain(value.lines()) {
            let part = part.trim();
            if part.chars().count() < SHORTEST || is_boolean(part) {
                continue;
            }
            let json = serde_json::to_string(part).unwrap_or_default();
            let debug = format!("{part:?}");
            let escaped = |quoted: &str| {
                let inner = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
                inner.map(str::to_owned)
            };
            forms.insert(part.to_owned());
            forms.insert(part.replace(' ', "+"));
            forms.extend(escaped(&json));
            forms.extend(escaped(&debug));
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.forms.is_empty()
    }

    /// The text with `***` in place of every secret: as it is, percent-encoded, or escaped as in
    /// JSON or in Rust.
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let found = self.find(text);
        if found.is_empty() {
            return Cow::Borrowed(text);
        }
        let mut clean = String::with_capacity(text.len());
        let mut done = 0;
        for range in found {
            clean.push_str(text.get(done..range.start).unwrap_or_default());
            clean.push_str(MASK);
            done = range.end;
        }
        clean.push_str(text.get(done..).unwrap_or_default());
        Cow::Owned(clean)
    }

    /// The text with every byte of a secret as a star, so that places in it stay where they are.
    pub(crate) fn mask<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let found = self.find(text);
        if found.is_empty() {
            return Cow::Borrowed(text);
        }
        let mut clean = text.to_owned();
        for range in found {
            let stars = "*".repeat(range.len());
            clean.replace_range(range, &stars);
        }
        Cow::Owned(clean)
    }

    /// Where secrets stand, in order and without overlaps.
    fn find(&self, text: &str) -> Vec<Range<usize>> {
        let mut found: Vec<Range<usize>> = Vec::new();
        for form in self.forms.iter() {
            let mut from = 0;
            while let Some(at) = text.get(from..).and_then(|rest| rest.find(form.as_str())) {
                let start = from + at;
                found.push(start..start + form.len());
                // One character on, not the whole match: `aaaa` stands in `aaaaa` twice.
                from = start + form.chars().next().map_or(1, char::len_utf8);
            }
        }
        if !self.is_empty() && text.contains('%') {
            self.find_encoded(text, &mut found);
        }
        found.sort_by_key(|range| (range.start, range.end));
        found.dedup_by(|next, last| {
            let joins = next.start < last.end;
            if joins {
                last.end = last.end.max(next.end);
            }
            joins
        });
        found
    }

    /// Looks in the decoded text, because every encoder leaves other characters as they are.
    fn find_encoded(&self, text: &str, found: &mut Vec<Range<usize>>) {
        let bytes = text.as_bytes();
        let (mut decoded, mut origins) = (Vec::new(), Vec::new());
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            let hex = |index: usize| bytes.get(index).and_then(|b| char::from(*b).to_digit(16));
            let value = match (byte, hex(at + 1), hex(at + 2)) {
                (b'%', Some(high), Some(low)) => u8::try_from(high * 16 + low).ok(),
                _ => None,
            };
            origins.push(at);
            decoded.push(value.unwrap_or(*byte));
            at += if value.is_some() { 3 } else { 1 };
        }
        origins.push(bytes.len());
        for form in self.forms.iter() {
            let needle = form.as_bytes();
            let starts = decoded.windows(needle.len()).enumerate();
            for (start, _) in starts.filter(|(_, window)| *window == needle) {
                let range = origins.get(start).zip(origins.get(start + needle.len()));
                found.extend(range.map(|(start, end)| *start..*end));
            }
        }
    }
}

/// As in `USE_AUTH=true`. No secret is so easy to guess.
fn is_boolean(value: &str) -> bool {
    matches!(value, "true" | "false")
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_empty() { "Secrets(none)" } else { "Secrets(***)" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(values: &[&str]) -> Secrets {
        let mut secrets = Secrets::new();
        values.iter().for_each(|value| secrets.insert(value));
        secrets
    }

    #[test]
    fn names_tell_secrets() {
        for name in [
            "TOKEN",
            "api_key",
            "APIKEY",
            "DB_PASSWORD",
            "PGPASSWORD",
            "db_pwd",
            "AWS_SECRET_ACCESS_KEY",
            "SENTRY_DSN",
            "OAUTH",
            "SESSION_COOKIE",
            "PRIVATE_URL",
            "DB_PASS",
            "GOOGLE_CREDENTIALS",
        ] {
            assert!(Secrets::is_secret_name(name), "{name}");
        }
        for name in ["HOME", "PWD", "AUTHOR", "COMPASS", "KEYBOARD", "TOKENIZER", "N"] {
            assert!(!Secrets::is_secret_name(name), "{name}");
        }
    }

    #[test]
    fn every_form_is_redacted() {
        let value = "p\"ä/ss w\\rd\u{1}";
        let secrets = secrets(&[value]);
        let json = serde_json::to_string(value).unwrap();
        for text in [
            format!("a {value} b"),
            format!("a {} b", json.trim_matches('"')),
            format!("a {} b", format!("{value:?}").trim_matches('"')),
            "a p%22%C3%A4%2Fss%20w%5Crd%01 b".to_owned(),
            "a p%22%c3%a4/ss%20w\\rd%01 b".to_owned(),
            "a p%22%c3%a4/ss+w%5crd%01 b".to_owned(),
        ] {
            assert_eq!(secrets.redact(&text), "a *** b", "{text}");
        }
        assert_eq!(format!("{secrets:?}"), "Secrets(***)");
    }

    #[test]
    fn overlaps_leave_no_rest() {
        let secrets = secrets(&["abcdef", "defghi", "aaaa"]);
        assert_eq!(secrets.redact("x abcdefghi y"), "x *** y");
        assert_eq!(secrets.redact("aaaaa%"), "***%");
        assert_eq!(secrets.mask("x=abcdef,"), "x=******,");
        assert_eq!(secrets.redact("abcdefabcdef"), "******");
    }

    #[test]
    fn short_values_stay_and_lines_count() {
        let secrets = secrets(&["abc", "true", "-----BEGIN\n  MIIEvQ\r\n-----END\n"]);
        assert_eq!(secrets.redact("abc true MIIEvQ."), "abc true ***.");
        assert_eq!(secrets.redact("bad line: -----END"), "bad line: ***");
    }
}
