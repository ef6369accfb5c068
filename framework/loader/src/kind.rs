//! A kind of a plugin, as the framework sees it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gristmill_abi::{
    FailureBuffer, Kind as Table, MOST_WRITTEN, OK, Text, Writer, export_schema, plain_schema,
    read_table, role,
};
use gristmill_stage::arrow_schema::SchemaRef;
use gristmill_stage::{BuildContext, Error, Kind, Planned, Provider, Reading, Result, Role, Stage};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::bounds;
use crate::options::OptionsTable;
use crate::plan::Planner;
use crate::readings;
use crate::stage::LoadedStage;

/// What a kind says of itself, read once when the library is opened.
pub(crate) struct Described {
    table: Table,
    role: Role,
    name: String,
    summary: String,
    example: String,
    input: String,
    output: String,
    options: Value,
    readings: &'static [Reading],
    library: PathBuf,
    sha256: String,
}

/// What another process needs to find a kind again.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Found {
    pub(crate) library: PathBuf,
    pub(crate) sha256: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) namespace: Option<String>,
    pub(crate) kind: String,
}

impl Described {
    /// Reads the table of a kind.
    pub(crate) fn read(table: *const Table, library: &Path, sha256: &str) -> Result<Self> {
        let wrong = |what: String| Error::option("path", what);
        if table.is_null() || !table.is_aligned() {
            return Err(wrong("a kind has no table".to_owned()));
        }
        // SAFETY: it is aligned, and stays for ever.
        let table = unsafe { read_table(table) }.map_err(|size| {
            wrong(format!("a kind has a table of {size} bytes, which is too short"))
        })?;
        let text = |what: &str, text: Text| {
            // SAFETY: texts in tables stay for ever.
            match unsafe { (text.get(), bounds::words(text)) } {
                (Some(_), text) => Ok(text),
                (None, _) => Err(wrong(format!("the {what} of a kind is not UTF-8"))),
            }
        };
        let name = text("name", table.name)?;
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if name.is_empty() || name.len() > 100 || !name.chars().all(fits) {
            return Err(wrong(format!("`{}` is no name of a kind", name.escape_debug()))
                .help("a name has up to 100 letters, digits, `_`, `-` and `.`"));
        }
        let role = match table.role {
            role::SOURCE => Role::Source,
            role::TRANSFORM => Role::Transform,
            role::SINK => Role::Sink,
            other => return Err(wrong(format!("the kind `{name}` has the role {other}"))),
        };
        let missing = [
            ("options_schema", table.options_schema.is_none()),
            ("plan", table.plan.is_none()),
            ("open", table.open.is_none()),
            ("close", table.close.is_none()),
            ("poll", role == Role::Source && table.poll.is_none()),
            ("process", role != Role::Source && table.process.is_none()),
        ];
        if let Some((call, _)) = missing.iter().find(|(_, missing)| *missing) {
            return Err(wrong(format!("the kind `{name}` has no `{call}`")));
        }
        Ok(Self {
            role,
            summary: text("summary", table.summary)?,
            example: text("example", table.example)?,
            input: text("input", table.input)?,
            output: text("output", table.output)?,
            options: options(&table, &name)?,
            readings: readings::declared(&table, &name)?,
            library: library.to_owned(),
            sha256: sha256.to_owned(),
            table,
            name,
        })
    }

    /// The name without a namespace.
    pub(crate) fn own_name(&self) -> &str {
        &self.name
    }
}

/// The JSON Schema of the options.
fn options(table: &Table, name: &str) -> Result<Value> {
    let bytes = Writer::collect(|writer| {
        if let Some(call) = table.options_schema {
            // SAFETY: the writer is there until the call returns.
            unsafe { call(writer) };
        }
    });
    if bytes.len() == MOST_WRITTEN {
        let text =
            format!("the JSON Schema of the options of `{name}` has {MOST_WRITTEN} bytes or more");
        return Err(Error::option("path", text));
    }
    let schema: Value = serde_json::from_slice(&bytes).map_err(|e| {
        Error::option("path", format!("the options of `{name}` have no JSON Schema: {e}"))
    })?;
    match schema.is_object() {
        true => Ok(schema),
        false => Err(Error::option("path", format!("the options of `{name}` have no JSON Schema"))
            .help("it must be an object: {\"type\": \"object\", \"properties\": {}}")),
    }
}

