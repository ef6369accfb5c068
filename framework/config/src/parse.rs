//! YAML text to a tree with places. Caps on depth and size hold before anything is built.

use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Tag};

use crate::mistake::{syntax, variable};
use crate::node::{Data, Entry, Node, Scalar};
use crate::problem::Problem;
use crate::scalar::resolve;
use crate::span::{Chars, Span};
use crate::suggest::Suggest;
use crate::variables::{Expanded, Fault, Noted, Variables, expand};

/// The deepest nesting.
const MAX_DEPTH: usize = 64;
/// The most nodes, those behind aliases counted each time.
const MAX_NODES: usize = 1_000_000;

/// What a text was read into.
#[derive(Debug)]
pub(crate) struct Parsed {
    /// The document; none when the text holds nothing, or is no YAML.
    pub(crate) root: Option<Node>,
    /// What was wrong with it.
    pub(crate) problems: Vec<Problem>,
    /// What its variables are, and the secrets that came in by them.
    pub(crate) noted: Noted,
    /// Whether the text was read to its end.
    pub(crate) complete: bool,
}

/// Reads a text and puts variables into its values.
pub(crate) fn parse(text: &str, variables: &Variables, suggest: &Suggest) -> Parsed {
    let mut builder = Builder {
        text,
        chars: Chars::of(text),
        variables,
        suggest,
        noted: Noted::default(),
        problems: Vec::new(),
        frames: Vec::new(),
        anchors: HashMap::new(),
        nodes: 0,
        root: None,
    };
    let complete = match builder.run() {
        Ok(()) => true,
        Err(problem) => {
            builder.problems.push(problem);
            false
        }
    };
    let Builder { root, problems, noted, .. } = builder;
    Parsed { root, problems, noted, complete }
}

/// A container that is not closed yet.
enum Frame {
    List { start: usize, anchor: usize, items: Vec<Node> },
    Map(MapFrame),
}

struct MapFrame {
    start: usize,
    anchor: usize,
    entries: Vec<Entry>,
    /// Where each key stands.
    keys: HashMap<String, Span>,
    key: Option<Key>,
    /// What stands under `<<`.
    merges: Vec<(Span, Node)>,
}

struct Key {
    text: String,
    span: Span,
    /// An unquoted `<<`.
    merge: bool,
    /// A key that an error was reported for: its value is read and forgotten.
    bad: bool,
}

struct Builder<'a> {
    text: &'a str,
    chars: Chars<'a>,
    variables: &'a Variables,
    suggest: &'a Suggest,
    noted: Noted,
    problems: Vec<Problem>,
    frames: Vec<Frame>,
    /// What each anchor holds; `None` while it is still open.
    anchors: HashMap<usize, Option<Node>>,
    nodes: usize,
    root: Option<Node>,
}

