//! `gristmill new`: begins a plugin or a pipeline from a template that runs as it stands.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::args::{Lang, New, NewPipeline, NewPlugin, Template};
use crate::exit::Exit;
use crate::kinds;
use crate::say::say;

/// A file of a template: its path in the new folder, and its text.
type File = (&'static str, &'static str);

const RUST: [File; 5] = [
    ("Cargo.toml", include_str!("../../templates/rust/Cargo.toml")),
    ("src/lib.rs", include_str!("../../templates/rust/lib.rs")),
    ("pipeline.yaml", include_str!("../../templates/rust/pipeline.yaml")),
    ("guests.csv", include_str!("../../templates/guests.csv")),
    ("README.md", include_str!("../../templates/rust/README.md")),
];

const C: [File; 6] = [
    ("stage.c", include_str!("../../templates/c/stage.c")),
    ("gristmill.h", gristmill_abi::HEADER),
    ("Makefile", include_str!("../../templates/c/Makefile")),
    ("pipeline.yaml", include_str!("../../templates/c/pipeline.yaml")),
    ("guests.csv", include_str!("../../templates/guests.csv")),
    ("README.md", include_str!("../../templates/c/README.md")),
];

const PYTHON: [File; 5] = [
    ("stage.py", include_str!("../../templates/python/stage.py")),
    ("test_stage.py", include_str!("../../templates/python/test_stage.py")),
    ("requirements.txt", include_str!("../../templates/python/requirements.txt")),
    ("pipeline.yaml", include_str!("../../templates/python/pipeline.yaml")),
    ("README.md", include_str!("../../templates/python/README.md")),
];

/// Where the source of this program was when it was built.
const CHECKOUT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
/// Where it is published.
const REPOSITORY: &str = env!("CARGO_PKG_REPOSITORY");

/// Begins something.
pub fn new(args: &New) -> Exit {
    let made = match args {
        New::Plugin(args) => plugin(args),
        New::Pipeline(args) => pipeline(args),
    };
    match made {
        Ok(text) => super::print(&text),
        Err(text) => {
            say(format!("error: {text}"));
            Exit::BadConfiguration
        }
    }
}

fn plugin(args: &NewPlugin) -> Result<String, String> {
    let name = stem(&args.path)?;
    free(&name, args.lang)?;
    let crate_name = name.replace('-', "_");
    let abi = match args.lang {
        Lang::Rust => dependencies(),
        Lang::C => Vec::new(),
        Lang::Python => vec![("{{sdk}}", sdk())],
    };
    let fill = |text: &str| {
        let text = text.replace("{{name}}", &name).replace("{{crate}}", &crate_name);
        let text = text.replace("{{kind}}", &name);
        abi.iter().fold(text, |text, (hole, what)| text.replace(hole, what))
    };
    let files: &[File] = match args.lang {
        Lang::Rust => &RUST,
        Lang::C => &C,
        Lang::Python => &PYTHON,
    };
    // The header has nothing to fill in.
    let filled = |(path, text): &File| match *path {
        "gristmill.h" => (*path, (*text).to_owned()),
        path => (path, fill(text)),
    };
    make(&args.path, files.iter().map(filled))?;
    let then = match args.lang {
        Lang::Rust => {
            lock(&args.path);
            "cargo build && gristmill run pipeline.yaml"
        }
        Lang::C => "make && gristmill run pipeline.yaml",
        Lang::Python => "pip install -r requirements.txt && gristmill run pipeline.yaml",
    };
    let path = args.path.display();
    Ok(format!("made the plugin {name} in {path}; try it:\n\n  cd {path} && {then}\n"))
}

fn pipeline(args: &NewPipeline) -> Result<String, String> {
    let name = stem(&args.path)?;
    let folder = args.path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let yaml = format!("{name}.yaml");
    let csv = format!("{name}.csv");
    let text = match args.template {
        Template::Fetch => include_str!("../../templates/pipelines/fetch.yaml"),
        Template::Files => include_str!("../../templates/pipelines/files.yaml"),
    };
    let mut files = vec![(yaml.as_str(), text.replace("{{name}}", &name))];
    if args.template == Template::Files {
        files.push((csv.as_str(), include_str!("../../templates/guests.csv").to_owned()));
    }
    for (path, text) in files {
        write(&folder.join(path), &text)?;
    }
    let path = folder.join(&yaml);
    Ok(format!("made {}; try it:\n\n  gristmill run {}\n", path.display(), path.display()))
}

