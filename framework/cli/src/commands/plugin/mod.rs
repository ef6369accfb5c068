//! `gristmill plugin`: looks at a plugin, and tests it.

mod suite;
mod watch;

use std::fmt::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gristmill_loader::{Loader, Wanted};
use gristmill_runtime::metric::of_reading;
use gristmill_runtime::program_kinds;
use gristmill_stage::reading::Declared;
use gristmill_stage::{Kind, Result};
use serde_json::{Value, json};

use crate::args::{Inspect, Plugin, Which};
use crate::exit::Exit;
use crate::say::say;

/// Does what is asked of a plugin.
pub fn plugin(args: &Plugin) -> Exit {
    let done = match args {
        Plugin::Inspect(args) => inspect(args),
        Plugin::Test(args) if args.in_process => watch::here(args),
        Plugin::Test(args) => watch::apart(args),
        Plugin::TestRun => watch::child(),
    };
    done.unwrap_or_else(|error| {
        refused(error.message(), error.help_text());
        Exit::BadConfiguration
    })
}

/// Shows why nothing was done.
fn refused(message: &str, help: Option<&str>) {
    say(format!("error: {message}"));
    if let Some(help) = help {
        say(format!("  = help: {help}"));
    }
}

/// A file that somebody names at a prompt, or a name that is searched for.
fn wanted(name: &str) -> String {
    match Path::new(name).is_file() && !name.contains('/') {
        true => format!("./{name}"),
        false => name.to_owned(),
    }
}

/// What is to be said of a plugin besides its kinds.
enum About {
    Library { file: PathBuf, sha256: String, software: String, version: (u32, u32) },
    Program { argv: Vec<String> },
}

/// The kinds of a plugin; of a library the one that has this SHA-256, if it is given.
fn kinds(which: &Which, sha256: Option<&str>) -> Result<(Vec<Arc<dyn Kind>>, About)> {
    let Some(file) = &which.file else {
        let argv = which.command.clone();
        return Ok((program_kinds(&argv, Path::new("."), None)?, About::Program { argv }));
    };
    let path = wanted(file);
    let library =
        Loader::new([]).strict().open(Wanted { path: &path, folder: Path::new("."), sha256 })?;
    let about = About::Library {
        file: library.path().to_owned(),
        sha256: library.sha256().to_owned(),
        software: library.software().to_owned(),
        version: library.version(),
    };
    Ok((library.kinds(None), about))
}

fn inspect(args: &Inspect) -> Result<Exit> {
    let mut pin = None;
    if let Some(file) = &args.which.file {
        let path = wanted(file);
        let folder = Path::new(".");
        let seen = Loader::new([]).look(Wanted { path: &path, folder, sha256: None })?;
        let path = seen.path.display();
        if !args.json {
            // Before anything of the library is run, which may end this process.
            let printed = super::print(&format!("file:      {path}\nsha256:    {}\n", seen.sha256));
            if args.no_load || printed != Exit::Done {
                return Ok(printed);
            }
            say("note: to know its kinds it is loaded now, and that runs code of it");
        } else if args.no_load {
            let json = json!({ "file": path.to_string(), "sha256": seen.sha256 });
            return Ok(super::print(&format!("{json:#}\n")));
        }
        pin = Some(seen.sha256);
    }
    let (kinds, about) = kinds(&args.which, pin.as_deref())?;
    let mut text = String::new();
    if args.json {
        let _ = writeln!(text, "{:#}", as_json(&kinds, about));
    } else {
        // Writing into a string does not fail.
        let _ = describe(&kinds, &about, &mut text);
    }
    Ok(super::print(&text))
}

fn describe(kinds: &[Arc<dyn Kind>], about: &About, out: &mut String) -> fmt::Result {
    match about {
        About::Library { software, version: (major, minor), .. } => {
            writeln!(out, "plugin:    {software}\ninterface: {major}.{minor}")?;
        }
        About::Program { argv } => writeln!(out, "command:   {}", argv.join(" "))?,
    }
    for kind in kinds {
        writeln!(out, "\n{} ({}): {}", kind.name(), kind.role().name(), kind.summary())?;
        let schema = kind.options();
        let options = schema.get("properties").and_then(Value::as_object);
        for (name, option) in options.into_iter().flatten() {
            let says = option.get("description").and_then(Value::as_str).unwrap_or_default();
            writeln!(out, "  {name}: {}", says.lines().next().unwrap_or_default())?;
        }
        for reading in kind.readings() {
            let name = of_reading(kind.name(), reading);
            writeln!(out, "  metric {name}: {}", reading.help.lines().next().unwrap_or_default())?;
        }
    }
    Ok(())
}

fn as_json(kinds: &[Arc<dyn Kind>], about: About) -> Value {
    let kind = |kind: &Arc<dyn Kind>| {
        let readings: Vec<Declared> = kind.readings().iter().map(Declared::of).collect();
        json!({
            "kind": kind.name(), "role": kind.role().name(), "summary": kind.summary(),
            "example": kind.example(), "input": kind.input(), "output": kind.output(),
            "options": kind.options(), "readings": readings,
        })
    };
    let kinds: Vec<Value> = kinds.iter().map(kind).collect();
    match about {
        About::Library { file, sha256, software, version: (major, minor) } => json!({
            "file": file, "sha256": sha256, "plugin": software,
            "interface": { "major": major, "minor": minor }, "kinds": kinds,
        }),
        About::Program { argv } => json!({ "command": argv, "kinds": kinds }),
    }
}
