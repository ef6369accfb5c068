//! `gristmill plugin`: looks at a plugin, and tests it.

use std::fmt::{self, Write};
use std::path::Path;
use std::sync::Arc;

use arrow_array::RecordBatch;
use gristmill_loader::{Library, Loader, Wanted};
use gristmill_stage::{Error, ErrorKind, Kind, Result, Role};
use gristmill_testkit::Harness;
use gristmill_testkit::conformance::{Settings, check};
use serde_json::{Value, json};

use crate::args::{Inspect, Plugin, Test};
use crate::exit::Exit;
use crate::kinds;
use crate::say::say;

/// Rows of a test's input, at the most: each goes through the stage some hundred times.
const ROWS: usize = 200;

/// Does what is asked of a plugin.
pub fn plugin(args: &Plugin) -> Exit {
    let done = match args {
        Plugin::Inspect(args) => inspect(args),
        Plugin::Test(args) => test(args),
    };
    done.unwrap_or_else(|error| {
        say(format!("error: {}", error.message()));
        if let Some(help) = error.help_text() {
            say(format!("  = help: {help}"));
        }
        Exit::BadConfiguration
    })
}

/// Opens the plugin that somebody names at a prompt: a file, or a name that is searched for.
fn open(name: &str) -> Result<Arc<Library>> {
    let file = if Path::new(name).is_file() { format!("./{name}") } else { name.to_owned() };
    let path = if name.contains('/') { name } else { &file };
    Loader::new([]).open(Wanted { path, folder: Path::new("."), sha256: None })
}

fn inspect(args: &Inspect) -> Result<Exit> {
    let library = open(&args.file)?;
    let mut text = String::new();
    if args.json {
        let _ = writeln!(text, "{:#}", as_json(&library));
    } else {
        // Writing into a string does not fail.
        let _ = describe(&library, &mut text);
    }
    Ok(super::print(&text))
}

fn describe(library: &Library, out: &mut String) -> fmt::Result {
    let (major, minor) = library.version();
    writeln!(out, "file:      {}", library.path().display())?;
    writeln!(out, "sha256:    {}", library.sha256())?;
    writeln!(out, "plugin:    {}", library.software())?;
    writeln!(out, "interface: {major}.{minor}")?;
    for kind in library.kinds(None) {
        writeln!(out, "\n{} ({}): {}", kind.name(), kind.role().name(), kind.summary())?;
        let schema = kind.options();
        let Some(options) = schema.get("properties").and_then(Value::as_object) else { continue };
        for (name, option) in options {
            let says = option.get("description").and_then(Value::as_str).unwrap_or_default();
            writeln!(out, "  {name}: {}", says.lines().next().unwrap_or_default())?;
        }
    }
    Ok(())
}

fn as_json(library: &Library) -> Value {
    let (major, minor) = library.version();
    let kinds: Vec<Value> = library
        .kinds(None)
        .iter()
        .map(|kind| {
            json!({
                "kind": kind.name(), "role": kind.role().name(), "summary": kind.summary(),
                "example": kind.example(), "input": kind.input(), "output": kind.output(),
                "options": kind.options(),
            })
        })
        .collect();
    json!({
        "file": library.path(), "sha256": library.sha256(), "plugin": library.software(),
        "interface": { "major": major, "minor": minor }, "kinds": kinds,
    })
}

/// Runs the kinds of a plugin through the conformance suite that built-in kinds pass.
fn test(args: &Test) -> Result<Exit> {
    let library = open(&args.file)?;
    let mut all = library.kinds(None);
    if let Some(name) = &args.kind {
        all.retain(|kind| kind.name() == name);
        if all.is_empty() {
            return Err(Error::option("kind", format!("{} has no kind `{name}`", args.file)));
        }
    }
    let input = match &args.input {
        Some(path) => rows(path)?,
        None => sample()?,
    };
    let mut exit = Exit::Done;
    for kind in &all {
        let options = match &args.with {
            Some(text) => yaml(text)?,
            None => example(&**kind)?,
        };
        if let Err(text) = test_kind(&**kind, &options, &input, args) {
            say(format!("error: {text}"));
            exit = Exit::Failed;
        }
    }
    Ok(exit)
}

/// Tests one kind, and prints what was checked.
fn test_kind(
    kind: &dyn Kind,
    options: &Value,
    input: &[RecordBatch],
    args: &Test,
) -> std::result::Result<(), String> {
    let name = kind.name();
    let source = kind.role() == Role::Source;
    let schema = input.first().map(RecordBatch::schema).filter(|_| !source);
    if let Err(error) = kind.plan(options, schema.as_ref()) {
        let fits = matches!(error.kind(), ErrorKind::Options | ErrorKind::Schema);
        let help = match (fits, &args.input) {
            (true, None) => {
                "\n  = help: give it rows that it takes with --input, and options with --with"
            }
            _ => "",
        };
        return Err(format!("`{name}` does not take {options}: {}{help}", error.message()));
    }
    let input = if source { Vec::new() } else { input.to_vec() };
    let settings = Settings::new().real().seeds(args.seeds);
    let settings = if args.ordered { settings.ordered() } else { settings };
    let report = check(kind, options, input, &settings).map_err(|failures| failures.to_string())?;
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
    super::print(&text);
    Ok(())
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

/// The first rows of a file, by the built-in `read`.
fn rows(path: &str) -> Result<Vec<RecordBatch>> {
    let registry = kinds::built_in();
    let read = registry.get("read").ok_or_else(|| Error::internal("there is no kind `read`"))?;
    let mut stage = Harness::real()?.build(&**read, &json!({ "path": path }), None)?;
    stage.run_source()?;
    let batches = stage.into_collected().batches;
    let whole: usize = batches.iter().map(RecordBatch::num_rows).sum();
    let first = batches.first().ok_or_else(|| {
        Error::option("input", format!("{path} has no rows")).help("a few dozen are best")
    })?;
    if whole > ROWS {
        say(format!("the test takes the first {} of {whole} rows", first.num_rows().min(ROWS)));
    }
    Ok(halves(&first.slice(0, first.num_rows().min(ROWS))))
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
