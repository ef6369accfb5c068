//! Kinds of another program. It is asked once which kinds it has, and for each of its stages what comes
//! out of it; the stages themselves run in child processes of it.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use arrow_schema::{Schema, SchemaRef};
use gristmill_stage::reading::Declared;
use gristmill_stage::{
    BuildContext, Error, ErrorKind, Kind, Planned, Program, Provider, Reading, Result, Role, Stage,
};
use gristmill_wire::{Description, KindDescription, Message, Question, Side};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::planner::Planner;

/// A kind has a name like this.
const NAME: &str = "letters from a to z, digits, `_`, `-` and `.`, a hundred at the most";

/// The kinds of a program that speaks the worker protocol, `namespace` and a dot before their names. A
/// program with a slash, and arguments that begin with `./` or `../`, are paths seen from `folder`. The
/// program stays, to be asked about their stages, for as long as one of them is kept.
///
/// # Errors
/// When it cannot be started, does not speak the protocol, or says what makes no sense.
pub fn program_kinds(
    argv: &[String],
    folder: &Path,
    namespace: Option<&str>,
) -> Result<Vec<Arc<dyn Kind>>> {
    let shown = argv.join(" ");
    let argv = argv.iter().enumerate().map(|(place, word)| seen_from(folder, place, word));
    let argv: Vec<String> = argv.collect();
    let planner = Arc::new(Planner::new(shown.clone(), argv.clone()));
    let Description { kinds } = planner.describe()?;
    let wrong = |text: String| Error::internal(format!("`{shown}` {text}"));
    if kinds.is_empty() {
        return Err(wrong("has no kinds of stages".to_owned()));
    }
    let mut names = BTreeSet::new();
    for kind in &kinds {
        let name = &kind.name;
        let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        if name.is_empty() || name.len() > 100 || !name.chars().all(plain) {
            return Err(wrong(format!("calls a kind `{}`", name.escape_debug()))
                .help(format!("a name is of {NAME}")));
        }
        if !names.insert(name) {
            return Err(wrong(format!("has two kinds named `{name}`")));
        }
        if !kind.options.is_object() {
            return Err(wrong(format!("has no JSON Schema of the options of `{name}`")));
        }
    }
    let kind = |mut description: KindDescription| -> Result<Arc<dyn Kind>> {
        let declared = std::mem::take(&mut description.readings);
        let readings = Declared::keep(declared)
            .map_err(|error| error.context(format!("`{}` of `{shown}`", description.name)))?;
        let program = Program { argv: argv.clone(), kind: description.name.clone() };
        if let Some(namespace) = namespace {
            description.name = format!("{namespace}.{}", description.name);
        }
        let data = Found { argv: argv.clone(), namespace: namespace.map(str::to_owned) };
        let data = json!({ "program": data, "kind": description.name });
        let provider = Provider { name: shown.clone(), data };
        let planner = planner.clone();
        Ok(Arc::new(Foreign { description, readings, program, provider, planner }))
    };
    kinds.into_iter().map(kind).collect()
}

/// What another process of this program needs to find a kind again.
#[derive(Serialize, Deserialize)]
struct Found {
    argv: Vec<String>,
    namespace: Option<String>,
}

/// Finds a kind of a program again by the data of its [`Provider`]; none if it is not of a program.
pub fn find_program_kind(data: &Value) -> Option<Result<Arc<dyn Kind>>> {
    let (program, name) = (data.get("program")?, data.get("kind")?.as_str()?);
    let Found { argv, namespace } = Found::deserialize(program).ok()?;
    let kinds = match program_kinds(&argv, Path::new("."), namespace.as_deref()) {
        Ok(kinds) => kinds,
        Err(error) => return Some(Err(error)),
    };
    let kind = kinds.into_iter().find(|kind| kind.name() == name);
    Some(kind.ok_or_else(|| Error::internal(format!("`{}` has no kind `{name}`", argv.join(" ")))))
}

