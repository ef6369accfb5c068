//! Results that are emitted while the input goes on: when, and what is said of them.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arrow_array::{ArrayRef, BooleanArray, TimestampMicrosecondArray};
use arrow_schema::{DataType, FieldRef, TimeUnit};
use gristmill_stage::option::Time;
use gristmill_stage::{Clock, Error, Result};

use super::groups::Groups;
use super::plan::Prepared;
use crate::columns::computed;

/// The columns that `every` adds.
pub(crate) const EMITTED: &str = "emitted_at";
pub(crate) const FINAL: &str = "is_final";

const ZONE: &str = "UTC";

/// When results are emitted.
pub(crate) struct Emissions {
    every: Option<Duration>,
    clock: Arc<dyn Clock>,
    /// When the next results are due, on the clock of the run and as microseconds since 1970. Only if
    /// rows have come since the last.
    due: Option<(Duration, i64)>,
}

impl Emissions {
    pub(crate) fn new(every: Option<Duration>, clock: &Arc<dyn Clock>) -> Self {
        Self { every, clock: Arc::clone(clock), due: None }
    }

    /// Rows have come.
    pub(crate) fn changed(&mut self) {
        if let (Some(every), None) = (self.every, self.due) {
            let wall = since_1970(self.clock.wall());
            let passed = wall.as_nanos() % every.as_nanos().max(1);
            let left = every.saturating_sub(nanos(passed));
            self.due = Some((self.clock.now().saturating_add(left), micros(wall + left)));
        }
    }

    /// When results are due.
    pub(crate) fn wake_at(&self) -> Option<Duration> {
        self.due.map(|(at, _)| at)
    }

    /// The time of day at which results were due, if it has come. They are then due no more.
    pub(crate) fn take_due(&mut self) -> Option<i64> {
        let (_, time) = self.due.take_if(|(at, _)| *at <= self.clock.now())?;
        Some(time)
    }

    /// The input is at its end: there are final results only.
    pub(crate) fn end(&mut self) {
        self.due = None;
    }

    /// What is said of rows that were due at that time.
    pub(crate) fn running(&self, time: i64, rows: usize) -> Vec<ArrayRef> {
        self.columns(time, false, rows)
    }

    /// What is said of rows that are final.
    pub(crate) fn last(&self, rows: usize) -> Vec<ArrayRef> {
        self.columns(micros(since_1970(self.clock.wall())), true, rows)
    }

    fn columns(&self, time: i64, is_final: bool, rows: usize) -> Vec<ArrayRef> {
        if self.every.is_none() {
            return Vec::new();
        }
        let times = TimestampMicrosecondArray::from_value(time, rows).with_timezone(ZONE);
        vec![Arc::new(times), Arc::new(BooleanArray::from(vec![is_final; rows]))]
    }
}

/// The columns that `every` adds.
pub(crate) fn fields() -> [FieldRef; 2] {
    let time = DataType::Timestamp(TimeUnit::Microsecond, Some(ZONE.into()));
    [Arc::new(computed(EMITTED, &time)), Arc::new(computed(FINAL, &DataType::Boolean))]
}

/// The time between emissions.
pub(crate) fn period(every: Option<Time>) -> Result<Option<Duration>> {
    match every {
        Some(Time(every)) if every < Duration::from_millis(1) => {
            Err(Error::option("every", "there must be a millisecond between results at the least"))
        }
        every => Ok(every.map(|every| every.0)),
    }
}

/// Keys and results of all groups, which go on, and how many there are.
pub(crate) fn results_so_far(
    groups: &mut Groups,
    prepared: &Prepared,
) -> Result<(Vec<ArrayRef>, usize)> {
    // To ask an accumulator for results empties it.
    let state = groups.state(prepared)?;
    let mut copy = Groups::new(prepared)?;
    copy.merge(&state, prepared)?;
    copy.results(prepared)
}

fn since_1970(time: SystemTime) -> Duration {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

fn nanos(nanos: u128) -> Duration {
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}
