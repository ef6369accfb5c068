//! What is measured against what.

use gristmill_config::{Mode, Plan, StagePlan};
use gristmill_stage::Role;
use serde::Serialize;

use super::job::Setting;

/// One way to run the pipeline.
#[derive(Debug, Clone, Serialize)]
pub struct Variant {
    /// What it is called.
    pub name: String,
    /// Whether it is what the file says.
    pub as_it_stands: bool,
    /// How the stages run that are measured.
    pub settings: Vec<Setting>,
}

/// The stages that can run in several ways, and the ways.
#[derive(Debug)]
pub struct Space {
    /// How they run by the file.
    stages: Vec<(Setting, Varies)>,
    modes: Vec<Mode>,
    workers: Vec<usize>,
}

/// What can be changed of how a stage runs.
#[derive(Debug, Clone, Copy)]
struct Varies {
    workers: bool,
    /// A stage of another program has one mode.
    mode: bool,
}

impl Space {
    /// All stages of a plan, or one; muted sinks are left out.
    pub fn new(
        plan: &Plan,
        only: Option<&str>,
        keep_sinks: bool,
        modes: Vec<Mode>,
        workers: Vec<usize>,
    ) -> Self {
        let varies = |stage: &&StagePlan| match only {
            Some(only) => stage.name == only,
            None => keep_sinks || stage.role != Role::Sink,
        };
        // How a second step runs hangs on the first.
        let stages = plan.stages.iter().filter(varies).filter(|stage| !stage.second);
        let stages = stages.map(|stage| {
            let varies = Varies { workers: stage.scales, mode: stage.program.is_none() };
            (Setting::new(&stage.name, stage.mode, stage.workers), varies)
        });
        Self { stages: stages.collect(), modes, workers }
    }

    /// What the file says.
    fn file(&self) -> Vec<Setting> {
        self.stages.iter().map(|(setting, _)| setting.clone()).collect()
    }

    /// What the file says, and every mode with every number of workers for the stages of this name,
    /// or for all.
    pub fn variants(&self, only: Option<&str>, more: &[Variant]) -> Vec<Variant> {
        let file =
            Variant { name: "as it stands".to_owned(), as_it_stands: true, settings: self.file() };
        let mut variants = vec![file];
        for variant in more {
            add(&mut variants, variant.name.clone(), variant.settings.clone());
        }
        for &mode in &self.modes {
            for &workers in &self.workers {
                let settings = self.stages.iter().map(|(setting, varies)| {
                    if only.is_some_and(|only| only != setting.stage) {
                        return setting.clone();
                    }
                    let workers = if varies.workers { workers } else { setting.workers };
                    let mode = if varies.mode { mode } else { Mode::Process };
                    Setting::new(&setting.stage, mode, workers)
                });
                let name = match only {
                    Some(stage) => format!("{stage} {} ×{workers}", mode.name()),
                    None => format!("{} ×{workers}", mode.name()),
                };
                add(&mut variants, name, settings.collect());
            }
        }
        variants
    }
}

/// Adds a variant, unless it is there by another name.
fn add(variants: &mut Vec<Variant>, name: String, settings: Vec<Setting>) {
    match variants.iter_mut().find(|variant| variant.settings == settings) {
        Some(same) if same.as_it_stands => same.name = format!("{name} (as it stands)"),
        Some(_) => {}
        None => variants.push(Variant { name, as_it_stands: false, settings }),
    }
}

impl Variant {
    /// How a stage runs in it.
    pub fn setting(&self, stage: &str) -> Option<&Setting> {
        self.settings.iter().find(|setting| setting.stage == stage)
    }

    /// What it takes to choose it instead of `now`: settings to change, then workers to keep, then
    /// modes that cost more.
    pub fn cost(&self, now: &Self) -> (usize, usize, usize) {
        let changes = self.settings.iter().filter(|one| now.setting(&one.stage) != Some(one));
        let workers = self.settings.iter().map(|setting| setting.workers).sum();
        let mode =
            |setting: &Setting| Mode::ALL.iter().position(|mode| mode.name() == setting.mode);
        let modes = self.settings.iter().filter_map(mode).sum();
        (changes.count(), workers, modes)
    }
}

/// The numbers of workers to measure when nobody says any.
pub fn default_workers() -> Vec<usize> {
    let all = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut workers = vec![1, all / 2, all];
    workers.retain(|&workers| workers > 0);
    workers.sort_unstable();
    workers.dedup();
    workers
}
