//! Selectors of tags, ids, classes and attributes, in and directly in each other.
//!
//! Every compound of every selector has a bit. An element has the bit if it matches the compound and
//! the elements around it match what stands before; so an element needs no more than the bits of its
//! parent and of all elements around it.

use super::tags::Name;

/// The selectors of all fields.
#[derive(Debug, Default)]
pub(super) struct Selectors {
    compounds: Vec<Compound>,
    /// The last compounds of each field's selectors, as bits.
    fields: Vec<u64>,
}

/// One compound, such as `p.price[data-x]`.
#[derive(Debug)]
struct Compound {
    tag: Option<String>,
    conditions: Vec<Condition>,
    /// How it stands to the compound before it.
    place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    First,
    Within,
    Child,
}

#[derive(Debug)]
struct Condition {
    attr: String,
    test: Test,
}

#[derive(Debug)]
enum Test {
    There,
    Is(String),
    /// Has the word, as a class.
    Word(String),
    Starts(String),
    Ends(String),
    Has(String),
}

/// Attributes whose values mean what they say in every case of letters.
const EXACT: [&str; 11] = [
    "id", "class", "href", "src", "itemprop", "property", "content", "title", "role", "alt",
    "value",
];
/// Every page has these, written or not.
const IMPLIED: [&str; 5] = ["html", "head", "body", "tbody", "colgroup"];

impl Selectors {
    /// Adds the selectors of the next field. None when they need the tree.
    pub(super) fn add(&mut self, css: &str) -> Option<()> {
        let mut last = 0;
        for one in css.split(',') {
            self.add_one(one.trim())?;
            last |= 1_u64.checked_shl(u32::try_from(self.compounds.len()).ok()?.checked_sub(1)?)?;
        }
        self.fields.push(last);
        Some(())
    }

    fn add_one(&mut self, css: &str) -> Option<()> {
        let mut rest = css;
        let mut place = Place::First;
        loop {
            let (compound, after) = compound(rest, place)?;
            self.compounds.push(compound);
            if self.compounds.len() > 64 {
                return None;
            }
            let next = after.trim_start();
            if next.is_empty() {
                return Some(());
            }
            (place, rest) = match next.strip_prefix('>') {
                Some(next) => (Place::Child, next.trim_start()),
                None if next.len() < after.len() => (Place::Within, next),
                None => return None,
            };
        }
    }

    /// The bits of an element, from those of its parent and of all elements around it.
    pub(super) fn matches(
        &self,
        name: &Name,
        attrs: &[(&str, &str)],
        parent: u64,
        around: u64,
    ) -> u64 {
        let mut bits = 0;
        for (at, compound) in self.compounds.iter().enumerate() {
            let before = match compound.place {
                Place::First => true,
                Place::Within => around >> (at - 1) & 1 == 1,
                Place::Child => parent >> (at - 1) & 1 == 1,
            };
            if before && compound.matches(name, attrs) {
                bits |= 1 << at;
            }
        }
        bits
    }

    /// The bits of the last compounds: what fields take.
    pub(super) fn last(&self) -> u64 {
        self.fields.iter().fold(0, |all, bits| all | bits)
    }

    /// The field whose selector ends with this bit.
    pub(super) fn field(&self, bit: u32) -> usize {
        self.fields.iter().position(|bits| bits >> bit & 1 == 1).unwrap_or_default()
    }

    /// The last bits of the field's selectors.
    pub(super) fn of(&self, field: usize) -> u64 {
        self.fields.get(field).copied().unwrap_or(u64::MAX)
    }
}

impl Compound {
    fn matches(&self, name: &Name, attrs: &[(&str, &str)]) -> bool {
        self.tag.as_ref().is_none_or(|tag| name.is(tag.as_bytes()))
            && self.conditions.iter().all(|condition| condition.met(attrs))
    }
}

impl Condition {
    fn met(&self, attrs: &[(&str, &str)]) -> bool {
        let Some((_, value)) = attrs.iter().find(|(n, _)| n.eq_ignore_ascii_case(&self.attr))
        else {
            return false;
        };
        match &self.test {
            Test::There => true,
            Test::Is(text) => value == text,
            Test::Word(word) => value.split_ascii_whitespace().any(|one| one == word),
            Test::Starts(text) => value.starts_with(text.as_str()),
            Test::Ends(text) => value.ends_with(text.as_str()),
            Test::Has(text) => value.contains(text.as_str()),
        }
    }
}

fn compound(text: &str, place: Place) -> Option<(Compound, &str)> {
    let mut compound = Compound { tag: None, conditions: Vec::new(), place };
    let (name, mut rest) = ident(text).map_or((None, text), |(name, rest)| (Some(name), rest));
    if let Some(name) = name {
        let name = name.to_ascii_lowercase();
        if IMPLIED.contains(&name.as_str()) {
            return None;
        }
        compound.tag = Some(name);
    }
    loop {
        let (condition, after) = match rest.as_bytes().first() {
            Some(b'#') => {
                let (id, after) = ident(&rest[1..])?;
                (Condition { attr: "id".to_owned(), test: Test::Is(id.to_owned()) }, after)
            }
            Some(b'.') => {
                let (class, after) = ident(&rest[1..])?;
                (Condition { attr: "class".to_owned(), test: Test::Word(class.to_owned()) }, after)
            }
            Some(b'[') => {
                let (inside, after) = rest[1..].split_once(']')?;
                (attribute(inside.trim())?, after)
            }
            None | Some(b' ' | b'>')
                if compound.tag.is_some() || !compound.conditions.is_empty() =>
            {
                return Some((compound, rest));
            }
            _ => return None,
        };
        compound.conditions.push(condition);
        rest = after;
    }
}

fn attribute(inside: &str) -> Option<Condition> {
    let (name, rest) = ident(inside)?;
    // Names are compared as they are in the tree, where those of HTML are in lower case.
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return None;
    }
    let attr = name.to_owned();
    if rest.is_empty() {
        return Some(Condition { attr, test: Test::There });
    }
    if !name.starts_with("data-") && !EXACT.contains(&name) {
        return None;
    }
    let at = rest.find('=')?;
    let (mark, value) = (&rest[..at], &rest[at + 1..]);
    let value = match value.as_bytes().first()? {
        quote @ (b'"' | b'\'') => {
            let inside = value[1..].strip_suffix(char::from(*quote))?;
            if inside.contains(['"', '\'', '\\', '&', '\n', '\r', '\x0c']) {
                None
            } else {
                Some(inside)
            }?
        }
        _ => match ident(value)? {
            (value, "") => value,
            _ => return None,
        },
    };
    if value.is_empty() || (mark == "~" && value.contains(char::is_whitespace)) {
        return None;
    }
    let value = value.to_owned();
    let test = match mark {
        "" => Test::Is(value),
        "~" => Test::Word(value),
        "^" => Test::Starts(value),
        "$" => Test::Ends(value),
        "*" => Test::Has(value),
        _ => return None,
    };
    Some(Condition { attr, test })
}

/// A name of ASCII letters, digits, `-` and `_`, without escapes.
fn ident(text: &str) -> Option<(&str, &str)> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let end = text.find(|c| !plain(c)).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let starts = |c: char| c.is_ascii_alphabetic() || c == '_';
    // After a name, a colon or a bar would be part of it.
    (name.starts_with(starts) && !rest.starts_with([':', '|', '\\'])).then_some((name, rest))
}
