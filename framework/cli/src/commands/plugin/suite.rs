//! The conformance suite over the kinds of a plugin. What it comes to is said piece by piece, to whoever
//! watches over the process that it runs in.

use std::fmt::Write;
use std::rc::Rc;
use std::sync::Arc;

use arrow_array::RecordBatch;
use gristmill_runtime::in_step;
use gristmill_stage::{BatchTarget, Error, ErrorKind, Kind, Result, Role};
use gristmill_testkit::Harness;
use gristmill_testkit::conformance::{Settings, check};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::args::Test;
use crate::kinds;

/// Rows of a test's input, at the most: each goes through the stage some hundred times.
const ROWS: usize = 200;

/// What is said of a test while it goes on.
#[derive(Debug, Serialize, Deserialize)]
pub enum Said {
    /// The kinds that are tested, in this order.
    Kinds(Vec<String>),
    /// A run of the present kind begins: for which check, and in what way.
    Begins { check: String, how: String },
    /// The present kind is sound. The next one comes.
    Passed(String),
    /// It is not. The next one comes.
    Failed(String),
    /// Nothing can be tested.
    Refused { message: String, help: Option<String> },
    /// All kinds have been tested.
    Done,
}

/// Takes what is said.
pub type Tell = Rc<dyn Fn(Said)>;

/// Tests the kinds of a plugin, but for the first few.
pub fn run(args: &Test, skipped: usize, tell: &Tell) {
    match tested(args, skipped, tell) {
        Ok(()) => tell(Said::Done),
        Err(error) => tell(Said::Refused {
            message: error.message().to_owned(),
            help: error.help_text().map(str::to_owned),
        }),
    }
}

fn tested(args: &Test, skipped: usize, tell: &Tell) -> Result<()> {
    let (mut all, _) = super::kinds(&args.which, None)?;
    if let Some(name) = &args.kind {
        all.retain(|kind| kind.name() == name);
        if all.is_empty() {
            let plugin = args.which.file.clone().unwrap_or_else(|| args.which.command.join(" "));
            return Err(Error::option("kind", format!("{plugin} has no kind `{name}`")));
        }
    }
    tell(Said::Kinds(all.iter().map(|kind| kind.name().to_owned()).collect()));
    let input = match &args.input {
        Some(path) => rows(path)?,
        None => sample()?,
    };
    for kind in all.iter().skip(skipped) {
        tell(match tested_kind(kind, &input, args, tell) {
            Ok(text) => Said::Passed(text),
            Err(text) => Said::Failed(text),
        });
    }
    Ok(())
}

/// Tests one kind, and says what was checked, or what is wrong.
fn tested_kind(
    kind: &Arc<dyn Kind>,
    input: &[RecordBatch],
    args: &Test,
    tell: &Tell,
) -> std::result::Result<String, String> {
    let name = kind.name();
    let options = match &args.with {
        Some(text) => yaml(text),
        None => example(&**kind),
    };
    let options = options.map_err(|error| format!("`{name}`: {}", error.message()))?;
    let source = kind.role() == Role::Source;
    let schema = input.first().map(RecordBatch::schema).filter(|_| !source);
    tell(Said::Begins { check: "plan".to_owned(), how: "before any run".to_owned() });
    if let Err(error) = kind.plan(&options, schema.as_ref()) {
        let fits = matches!(error.kind(), ErrorKind::Options | ErrorKind::Schema);
        let help = match (fits, &args.input) {
            (true, None) => {
                "\n  = help: give it rows that it takes with --input, and options with --with"
            }
            _ => "",
        };
        return Err(format!("`{name}` does not take {options}: {}{help}", error.message()));
    }
    let program = in_step(kind);
    let seeds = args.seeds.unwrap_or(if program.is_some() { 3 } else { 8 });
    let told = tell.clone();
    let settings =
        Settings::new().real().seeds(seeds).large(args.batch as usize).watch(move |check, how| {
            told(Said::Begins { check: check.to_owned(), how: how.to_owned() })
        });
    let settings = if args.ordered { settings.ordered() } else { settings };
    let input = if source { Vec::new() } else { input.to_vec() };
    let driven = program.as_ref().unwrap_or(kind);
    let report = check(&**driven, &options, input, &settings).map_err(|found| found.to_string())?;
    let mut text = format!(
        "{name} keeps the contract of a stage: {} ({} rows out, {} rejected)\n",
        report.checks.join(", "),
        report.rows,
        report.rejected
    );
    for note in &report.notes {
        // Writing into a string does not fail.
        let _ = writeln!(text, "  {note}");
    }
    Ok(text)
}

/// The options in a kind's own example.
fn example(kind: &dyn Kind) -> Result<Value> {
    let stage = yaml(kind.example())?;
    Ok(stage.get("with").cloned().unwrap_or_else(|| json!({})))
}

fn yaml(text: &str) -> Result<Value> {
    serde_yaml::from_str(text)
        .map_err(|e| Error::option("with", format!("`{text}` is no YAML: {e}")))
}

/// The first rows of a file, by the built-in `read`; what comes after them is not read.
fn rows(path: &str) -> Result<Vec<RecordBatch>> {
    let registry = kinds::built_in();
    let read = registry.get("read").ok_or_else(|| Error::internal("there is no kind `read`"))?;
    let target = BatchTarget { rows: ROWS, ..BatchTarget::default() };
    let harness = Harness::real()?.with_batch(target);
    let mut stage = harness.build(&**read, &json!({ "path": path }), None)?;
    while stage.collected().rows() < ROWS && stage.poll()? {}
    let batches = stage.into_collected().batches;
    let none = || Error::option("input", format!("{path} has no rows"));
    let schema = batches.first().ok_or_else(|| none().help("a few dozen are best"))?.schema();
    let mut first = Vec::new();
    let mut left = ROWS;
    for batch in &batches {
        let taken = batch.slice(0, batch.num_rows().min(left));
        left -= taken.num_rows();
        if taken.num_rows() > 0 && taken.schema() == schema {
            first.push(taken);
        }
    }
    Ok(match &first[..] {
        [whole] => halves(whole),
        _ => first,
    })
}

/// Rows of the common types, with nulls, for kinds that take any.
fn sample() -> Result<Vec<RecordBatch>> {
    let row = |n: i64| {
        let some = |every: i64, value: Value| if n % every == 0 { Value::Null } else { value };
        json!({
            "n": some(7, json!(n)), "x": some(5, json!(n as f64 / 4.0)),
            "text": some(6, json!(format!("text {}", n % 9))), "flag": some(4, json!(n % 2 == 0)),
            "list": [n, null],
        })
    };
    let rows: Vec<Value> = (0..60).map(row).collect();
    let table = gristmill_testkit::table(&Value::Array(rows));
    Ok(halves(&table?))
}

fn halves(batch: &RecordBatch) -> Vec<RecordBatch> {
    let half = batch.num_rows() / 2;
    vec![batch.slice(0, half), batch.slice(half, batch.num_rows() - half)]
}
