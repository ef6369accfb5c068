//! Where one number of a reading, or one histogram, is kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Figure, Keeper, Measure};

/// Numbers with fractions are kept as their bits.
#[derive(Debug)]
pub(super) enum Cell {
    Counter(AtomicU64),
    Gauge(AtomicU64),
    Histogram {
        bounds: &'static [f64],
        counts: Box<[AtomicU64]>,
        sum: AtomicU64,
    },
    /// Another keeps it, by this number.
    Away(Arc<dyn Keeper>, u64),
}

impl Cell {
    pub(super) fn new(measure: Measure) -> Self {
        match measure {
            Measure::Counter => Self::Counter(AtomicU64::new(0)),
            Measure::Gauge => Self::Gauge(AtomicU64::new(0.0_f64.to_bits())),
            Measure::Lowest => Self::Gauge(AtomicU64::new(f64::NAN.to_bits())),
            Measure::Histogram(bounds) => Self::Histogram {
                bounds,
                counts: (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect(),
                sum: AtomicU64::new(0.0_f64.to_bits()),
            },
        }
    }

    // What does not fit the measure does nothing.

    pub(super) fn add(&self, more: u64) {
        match self {
            Self::Counter(count) => {
                count.fetch_add(more, Ordering::Relaxed);
            }
            Self::Away(keeper, number) => keeper.add(*number, more),
            Self::Gauge(_) | Self::Histogram { .. } => {}
        }
    }

    pub(super) fn set(&self, value: f64) {
        match self {
            Self::Gauge(bits) => bits.store(value.to_bits(), Ordering::Relaxed),
            Self::Away(keeper, number) => keeper.set(*number, value),
            Self::Counter(_) | Self::Histogram { .. } => {}
        }
    }

    pub(super) fn change(&self, by: f64) {
        match self {
            Self::Gauge(bits) => change(bits, by),
            Self::Away(keeper, number) => keeper.change(*number, by),
            Self::Counter(_) | Self::Histogram { .. } => {}
        }
    }

    pub(super) fn record(&self, value: f64) {
        match self {
            Self::Histogram { bounds, counts, sum } if !value.is_nan() => {
                let at = bounds.partition_point(|bound| *bound < value);
                if let Some(count) = counts.get(at) {
                    count.fetch_add(1, Ordering::Relaxed);
                    change(sum, value);
                }
            }
            Self::Away(keeper, number) => keeper.record(*number, value),
            Self::Counter(_) | Self::Gauge(_) | Self::Histogram { .. } => {}
        }
    }

    pub(super) fn read(&self) -> Figure {
        let number = |bits: &AtomicU64| f64::from_bits(bits.load(Ordering::Relaxed));
        match self {
            Self::Counter(count) => Figure::Number(count.load(Ordering::Relaxed) as f64),
            Self::Gauge(bits) => Figure::Number(number(bits)),
            Self::Histogram { counts, sum, .. } => Figure::Histogram {
                counts: counts.iter().map(|count| count.load(Ordering::Relaxed)).collect(),
                sum: number(sum),
            },
            // As one that was never set.
            Self::Away(..) => Figure::Number(f64::NAN),
        }
    }
}

/// Changes a number that is kept as its bits.
fn change(bits: &AtomicU64, by: f64) {
    let changed = |old| Some((f64::from_bits(old) + by).to_bits());
    // Only a closure that returns nothing makes it fail.
    let _ = bits.fetch_update(Ordering::Relaxed, Ordering::Relaxed, changed);
}
