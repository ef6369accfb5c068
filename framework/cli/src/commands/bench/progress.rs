//! How far a benchmark is, on stderr.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::say::say;

/// Shows how far a benchmark is.
pub enum Progress {
    /// A bar with the time that is left.
    Bar(ProgressBar),
    /// A line for each round.
    Plain {
        /// The round that was told last.
        told: Option<usize>,
    },
    /// Nothing.
    Quiet,
}

impl Progress {
    /// Progress on stderr.
    pub fn new(quiet: bool) -> Self {
        if quiet {
            return Self::Quiet;
        }
        if !std::io::stderr().is_terminal() {
            return Self::Plain { told: None };
        }
        let style =
            ProgressStyle::with_template("{bar:30.cyan} {pos}/{len} runs, {eta} left  {msg}");
        let bar =
            ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.enable_steady_tick(Duration::from_millis(500));
        Self::Bar(bar)
    }

    /// Says what comes, with its number of runs.
    pub fn begin(&mut self, what: &str, runs: usize) {
        match self {
            Self::Bar(bar) => {
                bar.suspend(|| say(what));
                bar.reset();
                bar.set_length(runs as u64);
            }
            Self::Plain { told } => {
                *told = None;
                say(format!("{what}, {runs} runs"));
            }
            Self::Quiet => {}
        }
    }

    /// A run begins.
    pub fn step(&mut self, name: &str, round: usize, rounds: usize) {
        let words = || match round {
            0 => "warm-up".to_owned(),
            _ => format!("round {round} of {rounds}"),
        };
        match self {
            Self::Bar(bar) => {
                bar.inc(1);
                bar.set_message(format!("{}: {name}", words()));
            }
            Self::Plain { told } if *told != Some(round) => {
                *told = Some(round);
                say(words());
            }
            Self::Plain { .. } | Self::Quiet => {}
        }
    }

    /// Takes the bar away.
    pub fn clear(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}
