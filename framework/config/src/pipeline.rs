//! A pipeline built in code instead of YAML.

use gristmill_stage::Registry;
use gristmill_stage::option::ByteSize;
use serde_json::Value;

use crate::plan::{Distribution, Mode, Plan};
use crate::problem::Problems;
use crate::words::{
    ModeWord, Names, PipelineWords, PoolWords, RejectedFile, RejectedWords, StageWords,
};
use crate::{Source, Variables, load};

/// A pipeline built in code. It becomes a [`Plan`] through the YAML that it stands for, so it is
/// checked in the very same way. Texts in it mean what they say: `${VAR}` is no variable here.
///
/// ```
/// use gristmill_config::{Pipeline, StageDef};
/// use serde_json::json;
///
/// let pipeline = Pipeline::new("numbers")
///     .stage(StageDef::new("requests", "generate").with(json!({ "count": 10 })))
///     .stage(StageDef::new("out", "discard"));
/// assert!(pipeline.to_yaml().starts_with("name: numbers\n"));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Pipeline {
    words: PipelineWords,
}

/// A stage of a [`Pipeline`].
#[derive(Debug, Clone, PartialEq)]
pub struct StageDef {
    words: StageWords,
}

impl Pipeline {
    /// A pipeline without stages.
    pub fn new(name: impl Into<String>) -> Self {
        Self { words: PipelineWords { name: Some(name.into()), ..PipelineWords::default() } }
    }

    /// Adds a stage.
    #[must_use]
    pub fn stage(mut self, stage: StageDef) -> Self {
        self.words.stages.push(stage.words);
        self
    }

    /// Adds a pool, or says how many threads the pool `default` has.
    #[must_use]
    pub fn pool(mut self, name: impl Into<String>, threads: usize) -> Self {
        self.words.pools.entry(name.into()).or_default().threads = Some(threads);
        self
    }

    /// Pins the threads of a pool to processors.
    #[must_use]
    pub fn pin(mut self, name: impl Into<String>, cpus: impl IntoIterator<Item = usize>) -> Self {
        let pool: &mut PoolWords = self.words.pools.entry(name.into()).or_default();
        pool.cpus = cpus.into_iter().collect();
        self
    }

    /// What every channel may hold, in rows and bytes.
    #[must_use]
    pub fn channel(mut self, rows: usize, bytes: u64) -> Self {
        self.words.channel.rows = Some(rows);
        self.words.channel.bytes = Some(ByteSize(bytes));
        self
    }

    /// How large batches should be, in rows and bytes.
    #[must_use]
    pub fn batch(mut self, rows: usize, bytes: u64) -> Self {
        self.words.batch.rows = Some(rows);
        self.words.batch.bytes = Some(ByteSize(bytes));
        self
    }

    /// Where rejected rows go, and how many there may be.
    #[must_use]
    pub fn rejected(mut self, path: impl Into<String>, limit: Option<u64>) -> Self {
        let path = Some(path.into());
        let whole_rows = self.words.rejected.as_ref().is_some_and(RejectedWords::whole_rows);
        let file = RejectedFile { path, limit, whole_rows };
        self.words.rejected = Some(RejectedWords::Limited(file));
        self
    }

    /// Reads every column of the sources, also those that no stage uses, so that rejected rows have
    /// all of them.
    #[must_use]
    pub fn whole_rows(mut self) -> Self {
        let (path, limit) = match self.words.rejected.take() {
            None => (None, None),
            Some(RejectedWords::Path(path)) => (Some(path), None),
            Some(RejectedWords::Limited(file)) => (file.path, file.limit),
        };
        let file = RejectedFile { path, limit, whole_rows: true };
        self.words.rejected = Some(RejectedWords::Limited(file));
        self
    }

    /// The YAML that it stands for.
    pub fn to_yaml(&self) -> String {
        let mut value = serde_json::to_value(&self.words).unwrap_or_default();
        escape(&mut value);
        // A tree of JSON always has a form in YAML.
        serde_yaml::to_string(&value).unwrap_or_default()
    }

    /// Checks it.
    ///
    /// # Errors
    /// All that is wrong, shown at the lines of [`to_yaml`](Self::to_yaml).
    pub fn plan(&self, registry: &Registry) -> Result<Plan, Problems> {
        let name = self.words.name.as_deref().unwrap_or("pipeline");
        let source = Source::new(format!("<{name}>"), self.to_yaml());
        load(&source, &Variables::new(), registry)
    }
}

impl StageDef {
    /// A stage of a kind.
    pub fn new(name: impl Into<String>, kind: impl Into<String>) -> Self {
        let (name, kind) = (Some(name.into()), kind.into());
        Self { words: StageWords { name, kind, ..StageWords::default() } }
    }

    /// The options of its kind.
    #[must_use]
    pub fn with(mut self, options: Value) -> Self {
        self.words.with = options;
        self
    }

    /// The stages it takes from, in place of the one before it.
    #[must_use]
    pub fn from<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.words.from = Some(Names::Several(names.into_iter().map(Into::into).collect()));
        self
    }

    /// How its workers run.
    #[must_use]
    pub fn mode(mut self, mode: Mode) -> Self {
        self.words.run.mode = Some(match mode {
            Mode::Threaded => ModeWord::Threaded,
            Mode::Pooled => ModeWord::Pooled,
            Mode::Process => ModeWord::Process,
        });
        self
    }

    /// How many workers it has.
    #[must_use]
    pub fn workers(mut self, workers: usize) -> Self {
        self.words.run.workers = Some(workers);
        self
    }

    /// The pool its workers run on.
    #[must_use]
    pub fn pool(mut self, name: impl Into<String>) -> Self {
        self.words.run.pool = Some(name.into());
        self
    }

    /// Makes several workers keep the order of the input.
    #[must_use]
    pub fn ordered(mut self) -> Self {
        self.words.run.ordered = true;
        self
    }

    /// What the channels in front of it may hold, in rows and bytes.
    #[must_use]
    pub fn channel(mut self, rows: usize, bytes: u64) -> Self {
        self.words.channel.rows = Some(rows);
        self.words.channel.bytes = Some(ByteSize(bytes));
        self
    }

    /// How rows are dealt out to its workers.
    #[must_use]
    pub fn distribute(mut self, distribution: &Distribution) -> Self {
        self.words.channel.distribute = Some(match distribution {
            Distribution::Shared => "shared".to_owned(),
            Distribution::Broadcast => "broadcast".to_owned(),
            Distribution::Hash(columns) => format!("hash({})", columns.join(", ")),
        });
        self
    }
}

/// Doubles dollar signs where they would begin a variable.
fn escape(value: &mut Value) {
    match value {
        Value::String(text) if text.contains("${") || text.contains("$$") => {
            *text = text.replace('$', "$$");
        }
        Value::Array(items) => items.iter_mut().for_each(escape),
        Value::Object(map) => map.values_mut().for_each(escape),
        _ => {}
    }
}
