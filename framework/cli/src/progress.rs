//! A line per stage while a run goes on.

use std::io::IsTerminal;
use std::time::Duration;

use gristmill_runtime::{Run, StageStatus};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::figures::{count, percent, rate};
use crate::say::say;

/// How often lines are drawn on a terminal.
const TICK: Duration = Duration::from_millis(100);
/// How often a line is printed where there is no terminal.
const PLAIN_TICK: Duration = Duration::from_secs(10);
/// Lines on a terminal at the most.
const LINES: usize = 20;

/// Shows how far a run is.
pub enum Progress {
    /// Lines that are drawn again and again.
    Lines { all: MultiProgress, bars: Vec<ProgressBar> },
    /// A plain line now and then, for logs.
    Plain { last: Duration },
    /// Nothing.
    Quiet,
}

impl Progress {
    /// Progress of a run with these stages, on stderr. `plain`: also on a terminal line by line.
    pub fn new(run: &Run, quiet: bool, plain: bool) -> Self {
        if quiet {
            return Self::Quiet;
        }
        if plain || !std::io::stderr().is_terminal() {
            return Self::Plain { last: Duration::ZERO };
        }
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{spinner:.cyan} {msg}")
            .unwrap_or_else(|_| ProgressStyle::default_spinner());
        let stages = run.stages().min(LINES);
        let bars = (0..stages)
            .map(|_| all.add(ProgressBar::new_spinner().with_style(style.clone())))
            .collect();
        Self::Lines { all, bars }
    }

    /// How long to wait between updates.
    pub fn tick(&self) -> Duration {
        TICK
    }

    /// Shows what the run is doing now.
    pub fn update(&mut self, run: &Run) {
        match self {
            Self::Quiet => {}
            Self::Plain { last } => {
                let now = run.elapsed();
                if now.saturating_sub(*last) >= PLAIN_TICK {
                    *last = now;
                    say(plain(&run.progress(LINES), run.stages(), now));
                }
            }
            Self::Lines { bars, .. } => {
                let (stages, time) = (run.progress(LINES), run.elapsed());
                let width = stages.iter().map(|stage| stage.name.chars().count()).max();
                for (bar, stage) in bars.iter().zip(&stages) {
                    bar.set_message(line(stage, time, width.unwrap_or(0)));
                    bar.tick();
                }
            }
        }
    }

    /// Takes the lines away.
    pub fn clear(self) {
        if let Self::Lines { all, bars } = self {
            for bar in &bars {
                bar.finish_and_clear();
            }
            // A terminal that is gone cannot be cleaned.
            let _ = all.clear();
        }
    }
}

fn line(stage: &StageStatus, time: Duration, width: usize) -> String {
    let [busy, waiting, blocked] = stage.times.shares().map(percent);
    let rows = stage.taken.rows.max(stage.sent.rows);
    let mut line = format!(
        "{:width$}  {:>12} rows  {:>9} rows/s  busy {busy:>4}  waiting {waiting:>4}  blocked {blocked:>4}",
        stage.name,
        count(rows),
        rate(rows, time),
    );
    if stage.rejected > 0 {
        line.push_str(&format!("  {} rejected", count(stage.rejected)));
    }
    line
}

fn plain(stages: &[StageStatus], all: usize, time: Duration) -> String {
    let mut parts: Vec<String> = stages
        .iter()
        .map(|stage| format!("{} {}", stage.name, count(stage.taken.rows.max(stage.sent.rows))))
        .collect();
    if all > stages.len() {
        parts.push(format!("and {} more", all - stages.len()));
    }
    format!("{:>5.0}s  rows: {}", time.as_secs_f64(), parts.join(", "))
}
