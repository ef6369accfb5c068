//! What a stage needs to go on where another left off.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch, StringArray};
use serde::{Serialize, de::DeserializeOwned};

use crate::{Error, ErrorKind, Result};

/// The state of one worker between two calls.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Snapshot {
    /// Nothing to keep: an equal stage, newly built, goes on as well.
    #[default]
    Stateless,
    /// All that is held.
    State(State),
}

/// The held state: named batches, so that it can be written as Arrow and keyed parts can be dealt
/// out anew.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// Version of the layout, chosen by the stage. A stage refuses a version it does not know.
    pub version: u32,
    /// The parts, each a batch under a name, in an order of the stage's own.
    pub parts: Vec<(String, RecordBatch)>,
}

/// The part under which a state made by [`Snapshot::of`] keeps its value.
const VALUE: &str = "value";

impl Snapshot {
    /// A state of one small value (a position, a counter), kept as JSON.
    pub fn of<T: Serialize>(version: u32, value: &T) -> Result<Self> {
        let text = serde_json::to_string(value)
            .map_err(|e| Error::internal(format!("the state cannot be written as JSON: {e}")))?;
        let column: ArrayRef = Arc::new(StringArray::from(vec![text]));
        let batch = RecordBatch::try_from_iter([(VALUE, column)])?;
        Ok(Self::State(State { version, parts: vec![(VALUE.to_owned(), batch)] }))
    }

    /// A state of named batches.
    pub fn parts(version: u32, parts: Vec<(String, RecordBatch)>) -> Self {
        Self::State(State { version, parts })
    }

    /// The value put in by [`Snapshot::of`]; `None` when there is nothing to restore.
    ///
    /// # Errors
    /// [`ErrorKind::Restore`] when the version or the layout is another.
    pub fn value<T: DeserializeOwned>(&self, version: u32) -> Result<Option<T>> {
        let Some(state) = self.state(version)? else { return Ok(None) };
        let text = state
            .parts
            .iter()
            .find(|(name, _)| name == VALUE)
            .and_then(|(_, batch)| batch.columns().first())
            .and_then(|column| column.as_any().downcast_ref::<StringArray>())
            .filter(|column| column.len() == 1)
            .ok_or_else(|| Error::new(ErrorKind::Restore, "the snapshot holds no value"))?;
        serde_json::from_str(text.value(0))
            .map(Some)
            .map_err(|e| Error::new(ErrorKind::Restore, format!("the snapshot does not fit: {e}")))
    }

    /// The state, if there is one.
    ///
    /// # Errors
    /// [`ErrorKind::Restore`] when its version is not `version`.
    pub fn state(&self, version: u32) -> Result<Option<&State>> {
        match self {
            Self::Stateless => Ok(None),
            Self::State(state) if state.version == version => Ok(Some(state)),
            Self::State(state) => Err(Error::new(
                ErrorKind::Restore,
                format!(
                    "the snapshot has version {}, this stage reads version {version}",
                    state.version
                ),
            )),
        }
    }
}

impl State {
    /// The name of parts that hold rows as they came in: taken, and not yet worked off. A runner may
    /// take such parts out and give their rows to the stage again as input; it comes to the same.
    pub const ROWS: &str = "rows";

    /// The part of that name.
    pub fn part(&self, name: &str) -> Option<&RecordBatch> {
        self.parts.iter().find(|(part, _)| part == name).map(|(_, batch)| batch)
    }
}
