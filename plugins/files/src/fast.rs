//! JSON lines straight into columns: only the wanted members are taken out of a line, and each goes
//! into its column without a tree or a tape in between.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::builder::{BooleanBuilder, PrimitiveBuilder, StringBuilder};
use arrow_array::timezone::Tz;
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Float64Type, Int64Type, TimestampMicrosecondType,
};
use arrow_array::{ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow_cast::parse::{Parser, string_to_datetime};
use arrow_schema::{ArrowError, DataType, Field, Schema, TimeUnit};
use arrow_select::filter::filter_record_batch;

use crate::decode::Jsonl;
use crate::members::{Members, Span};

/// The rows of lines that were plain enough.
pub(crate) struct Fast {
    pub(crate) batch: RecordBatch,
    /// The lines that the rows are of.
    pub(crate) taken: Vec<usize>,
    /// The lines that are left: they may still be good.
    pub(crate) left: Vec<usize>,
}

/// How the values of a column are made. Each way takes a part of what the reader of Arrow takes, and
/// makes the same of it.
pub(crate) enum Way {
    Text,
    /// Any value, as it is written.
    Json,
    Int64,
    Float64,
    Boolean,
    Timestamp(Tz),
    Date,
    /// Lists, objects and what else there is: by the reader of Arrow.
    Other,
}

impl Way {
    pub(crate) fn of(field: &Field, json: bool) -> Self {
        match field.data_type() {
            DataType::Utf8 if json => Self::Json,
            DataType::Utf8 => Self::Text,
            DataType::Int64 => Self::Int64,
            DataType::Float64 => Self::Float64,
            DataType::Boolean => Self::Boolean,
            DataType::Date32 => Self::Date,
            DataType::Timestamp(TimeUnit::Microsecond, Some(zone)) => {
                zone.parse().map_or(Self::Other, Self::Timestamp)
            }
            _ => Self::Other,
        }
    }
}

impl Jsonl {
    /// Decodes what is plain enough of these lines. `None` when nothing was gained by it.
    pub(crate) fn fast(&self, text: &[u8], lines: &[Range<usize>]) -> Option<Fast> {
        let names = self.schema.fields().iter().map(|field| field.name().as_str()).collect();
        let (start, end) = (lines.first()?.start, lines.last()?.end);
        // Places are 32 bits wide, and so are the offsets of a column.
        i32::try_from(end).ok()?;
        let (mut clean, mut broken) = (Vec::new(), Vec::new());
        let text = match simdutf8::basic::from_utf8(text.get(start..end)?) {
            Ok(text) => text,
            Err(_) => {
                broken = not_text(text, lines);
                clean.extend_from_slice(&text[start..end]);
                for n in &broken {
                    clean[lines[*n].start - start..lines[*n].end - start].fill(b' ');
                }
                simdutf8::basic::from_utf8(&clean).ok()?
            }
        };

        let width = self.schema.fields().len();
        let mut members = Members::new(names);
        let mut spans = vec![Span::default(); width * lines.len()];
        let (mut taken, mut left) = (Vec::with_capacity(lines.len()), broken);
        for (n, line) in lines.iter().enumerate() {
            let row = &mut spans[width * taken.len()..][..width];
            let line = line.start - start..line.end - start;
            match members.find(text.as_bytes(), &line, row) {
                Some(()) => taken.push(n),
                None => {
                    row.fill(Span::default());
                    let blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
                    if !text.as_bytes()[line].iter().all(blank) {
                        left.push(n);
                    }
                }
            }
        }
        spans.truncate(width * taken.len());
        let mut bad = Vec::new();
        let batch = self.columns(text, &spans, taken.len(), &mut bad).ok()?;
        if bad.is_empty() {
            left.sort_unstable();
            return Some(Fast { batch, taken, left });
        }
        let mut good = vec![true; taken.len()];
        bad.iter().for_each(|row| good[*row] = false);
        let batch = filter_record_batch(&batch, &BooleanArray::from(good.clone())).ok()?;
        left.extend(taken.iter().zip(&good).filter(|(_, good)| !**good).map(|(n, _)| *n));
        left.sort_unstable();
        let mut kept = good.iter();
        taken.retain(|_| kept.next().is_some_and(|good| *good));
        Some(Fast { batch, taken, left })
    }

    /// The values at these places as columns. Rows with a value that does not fit are noted.
    fn columns(
        &self,
        text: &str,
        spans: &[Span],
        rows: usize,
        bad: &mut Vec<usize>,
    ) -> Result<RecordBatch, ArrowError> {
        let width = self.schema.fields().len();
        let values = |at: usize| {
            let column = spans.iter().skip(at).step_by(width.max(1));
            column.map(|span| &text[span.range()])
        };
        let others = self.others(rows, values)?;
        let mut others = others.columns().iter();
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(width);
        for (at, way) in self.ways.iter().enumerate() {
            let data_type = self.schema.field(at).data_type();
            columns.push(match way {
                Way::Text => texts(values(at), rows, bad, string),
                Way::Json => texts(values(at), rows, bad, |value, out| {
                    out.append_value(value);
                    true
                }),
                Way::Boolean => booleans(values(at), rows, bad),
                Way::Int64 => numbers::<Int64Type>(values(at), data_type, rows, bad, |value| {
                    Int64Type::parse(bare(value)?)
                }),
                // Whether infinity is written, or a number is too large, is for others to say.
                Way::Float64 => numbers::<Float64Type>(values(at), data_type, rows, bad, |value| {
                    Float64Type::parse(bare(value)?).filter(|number| !number.is_infinite())
                }),
                Way::Date => numbers::<Date32Type>(values(at), data_type, rows, bad, |value| {
                    Date32Type::parse(quoted(value)?)
                }),
                Way::Timestamp(zone) => {
                    numbers::<TimestampMicrosecondType>(values(at), data_type, rows, bad, |value| {
                        match quoted(value) {
                            Some(text) => {
                                Some(string_to_datetime(zone, text).ok()?.timestamp_micros())
                            }
                            None => Int64Type::parse(value),
                        }
                    })
                }
                Way::Other => others.next().cloned().ok_or_else(|| {
                    ArrowError::SchemaError("a column of the reader is missing".to_owned())
                })?,
            });
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)
    }

    /// The columns that the reader of Arrow makes, from lines with these members alone.
    fn others<'a, I: Iterator<Item = &'a str>>(
        &self,
        rows: usize,
        values: impl Fn(usize) -> I,
    ) -> Result<RecordBatch, ArrowError> {
        let is_other = |at: &usize| matches!(self.ways.get(*at), Some(Way::Other));
        let places: Vec<usize> = (0..self.ways.len()).filter(is_other).collect();
        let schema = Arc::new(self.schema.project(&places)?);
        if places.is_empty() {
            return Ok(RecordBatch::new_empty(schema));
        }
        let names: Vec<String> = schema
            .fields()
            .iter()
            .map(|field| serde_json::to_string(field.name()))
            .collect::<Result<_, _>>()
            .map_err(|error| ArrowError::JsonError(error.to_string()))?;
        let mut columns: Vec<I> = places.iter().map(|at| values(*at)).collect();
        let mut lines = String::new();
        for _ in 0..rows {
            let mut open = "{";
            for (column, name) in columns.iter_mut().zip(&names) {
                let value = column.next().unwrap_or_default();
                if !value.is_empty() {
                    lines.extend([open, name.as_str(), ":", value]);
                    open = ",";
                }
            }
            lines.push_str(if open == "{" { "{}\n" } else { "}\n" });
        }
        let others = Self::new(Arc::new(Schema::new(schema.fields().clone())), Vec::new());
        let batch = others.decode(lines.as_bytes(), rows).map_err(ArrowError::JsonError)?;
        match batch.num_rows() == rows {
            true => Ok(batch),
            false => Err(ArrowError::JsonError("lines and values do not match".to_owned())),
        }
    }
}

/// The lines that are not UTF-8.
fn not_text(text: &[u8], lines: &[Range<usize>]) -> Vec<usize> {
    let broken = |line: &Range<usize>| simdutf8::basic::from_utf8(&text[line.clone()]).is_err();
    (0..lines.len()).filter(|n| broken(&lines[*n])).collect()
}

/// What stands between the quotes, if it is a string without escapes.
fn quoted(value: &str) -> Option<&str> {
    let text = value.strip_prefix('"')?.strip_suffix('"')?;
    (memchr::memchr(b'\\', text.as_bytes()).is_none()).then_some(text)
}

/// A number, or the text of a string without escapes.
fn bare(value: &str) -> Option<&str> {
    if value.starts_with('"') { quoted(value) } else { Some(value) }
}

/// Adds a string, or the text of a number or a boolean.
fn string(value: &str, out: &mut StringBuilder) -> bool {
    match value.as_bytes().first() {
        Some(b'"') => match quoted(value) {
            Some(text) => out.append_value(text),
            None => match serde_json::from_str::<String>(value) {
                Ok(text) => out.append_value(text),
                Err(_) => return false,
            },
        },
        Some(b'{' | b'[') | None => return false,
        Some(_) => out.append_value(value),
    }
    true
}

fn is_null(value: &str) -> bool {
    value.is_empty() || value == "null"
}

fn texts<'a>(
    values: impl Iterator<Item = &'a str> + Clone,
    rows: usize,
    bad: &mut Vec<usize>,
    add: impl Fn(&str, &mut StringBuilder) -> bool,
) -> ArrayRef {
    let bytes = values.clone().map(str::len).sum();
    let mut column = StringBuilder::with_capacity(rows, bytes);
    for (row, value) in values.take(rows).enumerate() {
        if is_null(value) {
            column.append_null();
        } else if !add(value, &mut column) {
            column.append_null();
            bad.push(row);
        }
    }
    Arc::new(column.finish())
}

