//! What `aggregate` tells of its work besides its rows.

use gristmill_stage::reading::Unit;
use gristmill_stage::{BuildContext, Reading, Readout, Result};

pub(crate) const READINGS: &[Reading] = &[
    Reading::gauge("groups", "Groups that are held in memory, in all open windows."),
    Reading::lowest(
        "watermark_timestamp",
        "The time, in seconds since 1970, before which windows are closed; of several workers the \
         earliest.",
    )
    .unit(Unit::Seconds),
    Reading::counter("late_rows", "Rows that came after their windows were closed."),
];

/// Where it is told.
pub(crate) struct Told {
    groups: Readout,
    watermark: Readout,
    late: Readout,
}

impl Told {
    pub(crate) fn new(context: &BuildContext) -> Result<Self> {
        Ok(Self {
            groups: context.reading("groups")?,
            watermark: context.reading("watermark_timestamp")?,
            late: context.reading("late_rows")?,
        })
    }

    /// So many groups are held.
    pub(crate) fn groups(&self, count: usize) {
        self.groups.set(count as f64);
    }

    /// Windows before this are closed, and so many rows came too late.
    pub(crate) fn window(&self, watermark: f64, late: usize) {
        self.watermark.set(watermark);
        self.late.add(late as u64);
    }
}
