//! The framework's words of the YAML as types. The JSON Schema for editors comes from them, the
//! checks go by that schema, and pipelines built in code are written through them.

use std::collections::BTreeMap;
use std::path::Path;

use gristmill_stage::option::{ByteSize, Time};
use gristmill_stage::schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

/// A Gristmill pipeline: stages joined by bounded channels.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(crate = "gristmill_stage::schemars", title = "Gristmill pipeline")]
pub(crate) struct PipelineWords {
    /// Name of the pipeline, a label of its metrics. Up to 100 letters, digits, `_`, `.` and `-`.
    /// Default: the name of the file without its ending.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        regex(pattern = r"^[a-zA-Z0-9_.-]{1,100}$"),
        title = "text of up to 100 letters from a to z, digits, `_`, `.` and `-`"
    )]
    pub(crate) name: Option<String>,
    /// Threads that pooled stages share, by name. The pool `default` is always there.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) pools: BTreeMap<String, PoolWords>,
    /// What each channel between two stages may hold. Default: 65536 rows and 64 MiB.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) channel: BoundWords,
    /// How large the batches should be that stages emit. Default: 8192 rows and 8 MiB; never more
    /// than the channel holds.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) batch: BoundWords,
    /// Where rejected rows go: a path, or a path with a limit. Default:
    /// `<name of the pipeline>.rejected.jsonl` beside the first file that a stage writes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rejected: Option<RejectedWords>,
    /// Where kinds of stages come from that are not built in: libraries and programs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) plugins: Vec<PluginWords>,
    /// The stages. Each takes its input from the one before it, unless it says `from`.
    #[schemars(length(min = 1))]
    pub(crate) stages: Vec<StageWords>,
}

/// Threads that pooled stages share.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(crate = "gristmill_stage::schemars", rename = "Pool")]
pub(crate) struct PoolWords {
    /// How many threads. Default: one for each processor that the pool may run on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1024))]
    pub(crate) threads: Option<usize>,
    /// The processors that the threads may run on, counted from 0. Default: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(inner(range(min = 0, max = 4095)))]
    pub(crate) cpus: Vec<usize>,
    /// Niceness of the threads: -20 is served first, 19 last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = -20, max = 19))]
    pub(crate) nice: Option<i32>,
}

/// A number of rows and of bytes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(crate = "gristmill_stage::schemars", rename = "Bound")]
pub(crate) struct BoundWords {
    /// The most rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub(crate) rows: Option<usize>,
    /// The most bytes: `64MiB`, `10MB`, `4096`.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "exact")]
    pub(crate) bytes: Option<ByteSize>,
}

/// Where rejected rows go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(crate = "gristmill_stage::schemars", rename = "Rejected")]
pub(crate) enum RejectedWords {
    /// The path of a JSON lines file.
    Path(String),
    /// A path with a limit.
    Limited(RejectedFile),
}

impl RejectedWords {
    /// The path, if one is given.
    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Self::Path(path) => Some(Path::new(path)),
            Self::Limited(file) => file.path.as_deref().map(Path::new),
        }
    }

    /// Whether rows must be whole in case that they are rejected.
    pub(crate) fn whole_rows(&self) -> bool {
        matches!(self, Self::Limited(RejectedFile { whole_rows: true, .. }))
    }
}

/// A file for rejected rows, with a limit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(crate = "gristmill_stage::schemars")]
pub(crate) struct RejectedFile {
    /// The path of a JSON lines file. Default: as without `rejected`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) path: Option<String>,
    /// The run fails when more rows than this are rejected. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) limit: Option<u64>,
    /// Whether every column of a source is read, also those that no stage uses, so that rejected rows
    /// have all of them. Default: no.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) whole_rows: bool,
}

/// Where kinds of stages come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(crate = "gristmill_stage::schemars", rename = "Plugin")]
pub(crate) enum PluginWords {
    /// The path of a library, as under `path`.
    Path(String),
    /// A library.
    Library(LibraryWords),
    /// A program.
    Command(CommandWords),
}

/// A library that brings kinds of stages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(crate = "gristmill_stage::schemars", rename = "PluginLibrary")]
pub(crate) struct LibraryWords {
    /// Its path, seen from the folder of the pipeline (`./libacme.so`). A name without a slash (`acme`,
    /// `libacme.so`) is looked for in the folders of `--plugins` and of GRISTMILL_PLUGIN_PATH.
    #[schemars(length(min = 1))]
    pub(crate) path: String,
    /// The SHA-256 of the file; any other file is refused. `gristmill plugin inspect` prints it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[0-9a-fA-F]{64}$"), title = "text of 64 hexadecimal digits")]
    pub(crate) sha256: Option<String>,
    /// Goes before the names of its kinds: `acme` makes `acme.clean` of `clean`. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        regex(pattern = r"^[a-zA-Z_][a-zA-Z0-9_-]{0,99}$"),
        title = "text of letters from a to z, digits, `_` and `-` that begins with a letter"
    )]
    pub(crate) namespace: Option<String>,
}

