//! Finds where in a JSON text the wanted values stand, in one pass and without building a tree.
//!
//! Only the steps of the paths recurse; what lies beside or below them is skipped by a loop, so
//! that nesting, however deep, cannot exhaust the stack.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::path::Step;

/// The place of each field's value in the text, if it is there.
pub(super) type Spans = Vec<Option<Range<usize>>>;

/// The paths of all fields, as a tree.
#[derive(Debug, Default)]
pub(super) struct Paths {
    /// The fields whose value is here.
    fields: Vec<usize>,
    keys: Vec<(String, Paths)>,
    indices: Vec<(usize, Paths)>,
}

impl Paths {
    /// Adds the path of a field.
    pub(super) fn add(&mut self, steps: &[Step], field: usize) {
        let Some((step, rest)) = steps.split_first() else {
            self.fields.push(field);
            return;
        };
        let next = match step {
            Step::Key(key) => entry(&mut self.keys, |k| k == key, || key.clone()),
            Step::Index(index) => entry(&mut self.indices, |i| i == index, || *index),
        };
        if let Some(next) = next {
            next.add(rest, field);
        }
    }

    fn leads_on(&self) -> bool {
        !self.keys.is_empty() || !self.indices.is_empty()
    }

    /// Forgets what was found at and below this place: when a key comes twice, the last one counts.
    fn forget(&self, spans: &mut Spans) {
        for field in &self.fields {
            spans[*field] = None;
        }
        let below = self.keys.iter().map(|(_, p)| p).chain(self.indices.iter().map(|(_, p)| p));
        below.for_each(|paths| paths.forget(spans));
    }
}

fn entry<K>(
    all: &mut Vec<(K, Paths)>,
    is: impl Fn(&K) -> bool,
    make: impl FnOnce() -> K,
) -> Option<&mut Paths> {
    let at = match all.iter().position(|(key, _)| is(key)) {
        Some(at) => at,
        None => {
            all.push((make(), Paths::default()));
            all.len() - 1
        }
    };
    all.get_mut(at).map(|(_, paths)| paths)
}

/// Reads the text and notes where the values of the fields stand.
///
/// # Errors
/// Where the text is not JSON.
pub(super) fn pick(text: &str, paths: &Paths, spans: &mut Spans) -> serde_json::Result<()> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let origin = text.as_ptr() as usize;
    Place { paths, spans, origin }.deserialize(&mut reader)?;
    reader.end()
}

/// The items of a JSON array that was read before.
pub(super) fn items(raw: &str) -> Vec<&str> {
    let items: Vec<&RawValue> = serde_json::from_str(raw).unwrap_or_default();
    items.into_iter().map(RawValue::get).collect()
}

/// A JSON string as text. The buffer is used when it has escapes.
pub(super) fn unescape<'a>(raw: &'a str, buffer: &'a mut String) -> serde_json::Result<&'a str> {
    match raw.get(1..raw.len().saturating_sub(1)) {
        Some(text) if !text.contains('\\') => Ok(text),
        _ => {
            *buffer = serde_json::from_str(raw)?;
            Ok(buffer)
        }
    }
}

/// One place in the text: what is read here, and for whom.
struct Place<'p, 's> {
    paths: &'p Paths,
    spans: &'s mut Spans,
    /// Where the text begins in memory: places are told as offsets from it.
    origin: usize,
}

impl<'de> DeserializeSeed<'de> for Place<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        if self.paths.fields.is_empty() {
            return reader.deserialize_any(self);
        }
        let raw: &'de RawValue = Deserialize::deserialize(reader)?;
        let start = raw.get().as_ptr() as usize - self.origin;
        for field in &self.paths.fields {
            self.spans[*field] = Some(start..start + raw.get().len());
        }
        if self.paths.leads_on() {
            // Known to be JSON, as it was read just now.
            let mut inner = serde_json::Deserializer::from_str(raw.get());
            let _ = inner.deserialize_any(self);
        }
        Ok(())
    }
}

/// A key of an object, borrowed when it has no escapes.
#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Visitor<'de> for Place<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Key(key)) = map.next_key()? {
            match self.paths.keys.iter().find(|(wanted, _)| *wanted == key) {
                Some((_, paths)) => {
                    paths.forget(self.spans);
                    let (spans, origin) = (&mut *self.spans, self.origin);
                    map.next_value_seed(Place { paths, spans, origin })?;
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        for at in 0.. {
            let here = self.paths.indices.iter().find(|(wanted, _)| *wanted == at);
            let more = match here {
                Some((_, paths)) => {
                    let (spans, origin) = (&mut *self.spans, self.origin);
                    list.next_element_seed(Place { paths, spans, origin })?.is_some()
                }
                None => list.next_element::<IgnoredAny>()?.is_some(),
            };
            if !more {
                break;
            }
        }
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}
