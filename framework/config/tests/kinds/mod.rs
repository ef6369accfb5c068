//! Kinds of stages for the tests: enough of each to be wrong in.

#![allow(dead_code, reason = "each test uses some of it")]

use std::collections::BTreeMap;
use std::sync::Arc;

use gristmill_config::{Plan, Problems, Source, Variables, load};
use gristmill_stage::arrow_schema::{DataType, Field, Schema, SchemaRef};
use gristmill_stage::option::{ByteSize, Time};
use gristmill_stage::schemars::{self, JsonSchema};
use gristmill_stage::{BuildContext, Error, Planned, Registry, Result, Role, Stage, StageSpec};
use serde::Deserialize;

/// Loads a text by the test kinds, without variables.
pub fn load_text(text: &str) -> std::result::Result<Plan, Problems> {
    load_with(text, &Variables::new())
}

/// Loads a text by the test kinds.
pub fn load_with(text: &str, variables: &Variables) -> std::result::Result<Plan, Problems> {
    load(&Source::new("shop.yaml", text), variables, &registry())
}

/// All test kinds.
pub fn registry() -> Registry {
    let mut registry = Registry::new();
    registry.add(Generate).add(Fetch).add(Parse).add(Aggregate).add(Sort).add(Shape);
    registry.add(Write).add(Discard).add(Broken);
    registry
}

fn schema(columns: &[(&str, DataType)]) -> SchemaRef {
    let fields: Vec<_> =
        columns.iter().map(|(name, kind)| Field::new(*name, kind.clone(), true)).collect();
    Arc::new(Schema::new(fields))
}

fn column(input: Option<&SchemaRef>, name: &str, path: &str) -> Result<()> {
    match input.map(|input| input.index_of(name)) {
        Some(Ok(_)) => Ok(()),
        _ => Err(Error::column(name, format!("the input has no column `{name}`")).at(path)),
    }
}

macro_rules! kind {
    ($spec:ident, $options:ident, $name:literal, $role:ident, $summary:literal, |$o:ident, $input:ident| $plan:expr) => {
        pub struct $spec;

        impl StageSpec for $spec {
            type Options = $options;
            const KIND: &'static str = $name;
            const SUMMARY: &'static str = $summary;
            const ROLE: Role = Role::$role;
            const EXAMPLE: &'static str = concat!("type: ", $name);
            const INPUT: &'static str = "anything";
            const OUTPUT: &'static str = "something";

            fn plan($o: &Self::Options, $input: Option<&SchemaRef>) -> Result<Planned> {
                $plan
            }

            fn build(_: Self::Options, _: BuildContext) -> Result<Stage> {
                Err(Error::internal("tests only plan"))
            }
        }
    };
}

/// Options of `generate`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GenerateOptions {
    /// Template of the address.
    ///
    /// More about it.
    url: String,
    /// How many.
    #[serde(default = "one")]
    count: u64,
    /// A share between 0 and 1.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 1.0))]
    share: f64,
    /// Sent with each.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// More addresses.
    #[serde(default)]
    urls: Vec<String>,
    /// Whether it goes on.
    #[serde(default)]
    forever: bool,
    /// A column besides.
    also: Option<String>,
}

fn one() -> u64 {
    1
}

kind!(Generate, GenerateOptions, "generate", Source, "Makes rows.", |o, _input| {
    if let Some(at) = o.urls.iter().position(|url| url.contains(' ')) {
        let error = Error::option(format!("urls[{at}]"), format!("`{}` is no address", o.urls[at]));
        return Err(error.help("an address has no blanks"));
    }
    if o.headers.get("x.y").is_some_and(|value| value == "bad") {
        return Err(Error::option("headers.x.y", "this header is bad"));
    }
    let mut columns = vec![
        ("n", DataType::Int64),
        ("url", DataType::Utf8),
        ("category", DataType::Utf8),
        ("city", DataType::Utf8),
    ];
    if let Some(also) = &o.also {
        columns.push((also, DataType::Float64));
    }
    Ok(Planned::emits(schema(&columns)).note(format!("from {}", o.url)))
});

/// What to do with a failed request.
#[derive(Deserialize, JsonSchema, Default)]
#[serde(rename_all = "lowercase")]
pub enum OnError {
    /// Makes it a row.
    #[default]
    Row,
    /// Rejects it.
    Reject,
}

/// Options of `fetch`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FetchOptions {
    /// At the same time.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 1000))]
    concurrency: u64,
    /// The longest wait.
    timeout: Option<Time>,
    /// The most bytes.
    max_body: Option<ByteSize>,
    /// What a failed request becomes.
    #[serde(default)]
    on_error: OnError,
    /// The column with the address.
    #[serde(default = "url")]
    column: String,
}

