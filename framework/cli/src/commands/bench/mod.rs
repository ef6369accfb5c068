//! `gristmill bench`: which mode and how many workers are best for a pipeline.
//!
//! First all stages vary alike; then the stage that limits the pipeline varies by itself. With
//! `--stage`, one stage runs alone on input that was recorded once.

mod advice;
mod chart;
pub mod child;
mod job;
mod measure;
mod output;
mod progress;
mod report;
mod sample;
mod statistics;
mod summary;
mod surgery;
mod table;
mod usage;
mod variants;

use std::path::Path;

use gristmill_config::{Mode, Plan, Source};
use gristmill_demo::DemoSite;
use gristmill_stage::{Registry, Role};
use serde::Serialize;
use serde_json::Value;

use self::advice::{Advice, Limit};
use self::job::{Figures, Job, Part};
use self::measure::{Broken, measure, run};
use self::progress::Progress;
use self::statistics::repeats;
use self::summary::Round;
use self::variants::{Space, Variant, default_workers};
use super::Loaded;
use crate::args::Bench;
use crate::exit::Exit;
use crate::log::Log;
use crate::say::say;
use crate::signals::Signals;

/// All that came of a benchmark.
#[derive(Debug, Serialize)]
pub struct Findings {
    /// The name of the pipeline.
    pub pipeline: String,
    /// The stage, when one was measured alone.
    pub stage: Option<String>,
    /// Processors of the machine.
    pub processors: usize,
    /// How many times the stage was given its recorded input.
    pub passes: usize,
    /// The most rows from each source.
    pub rows: Option<u64>,
    /// Whether sinks did their work.
    pub sinks: &'static str,
    /// Whether all was measured that should be.
    pub complete: bool,
    /// What was measured.
    pub rounds: Vec<Round>,
    /// What limits the pipeline.
    pub limit: Option<Limit>,
    /// What to do.
    pub advice: Option<Advice>,
}

/// A stage alone gets its input so often that a run takes about this many seconds.
const ALONE: f64 = 0.5;
/// More often than this it gets no input: its state may grow with it.
const PASSES: usize = 10_000;

/// Why a benchmark has no findings.
enum Stopped {
    /// The user interrupted it before anything was measured.
    Interrupted,
    /// This cannot be done.
    Wrong(Exit, String),
}

/// Measures a pipeline.
pub fn bench(args: &Bench, log: &Log) -> Exit {
    let Loaded { source, plan, registry } = match super::plan(&args.file, &args.set, &args.search) {
        Ok(loaded) => loaded,
        Err(exit) => return exit,
    };
    log.hide(plan.secrets.clone());
    let found =
        check(args, &plan).and_then(|()| Bencher::new(args, &source, &plan, &registry)?.findings());
    match found {
        Ok(findings) => output::finish(args, &source, &plan, &registry, &findings),
        Err(Stopped::Interrupted) => {
            say("interrupted before there was anything to compare");
            Exit::Interrupted
        }
        Err(Stopped::Wrong(exit, why)) => {
            say(plan.secrets.redact(&format!("error: {why}")));
            exit
        }
    }
}

/// Where the kinds of plugins are to be found that a pipeline uses.
fn providers(plan: &Plan, registry: &Registry) -> Vec<Value> {
    let mut providers = Vec::new();
    let kinds = plan.stages.iter().filter_map(|stage| registry.get(&stage.kind));
    for provider in kinds.filter_map(|kind| kind.provider()) {
        if !providers.contains(&provider.data) {
            providers.push(provider.data.clone());
        }
    }
    providers
}

/// What can be known to be wrong before anything runs.
fn check(args: &Bench, plan: &Plan) -> Result<(), Stopped> {
    let wrong = |why: String| Err(Stopped::Wrong(Exit::BadConfiguration, why));
    if let Some(name) = &args.stage {
        let Some(stage) = plan.stages.iter().find(|stage| &stage.name == name) else {
            let names: Vec<_> = plan.stages.iter().map(|stage| stage.name.as_str()).collect();
            let names = names.join(", ");
            return wrong(format!(
                "there is no stage named `{name}`\nhelp: the stages are {names}"
            ));
        };
        if stage.role == Role::Sink && !args.keep_sinks {
            return wrong(format!(
                "`{name}` is a sink, and sinks are muted\nhelp: with --keep-sinks it does its work in every run"
            ));
        }
    }
    if let Some(stage) = plan.stages.iter().find(|s| s.once) {
        return wrong(format!(
            "`{}` reads stdin or a pipe, which gives its rows once, and a benchmark runs many times\n\
             help: put the rows into a file",
            stage.name
        ));
    }
    for path in [&args.write, &args.report].into_iter().flatten() {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        if !folder.unwrap_or(Path::new(".")).is_dir() || path.is_dir() {
            let path = path.display();
            return wrong(format!(
                "{path} cannot be written\nhelp: give the path of a file in a folder that exists"
            ));
        }
    }
    Ok(())
}

/// Runs a benchmark.
struct Bencher<'a> {
    args: &'a Bench,
    plan: &'a Plan,
    job: Job,
    signals: Signals,
    progress: Progress,
    /// How many tasks wanted to run on the machine before the benchmark began.
    load: Option<f64>,
    /// How many times a stage alone is given its input.
    passes: usize,
    _folder: tempfile::TempDir,
    _site: Option<DemoSite>,
}

