//! Libraries that tests load: those of the workspace, and such in C as they make.
#![allow(dead_code, reason = "each test file uses its part")]

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::Place;

/// Where the libraries of the workspace are.
pub fn libraries() -> PathBuf {
    std::env::current_exe().unwrap().parent().unwrap().to_owned()
}

/// The workspace.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Makes a library of a file in C.
pub fn compile(place: &Place, source: &Path, name: &str) {
    let compiled = Command::new("cc")
        .args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-O1", "-shared", "-fPIC"])
        .arg(format!("-I{}", root().join("framework/abi/include").display()))
        .arg("-o")
        .args([&place.path().join(name), source])
        .output()
        .unwrap();
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
}
