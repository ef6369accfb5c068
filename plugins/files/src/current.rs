//! A file that is being read, and where in it.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use gristmill_stage::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::decode::{Decoder, values};
use crate::paths::Input;
use crate::records::{Part, Records};
use crate::sample;

/// The first record that is not blank.
pub(crate) enum Header {
    /// The names in it.
    Names(Vec<String>),
    /// There is none.
    Missing,
    /// It has to be waited for.
    Wait,
}

impl Header {
    pub(crate) fn read(records: &mut Records, delimiter: u8) -> Result<Self> {
        loop {
            match records.next(1, 1)? {
                Part::End => return Ok(Self::Missing),
                Part::Wait => return Ok(Self::Wait),
                Part::TooLong { .. } => return Err(Error::data("the header is too long")),
                Part::Records { records: ranges, .. } => {
                    let text = ranges.first().map(|range| &records.text()[range.clone()]);
                    if let Some(record) = text.filter(|record| !sample::is_blank(record)) {
                        return values(record, delimiter).map(Self::Names).ok_or_else(unnamed);
                    }
                }
            }
        }
    }
}

/// The error for a header that cannot be read.
pub(crate) fn unnamed() -> Error {
    Error::data("the first line names no columns: it is not UTF-8")
}

/// Whether the input is a file that can be read more than once.
pub(crate) fn regular(input: &Input) -> bool {
    match input {
        Input::Stdin => false,
        Input::File(path) => Path::new(path).is_file(),
    }
}

pub(crate) fn failed(input: &Input, error: std::io::Error) -> Error {
    Error::io(format!("{} cannot be read: {error}", input.name()))
}

/// The bytes of a file from `offset` on.
pub(crate) fn open_at(path: &Path, offset: u64) -> std::io::Result<Box<dyn Read + Send>> {
    let mut file = File::open(path)?;
    if offset > 0 {
        file.seek(SeekFrom::Start(offset))?;
    }
    Ok(Box::new(file))
}

/// Where reading goes on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Position {
    /// The file that is being read; empty when all are read.
    pub(crate) file: String,
    /// Bytes of it that were read.
    pub(crate) offset: u64,
    /// The number of the next line, from 1.
    pub(crate) line: u64,
}

impl Position {
    pub(crate) fn start(input: &Input) -> Self {
        Self { file: input.name(), offset: 0, line: 1 }
    }
}

/// A file that is being read.
pub(crate) struct Current {
    pub(crate) records: Records,
    /// `None` until the header has come.
    pub(crate) decoder: Option<Decoder>,
    pub(crate) input: Input,
}
