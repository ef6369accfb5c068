//! What a reading says, and what the numbers of several workers make together.

use super::cell::Cell;
use super::{Measure, Reading, Readings};

/// One number of a reading, or one histogram.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// What it is.
    pub reading: Reading,
    /// The value of its label, if it has one.
    pub value: Option<&'static str>,
    /// What it says.
    pub figure: Figure,
}

/// What a series says.
#[derive(Debug, Clone, PartialEq)]
pub enum Figure {
    /// A number; not a number while it was never set.
    Number(f64),
    /// A histogram.
    Histogram {
        /// How many values came up to each bound and above the one before; those above all bounds are
        /// the last.
        counts: Vec<u64>,
        /// All values, added up.
        sum: f64,
    },
}

impl Series {
    /// The same series before anything has happened.
    #[must_use]
    pub fn zero(&self) -> Self {
        Self { figure: Cell::new(self.reading.measure).read(), ..self.clone() }
    }

    /// Each series that the declared readings have, at zero.
    pub fn none(declared: &[Reading]) -> Vec<Self> {
        Readings::new(declared).read()
    }

    /// Takes that of another worker, or of an earlier process of the same, into this one.
    pub fn add(&mut self, other: &Figure) {
        match (&mut self.figure, other) {
            (Figure::Number(sum), Figure::Number(more)) => match self.reading.measure {
                // Of a number and what is none, the number.
                Measure::Lowest => *sum = sum.min(*more),
                _ => *sum += more,
            },
            (Figure::Histogram { counts, sum }, Figure::Histogram { counts: more, sum: with })
                if counts.len() == more.len() =>
            {
                // A program may have said any numbers.
                let add = |(count, more): (&mut u64, &u64)| *count = count.saturating_add(*more);
                counts.iter_mut().zip(more).for_each(add);
                *sum += with;
            }
            _ => {}
        }
    }

    /// Whether it goes on growing from where it was when another process takes the place of its own.
    pub fn accumulates(&self) -> bool {
        matches!(self.reading.measure, Measure::Counter | Measure::Histogram(_))
    }

    /// Whether there is anything to say.
    pub fn is_set(&self) -> bool {
        !matches!(self.figure, Figure::Number(number) if number.is_nan())
    }
}
