//! `gristmill run`.

use std::env::VarError;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use gristmill_config::Plan;
use gristmill_demo::DemoSite;
use gristmill_otlp::{Chosen, Exporter, Settings};
use gristmill_runtime::view::Description;
use gristmill_runtime::{Ending, Outcome, Report, Run, RunOptions, Token, WorkerCommand};
use serde_json::Value;

use super::Loaded;
use crate::args;
use crate::exit::Exit;
use crate::figures;
use crate::log::Log;
use crate::progress::Progress;
use crate::say::say;
use crate::signals::Signals;
use crate::table::{records, tables};

/// The variable with the token of the live page.
const TOKEN: &str = "GRISTMILL_TOKEN";
/// How long the last metrics and spans may take on their way, when the run is over.
const LAST_EXPORT: Duration = Duration::from_secs(5);
/// How long stages may take to see that a run was broken off.
const GRACE: Duration = Duration::from_secs(2);

/// Runs a pipeline.
pub fn run(args: &args::Run, log: &Log) -> Exit {
    more_files();
    let (token, exporter) = match token(args).and_then(|token| Ok((token, exporter(args)?))) {
        Ok(both) => both,
        Err(words) => {
            say(format!("error: {words}"));
            return Exit::BadCommandLine;
        }
    };
    let Loaded { source, plan, registry } = match super::plan(&args.file, &args.set, &args.search) {
        Ok(loaded) => loaded,
        Err(exit) => return exit,
    };
    let secrets = plan.secrets.clone();
    log.hide(secrets.clone());
    let tell = |line: &str| say(secrets.redact(line));
    let fail = |message: String| {
        tell(&format!("error: {message}"));
        Exit::Failed
    };
    let signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(error) => return fail(format!("no signal can be caught: {error}")),
    };
    let mut options = RunOptions {
        metrics: args.metrics,
        token,
        worker: Some(WorkerCommand::this_program()),
        log: log.of_children(plan.stages.iter().map(|stage| stage.name.as_str())),
        tracing: exporter.as_ref().and_then(Exporter::tracing),
        description: Description {
            yaml: secrets.redact(source.text()).into_owned(),
            plan: super::check::described(&plan),
        },
        ..RunOptions::default()
    };
    let _site = match demo_site(&plan) {
        Ok(site) => site.inspect(|site| options.origins.add("demo", site.base())),
        Err(error) => return fail(format!("the demo site cannot start: {error}")),
    };
    let files: Vec<_> = plan.stages.iter().map(|stage| stage.writes.clone()).collect();
    let run = match Run::start(plan, &registry, options) {
        Ok(run) => run,
        Err(failure) => return fail(failure.to_string()),
    };
    signals.stops(run.stopper());
    let exporting = match exporter.map(|exporter| exporter.start(run.metrics())).transpose() {
        Ok(exporting) => exporting,
        Err(words) => return fail(words),
    };
    let progress = shown(&run, args, log);
    let report = watch(run, &signals, progress);
    match (args.quiet, log.is_json()) {
        (true, _) => {}
        (false, true) => records(&report),
        (false, false) => tell(&tables(&report)),
    }
    let (exit, lines) = end(&report, &files, args.quiet);
    lines.iter().for_each(|line| tell(line));
    // What came of the run was said: whoever reads it need not wait for a collector.
    if let Some(exporting) = exporting {
        exporting.finish(LAST_EXPORT);
    }
    exit
}

/// Says where the run can be looked at, and begins to show it.
fn shown(run: &Run, args: &args::Run, log: &Log) -> Progress {
    if let Some(addr) = run.metrics_addr() {
        say(format!("metrics at http://{addr}/metrics"));
    }
    if let Some(page) = run.page() {
        say(format!("live page at {page}"));
    }
    match args.tui {
        false => Progress::new(run, args.quiet, log.is_json()),
        true => Progress::full(run, log.held()).unwrap_or_else(|error| {
            say(format!("there is no terminal to show the run on: {error}"));
            Progress::new(run, false, log.is_json())
        }),
    }
}

/// What sends metrics and traces to a collector, if one was named.
fn exporter(args: &args::Run) -> Result<Option<Exporter>, String> {
    let chosen = Chosen { url: args.otlp.clone(), share: args.otlp_sample };
    let settings = Settings::find(&chosen, |name| std::env::var(name).ok())?;
    settings.map(Exporter::new).transpose()
}

