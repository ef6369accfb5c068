//! What no compiler holds: the length of files and functions, which way the arrows between crates
//! run, and words that have no place in a crate.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::path::{Path, PathBuf};

const FILE_LINES: usize = 400;
const FUNCTION_LINES: usize = 70;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn files(folder: &str, ending: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                if !path.ends_with("target") {
                    folders.push(path);
                }
            } else if path.to_string_lossy().ends_with(ending) {
                let name = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
                found.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(!found.is_empty(), "no {ending} in {folder}");
    found.sort();
    found
}

fn rust() -> Vec<(String, String)> {
    ["framework", "plugins", "examples", "tests"].iter().flat_map(|f| files(f, ".rs")).collect()
}

/// The code of a file: all before its unit tests.
fn code(text: &str) -> Vec<&str> {
    text.lines().take_while(|line| line.trim() != "#[cfg(test)]").collect()
}

fn fail_with(title: &str, found: Vec<String>) {
    assert!(found.is_empty(), "{title}:\n  {}", found.join("\n  "));
}

#[test]
fn files_are_short() {
    let long = rust().into_iter().filter(|(name, _)| !name.contains("/tests/"));
    let long = long.filter_map(|(name, text)| {
        let lines = code(&text).len();
        (lines > FILE_LINES).then(|| format!("{name}: {lines} lines"))
    });
    fail_with("files of more than 400 lines of code", long.collect());
}

#[test]
fn functions_are_short() {
    let mut long = Vec::new();
    for (name, text) in rust().into_iter().filter(|(name, _)| !name.contains("/tests/")) {
        let mut start: Option<(usize, usize)> = None;
        for (number, line) in code(&text).into_iter().enumerate() {
            let indent = line.len() - line.trim_start().len();
            let word = line.trim_start();
            let is_function = ["fn ", "pub fn ", "pub(crate) fn ", "async fn ", "pub async fn "]
                .iter()
                .any(|head| word.starts_with(head));
            if is_function && start.is_none() && word.ends_with(['{', '(', '>']) {
                start = Some((number, indent));
            } else if let Some((begun, at)) = start
                && indent == at
                && word == "}"
            {
                if number - begun > FUNCTION_LINES {
                    long.push(format!("{name}:{}: {} lines", begun + 1, number - begun));
                }
                start = None;
            }
        }
    }
    fail_with("functions of more than 70 lines", long);
}

/// The crates of ours that a manifest names outside of its dev-dependencies.
fn ours(manifest: &str) -> Vec<String> {
    let mut dev = false;
    let mut names = Vec::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            dev = line.starts_with("[dev-dependencies");
        } else if line.starts_with("gristmill-") && !dev {
            names.push(line.split(['.', ' ', '=']).next().unwrap().to_owned());
        }
    }
    names
}

#[test]
fn arrows_between_crates_run_one_way() {
    let mut wrong = Vec::new();
    for (name, manifest) in ["framework", "plugins"].iter().flat_map(|f| files(f, "Cargo.toml")) {
        let allowed: &[&str] = match name.split('/').nth(1).unwrap() {
            _ if name.starts_with("plugins/") => &["gristmill-stage", "gristmill-abi"],
            "stage" | "demo" => &[],
            // Its fuzzer is a program of its own.
            "wire" if name.contains("/fuzz/") => continue,
            "abi" | "config" | "testkit" | "wire" => &["gristmill-stage"],
            "loader" => &["gristmill-stage", "gristmill-abi"],
            "runtime" => &["gristmill-stage", "gristmill-config", "gristmill-wire"],
            "otlp" => &["gristmill-runtime"],
            "cli" => continue,
            other => panic!("{other}: say here what it may depend on"),
        };
        let other = ours(&manifest).into_iter().filter(|one| !allowed.contains(&one.as_str()));
        wrong.extend(other.map(|one| format!("{name} -> {one}")));
    }
    fail_with("arrows that ARCHITECTURE.md does not allow", wrong);
}

/// Crates that may be unsafe: the border of plugins on its two sides, and one file of the benchmarks.
const UNSAFE: [&str; 3] = ["framework/abi/", "framework/loader/", "tests/benchmarks/src/ring.rs"];

#[test]
fn unsafe_is_where_it_may_be() {
    let may = |name: &str| UNSAFE.iter().any(|one| name.starts_with(one));
    let mut found = Vec::new();
    for (name, text) in rust().into_iter().filter(|(name, _)| !may(name)) {
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap();
            let word = ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern", "#[unsafe("];
            // This test has the words in quotes.
            if word.iter().any(|word| code.contains(word)) && !name.ends_with("tidy.rs") {
                found.push(format!("{name}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    let manifests =
        ["framework", "plugins", "examples"].iter().flat_map(|f| files(f, "Cargo.toml"));
    // The fuzzer is a workspace of its own, and templates are projects of their own.
    let ours =
        manifests.filter(|(name, _)| !name.contains("/fuzz/") && !name.contains("/templates/"));
    for (name, manifest) in ours.filter(|(name, _)| !may(name)) {
        if !manifest.contains("\n[lints]\nworkspace = true\n") {
            found.push(format!("{name}: the lints of the workspace are missing"));
        }
    }
    fail_with("unsafe code outside of framework/abi and framework/loader", found);
}

#[test]
fn plugins_know_nothing_of_how_they_run() {
    // Words that would tie a stage to a mode, a thread, a channel or a metric.
    let words = [
        "std::thread",
        "thread::spawn",
        "mpsc",
        "async_channel",
        "metrics::",
        "Runtime::new",
        "Builder::new_multi_thread",
        "Builder::new_current_thread",
        "\"threaded\"",
        "\"pooled\"",
    ];
    let mut found = Vec::new();
    for (name, text) in files("plugins", ".rs") {
        if name.contains("/tests/") {
            continue;
        }
        for (number, line) in code(&text).into_iter().enumerate() {
            for word in words {
                if line.contains(word) && !line.trim_start().starts_with("//") {
                    found.push(format!("{name}:{}: {word}", number + 1));
                }
            }
        }
    }
    fail_with("plugins that know how they run", found);
}

#[test]
fn nothing_is_global_or_unbounded() {
    let words = ["unbounded", "static mut", "lazy_static", "static ref"];
    let mut found = Vec::new();
    for (name, text) in ["framework", "plugins"].iter().flat_map(|f| files(f, ".rs")) {
        if name.contains("/tests/") {
            continue;
        }
        for (number, line) in code(&text).into_iter().enumerate() {
            let global = line.trim_start().starts_with("static ")
                && ["Mutex", "Atomic", "OnceLock", "LazyLock", "RwLock"]
                    .iter()
                    .any(|w| line.contains(w));
            let word = words.iter().any(|word| line.contains(word));
            if (global || word) && !line.trim_start().starts_with("//") {
                found.push(format!("{name}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    fail_with("globals, or channels without a bound", found);
}

#[test]
fn arrow_is_there_once() {
    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let majors: Vec<_> = lock
        .split("[[package]]")
        .filter(|package| package.contains("\nname = \"arrow-array\"\n"))
        .collect();
    assert_eq!(majors.len(), 1, "{majors:?}");
    for banned in ["aws-lc-sys", "aws-lc-rs", "cmake", "openssl-sys"] {
        assert!(!lock.contains(&format!("\nname = \"{banned}\"\n")), "{banned} is in the tree");
    }
}