fn booleans<'a>(
    values: impl Iterator<Item = &'a str>,
    rows: usize,
    bad: &mut Vec<usize>,
) -> ArrayRef {
    let mut column = BooleanBuilder::with_capacity(rows);
    for (row, value) in values.take(rows).enumerate() {
        match value {
            "true" => column.append_value(true),
            "false" => column.append_value(false),
            other => {
                column.append_null();
                if !is_null(other) {
                    bad.push(row);
                }
            }
        }
    }
    Arc::new(column.finish())
}

fn numbers<'a, T: ArrowPrimitiveType>(
    values: impl Iterator<Item = &'a str>,
    data_type: &DataType,
    rows: usize,
    bad: &mut Vec<usize>,
    parse: impl Fn(&str) -> Option<T::Native>,
) -> ArrayRef {
    let mut column = PrimitiveBuilder::<T>::with_capacity(rows).with_data_type(data_type.clone());
    for (row, value) in values.take(rows).enumerate() {
        match parse(value) {
            Some(value) => column.append_value(value),
            None => {
                column.append_null();
                if !is_null(value) {
                    bad.push(row);
                }
            }
        }
    }
    Arc::new(column.finish())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;
    use crate::decode::Decoder;

    fn columns() -> Decoder {
        let kinds = [
            ("s", DataType::Utf8),
            ("j", DataType::Utf8),
            ("i", DataType::Int64),
            ("f", DataType::Float64),
            ("b", DataType::Boolean),
            ("t", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))),
            ("d", DataType::Date32),
            ("l", DataType::new_list(DataType::Int64, true)),
            ("o", DataType::Struct(vec![Field::new("x", DataType::Float64, true)].into())),
        ];
        let field = |(name, kind): (&str, DataType)| Field::new(name, kind, true);
        let schema = Schema::new(kinds.map(field).to_vec());
        Decoder::Jsonl(Jsonl::new(Arc::new(schema), vec!["j".to_owned()]))
    }

    fn value() -> impl Strategy<Value = String> + Clone {
        let odd = select(vec![
            "null",
            "true",
            "false",
            "tru",
            "0",
            "-0",
            "01",
            "-",
            "1.",
            "1.5",
            "1e3",
            "1E+2",
            "1e",
            "1e999",
            "-1e400",
            "9223372036854775807",
            "9223372036854775808",
            "1-2",
            "+1",
            "NaN",
            "123456789012345678901234567890.10",
            "\"\"",
            "\"5\"",
            "\" 5\"",
            "\"+5\"",
            "\"1.5\"",
            "\"NaN\"",
            "\"-inf\"",
            "\"Infinity\"",
            "\"true\"",
            "\"null\"",
            "\"\\\"\"",
            "\"\\\\\"",
            "\"\\u00fc\"",
            "\"\\u0035\"",
            "\"\\ud83d\\ude00\"",
            "\"\\ud83d\"",
            "\"\\ude00\"",
            "\"\\x\"",
            "\"\\u12g4\"",
            "\"a\tb\"",
            "\"ü\u{2028}€\"",
            "\"never closed",
            "\"2026-11-24\"",
            "\"2026-13-24\"",
            "\"2026-11-24T10:00:00Z\"",
            "\"2026-11-24T10:00:00.1234567+02:00\"",
            "\"2026-11-24 10:00:00\"",
            "1764000000000000",
            "1764000000.5",
            "[]",
            "{}",
            "[1,2,null]",
            "[1.5]",
            "[ 1 , 2 ]",
            "[1,]",
            "[,1]",
            "{\"x\":1}",
            "{\"x\":1e999}",
            "{\"x\":[}",
            "[[1]]",
            "{\"x\": 1.5, \"y\": [\"\\ud800\"]}",
            "{\"y\":{\"z\":[{}]}}",
            "",
        ]);
        prop_oneof![
            4 => odd.prop_map(str::to_owned),
            1 => any::<i64>().prop_map(|n| n.to_string()),
            1 => any::<f64>().prop_map(|n| format!("{n:e}")),
            1 => any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
        ]
    }

    fn line() -> impl Strategy<Value = Vec<u8>> {
        let names = select(vec!["s", "j", "i", "f", "b", "t", "d", "l", "o", "z", "\\u0073", "ü"]);
        let space = select(vec!["", "", "", " ", "\t", "\r", " \r"]);
        let member = (names, value(), space.clone(), space.clone())
            .prop_map(|(name, value, a, b)| format!("{a}\"{name}\"{b}:{a}{value}{b}"));
        let members = prop::collection::vec(member, 0..6).prop_map(|all| all.join(","));
        let end = select(vec!["\n", "\n", "\n", "\r\n", " \n", ",\n", "x\n", "{}\n", "\u{c}\n"]);
        let whole = (members, space, end).prop_map(|(all, a, end)| format!("{a}{{{all}}}{a}{end}"));
        let blank = select(vec!["\n", "  \r\n", "\t\n", "{\n", "[1]\n", "null\n", "1\n"]);
        let broken = (whole.clone(), any::<prop::sample::Index>(), any::<u8>());
        prop_oneof![
            8 => whole.prop_map(String::into_bytes),
            1 => blank.prop_map(|text| text.as_bytes().to_vec()),
            2 => broken.prop_map(|(text, at, byte)| {
                let mut text = text.into_bytes();
                let at = at.index(text.len() - 1);
                text[at] = if byte == b'\n' { b'}' } else { byte };
                text
            }),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1500))]

        #[test]
        fn rows_and_reasons_are_those_of_the_reader(
            lines in prop::collection::vec(line(), 1..12),
            cut in any::<bool>(),
        ) {
            let decoder = columns();
            let mut text = lines.concat();
            if cut {
                text.pop();
            }
            let mut start = 0;
            let ranges: Vec<Range<usize>> = lines
                .iter()
                .map(|line| {
                    let range = start..text.len().min(start + line.len());
                    start = range.end;
                    range
                })
                .collect();
            let (mut rows, mut bad) = (Vec::new(), Vec::new());
            for (n, range) in ranges.iter().enumerate() {
                let (row, reasons) = decoder.slow(&text, std::slice::from_ref(range)).unwrap();
                rows.extend(row);
                bad.extend(reasons.into_iter().map(|(_, reason)| (n, reason)));
            }
            let rows = (!rows.is_empty())
                .then(|| arrow_select::concat::concat_batches(rows[0].schema_ref(), &rows).unwrap());
            prop_assert_eq!(decoder.decode(&text, &ranges).unwrap(), (rows, bad));
        }
    }

    #[test]
    fn ordinary_lines_need_no_other_reader() {
        let Decoder::Jsonl(jsonl) = columns() else { panic!("JSON lines") };
        let lines = [
            "{\"s\":\"a \\\"b\\\" \\ud83d\\ude00\",\"i\":1,\"f\":-0.5e3,\"b\":true,\"j\":{\"a\":[1,{}]}}\r\n",
            "{ \"t\": \"2026-11-24T10:00:00Z\", \"d\": \"2026-11-24\", \"l\": [1], \"o\": {\"x\": 1} }\n",
            "\n",
            "{\"t\":1764000000000000,\"i\":\"7\",\"f\":\"NaN\",\"s\":12,\"z\":[[\"x\\n\"]],\"o\":null}",
        ];
        let mut text = String::new();
        let ranges = lines.map(|line| {
            text.push_str(line);
            text.len() - line.len()..text.len()
        });
        let fast = jsonl.fast(text.as_bytes(), &ranges).unwrap();
        assert_eq!((fast.taken, fast.left), (vec![0, 1, 3], vec![]));
        assert_eq!(fast.batch.num_rows(), 3);
        let broken = [text.as_bytes(), b"\n{\"s\":\"\xff\"}\n{\"i\":1.5}\n{}"].concat();
        let mut ranges = ranges.to_vec();
        let start = text.len() + 1;
        ranges[3].end = start;
        ranges.extend([start..start + 10, start + 10..start + 20, start + 20..broken.len()]);
        let fast = jsonl.fast(&broken, &ranges).unwrap();
        assert_eq!((fast.taken, fast.left), (vec![0, 1, 3, 6], vec![4, 5]));
    }
}
