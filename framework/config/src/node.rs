//! The YAML as a tree in which every node and every key knows its place.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::span::Span;

/// A node with its place. Cheap to clone: an alias shares what its anchor holds.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// Where it stands. A block mapping or list has an end only, its start is its first entry.
    pub(crate) span: Span,
    /// What it is.
    pub(crate) data: Data,
    /// Nodes in it, itself included, aliases counted in full.
    pub(crate) size: usize,
    /// Levels in it, itself included.
    pub(crate) height: usize,
    /// Whether nothing in it is [`Data::Unknown`].
    pub(crate) whole: bool,
}

/// What a node is.
#[derive(Debug, Clone)]
pub(crate) enum Data {
    /// A value without parts.
    Scalar(Scalar),
    /// A sequence.
    List(Arc<[Node]>),
    /// A mapping, in the order of the text.
    Map(Arc<[Entry]>),
    /// A value that an error was reported for already; nothing more is said about it.
    Unknown,
}

/// A value without parts: null, a boolean, a number or a text.
#[derive(Debug, Clone)]
pub(crate) struct Scalar {
    /// The value, variables put in.
    pub(crate) value: Value,
    /// Whether a part of it must not be shown.
    pub(crate) secret: bool,
}

/// A key and its value.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// The key.
    pub(crate) key: String,
    /// Where the key stands.
    pub(crate) key_span: Span,
    /// The value.
    pub(crate) value: Node,
}

impl Entry {
    /// What an error about the value points at: the value where it is short, otherwise the key.
    pub(crate) fn mark(&self) -> Span {
        match &self.value.data {
            Data::Scalar(_) | Data::Unknown if !self.value.span.is_empty() => self.value.span,
            _ => self.key_span,
        }
    }
}

impl Node {
    /// A node without parts.
    pub(crate) fn leaf(span: Span, data: Data) -> Self {
        let whole = !matches!(data, Data::Unknown);
        Self { span, data, size: 1, height: 1, whole }
    }

    /// A list.
    pub(crate) fn list(span: Span, items: Vec<Self>) -> Self {
        let size = 1 + items.iter().map(|node| node.size).sum::<usize>();
        let height = 1 + items.iter().map(|node| node.height).max().unwrap_or(0);
        let whole = items.iter().all(|node| node.whole);
        Self { span, data: Data::List(items.into()), size, height, whole }
    }

    /// A mapping.
    pub(crate) fn map(span: Span, entries: Vec<Entry>) -> Self {
        let size = 1 + entries.iter().map(|entry| entry.value.size).sum::<usize>();
        let height = 1 + entries.iter().map(|entry| entry.value.height).max().unwrap_or(0);
        let whole = entries.iter().all(|entry| entry.value.whole);
        Self { span, data: Data::Map(entries.into()), size, height, whole }
    }

    /// The entries of a mapping; none of anything else.
    pub(crate) fn entries(&self) -> &[Entry] {
        match &self.data {
            Data::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The items of a list; none of anything else.
    pub(crate) fn items(&self) -> &[Self] {
        match &self.data {
            Data::List(items) => items,
            _ => &[],
        }
    }

    /// The entry of that key.
    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    /// The value of that key.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// The text, if it is one.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.data {
            Data::Scalar(scalar) => scalar.value.as_str(),
            _ => None,
        }
    }

    /// Whether it is null: `~`, `null`, or nothing after the colon.
    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.data, Data::Scalar(Scalar { value: Value::Null, .. }))
    }

    /// What an error about a node without a key points at: a scalar, or the start of a container.
    pub(crate) fn mark(&self) -> Span {
        match &self.data {
            Data::Scalar(_) | Data::Unknown => self.span,
            Data::Map(entries) => entries.first().map_or(self.span, |entry| entry.key_span),
            Data::List(items) => items.first().map_or(self.span, Self::mark),
        }
    }

    /// The node as JSON; null in place of what is unknown.
    pub(crate) fn to_json(&self) -> Value {
        match &self.data {
            Data::Scalar(scalar) => scalar.value.clone(),
            Data::List(items) => Value::Array(items.iter().map(Self::to_json).collect()),
            Data::Map(entries) => {
                let pairs = entries.iter().map(|entry| (entry.key.clone(), entry.value.to_json()));
                Value::Object(pairs.collect::<Map<_, _>>())
            }
            Data::Unknown => Value::Null,
        }
    }

    /// The place of the option at `path` (`fields.price.css`, `urls[2]`), or of the nearest node
    /// above it that exists; `above` stands for the node itself.
    pub(crate) fn place(&self, path: &str, above: Span) -> Span {
        let path = path.strip_prefix('.').unwrap_or(path);
        if path.is_empty() {
            return above;
        }
        match &self.data {
            // A key can hold dots itself, so the longest that fits is the one that is meant.
            Data::Map(entries) => entries
                .iter()
                .filter_map(|entry| {
                    let rest = path.strip_prefix(entry.key.as_str())?;
                    let ends = rest.is_empty() || rest.starts_with(['.', '[']);
                    (ends && !entry.key.is_empty()).then_some((entry, rest))
                })
                .max_by_key(|(entry, _)| entry.key.len())
                .map_or(above, |(entry, rest)| entry.value.place(rest, entry.mark())),
            Data::List(items) => {
                let index = path.strip_prefix('[').and_then(|rest| rest.split_once(']'));
                let item = index.and_then(|(index, rest)| {
                    index.parse::<usize>().ok().and_then(|index| items.get(index)).zip(Some(rest))
                });
                item.map_or(above, |(item, rest)| item.place(rest, item.mark()))
            }
            Data::Scalar(_) | Data::Unknown => above,
        }
    }
}
