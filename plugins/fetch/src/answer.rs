//! The columns that come out.

use std::sync::Arc;
use std::time::Duration;

use arrow_array::builder::{
    BinaryBuilder, Float64Builder, Int32Builder, Int64Builder, StringBuilder,
};
use arrow_array::{ArrayRef, MapArray, StructArray};
use arrow_buffer::{NullBufferBuilder, OffsetBuffer};
use arrow_schema::{DataType, Field, FieldRef, Fields};
use gristmill_stage::{Error, Result};
use reqwest::header::HeaderMap;

use crate::options::BodyType;

/// One row of the output, without the columns that are carried through.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) final_url: Option<String>,
    pub(crate) status: Option<u16>,
    pub(crate) headers: Option<HeaderMap>,
    pub(crate) body: Option<Body>,
    pub(crate) error: Option<String>,
    pub(crate) attempts: u32,
    pub(crate) wait: Duration,
    pub(crate) first_byte: Option<Duration>,
    pub(crate) total: Duration,
    /// Bytes of the body before it became text.
    pub(crate) bytes: Option<usize>,
}

/// A body, as the column wants it.
#[derive(Debug)]
pub(crate) enum Body {
    Text(String),
    Bytes(Vec<u8>),
}

impl Body {
    fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
        }
    }
}

impl Answer {
    /// What it takes in a batch, about.
    pub(crate) fn size(&self) -> usize {
        let headers: usize =
            self.headers.iter().flatten().map(|(k, v)| k.as_str().len() + v.len() + 8).sum();
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let body = self.body.as_ref().map_or(0, Body::len);
        64 + headers + body + text(&self.final_url) + text(&self.error)
    }
}

/// The names of the columns; they take the place of columns of the input.
pub(crate) const NAMES: [&str; 9] =
    ["url", "final_url", "status", "headers", "body", "error", "attempts", "timings", "bytes"];

/// The columns after `url`.
pub(crate) fn fields(body: BodyType) -> Vec<FieldRef> {
    let body = match body {
        BodyType::Text => DataType::Utf8,
        BodyType::Bytes => DataType::Binary,
    };
    let fields = [
        Field::new("final_url", DataType::Utf8, true),
        Field::new("status", DataType::Int32, true),
        Field::new("headers", DataType::Map(header_entries(), false), true),
        Field::new("body", body, true),
        Field::new("error", DataType::Utf8, true),
        Field::new("attempts", DataType::Int32, false),
        Field::new("timings", DataType::Struct(timing_fields()), false),
        Field::new("bytes", DataType::Int64, true),
    ];
    fields.into_iter().map(Arc::new).collect()
}

fn timing_fields() -> Fields {
    Fields::from(vec![
        Field::new("wait", DataType::Float64, false),
        Field::new("first_byte", DataType::Float64, true),
        Field::new("total", DataType::Float64, false),
    ])
}

fn header_fields() -> Fields {
    Fields::from(vec![
        Field::new("keys", DataType::Utf8, false),
        Field::new("values", DataType::Utf8, true),
    ])
}

fn header_entries() -> FieldRef {
    Arc::new(Field::new("entries", DataType::Struct(header_fields()), false))
}

/// The columns of [`fields`] for these answers.
///
/// # Errors
/// When they do not fit one batch: more than 2 GiB of text.
pub(crate) fn columns(answers: &[Answer], body: BodyType) -> Result<Vec<ArrayRef>> {
    let sum: usize = answers.iter().map(Answer::size).sum();
    if i32::try_from(sum).is_err() {
        return Err(Error::data(format!("{} answers take more than 2 GiB", answers.len()))
            .help("make batches or `max_body` smaller"));
    }
    let rows = answers.len();
    let mut status = Int32Builder::with_capacity(rows);
    let mut attempts = Int32Builder::with_capacity(rows);
    let mut bytes = Int64Builder::with_capacity(rows);
    for answer in answers {
        status.append_option(answer.status.map(i32::from));
        attempts.append_value(i32::try_from(answer.attempts).unwrap_or(i32::MAX));
        bytes.append_option(answer.bytes.and_then(|bytes| i64::try_from(bytes).ok()));
    }
    Ok(vec![
        texts(answers, |answer| answer.final_url.as_deref()),
        Arc::new(status.finish()),
        Arc::new(headers(answers)?),
        bodies(answers, body),
        texts(answers, |answer| answer.error.as_deref()),
        Arc::new(attempts.finish()),
        Arc::new(timings(answers)?),
        Arc::new(bytes.finish()),
    ])
}

fn texts<'a>(answers: &'a [Answer], get: impl Fn(&'a Answer) -> Option<&'a str>) -> ArrayRef {
    let size = answers.iter().filter_map(&get).map(str::len).sum();
    let mut texts = StringBuilder::with_capacity(answers.len(), size);
    answers.iter().for_each(|answer| texts.append_option(get(answer)));
    Arc::new(texts.finish())
}

/// Bodies go into their column in one copy each.
fn bodies(answers: &[Answer], body: BodyType) -> ArrayRef {
    if body == BodyType::Text {
        return texts(answers, |answer| match &answer.body {
            Some(Body::Text(text)) => Some(text),
            _ => None,
        });
    }
    let size = answers.iter().filter_map(|answer| answer.body.as_ref()).map(Body::len).sum();
    let mut bodies = BinaryBuilder::with_capacity(answers.len(), size);
    for answer in answers {
        match &answer.body {
            Some(Body::Bytes(bytes)) => bodies.append_value(bytes),
            _ => bodies.append_null(),
        }
    }
    Arc::new(bodies.finish())
}

/// Headers as they came: names in lower case, a name that came twice stands twice.
fn headers(answers: &[Answer]) -> Result<MapArray> {
    let counts = || answers.iter().map(|answer| answer.headers.as_ref().map_or(0, HeaderMap::len));
    let all = || answers.iter().filter_map(|answer| answer.headers.as_ref()).flatten();
    let entries: usize = counts().sum();
    let size = |of: fn((&str, &[u8])) -> usize| {
        all().map(|(name, value)| of((name.as_str(), value.as_bytes()))).sum()
    };
    let mut names = StringBuilder::with_capacity(entries, size(|(name, _)| name.len()));
    let mut values = StringBuilder::with_capacity(entries, size(|(_, value)| value.len()));
    for (name, value) in all() {
        names.append_value(name.as_str());
        values.append_value(String::from_utf8_lossy(value.as_bytes()));
    }
    let mut present = NullBufferBuilder::new(answers.len());
    answers.iter().for_each(|answer| present.append(answer.headers.is_some()));
    let columns: Vec<ArrayRef> = vec![Arc::new(names.finish()), Arc::new(values.finish())];
    let entries = StructArray::try_new(header_fields(), columns, None)?;
    let offsets = OffsetBuffer::from_lengths(counts());
    Ok(MapArray::try_new(header_entries(), offsets, entries, present.finish(), false)?)
}

fn timings(answers: &[Answer]) -> Result<StructArray> {
    let mut wait = Float64Builder::with_capacity(answers.len());
    let mut first_byte = Float64Builder::with_capacity(answers.len());
    let mut total = Float64Builder::with_capacity(answers.len());
    for answer in answers {
        wait.append_value(answer.wait.as_secs_f64());
        first_byte.append_option(answer.first_byte.map(|time| time.as_secs_f64()));
        total.append_value(answer.total.as_secs_f64());
    }
    let columns: Vec<ArrayRef> =
        vec![Arc::new(wait.finish()), Arc::new(first_byte.finish()), Arc::new(total.finish())];
    Ok(StructArray::try_new(timing_fields(), columns, None)?)
}
