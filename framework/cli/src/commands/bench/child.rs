//! `gristmill bench-run`: one measured run in a process of its own.

use std::io::{BufRead, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gristmill_config::{Plan, Source, load_with};
use gristmill_runtime::{Outcome, Report, Run, RunOptions, StageStatus, WorkerCommand};
use gristmill_stage::{Registry, Role};

use super::job::{Answer, Figures, Job, Part, Setting, StageFigures};
use super::usage::{Peaks, cpu};
use super::{sample, surgery};
use crate::exit::Exit;
use crate::kinds;
use crate::log::Log;
use crate::say::say;

/// How often child processes are looked at.
const TICK: Duration = Duration::from_millis(25);

/// Reads a job from stdin, does it, and leaves the answer in its folder.
pub fn run(log: &Log) -> Exit {
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line);
    let job: Job = match read.map_err(|e| e.to_string()).and_then(|_| parse(&line)) {
        Ok(job) => job,
        Err(error) => {
            say(format!(
                "error: `bench-run` is started by `bench`, which tells it what to do: {error}"
            ));
            return Exit::BadConfiguration;
        }
    };
    let answer: Answer = measure(&job, log);
    let text = serde_json::to_vec(&answer).map_err(|error| error.to_string());
    match text.and_then(|text| std::fs::write(job.answer(), text).map_err(|e| e.to_string())) {
        Ok(()) => Exit::Done,
        Err(error) => {
            say(format!("error: the result cannot be handed over: {error}"));
            Exit::Failed
        }
    }
}

fn parse(line: &str) -> Result<Job, String> {
    serde_json::from_str(line).map_err(|error| error.to_string())
}

fn measure(job: &Job, log: &Log) -> Answer {
    crate::commands::run::more_files();
    let mut registry = kinds::built_in();
    sample::register(&mut registry);
    for provider in &job.providers {
        registry.add_kind(kinds::find_again(provider).map_err(|error| error.to_string())?);
    }
    let source = Source::new(&job.name, &job.text);
    let choices: Vec<_> = job.settings.iter().filter_map(Setting::choice).collect();
    let variables = crate::commands::variables(&job.set);
    let mut plan = load_with(&source, &variables, &registry, &choices)
        .map_err(|problems| problems.render(false))?;
    log.hide(plan.secrets.clone());
    plan.rejected.path = job.folder.join("rejected.jsonl");
    cut(job, &mut plan, &mut registry).map_err(|error| plan.secrets.redact(&error).into_owned())?;
    let counted = counted(&plan, &job.part);
    let worker = Some(WorkerCommand::this_program());
    let mut options = RunOptions { worker, ..RunOptions::default() };
    if let Some(base) = &job.demo {
        options.origins.add("demo", base.as_str());
    }
    let secrets = plan.secrets.clone();
    let before = cpu();
    let run = Run::start(plan, &registry, options).map_err(|failure| failure.to_string())?;
    let mut peaks = Peaks::default();
    let left = left();
    while !run.wait_for(TICK) {
        peaks.sample();
        if left.load(Ordering::Relaxed) {
            run.stopper().abort();
        }
    }
    let report = run.into_report();
    let cpu = cpu().saturating_sub(before);
    match &report.outcome {
        Outcome::Done => Ok(figures(&report, &counted, cpu, peaks.total())),
        Outcome::Failed(failure) => Err(secrets.redact(&failure.to_string()).into_owned()),
        Outcome::Stopped | Outcome::Aborted => Err("the run was broken off".to_owned()),
    }
}

/// Becomes true when whoever started this process has gone, or wants no more of it.
fn left() -> Arc<AtomicBool> {
    let left = Arc::new(AtomicBool::new(false));
    let seen = left.clone();
    let watch = std::thread::Builder::new().name("parent".to_owned()).spawn(move || {
        // Nothing more comes; the end does.
        let _ = std::io::stdin().lock().read(&mut [0]);
        seen.store(true, Ordering::Relaxed);
    });
    // Without the thread, the run goes to its end all the same.
    drop(watch);
    left
}

/// Cuts the plan to what the job asks for.
fn cut(job: &Job, plan: &mut Plan, registry: &mut Registry) -> Result<(), String> {
    let find = |plan: &Plan, name: &str| {
        let found = plan.stages.iter().position(|stage| stage.name == name);
        found.ok_or_else(|| format!("there is no stage named `{name}`"))
    };
    match &job.part {
        Part::Whole => {}
        Part::Record { stage, sample } => {
            let id = find(plan, stage)?;
            surgery::record(plan, id, sample);
        }
        Part::Alone { stage, sample, passes } => {
            let id = find(plan, stage)?;
            if let Some(path) = sample {
                let fed = sample::feed(registry, &plan.stages[id].input, path, *passes);
                fed.map_err(|error| error.to_string())?;
            }
            surgery::alone(plan, id);
        }
    }
    match &job.part {
        Part::Record { .. } => {}
        _ if job.keep_sinks => {}
        _ => surgery::mute(plan),
    }
    match (&job.part, job.rows) {
        // The sample is as long as it should be already.
        (Part::Alone { sample: Some(_), .. }, _) | (_, None) => {}
        (_, Some(rows)) => surgery::cap(plan, rows),
    }
    Ok(())
}

/// The stages whose rows out are the rows of the run: caps where there are some, or sources.
fn counted(plan: &Plan, part: &Part) -> Vec<String> {
    if let Part::Alone { sample: Some(_), .. } = part {
        return plan.stages.iter().take(1).map(|stage| stage.name.clone()).collect();
    }
    let capped = |kind: &str| kind == sample::CAP;
    let any = plan.stages.iter().any(|stage| capped(&stage.kind));
    let counts = plan.stages.iter().filter(|stage| match any {
        true => capped(&stage.kind),
        false => stage.role == Role::Source,
    });
    counts.map(|stage| stage.name.clone()).collect()
}

fn figures(report: &Report, counted: &[String], cpu: Duration, peak_bytes: u64) -> Figures {
    let sent = report.stages.iter().filter(|stage| counted.contains(&stage.name));
    Figures {
        rows: sent.map(|stage| stage.sent.rows).sum(),
        seconds: report.took.as_secs_f64(),
        cpu_seconds: cpu.as_secs_f64(),
        peak_bytes,
        rejected: report.rejected,
        stages: report.stages.iter().map(stage_figures).collect(),
    }
}

fn stage_figures(stage: &StageStatus) -> StageFigures {
    StageFigures {
        stage: stage.name.clone(),
        workers: stage.workers,
        rows_in: stage.taken.rows,
        rows_out: stage.sent.rows,
        busy: stage.times.busy.as_secs_f64(),
        waiting: stage.times.waiting.as_secs_f64(),
        blocked: stage.times.blocked.as_secs_f64(),
        p50: stage.call_p50.as_secs_f64(),
        p99: stage.call_p99.as_secs_f64(),
    }
}
