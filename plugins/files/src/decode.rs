//! Records to columns.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::{RecordBatch, RecordBatchOptions, UInt64Array};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use gristmill_stage::Result;

use crate::fast::{Fast, Way};
use crate::records::MARK;
use crate::{exact, fields, object, reason};

/// How the records of one file become rows of the output schema.
pub(crate) enum Decoder {
    Jsonl(Jsonl),
    Csv(Csv),
    Lines { schema: SchemaRef },
}

/// JSON lines: the columns, and which of them take any value, as its text.
pub(crate) struct Jsonl {
    pub(crate) schema: SchemaRef,
    pub(crate) json: Vec<String>,
    pub(crate) ways: Vec<Way>,
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

    /// The same file with one of its columns.
    pub(crate) fn column(&self, at: usize) -> Result<Self, ArrowError> {
        Ok(Self {
            file: self.file.clone(),
            projection: vec![self.projection[at]],
            delimiter: self.delimiter,
            schema: Arc::new(self.schema.project(&[at])?),
        })
    }

    /// The same for a file with just the columns of the output.
    pub(crate) fn narrowed(&self) -> Self {
        let (schema, projection) = (self.schema.clone(), (0..self.projection.len()).collect());
        Self { file: schema.clone(), projection, delimiter: self.delimiter, schema }
    }

    /// Decodes records that follow one another; all of them or none.
    fn decode(
        &self,
        text: &[u8],
        records: &[Range<usize>],
        rows: usize,
    ) -> Result<RecordBatch, String> {
        let (width, wanted) = (self.file.fields().len(), self.projection.as_slice());
        // A line is text or is none, also where nobody looks.
        if (1..width).contains(&wanted.len())
            && simdutf8::basic::from_utf8(block(text, records)).is_ok()
            && let Some(narrow) = fields::narrow(text, records, self.delimiter, width, wanted)
            && let Ok(batch) = self.narrowed().whole(&narrow, rows)
        {
            return Ok(batch);
        }
        self.whole(block(text, records), rows)
    }

    /// Decodes the text of records; all of them or none.
    pub(crate) fn whole(&self, text: &[u8], rows: usize) -> Result<RecordBatch, String> {
        let batch = self.read(text, rows, &self.file)?;
        if exact::has_infinity(&batch) {
            let texts = self.read(text, rows, &exact::numbers_as_text(&self.file))?;
            if let Some(number) = exact::too_large(&texts, &self.schema) {
                return Err(reason::too_large(&number));
            }
        }
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(self.schema.clone(), batch.columns().to_vec(), &options)
            .map_err(|e| e.to_string())
    }

    fn read(&self, text: &[u8], rows: usize, file: &SchemaRef) -> Result<RecordBatch, String> {
        let wrong = |e: ArrowError| e.to_string();
        let mut decoder = arrow_csv::ReaderBuilder::new(file.clone())
            .with_delimiter(self.delimiter)
            .with_batch_size(rows + 1)
            .with_projection(self.projection.clone())
            .build_decoder();
        // Here these bytes are part of a value, as the mark of a file was taken away. The decoder would
        // take them for one at its start, but not behind a blank line, which is no record.
        if text.starts_with(MARK) {
            decoder.decode(b"\n").map_err(wrong)?;
        }
        let mut rest = text;
        // The last record may have no line end: an empty slice says that the input has ended.
        while !rest.is_empty() {
            let used = decoder.decode(rest).map_err(wrong)?;
            if used == 0 {
                return Err("a record goes on after its end".to_owned());
            }
            rest = &rest[used..];
        }
        decoder.decode(&[]).map_err(wrong)?;
        match decoder.flush().map_err(wrong)? {
            Some(batch) => Ok(batch),
            None => {
                Ok(RecordBatch::new_empty(Arc::new(file.project(&self.projection).map_err(wrong)?)))
            }
        }
    }
}

impl Jsonl {
    pub(crate) fn new(schema: SchemaRef, json: Vec<String>) -> Self {
        let way = |field: &Arc<Field>| Way::of(field, json.contains(field.name()));
        let ways = schema.fields().iter().map(way).collect();
        Self { schema, json, ways }
    }

    /// Decodes whole lines; all of them or none.
    pub(crate) fn decode(&self, text: &[u8], rows: usize) -> Result<RecordBatch, String> {
        let texts;
        let text = match self.json.is_empty() {
            true => text,
            false => {
                texts = object::with_texts(text, &self.json)?;
                &texts
            }
        };
        let read = read_json(&exact::whole_as_text(&self.schema), text, rows)?;
        let batch = exact::numbers(&read, &self.schema)?;
        if exact::has_infinity(&batch) {
            let texts = read_json(&exact::numbers_as_text(&self.schema), text, rows)?;
            if let Some(number) = exact::too_large(&texts, &self.schema) {
                return Err(reason::too_large(&number));
            }
        }
        Ok(batch)
    }
}

fn read_json(schema: &SchemaRef, text: &[u8], rows: usize) -> Result<RecordBatch, String> {
    let wrong = |e: ArrowError| e.to_string();
    let mut decoder = arrow_json::ReaderBuilder::new(schema.clone())
        .with_batch_size(rows + 1)
        .with_coerce_primitive(true)
        .build_decoder()
        .map_err(wrong)?;
    let used = decoder.decode(text).map_err(wrong)?;
    if used < text.len() {
        return Err("the line holds more than one value".to_owned());
    }
    if decoder.has_partial_record() {
        return Err("the line ends within a value".to_owned());
    }
    let read = decoder.flush().map_err(wrong)?;
    Ok(read.unwrap_or_else(|| RecordBatch::new_empty(schema.clone())))
}

