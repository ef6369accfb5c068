//! `gristmill stages`.

use std::fmt::{self, Write};
use std::sync::Arc;

use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};
use gristmill_runtime::metric::of_reading;
use gristmill_stage::reading::Measure;
use gristmill_stage::{Kind, Reading, Registry};
use serde_json::Value;

use crate::args::Stages;
use crate::exit::Exit;
use crate::kinds::Kinds;
use crate::say::say;

/// Lists the kinds, or explains one.
pub fn stages(args: &Stages) -> Exit {
    let (registry, name) = match known(args) {
        Ok(known) => known,
        Err(exit) => return exit,
    };
    let Some(name) = name else {
        let kinds: Vec<_> = registry.iter().collect();
        return super::print(&list(&kinds));
    };
    match registry.get(name) {
        Some(kind) => {
            let mut text = String::new();
            // Writing into a string does not fail.
            let _ = explain(&**kind, &mut text);
            super::print(&text)
        }
        None => {
            let names: Vec<_> = registry.iter().map(|kind| kind.name()).collect();
            say(format!("error: there is no kind `{name}`\nhelp: there are {}", names.join(", ")));
            Exit::BadConfiguration
        }
    }
}

/// The kinds that are asked for, and the one to explain.
fn known(args: &Stages) -> Result<(Registry, Option<&String>), Exit> {
    let Stages { kind, of_pipeline, set, search } = args;
    let pipeline = kind.as_ref().filter(|name| name.ends_with(".yaml") || name.ends_with(".yml"));
    if let Some(file) = pipeline {
        return Ok((super::registry(file, set, search)?, of_pipeline.as_ref()));
    }
    if let (Some(first), Some(_)) = (kind, of_pipeline) {
        say(format!("error: `{first}` is no pipeline\n  = help: the name of one ends in .yaml"));
        return Err(Exit::BadCommandLine);
    }
    let registry = Kinds::new(&[]).in_folders(&search.folders).map_err(|error| {
        say(format!("error: {error}"));
        Exit::BadConfiguration
    })?;
    Ok((registry, kind.as_ref()))
}

fn sheet() -> Table {
    let mut table = Table::new();
    table.load_preset(NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table
}

fn list(kinds: &[&Arc<dyn Kind>]) -> String {
    let mut table = sheet();
    let foreign = kinds.iter().any(|kind| kind.provider().is_some());
    let mut header = vec!["kind", "role", "what it does"];
    header.extend(foreign.then_some("from"));
    table.set_header(header);
    for kind in kinds {
        let mut row = vec![kind.name(), kind.role().name(), kind.summary()];
        let from = kind.provider().map_or("", |provider| provider.name.as_str());
        row.extend(foreign.then_some(from));
        table.add_row(row);
    }
    format!("{table}\n\n`gristmill stages KIND` explains one.\n")
}

fn explain(kind: &dyn Kind, out: &mut String) -> fmt::Result {
    writeln!(out, "{} ({})\n\n{}\n", kind.name(), kind.role().name(), kind.summary())?;
    writeln!(out, "columns in:  {}\ncolumns out: {}\n", kind.input(), kind.output())?;
    if let Some(provider) = kind.provider() {
        writeln!(out, "from:        {}\n", provider.name)?;
    }
    let schema = kind.options();
    let properties = schema.get("properties").and_then(Value::as_object);
    match properties.filter(|properties| !properties.is_empty()) {
        None => writeln!(out, "It has no options.\n")?,
        Some(properties) => {
            let required = schema.get("required").and_then(Value::as_array);
            let mut table = sheet();
            table.set_header(["option", "type", "default", "what it says"]);
            for (name, option) in properties {
                let needed = required.is_some_and(|all| all.iter().any(|one| one == name));
                let default = match option.get("default") {
                    Some(Value::Null) | None if needed => "(required)".to_owned(),
                    Some(Value::Null) | None => String::new(),
                    Some(default) => plain(default),
                };
                let says = option.get("description").and_then(Value::as_str).unwrap_or_default();
                table.add_row([name.as_str(), &type_name(option, &schema, DEPTH), &default, says]);
            }
            writeln!(out, "{table}\n")?;
        }
    }
    if !kind.readings().is_empty() {
        writeln!(out, "{}\n", metrics(kind))?;
    }
    writeln!(out, "example:\n")?;
    for (index, line) in kind.example().trim().lines().enumerate() {
        writeln!(out, "  {}{line}", if index == 0 { "- " } else { "  " })?;
    }
    Ok(())
}

/// The metrics of a kind, besides those that every stage has.
fn metrics(kind: &dyn Kind) -> Table {
    let mut table = sheet();
    table.set_header(["metric", "type", "labels", "what it says"]);
    for reading in kind.readings() {
        let Reading { measure, help, label, .. } = reading;
        let measure = match measure {
            Measure::Counter => "counter",
            Measure::Gauge | Measure::Lowest => "gauge",
            Measure::Histogram(_) => "histogram",
        };
        let label = label.map(|(name, values)| format!("{name}: {}", values.join(", ")));
        let name = of_reading(kind.name(), reading);
        table.add_row([name.as_str(), measure, &label.unwrap_or_default(), help]);
    }
    table
}

/// A value as it would stand in YAML.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Types within types are named as deep as this: a schema may lead to itself.
const DEPTH: usize = 16;

/// The type of an option in a few words.
fn type_name(schema: &Value, root: &Value, depth: usize) -> String {
    let Some(depth) = depth.checked_sub(1) else { return "any".to_owned() };
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        let target = reference.strip_prefix('#').and_then(|path| root.pointer(path));
        return target.map(|target| type_name(target, root, depth)).unwrap_or_default();
    }
    if let Some(title) = schema.get("title").and_then(Value::as_str) {
        return title.to_owned();
    }
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        return values.iter().map(plain).collect::<Vec<_>>().join(" | ");
    }
    if let Some(value) = schema.get("const") {
        return plain(value);
    }
    for choice in ["anyOf", "oneOf", "allOf"] {
        if let Some(choices) = schema.get(choice).and_then(Value::as_array) {
            let mut names: Vec<_> = choices.iter().map(|one| type_name(one, root, depth)).collect();
            names.retain(|name| name != "null" && !name.is_empty());
            names.dedup();
            return names.join(" | ");
        }
    }
    match schema.get("type") {
        Some(Value::String(name)) => list_or(name, schema, root, depth),
        Some(Value::Array(names)) => {
            let names = names.iter().filter_map(Value::as_str).filter(|name| *name != "null");
            names.map(|name| list_or(name, schema, root, depth)).collect::<Vec<_>>().join(" | ")
        }
        _ => "any".to_owned(),
    }
}

fn list_or(name: &str, schema: &Value, root: &Value, depth: usize) -> String {
    match (name, schema.get("items"), schema.get("additionalProperties")) {
        ("array", Some(items), _) => format!("list of {}", type_name(items, root, depth)),
        ("array", None, _) => "list".to_owned(),
        ("object", _, Some(values @ Value::Object(_))) => {
            format!("map to {}", type_name(values, root, depth))
        }
        ("object", ..) => "map".to_owned(),
        (name, ..) => name.to_owned(),
    }
}