impl fmt::Debug for Described {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Described").field("name", &self.name).finish_non_exhaustive()
    }
}

// SAFETY: the table is constant, and its calls may come from any thread.
unsafe impl Send for Described {}
// SAFETY: as above.
unsafe impl Sync for Described {}

/// A kind of a plugin under the name that a pipeline calls it by.
pub(crate) struct LoadedKind {
    described: Arc<Described>,
    name: String,
    example: String,
    provider: Provider,
    /// Whether all rows are looked at that it puts out.
    strict: bool,
}

impl LoadedKind {
    pub(crate) fn new(described: Arc<Described>, namespace: Option<&str>, strict: bool) -> Self {
        let own = &described.name;
        let (name, example) = match namespace {
            None => (own.clone(), described.example.clone()),
            Some(namespace) => {
                let name = format!("{namespace}.{own}");
                let (plain, spaced) = (format!("type: {own}"), format!("type: {name}"));
                let example = described.example.replacen(&plain, &spaced, 1);
                (name, example)
            }
        };
        let found = Found {
            library: described.library.clone(),
            sha256: described.sha256.clone(),
            namespace: namespace.map(str::to_owned),
            kind: name.clone(),
        };
        let provider = Provider {
            name: described.library.display().to_string(),
            // A path that is not UTF-8 cannot be told to another process, which then says so.
            data: serde_json::to_value(found).unwrap_or_default(),
        };
        Self { described, name, example, provider, strict }
    }
}

impl Kind for LoadedKind {
    fn name(&self) -> &str {
        &self.name
    }

    fn summary(&self) -> &str {
        &self.described.summary
    }

    fn role(&self) -> Role {
        self.described.role
    }

    fn example(&self) -> &str {
        &self.example
    }

    fn input(&self) -> &str {
        &self.described.input
    }

    fn output(&self) -> &str {
        &self.described.output
    }

    fn options(&self) -> Value {
        self.described.options.clone()
    }

    fn plan(&self, options: &Value, input: Option<&SchemaRef>) -> Result<Planned> {
        let Some(call) = self.described.table.plan else { return Err(gone()) };
        let plain = match input {
            Some(schema) => Some(plain_schema(schema)?.unwrap_or_else(|| Arc::clone(schema))),
            None => None,
        };
        let exported = plain.as_ref().map(|schema| export_schema(schema)).transpose()?;
        let input = exported.as_ref().map_or(std::ptr::null(), |schema| &raw const *schema);
        let options = OptionsTable::new(options);
        let mut failure = FailureBuffer::new();
        let mut planner = Planner::new(self.described.role, plain);
        let plan = planner.table();
        // SAFETY: all that the call is given lives until it returns.
        let code = unsafe { call(options.table(), input, &raw const plan, failure.ready()) };
        match code {
            OK => planner.planned(),
            _ => Err(failure.error()),
        }
    }

    fn build(&self, options: &Value, context: BuildContext) -> Result<Stage> {
        let options = OptionsTable::new(options);
        let Described { table, readings, .. } = &*self.described;
        let stage = LoadedStage::open((table, *readings), &options, &context, self.strict)?;
        Ok(match self.described.role {
            Role::Source => Stage::source(stage),
            Role::Transform | Role::Sink => Stage::transform(stage),
        })
    }

    fn readings(&self) -> &[Reading] {
        self.described.readings
    }

    fn provider(&self) -> Option<&Provider> {
        Some(&self.provider)
    }
}

/// For what was there when the kind was read.
pub(crate) fn gone() -> Error {
    Error::internal("the plugin has lost one of its calls")
}
