//! Formats.

use gristmill_stage::{Error, Result};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::compression::Compression;

/// How rows are written in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// A JSON object per line.
    Jsonl,
    /// Values between commas; the first record names the columns.
    Csv,
    /// Values between tabs; the first record names the columns.
    Tsv,
    /// Plain text: one column, `line`.
    Lines,
    /// Apache Parquet.
    Parquet,
    /// An Arrow IPC file, as Feather (version 2) files are.
    Arrow,
}

impl Format {
    /// The format that the ending of a path stands for.
    pub(crate) fn of(path: &str) -> Option<Self> {
        let (_, ending) = Compression::of(path).1.rsplit_once('.')?;
        match ending.to_ascii_lowercase().as_str() {
            "jsonl" | "ndjson" | "json" => Some(Self::Jsonl),
            "csv" => Some(Self::Csv),
            "tsv" => Some(Self::Tsv),
            "txt" | "log" | "lines" => Some(Self::Lines),
            "parquet" | "pq" => Some(Self::Parquet),
            "arrow" | "feather" | "ipc" => Some(Self::Arrow),
            _ => None,
        }
    }

    /// Whether it holds columns in blocks, and not rows as text.
    pub(crate) fn is_columnar(self) -> bool {
        matches!(self, Self::Parquet | Self::Arrow)
    }

    /// The byte between two values of a record.
    pub(crate) fn delimiter(self, option: Option<char>) -> Result<u8> {
        let chosen = match (option, self) {
            (None, Self::Tsv) => return Ok(b'\t'),
            (None, _) => return Ok(b','),
            (Some(chosen), _) => chosen,
        };
        match u8::try_from(chosen) {
            Ok(byte) if byte.is_ascii() && !matches!(byte, b'"' | b'\n' | b'\r') => Ok(byte),
            _ => Err(Error::option("delimiter", format!("{chosen:?} cannot part values"))
                .help("an ASCII character other than a quote or a line end, such as `;`")),
        }
    }
}

/// Whether the ending of a path is one that databases have.
pub(crate) fn is_database(path: &str) -> bool {
    let ending = path.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
    matches!(ending.as_deref(), Some("sqlite" | "sqlite3" | "db"))
}
