//! The JSON Schema of the whole YAML, for editors.

use gristmill_stage::schemars::schema_for;
use gristmill_stage::{Kind, Registry};
use serde_json::{Map, Value, json};

use crate::words::PipelineWords;

/// The dialect that the schema is written in.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// JSON Schema (2020-12) of a pipeline in YAML, with the options of every kind in the registry:
/// `type` decides what may stand under `with`. Wherever a number or a boolean belongs, a text with
/// `${…}` passes too.
pub fn json_schema(registry: &Registry) -> Value {
    let mut root = schema_for!(PipelineWords).to_value();
    let mut kinds = Vec::new();
    let mut choices = Vec::new();
    let mut definitions = Map::new();
    for kind in registry.iter() {
        let name = kind.name();
        kinds.push(json!({ "const": name, "description": kind.summary() }));
        let (with, needed) = options(kind.as_ref(), &mut definitions);
        definitions.insert(format!("with.{name}"), with);
        let mut then =
            json!({ "properties": { "with": { "$ref": reference(&format!("with.{name}")) } } });
        if let (true, Some(then)) = (needed, then.as_object_mut()) {
            then.insert("required".to_owned(), json!(["with"]));
        }
        choices.push(json!({
            "if": { "properties": { "type": { "const": name } }, "required": ["type"] },
            "then": then,
        }));
    }
    if let Some(stage) = root.pointer_mut("/$defs/Stage").and_then(Value::as_object_mut) {
        stage.insert("allOf".to_owned(), Value::Array(choices));
        if let Some(word) = stage.get_mut("properties").and_then(|all| all.get_mut("type")) {
            *word = json!({ "description": "The kind of the stage.", "oneOf": kinds });
        }
        if let Some(with) = stage.get_mut("properties").and_then(|all| all.get_mut("with")) {
            *with =
                json!({ "description": "The options of its type.", "type": ["object", "null"] });
        }
    }
    if let Some(own) = root.get_mut("$defs").and_then(Value::as_object_mut) {
        own.extend(definitions);
    }
    take_variables(&mut root);
    if let Some(root) = root.as_object_mut() {
        root.insert("$schema".to_owned(), json!(DIALECT));
    }
    root
}

/// `$ref` to a definition of the root; `~` and `/` are escaped as a JSON pointer wants it, the
/// rest as a URL does.
fn reference(name: &str) -> String {
    let pointer = name.replace('~', "~0").replace('/', "~1");
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let mut reference = "#/$defs/".to_owned();
    for byte in pointer.bytes() {
        if plain(byte) {
            reference.push(char::from(byte));
        } else {
            reference.push_str(&format!("%{byte:02X}"));
        }
    }
    reference
}

/// The options of a kind, its own definitions moved to the root under names of their own, and
/// whether one of them must be given.
fn options(kind: &dyn Kind, definitions: &mut Map<String, Value>) -> (Value, bool) {
    let mut schema = kind.options();
    let prefix = kind.name();
    rename(&mut schema, prefix);
    let Some(object) = schema.as_object_mut() else { return (schema, false) };
    object.remove("$schema");
    object.entry("description").or_insert_with(|| json!(kind.summary()));
    let needed =
        object.get("required").and_then(Value::as_array).is_some_and(|all| !all.is_empty());
    if let Some(Value::Object(own)) = object.remove("$defs") {
        definitions
            .extend(own.into_iter().map(|(name, schema)| (format!("{prefix}.{name}"), schema)));
    }
    if !needed {
        // `with:` with nothing after it is as good as none.
        if object.get("type").and_then(Value::as_str) == Some("object") {
            object.insert("type".to_owned(), json!(["object", "null"]));
        }
    }
    (schema, needed)
}

/// Points every `$ref` to where its definition will be.
fn rename(schema: &mut Value, prefix: &str) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(|item| rename(item, prefix)),
        Value::Object(map) => {
            for (key, value) in map.iter_mut() {
                match (key.as_str(), &mut *value) {
                    ("$ref", Value::String(path)) => {
                        if let Some(name) = path.strip_prefix("#/$defs/") {
                            *path = reference(&format!("{prefix}.{name}"));
                        } else if path == "#" {
                            *path = reference(&format!("with.{prefix}"));
                        }
                    }
                    // Data, not schemas.
                    ("default" | "examples" | "const" | "enum", _) => {}
                    _ => rename(value, prefix),
                }
            }
        }
        _ => {}
    }
}

/// Lets `${…}` stand for numbers, booleans and sizes.
fn take_variables(schema: &mut Value) {
    const VARIABLE: &str = r"\$\{";
    match schema {
        Value::Array(items) => items.iter_mut().for_each(take_variables),
        Value::Object(map) => {
            for (key, value) in map.iter_mut() {
                if !matches!(key.as_str(), "default" | "examples" | "const" | "enum" | "if") {
                    take_variables(value);
                }
            }
            let types: Vec<String> = match map.get("type") {
                Some(Value::String(one)) => vec![one.clone()],
                Some(Value::Array(all)) => {
                    all.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect()
                }
                _ => return,
            };
            let is = |wanted: &str| types.iter().any(|name| name == wanted);
            if is("string") {
                if let Some(Value::String(pattern)) = map.get_mut("pattern") {
                    *pattern = format!("({pattern})|{VARIABLE}");
                }
            } else if is("integer") || is("number") || is("boolean") {
                let mut types = types;
                types.push("string".to_owned());
                map.insert("type".to_owned(), json!(types));
                map.insert("pattern".to_owned(), json!(VARIABLE));
            }
        }
        _ => {}
    }
}
