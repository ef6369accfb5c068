//! What the frames mean.

use std::collections::BTreeMap;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use gristmill_stage::{Cause, Comparison, Error, ErrorKind, Role, Snapshot};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::beat::Heartbeat;
use crate::planning::{Answer, Description, Question};
use crate::trace::SpanContext;

/// The name in every hello.
pub const PROTOCOL: &str = "gristmill-worker";
/// Version of the protocol. Both sides must have the same.
pub const MAJOR: u32 = 1;
/// Grows with what was added. A side ignores what it does not know in JSON payloads.
pub const MINOR: u32 = 5;

/// Everything that one side can say to the other.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// Both, first of all.
    Hello(Hello),
    /// Host: what to build, with the snapshot to go on from.
    Open(Box<Open>, Snapshot),
    /// Host, before `Open`: the schema of what the stage takes or puts out.
    Schema(Side, SchemaRef),
    /// Host: rows to work on; numbers rise, and do not begin anew when a worker takes the place of
    /// another. Worker: rows that came out, with the place of the output that they leave by among
    /// those of the stage; 0 for most, which have one.
    Batch(u64, RecordBatch),
    /// Host: the trace of the next batch is recorded, and this is the span of the call that is given it.
    Trace(SpanContext),
    /// Both: the other side may send so many more bytes of rows.
    Credit(u64),
    /// Host: no more rows will come.
    End,
    /// Host: a source must stop.
    Stop,
    /// Host: asks for a commit; the worker repeats the number in it.
    Barrier {
        /// Number to be repeated.
        epoch: u64,
        /// Only when nothing that was taken in is still under way.
        drained: bool,
    },
    /// Host: the snapshot of that epoch is durable.
    Committed(u64),
    /// Host, in place of all that is about a stage: which kinds are there?
    Describe,
    /// Host, after `Describe`: what would come of such a stage? The schema of its input comes before.
    Plan(Box<Question>),
    /// Worker: its kinds.
    Described(Box<Description>),
    /// Worker: what comes of a stage; the schema of its output comes before.
    Planned(Box<Answer>),
    /// Worker: the stage is built.
    Opened,
    /// Worker: a call of the stage has returned.
    Called(Called),
    /// Worker: rows were rejected.
    Reject(Rejected),
    /// Worker: all that it has sent so far counts.
    Commit(Box<Commit>),
    /// Worker: it lives.
    Heartbeat(Heartbeat),
    /// Worker: a line for the log.
    Log(Log),
    /// Worker: the stage failed; nothing more will come.
    Error(Fault),
}

/// Which schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Of what the stage takes.
    Input,
    /// Of what it puts out.
    Output,
}

/// Who speaks, and how much it can take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Always [`PROTOCOL`].
    pub protocol: String,
    /// Version: must be equal.
    pub major: u32,
    /// Version: may differ.
    pub minor: u32,
    /// Name and version of the program, for people.
    pub software: String,
    /// What it can do beyond the least; unknown names are ignored.
    #[serde(default)]
    pub features: Vec<String>,
    /// What it can take.
    pub limits: Limits,
}

/// What a side can take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// The largest payload of a frame, in bytes.
    pub frame: u64,
    /// So many bytes of rows may be sent before it says [`Message::Credit`]; as long as half of it is
    /// left, a batch of any size may be sent.
    pub credit: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { frame: 1 << 30, credit: 32 << 20 }
    }
}

impl Hello {
    /// The hello of this program.
    pub fn new(limits: Limits) -> Self {
        Self {
            protocol: PROTOCOL.to_owned(),
            major: MAJOR,
            minor: MINOR,
            software: concat!("gristmill ", env!("CARGO_PKG_VERSION")).to_owned(),
            features: Vec::new(),
            limits,
        }
    }

    /// Whether a worker that says this can run a stage with so many named outputs.
    ///
    /// # Errors
    /// When it would put all rows out by the first.
    pub fn check_ports(&self, ports: usize) -> Result<(), crate::WireError> {
        if ports < 2 || self.minor >= 1 {
            return Ok(());
        }
        let Self { major, minor, software, .. } = self;
        Err(crate::WireError::new(format!(
            "{software} speaks {major}.{minor} and knows nothing of several outputs, which need 1.1"
        )))
    }

    /// Whether a worker that says this can be asked for its kinds.
    ///
    /// # Errors
    /// When it knows nothing of that.
    pub fn check_kinds(&self) -> Result<(), crate::WireError> {
        if self.minor >= 2 {
            return Ok(());
        }
        let Self { major, minor, software, .. } = self;
        Err(crate::WireError::new(format!(
            "{software} speaks {major}.{minor} and cannot say which kinds it has, which needs 1.2"
        )))
    }

    /// Whether a worker that says this knows what a trace is.
    pub fn knows_traces(&self) -> bool {
        self.minor >= 5
    }

    /// Whether both speak the same.
    ///
    /// # Errors
    /// A sentence that names both versions.
    pub fn check(&self) -> Result<(), crate::WireError> {
        let Self { protocol, major, minor, software, .. } = self;
        if protocol == PROTOCOL && *major == MAJOR {
            return Ok(());
        }
        Err(crate::WireError::new(format!(
            "{software} speaks {protocol} {major}.{minor}, this is {PROTOCOL} {MAJOR}.{MINOR}"
        )))
    }
}

