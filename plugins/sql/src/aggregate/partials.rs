//! States of aggregates that are kept as columns until somebody wants their sum.
//!
//! A session can close, or become one with another, at any row. DataFusion's accumulators hand out
//! all groups or the first ones, and join none. So what a batch adds to a session is a row of states,
//! and a session is a list of such rows, which are merged when it closes.

use std::collections::BTreeMap;

use arrow_array::{Array, ArrayRef, UInt32Array};
use arrow_schema::DataType;
use arrow_select::interleave::interleave;
use arrow_select::take::take;
use gristmill_stage::keys::canonical;
use gristmill_stage::{Error, Result};

use super::groups::unfit;
use super::plan::Prepared;
use super::slot::Slot;
use crate::columns::cast_to;
use crate::wording;

/// Where a row of keys and states is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) part: u64,
    pub(crate) row: u32,
}

/// Keys and states: what each batch has added to each group.
#[derive(Debug, Default)]
pub(crate) struct Partials {
    parts: BTreeMap<u64, Part>,
    next: u64,
    /// How many rows there are, and how many of them are still of use.
    rows: usize,
    used: usize,
}

#[derive(Debug)]
struct Part {
    columns: Vec<ArrayRef>,
    rows: usize,
    used: usize,
}

impl Partials {
    /// Aggregates rows of one batch, of which the columns were computed. `groups` has a number for
    /// each, in the order of first appearance. The states of group `n` are in row `n` of the part
    /// that is returned.
    pub(crate) fn update(
        &mut self,
        columns: &[ArrayRef],
        groups: &[usize],
        prepared: &Prepared,
    ) -> Result<u64> {
        let mut firsts = Vec::new();
        for (row, group) in (0..).zip(groups) {
            if *group == firsts.len() {
                firsts.push(row);
            }
        }
        let total = firsts.len();
        let firsts = UInt32Array::from(firsts);
        let mut held = Vec::new();
        for (key, data_type) in columns.iter().zip(&prepared.key_types) {
            held.push(canonical(&cast_to(take(key, &firsts, None)?, data_type)?)?);
        }
        for mut slot in slots(prepared)? {
            slot.update(columns, groups, total)?;
            held.extend(slot.state(total)?);
        }
        Ok(self.add(held, total))
    }

    /// Adds rows of keys and states, all of which are of use.
    pub(crate) fn add(&mut self, columns: Vec<ArrayRef>, rows: usize) -> u64 {
        self.next += 1;
        self.parts.insert(self.next, Part { columns, rows, used: rows });
        self.rows += rows;
        self.used += rows;
        self.next
    }

    /// Keys and states at these places. Without any, no columns either.
    pub(crate) fn gather(&self, places: &[Place]) -> Result<Vec<ArrayRef>> {
        let mut parts: Vec<&Part> = Vec::new();
        let mut known: BTreeMap<u64, usize> = BTreeMap::new();
        let mut indices = Vec::with_capacity(places.len());
        for place in places {
            let part = match known.get(&place.part) {
                Some(part) => *part,
                None => {
                    let part = self.parts.get(&place.part);
                    parts.push(part.ok_or_else(|| Error::internal("states are not there"))?);
                    known.insert(place.part, parts.len() - 1);
                    parts.len() - 1
                }
            };
            indices.push((part, place.row as usize));
        }
        let columns = 0..parts.first().map_or(0, |part| part.columns.len());
        let gathered = columns.map(|column| {
            let all: Vec<&dyn Array> = parts.iter().map(|part| &*part.columns[column]).collect();
            Ok(interleave(&all, &indices)?)
        });
        gathered.collect()
    }

    /// The keys of groups, of each of which these are the places, and its aggregates, merged.
    pub(crate) fn merge<'a>(
        &self,
        groups: impl Iterator<Item = &'a [Place]>,
        prepared: &Prepared,
    ) -> Result<(Vec<ArrayRef>, Vec<Slot>, usize)> {
        let (mut places, mut firsts, mut numbers, mut total) = (vec![], vec![], vec![], 0);
        for own in groups.filter(|own| !own.is_empty()) {
            firsts.push(u32::try_from(places.len()).map_err(|_| too_many())?);
            places.extend_from_slice(own);
            numbers.resize(places.len(), total);
            total += 1;
        }
        let (mut keys, mut slots) = (Vec::new(), slots(prepared)?);
        if total > 0 {
            let gathered = self.gather(&places)?;
            let (all, mut states) = gathered.split_at(prepared.key_types.len());
            let firsts = UInt32Array::from(firsts);
            for key in all {
                keys.push(take(key, &firsts, None)?);
            }
            for slot in &mut slots {
                let (own, others) = states.split_at(slot.state_columns().count());
                slot.merge(own, &numbers, total)?;
                states = others;
            }
        }
        Ok((keys, slots, total))
    }

    /// Says that nobody needs what is at these places.
    pub(crate) fn release(&mut self, places: &[Place]) {
        for place in places {
            self.used = self.used.saturating_sub(1);
            if let Some(part) = self.parts.get_mut(&place.part) {
                part.used = part.used.saturating_sub(1);
                if part.used == 0 {
                    self.rows = self.rows.saturating_sub(part.rows);
                    self.parts.remove(&place.part);
                }
            }
        }
    }

    /// How many rows are held, of use or not.
    pub(crate) fn len(&self) -> usize {
        self.rows
    }

    /// The types of keys and states.
    pub(crate) fn types(prepared: &Prepared) -> Result<Vec<DataType>> {
        let slots = slots(prepared)?;
        let states = slots.iter().flat_map(Slot::state_columns).map(|(_, data_type)| data_type);
        Ok(prepared.key_types.iter().cloned().chain(states).collect())
    }

    /// Adds columns that were [gathered](Self::gather) by another.
    ///
    /// # Errors
    /// When they are those of another stage.
    pub(crate) fn restore(
        &mut self,
        columns: &[ArrayRef],
        rows: usize,
        prepared: &Prepared,
    ) -> Result<u64> {
        let types = Self::types(prepared)?;
        let fits = types.len() == columns.len()
            && types.iter().zip(columns).all(|(own, other)| own.equals_datatype(other.data_type()));
        if fits { Ok(self.add(columns.to_vec(), rows)) } else { Err(unfit()) }
    }
}

/// The aggregates of a stage, without any group.
fn slots(prepared: &Prepared) -> Result<Vec<Slot>> {
    let slots = prepared.slots.iter().cloned().map(Slot::new).collect::<Result<Vec<_>, _>>();
    slots.map_err(|error| Error::internal(wording::plain(&error)))
}

fn too_many() -> Error {
    Error::data("there are more states of sessions than rows can be counted")
}
