//! Rivals from PyPI.

use std::path::PathBuf;
use std::process::Command;

/// A Python that has these packages, in a folder of its own that is made once. `None`, and why on
/// stderr, where they cannot be had.
pub fn python(packages: &[&str]) -> Option<PathBuf> {
    let folder = std::env::temp_dir().join(format!("gristmill-rivals-{}", packages.join("-")));
    let program = folder.join("bin").join("python");
    let works = |mut command: Command| {
        let output = command.output();
        output.ok().filter(|output| output.status.success()).is_some()
    };
    let has_all = || {
        let mut import = Command::new(&program);
        import.args(["-c", &format!("import {}", packages.join(", "))]);
        works(import)
    };
    if has_all() {
        return Some(program);
    }
    eprintln!("installing {} from PyPI", packages.join(", "));
    let mut venv = Command::new("python3");
    venv.args(["-m", "venv"]).arg(&folder);
    let mut pip = Command::new(&program);
    pip.args(["-m", "pip", "install", "--quiet"]).args(packages);
    if works(venv) && works(pip) && has_all() {
        return Some(program);
    }
    eprintln!("they cannot be installed here (it takes python3 and PyPI): measured without them");
    None
}
