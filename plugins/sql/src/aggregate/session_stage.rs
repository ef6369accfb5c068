//! A worker of `aggregate` whose windows are sessions: it emits each when it is closed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Int64Array, RecordBatch, UInt32Array};
use arrow_schema::{DataType, Field, Schema};
use arrow_select::take::take;
use gristmill_stage::{BuildContext, Cause, Error, Output, Result, Snapshot, State, Transform};
use hashbrown::HashMap;

use super::emissions::Emissions;
use super::groups::{batch_of, unfit};
use super::partials::{Partials, Place};
use super::plan::Prepared;
use super::rest::Rest;
use super::sessions::{Dealt, Session, Sessions};
use super::stage::{REST, VERSION};
use super::table::GroupTable;
use super::told::Told;
use super::window::{START, Window};
use super::windowed::{LATEST, latest_of, latest_part, reject};
use crate::evaluate::evaluate;

/// The part of a snapshot with the open sessions: rows of keys and states, and before them the number
/// of the session that each is of, its start, and the time of its last row.
const SESSIONS: &str = "sessions";

/// So much more may be held than there are sessions before what is held is put together.
const SLACK: usize = 1 << 14;

pub(crate) struct SessionStage {
    prepared: Prepared,
    window: Window,
    /// The numbers of groups, also of some that have no session any more.
    table: GroupTable,
    sessions: Sessions,
    partials: Partials,
    /// The greatest time of a row so far.
    latest: Option<i64>,
    emissions: Emissions,
    /// Closed sessions, and results so far, still to be emitted.
    rest: Rest,
    /// The group of each row of the batch in hand; kept for its memory.
    groups: Vec<usize>,
    told: Told,
}

impl SessionStage {
    pub(crate) fn new(
        prepared: Prepared,
        window: Window,
        gap: i64,
        context: &BuildContext,
    ) -> Result<Self> {
        let mut stage = Self {
            window,
            table: table(&prepared)?,
            sessions: Sessions::new(gap),
            partials: Partials::default(),
            latest: None,
            emissions: Emissions::new(prepared.every, context.clock()),
            rest: Rest::new(context.batch()),
            groups: Vec::new(),
            told: Told::new(context)?,
            prepared,
        };
        if let Some(state) = context.restored().state(VERSION)? {
            stage.restore(state)?;
        }
        Ok(stage)
    }

    /// Adds what a snapshot holds. Parts of several workers add up.
    fn restore(&mut self, state: &State) -> Result<()> {
        for (name, part) in &state.parts {
            match name.as_str() {
                SESSIONS => self.restore_sessions(part)?,
                REST => self.rest.restore(part, &self.prepared)?,
                LATEST => self.latest = self.latest.max(latest_of(part)?),
                _ => return Err(unfit()),
            }
        }
        Ok(())
    }

    fn restore_sessions(&mut self, part: &RecordBatch) -> Result<()> {
        let Some((bounds, columns)) = part.columns().split_at_checked(3) else {
            return Err(unfit());
        };
        let bounds = bounds.iter().map(|column| column.as_primitive_opt::<Int64Type>());
        let bounds = bounds.collect::<Option<Vec<_>>>().ok_or_else(unfit)?;
        let [numbers, starts, lasts] = bounds[..] else { return Err(unfit()) };
        let rows = part.num_rows();
        let number = self.partials.restore(columns, rows, &self.prepared)?;
        let keys = &columns[..self.prepared.key_types.len()];
        self.table.find(keys, rows, &mut self.groups)?;
        let mut found: BTreeMap<i64, Session> = BTreeMap::new();
        for row in 0..rows {
            let place = Place { part: number, row: u32::try_from(row).map_err(|_| unfit())? };
            let session = found.entry(numbers.value(row)).or_insert_with(|| Session {
                group: self.groups[row],
                start: starts.value(row),
                last: lasts.value(row),
                places: Vec::new(),
            });
            session.places.push(place);
        }
        self.emissions.changed();
        for session in found.into_values() {
            self.sessions.insert(session);
        }
        Ok(())
    }

