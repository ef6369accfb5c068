//! The options of `generate`, as they stand in the YAML.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::path::PathBuf;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

/// Options of `generate`.
#[derive(Debug, Clone, Default, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// The address of each request, a template: `{n}` stands for the number, `{name}` for the
    /// variable of that name. Values are percent-encoded; `{+name}` puts one in as it is, with its
    /// slashes. `{{` and `}}` stand for braces.
    pub(crate) url: Option<String>,
    /// Several addresses in place of `url`, each a template. Each combination of number and
    /// variables goes to all of them in turn.
    pub(crate) urls: Option<Vec<String>>,
    /// A file with one address per line in place of `url`. Blank lines and lines that begin with
    /// `#` are skipped; a line that is no address is rejected. The lines are no templates.
    pub(crate) file: Option<PathBuf>,
    /// How many numbers there are: `n` runs from 1 to this. Without any address, rows of numbers
    /// alone are made.
    pub(crate) count: Option<u64>,
    /// The numbers that `n` runs through, in place of `count`: `1..500` (500 belongs to it), or
    /// `{from: 0, to: 100, step: 10}`.
    pub(crate) range: Option<RangeOption>,
    /// Variables for the templates: a list of values, a range of numbers such as `1..12` or `01..12`,
    /// `{from, to, step}`, or `{file: names.txt}` with a value per line. Every combination is made, in
    /// written order: `n` changes slowest, the last variable fastest. Each is also a column.
    pub(crate) vars: Option<Ordered<VarOption>>,
    /// The HTTP method. `GET` when left out.
    pub(crate) method: Option<String>,
    /// Headers of each request; the values are templates.
    pub(crate) headers: Option<Ordered<Scalar>>,
    /// The body of each request, a template. Values are put in as they are, not escaped.
    pub(crate) body: Option<String>,
}

/// A range of numbers.
#[derive(Debug, Clone, serde::Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "expected a range such as `1..500`, or `{from: 1, to: 500, step: 1}`"
)]
pub(crate) enum RangeOption {
    /// `from..to`; both ends belong to it.
    Text(String),
    /// With a step.
    Steps(Steps),
}

/// A range of numbers with a step.
#[derive(Debug, Clone, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Steps {
    /// The first number.
    pub(crate) from: i64,
    /// The last number; belongs to the range if a step ends on it.
    pub(crate) to: i64,
    /// From one number to the next; below zero to count down.
    #[serde(default = "one")]
    pub(crate) step: i64,
}

fn one() -> i64 {
    1
}

/// What a variable runs through.
#[derive(Debug, Clone, serde::Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "expected a list of values, a range such as `1..12`, `{from, to, step}` or `{file: path}`"
)]
pub(crate) enum VarOption {
    /// These values.
    List(Vec<Scalar>),
    /// `from..to`; both ends belong to it. A leading zero asks for numbers of equal width.
    Text(String),
    /// The lines of a file.
    File(ValueFile),
    /// Numbers with a step.
    Steps(Steps),
}

/// A file with a value per line.
#[derive(Debug, Clone, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ValueFile {
    /// Where it is. Blank lines and lines that begin with `#` are skipped. It is held in memory.
    pub(crate) file: PathBuf,
}

/// One value.
#[derive(Debug, Clone, serde::Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a text, a number or a truth value")]
pub(crate) enum Scalar {
    /// A text.
    Text(String),
    /// A number, put in as it is written in JSON.
    Number(serde_json::Number),
    /// `true` or `false`.
    Bool(bool),
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Number(number) => number.fmt(f),
            Self::Bool(truth) => truth.fmt(f),
        }
    }
}

/// A map that keeps the order in which it was written.
#[derive(Debug, Clone)]
pub(crate) struct Ordered<V>(pub(crate) Vec<(String, V)>);

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Ordered<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs<V>(PhantomData<V>);
        impl<'de, V: Deserialize<'de>> Visitor<'de> for Pairs<V> {
            type Value = Ordered<V>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Ordered(pairs))
            }
        }
        deserializer.deserialize_map(Pairs(PhantomData))
    }
}

impl<V: JsonSchema> JsonSchema for Ordered<V> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        BTreeMap::<String, V>::schema_name()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        BTreeMap::<String, V>::json_schema(generator)
    }
}
