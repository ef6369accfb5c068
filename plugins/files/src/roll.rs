//! When a file is complete and the next one is begun.

use std::time::Duration;

use gristmill_stage::option::{ByteSize, Time};
use gristmill_stage::{Error, Result};
use schemars::JsonSchema;
use serde::Deserialize;

/// When a file is complete: as soon as one of these is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Roll {
    /// Rows in a file, at the most.
    #[serde(default)]
    rows: Option<u64>,
    /// Bytes in a file, about: it ends with the batch that reaches them. Rows of Parquet and Arrow IPC
    /// that wait for their block count as they are in memory.
    #[serde(default)]
    bytes: Option<ByteSize>,
    /// How long after its first row a file is completed.
    #[serde(default)]
    every: Option<Time>,
}

impl Roll {
    /// # Errors
    /// When no file would ever be complete, or every file at once.
    pub(crate) fn check(&self) -> Result<()> {
        let Self { rows, bytes, every } = self;
        if (rows, bytes, every) == (&None, &None, &None) {
            return Err(Error::option("roll", "nothing says when a file is complete")
                .help("one or more of `rows`, `bytes`, `every`"));
        }
        let none = [
            ("roll.rows", *rows == Some(0)),
            ("roll.bytes", *bytes == Some(ByteSize(0))),
            ("roll.every", *every == Some(Time(Duration::ZERO))),
        ];
        match none.into_iter().find(|(_, none)| *none) {
            Some((option, _)) => Err(Error::option(option, "every file would be empty")),
            None => Ok(()),
        }
    }

    /// How many rows there is room for after so many.
    pub(crate) fn room(&self, rows: u64) -> usize {
        let room = self.rows.map_or(u64::MAX, |most| most.saturating_sub(rows));
        usize::try_from(room).unwrap_or(usize::MAX)
    }

    /// Whether a file of so many rows and bytes is complete.
    pub(crate) fn is_full(&self, rows: u64, bytes: u64) -> bool {
        self.rows.is_some_and(|most| rows >= most) || self.bytes.is_some_and(|most| bytes >= most.0)
    }

    /// When a file that was begun then is complete.
    pub(crate) fn ends(&self, begun: Duration) -> Option<Duration> {
        self.every.map(|every| begun.saturating_add(every.0))
    }
}
