//! A worker of `aggregate` with windows of one size: it emits the groups of each when it is closed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch, UInt32Array};
use arrow_schema::{DataType, Field, Schema};
use arrow_select::take::{take, take_record_batch};
use gristmill_stage::{BuildContext, Cause, Error, Output, Result, Snapshot, State, Transform};

use super::emissions::{Emissions, results_so_far};
use super::groups::{Groups, batch_of, unfit};
use super::plan::Prepared;
use super::rest::Rest;
use super::stage::{GROUPS, REST, VERSION};
use super::told::Told;
use super::window::{Assigned, START, Sliding, Window};
use crate::evaluate::evaluate;

/// The part of a snapshot with the greatest time so far. The parts with groups, one for each open
/// window, have the start of the window before the keys.
pub(super) const LATEST: &str = "latest";

pub(crate) struct WindowedStage {
    prepared: Prepared,
    window: Window,
    sliding: Sliding,
    /// The windows that are open, by their start.
    open: BTreeMap<i64, Groups>,
    /// The greatest time of a row so far.
    latest: Option<i64>,
    emissions: Emissions,
    /// The groups of closed windows, and results so far, still to be emitted.
    rest: Rest,
    told: Told,
}

impl WindowedStage {
    pub(crate) fn new(
        prepared: Prepared,
        window: Window,
        sliding: Sliding,
        context: &BuildContext,
    ) -> Result<Self> {
        let (open, rest) = (BTreeMap::new(), Rest::new(context.batch()));
        let emissions = Emissions::new(prepared.every, context.clock());
        let (latest, told) = (None, Told::new(context)?);
        let mut stage = Self { prepared, window, sliding, open, latest, emissions, rest, told };
        if let Some(state) = context.restored().state(VERSION)? {
            stage.restore(state)?;
        }
        Ok(stage)
    }

    /// Adds what a snapshot holds. Parts of several workers add up.
    fn restore(&mut self, state: &State) -> Result<()> {
        for (name, part) in &state.parts {
            match name.as_str() {
                GROUPS => {
                    let (start, groups) = split(part)?;
                    self.groups(start)?;
                    if let Some(open) = self.open.get_mut(&start) {
                        open.merge(&groups, &self.prepared)?;
                    }
                    self.emissions.changed();
                }
                REST => self.rest.restore(part, &self.prepared)?,
                LATEST => self.latest = self.latest.max(latest_of(part)?),
                _ => return Err(unfit()),
            }
        }
        Ok(())
    }

    /// Opens a window if it is not open.
    fn groups(&mut self, start: i64) -> Result<()> {
        if !self.open.contains_key(&start) {
            self.open.insert(start, Groups::new(&self.prepared)?);
        }
        Ok(())
    }

    fn update(&mut self, columns: &[ArrayRef], assigned: BTreeMap<i64, Vec<u32>>) -> Result<()> {
        if !assigned.is_empty() {
            self.emissions.changed();
        }
        for (start, rows) in assigned {
            self.groups(start)?;
            let whole = columns.first().is_some_and(|column| column.len() == rows.len());
            let (count, rows) = (rows.len(), UInt32Array::from(rows));
            let own = columns.iter().map(|column| match whole {
                true => Ok(Arc::clone(column)),
                false => take(column, &rows, None),
            });
            let own = own.collect::<Result<Vec<_>, _>>()?;
            if let Some(groups) = self.open.get_mut(&start) {
                groups.update(&own, count, &self.prepared)?;
            }
        }
        if self.held() > self.prepared.max_groups {
            let most = self.prepared.max_groups;
            return Err(Error::data(format!("there are more than {most} groups in open windows"))
                .help("use shorter windows or less `lateness`, or raise `max_groups`"));
        }
        Ok(())
    }

    /// The groups of all open windows. One without keys is one group, like all rows.
    fn held(&self) -> usize {
        self.open.values().map(|groups| groups.len().max(1)).sum()
    }

    /// Closes all windows that end at `watermark` or before.
    fn close(&mut self, watermark: i64) -> Result<()> {
        while let Some(first) = self.open.first_entry()
            && self.sliding.end(*first.key()) <= watermark
        {
            let (start, mut groups) = first.remove_entry();
            let (results, rows) = groups.results(&self.prepared)?;
            self.push(start, self.emissions.last(rows), results, rows)?;
        }
        Ok(())
    }

    /// Adds results of the window that starts there, of which `emission` is said, to what is to be
    /// emitted.
    fn push(
        &mut self,
        start: i64,
        emission: Vec<ArrayRef>,
        results: Vec<ArrayRef>,
        rows: usize,
    ) -> Result<()> {
        let time = |time: i64| -> Result<ArrayRef> {
            let times = Int64Array::from_value(time, rows);
            Ok(arrow_cast::cast(&times, self.window.time.data_type())?)
        };
        let bounds = [time(start)?, time(self.sliding.end(start))?];
        let columns = emission.into_iter().chain(bounds).chain(results).collect();
        self.rest.push(batch_of(Arc::clone(&self.prepared.gathered), columns, rows)?);
        Ok(())
    }

