//! Records to columns.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use gristmill_stage::{Error, Result};
use serde_json::{Map, Value};

use crate::exact;

/// How the records of one file become rows of the output schema.
pub(crate) enum Decoder {
    Jsonl { schema: SchemaRef, json: Vec<String> },
    Csv(Csv),
    Lines { schema: SchemaRef },
}

/// CSV: the columns of the file, and where those of the output are among them.
pub(crate) struct Csv {
    pub(crate) file: SchemaRef,
    pub(crate) projection: Vec<usize>,
    pub(crate) delimiter: u8,
    pub(crate) schema: SchemaRef,
}

impl Csv {
    /// Reads columns of the output schema from a file with columns of these names.
    ///
    /// # Errors
    /// The name of a column that the file does not have.
    pub(crate) fn new(schema: SchemaRef, names: &[String], delimiter: u8) -> Result<Self, String> {
        let find = |field: &Arc<Field>| {
            let at = names.iter().position(|name| name == field.name());
            at.ok_or_else(|| field.name().clone())
        };
        let projection = schema.fields().iter().map(find).collect::<Result<Vec<_>, _>>()?;
        let text = |name: &String| Arc::new(Field::new(name, DataType::Utf8, true));
        let mut fields: Vec<Arc<Field>> = names.iter().map(text).collect();
        for (field, at) in schema.fields().iter().zip(&projection) {
            fields[*at] = field.clone();
        }
        Ok(Self { file: Arc::new(Schema::new(fields)), projection, delimiter, schema })
    }

    fn decode(&self, text: &[u8], rows: usize) -> Result<RecordBatch, String> {
        let mut decoder = arrow_csv::ReaderBuilder::new(self.file.clone())
            .with_delimiter(self.delimiter)
            .with_batch_size(rows + 1)
            .with_projection(self.projection.clone())
            .build_decoder();
        let mut rest = text;
        // The last record may have no line end: an empty slice says that the input has ended.
        while !rest.is_empty() {
            let used = decoder.decode(rest).map_err(plain)?;
            if used == 0 {
                return Err("a record goes on after its end".to_owned());
            }
            rest = &rest[used..];
        }
        decoder.decode(&[]).map_err(plain)?;
        let columns = match decoder.flush().map_err(plain)? {
            None => return Ok(RecordBatch::new_empty(self.schema.clone())),
            Some(batch) => batch,
        };
        let options = RecordBatchOptions::new().with_row_count(Some(columns.num_rows()));
        RecordBatch::try_new_with_options(self.schema.clone(), columns.columns().to_vec(), &options)
            .map_err(plain)
    }
}

/// A record that could not be used, by its number, and why.
pub(crate) type Bad = (usize, String);

impl Decoder {
    /// The rows of these records in order, and the records that do not fit. All records are tried
    /// together; only when that fails they are halved until the bad ones stand alone.
    pub(crate) fn decode(
        &self,
        text: &[u8],
        records: &[Range<usize>],
    ) -> Result<(Option<RecordBatch>, Vec<Bad>)> {
        let (mut good, mut bad) = (Vec::new(), Vec::new());
        self.halve(text, records, 0, &mut good, &mut bad);
        let batch = match good.len() {
            0 | 1 => good.pop(),
            _ => Some(arrow_select::concat::concat_batches(self.schema(), &good)?),
        };
        Ok((batch, bad))
    }

    fn schema(&self) -> &SchemaRef {
        match self {
            Self::Jsonl { schema, .. } | Self::Lines { schema } => schema,
            Self::Csv(csv) => &csv.schema,
        }
    }

    fn halve(
        &self,
        text: &[u8],
        records: &[Range<usize>],
        first: usize,
        good: &mut Vec<RecordBatch>,
        bad: &mut Vec<Bad>,
    ) {
        match self.block(text, records) {
            Ok(batch) if batch.num_rows() == 0 => {}
            Ok(batch) => good.push(batch),
            Err(reason) if records.len() < 2 => bad.push((first, reason)),
            Err(_) => {
                let middle = records.len() / 2;
                self.halve(text, &records[..middle], first, good, bad);
                self.halve(text, &records[middle..], first + middle, good, bad);
            }
        }
    }

