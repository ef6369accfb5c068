//! Where a stage sets a reading.

use std::fmt;
use std::sync::Arc;

use super::Reading;
use super::cell::Cell;
use crate::{Error, Result};

/// Where a stage sets one of its readings. Cheap to clone and to use, from any thread and any task;
/// where nobody listens, it does nothing.
#[derive(Clone, Default)]
pub struct Readout(Option<Place>);

#[derive(Clone)]
struct Place {
    reading: Reading,
    cells: Arc<[Cell]>,
    at: usize,
}

impl Readout {
    /// The one for the first value of its label, or for all there is.
    pub(super) fn new(reading: Reading, cells: Arc<[Cell]>) -> Self {
        Self(Some(Place { reading, cells, at: 0 }))
    }

    /// The one for a value of its label.
    ///
    /// # Errors
    /// When the value was not declared.
    pub fn of(&self, value: &str) -> Result<Self> {
        let Some(place) = &self.0 else { return Ok(Self(None)) };
        let (_, values) = place.reading.label.unwrap_or_default();
        let at = values.iter().position(|one| *one == value).ok_or_else(|| {
            let name = place.reading.name;
            Error::internal(format!("the reading `{name}` has no value `{value}` of its label"))
        })?;
        Ok(Self(Some(Place { at, ..place.clone() })))
    }

    fn cell(&self) -> Option<&Cell> {
        self.0.as_ref().and_then(|place| place.cells.get(place.at))
    }

    /// A counter grows.
    pub fn add(&self, more: u64) {
        if let Some(cell) = self.cell() {
            cell.add(more);
        }
    }

    /// A gauge is this from now on.
    pub fn set(&self, value: f64) {
        if let Some(cell) = self.cell() {
            cell.set(value);
        }
    }

    /// A gauge is so much more from now on, or less.
    pub fn change(&self, by: f64) {
        if let Some(cell) = self.cell() {
            cell.change(by);
        }
    }

    /// A gauge is one more for as long as what is returned lives.
    pub fn hold(&self) -> Held {
        self.change(1.0);
        Held(self.clone())
    }

    /// A histogram takes a value; what is not a number is left out.
    pub fn record(&self, value: f64) {
        if let Some(cell) = self.cell() {
            cell.record(value);
        }
    }
}

impl fmt::Debug for Readout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.0.as_ref().map(|place| place.reading.name);
        f.debug_tuple("Readout").field(&name).finish()
    }
}

/// Keeps a gauge up by one.
#[derive(Debug)]
pub struct Held(Readout);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.change(-1.0);
    }
}
