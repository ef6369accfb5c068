//! A kind of stage with its types erased, as the registry keeps it and a loader makes it.

use std::marker::PhantomData;

use arrow_schema::SchemaRef;
use serde_json::Value;

use crate::{BuildContext, Error, Planned, Program, Reading, Result, Role, Stage, StageSpec};

/// What the framework sees of a kind of stage. Authors write a [`StageSpec`] instead; this trait is
/// for those who bring kinds from elsewhere, such as a plugin loader.
pub trait Kind: Send + Sync {
    /// The word after `type:`.
    fn name(&self) -> &str;
    /// What it does, in one line.
    fn summary(&self) -> &str;
    /// Where it can stand.
    fn role(&self) -> Role;
    /// A stage of this kind in YAML.
    fn example(&self) -> &str;
    /// The columns it takes, in words.
    fn input(&self) -> &str;
    /// The columns it emits, in words.
    fn output(&self) -> &str;
    /// JSON Schema of the options under `with`.
    fn options(&self) -> Value;
    /// See [`StageSpec::plan`].
    fn plan(&self, options: &Value, input: Option<&SchemaRef>) -> Result<Planned>;
    /// See [`StageSpec::build`].
    fn build(&self, options: &Value, context: BuildContext) -> Result<Stage>;
    /// See [`StageSpec::READINGS`].
    fn readings(&self) -> &[Reading] {
        &[]
    }
    /// Who brings the kind; nobody, if it is built in.
    fn provider(&self) -> Option<&Provider> {
        None
    }
    /// The program whose child processes its stages run in, and nowhere else; none for those that this
    /// program can build.
    fn program(&self) -> Option<&Program> {
        None
    }
}

/// Who brings a kind that is not built in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provider {
    /// The file or the program, for people.
    pub name: String,
    /// What another process needs to find the kind again.
    pub data: Value,
}

/// A [`StageSpec`] as a [`Kind`].
pub struct Typed<S>(PhantomData<fn() -> S>);

impl<S> Typed<S> {
    /// The kind that `S` specifies.
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<S> Default for Typed<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: StageSpec> Typed<S> {
    fn parse(options: &Value) -> Result<S::Options> {
        // An absent `with` is an empty one.
        let empty = Value::Object(serde_json::Map::new());
        let options = if options.is_null() { &empty } else { options };
        serde_path_to_error::deserialize(options).map_err(|e| {
            let path = e.path().to_string();
            let path = if path == "." { "" } else { path.trim_start_matches('.') };
            Error::option(path, e.inner().to_string())
        })
    }
}

impl<S: StageSpec> Kind for Typed<S> {
    fn name(&self) -> &str {
        S::KIND
    }

    fn summary(&self) -> &str {
        S::SUMMARY
    }

    fn role(&self) -> Role {
        S::ROLE
    }

    fn example(&self) -> &str {
        S::EXAMPLE
    }

    fn input(&self) -> &str {
        S::INPUT
    }

    fn output(&self) -> &str {
        S::OUTPUT
    }

    fn options(&self) -> Value {
        schemars::schema_for!(S::Options).to_value()
    }

    fn readings(&self) -> &[Reading] {
        S::READINGS
    }

    fn plan(&self, options: &Value, input: Option<&SchemaRef>) -> Result<Planned> {
        S::plan(&Self::parse(options)?, input)
    }

    fn build(&self, options: &Value, context: BuildContext) -> Result<Stage> {
        S::build(Self::parse(options)?, context)
    }
}
