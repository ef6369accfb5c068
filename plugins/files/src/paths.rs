//! From the `path` option to files.

use std::path::{Path, PathBuf};

use gristmill_stage::{Error, Result};
use schemars::JsonSchema;
use serde::Deserialize;

/// One path or several.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum Paths {
    One(String),
    Many(Vec<String>),
}

/// Where rows come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Input {
    Stdin,
    File(PathBuf),
}

impl Input {
    /// The name to show for it.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Stdin => "stdin".to_owned(),
            Self::File(path) => path.display().to_string(),
        }
    }
}

impl Paths {
    fn each(&self) -> Vec<(String, &str)> {
        match self {
            Self::One(path) => vec![("path".to_owned(), path.as_str())],
            Self::Many(paths) => paths
                .iter()
                .enumerate()
                .map(|(n, path)| (format!("path.{n}"), path.as_str()))
                .collect(),
        }
    }

    /// The inputs in order; those of a pattern by name.
    ///
    /// # Errors
    /// A path that is no readable file, or a pattern without a match.
    pub(crate) fn inputs(&self) -> Result<Vec<Input>> {
        let mut inputs = Vec::new();
        for (option, path) in self.each() {
            if path == "-" {
                if inputs.contains(&Input::Stdin) {
                    return Err(Error::option(option, "stdin can be read only once"));
                }
                inputs.push(Input::Stdin);
            } else if Path::new(path).exists() || !path.contains(['*', '?', '[']) {
                inputs.push(file(&option, path)?);
            } else {
                inputs.extend(matching(&option, path)?);
            }
        }
        if inputs.is_empty() {
            return Err(Error::option("path", "there is no file to read").help("name one or more"));
        }
        Ok(inputs)
    }
}

fn file(option: &str, path: &str) -> Result<Input> {
    if path.is_empty() {
        return Err(Error::option(option, "the path is empty"));
    }
    let wrong = |what: String| Error::option(option, what);
    let found = std::fs::metadata(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => {
            wrong(format!("there is no file `{path}`")).help("a path from where the command runs")
        }
        _ => wrong(format!("`{path}` cannot be read: {e}")),
    })?;
    if found.is_dir() {
        return Err(wrong(format!("`{path}` is a folder"))
            .help(format!("its files are `{}/*`", path.trim_end_matches('/'))));
    }
    // A pipe would hang here until somebody writes to it.
    if found.is_file() {
        std::fs::File::open(path).map_err(|e| wrong(format!("`{path}` cannot be read: {e}")))?;
    }
    Ok(Input::File(path.into()))
}

fn matching(option: &str, pattern: &str) -> Result<Vec<Input>> {
    let wrong = |what: String| Error::option(option, what);
    // As in a shell: files that are still being written aside have a dot in front.
    let hidden = glob::MatchOptions { require_literal_leading_dot: true, ..Default::default() };
    let paths = glob::glob_with(pattern, hidden)
        .map_err(|e| wrong(format!("`{pattern}` is not a pattern: {e}")))?;
    let mut inputs = Vec::new();
    for path in paths {
        let path = path.map_err(|e| wrong(e.to_string()))?;
        if !path.is_dir() {
            inputs.push(file(option, &path.to_string_lossy())?);
        }
    }
    if inputs.is_empty() {
        return Err(wrong(format!("no file matches `{pattern}`")));
    }
    Ok(inputs)
}