impl<'a> Bencher<'a> {
    fn new(
        args: &'a Bench,
        source: &Source,
        plan: &'a Plan,
        registry: &Registry,
    ) -> Result<Self, Stopped> {
        let failed = |what: &str, error: std::io::Error| {
            Stopped::Wrong(Exit::Failed, format!("{what}: {error}"))
        };
        let signals = Signals::listen().map_err(|e| failed("no signal can be caught", e))?;
        let folder = tempfile::Builder::new().prefix("gristmill-bench-").tempdir();
        let folder = folder.map_err(|e| failed("there is no temporary folder", e))?;
        let site = super::run::demo_site(plan);
        let site = site.map_err(|e| failed("the demo site cannot start", e))?;
        let job = Job {
            name: source.name().to_owned(),
            text: source.text().to_owned(),
            set: args.set.set.clone(),
            settings: Vec::new(),
            part: Part::Whole,
            rows: args.rows,
            keep_sinks: args.keep_sinks,
            providers: providers(plan, registry),
            demo: site.as_ref().map(DemoSite::base),
            folder: folder.path().to_owned(),
        };
        let progress = Progress::new(args.quiet);
        let load = usage::load();
        Ok(Self {
            args,
            plan,
            job,
            signals,
            progress,
            load,
            passes: 1,
            _folder: folder,
            _site: site,
        })
    }

    fn findings(mut self) -> Result<Findings, Stopped> {
        let args = self.args;
        let modes = if args.modes.is_empty() { Mode::ALL.to_vec() } else { args.modes.clone() };
        let workers: Vec<usize> = match args.workers.is_empty() {
            true => default_workers(),
            false => args.workers.iter().map(|&workers| usize::from(workers)).collect(),
        };
        let space = Space::new(self.plan, args.stage.as_deref(), args.keep_sinks, modes, workers);
        let title = match &args.stage {
            Some(stage) => {
                self.prepare(stage)?;
                format!("`{stage}` alone")
            }
            None => "all stages alike".to_owned(),
        };
        let (first, mut complete) = self.round(title, space.variants(None, &[]))?;
        let limit = first.file().map(|file| advice::limit(self.plan, args.stage.is_some(), file));
        let mut rounds = vec![first];
        let limiting = limit.as_ref().and_then(|limit| limit.stage.clone());
        if let (true, None, Some(stage)) = (complete, &args.stage, limiting) {
            let winner = rounds[0].choice().map(|(row, _)| row.variant.clone());
            let winner: Vec<Variant> = winner.into_iter().filter(|one| !one.as_it_stands).collect();
            let variants = space.variants(Some(&stage), &winner);
            match self.round(format!("`{stage}` by itself"), variants) {
                Ok((second, all)) => {
                    complete = all;
                    rounds.push(second);
                }
                Err(Stopped::Interrupted) => complete = false,
                Err(wrong) => return Err(wrong),
            }
        }
        self.progress.clear();
        let mut advice = match (rounds.last(), &limit) {
            (Some(round), Some(limit)) => advice::advise(self.plan, args, round, limit),
            _ => None,
        };
        if let Some(advice) = &mut advice {
            advice.notes.extend(advice::fed(self.passes));
            advice.notes.extend(self.load.and_then(advice::loaded));
        }
        Ok(Findings {
            pipeline: self.plan.name.clone(),
            stage: args.stage.clone(),
            processors: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            passes: self.passes,
            rows: args.rows,
            sinks: if args.keep_sinks { "kept" } else { "muted" },
            complete,
            rounds,
            limit,
            advice,
        })
    }

    /// Records the input of a stage, so that it can run alone.
    fn prepare(&mut self, stage: &str) -> Result<(), Stopped> {
        let source =
            self.plan.stages.iter().any(|one| one.name == stage && one.role == Role::Source);
        let sample = (!source).then(|| self.job.folder.join("sample.arrows"));
        let name = stage.to_owned();
        if let Some(sample) = &sample {
            self.progress.begin(&format!("recording the input of `{stage}`"), 1);
            let part = Part::Record { stage: name.clone(), sample: sample.clone() };
            let figures = self.once(part)?;
            if figures.stage(stage).is_none_or(|figures| figures.rows_in == 0) {
                let why =
                    format!("no row comes to `{stage}`, so there is nothing to measure it with");
                return Err(Stopped::Wrong(Exit::Failed, why));
            }
        }
        let alone = |passes| Part::Alone { stage: name.clone(), sample: sample.clone(), passes };
        // Not in one step: the start of a short run tells little of a long one.
        while sample.is_some() && self.passes < PASSES {
            let seconds = self.once(alone(self.passes))?.seconds;
            if seconds > ALONE / 2.0 {
                break;
            }
            let more = (ALONE / seconds.max(1e-6)).clamp(2.0, 100.0);
            self.passes = PASSES.min((self.passes as f64 * more).round() as usize);
        }
        self.job.part = alone(self.passes);
        Ok(())
    }

    /// One run that is not compared with any.
    fn once(&self, part: Part) -> Result<Figures, Stopped> {
        run(&Job { part, ..self.job.clone() }, &self.signals).map_err(|broken| match broken {
            Broken::Interrupted => Stopped::Interrupted,
            Broken::Failed(why) => Stopped::Wrong(Exit::Failed, why),
        })
    }

    /// Measures variants in turn. The second says whether all of it was measured.
    fn round(&mut self, title: String, variants: Vec<Variant>) -> Result<(Round, bool), Stopped> {
        let needed = repeats(variants.len());
        let count = self.args.repeat.map_or(needed, usize::from);
        let names = variants.len();
        self.progress.begin(&format!("{title}: {names} variants"), names * (count + 1));
        let (measured, complete) =
            measure(&self.job, variants, count, &self.signals, &mut self.progress);
        let file = measured.iter().find(|one| one.variant.as_it_stands);
        if let Some(why) = file.and_then(|file| file.failed.clone()) {
            self.progress.clear();
            return Err(Stopped::Wrong(Exit::Failed, why));
        }
        let round = Round::of(title, measured);
        if round.is_empty() {
            return Err(Stopped::Interrupted);
        }
        Ok((round, complete))
    }
}
