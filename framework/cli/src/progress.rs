//! A line per stage while a run goes on.

use std::io::{self, IsTerminal};
use std::time::Duration;

use gristmill_runtime::view::RunView;
use gristmill_runtime::{Run, StageStatus};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::commands::top::{Key, Screen, Shown};
use crate::figures::{count, percent, rate};
use crate::held::Held;
use crate::say::say;
use crate::signals::Signals;

/// How often lines are drawn on a terminal.
const TICK: Duration = Duration::from_millis(100);
/// How often a line is printed where there is no terminal.
const PLAIN_TICK: Duration = Duration::from_secs(10);
/// How often the whole terminal is drawn.
const FULL_TICK: Duration = Duration::from_millis(500);
/// Lines of the log under the picture.
const LOG: usize = 3;
/// Lines on a terminal at the most.
const LINES: usize = 20;

/// Shows how far a run is.
pub enum Progress {
    /// Lines that are drawn again and again.
    Lines { all: MultiProgress, bars: Vec<ProgressBar> },
    /// The whole terminal.
    Full(Box<Full>),
    /// A plain line now and then, for logs.
    Plain { last: Duration },
    /// Nothing.
    Quiet,
}

/// A run on the whole terminal.
pub struct Full {
    screen: Screen,
    shown: Shown,
    held: Held,
    view: RunView,
    drawn: Duration,
}

impl Full {
    /// Shows the run, and tells what is to be done for its keys. None: the screen is left.
    fn update(&mut self, run: &Run, signals: &Signals) -> io::Result<Option<()>> {
        let mut again = false;
        while let Some(key) = self.screen.key(Duration::ZERO)? {
            match key {
                Key::Quit => return Ok(None),
                Key::Interrupt => signals.press(),
                key => self.shown.press(key),
            }
            again = true;
        }
        let now = run.elapsed();
        if now.saturating_sub(self.drawn) >= FULL_TICK {
            (self.view, self.drawn, again) = (run.view(), now, true);
        }
        if again {
            let log = self.held.last(LOG);
            let (shown, view) = (&mut self.shown, &self.view);
            self.screen.draw(|frame| shown.draw(frame, view, None, &log))?;
        }
        Ok(Some(()))
    }
}

impl Progress {
    /// Shows a run on the whole terminal; lines for stderr are kept back meanwhile.
    ///
    /// # Errors
    /// When there is no terminal.
    pub fn full(run: &Run, held: &Held) -> io::Result<Self> {
        if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
            return Err(io::Error::other("stdin and stdout must be one"));
        }
        let screen = Screen::open()?;
        held.begin();
        let (shown, drawn) = (Shown::default(), Duration::ZERO);
        Ok(Self::Full(Box::new(Full {
            screen,
            shown,
            held: held.clone(),
            view: run.view(),
            drawn,
        })))
    }

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
    pub fn update(&mut self, run: &Run, signals: &Signals) {
        match self {
            Self::Quiet => {}
            Self::Full(full) => {
                // Left by a key, or because the terminal is gone: the run goes on.
                if !matches!(full.update(run, signals), Ok(Some(()))) {
                    std::mem::replace(self, Self::Quiet).clear();
                    *self = Self::new(run, false, false);
                }
            }
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
        match self {
            Self::Lines { all, bars } => {
                for bar in &bars {
                    bar.finish_and_clear();
                }
                // A terminal that is gone cannot be cleaned.
                let _ = all.clear();
            }
            Self::Full(full) => {
                let Full { screen, held, .. } = *full;
                screen.close();
                held.end();
            }
            Self::Plain { .. } | Self::Quiet => {}
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
