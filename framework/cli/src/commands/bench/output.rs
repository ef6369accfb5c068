//! Shows what was found, and writes what was asked for.

use std::io::Write;
use std::path::Path;

use gristmill_config::{Plan, Secrets, Source, rewrite};
use gristmill_stage::Registry;
use serde_json::Value;

use super::job::Setting;
use super::{Findings, report, table};
use crate::args::Bench;
use crate::exit::Exit;
use crate::say::say;

/// Prints the findings and writes the files.
pub fn finish(
    args: &Bench,
    source: &Source,
    plan: &Plan,
    registry: &Registry,
    found: &Findings,
) -> Exit {
    let mut exit = if args.json {
        let mut value = serde_json::to_value(found).unwrap_or_default();
        redact(&mut value, &plan.secrets);
        crate::commands::print(&format!("{value:#}\n"))
    } else {
        crate::commands::print(&plan.secrets.redact(&words(found)))
    };
    let mut write = |path: &Path, text: &str| match write(path, text) {
        Ok(()) => say(format!("wrote {}", path.display())),
        Err(error) => {
            say(format!("error: {} cannot be written: {error}", path.display()));
            exit = Exit::Failed;
        }
    };
    if let Some(path) = &args.report {
        write(path, &plan.secrets.redact(&report::page(found)));
    }
    if let Some((path, advice)) = args.write.as_ref().zip(found.advice.as_ref()) {
        let settings: Vec<_> = advice.stages.iter().map(|stage| &stage.setting).collect();
        let choices: Vec<_> = settings.iter().filter_map(|setting| setting.choice()).collect();
        let variables = crate::commands::variables(&args.set.set);
        match rewrite(source, &variables, registry, &choices) {
            Ok(text) => write(path, &text),
            Err(why) => {
                let change = advice.stages.iter().filter(|stage| stage.change);
                let words: Vec<_> = change.map(|stage| by_hand(&stage.setting)).collect();
                say(plan.secrets.redact(&format!(
                    "error: {} was not written, because the text cannot be changed safely: {why}\n\
                     help: change by hand {}",
                    path.display(),
                    words.join(", ")
                )));
                exit = Exit::Failed;
            }
        }
    }
    if found.complete { exit } else { Exit::Interrupted }
}

/// Takes secrets out of the texts; a number that looks like one stays a number.
fn redact(value: &mut Value, secrets: &Secrets) {
    match value {
        Value::String(text) => *text = secrets.redact(text).into_owned(),
        Value::Array(values) => values.iter_mut().for_each(|value| redact(value, secrets)),
        Value::Object(values) => values.values_mut().for_each(|value| redact(value, secrets)),
        _ => {}
    }
}

fn by_hand(setting: &Setting) -> String {
    let Setting { stage, mode, workers } = setting;
    format!("`{stage}` to run: {{ mode: {mode}, workers: {workers} }}")
}

/// Writes a file as a whole or not at all. It may be the pipeline itself.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut file = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))?;
    file.write_all(text.as_bytes())?;
    // Such files are made for their owner alone; this one is for whoever may read the others.
    let mode = std::fs::metadata(path).map(|old| old.permissions());
    let mode = mode.unwrap_or_else(|_| std::os::unix::fs::PermissionsExt::from_mode(0o644));
    file.as_file().set_permissions(mode)?;
    file.persist(path)?;
    Ok(())
}

/// The findings for a person.
fn words(found: &Findings) -> String {
    let mut text = String::new();
    for round in &found.rounds {
        text.push_str(&format!(
            "{}\n{}\n{}\n\n",
            round.heading(),
            table::table(round),
            round.caption()
        ));
    }
    if let Some(limit) = &found.limit {
        text.push_str(&format!("{}.\n", limit.words));
    }
    if let Some(advice) = &found.advice {
        text.push_str(&format!("\n{}\n", advice.words));
        for stage in &advice.stages {
            text.push_str(&format!("  {}\n", stage.words));
        }
        for note in &advice.notes {
            text.push_str(&format!("{note}\n"));
        }
    }
    if found.sinks == "muted" && found.stage.is_none() {
        text.push_str(
            "Sinks were muted: what they do themselves is not in these figures (--keep-sinks).\n",
        );
    }
    if !found.complete {
        text.push_str("Interrupted: this is what was measured until then.\n");
    }
    text
}
