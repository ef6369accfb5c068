//! Windows on the time of events: which rows belong to which.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::PrimitiveArray;
use arrow_array::types::Int64Type;
use arrow_schema::{DataType, FieldRef, TimeUnit};
use gristmill_stage::option::Time;
use gristmill_stage::{Error, Result};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::columns::{computed, type_name};
use crate::expression::{Compiled, Scope};
use crate::options::Expression;

/// The columns that windows add.
pub(crate) const START: &str = "window_start";
pub(crate) const END: &str = "window_end";

/// A row belongs to so many windows at the most.
const MOST_AT_ONCE: i64 = 1000;

/// Windows on the time of events: all of one `size`, or sessions, which are as long as rows come with
/// less than `gap` between them.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WindowOptions {
    /// The time of a row: a column of type timestamp, or an SQL expression that computes one. A row
    /// without a time is rejected.
    time: Expression,
    /// How long a window is. Windows begin at multiples of `slide` since 1970-01-01 00:00 UTC.
    size: Option<Time>,
    /// How long after one window the next begins. Left out, that is `size`, and each row belongs to
    /// one window. If it is less, windows overlap, and a row belongs to each window around it.
    slide: Option<Time>,
    /// In place of `size`: a window is a session of one group, which ends when no row of the group
    /// comes for so long. It begins at its first row and ends this long after its last: rows with so
    /// much or more between them are of two sessions. A row that comes later and is near enough to two
    /// makes them one.
    gap: Option<Time>,
    /// How much later than rows with a greater time a row may come. A window is closed, and its
    /// groups are emitted, when a row has come whose time is this much after its end.
    #[serde(default = "no_lateness")]
    lateness: Time,
    /// What becomes of a row whose windows are all closed.
    #[serde(default)]
    late: Late,
}

fn no_lateness() -> Time {
    Time(Duration::ZERO)
}

/// What becomes of a row whose windows are all closed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Late {
    /// It is rejected.
    #[default]
    Reject,
    /// It counts, as all rows do, once, as if its time was the earliest that is not too late: in the
    /// oldest window that is still open. If that is a session, it is one of its own group, which the
    /// row begins if there is none.
    Merge,
}

/// Windows, in the unit of the times.
#[derive(Debug, Clone)]
pub(crate) struct Window {
    /// Computes the time.
    pub(crate) time: Compiled,
    /// How far they reach.
    pub(crate) extent: Extent,
    lateness: i64,
    pub(crate) late: Late,
}

/// How far windows reach.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Extent {
    /// All equally.
    Sliding(Sliding),
    /// Until no row comes for so long.
    Session(i64),
}

/// Windows of one size.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sliding {
    size: i64,
    slide: i64,
}

/// Which rows of a batch belong where.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Assigned {
    /// The rows of each window, by its start.
    pub(crate) windows: BTreeMap<i64, Vec<u32>>,
    /// Rows that came too late.
    pub(crate) late: Vec<u32>,
    /// How many came too late and count all the same.
    pub(crate) merged: usize,
    /// Rows without a time.
    pub(crate) timeless: Vec<u32>,
    /// Rows with a time so far off that their windows have no bounds.
    pub(crate) far: Vec<u32>,
}

impl Window {
    pub(crate) fn new(options: &WindowOptions, scope: &Scope<'_>) -> Result<Self> {
        let time = scope.scalar(&options.time.0, "window.time")?;
        let DataType::Timestamp(unit, _) = time.data_type() else {
            let given = type_name(time.data_type());
            return Err(Error::option("window.time", format!("it is a {given}, not a timestamp"))
                .help("an expression can make one: `cast(time AS timestamp)`, `to_timestamp(seconds)`"));
        };
        let lateness = ticks(options.lateness, *unit, "window.lateness")?;
        let extent = match (options.size, options.gap) {
            (Some(size), None) => Extent::Sliding(Sliding::new(size, options.slide, *unit)?),
            (None, Some(gap)) => Extent::Session(session(gap, options.slide, *unit)?),
            (size, _) => {
                let (at, message) = match size {
                    None => ("window", "nothing says how long a window is"),
                    Some(_) => ("window.gap", "a window cannot have both a `size` and a `gap`"),
                };
                return Err(Error::option(at, message).help(
                    "`size: 1m` makes windows of one length, `gap: 1m` makes sessions, which end \
                     when no row comes for so long",
                ));
            }
        };
        Ok(Self { time, extent, lateness, late: options.late })
    }

    /// The columns for start and end.
    pub(crate) fn fields(&self) -> [FieldRef; 2] {
        [START, END].map(|name| Arc::new(computed(name, self.time.data_type())))
    }

    /// The time up to which rows have come, if the latest was that one.
    pub(crate) fn watermark(&self, latest: i64) -> i64 {
        latest.saturating_sub(self.lateness)
    }