/// A word of a command, as the program that is started sees it.
fn seen_from(folder: &Path, place: usize, word: &str) -> String {
    let path = match place {
        0 => word.contains('/'),
        _ => word.starts_with("./") || word.starts_with("../"),
    };
    if !path || Path::new(word).is_absolute() {
        return word.to_owned();
    }
    // Not `x/./y`, which would show in messages.
    let path = folder.join(word.strip_prefix("./").unwrap_or(word));
    match (place, path.is_absolute(), path.components().count()) {
        // Without a slash it would be looked for in `PATH`.
        (0, false, 1) => format!("./{}", path.display()),
        _ => path.display().to_string(),
    }
}

/// A kind of another program.
struct Foreign {
    description: KindDescription,
    readings: &'static [Reading],
    program: Program,
    provider: Provider,
    planner: Arc<Planner>,
}

impl Foreign {
    /// What was said of a stage, if it makes sense.
    fn check(&self, planned: Planned, input: Option<&SchemaRef>) -> Result<Planned> {
        let wrong = |text: String| {
            let name = &self.description.name;
            Err(Error::schema(format!("`{name}` of `{}` {text}", self.program))
                .help("this is a mistake of that program"))
        };
        let mut names = BTreeSet::new();
        let fields = planned.output.fields();
        if let Some(twice) = fields.iter().find(|field| !names.insert(field.name())) {
            return wrong(format!("puts out two columns named `{}`", twice.name()));
        }
        let mut ports = BTreeSet::new();
        if planned.ports.iter().any(|port| port.is_empty() || !ports.insert(port)) {
            return wrong("has outputs that have no name, or the same".to_owned());
        }
        if self.role() == Role::Sink && !(fields.is_empty() && ports.is_empty()) {
            return wrong("is a sink, and puts rows out".to_owned());
        }
        if let Some(lineage) = &planned.lineage {
            let output = fields.iter().map(|field| field.name().clone()).collect();
            let known = |name: &String| input.is_some_and(|all| all.field_with_name(name).is_ok());
            if let Some(name) = lineage.input_for(&output).into_iter().find(|name| !known(name)) {
                return wrong(format!("needs `{name}`, which is no column of its input"));
            }
        }
        // Sums of it must not overflow.
        let holds = planned.holds.min(1 << 50);
        Ok(Planned { holds, ..planned })
    }
}

impl Kind for Foreign {
    fn name(&self) -> &str {
        &self.description.name
    }

    fn summary(&self) -> &str {
        &self.description.summary
    }

    fn role(&self) -> Role {
        self.description.role
    }

    fn example(&self) -> &str {
        &self.description.example
    }

    fn input(&self) -> &str {
        &self.description.input
    }

    fn output(&self) -> &str {
        &self.description.output
    }

    fn options(&self) -> Value {
        self.description.options.clone()
    }

    fn plan(&self, options: &Value, input: Option<&SchemaRef>) -> Result<Planned> {
        if input.is_some() == (self.role() == Role::Source) {
            let (name, role) = (self.name(), self.role().name());
            return Err(Error::schema(format!("`{name}` is a {role}, and cannot stand here")));
        }
        let options = match options {
            Value::Null => Value::Object(serde_json::Map::new()),
            options => options.clone(),
        };
        let question = Question { kind: self.program.kind.clone(), options };
        let planned = self.planner.plan(question, input)?;
        self.check(planned, input)
    }

    fn build(&self, _: &Value, _: BuildContext) -> Result<Stage> {
        let text = format!("`{}` runs in child processes of `{}` only", self.name(), self.program);
        Err(Error::new(ErrorKind::Options, text).help("`run: { mode: process }`"))
    }

    fn readings(&self) -> &[Reading] {
        self.readings
    }

    fn provider(&self) -> Option<&Provider> {
        Some(&self.provider)
    }

    fn program(&self) -> Option<&Program> {
        Some(&self.program)
    }
}

/// What to say to ask about a stage.
pub(super) fn asks(question: Question, input: Option<&SchemaRef>) -> Vec<Message> {
    let schema = input.map(|schema| Message::Schema(Side::Input, schema.clone()));
    schema.into_iter().chain([Message::Plan(Box::new(question))]).collect()
}

/// The schema of a stage that puts nothing out.
pub(super) fn none() -> SchemaRef {
    Arc::new(Schema::empty())
}
