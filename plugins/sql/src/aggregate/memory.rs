//! The memory that groups may take.

use std::path::PathBuf;

use gristmill_stage::option::ByteSize;
use gristmill_stage::path::check_replace;
use gristmill_stage::{Error, Result};

use super::groups::Groups;
use super::{AggregateOptions, is_empty};

/// If nothing else is said.
const STANDARD: ByteSize = ByteSize(256 << 20);

/// With less, files would be merged two at a time.
const LEAST: u64 = 1 << 20;

/// What bounds the memory of groups.
#[derive(Debug, Clone)]
pub(crate) struct Memory {
    pub(crate) bytes: usize,
    /// The folder for those that do not fit.
    pub(crate) spill: Option<PathBuf>,
    /// Rows and bytes that came since the groups were measured.
    unmeasured: (usize, usize),
}

impl Memory {
    /// None where all groups stay in memory: those of windows, those of which results so far are told,
    /// and all rows as one group.
    pub(crate) fn of(options: &AggregateOptions) -> Option<Self> {
        let bytes = options.memory.unwrap_or(STANDARD).0;
        let keeps = options.window.is_some() || options.every.is_some();
        let bounded = !keeps && !is_empty(&options.group_by);
        bounded.then(|| Self {
            bytes: usize::try_from(bytes).unwrap_or(usize::MAX),
            spill: options.spill.clone(),
            unmeasured: (0, 0),
        })
    }

    pub(crate) fn check(options: &AggregateOptions) -> Result<()> {
        if let Some(memory) = options.memory
            && memory.0 < LEAST
        {
            let text = format!("{memory} are too few to gather groups in");
            return Err(Error::option("memory", text).help("at least 1MiB"));
        }
        let given = options.memory.map(|_| "memory").or(options.spill.as_ref().map(|_| "spill"));
        let why = match (&options.window, is_empty(&options.group_by)) {
            (Some(_), _) => "groups of windows are not put on disk",
            _ if options.every.is_some() => "groups are not put on disk with `every`",
            (None, true) => "without `group_by` all rows are one group, which is not put on disk",
            (None, false) => "",
        };
        if let (Some(given), false) = (given, why.is_empty()) {
            return Err(Error::option(given, why).help("leave it out"));
        }
        match &options.spill {
            Some(folder) => {
                check_replace(&folder.join("gristmill")).map_err(|error| error.at("spill"))
            }
            None => Ok(()),
        }
    }

    /// Whether the groups take too much, now that so many rows and bytes have come. To measure them
    /// can take time for each, so that is done when much has come.
    pub(crate) fn is_full(&mut self, rows: usize, bytes: usize, groups: &Groups) -> bool {
        self.unmeasured.0 += rows;
        self.unmeasured.1 += bytes;
        if self.unmeasured.0 < groups.len() / 8 && self.unmeasured.1 < self.bytes / 16 {
            return false;
        }
        self.unmeasured = (0, 0);
        // A table that grows is there twice for a moment.
        groups.size() > self.bytes / 2
    }
}