/// A record that could not be used, by its number, and why.
pub(crate) type Bad = (usize, String);

impl Decoder {
    /// The rows of these records in order, and the records that do not fit.
    pub(crate) fn decode(
        &self,
        text: &[u8],
        records: &[Range<usize>],
    ) -> Result<(Option<RecordBatch>, Vec<Bad>)> {
        if let Self::Jsonl(jsonl) = self
            && let Some(fast) = jsonl.fast(text, records)
            && let Some(all) = self.beside(fast, text, records)?
        {
            return Ok(all);
        }
        self.slow(text, records)
    }

    /// The rows that were decoded fast and those of the lines that were left, in order. `None` when
    /// they cannot be told apart.
    fn beside(
        &self,
        fast: Fast,
        text: &[u8],
        records: &[Range<usize>],
    ) -> Result<Option<(Option<RecordBatch>, Vec<Bad>)>> {
        let Fast { batch, taken, left } = fast;
        if left.is_empty() {
            return Ok(Some(((!taken.is_empty()).then_some(batch), Vec::new())));
        }
        let mut lines = Vec::new();
        let mut ranges = Vec::with_capacity(left.len());
        for n in &left {
            let start = lines.len();
            lines.extend_from_slice(&text[records[*n].clone()]);
            ranges.push(start..lines.len());
        }
        let (slow, mut bad) = self.slow(&lines, &ranges)?;
        let slow = slow.unwrap_or_else(|| RecordBatch::new_empty(self.schema().clone()));
        let mut lost = bad.iter().map(|(n, _)| *n).peekable();
        let is_good = |n: &usize| lost.next_if_eq(n).is_none();
        let good: Vec<usize> = (0..left.len()).filter(is_good).map(|n| left[n]).collect();
        if good.len() != slow.num_rows() {
            return Ok(None);
        }
        let all = arrow_select::concat::concat_batches(self.schema(), [&batch, &slow])?;
        let mut order: Vec<(usize, u64)> = taken.into_iter().chain(good).zip(0..).collect();
        order.sort_unstable();
        let order = UInt64Array::from_iter_values(order.into_iter().map(|(_, row)| row));
        let all = arrow_select::take::take_record_batch(&all, &order)?;
        bad.iter_mut().for_each(|(n, _)| *n = left[*n]);
        Ok(Some(((all.num_rows() > 0).then_some(all), bad)))
    }

    /// As [`decode`](Self::decode). All records are tried together; only when that fails they are
    /// halved until the bad ones stand alone.
    pub(crate) fn slow(
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
            Self::Lines { schema } => schema,
            Self::Jsonl(jsonl) => &jsonl.schema,
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
            Err(told) if records.len() < 2 => {
                let record = records.first().map(|record| &text[record.clone()]);
                bad.push((first, reason::of(self, record.unwrap_or_default(), told)));
            }
            Err(_) => {
                let middle = records.len() / 2;
                self.halve(text, &records[..middle], first, good, bad);
                self.halve(text, &records[middle..], first + middle, good, bad);
            }
        }
    }

    /// Decodes records that follow one another; all of them or none. The error is what the reader
    /// says.
    fn block(&self, text: &[u8], records: &[Range<usize>]) -> Result<RecordBatch, String> {
        if records.is_empty() {
            return Ok(RecordBatch::new_empty(self.schema().clone()));
        }
        let block = block(text, records);
        let count = |blank: fn(&[u8]) -> bool| {
            records.iter().filter(|record| !blank(&text[(*record).clone()])).count()
        };
        let (batch, rows) = match self {
            Self::Lines { schema } => return lines(schema, text, block.len(), records),
            Self::Csv(csv) => {
                let rows = count(|record| record.iter().all(|byte| matches!(byte, b'\r' | b'\n')));
                (csv.decode(text, records, rows)?, rows)
            }
            Self::Jsonl(jsonl) => {
                let rows = count(|record| record.iter().all(u8::is_ascii_whitespace));
                (jsonl.decode(block, rows)?, rows)
            }
        };
        match batch.num_rows() == rows {
            true => Ok(batch),
            false => Err("lines and values do not match".to_owned()),
        }
    }
}

/// The text of records that follow one another.
fn block<'a>(text: &'a [u8], records: &[Range<usize>]) -> &'a [u8] {
    match (records.first(), records.last()) {
        (Some(first), Some(last)) => &text[first.start..last.end],
        _ => &[],
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
    RecordBatch::try_new(schema.clone(), vec![Arc::new(column.finish())]).map_err(|e| e.to_string())
}

/// A record without its line end.
pub(crate) fn without_end(record: &[u8]) -> &[u8] {
    let record = record.strip_suffix(b"\n").unwrap_or(record);
    record.strip_suffix(b"\r").unwrap_or(record)
}

/// The values of one record of CSV as text; `None` when it is not UTF-8.
pub(crate) fn values(record: &[u8], delimiter: u8) -> Option<Vec<String>> {
    std::str::from_utf8(record).ok()?;
    let format = arrow_csv::reader::Format::default().with_header(true).with_delimiter(delimiter);
    let (schema, _) = format.infer_schema(record, Some(0)).ok()?;
    Some(schema.fields().iter().map(|field| field.name().clone()).collect())
}
