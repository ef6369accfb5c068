//! Kinds of another program. It is asked once which kinds it has, and for each of its stages what comes
//! out of it; the stages themselves run in child processes of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow_schema::{Schema, SchemaRef};
use gristmill_stage::{
    BuildContext, Error, ErrorKind, Kind, Planned, Program, Result, Role, Stage,
};
use gristmill_wire::{Description, KindDescription, Message, Question, Side};
use serde_json::Value;

use super::planner::Planner;

/// A kind has a name like this.
const NAME: &str = "letters from a to z, digits, `_`, `-` and `.`, a hundred at the most";

/// The kinds of a program that speaks the worker protocol. The program stays, to be asked about their
/// stages, for as long as one of them is kept.
///
/// # Errors
/// When it cannot be started, does not speak the protocol, or says what makes no sense.
pub fn program_kinds(program: &Program) -> Result<Vec<Arc<dyn Kind>>> {
    let planner = Arc::new(Planner::new(program.clone()));
    let Description { kinds } = planner.describe()?;
    let wrong = |text: String| Error::internal(format!("`{program}` {text}"));
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
    let program = Arc::new(program.clone());
    let kind = |description| {
        let (program, planner) = (program.clone(), planner.clone());
        Arc::new(Foreign { description, program, planner }) as Arc<dyn Kind>
    };
    Ok(kinds.into_iter().map(kind).collect())
}

/// A kind of another program.
struct Foreign {
    description: KindDescription,
    program: Arc<Program>,
    planner: Arc<Planner>,
}

impl Foreign {
    /// What was said of a stage, if it makes sense.
    fn check(&self, planned: Planned) -> Result<Planned> {
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
        let question = Question { kind: self.name().to_owned(), options };
        let planned = self.planner.plan(question, input)?;
        self.check(planned)
    }

    fn build(&self, _: &Value, _: BuildContext) -> Result<Stage> {
        let text = format!("`{}` runs in child processes of `{}` only", self.name(), self.program);
        Err(Error::new(ErrorKind::Options, text).help("`run: { mode: process }`"))
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