/// What a worker is to build.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Open {
    /// Name of the stage in the pipeline.
    pub stage: String,
    /// The kind, as after `type:`.
    pub kind: String,
    /// What stood under `with`, variables put in.
    pub options: Value,
    /// `source`, `transform` or `sink`.
    #[serde(with = "role")]
    pub role: Role,
    /// Which worker of the stage it is, from 0.
    pub instance: usize,
    /// How many there are.
    pub instances: usize,
    /// Whether output must come in the order of the input.
    #[serde(default)]
    pub ordered: bool,
    /// How many outputs the stage has named; 0 when it names none, and so has one.
    #[serde(default, skip_serializing_if = "none")]
    pub ports: usize,
    /// How large emitted batches should be.
    pub batch: BatchSize,
    /// The clock of the run at this moment, in nanoseconds since its start.
    #[serde(default)]
    pub clock: u64,
    /// Addresses that exist only during this run, by scheme.
    #[serde(default)]
    pub origins: BTreeMap<String, String>,
    /// Comparisons of output columns without which a row makes no difference further on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<Comparison>,
    /// Where a kind is to be found that the worker's own program does not have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<Value>,
    /// Which lines are wanted as [`Message::Log`]: a level, and after commas others for parts of the
    /// program, `warn,hyper=off`. The worker's own choice when it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// Seconds between two heartbeats.
    pub heartbeat: f64,
    /// The snapshot whose parts came before; absent when there is nothing to restore.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored: Option<StateHead>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn none(number: &usize) -> bool {
    *number == 0
}

/// How large batches should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchSize {
    /// Rows, at the most.
    pub rows: usize,
    /// Bytes, about.
    pub bytes: usize,
}

/// What belongs to a state besides its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateHead {
    /// Version of the layout, of the stage's own choice.
    pub version: u32,
    /// How many parts came before.
    pub parts: usize,
}

/// A call of the stage has returned.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Called {
    /// The last batch that was taken in.
    pub batch: u64,
    /// How long the call took, in nanoseconds.
    pub nanos: u64,
    /// When it began, in nanoseconds on the clock of the run; said of calls in a trace alone.
    pub start: Option<u64>,
    /// Whether it was given a batch, or was the poll of a source.
    pub measured: bool,
    /// Whether rows that were taken in will still come out by themselves.
    pub holding: bool,
}

/// Rows that were rejected.
#[derive(Debug, Clone, PartialEq)]
pub struct Rejected {
    /// Why, in a sentence.
    pub reason: String,
    /// The class that the reason belongs to.
    pub cause: Cause,
    /// As they came in; of any schema.
    pub rows: RecordBatch,
}

/// All that the worker has sent before counts from now on; with the snapshot and the batches after
/// `through` another worker can go on.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Commit {
    /// The last batch that need not be sent again.
    pub through: u64,
    /// The number of the barrier that asked, or 0.
    pub epoch: u64,
    /// Whether the stage is at its end.
    pub finished: bool,
    /// All that was taken in and has not come out.
    pub snapshot: Snapshot,
}

/// The rest of a commit with a state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CommitHead {
    #[serde(default)]
    pub(crate) epoch: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) state: Option<StateHead>,
}

/// A line for the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Log {
    /// `error`, `warn`, `info` or `debug`.
    pub level: String,
    /// The line.
    pub message: String,
    /// The part of the program that it is from, if that is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<String>,
}

/// An error of the stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// The class of the error: [`ErrorKind::name`].
    pub kind: String,
    /// A sentence for people.
    pub message: String,
    /// The option that is to blame.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub option: Option<String>,
    /// The input column that is to blame.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// What would be right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

impl From<&Error> for Fault {
    fn from(error: &Error) -> Self {
        let text = |part: Option<&str>| part.map(str::to_owned);
        Self {
            kind: error.kind().name().to_owned(),
            message: error.message().to_owned(),
            option: text(error.option_path()),
            column: text(error.column_name()),
            help: text(error.help_text()),
        }
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        let kind = ErrorKind::ALL.into_iter().find(|kind| kind.name() == fault.kind);
        let kind = kind.unwrap_or(ErrorKind::Internal);
        let mut error = match fault.column {
            Some(column) => Self::column(column, fault.message),
            None => Self::new(kind, fault.message),
        };
        if let Some(option) = fault.option {
            error = error.at(option);
        }
        if let Some(help) = fault.help {
            error = error.help(help);
        }
        error
    }
}

pub(crate) mod role {
    use gristmill_stage::Role;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
    pub(crate) fn serialize<S: Serializer>(role: &Role, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(role.name())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Role, D::Error> {
        let word = String::deserialize(from)?;
        [Role::Source, Role::Transform, Role::Sink]
            .into_iter()
            .find(|role| role.name() == word)
            .ok_or_else(|| D::Error::custom(format!("there is no role `{word}`")))
    }
}
