//! `gristmill explain`: what limits a pipeline, and what to change.

use std::time::Duration;

use gristmill_runtime::view::{self, Cause, Description, RunView};
use gristmill_runtime::{Outcome, Run, RunOptions, WorkerCommand};
use serde_json::json;

use super::Loaded;
use crate::args::Explain;
use crate::client::Client;
use crate::exit::Exit;
use crate::log::Log;
use crate::say::failed;
use crate::signals::Signals;

/// How far one view looks back, in seconds.
const WINDOW: f64 = view::WINDOW.as_secs() as f64;
/// How long stages may take to see that the run is broken off.
const GRACE: Duration = Duration::from_secs(2);
/// How often a run is looked at.
const TICK: Duration = Duration::from_millis(200);

/// Looks, and says what limits.
pub fn explain(args: &Explain, log: &Log) -> Exit {
    let looked = match Client::is_named(&args.what) {
        true => remote(args).map_err(failed),
        false => local(args, log),
    };
    match looked {
        Ok(views) => tell(args, &views),
        Err(exit) => exit,
    }
}

/// Asks a run until what it says covers the time. A view looks back so far and no further, so a longer
/// time takes several.
fn remote(args: &Explain) -> Result<Vec<RunView>, String> {
    let client = Client::new(&args.what)?;
    let (mut views, mut left) = (Vec::<RunView>::new(), args.time.as_secs_f64());
    // How much of the present view was waited for.
    let mut waited = 0.0;
    loop {
        let view: RunView = match client.json("/api/view") {
            Ok(view) => view,
            // It ended meanwhile; what was seen of it counts.
            Err(_) if !views.is_empty() => return Ok(views),
            Err(why) => return Err(why),
        };
        let over = view.limit.cause == Cause::Over;
        let missing = left.min(WINDOW) - view.window.max(waited);
        // A run that is older than the window has its first answer ready.
        if missing > 0.05 && !over {
            let pause = missing.min(1.0);
            std::thread::sleep(Duration::from_secs_f64(pause));
            waited += pause;
            continue;
        }
        // At the end nothing limits any more; what was before counts.
        if !over || views.is_empty() {
            views.push(view);
        }
        left -= WINDOW;
        if over || left < 1.0 {
            return Ok(views);
        }
        std::thread::sleep(Duration::from_secs_f64(left.min(WINDOW)));
        waited = WINDOW;
    }
}

/// Runs a pipeline and looks at it.
fn local(args: &Explain, log: &Log) -> Result<Vec<RunView>, Exit> {
    super::run::more_files();
    let Loaded { plan, registry, .. } = super::plan(&args.what, &args.set, &args.search)?;
    let secrets = plan.secrets.clone();
    log.hide(secrets.clone());
    let fail = |why: String| failed(secrets.redact(&why));
    let signals = Signals::listen().map_err(|e| fail(format!("no signal can be caught: {e}")))?;
    let worker = Some(WorkerCommand::this_program());
    let description = Description::default();
    let mut options = RunOptions { worker, description, ..RunOptions::default() };
    let site = super::run::demo_site(&plan);
    let site = site.map_err(|error| fail(format!("the demo site cannot start: {error}")))?;
    if let Some(site) = &site {
        options.origins.add("demo", site.base());
    }
    let run = Run::start(plan, &registry, options).map_err(|failure| fail(failure.to_string()))?;
    signals.stops(run.stopper());
    let mut views: Vec<RunView> = vec![run.view()];
    let mut kept = Duration::ZERO;
    while !run.wait_for(TICK) && signals.count() == 0 {
        let (view, now) = (run.view(), run.elapsed());
        // At the end nothing limits any more; what was before counts.
        if view.limit.cause == Cause::Over {
            continue;
        }
        if now.saturating_sub(kept).as_secs_f64() >= WINDOW {
            kept = now;
            views.push(view);
        } else if let Some(last) = views.last_mut() {
            *last = view;
        }
        if now >= args.time {
            run.stopper().abort();
            // What stands aside of unfinished files is taken away meanwhile.
            run.wait_for(GRACE);
            break;
        }
    }
    let report = run.into_report();
    if let Outcome::Failed(failure) = &report.outcome {
        return Err(fail(failure.to_string()));
    }
    Ok(views)
}

/// What a view says: the stage that limits, and the cause.
fn named(view: &RunView) -> (Option<&str>, Cause) {
    let stage = view.limit.stage.and_then(|id| view.stages.get(id));
    (stage.map(|stage| stage.name.as_str()), view.limit.cause)
}

/// The view whose diagnosis holds for most of the time, the latest of these, and of how many.
fn most(views: &[RunView]) -> Option<(&RunView, usize)> {
    let alike = |view: &RunView| views.iter().filter(|one| named(one) == named(view)).count();
    let view = views.iter().max_by_key(|view| alike(view))?;
    Some((view, alike(view)))
}

fn tell(args: &Explain, views: &[RunView]) -> Exit {
    let Some((view, alike)) = most(views) else { return Exit::Failed };
    let (stage, cause) = named(view);
    if args.json {
        let stages = view.stages.iter().map(|stage| {
            json!({
                "stage": stage.name,
                "times": stage.recent.times,
                "processors": stage.recent.processors,
                "rows_in": stage.recent.rows_in,
                "rows_out": stage.recent.rows_out,
            })
        });
        let starved = view.limit.starved.iter().filter_map(|&id| view.stages.get(id));
        let found = json!({
            "pipeline": view.pipeline,
            "stage": stage,
            "cause": cause,
            "worker": view.limit.worker,
            "starved": starved.map(|stage| &stage.name).collect::<Vec<_>>(),
            "words": view.limit.words,
            "evidence": view.limit.evidence,
            "looks": views.len(),
            "agree": alike,
            "seconds": view.window,
            "stages": stages.collect::<Vec<_>>(),
        });
        return super::print(&format!("{found:#}\n"));
    }
    let mut text = view.limit.words.clone();
    if views.len() > 1 && alike < views.len() {
        text.push_str(&format!(" So it was in {alike} of {} looks.", views.len()));
    }
    super::print(&format!("{text}\n"))
}