    /// Decodes records that follow one another; all of them or none.
    fn block(&self, text: &[u8], records: &[Range<usize>]) -> Result<RecordBatch, String> {
        let block = match (records.first(), records.last()) {
            (Some(first), Some(last)) => &text[first.start..last.end],
            _ => return Ok(RecordBatch::new_empty(self.schema().clone())),
        };
        if let Self::Lines { schema } = self {
            return lines(schema, text, block.len(), records);
        }
        let empty: fn(&[u8]) -> bool = match self {
            Self::Csv(_) => |record| record.iter().all(|byte| matches!(byte, b'\r' | b'\n')),
            _ => |record| record.iter().all(u8::is_ascii_whitespace),
        };
        let rows = records.iter().filter(|record| !empty(&text[(*record).clone()])).count();
        let batch = match self {
            Self::Csv(csv) => csv.decode(block, rows)?,
            Self::Jsonl { schema, json } if json.is_empty() => jsonl(schema, block, rows)?,
            Self::Jsonl { schema, json } => jsonl_with_json(schema, json, block)?,
            Self::Lines { .. } => RecordBatch::new_empty(self.schema().clone()),
        };
        match batch.num_rows() == rows {
            true => Ok(batch),
            false if records.len() == 1 => {
                Err(format!("the line holds {} values instead of one", batch.num_rows()))
            }
            false => Err("lines and values do not match".to_owned()),
        }
    }
}

/// The message alone; which parser said it does not help anybody.
fn plain(error: arrow_schema::ArrowError) -> String {
    let text = error.to_string();
    let prefixes = ["Json error: ", "Csv error: ", "Parser error: ", "Cast error: "];
    let text = prefixes.iter().find_map(|prefix| text.strip_prefix(prefix)).unwrap_or(&text);
    // The parser counts within its block; the line in the file is told beside the reason.
    match text.find(" at row ").or_else(|| text.find(" for line ")) {
        Some(at) => {
            let rest = text[at + 1..].trim_start_matches(|c: char| c.is_alphabetic() || c == ' ');
            let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit());
            format!("{}{rest}", &text[..at])
        }
        None => text.to_owned(),
    }
}

fn jsonl(schema: &SchemaRef, text: &[u8], rows: usize) -> Result<RecordBatch, String> {
    let mut decoder = json_decoder(schema, rows)?;
    let used = decoder.decode(text).map_err(plain)?;
    if used < text.len() {
        return Err("the line holds more than one value".to_owned());
    }
    if decoder.has_partial_record() {
        return Err("the line ends within a value".to_owned());
    }
    match decoder.flush().map_err(plain)? {
        Some(batch) => exact::numbers(&batch, schema),
        None => Ok(RecordBatch::new_empty(schema.clone())),
    }
}

fn json_decoder(schema: &SchemaRef, rows: usize) -> Result<arrow_json::reader::Decoder, String> {
    arrow_json::ReaderBuilder::new(exact::as_text(schema))
        .with_batch_size(rows + 1)
        .with_coerce_primitive(true)
        .build_decoder()
        .map_err(plain)
}

/// JSON with columns that keep any value as its text: read as values first.
fn jsonl_with_json(
    schema: &SchemaRef,
    json: &[String],
    text: &[u8],
) -> Result<RecordBatch, String> {
    let mut rows: Vec<Map<String, Value>> = Vec::new();
    for line in text.split(|byte| *byte == b'\n') {
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let mut row: Map<String, Value> =
            serde_json::from_slice(line).map_err(|e| e.to_string())?;
        for name in json {
            if let Some(value) = row.get_mut(name).filter(|value| !value.is_null()) {
                *value = Value::String(value.to_string());
            }
        }
        rows.push(row);
    }
    let mut decoder = json_decoder(schema, rows.len())?;
    decoder.serialize(&rows).map_err(plain)?;
    match decoder.flush().map_err(plain)? {
        Some(batch) => exact::numbers(&batch, schema),
        None => Ok(RecordBatch::new_empty(schema.clone())),
    }
}

fn lines(
    schema: &SchemaRef,
    text: &[u8],
    bytes: usize,
    records: &[Range<usize>],
) -> Result<RecordBatch, String> {
    let mut column = StringBuilder::with_capacity(records.len(), bytes);
    for record in records {
        let line = std::str::from_utf8(without_end(&text[record.clone()]))
            .map_err(|e| format!("the line is not UTF-8: {e}"))?;
        column.append_value(line);
    }
    RecordBatch::try_new(schema.clone(), vec![Arc::new(column.finish())]).map_err(plain)
}

/// A record without its line end.
pub(crate) fn without_end(record: &[u8]) -> &[u8] {
    let record = record.strip_suffix(b"\n").unwrap_or(record);
    record.strip_suffix(b"\r").unwrap_or(record)
}

/// The values of one record of CSV as text, as for a header.
///
/// # Errors
/// When it is not UTF-8.
pub(crate) fn values(record: &[u8], delimiter: u8) -> Result<Vec<String>> {
    let format = arrow_csv::reader::Format::default().with_header(true).with_delimiter(delimiter);
    let (schema, _) = format
        .infer_schema(record, Some(0))
        .map_err(|e| Error::data(format!("the first line names no columns: {}", plain(e))))?;
    Ok(schema.fields().iter().map(|field| field.name().clone()).collect())
}
