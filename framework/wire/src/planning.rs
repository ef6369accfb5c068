//! What is said before a run: which kinds a program has, and what comes of their options.

use std::path::PathBuf;

use arrow_schema::SchemaRef;
use gristmill_stage::reading::Declared;
use gristmill_stage::{Lineage, Partitioning, Planned, Role, Steps};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::message::role;

/// The kinds that a program has.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Description {
    /// Each of them.
    pub kinds: Vec<KindDescription>,
}

/// What a program says of one of its kinds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KindDescription {
    /// The word after `type:`.
    pub name: String,
    /// What it does, in one line.
    pub summary: String,
    /// `source`, `transform` or `sink`.
    #[serde(with = "role")]
    pub role: Role,
    /// The columns it takes, in words.
    #[serde(default)]
    pub input: String,
    /// The columns it emits, in words.
    #[serde(default)]
    pub output: String,
    /// A stage of the kind in YAML, without the dash.
    #[serde(default)]
    pub example: String,
    /// JSON Schema of the options under `with`.
    #[serde(default = "no_options")]
    pub options: Value,
    /// What its stages alone can know of their work, and tell in their heartbeats.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub readings: Vec<Declared>,
}

fn no_options() -> Value {
    json!({ "type": "object", "properties": {}, "additionalProperties": false })
}

/// A stage that could be run: what would come out of it?
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Question {
    /// The kind, as after `type:`.
    pub kind: String,
    /// What stands under `with`, variables put in.
    pub options: Value,
}

/// What a kind found out about a stage, besides the schema, which comes before it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Answer {
    /// The names of its outputs, if it has several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<String>,
    /// Rows that are equal in these input columns must meet in one worker.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keyed: Vec<String>,
    /// There can be only one worker; the reason, as the end of a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub single: Option<String>,
    /// The files that are read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reads: Vec<PathBuf>,
    /// The files that are written.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub writes: Vec<PathBuf>,
    /// The most bytes that one worker holds.
    pub holds: u64,
    /// Whether its calls may wait for something outside.
    pub blocks: bool,
    /// Whether its rows come only once.
    pub once: bool,
    /// The input columns that are needed; all, if it is left out. Others may then be missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub needs: Option<Vec<String>>,
    /// The input columns that go out as they are, under the same name, if they come in.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub passes: Vec<String>,
    /// How two stages of the kind do what it does, where only one worker can do it: what the options of
    /// each have besides those of the whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<Steps>,
    /// Lines for whoever reads the plan.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl Answer {
    /// As a kind of this program would say it. What it says of single columns has no words here.
    pub fn of(planned: &Planned) -> Self {
        let (keyed, single) = match &planned.partitioning {
            Partitioning::Any => (Vec::new(), None),
            Partitioning::Keyed(columns) => (columns.clone(), None),
            Partitioning::Single(because) => (Vec::new(), Some(because.clone())),
        };
        Self {
            ports: planned.ports.clone(),
            keyed,
            single,
            reads: planned.reads.clone(),
            writes: planned.writes.clone(),
            holds: planned.holds,
            blocks: planned.blocks,
            once: planned.once,
            needs: None,
            passes: Vec::new(),
            steps: planned.steps.clone(),
            notes: planned.notes.clone(),
        }
    }

    /// Together with the schema of what comes out.
    pub fn planned(self, output: SchemaRef) -> Planned {
        let partitioning = match self.single {
            Some(because) => Partitioning::Single(because),
            None if self.keyed.is_empty() => Partitioning::Any,
            None => Partitioning::Keyed(self.keyed),
        };
        let passes = self.passes;
        let lineage = self
            .needs
            .map(|needs| passes.into_iter().fold(Lineage::new().needs(needs), Lineage::passes));
        Planned {
            ports: self.ports,
            lineage,
            partitioning,
            reads: self.reads,
            writes: self.writes,
            holds: self.holds,
            blocks: self.blocks,
            once: self.once,
            steps: self.steps,
            notes: self.notes,
            ..Planned::emits(output)
        }
    }
}