/// The token that those who look at the run must have, if one was chosen. No message repeats it.
fn token(args: &args::Run) -> Result<Option<Token>, String> {
    let (name, chosen) = match (&args.token, std::env::var(TOKEN)) {
        _ if args.metrics.is_none() => return Ok(None),
        (Some(token), _) => ("--token", token.clone()),
        (None, Ok(token)) => (TOKEN, token),
        (None, Err(VarError::NotPresent)) => return Ok(None),
        (None, Err(VarError::NotUnicode(_))) => return Err(format!("{TOKEN}: this is no text")),
    };
    Token::chosen(&chosen).map(Some).map_err(|words| format!("{name}: {words}"))
}

/// Shows progress until the run is over.
fn watch(run: Run, signals: &Signals, mut progress: Progress) -> Report {
    let mut told = false;
    let mut aborted_at = None;
    // How many signals there were when a sink was first seen to publish after all.
    let mut publishing_at = None;
    while !run.wait_for(progress.tick()) {
        if run.is_aborted() {
            let since = *aborted_at.get_or_insert(run.elapsed());
            let publishing = run.publishing();
            if !publishing.is_empty() && publishing_at.is_none() {
                publishing_at = Some(signals.count());
                let names = publishing.join("`, `");
                say(format!(
                    "`{names}` is publishing right now; Ctrl-C again does not wait for it"
                ));
            }
            // Cut off in the middle of it, a file that is added to would end in half a row.
            let over = run.elapsed().saturating_sub(since) > GRACE;
            let waits = publishing_at.is_some_and(|count| signals.count() <= count);
            if over && (publishing.is_empty() || !waits) {
                break;
            }
        } else if signals.count() > 0 && !told {
            told = true;
            say("stopping: what was read is worked through; Ctrl-C again stops at once");
        }
        progress.update(&run, signals);
    }
    progress.clear();
    run.into_report()
}

/// How the run ended, and what to say of it.
fn end(report: &Report, files: &[Vec<PathBuf>], quiet: bool) -> (Exit, Vec<String>) {
    let took = figures::time(report.took);
    let mut lines = Vec::new();
    let path = report.rejected_path.display();
    match report.rejected {
        0 => {}
        // The file could not be made; the failure says why.
        _ if !report.rejected_path.exists() => {}
        1 => lines.push(format!("1 row was rejected; it is in {path}")),
        rows => {
            let rows = figures::count(rows);
            lines.push(format!("{rows} rows were rejected; they are in {path}"));
        }
    }
    let exit = match &report.outcome {
        Outcome::Failed(failure) => {
            lines.extend(published(report, files));
            lines.push(format!("error: {failure}"));
            Exit::Failed
        }
        Outcome::Aborted => {
            lines.extend(published(report, files));
            lines.push(format!("broken off after {took}; no unfinished file was published"));
            Exit::Interrupted
        }
        Outcome::Stopped => {
            let what = "the results are complete for what was read";
            lines.push(format!("interrupted after {took}; {what}"));
            Exit::Interrupted
        }
        Outcome::Done => {
            if !quiet {
                let files = names(files.iter().flatten());
                let wrote = if files.is_empty() { "" } else { "; wrote " };
                lines.push(format!("done in {took}{wrote}{files}"));
            }
            if report.rejected > 0 { Exit::Rejected } else { Exit::Done }
        }
    };
    (exit, lines)
}

/// What a run that did not come to its end has published all the same.
fn published(report: &Report, files: &[Vec<PathBuf>]) -> Vec<String> {
    let of = |ending| {
        let stages = report.stages.iter().zip(files);
        names(stages.filter(|(stage, _)| stage.ending == ending).flat_map(|(_, files)| files))
    };
    let said = [
        ("complete and published before", of(Ending::Complete)),
        ("published or not, it was just about to be", of(Ending::Closing)),
    ];
    let said = said.into_iter().filter(|(_, files)| !files.is_empty());
    said.map(|(what, files)| format!("{what}: {files}")).collect()
}

fn names<'a>(files: impl Iterator<Item = &'a PathBuf>) -> String {
    files.map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// Raises the limit of open files as far as the machine allows: sockets and threaded workers with
/// async work need many, and the usual limit is from other times.
pub(super) fn more_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Where it is not allowed, the old limit holds.
    let _ = setrlimit(Resource::Nofile, limit);
}

/// Starts the demo site if the pipeline names it.
pub(super) fn demo_site(plan: &Plan) -> std::io::Result<Option<DemoSite>> {
    if !plan.stages.iter().any(|stage| names_demo(&stage.options)) {
        return Ok(None);
    }
    DemoSite::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).map(Some)
}

fn names_demo(value: &Value) -> bool {
    match value {
        Value::String(text) => text.starts_with("demo:"),
        Value::Array(values) => values.iter().any(names_demo),
        Value::Object(values) => values.values().any(names_demo),
        _ => false,
    }
}