/// A program that brings kinds of stages, which run as child processes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(crate = "gristmill_stage::schemars", rename = "PluginCommand")]
pub(crate) struct CommandWords {
    /// The program and its arguments: `[python3, ./my_stage.py]`. A program with a slash, and arguments
    /// that begin with `./` or `../`, are paths seen from the folder of the pipeline; a program without one is
    /// looked for on PATH.
    #[schemars(length(min = 1))]
    pub(crate) command: Vec<String>,
    /// Goes before the names of its kinds: `acme` makes `acme.clean` of `clean`. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        regex(pattern = r"^[a-zA-Z_][a-zA-Z0-9_-]{0,99}$"),
        title = "text of letters from a to z, digits, `_` and `-` that begins with a letter"
    )]
    pub(crate) namespace: Option<String>,
}

/// One stage.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(crate = "gristmill_stage::schemars", rename = "Stage")]
pub(crate) struct StageWords {
    /// Name of the stage, unique in the pipeline. Default: its type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    /// The kind of the stage.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// The stage or stages that it takes its input from; `stage.output` for one of several outputs
    /// of a stage. Default: the stage before it. A source takes none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) from: Option<Names>,
    /// How its workers run.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) run: RunWords,
    /// The channel in front of it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) channel: ChannelWords,
    /// The options of its type.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub(crate) with: Value,
}

/// A name, or a list of names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(crate = "gristmill_stage::schemars")]
pub(crate) enum Names {
    /// One.
    One(String),
    /// Several.
    Several(#[schemars(length(min = 1))] Vec<String>),
}

/// How the workers of a stage run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(crate = "gristmill_stage::schemars", rename = "Run")]
pub(crate) struct RunWords {
    /// Default: `pooled`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) mode: Option<ModeWord>,
    /// How many workers. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1024))]
    pub(crate) workers: Option<usize>,
    /// The pool that pooled workers run on. Default: `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pool: Option<String>,
    /// Whether the output of several workers keeps the order of the input. Default: no.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) ordered: bool,
    /// What each child process may use, with `mode: process`. Default: no limits of their own.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) limits: LimitWords,
    /// With `mode: process`: how long one call of the stage may take before its process counts as hung and is
    /// killed; `0s` for ever. Default: 60s, and for ever for stages that may wait for something outside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) timeout: Option<Time>,
    /// With `mode: process`: so many deaths of a child process in a row, without a batch done in between, end
    /// the run. Default: 50.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) restarts: Option<u32>,
    /// With `mode: process`: environment variables that the child processes get. They always get `PATH`, `HOME`, `LANG`,
    /// `TZ`, `TMPDIR`, those for proxies and certificates, and a few more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) env: Vec<String>,
}

impl RunWords {
    /// The words that go with `mode: process` alone, if they are there.
    pub(crate) fn of_process(&self) -> Vec<&'static str> {
        let words = [
            ("limits", self.limits != LimitWords::default()),
            ("timeout", self.timeout.is_some()),
            ("restarts", self.restarts.is_some()),
            ("env", !self.env.is_empty()),
        ];
        words.into_iter().filter(|(_, there)| *there).map(|(word, _)| word).collect()
    }
}

/// What a child process may use.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(crate = "gristmill_stage::schemars", rename = "Limits")]
pub(crate) struct LimitWords {
    /// Memory of its own: `512MiB`. A process that asks for more dies and is started again.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "exact")]
    pub(crate) memory: Option<ByteSize>,
    /// Processor time of one process, in whole seconds: `60s`. One that uses more dies and is started again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cpu: Option<Time>,
    /// Files and sockets that it has open at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 16))]
    pub(crate) open_files: Option<u64>,
}

/// What the workers of a stage are.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(crate = "gristmill_stage::schemars", rename = "Mode")]
pub(crate) enum ModeWord {
    /// A thread of the operating system for each.
    Threaded,
    /// Tasks on a pool of threads that stages share.
    Pooled,
    /// A child process for each: a crash takes nothing else with it.
    Process,
}

impl ModeWord {
    /// The mode of that name, if there is one.
    pub(crate) fn named(name: &str) -> Option<Self> {
        serde_json::from_value(Value::from(name)).ok()
    }
}

/// The channel in front of a stage.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(crate = "gristmill_stage::schemars", rename = "Channel")]
pub(crate) struct ChannelWords {
    /// The most rows. Default: as `channel` says for the whole pipeline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub(crate) rows: Option<usize>,
    /// The most bytes. Default: as `channel` says for the whole pipeline.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "exact")]
    pub(crate) bytes: Option<ByteSize>,
    /// How rows are dealt out to several workers: `shared` (whoever is free), `broadcast` (each
    /// gets all), `hash(column, …)` (rows equal in these columns go to the same). Default: `shared`,
    /// or what the type of the stage needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["shared", "broadcast", "hash(category)"]))]
    pub(crate) distribute: Option<String>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Writes a size as a plain number of bytes where its short form would round it.
fn exact<S: Serializer>(size: &Option<ByteSize>, serializer: S) -> Result<S::Ok, S::Error> {
    match size {
        Some(size) if size.to_string().parse() == Ok(*size) => size.serialize(serializer),
        Some(size) => serializer.serialize_u64(size.0),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Mode;

    #[test]
    fn every_mode_has_its_word() {
        let schema = gristmill_stage::schemars::schema_for!(ModeWord).to_value();
        let words = schema["oneOf"].as_array().unwrap();
        assert_eq!(words.len(), Mode::ALL.len(), "{schema}");
        assert!(Mode::ALL.iter().all(|mode| ModeWord::named(mode.name()).is_some()));
    }
}