    /// Adds the results so far of all open windows, which were due at that time.
    fn push_running(&mut self, time: i64) -> Result<()> {
        let mut open = std::mem::take(&mut self.open);
        for (start, groups) in &mut open {
            let (results, rows) = results_so_far(groups, &self.prepared)?;
            self.push(*start, self.emissions.running(time, rows), results, rows)?;
        }
        self.open = open;
        Ok(())
    }
}

/// The part of a snapshot with the greatest time so far.
pub(super) fn latest_part(latest: Option<i64>) -> Result<RecordBatch> {
    let latest: ArrayRef = Arc::new(Int64Array::from(vec![latest]));
    Ok(RecordBatch::try_from_iter_with_nullable([(LATEST, latest, true)])?)
}

/// The time in such a part.
pub(super) fn latest_of(part: &RecordBatch) -> Result<Option<i64>> {
    let column = part.columns().first().ok_or_else(unfit)?;
    let times = column.as_primitive_opt::<Int64Type>().ok_or_else(unfit)?;
    Ok(times.iter().flatten().max())
}

/// Rejects rows, if there are any.
pub(super) fn reject(
    rows: &RecordBatch,
    which: Vec<u32>,
    cause: Cause,
    why: &str,
    out: &mut dyn Output,
) -> Result<()> {
    if which.is_empty() {
        return Ok(());
    }
    out.reject_as(take_record_batch(rows, &UInt32Array::from(which))?, cause, why)
}

/// A part with groups as the start of their window, and the groups.
fn split(part: &RecordBatch) -> Result<(i64, RecordBatch)> {
    let starts = part.columns().first().and_then(|column| column.as_primitive_opt::<Int64Type>());
    let start = starts.filter(|starts| !starts.is_empty()).ok_or_else(unfit)?.value(0);
    let others: Vec<usize> = (1..part.num_columns()).collect();
    Ok((start, part.project(&others)?))
}

impl Transform for WindowedStage {
    fn process(&mut self, batch: RecordBatch, out: &mut dyn Output) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let mut evaluated = evaluate(&self.prepared.inputs, batch, out)?;
        // The time is evaluated after all that the groups need.
        let Some(times) = evaluated.columns.pop() else {
            return Err(Error::internal("there are no times"));
        };
        let times = arrow_cast::cast(&times, &DataType::Int64)?;
        let assigned = self.window.assign(self.sliding, times.as_primitive(), &mut self.latest);
        let Assigned { windows, late, merged, timeless, far } = assigned;
        let too_late = late.len() + merged;
        let (rows, why) = (&evaluated.rows, "window: it came after its windows were closed");
        reject(rows, late, Cause::Late, why, out)?;
        reject(rows, timeless, Cause::Data, "window.time: there is no time", out)?;
        reject(rows, far, Cause::Data, "window.time: the time is too far off", out)?;
        self.update(&evaluated.columns, windows)?;
        if let Some(latest) = self.latest {
            let watermark = self.window.watermark(latest);
            self.close(watermark)?;
            self.told.window(self.window.seconds(watermark), too_late);
        }
        self.told.groups(self.held());
        self.rest.emit(&self.prepared, out)
    }

    fn ready(&self) -> bool {
        self.rest.is_empty()
    }

    fn holding(&self) -> bool {
        !self.rest.is_empty()
    }

    fn wake(&mut self, out: &mut dyn Output) -> Result<()> {
        if self.rest.is_empty()
            && let Some(time) = self.emissions.take_due()
        {
            self.push_running(time)?;
        }
        self.rest.emit(&self.prepared, out)
    }

    fn wake_at(&self) -> Option<Duration> {
        if self.holding() { Some(Duration::ZERO) } else { self.emissions.wake_at() }
    }

    fn finish(&mut self, out: &mut dyn Output) -> Result<()> {
        self.emissions.end();
        self.close(i64::MAX)?;
        self.told.groups(0);
        self.rest.emit(&self.prepared, out)
    }

    fn snapshot(&mut self) -> Result<Snapshot> {
        let mut parts = vec![(LATEST.to_owned(), latest_part(self.latest)?)];
        for (start, groups) in &mut self.open {
            let state = groups.state(&self.prepared)?;
            let (schema, columns, rows) = state.into_parts();
            let start: ArrayRef = Arc::new(Int64Array::from_value(*start, rows));
            let columns = std::iter::once(start).chain(columns).collect();
            let field = Arc::new(Field::new(START, DataType::Int64, false));
            let fields = std::iter::once(field).chain(schema.fields().iter().cloned());
            let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
            parts.push((GROUPS.to_owned(), batch_of(schema, columns, rows)?));
        }
        parts.extend(self.rest.parts().map(|part| (REST.to_owned(), part.clone())));
        Ok(Snapshot::parts(VERSION, parts))
    }
}
