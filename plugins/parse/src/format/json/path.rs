//! Paths into a JSON value: `a.b[0].c`, `a."x.y"`, `$`.

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Into the value under this key of an object.
    Key(String),
    /// Into this item of an array, from 0.
    Index(usize),
}

/// Reads a path.
///
/// # Errors
/// What is wrong with it, as the end of the sentence `"…" is not a path: …`.
pub(super) fn read(text: &str) -> Result<Vec<Step>, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err("it is empty; `$` is the whole value".to_owned());
    }
    let mut steps = Vec::new();
    let rooted = text.strip_prefix('$').filter(|r| r.is_empty() || r.starts_with(['.', '[']));
    let mut rest = rooted.unwrap_or(text);
    let mut first = rooted.is_none();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('[') {
            let (inside, after) = after.split_once(']').ok_or("`[` is not closed")?;
            let index = inside.trim().parse();
            steps.push(Step::Index(
                index.map_err(|_| format!("`[{inside}]` is not an index from 0"))?,
            ));
            rest = after;
        } else {
            let key = match rest.strip_prefix('.') {
                Some(key) => key,
                None if first => rest,
                None => return Err(format!("a `.` or `[` is missing before `{rest}`")),
            };
            let (key, after) = key_of(key)?;
            steps.push(Step::Key(key));
            rest = after;
        }
        first = false;
    }
    Ok(steps)
}

/// The key at the start of the text, and what comes after it.
fn key_of(text: &str) -> Result<(String, &str), String> {
    if text.starts_with('"') {
        let mut stream = serde_json::Deserializer::from_str(text).into_iter::<String>();
        return match stream.next() {
            Some(Ok(key)) => Ok((key, &text[stream.byte_offset()..])),
            _ => Err("a quoted key is not closed".to_owned()),
        };
    }
    let end = text.find(['.', '[']).unwrap_or(text.len());
    match text.split_at(end) {
        ("", _) => Err("a key is missing after `.`".to_owned()),
        (key, after) => Ok((key.to_owned(), after)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read() {
        let key = |k: &str| Step::Key(k.to_owned());
        for (text, steps) in [
            ("a", vec![key("a")]),
            ("a.b[0].c", vec![key("a"), key("b"), Step::Index(0), key("c")]),
            ("$.a", vec![key("a")]),
            ("$", vec![]),
            ("$id", vec![key("$id")]),
            ("[1][2]", vec![Step::Index(1), Step::Index(2)]),
            (r#"a."x.y".b"#, vec![key("a"), key("x.y"), key("b")]),
            (r#""é \"q\"""#, vec![key("é \"q\"")]),
            ("größe.wert", vec![key("größe"), key("wert")]),
        ] {
            assert_eq!(read(text), Ok(steps), "{text}");
        }
        for wrong in ["", ".", "a.", "a..b", "a[", "a[x]", "a[-1]", "a[0]b", "\"a", "a]["] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
