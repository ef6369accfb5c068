//! What a worker tells of itself now and then.

use gristmill_stage::reading::{Figure, Series};
use serde::{Deserialize, Serialize};

/// What a worker tells of itself. Zero where it does not know.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Heartbeat {
    /// Nanoseconds of processor time so far.
    pub cpu: u64,
    /// Bytes resident now.
    pub memory: u64,
    /// The most bytes that were ever resident.
    pub peak_memory: u64,
    /// For how many nanoseconds the present call of the stage has been running; 0 outside of calls.
    pub call: u64,
    /// What the stage knows of its work since this process has built it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub readings: Vec<Told>,
}

/// One number of a reading, or one histogram.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// The reading.
    pub name: String,
    /// The value of its label, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// The number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// How many values came between one bound of a histogram and the next.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub counts: Vec<u64>,
    /// All values of a histogram, added up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sum: Option<f64>,
}

impl Told {
    /// What a series says, in words for the way.
    pub fn of(series: &Series) -> Self {
        let told = Self {
            name: series.reading.name.to_owned(),
            of: series.value.map(str::to_owned),
            ..Self::default()
        };
        match &series.figure {
            Figure::Number(value) => Self { value: Some(*value), ..told },
            Figure::Histogram { counts, sum } => {
                Self { counts: counts.clone(), sum: Some(*sum), ..told }
            }
        }
    }

    /// What it says of that series; none if it speaks of another, or makes no sense.
    pub fn figure(&self, of: &Series) -> Option<Figure> {
        if self.name != of.reading.name || self.of.as_deref() != of.value {
            return None;
        }
        match &of.figure {
            Figure::Number(_) => self.value.map(Figure::Number),
            Figure::Histogram { counts, .. } if counts.len() == self.counts.len() => {
                self.sum.map(|sum| Figure::Histogram { counts: self.counts.clone(), sum })
            }
            Figure::Histogram { .. } => None,
        }
    }
}