    /// A time as seconds since 1970.
    pub(crate) fn seconds(&self, time: i64) -> f64 {
        let ticks = match self.time.data_type() {
            DataType::Timestamp(unit, _) => of_a_second(*unit).0,
            _ => 1,
        };
        time as f64 / ticks as f64
    }

    /// Whether a time is so far off that what is computed of it, with windows of that length, would
    /// be beyond all times.
    pub(crate) fn is_far(&self, time: i64, length: i64) -> bool {
        let margin = length.saturating_mul(2).saturating_add(self.lateness);
        time < i64::MIN.saturating_add(margin) || time > i64::MAX.saturating_sub(margin)
    }

    /// Deals rows out to windows of one size. A row is late by what came before it, row by row, so
    /// that it does not matter which rows come as one batch. `latest` is the greatest time so far.
    pub(crate) fn assign(
        &self,
        sliding: Sliding,
        times: &PrimitiveArray<Int64Type>,
        latest: &mut Option<i64>,
    ) -> Assigned {
        let Sliding { size, slide } = sliding;
        let mut assigned = Assigned::default();
        for (row, time) in (0..).zip(times.iter()) {
            let Some(time) = time else {
                assigned.timeless.push(row);
                continue;
            };
            if self.is_far(time, size) {
                assigned.far.push(row);
                continue;
            }
            let (first, last) = sliding.around(time);
            let watermark = latest.map_or(i64::MIN, |latest| self.watermark(latest));
            *latest = Some(latest.map_or(time, |latest| latest.max(time)));
            if sliding.end(last) > watermark {
                let mut start = first;
                while start <= last {
                    if sliding.end(start) > watermark {
                        assigned.windows.entry(start).or_default().push(row);
                    }
                    start += slide;
                }
            } else if self.late == Late::Merge {
                assigned.merged += 1;
                let open = (watermark - size).div_euclid(slide) + 1;
                assigned.windows.entry(open * slide).or_default().push(row);
            } else {
                assigned.late.push(row);
            }
        }
        assigned
    }
}

impl Sliding {
    fn new(size: Time, slide: Option<Time>, unit: TimeUnit) -> Result<Self> {
        let size = ticks(size, unit, "window.size")?;
        let slide = match slide {
            Some(slide) => ticks(slide, unit, "window.slide")?,
            None => size,
        };
        if size < 1 {
            return Err(Error::option("window.size", "a window must have a length"));
        }
        if slide < 1 {
            return Err(Error::option(
                "window.slide",
                "windows must begin some time after each other",
            ));
        }
        if slide > size {
            return Err(Error::option("window.slide", "rows between the windows would get lost")
                .help("`slide` is at most `size`; a `filter` before can leave rows out"));
        }
        if size / slide > MOST_AT_ONCE {
            let message = format!("a row would belong to {} windows at once", size / slide);
            return Err(Error::option("window.slide", message).help(format!(
                "{MOST_AT_ONCE} are the most: `slide` is too short for this `size`"
            )));
        }
        Ok(Self { size, slide })
    }

    /// Where the window that starts there ends.
    pub(crate) fn end(&self, start: i64) -> i64 {
        start.saturating_add(self.size)
    }

    /// The first and the last start of the windows around a time.
    fn around(&self, time: i64) -> (i64, i64) {
        let last = time.div_euclid(self.slide) * self.slide;
        let before = (self.size - 1 - (time - last)).div_euclid(self.slide);
        (last - before * self.slide, last)
    }
}

/// The gap between sessions.
fn session(gap: Time, slide: Option<Time>, unit: TimeUnit) -> Result<i64> {
    if slide.is_some() {
        return Err(Error::option("window.slide", "sessions begin with their first row")
            .help("`slide` goes with `size`, not with `gap`"));
    }
    match ticks(gap, unit, "window.gap")? {
        gap if gap < 1 => Err(Error::option("window.gap", "there must be a gap between sessions")),
        gap => Ok(gap),
    }
}

/// How many of the unit make a second, and its name.
const fn of_a_second(unit: TimeUnit) -> (u128, &'static str) {
    match unit {
        TimeUnit::Second => (1, "seconds"),
        TimeUnit::Millisecond => (1_000, "milliseconds"),
        TimeUnit::Microsecond => (1_000_000, "microseconds"),
        TimeUnit::Nanosecond => (1_000_000_000, "nanoseconds"),
    }
}

fn ticks(time: Time, unit: TimeUnit, at: &str) -> Result<i64> {
    let (ticks, name) = of_a_second(unit);
    let nanos = 1_000_000_000 / ticks;
    let given = time.0.as_nanos();
    if !given.is_multiple_of(nanos) {
        return Err(Error::option(at, format!("the times of the rows have whole {name} only")));
    }
    match i64::try_from(given / nanos) {
        // A window must have its bounds within the times that there are.
        Ok(ticks) if ticks < i64::MAX / 8 => Ok(ticks),
        _ => Err(Error::option(at, "this is longer than such times last")),
    }
}
