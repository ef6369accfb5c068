//! The options of `read`, and what follows from them: the format, the columns, how to open a file.

use std::fs::File;
use std::io::Read;
use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef};
use gristmill_stage::option::{ByteSize, Columns};
use gristmill_stage::{Error, Lineage, Result};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::compression::{Compression, decoded_at};
use crate::current::{Current, Header, Position, failed, open_at, regular, unnamed};
use crate::decode::{Csv, Decoder, Jsonl, values};
use crate::format::{Format, is_database};
use crate::paths::{Input, Paths};
use crate::pipe::{Pipe, Waiting};
use crate::quotes::Quotes;
use crate::records::{Ends, Records};
use crate::{layout, sample};

/// Options of `read`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReadOptions {
    /// A file, a pattern such as `logs/*.jsonl`, or a list of them; `-` is stdin. Files are read in
    /// this order, those of a pattern by name. What comes from stdin cannot be read again after a
    /// restart.
    pub(crate) path: Paths,
    /// How rows are written; from the ending of the path when left out: `.jsonl`, `.ndjson` and
    /// `.json` are `jsonl`, `.csv`, `.tsv`, `.txt` and `.log` are `lines`, `.parquet`, and `.arrow`,
    /// `.feather` and `.ipc` are `arrow`. `.gz` or `.zst` may follow.
    #[serde(default)]
    format: Option<Format>,
    /// What the text is compressed with; from the ending of the path when left out (`.gz`, `.zst`),
    /// or else from its first bytes. Rows before a place where the data is broken or cut short are
    /// still read, and then it is an error.
    #[serde(default)]
    compression: Option<Compression>,
    /// Columns and their types; told from the first rows when left out. CSV columns are found by
    /// their names in the header, without a header by their order. `string` takes numbers and
    /// booleans of JSON as their text; `float64` takes `NaN` and `Infinity`, in JSON as texts; a
    /// `timestamp` is RFC 3339, UTC where no offset is given. Columns that no stage uses are not
    /// looked at: a line is rejected when it is broken, or when a column that is used does not fit.
    #[serde(default)]
    columns: Option<Columns>,
    /// How many rows to look at when columns are not declared.
    #[serde(default = "sample")]
    sample: usize,
    /// Whether the first record of a CSV or TSV file names its columns. Without it columns that are
    /// not declared are called `column_1`, `column_2`, ….
    #[serde(default = "yes")]
    header: bool,
    /// What stands between two values of CSV; `,` when left out, a tab in TSV.
    #[serde(default)]
    pub(crate) delimiter: Option<char>,
    /// Reads on when a file grows, as `tail -F` does, and does not end by itself. When another file
    /// takes its place, or it is cut to a smaller size, that is read from its beginning; half a line
    /// waits for its rest. Files that are not there at the start are not found.
    #[serde(default)]
    pub(crate) follow: bool,
    /// A line, or a record of CSV, longer than this is rejected without being held.
    #[serde(default = "max_line")]
    pub(crate) max_line: ByteSize,
    /// With several workers, files are read in pieces of this size, which are dealt out to the
    /// workers in turn. Then a file is read as far as it went when the run began, each row once; it
    /// is an error if it has become shorter when a worker comes to the end of a piece.
    #[serde(default = "split")]
    pub(crate) split: ByteSize,
}

fn split() -> ByteSize {
    ByteSize(8 << 20)
}

fn sample() -> usize {
    1000
}

fn yes() -> bool {
    true
}

fn max_line() -> ByteSize {
    ByteSize(64 << 20)
}

impl ReadOptions {
    pub(crate) fn format(&self, inputs: &[Input]) -> Result<Format> {
        let unknown = |input: &Input| {
            Error::option(
                "format",
                format!("the format of {} is not known by its name", input.name()),
            )
            .help(match is_database(&input.name()) {
                true => "this is a database; export the table, to CSV for instance",
                false => "one of `jsonl`, `csv`, `tsv`, `lines`, `parquet`, `arrow`",
            })
        };
        let mut found = self.format;
        for input in inputs.iter().filter(|_| self.format.is_none()) {
            let format = Format::of(&input.name()).ok_or_else(|| unknown(input))?;
            if found.is_some_and(|found| found != format) {
                return Err(Error::option("format", "the files are of different formats")
                    .help("one `read` per format, or say `format`"));
            }
            found = Some(format);
        }
        found.ok_or_else(|| Error::option("format", "the format is not known"))
    }

