//! What a kind of stage says of itself: name, options, and the schema that comes out for the schema
//! that goes in.

use std::path::PathBuf;
use std::sync::Arc;

use arrow_schema::{Schema, SchemaRef};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{BuildContext, Comparison, Lineage, Reading, Result, Stage};

/// Where in a pipeline a kind of stage can stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Starts data; has no input.
    Source,
    /// Has input and output.
    Transform,
    /// Has input and no output.
    Sink,
}

impl Role {
    /// The role as one word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Transform => "transform",
            Self::Sink => "sink",
        }
    }
}

/// A kind of stage, as its author writes it. [`Registry::add`](crate::Registry::add) makes it known
/// under [`KIND`](StageSpec::KIND).
pub trait StageSpec: Send + Sync + 'static {
    /// The options under `with`. Their JSON Schema, with the doc comments as descriptions, is what
    /// `check`, `stages` and editors go by. Put `#[serde(deny_unknown_fields)]` on them.
    type Options: DeserializeOwned + JsonSchema;

    /// The word after `type:`.
    const KIND: &'static str;
    /// What it does, in one line.
    const SUMMARY: &'static str;
    /// Where it can stand.
    const ROLE: Role;
    /// A stage of this kind in YAML, as it would stand in a list of stages (without the dash).
    const EXAMPLE: &'static str;
    /// The columns it takes, in words.
    const INPUT: &'static str;
    /// The columns it emits, in words.
    const OUTPUT: &'static str;
    /// What its stages alone can know of their work; each becomes a metric, in every mode.
    const READINGS: &'static [Reading] = &[];

    /// Checks options against the input and says what comes out. `input` is `None` for a source.
    /// Reads at the most what is needed to know the schema, and changes nothing.
    ///
    /// # Errors
    /// [`Error::option`](crate::Error::option) or [`Error::column`](crate::Error::column), with the
    /// path of the option, so that the message can point at the line.
    fn plan(options: &Self::Options, input: Option<&SchemaRef>) -> Result<Planned>;

    /// Makes one worker. [`plan`](StageSpec::plan) has accepted the options before.
    fn build(options: Self::Options, context: BuildContext) -> Result<Stage>;
}

/// What [`StageSpec::plan`] finds out.
#[derive(Debug, Clone)]
pub struct Planned {
    /// The schema of what is emitted; no columns for a sink.
    pub output: SchemaRef,
    /// The names of its outputs, if it has several: `from: stage.name` takes from one of them. All
    /// have the same columns.
    pub ports: Vec<String>,
    /// How rows must be dealt out when there are several workers.
    pub partitioning: Partitioning,
    /// The files that are read.
    pub reads: Vec<PathBuf>,
    /// The files that are written; rejected rows are put beside the first. What stands in them must
    /// stay whole until all input has come in.
    pub writes: Vec<PathBuf>,
    /// The most bytes that one worker holds besides the batch in hand, if there is such a bound.
    pub holds: u64,
    /// Whether its calls may wait for something outside, such as whoever reads from a pipe. It then
    /// gets threads that nobody shares, in every mode. A source that can be woken does not need it.
    pub blocks: bool,
    /// Whether its rows come only once: what it reads is gone afterwards, as with stdin.
    pub once: bool,
    /// Which input columns are needed for which of the output; none: all for all.
    pub lineage: Option<Lineage>,
    /// Comparisons of input columns: a row for which one of them is not true makes no difference to
    /// what comes out and what is rejected.
    pub passes_only: Vec<Comparison>,
    /// Whether it makes use of such comparisons of its own columns, so that rows which make no
    /// difference further on need not be read ([`BuildContext::hints`]).
    pub takes_hints: bool,
    /// How two stages of its kind do what it does, where only one worker can do it.
    pub steps: Option<Steps>,
    /// Lines for whoever reads the plan.
    pub notes: Vec<String>,
}

/// Two stages of one kind that together do what one does: any worker of the first may take any row,
/// and the second puts together what they have made of theirs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Steps {
    /// What the options of the first have besides those of the whole.
    pub first: Map<String, Value>,
    /// What the options of the second have besides those of the whole.
    pub second: Map<String, Value>,
}

