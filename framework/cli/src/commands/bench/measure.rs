//! Runs variants in turn, each run in a process of its own.

use std::fs::File;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

use super::job::{Answer, Figures, Job};
use super::progress::Progress;
use super::variants::Variant;
use crate::signals::Signals;

/// How often a run is looked after. Seldom, because this process must not disturb what it measures.
const TICK: Duration = Duration::from_millis(5);
/// How many ticks a run that is broken off may take to end by itself.
const GRACE: u32 = 400;
/// How much is shown of what a run said before it failed.
const SAID: usize = 2000;

/// Why there are no figures.
#[derive(Debug)]
pub enum Broken {
    /// The user wants no more.
    Interrupted,
    /// The run failed, or could not be started.
    Failed(String),
}

/// The runs of one variant.
#[derive(Debug, Clone)]
pub struct Measured {
    /// What was run.
    pub variant: Variant,
    /// The measured runs, in order.
    pub runs: Vec<Figures>,
    /// Why there are no more.
    pub failed: Option<String>,
}

/// Runs all variants once without measuring, then `repeats` times in turn. Stops early when the
/// user interrupts; then the last entry of the pair is false.
pub fn measure(
    job: &Job,
    variants: Vec<Variant>,
    repeats: usize,
    signals: &Signals,
    progress: &mut Progress,
) -> (Vec<Measured>, bool) {
    let mut all: Vec<Measured> = variants
        .into_iter()
        .map(|variant| Measured { variant, runs: Vec::new(), failed: None })
        .collect();
    for round in 0..=repeats {
        for index in order(all.len(), round) {
            let measured = &mut all[index];
            progress.step(&measured.variant.name, round, repeats);
            if measured.failed.is_some() {
                continue;
            }
            let job = Job { settings: measured.variant.settings.clone(), ..job.clone() };
            match run(&job, signals) {
                // The first fills caches and wakes up whoever answers.
                Ok(_) if round == 0 => {}
                Ok(figures) => measured.runs.push(figures),
                Err(Broken::Failed(why)) => measured.failed = Some(why),
                Err(Broken::Interrupted) => return (all, false),
            }
        }
    }
    (all, true)
}

/// In which order the variants run in a round: another begins each time, and every other round goes
/// backwards, so that none always runs after the same neighbour.
fn order(variants: usize, round: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..variants).collect();
    if variants > 0 {
        order.rotate_left(round / 2 % variants);
    }
    if round % 2 == 1 {
        order.reverse();
    }
    order
}

/// One run.
///
/// # Errors
/// When it fails, or the user interrupts.
pub fn run(job: &Job, signals: &Signals) -> Result<Figures, Broken> {
    let said = job.folder.join("said.txt");
    let failed =
        |what: &str, error: &dyn std::fmt::Display| Broken::Failed(format!("{what}: {error}"));
    let stderr =
        File::create(&said).map_err(|e| failed("the temporary folder cannot be used", &e))?;
    // An old answer must not be taken for a new one; mostly there is none.
    let _ = std::fs::remove_file(job.answer());
    let program =
        std::env::current_exe().map_err(|e| failed("this program cannot be found", &e))?;
    let mut line = serde_json::to_vec(job).map_err(|e| failed("the job cannot be written", &e))?;
    line.push(b'\n');
    let mut child = Command::new(program)
        .arg("bench-run")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(stderr)
        // Ctrl-C comes here alone, and with the group all its children can be ended.
        .process_group(0)
        .spawn()
        .map_err(|e| failed("a process for the run cannot be started", &e))?;
    let mut input = child.stdin.take();
    if let Some(input) = &mut input {
        // If it has ended already, it has said why.
        let _ = input.write_all(&line);
    }
    let ended = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if signals.count() > 0 => {
                drop(input);
                end(&mut child);
                return Err(Broken::Interrupted);
            }
            Ok(None) => std::thread::sleep(TICK),
            Err(error) => return Err(failed("the run is lost", &error)),
        }
    };
    let answer = std::fs::read(job.answer()).ok();
    match answer.and_then(|answer| serde_json::from_slice::<Answer>(&answer).ok()) {
        Some(Ok(figures)) => Ok(figures),
        Some(Err(why)) => Err(Broken::Failed(why)),
        None => {
            let said = std::fs::read(&said).unwrap_or_default();
            let said =
                String::from_utf8_lossy(&said[said.len().saturating_sub(SAID)..]).into_owned();
            Err(Broken::Failed(format!("the run ended with {ended}: {}", said.trim())))
        }
    }
}

/// Lets a run end in order; when it does not, ends it and all its children.
fn end(child: &mut Child) {
    for _ in 0..GRACE {
        if matches!(child.try_wait(), Ok(Some(_)) | Err(_)) {
            return;
        }
        std::thread::sleep(TICK);
    }
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // It may have ended by itself in this moment.
        let _ = kill_process_group(group, Signal::KILL);
    }
    let _ = child.wait();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_take_part_in_every_round_and_each_goes_first() {
        let mut first = Vec::new();
        for round in 0..8 {
            let mut order = order(4, round);
            first.push(order[0]);
            order.sort_unstable();
            assert_eq!(order, [0, 1, 2, 3]);
        }
        assert!((0..4).all(|one| first.contains(&one)), "{first:?}");
        assert!(order(0, 3).is_empty());
    }
}