fn url() -> String {
    "url".to_owned()
}

kind!(Fetch, FetchOptions, "fetch", Transform, "Fetches pages.", |o, input| {
    column(input, &o.column, "column")?;
    let _ = (o.concurrency, &o.timeout, &o.max_body, &o.on_error);
    Ok(Planned::emits(schema(&[("url", DataType::Utf8), ("body", DataType::Binary)])))
});

/// A field of `parse`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FieldOptions {
    /// A selector.
    css: String,
    /// An attribute.
    attr: Option<String>,
}

/// Options of `parse`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ParseOptions {
    /// The fields by name.
    fields: BTreeMap<String, FieldOptions>,
}

kind!(Parse, ParseOptions, "parse", Transform, "Parses pages.", |o, input| {
    column(input, "body", "")?;
    for (name, field) in &o.fields {
        let _ = &field.attr;
        if field.css.contains('[') && !field.css.contains(']') {
            let path = format!("fields.{name}.css");
            return Err(Error::option(path, "the selector does not end").help("close the bracket"));
        }
    }
    let columns: Vec<_> = o.fields.keys().map(|name| (name.as_str(), DataType::Utf8)).collect();
    Ok(Planned::emits(schema(&columns)))
});

/// Options of `aggregate`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AggregateOptions {
    /// Columns to group by.
    #[serde(default)]
    group_by: Vec<String>,
}

kind!(Aggregate, AggregateOptions, "aggregate", Transform, "Counts by group.", |o, input| {
    for (at, name) in o.group_by.iter().enumerate() {
        column(input, name, &format!("group_by[{at}]"))?;
    }
    let mut columns: Vec<_> =
        o.group_by.iter().map(|name| (name.as_str(), DataType::Utf8)).collect();
    columns.push(("count", DataType::Int64));
    Ok(Planned::emits(schema(&columns)).keyed(o.group_by.clone()).holds(1 << 20))
});

/// No options.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoOptions {}

kind!(Sort, NoOptions, "sort", Transform, "Sorts all rows.", |_o, input| {
    let input = input.cloned().unwrap_or_else(|| schema(&[]));
    Ok(Planned::emits(input).single("the smallest row can come last"))
});

/// A number or words.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Size {
    /// A number.
    Number(u32),
    /// From and to.
    Range(Range),
}

/// From and to.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Range {
    /// The first.
    from: u32,
    /// The last.
    to: u32,
}

/// By its tag.
#[derive(Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Form {
    /// Round.
    Circle {
        /// From the middle.
        radius: f64,
    },
    /// Not round.
    Square {
        /// Each side.
        side: f64,
    },
}

/// Options of `shape`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ShapeOptions {
    /// One or a range.
    size: Option<Size>,
    /// A form.
    form: Option<Form>,
    /// Three letters.
    #[schemars(regex(pattern = "^[A-Z]{3}$"))]
    code: Option<String>,
}

kind!(Shape, ShapeOptions, "shape", Transform, "Has odd options.", |o, input| {
    let _ = &o.code;
    match (&o.size, &o.form) {
        (Some(Size::Range(range)), _) if range.from > range.to => {
            return Err(Error::option("size", "the range runs backwards"));
        }
        (Some(Size::Number(0)), Some(Form::Circle { radius: side } | Form::Square { side })) => {
            return Err(Error::option("form", format!("{side} is too much")));
        }
        _ => {}
    }
    Ok(Planned::emits(input.cloned().unwrap_or_else(|| schema(&[]))))
});

/// Options of `write`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WriteOptions {
    /// The file.
    path: String,
}

kind!(Write, WriteOptions, "write", Sink, "Writes a file.", |o, _input| {
    Ok(Planned::sink().writes(&o.path).single("it is one file"))
});
kind!(Discard, NoOptions, "discard", Sink, "Keeps nothing.", |_o, _input| Ok(Planned::sink()));
kind!(Broken, NoOptions, "broken", Transform, "Panics.", |_o, _input| panic!("a bug"));

kind!(Part, NoOptions, "part", Transform, "Parts rows.", |_o, input| {
    let input = input.ok_or_else(|| Error::internal("it has no input"))?;
    Ok(Planned::emits(input.clone()).ports(["good", "bad"]))
});

/// Loads a text by the test kinds and `part`, which has two outputs.
pub fn load_parting(text: &str) -> std::result::Result<Plan, Problems> {
    let mut registry = registry();
    registry.add(Part);
    load(&Source::new("shop.yaml", text), &Variables::new(), &registry)
}
