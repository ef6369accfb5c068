//! The options of a stage, as a plugin reads them.

use std::ffi::c_void;

use gristmill_abi::{Options, Text};
use serde_json::Value;

/// Options with what it takes to read them.
pub(crate) struct OptionsTable {
    // Both are pointed to by the table, and do not move.
    _json: Box<str>,
    _value: Box<Value>,
    table: Options,
}

impl OptionsTable {
    pub(crate) fn new(options: &Value) -> Self {
        // An absent `with` is an empty one.
        let value = match options {
            Value::Null => Value::Object(serde_json::Map::new()),
            other => other.clone(),
        };
        let (json, value) = (value.to_string().into_boxed_str(), Box::new(value));
        let table = Options {
            struct_size: size_of::<Options>(),
            json: Text::new(&json),
            handle: (&raw const *value).cast(),
            text,
            integer,
            number,
            boolean,
        };
        Self { _json: json, _value: value, table }
    }

    pub(crate) fn table(&self) -> *const Options {
        &raw const self.table
    }
}

/// The option at a path like `fields.price.css` or `urls[2]`.
fn at<'a>(options: &'a Value, path: &str) -> Option<&'a Value> {
    let mut value = options;
    for part in path.split('.').filter(|part| !part.is_empty()) {
        let (key, rest) = part.split_at(part.find('[').unwrap_or(part.len()));
        if !key.is_empty() {
            value = value.get(key)?;
        }
        for index in rest.split_terminator(']') {
            value = value.get(index.strip_prefix('[')?.parse::<usize>().ok()?)?;
        }
    }
    Some(value)
}

/// Reads an option and writes it where the plugin wants it.
unsafe fn read<'a, T>(
    handle: *const c_void,
    path: Text,
    out: *mut T,
    read: impl FnOnce(&'a Value) -> Option<T>,
) -> i32 {
    // SAFETY: the handle is the value of the table, and the path lives as long as the call.
    let (value, path) = unsafe { (&*handle.cast::<Value>(), path.get()) };
    match path.and_then(|path| at(value, path)).filter(|value| !value.is_null()) {
        None => 0,
        Some(value) => match read(value) {
            None => -1,
            Some(found) => {
                // SAFETY: the plugin wants it there.
                unsafe { out.write(found) };
                1
            }
        },
    }
}

unsafe extern "C" fn text(handle: *const c_void, path: Text, value: *mut Text) -> i32 {
    // SAFETY: the plugin hands back the handle of these options.
    unsafe { read(handle, path, value, |found| found.as_str().map(Text::new)) }
}

unsafe extern "C" fn integer(handle: *const c_void, path: Text, value: *mut i64) -> i32 {
    // SAFETY: the plugin hands back the handle of these options.
    unsafe { read(handle, path, value, Value::as_i64) }
}

unsafe extern "C" fn number(handle: *const c_void, path: Text, value: *mut f64) -> i32 {
    // SAFETY: the plugin hands back the handle of these options.
    unsafe { read(handle, path, value, Value::as_f64) }
}

unsafe extern "C" fn boolean(handle: *const c_void, path: Text, value: *mut i32) -> i32 {
    // SAFETY: the plugin hands back the handle of these options.
    unsafe { read(handle, path, value, |found| found.as_bool().map(i32::from)) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_lead_to_options() {
        let options = json!({ "a": { "b": [1, { "c": "x" }] }, "d": [[2, 3]] });
        for (path, found) in [
            ("a.b[0]", Some(json!(1))),
            ("a.b[1].c", Some(json!("x"))),
            ("d[0][1]", Some(json!(3))),
            ("a.c", None),
            ("a.b[2]", None),
            ("a.b[x]", None),
            ("a.b]", None),
            ("", Some(options.clone())),
        ] {
            assert_eq!(at(&options, path), found.as_ref(), "{path}");
        }
    }
}
