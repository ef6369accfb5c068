//! The options of `write`, and what follows from them.

use std::path::{Path, PathBuf};

use arrow_schema::SchemaRef;
use gristmill_stage::path::{check_append, check_replace};
use gristmill_stage::{Error, Result};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::compression::Compression;
use crate::encode::{Encoding, RowGroup};
use crate::format::{Format, is_database};
use crate::names::Names;
use crate::partition::Partition;
use crate::roll::Roll;

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WriteFormat {
    /// A JSON object per line. Nulls are written; binary is in hex. JSON has no number for NaN and
    /// the infinities: they are the texts `NaN`, `Infinity` and `-Infinity`.
    Jsonl,
    /// Values between commas. Nested values are JSON text; a null is an empty value.
    Csv,
    /// As `csv`, between tabs.
    Tsv,
    /// Apache Parquet, in row groups.
    Parquet,
    /// An Arrow IPC file, which is also Feather (version 2).
    Arrow,
}

impl WriteFormat {
    /// Whether it holds columns in blocks, and not rows as text.
    pub(crate) fn is_columnar(self) -> bool {
        matches!(self, Self::Parquet | Self::Arrow)
    }
}

/// What rows are compressed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WriteCompression {
    /// Nothing.
    None,
    /// gzip; not for Arrow IPC.
    Gzip,
    /// Zstandard.
    Zstd,
    /// LZ4; for Parquet and Arrow IPC.
    Lz4,
    /// Snappy; for Parquet.
    Snappy,
}

/// Options of `write`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WriteOptions {
    /// The file; `-` is stdout. Its folder is made when it is missing. The rows are written aside
    /// and stand under this name only when they are complete; a device or a pipe is written as rows
    /// come. With several workers the path must hold `{worker}`, the number of the worker.
    pub(crate) path: String,
    /// How rows are written; from the ending of the path when left out (`.jsonl`, `.ndjson`,
    /// `.json`, `.csv`, `.tsv`, `.parquet`, `.arrow`, `.feather`, `.ipc`), `jsonl` on stdout. `.gz` or
    /// `.zst` may follow.
    #[serde(default)]
    format: Option<WriteFormat>,
    /// What rows are compressed with. When left out: text by the ending of the path (`.gz`, `.zst`),
    /// Parquet with `zstd`, and the rest not at all.
    #[serde(default)]
    compression: Option<WriteCompression>,
    /// Rows in a row group of Parquet, at the most; one that would take more than 64 MiB in memory has
    /// fewer.
    #[serde(default = "row_group")]
    row_group: usize,
    /// The columns to write, in this order; all of them when left out.
    #[serde(default)]
    columns: Option<Vec<String>>,
    /// Whether the first record of CSV or TSV names the columns.
    #[serde(default = "yes")]
    header: bool,
    /// What stands between two values of CSV; `,` when left out, a tab in TSV.
    #[serde(default)]
    delimiter: Option<char>,
    /// Adds the rows to the end of the file, once they are complete, in place of replacing it. With
    /// `partition_by` or `roll` it adds files to those that are there, which are an error without it.
    #[serde(default)]
    pub(crate) append: bool,
    /// A folder for each value of these columns, within the folder of the path and within each other:
    /// `sales/country=DE/part-00001.csv` for `path: sales/part.csv`. The columns are left out of the
    /// files, unless `columns` names them. A null is `__HIVE_DEFAULT_PARTITION__`, and what a name
    /// cannot hold is written as `%2F`. Rows whose value is too long for a name are rejected.
    #[serde(default)]
    pub(crate) partition_by: Option<Vec<String>>,
    /// When a file is complete, and the next one is begun: after so many rows, about so many bytes, or
    /// so long after its first row. Files are numbered (`part-00001.csv`) and stand under their names
    /// as soon as they are complete, also when the run fails later.
    #[serde(default)]
    pub(crate) roll: Option<Roll>,
    /// How many folders of `partition_by` have an open file at once. Beyond it the file that was used
    /// longest ago is completed, and further rows of its folder go to a file with the next number.
    #[serde(default = "open_files")]
    pub(crate) open_files: usize,
}

fn yes() -> bool {
    true
}

fn open_files() -> usize {
    100
}

fn row_group() -> usize {
    128 << 10
}

/// The most bytes of a row group, before it is encoded.
const ROW_GROUP_BYTES: usize = 64 << 20;

/// What stands for the number of the worker in a path.
pub(crate) const WORKER: &str = "{worker}";

impl WriteOptions {
    pub(crate) fn format(&self) -> Result<WriteFormat> {
        let known = match Format::of(&self.path) {
            Some(Format::Jsonl) => Some(WriteFormat::Jsonl),
            Some(Format::Csv) => Some(WriteFormat::Csv),
            Some(Format::Tsv) => Some(WriteFormat::Tsv),
            Some(Format::Parquet) => Some(WriteFormat::Parquet),
            Some(Format::Arrow) => Some(WriteFormat::Arrow),
            Some(Format::Lines) | None => None,
        };
        let stdout = || (self.path == "-").then_some(WriteFormat::Jsonl);
        self.format.or(known).or_else(stdout).ok_or_else(|| {
            let text = format!("the format of `{}` is not known by its name", self.path);
            Error::option("format", text).help(match is_database(&self.path) {
                true => "`type: sqlite` writes a database",
                false => "one of `jsonl`, `csv`, `tsv`, `parquet`, `arrow`",
            })
        })
    }