impl Steps {
    /// The options of one of the two.
    pub fn options(whole: &Value, more: &Map<String, Value>) -> Value {
        let mut options = whole.as_object().cloned().unwrap_or_default();
        options.extend(more.clone());
        Value::Object(options)
    }
}

/// How rows must be dealt out to several workers of a stage so that its result is right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Partitioning {
    /// Any worker may take any row.
    Any,
    /// Rows that are equal in these input columns must meet in one worker.
    Keyed(Vec<String>),
    /// Only one worker can do it; the reason in words, as the end of "it can have one worker only: …".
    Single(String),
}

impl Planned {
    /// A source or transform that emits batches of `output`.
    pub fn emits(output: impl Into<SchemaRef>) -> Self {
        Self {
            output: output.into(),
            ports: Vec::new(),
            partitioning: Partitioning::Any,
            reads: Vec::new(),
            writes: Vec::new(),
            holds: 0,
            blocks: false,
            once: false,
            lineage: None,
            passes_only: Vec::new(),
            takes_hints: false,
            steps: None,
            notes: Vec::new(),
        }
    }

    /// A sink.
    pub fn sink() -> Self {
        Self::emits(Arc::new(Schema::empty()))
    }

    /// It has outputs of these names, in this order, and puts rows out by
    /// [`Output::emit_to`](crate::Output::emit_to). Each must be taken by some stage.
    #[must_use]
    pub fn ports<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.ports = names.into_iter().map(Into::into).collect();
        self
    }

    /// Rows equal in these columns must meet in one worker.
    #[must_use]
    pub fn keyed<S: Into<String>>(mut self, columns: impl IntoIterator<Item = S>) -> Self {
        self.partitioning = Partitioning::Keyed(columns.into_iter().map(Into::into).collect());
        self
    }

    /// There can be only one worker, because.
    #[must_use]
    pub fn single(mut self, because: impl Into<String>) -> Self {
        self.partitioning = Partitioning::Single(because.into());
        self
    }

    /// There can be only one worker, but two [steps](Steps) can do its work with several. The kind is
    /// planned with the options of each: the first must have [`Partitioning::Any`].
    #[must_use]
    pub fn in_steps(mut self, steps: Steps) -> Self {
        self.steps = Some(steps);
        self
    }

    /// This file will be read. Together with what is [written](Self::writes), `check` sees whether
    /// stages get in each other's way.
    #[must_use]
    pub fn reads(mut self, path: impl Into<PathBuf>) -> Self {
        self.reads.push(path.into());
        self
    }

    /// This file will be written.
    #[must_use]
    pub fn writes(mut self, path: impl Into<PathBuf>) -> Self {
        self.writes.push(path.into());
        self
    }

    /// One worker holds this many bytes at the most.
    #[must_use]
    pub fn holds(mut self, bytes: u64) -> Self {
        self.holds = bytes;
        self
    }

    /// Its calls may wait for something outside.
    #[must_use]
    pub fn blocks(mut self) -> Self {
        self.blocks = true;
        self
    }

    /// Its rows come only once.
    #[must_use]
    pub fn once(mut self) -> Self {
        self.once = true;
        self
    }

    /// It can do with fewer columns of its input where fewer of its own are wanted.
    #[must_use]
    pub fn lineage(mut self, lineage: Lineage) -> Self {
        self.lineage = Some(lineage);
        self
    }

    /// Of its input only rows for which all of these are true make a difference.
    #[must_use]
    pub fn passes_only(mut self, comparisons: impl IntoIterator<Item = Comparison>) -> Self {
        self.passes_only.extend(comparisons);
        self
    }

    /// It makes use of [hints](BuildContext::hints).
    #[must_use]
    pub fn takes_hints(mut self) -> Self {
        self.takes_hints = true;
        self
    }

    /// A line for whoever reads the plan.
    #[must_use]
    pub fn note(mut self, line: impl Into<String>) -> Self {
        self.notes.push(line.into());
        self
    }
}