/// The name of what is made: the last part of its path, which also names a crate and a kind.
fn stem(path: &Path) -> Result<String, String> {
    let name = path.file_stem().map(|name| name.to_string_lossy().into_owned());
    let name = name.unwrap_or_default();
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    let begins = name.starts_with(|c: char| c.is_ascii_lowercase());
    match begins && name.len() <= 64 && name.chars().all(fits) {
        true => Ok(name),
        false => Err(format!(
            "`{name}` cannot name it\n  = help: take letters from a to z, digits, `-` and `_`"
        )),
    }
}

/// Words of Rust, those that are reserved among them.
const KEYWORDS: &str = "as async await break const continue crate dyn else enum extern false fn for gen if impl in let \
    loop match mod move mut pub ref return self static struct super trait true type unsafe use where while \
    abstract become box do final macro override priv try typeof unsized virtual yield";
/// Crates that every crate has.
const STANDARD: &str = "std core alloc proc_macro test";
/// Crates that the template uses.
const USED: &str = "gristmill_abi gristmill_stage gristmill_testkit serde serde_json";

/// That no other has the name already, whom the build or a pipeline would take for this one.
fn free(name: &str, lang: Lang) -> Result<(), String> {
    let taken = |text: String, other: &str| {
        Err(format!("{text}\n  = help: take another name, such as `{other}`"))
    };
    if kinds::built_in().get(name).is_some() {
        let text = format!(
            "there is a built-in kind `{name}`, and a pipeline could not tell the two apart"
        );
        return taken(text, &format!("my-{name}"));
    }
    let (crate_name, other) = (name.replace('-', "_"), format!("{name}-rows"));
    let is_in = |words: &str| words.split_whitespace().any(|word| word == crate_name);
    match lang {
        Lang::Rust if is_in(KEYWORDS) => {
            taken(format!("`{name}` is a word of Rust, so no crate can be named so"), &other)
        }
        Lang::Rust if is_in(STANDARD) => {
            taken(format!("`{name}` is a crate of Rust itself"), &other)
        }
        Lang::Rust if is_in(USED) => {
            taken(format!("`{name}` is a crate that the plugin uses"), &other)
        }
        _ => Ok(()),
    }
}

/// How a new crate finds ours: in the checkout that this program was built from, if that is still there,
/// so that no network is needed; otherwise where it is published.
fn dependencies() -> Vec<(&'static str, String)> {
    let checkout = Path::new(CHECKOUT).canonicalize().ok();
    let checkout = checkout.filter(|root| root.join("framework/abi/Cargo.toml").is_file());
    let from = |name: &str, features: &str| {
        let place = match &checkout {
            Some(root) => {
                format!("path = {:?}", root.join("framework").join(name).display().to_string())
            }
            None => format!("git = {REPOSITORY:?}"),
        };
        format!("{{ {place}{features} }}")
    };
    vec![
        ("{{abi}}", from("abi", "")),
        ("{{stage}}", from("stage", ", features = [\"rows\"]")),
        ("{{testkit}}", from("testkit", "")),
    ]
}

/// How a new program in Python finds the SDK.
fn sdk() -> String {
    let checkout = Path::new(CHECKOUT).join("plugins/python").canonicalize().ok();
    checkout.map_or_else(|| "gristmill".to_owned(), |sdk| sdk.display().to_string())
}

/// Takes the versions that this program was built with, so that what it has fetched serves again.
fn lock(folder: &Path) {
    // Without them, cargo chooses.
    let _ = fs::copy(Path::new(CHECKOUT).join("Cargo.lock"), folder.join("Cargo.lock"));
}

/// Makes a folder with files.
fn make<'a>(folder: &Path, files: impl Iterator<Item = (&'a str, String)>) -> Result<(), String> {
    if folder.exists() {
        return Err(format!(
            "{} is there already\n  = help: give a name that is not taken",
            folder.display()
        ));
    }
    for (path, text) in files {
        let path: PathBuf = folder.join(path);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|e| cannot(folder, &e))?;
        }
        write(&path, &text)?;
    }
    Ok(())
}

/// Writes a file that is not there yet.
fn write(path: &Path, text: &str) -> Result<(), String> {
    let mut file = fs::File::create_new(path).map_err(|e| cannot(path, &e))?;
    io::Write::write_all(&mut file, text.as_bytes()).map_err(|e| cannot(path, &e))
}

fn cannot(path: &Path, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AlreadyExists => {
            format!("{} is there already\n  = help: give a name that is not taken", path.display())
        }
        _ => format!("{} cannot be made: {error}", path.display()),
    }
}
