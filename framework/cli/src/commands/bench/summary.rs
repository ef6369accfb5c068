//! What the runs of a round come to.

use serde::Serialize;

use super::job::Figures;
use super::measure::Measured;
use super::statistics::{Comparison, median, repeats};
use super::variants::Variant;

/// The middle of some runs and how far they lie apart.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Spread {
    /// The median.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The most.
    pub max: f64,
}

impl Spread {
    fn of(values: &[f64]) -> Self {
        Self {
            median: median(values),
            min: values.iter().copied().reduce(f64::min).unwrap_or(0.0),
            max: values.iter().copied().reduce(f64::max).unwrap_or(0.0),
        }
    }
}

/// How a variant stands against the best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It has the highest median.
    Best,
    /// It cannot be told from the best.
    Noise,
    /// It is slower, beyond noise.
    Slower,
    /// It failed.
    Failed,
}

impl Verdict {
    /// In a word or two.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Best => "best",
            Self::Noise => "within noise",
            Self::Slower => "slower",
            Self::Failed => "failed",
        }
    }
}

/// A variant and its runs.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// What was run.
    #[serde(flatten)]
    pub variant: Variant,
    /// How it stands.
    pub verdict: Verdict,
    /// Its median against that of the best.
    pub ratio: f64,
    /// The corrected chance that it differs from the best by noise only.
    pub chance: f64,
    /// Rows per second.
    pub rows_per_second: Spread,
    /// Median time of a batch in the stage of the round, in seconds.
    pub p50_seconds: Spread,
    /// The time that 99 of 100 of its batches stay under, in seconds.
    pub p99_seconds: Spread,
    /// Processor time of a run, in seconds.
    pub cpu_seconds: Spread,
    /// Peak memory of a run.
    pub peak_bytes: Spread,
    /// Why it has no more runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
    /// Each run.
    pub runs: Vec<Figures>,
}

/// Variants that took turns.
#[derive(Debug, Clone, Serialize)]
pub struct Round {
    /// What varies.
    pub title: String,
    /// The stage whose batch times are shown.
    pub batches_of: Option<String>,
    /// The variants, what the file says first.
    pub variants: Vec<Row>,
    /// The best and those that cannot be told from it, by index.
    #[serde(skip)]
    compared: Vec<usize>,
    #[serde(skip)]
    comparison: Comparison,
}

impl Round {
    /// Sums up the runs of a round.
    pub fn of(title: String, measured: Vec<Measured>) -> Self {
        let complete = |one: &Measured| one.failed.is_none() && !one.runs.is_empty();
        let compared: Vec<usize> =
            (0..measured.len()).filter(|&id| complete(&measured[id])).collect();
        let rates = |id: &usize| measured[*id].runs.iter().map(Figures::rate).collect();
        let samples: Vec<Vec<f64>> = compared.iter().map(rates).collect();
        let comparison = Comparison::of(&samples);
        let batches_of = measured.first().and_then(|one| busiest(&one.variant, &one.runs));
        let mut rows: Vec<Row> =
            measured.into_iter().map(|one| row(one, batches_of.as_deref())).collect();
        if let Some(best) = comparison.highest() {
            let highest = rows[compared[best]].rows_per_second.median;
            for (place, &id) in compared.iter().enumerate() {
                let row = &mut rows[id];
                row.ratio = row.rows_per_second.median / highest.max(1e-9);
                row.chance = comparison.chance(best, place);
                row.verdict = match (place == best, comparison.beats(best, place)) {
                    (true, _) => Verdict::Best,
                    (_, true) => Verdict::Slower,
                    (_, false) => Verdict::Noise,
                };
            }
        }
        Self { title, batches_of, variants: rows, compared, comparison }
    }

    /// What the file says.
    pub fn file(&self) -> Option<&Row> {
        self.variants.iter().find(|row| row.variant.as_it_stands)
    }

    /// The variant to choose, and the chance that it differs from what the file says by noise only.
    pub fn choice(&self) -> Option<(&Row, f64)> {
        let variant = |place: usize| &self.variants[self.compared[place]];
        let now = (0..self.compared.len()).find(|&one| variant(one).variant.as_it_stands)?;
        let file = &variant(now).variant;
        let chosen = self.comparison.choose(now, |one| variant(one).variant.cost(file));
        Some((variant(chosen), self.comparison.chance(chosen, now)))
    }

    /// What it is about, as the start of a sentence.
    pub fn heading(&self) -> String {
        let mut letters = self.title.chars();
        let first = letters.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
        first + letters.as_str()
    }

    /// What the figures are.
    pub fn caption(&self) -> String {
        let runs = self.variants.iter().map(|row| row.runs.len()).max().unwrap_or(0);
        let mut text =
            format!("Medians of {runs} runs each, with the least and the most beside them.");
        if let Some(stage) = &self.batches_of {
            text.push_str(&format!(" Times per batch are those of `{stage}`."));
        }
        text
    }

    /// How many runs each variant needs at the least, if it had less.
    pub fn short_of(&self) -> Option<usize> {
        let runs = |row: &Row| row.runs.len();
        let runs = self.compared.iter().map(|&id| runs(&self.variants[id])).min()?;
        let needed = repeats(self.compared.len());
        (self.compared.len() > 1 && runs < needed).then_some(needed)
    }

    /// Whether there is anything to compare.
    pub fn is_empty(&self) -> bool {
        self.compared.is_empty()
    }
}

fn row(measured: Measured, batches_of: Option<&str>) -> Row {
    let Measured { variant, runs, failed } = measured;
    let spread =
        |value: &dyn Fn(&Figures) -> f64| Spread::of(&runs.iter().map(value).collect::<Vec<_>>());
    let stage = |run: &Figures| batches_of.and_then(|name| run.stage(name)).cloned();
    Row {
        verdict: Verdict::Failed,
        ratio: 0.0,
        chance: 1.0,
        rows_per_second: spread(&Figures::rate),
        p50_seconds: spread(&|run| stage(run).map_or(0.0, |stage| stage.p50)),
        p99_seconds: spread(&|run| stage(run).map_or(0.0, |stage| stage.p99)),
        cpu_seconds: spread(&|run| run.cpu_seconds),
        peak_bytes: spread(&|run| run.peak_bytes as f64),
        variant,
        failed,
        runs,
    }
}

/// The median shares of busy, waiting and blocked of a stage.
pub fn shares(runs: &[Figures], stage: &str) -> [f64; 3] {
    let all: Vec<[f64; 3]> = runs.iter().filter_map(|run| run.shares(stage)).collect();
    [0, 1, 2].map(|part| median(&all.iter().map(|shares| shares[part]).collect::<Vec<_>>()))
}

fn busiest(variant: &Variant, runs: &[Figures]) -> Option<String> {
    let busy = |stage: &str| shares(runs, stage)[0];
    let stages = variant.settings.iter().map(|setting| setting.stage.as_str());
    stages.max_by(|a, b| busy(a).total_cmp(&busy(b))).map(str::to_owned)
}
