//! The framework's words of a document, read leniently: what is wrong in one stage does not hide
//! what is wrong in the next.

use std::num::NonZero;
use std::sync::Arc;

use gristmill_stage::option::ByteSize;
use gristmill_stage::schemars::schema_for;
use gristmill_stage::{BatchTarget, Kind, Registry};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::node::{Data, Entry, Node};
use crate::pattern::Patterns;
use crate::plan::{Bound, PoolPlan};
use crate::problem::Problem;
use crate::span::Span;
use crate::suggest::{Suggest, list};
use crate::walk::{Named, Walk};
use crate::words::{BoundWords, PipelineWords, PoolWords, RejectedWords, StageWords};

/// A document as far as it can be understood.
pub(crate) struct Document<'a> {
    pub(crate) name: Option<String>,
    /// The pools; none when something is wrong with them.
    pub(crate) pools: Option<Vec<PoolPlan>>,
    pub(crate) channel: Bound,
    pub(crate) batch: BatchTarget,
    pub(crate) rejected: Option<RejectedWords>,
    /// Where the file for rejected rows is said.
    pub(crate) rejected_at: Option<Span>,
    pub(crate) stages: Vec<Declared<'a>>,
}

/// A stage as it stands in the document.
pub(crate) struct Declared<'a> {
    pub(crate) node: &'a Node,
    /// Its name, or the type in its place.
    pub(crate) name: String,
    /// The kind, if the registry has it.
    pub(crate) kind: Option<&'a Arc<dyn Kind>>,
    /// What an error about the stage points at.
    pub(crate) mark: Span,
    /// All but the options; none when something is wrong with them.
    pub(crate) words: Option<StageWords>,
}

/// Reads what a document says and notes what is wrong with its words.
pub(crate) struct Reader<'a, 'p> {
    registry: &'a Registry,
    /// Whether there are kinds that the registry should have and has not.
    lacking: bool,
    suggest: &'p Suggest,
    patterns: &'p Patterns,
    problems: &'p mut Vec<Problem>,
}

impl<'a, 'p> Reader<'a, 'p> {
    /// A reader that knows the kinds of `registry`.
    pub(crate) fn new(
        registry: &'a Registry,
        suggest: &'p Suggest,
        patterns: &'p Patterns,
        problems: &'p mut Vec<Problem>,
    ) -> Self {
        Self { registry, lacking: false, suggest, patterns, problems }
    }

    /// Lets kinds pass that the registry does not have.
    pub(crate) fn lacking(self, lacking: bool) -> Self {
        Self { lacking, ..self }
    }

    /// Reads the whole document.
    pub(crate) fn read(mut self, root: &'a Node) -> Document<'a> {
        let mut schema = schema_for!(PipelineWords).to_value();
        if let Some(items) = schema.pointer_mut("/properties/stages/items") {
            *items = Value::Bool(true);
        }
        let apart = ("stages", Some(json!([])));
        let (words, bad) = self.words::<PipelineWords>(root, &schema, "the pipeline", apart);
        let words = words.unwrap_or_default();
        self.no_secret(root, "a pipeline", "in metrics and in the name of a file");
        let default = Bound { rows: 65536, bytes: 64 << 20 };
        let channel = self.bound(&words.channel, default, root.get("channel"));
        let batch =
            Bound { rows: BatchTarget::default().rows, bytes: BatchTarget::default().bytes };
        let batch = self.bound(&words.batch, batch, root.get("batch"));
        let schema = stage_schema();
        let stages = root.get("stages").map(Node::items).unwrap_or_default();
        Document {
            pools: (!bad.contains(&"pools")).then(|| pools(&words.pools)),
            channel,
            batch: BatchTarget {
                rows: batch.rows.min(channel.rows),
                bytes: batch.bytes.min(channel.bytes),
            },
            rejected: words.rejected,
            rejected_at: root
                .entry("rejected")
                .map(|entry| entry.value.entry("path").map_or(entry.mark(), |path| path.mark())),
            stages: stages
                .iter()
                .enumerate()
                .map(|(i, node)| self.stage(node, i, &schema))
                .collect(),
            name: words.name,
        }
    }

    /// Checks the framework's words of a mapping and reads those that fit into their type. `apart`
    /// is a key that is read elsewhere, with what stands in its place. Also returns the keys
    /// that do not fit.
    fn words<'n, T: DeserializeOwned>(
        &mut self,
        node: &'n Node,
        schema: &Value,
        subject: &str,
        apart: (&str, Option<Value>),
    ) -> (Option<T>, Vec<&'n str>) {
        let named = Named { name: "", node, mark: node.mark() };
        let found = Walk::new(schema, self.suggest, self.patterns, subject, "word").check(named);
        let others = || node.entries().iter().filter(|entry| entry.key != apart.0);
        let wrong = |entry: &Entry| {
            let span =
                Span::new(entry.key_span.start, entry.value.span.end.max(entry.key_span.end));
            let inside = |at: Span| span.start <= at.start && at.start <= span.end;
            !entry.value.whole || found.iter().filter_map(|it| it.span).any(inside)
        };
        let mut bad: Vec<&str> =
            others().filter(|entry| wrong(entry)).map(|entry| entry.key.as_str()).collect();
        self.problems.extend(found);
        loop {
            let fit = others().filter(|entry| !bad.contains(&entry.key.as_str()));
            let pairs = fit.map(|entry| (entry.key.clone(), entry.value.to_json()));
            let mut object: Map<String, Value> = pairs.collect();
            // `channel:` with nothing after it means the same as leaving it out.
            object.retain(|_, value| !value.is_null());
            object.extend(apart.1.clone().map(|value| (apart.0.to_owned(), value)));
            let error = match serde_path_to_error::deserialize(Value::Object(object)) {
                Ok(words) => return (Some(words), bad),
                Err(error) => error,
            };
            let path = error.path().to_string();
            let culprit = others().find(|entry| {
                let rest = path.strip_prefix(entry.key.as_str());
                let ends = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']));
                ends && !bad.contains(&entry.key.as_str())
            });
            // Without one it is a word that is missing, which the walk has told.
            let Some(culprit) = culprit else { return (None, bad) };
            let place = node.place(&path, named.mark);
            self.problems.push(Problem::at(place, error.inner().to_string()));
            bad.push(&culprit.key);
        }
    }

