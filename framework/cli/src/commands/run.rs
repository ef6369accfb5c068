//! `gristmill run`.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use gristmill_config::Plan;
use gristmill_demo::DemoSite;
use gristmill_runtime::{Outcome, Report, Run, RunOptions};
use serde_json::Value;

use crate::args;
use crate::exit::Exit;
use crate::figures;
use crate::kinds;
use crate::progress::Progress;
use crate::signals::Signals;
use crate::table::table;

/// How long stages may take to see that a run was broken off.
const GRACE: Duration = Duration::from_secs(2);

/// Runs a pipeline.
pub fn run(args: &args::Run) -> Exit {
    let registry = kinds::built_in();
    let plan = match super::plan(&args.file, &args.set, &registry) {
        Ok(plan) => plan,
        Err(problems) => {
            super::show(&problems);
            return Exit::BadConfiguration;
        }
    };
    let secrets = plan.secrets.clone();
    let fail = |message: String| {
        eprintln!("error: {}", secrets.redact(&message));
        Exit::Failed
    };
    let mut options = RunOptions { metrics: args.metrics, ..RunOptions::default() };
    let _site = match demo_site(&plan) {
        Ok(site) => site.inspect(|site| options.origins.add("demo", site.base())),
        Err(error) => return fail(format!("the demo site cannot start: {error}")),
    };
    let files: Vec<_> = plan.stages.iter().flat_map(|stage| stage.writes.clone()).collect();
    let run = match Run::start(plan, &registry, options) {
        Ok(run) => run,
        Err(failure) => return fail(failure.to_string()),
    };
    let signals = match Signals::listen(run.stopper()) {
        Ok(signals) => signals,
        Err(error) => return fail(format!("no signal can be caught: {error}")),
    };
    if let Some(addr) = run.metrics_addr() {
        eprintln!("metrics at http://{addr}/metrics");
    }
    let report = watch(run, &signals, args.quiet);
    if !args.quiet {
        eprintln!("{}", table(&report));
    }
    end(&report, &files, args.quiet, fail)
}

/// Shows progress until the run is over.
fn watch(run: Run, signals: &Signals, quiet: bool) -> Report {
    let mut progress = Progress::new(&run, quiet);
    let mut told = false;
    let mut aborted_at = None;
    while !run.wait_for(progress.tick()) {
        if signals.count() > 0 && !told {
            told = true;
            eprintln!("stopping: what was read is worked through; Ctrl-C again stops at once");
        }
        if signals.count() > 1 {
            let since = *aborted_at.get_or_insert(run.elapsed());
            if run.elapsed().saturating_sub(since) > GRACE {
                break;
            }
        }
        progress.update(&run);
    }
    progress.clear();
    run.into_report()
}

/// Says how the run ended.
fn end(
    report: &Report,
    files: &[std::path::PathBuf],
    quiet: bool,
    fail: impl Fn(String) -> Exit,
) -> Exit {
    let took = figures::time(report.took);
    if report.rejected > 0 {
        let path = report.rejected_path.display();
        match report.rejected {
            1 => eprintln!("1 row was rejected; it is in {path}"),
            rows => eprintln!("{} rows were rejected; they are in {path}", figures::count(rows)),
        }
    }
    match &report.outcome {
        Outcome::Failed(failure) => fail(failure.to_string()),
        Outcome::Aborted => {
            eprintln!("broken off after {took}; nothing unfinished was published");
            Exit::Interrupted
        }
        Outcome::Stopped => {
            eprintln!("interrupted after {took}; the results are complete for what was read");
            Exit::Interrupted
        }
        Outcome::Done => {
            if !quiet {
                let files: Vec<_> = files.iter().map(|f| f.display().to_string()).collect();
                let wrote = if files.is_empty() { "" } else { "; wrote " };
                eprintln!("done in {took}{wrote}{}", files.join(", "));
            }
            if report.rejected > 0 { Exit::Rejected } else { Exit::Done }
        }
    }
}

/// Starts the demo site if the pipeline names it.
fn demo_site(plan: &Plan) -> std::io::Result<Option<DemoSite>> {
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