    /// Adds rows to their sessions.
    fn update(&mut self, columns: &[ArrayRef], rows: &[(u32, u64)]) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        self.emissions.changed();
        let mut known: HashMap<u64, usize> = HashMap::new();
        let mut found: Vec<u64> = Vec::new();
        let groups = rows.iter().map(|(_, session)| {
            *known.entry(self.sessions.settled(*session)).or_insert_with_key(|session| {
                found.push(*session);
                found.len() - 1
            })
        });
        let groups: Vec<usize> = groups.collect();
        let whole = columns.first().is_some_and(|column| column.len() == rows.len());
        let which = UInt32Array::from_iter_values(rows.iter().map(|(row, _)| *row));
        let own = columns.iter().map(|column| match whole {
            true => Ok(Arc::clone(column)),
            false => take(column, &which, None),
        });
        let own = own.collect::<Result<Vec<_>, _>>()?;
        let part = self.partials.update(&own, &groups, &self.prepared)?;
        for (row, session) in (0..).zip(found) {
            self.sessions.place(session, Place { part, row });
        }
        Ok(())
    }

    /// Takes out what has closed.
    fn close(&mut self, watermark: i64) -> Result<()> {
        self.sessions.close(watermark);
        let closed = self.sessions.take_closed();
        let emission = self.emissions.last(closed.len());
        let gathered = self.results(&closed.iter().collect::<Vec<_>>(), emission)?;
        self.rest.push(gathered);
        for session in &closed {
            self.partials.release(&session.places);
        }
        let open = self.sessions.len();
        if open > self.prepared.max_groups {
            let most = self.prepared.max_groups;
            return Err(Error::data(format!("there are more than {most} open sessions"))
                .help("use a shorter `gap` or less `lateness`, or raise `max_groups`"));
        }
        if self.partials.len().max(self.table.len()) > 2 * open + SLACK {
            self.compact()
        } else {
            Ok(())
        }
    }

    /// Bounds, keys and results of sessions, of which `emission` is said.
    fn results(&self, sessions: &[&Session], emission: Vec<ArrayRef>) -> Result<RecordBatch> {
        let places = sessions.iter().map(|session| session.places.as_slice());
        let (keys, mut slots, rows) = self.partials.merge(places, &self.prepared)?;
        if rows == 0 {
            return Ok(RecordBatch::new_empty(Arc::clone(&self.prepared.gathered)));
        }
        let time = |of: &dyn Fn(&Session) -> i64| -> Result<ArrayRef> {
            let times = Int64Array::from_iter_values(sessions.iter().map(|session| of(session)));
            Ok(arrow_cast::cast(&times, self.window.time.data_type())?)
        };
        let end = |session: &Session| self.sessions.end(session);
        let mut columns = emission;
        columns.extend([time(&|session| session.start)?, time(&end)?]);
        columns.extend(keys);
        for slot in &mut slots {
            columns.push(slot.results()?);
        }
        batch_of(Arc::clone(&self.prepared.gathered), columns, rows)
    }

    /// The part of a snapshot with the open sessions, if there are any. Rows are in the order in which
    /// they came, as [`Sessions::insert`] wants them.
    fn open_part(&self) -> Result<Option<RecordBatch>> {
        let open = self.sessions.open();
        let rows = (0..).zip(&open).flat_map(|(number, session)| {
            session.places.iter().map(move |place| (*place, number, session))
        });
        let mut rows: Vec<(Place, i64, &&Session)> = rows.collect();
        rows.sort_unstable_by_key(|(place, ..)| *place);
        if rows.is_empty() {
            return Ok(None);
        }
        let column = |of: &dyn Fn(i64, &Session) -> i64| -> ArrayRef {
            let values = rows.iter().map(|(_, number, session)| of(*number, session));
            Arc::new(Int64Array::from_iter_values(values))
        };
        let mut columns = vec![
            column(&|number, _| number),
            column(&|_, session| session.start),
            column(&|_, session| session.last),
        ];
        let places: Vec<Place> = rows.iter().map(|(place, ..)| *place).collect();
        columns.extend(self.partials.gather(&places)?);
        let fields = columns.iter().enumerate().map(|(index, column)| {
            let name = match index {
                0 => "session".to_owned(),
                1 => START.to_owned(),
                2 => LATEST.to_owned(),
                other => format!("state#{}", other - 3),
            };
            Field::new(name, column.data_type().clone(), true)
        });
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        batch_of(schema, columns, places.len()).map(Some)
    }

    /// Makes one row of the states of each open session, and forgets groups without any.
    fn compact(&mut self) -> Result<()> {
        let open = self.sessions.open();
        let places = open.iter().map(|session| session.places.as_slice());
        let (keys, mut slots, rows) = self.partials.merge(places, &self.prepared)?;
        self.table = table(&self.prepared)?;
        self.table.find(&keys, rows, &mut self.groups)?;
        let mut columns = keys;
        for slot in &mut slots {
            columns.extend(slot.state(rows)?);
        }
        self.partials = Partials::default();
        let part = self.partials.add(columns, rows);
        self.sessions.renumber(&self.groups, part);
        Ok(())
    }
}

/// The numbers of groups. What bounds them is the number of open sessions.
fn table(prepared: &Prepared) -> Result<GroupTable> {
    GroupTable::new(&prepared.key_types, usize::MAX)
}

impl Transform for SessionStage {
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
        let keys = &evaluated.columns[..self.prepared.key_types.len()];
        self.table.find(keys, times.len(), &mut self.groups)?;
        let Self { window, sessions, groups, latest, .. } = self;
        let dealt = sessions.deal(window, times.as_primitive(), groups, latest);
        let Dealt { rows, late, merged, timeless, far } = dealt;
        let too_late = late.len() + merged;
        let (all, why) = (&evaluated.rows, "window: it came after its session was closed");
        reject(all, late, Cause::Late, why, out)?;
        reject(all, timeless, Cause::Data, "window.time: there is no time", out)?;
        reject(all, far, Cause::Data, "window.time: the time is too far off", out)?;
        self.update(&evaluated.columns, &rows)?;
        if let Some(latest) = self.latest {
            let watermark = self.window.watermark(latest);
            self.close(watermark)?;
            self.told.window(self.window.seconds(watermark), too_late);
        }
        self.told.groups(self.sessions.len());
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
            let open = self.sessions.open();
            let results = self.results(&open, self.emissions.running(time, open.len()))?;
            self.rest.push(results);
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
        parts.extend(self.open_part()?.map(|part| (SESSIONS.to_owned(), part)));
        parts.extend(self.rest.parts().map(|part| (REST.to_owned(), part.clone())));
        Ok(Snapshot::parts(VERSION, parts))
    }
}