    /// That no option is given that is for text.
    pub(crate) fn no_text_options(&self, format: Format) -> Result<()> {
        let wrong = |option, help| {
            let name = if format == Format::Parquet { "Parquet" } else { "Arrow IPC" };
            let text = format!("it is for text, and the files are {name}");
            Err(Error::option(option, text).help(help))
        };
        if self.columns.is_some() {
            return wrong(
                "columns",
                "the files say which columns they have; `map` takes some of them",
            );
        }
        if self.compression.is_some() {
            return wrong("compression", "the files say how they are compressed");
        }
        match self.delimiter {
            Some(_) => wrong("delimiter", "leave it out"),
            None => Ok(()),
        }
    }

    /// What an input is compressed with; `None` when only its first bytes will tell.
    pub(crate) fn compression(&self, input: &Input) -> std::io::Result<Option<Compression>> {
        let known = self.compression.or_else(|| Compression::of(&input.name()).0);
        match input {
            Input::File(path) if known.is_none() && regular(input) => {
                Compression::of_file(path).map(Some)
            }
            _ => Ok(known),
        }
    }

    /// The schema of the rows, and the names of the columns of each CSV file are checked against it.
    pub(crate) fn schema(&self, format: Format, inputs: &[Input]) -> Result<SchemaRef> {
        if format == Format::Lines {
            if self.columns.is_some() {
                return Err(Error::option("columns", "plain lines have one column, `line`"));
            }
            return Ok(Arc::new(Schema::new(vec![Field::new("line", DataType::Utf8, false)])));
        }
        if format == Format::Jsonl {
            for input in inputs.iter().filter(|input| regular(input)) {
                let mut records = self.records(format, self.bytes(input, 0, None)?)?;
                layout::check(&mut records, input)?;
            }
        }
        let schema = match &self.columns {
            Some(columns) if columns.0.is_empty() => {
                return Err(Error::option("columns", "no columns are declared"));
            }
            Some(columns) => columns.schema(),
            None => self.inferred(format, inputs)?,
        };
        if format != Format::Jsonl && self.header {
            for input in inputs.iter().filter(|input| regular(input)) {
                self.open(format, &schema, input, Position::start(input), None)?;
            }
        }
        Ok(schema)
    }

    /// The schema that the first file with rows has.
    fn inferred(&self, format: Format, inputs: &[Input]) -> Result<SchemaRef> {
        if let Some(input) = inputs.iter().find(|input| !regular(input)) {
            let text = format!("the columns of {} cannot be known before it is read", input.name());
            return Err(Error::option("columns", text)
                .help("declare them: `columns: { name: string, price: float64 }`"));
        }
        let mut other = None;
        for input in inputs {
            let mut records = self.records(format, self.bytes(input, 0, None)?)?;
            let wanted = self.sample.max(1) + usize::from(self.header);
            let mut first = sample::first(&mut records, wanted).map_err(|e| failed(input, e))?;
            let schema = match format {
                Format::Jsonl => sample::json(&first)?,
                _ => self.csv_schema(format, &mut first)?,
            };
            if let Some(schema) = schema {
                return Ok(schema);
            }
            other =
                other.or(first.iter().find(|line| !line.trim_ascii().is_empty()).map(|_| input));
        }
        let why = match other {
            Some(input) => format!("{} has no JSON object in its first lines", input.name()),
            None => "there is no row to look at".to_owned(),
        };
        Err(Error::option("columns", format!("the columns cannot be told: {why}"))
            .help("declare them: `columns: { name: string, price: float64 }`"))
    }

    fn csv_schema(&self, format: Format, first: &mut Vec<Vec<u8>>) -> Result<Option<SchemaRef>> {
        first.retain(|record| !sample::is_blank(record));
        let delimiter = format.delimiter(self.delimiter)?;
        let Some(record) = first.first() else { return Ok(None) };
        let mut names = values(record, delimiter).ok_or_else(unnamed)?;
        if self.header {
            first.remove(0);
        } else {
            names = (1..=names.len()).map(|n| format!("column_{n}")).collect();
        }
        let doubled = |(n, name): &(usize, &String)| names[..*n].contains(name);
        if let Some((_, name)) = names.iter().enumerate().find(doubled) {
            return Err(Error::option("path", format!("two columns are called `{name}`"))
                .help("declare the wanted columns with `columns`"));
        }
        Ok(Some(sample::csv(&names, first, delimiter)))
    }

    /// Which of the columns can be left out when nobody uses them.
    pub(crate) fn lineage(&self, format: Format, schema: &SchemaRef) -> Option<Lineage> {
        let found = match format {
            Format::Jsonl | Format::Parquet | Format::Arrow => true,
            // Without names, how many values a record has is known from the columns alone.
            Format::Csv | Format::Tsv => self.header || self.columns.is_some(),
            Format::Lines => false,
        };
        let names = schema.fields().iter().map(|field| field.name());
        let none = std::iter::empty::<String>;
        found.then(|| names.fold(Lineage::new(), |lineage, name| lineage.makes(name, none())))
    }