    fn compression(&self, format: WriteFormat) -> Result<WriteCompression> {
        use WriteCompression::{Gzip, Lz4, None, Snappy, Zstd};
        let wrong = |chosen: WriteCompression, help| {
            let (chosen, format) = (format!("{chosen:?}"), format!("{format:?}"));
            let text = format!(
                "`{}` cannot be compressed with `{}`",
                format.to_lowercase(),
                chosen.to_lowercase()
            );
            Err(Error::option("compression", text).help(help))
        };
        let ending = match Compression::of(&self.path).0 {
            Some(Compression::Gzip) => Some(Gzip),
            Some(Compression::Zstd) => Some(Zstd),
            _ => Option::None,
        };
        if format.is_columnar() && ending.is_some() {
            let text = "a file of columns is compressed within, not as a whole";
            return Err(Error::option("path", text).help("leave out `.gz` or `.zst`"));
        }
        match (format, self.compression) {
            (WriteFormat::Parquet, chosen) => Ok(chosen.unwrap_or(Zstd)),
            (WriteFormat::Arrow, Some(chosen @ (Gzip | Snappy))) => {
                wrong(chosen, "one of `none`, `zstd`, `lz4`")
            }
            (WriteFormat::Arrow, chosen) => Ok(chosen.unwrap_or(None)),
            (_, Some(chosen @ (Lz4 | Snappy))) => wrong(chosen, "one of `none`, `gzip`, `zstd`"),
            (_, chosen) => Ok(chosen.or(ending).unwrap_or(None)),
        }
    }

    pub(crate) fn encoding(&self, input: &SchemaRef) -> Result<Encoding> {
        let format = self.format()?;
        let like = match format {
            WriteFormat::Tsv => Format::Tsv,
            _ => Format::Csv,
        };
        let partition = self.partition(input)?;
        let unparted = partition.filter(|_| self.columns.is_none()).map(|p| p.others(input));
        if unparted.as_ref().is_some_and(Vec::is_empty) {
            return Err(Error::option("partition_by", "no column is left to write"));
        }
        let names = unparted.as_deref().or(self.columns.as_deref());
        let mut encoding = Encoding::new(input, names, format)?;
        encoding.compression = self.compression(format)?;
        encoding.delimiter = like.delimiter(self.delimiter)?;
        encoding.header = self.header;
        if self.row_group == 0 {
            return Err(Error::option("row_group", "a row group has a row at least"));
        }
        encoding.group = RowGroup { rows: self.row_group, bytes: ROW_GROUP_BYTES };
        Ok(encoding)
    }

    /// What the rows are parted by.
    pub(crate) fn partition(&self, input: &SchemaRef) -> Result<Option<Partition>> {
        let columns = self.partition_by.as_deref();
        columns.map(|columns| Partition::new(input, columns)).transpose()
    }

    /// The columns that are looked at; all of them when `None`.
    pub(crate) fn needed(&self) -> Option<Vec<String>> {
        let parted = self.partition_by.iter().flatten();
        self.columns.as_ref().map(|columns| columns.iter().chain(parted).cloned().collect())
    }

    /// Whether there are several files, with numbers.
    pub(crate) fn is_numbered(&self) -> bool {
        self.partition_by.is_some() || self.roll.is_some()
    }

    /// What the files of a worker are called, when there are several.
    pub(crate) fn names(&self, worker: usize) -> Names {
        Names::new(&self.path(worker))
    }

    /// Looks whether numbered files could be written.
    pub(crate) fn check_numbered(&self) -> Result<()> {
        let option = if self.roll.is_some() { "roll" } else { "partition_by" };
        if self.path == "-" || Path::new(&self.path).exists() && !Path::new(&self.path).is_file() {
            let text = format!("`{}` is one output, and cannot be several files", self.path);
            return Err(Error::option(option, text));
        }
        if let Some(roll) = &self.roll {
            roll.check()?;
        }
        if self.open_files == 0 {
            return Err(Error::option("open_files", "no file could be open"));
        }
        let names = self.names(0);
        check_replace(&names.file("", 1)).map_err(|error| error.at("path"))
    }

    pub(crate) fn path(&self, worker: usize) -> PathBuf {
        self.path.replace(WORKER, &worker.to_string()).into()
    }

    /// Looks whether the file could be written, without making anything.
    pub(crate) fn check(&self) -> Result<()> {
        if self.path.is_empty() {
            return Err(
                Error::option("path", "the path is empty").help("a file, or `-` for stdout")
            );
        }
        if self.append && !self.is_numbered() && self.format()?.is_columnar() {
            let text = "a file of columns cannot be added to";
            return Err(Error::option("append", text).help("write another file beside it"));
        }
        if self.is_numbered() {
            return Ok(());
        }
        let path = self.path(0);
        let checked = check_replace(&path).and_then(|()| match self.append {
            true => check_append(&path),
            false => Ok(()),
        });
        checked.map_err(|error| error.at("path"))
    }
}