    /// A name stands where nobody blanks it out.
    fn no_secret(&mut self, node: &Node, of: &str, place: &str) {
        let Some(entry) = node.entry("name") else { return };
        if matches!(&entry.value.data, Data::Scalar(scalar) if scalar.secret) {
            self.problems.push(
                Problem::at(entry.mark(), format!("the name of {of} cannot hold a secret"))
                    .help(format!("it stands {place}: use a variable that is not named like one")),
            );
        }
    }

    /// What a bound says, `default` where it is silent.
    fn bound(&mut self, words: &BoundWords, default: Bound, node: Option<&Node>) -> Bound {
        self.some_bytes(words.bytes, node);
        bound(words.rows, words.bytes, default)
    }

    fn some_bytes(&mut self, bytes: Option<ByteSize>, node: Option<&Node>) {
        let entry = node.and_then(|node| node.entry("bytes"));
        if let (Some(ByteSize(0)), Some(entry)) = (bytes, entry) {
            self.problems.push(
                Problem::at(entry.mark(), "`bytes` must be at least 1, not 0")
                    .help("write a size like 64MiB"),
            );
        }
    }

    fn stage(&mut self, node: &'a Node, index: usize, schema: &Value) -> Declared<'a> {
        let mark =
            ["name", "type"].iter().find_map(|key| node.entry(key)).map(|entry| entry.mark());
        let mark = mark.unwrap_or_else(|| node.mark());
        let subject = match node.get("name").and_then(Node::text) {
            Some(name) => format!("the stage `{name}`"),
            None => format!("stage {}", index + 1),
        };
        self.no_secret(node, "a stage", "in metrics and in the names of threads");
        let named = matches!(node.data, Data::Map(_));
        let (words, bad) = self.words::<StageWords>(node, schema, &subject, ("with", None));
        let words = words.filter(|_| bad.is_empty());
        if let Some(words) = &words {
            self.some_bytes(words.channel.bytes, node.get("channel"));
        }
        let kind_word = node.get("type").and_then(Node::text).filter(|_| named);
        let kind = kind_word.and_then(|word| self.registry.get(word));
        if let (Some(word), None, false) = (kind_word, kind, self.lacking) {
            self.unknown_kind(word, node.entry("type").map_or(mark, |entry| entry.mark()));
        }
        let name = node.get("name").and_then(Node::text).or(kind_word).unwrap_or_default();
        if name.chars().any(char::is_control) || name.chars().count() > 100 {
            self.problems.push(
                Problem::at(mark, "the name of a stage has at most 100 characters, on one line")
                    .help("give it a short `name`"),
            );
        } else if name.is_empty() && node.get("name").is_some_and(|name| name.text().is_some()) {
            self.problems.push(Problem::at(mark, "the name of a stage cannot be empty"));
        }
        Declared { node, name: name.to_owned(), kind, mark, words }
    }

    fn unknown_kind(&mut self, word: &str, mark: Span) {
        let known = || self.registry.iter().map(|kind| kind.name());
        let problem = Problem::at(mark, format!("there is no type of stage `{word}`"));
        let problem = match self.suggest.nearest(word, known()) {
            Some(near) => problem.help(format!("did you mean `{near}`?")),
            None => problem,
        };
        self.problems.push(problem.help(format!("the types are {}", list(known()))));
    }
}

/// The schema of a stage's words; its options are checked by the schema of its kind.
fn stage_schema() -> Value {
    let mut schema = schema_for!(StageWords).to_value();
    if let Some(with) = schema.pointer_mut("/properties/with") {
        *with = json!({});
    }
    schema
}

/// What rows and bytes say, `default` where they are silent.
pub(crate) fn bound(rows: Option<usize>, bytes: Option<ByteSize>, default: Bound) -> Bound {
    let bytes = bytes.map(|size| usize::try_from(size.0).unwrap_or(usize::MAX));
    Bound { rows: rows.unwrap_or(default.rows), bytes: bytes.unwrap_or(default.bytes) }
}

/// The pools, `default` first, then by name.
fn pools(words: &std::collections::BTreeMap<String, PoolWords>) -> Vec<PoolPlan> {
    let all = std::thread::available_parallelism().map_or(1, NonZero::get);
    let pool = |name: &str, words: &PoolWords| {
        let cpus = words.cpus.clone();
        let own = if cpus.is_empty() { all } else { cpus.len() };
        let threads = words.threads.unwrap_or(own);
        PoolPlan { name: name.to_owned(), threads, cpus, nice: words.nice }
    };
    let default = words.get("default").cloned().unwrap_or_default();
    let others = words.iter().filter(|(name, _)| *name != "default");
    let others = others.map(|(name, words)| pool(name, words));
    std::iter::once(pool("default", &default)).chain(others).collect()
}