impl<'a> Builder<'a> {
    fn run(&mut self) -> Result<(), Problem> {
        let mut documents = 0;
        for event in Parser::new_from_str(self.text) {
            let (event, span) = event
                .map_err(|error| syntax(self.text, self.byte(*error.marker()), error.info()))?;
            let span = Span::new(self.byte(span.start), self.byte(span.end));
            match event {
                Event::DocumentStart(_) => {
                    documents += 1;
                    if documents > 1 {
                        return Err(Problem::at(span, "a second document begins here").help(
                            "a file holds one pipeline; put the other into a file of its own",
                        ));
                    }
                }
                Event::Scalar(text, style, anchor, tag) => {
                    self.scalar(&text, style, anchor, tag.as_deref(), span)?;
                }
                Event::SequenceStart(anchor, tag) => {
                    self.container(tag.as_deref(), "seq", span, anchor)?;
                    let start = span.start;
                    self.frames.push(Frame::List { start, anchor, items: Vec::new() });
                }
                Event::MappingStart(anchor, tag) => {
                    self.container(tag.as_deref(), "map", span, anchor)?;
                    self.frames.push(Frame::Map(MapFrame {
                        start: span.start,
                        anchor,
                        entries: Vec::new(),
                        keys: HashMap::new(),
                        key: None,
                        merges: Vec::new(),
                    }));
                }
                Event::SequenceEnd | Event::MappingEnd => self.close(span)?,
                Event::Alias(anchor) => self.alias(anchor, span)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn byte(&self, marker: Marker) -> usize {
        self.chars.byte(marker.index())
    }

    /// Notes that nodes were added.
    fn count(&mut self, nodes: usize, span: Span) -> Result<(), Problem> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > MAX_NODES {
            return Err(Problem::at(
                span,
                "the pipeline has more than 1000000 values, aliases counted in full",
            )
            .help("let a stage read large data from a file"));
        }
        Ok(())
    }

    fn deep(&self, more: usize, span: Span) -> Result<(), Problem> {
        if self.frames.len() + more > MAX_DEPTH {
            return Err(Problem::at(
                span,
                format!("more than {MAX_DEPTH} levels stand inside each other"),
            ));
        }
        Ok(())
    }

    fn container(
        &mut self,
        tag: Option<&Tag>,
        own: &str,
        span: Span,
        anchor: usize,
    ) -> Result<(), Problem> {
        self.deep(1, span)?;
        self.count(1, span)?;
        if let Some(tag) = tag.filter(|tag| !(tag.is_yaml_core_schema() && tag.suffix == own)) {
            self.problems.push(unknown_tag(tag, span));
        }
        if anchor > 0 {
            self.anchors.insert(anchor, None);
        }
        Ok(())
    }

    /// Whether the next node is a key.
    fn wants_key(&self) -> bool {
        matches!(self.frames.last(), Some(Frame::Map(map)) if map.key.is_none())
    }

    fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<&Tag>,
        span: Span,
    ) -> Result<(), Problem> {
        self.count(1, span)?;
        self.deep(1, span)?;
        // The place of a tagged or anchored scalar begins at its tag.
        if self.wants_key() {
            if anchor > 0 {
                let value = serde_json::Value::String(text.to_owned());
                let node = Node::leaf(span, Data::Scalar(Scalar { value, secret: false }));
                self.anchors.insert(anchor, Some(node));
            }
            self.key(text, style, tag, span);
            return Ok(());
        }
        let data = self.value(text, style, tag, span);
        self.push(Node::leaf(span, data), anchor);
        Ok(())
    }

    fn key(&mut self, text: &str, style: ScalarStyle, tag: Option<&Tag>, span: Span) {
        let plain = style == ScalarStyle::Plain;
        let mut key = Key { text: text.to_owned(), span, merge: plain && text == "<<", bad: false };
        if let Some(tag) = tag {
            self.problems.push(unknown_tag(tag, span));
            key.bad = true;
        } else if plain && text.is_empty() {
            self.problems.push(Problem::at(span, "a key is missing").help("write `key: value`"));
            key.bad = true;
        }
        let Some(Frame::Map(map)) = self.frames.last_mut() else { return };
        if !key.merge && !key.bad {
            if let Some(first) = map.keys.get(text) {
                self.problems.push(
                    Problem::at(span, format!("the key `{text}` stands here a second time"))
                        .also(*first, "here first")
                        .help("keep one of the two"),
                );
                key.bad = true;
            } else {
                map.keys.insert(text.to_owned(), span);
            }
        }
        map.key = Some(key);
    }

    /// A scalar with its variables put in.
    fn value(&mut self, text: &str, style: ScalarStyle, tag: Option<&Tag>, span: Span) -> Data {
        let expanded = match expand(text, self.variables, &mut self.noted) {
            Ok(expanded) => expanded,
            Err(faults) => {
                for fault in faults {
                    let problem = self.variable(text, &fault, span);
                    self.problems.push(problem);
                }
                return Data::Unknown;
            }
        };
        let Expanded { text, secret, .. } = expanded;
        let string = |text: String| serde_json::Value::String(text);
        let value = match tag {
            None if style == ScalarStyle::Plain => resolve(&text),
            None => string(text),
            Some(tag)
                if tag.is_yaml_core_schema() || (tag.handle.is_empty() && tag.suffix == "!") =>
            {
                let resolved = resolve(&text);
                let fits = match tag.suffix.as_str() {
                    "str" | "!" => true,
                    "int" => resolved.is_i64() || resolved.is_u64(),
                    "float" => resolved.is_number(),
                    "bool" => resolved.is_boolean(),
                    "null" => resolved.is_null(),
                    _ => false,
                };
                if !fits {
                    let message = format!("the value does not fit its tag `!!{}`", tag.suffix);
                    self.problems.push(Problem::at(span, message).help("leave the tag out"));
                    return Data::Unknown;
                }
                if matches!(tag.suffix.as_str(), "str" | "!") { string(text) } else { resolved }
            }
            Some(tag) => {
                self.problems.push(unknown_tag(tag, span));
                return Data::Unknown;
            }
        };
        Data::Scalar(Scalar { value, secret })
    }

    /// What is wrong with a variable, at its place in the source.
    fn variable(&self, text: &str, fault: &Fault, span: Span) -> Problem {
        let names = self.variables.names();
        variable(span.of(self.text), text, fault, span, |name| self.suggest.nearest(name, names))
    }

    fn close(&mut self, span: Span) -> Result<(), Problem> {
        match self.frames.pop() {
            None => {}
            Some(Frame::List { start, anchor, items }) => {
                self.push(Node::list(Span::new(start, span.end.max(start)), items), anchor);
            }
            Some(Frame::Map(mut map)) => {
                self.merge(&mut map)?;
                let node = Node::map(Span::new(map.start, span.end.max(map.start)), map.entries);
                self.push(node, map.anchor);
            }
        }
        Ok(())
    }

    /// Puts what stands under `<<` behind the map's own entries. Its own keys win, then those of
    /// the earlier map.
    fn merge(&mut self, map: &mut MapFrame) -> Result<(), Problem> {
        for (span, node) in std::mem::take(&mut map.merges) {
            let single = std::slice::from_ref(&node);
            let from = if node.items().is_empty() { single } else { node.items() };
            for node in from {
                let Data::Map(entries) = &node.data else {
                    self.problems.push(
                        Problem::at(span, "`<<` takes a mapping, or a list of them")
                            .help("write `<<: *name` with an anchor `&name` on a mapping above"),
                    );
                    break;
                };
                for entry in entries.iter().filter(|entry| !map.keys.contains_key(&entry.key)) {
                    self.count(entry.value.size, span)?;
                    map.entries.push(entry.clone());
                }
                map.keys.extend(entries.iter().map(|entry| (entry.key.clone(), entry.key_span)));
            }
        }
        Ok(())
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Result<(), Problem> {
        let node = match self.anchors.get(&anchor) {
            Some(Some(node)) => node.clone(),
            _ => return Err(Problem::at(span, "the alias stands inside of what it stands for")),
        };
        self.deep(node.height, span)?;
        self.count(node.size, span)?;
        if self.wants_key() {
            match node.text().map(str::to_owned) {
                Some(text) => self.key(&text, ScalarStyle::DoubleQuoted, None, span),
                None => {
                    return Err(
                        Problem::at(span, "a key must be a text").help("write `key: value`")
                    );
                }
            }
            return Ok(());
        }
        self.push(node, 0);
        Ok(())
    }

    /// Puts a finished node where it belongs.
    fn push(&mut self, node: Node, anchor: usize) {
        if anchor > 0 {
            self.anchors.insert(anchor, Some(node.clone()));
        }
        match self.frames.last_mut() {
            None => self.root = Some(node),
            Some(Frame::List { items, .. }) => items.push(node),
            Some(Frame::Map(map)) => match map.key.take() {
                Some(key) if key.bad => {}
                Some(key) if key.merge => map.merges.push((key.span, node)),
                Some(key) => {
                    map.entries.push(Entry { key: key.text, key_span: key.span, value: node });
                }
                None => {
                    let message = "a key must be a text, not a list or a mapping";
                    self.problems
                        .push(Problem::at(node.mark(), message).help("write `key: value`"));
                    let key =
                        Key { text: String::new(), span: node.mark(), merge: false, bad: true };
                    map.key = Some(key);
                }
            },
        }
    }
}

fn unknown_tag(tag: &Tag, span: Span) -> Problem {
    let shown =
        if tag.is_yaml_core_schema() { format!("!!{}", tag.suffix) } else { tag.to_string() };
    Problem::at(span, format!("the tag `{shown}` means nothing here")).help("leave the tag out")
}
