//! Metrics as data: what the pages print, and what is sent on.

use std::collections::HashMap;
use std::fmt::Display;
use std::sync::Arc;

use gristmill_stage::reading::Figure;

pub use crate::meter::Exemplar;

/// The type of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// Only grows, from zero at the start of the run.
    Counter,
    /// Goes up and down.
    Gauge,
    /// How values are spread; it only grows, too.
    Histogram,
}

impl Type {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A metric and all its samples.
#[derive(Debug, Clone, PartialEq)]
pub struct Family {
    /// Its name, by the conventions of Prometheus: with its unit, and `_total` if it is a counter.
    pub name: String,
    /// Its type.
    pub kind: Type,
    /// What it says, in a sentence.
    pub help: String,
    /// What it is now, for each set of labels. There may be none.
    pub samples: Vec<Sample>,
}

impl Family {
    /// The name without `_total`.
    pub fn base(&self) -> &str {
        match self.kind {
            Type::Counter => self.name.strip_suffix("_total").unwrap_or(&self.name),
            Type::Gauge | Type::Histogram => &self.name,
        }
    }

    /// The unit as a word, if the name says one: `seconds` or `bytes`.
    pub fn unit(&self) -> Option<&'static str> {
        let last = self.base().rsplit('_').next();
        ["seconds", "bytes"].into_iter().find(|unit| last == Some(unit))
    }
}

/// What a metric is now, for one set of labels.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The labels.
    pub labels: Labels,
    /// The number or the histogram.
    pub value: Value,
}

/// A number or a histogram.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A number.
    Number(f64),
    /// How values are spread.
    Histogram {
        /// The bounds, which rise; what is equal to one is below it.
        bounds: &'static [f64],
        /// How many values there are up to each bound and above the one before, and in the end above all.
        counts: Vec<u64>,
        /// All values, added up.
        sum: f64,
        /// A value that stands for others, for each of the counts; or none at all.
        exemplars: Vec<Option<Exemplar>>,
    },
}

/// Labels: names and values, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Labels(Vec<(&'static str, Arc<str>)>);

impl Labels {
    /// The same and one more.
    #[must_use]
    pub(super) fn with(mut self, name: &'static str, value: impl Display) -> Self {
        self.0.push((name, value.to_string().into()));
        self
    }

    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (*name, &**value))
    }
}

/// All metrics, as they are put together.
#[derive(Debug, Default)]
pub(super) struct Families {
    all: Vec<Family>,
    places: HashMap<String, usize>,
}

impl Families {
    /// Says what there is to know of a metric. The first to say it counts; false if it was said
    /// otherwise before, and the two cannot be one metric.
    pub(super) fn declare(&mut self, name: &str, kind: Type, help: &str) -> bool {
        if let Some(&place) = self.places.get(name) {
            return self.all[place].kind == kind;
        }
        self.places.insert(name.to_owned(), self.all.len());
        let (name, help) = (name.to_owned(), help.to_owned());
        self.all.push(Family { name, kind, help, samples: Vec::new() });
        true
    }

    /// Adds a number of a metric that was declared.
    pub(super) fn number(&mut self, name: &str, labels: &Labels, value: f64) {
        self.add(name, labels, Value::Number(value));
    }

    /// Adds a histogram of a metric that was declared.
    pub(super) fn histogram(
        &mut self,
        name: &str,
        labels: &Labels,
        bounds: &'static [f64],
        of: &Figure,
        exemplars: Vec<Option<Exemplar>>,
    ) {
        let Figure::Histogram { counts, sum } = of else { return };
        let (counts, sum) = (counts.clone(), *sum);
        self.add(name, labels, Value::Histogram { bounds, counts, sum, exemplars });
    }

    fn add(&mut self, name: &str, labels: &Labels, value: Value) {
        if let Some(&place) = self.places.get(name) {
            self.all[place].samples.push(Sample { labels: labels.clone(), value });
        }
    }

    /// All that were declared and have a sample.
    pub(super) fn into_all(self) -> Vec<Family> {
        self.all.into_iter().filter(|family| !family.samples.is_empty()).collect()
    }
}
