//! Whether there is a program of a name.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use gristmill_stage::{Error, Result};

/// Looks for it where the system would.
///
/// # Errors
/// When there is none that may be run.
pub(crate) fn find(name: &str) -> Result<()> {
    let wrong = |text: String, help: &str| Err(Error::option("command[0]", text).help(help));
    if name.is_empty() {
        return wrong("the program has no name".to_owned(), "write it as `[jq, -c, .]`");
    }
    if name.contains('/') {
        return match (runs(Path::new(name)), Path::new(name).exists()) {
            (true, _) => Ok(()),
            (false, true) => wrong(format!("`{name}` is no program that may be run"), "chmod +x"),
            (false, false) => wrong(
                format!("there is no program `{name}`"),
                "a path is seen from where the run is started",
            ),
        };
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    match std::env::split_paths(&path).any(|folder| runs(&folder.join(name))) {
        true => Ok(()),
        false => wrong(
            format!("there is no program `{name}`"),
            "it is looked for in the folders of PATH; is it installed?",
        ),
    }
}

fn runs(path: &Path) -> bool {
    let found = path.metadata();
    found.is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}