    /// The bytes of an input from `offset` on; of a pipe from where it stands.
    fn bytes(
        &self,
        input: &Input,
        offset: u64,
        waiting: Option<&Waiting>,
    ) -> Result<Box<dyn Read + Send>> {
        let compression = self.compression(input).map_err(|e| failed(input, e))?;
        let opened = match (input, waiting) {
            (Input::File(path), _) if regular(input) => match compression {
                Some(Compression::None) => open_at(path, offset),
                _ => File::open(path).and_then(|file| decoded_at(file, compression, offset)),
            },
            (_, None) => return Err(Error::internal("a pipe was opened without a way to wait")),
            (Input::Stdin, Some(waiting)) => {
                Pipe::stdin(waiting.clone()).and_then(|pipe| decoded_at(pipe, compression, 0))
            }
            (Input::File(path), Some(waiting)) => {
                Pipe::open(path, waiting.clone()).and_then(|pipe| decoded_at(pipe, compression, 0))
            }
        };
        opened.map_err(|e| failed(input, e))
    }

    /// Whether several workers can read pieces of the input. Text only is asked about: files of columns
    /// have their own blocks.
    pub(crate) fn can_split(&self, input: &Input) -> bool {
        // Of compressed text there is no other place to begin at than the first.
        let plain = || matches!(self.compression(input), Ok(Some(Compression::None)));
        !self.follow && regular(input) && plain()
    }

    /// What follows the quotes of a file, where these can hold line ends.
    pub(crate) fn quotes(&self, format: Format) -> Result<Option<Quotes>> {
        Ok(match format {
            Format::Csv | Format::Tsv => Some(Quotes::new(format.delimiter(self.delimiter)?)),
            _ => None,
        })
    }

    pub(crate) fn records(&self, format: Format, bytes: Box<dyn Read + Send>) -> Result<Records> {
        let ends = match format {
            Format::Csv | Format::Tsv => Ends::Csv { delimiter: format.delimiter(self.delimiter)? },
            _ => Ends::Lines,
        };
        Ok(Records::new(bytes, ends, self.max_line.0))
    }

    /// Opens an input at a position, with what decodes it, if that can be known already. What is no
    /// regular file is opened only with a way to wait for it.
    pub(crate) fn open(
        &self,
        format: Format,
        schema: &SchemaRef,
        input: &Input,
        position: Position,
        waiting: Option<&Waiting>,
    ) -> Result<Current> {
        let mut records = self.records(format, self.bytes(input, 0, waiting)?)?;
        let decoder = self.decoder(format, schema, input, &mut records)?;
        if position.offset > 0 {
            let bytes = self.bytes(input, position.offset, waiting)?;
            records = self.records(format, bytes)?.at(position.offset, position.line);
        }
        Ok(Current { records, decoder, input: input.clone() })
    }

    /// What decodes the records of an input that begins with these; `None` when its header has to be
    /// waited for.
    pub(crate) fn decoder(
        &self,
        format: Format,
        schema: &SchemaRef,
        input: &Input,
        records: &mut Records,
    ) -> Result<Option<Decoder>> {
        let delimiter = match format {
            Format::Jsonl => {
                let mut json = self.columns.as_ref().map(Columns::json).unwrap_or_default();
                json.retain(|name| schema.column_with_name(name).is_some());
                return Ok(Some(Decoder::Jsonl(Jsonl::new(schema.clone(), json))));
            }
            Format::Lines => return Ok(Some(Decoder::Lines { schema: schema.clone() })),
            _ => format.delimiter(self.delimiter)?,
        };
        let header = match self.header {
            true => Header::read(records, delimiter).map_err(|e| e.context(input.name()))?,
            false => Header::Missing,
        };
        let names = match header {
            Header::Names(names) => names,
            // By their order; a file without even a header has no rows either.
            Header::Missing => match (&self.columns, self.header) {
                (Some(columns), false) => columns.0.iter().map(|(name, _)| name.clone()).collect(),
                _ => schema.fields().iter().map(|field| field.name().clone()).collect(),
            },
            Header::Wait => return Ok(None),
        };
        let csv = Csv::new(schema.clone(), &names, delimiter).map_err(|missing| {
            let text = format!("{} has no column `{missing}`", input.name());
            Error::option(format!("columns.{missing}"), text)
                .help(format!("it has {}", names.join(", ")))
        })?;
        Ok(Some(Decoder::Csv(csv)))
    }
}
