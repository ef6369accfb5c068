//! The output columns while they grow, row by row. A row that turns out not to fit is taken back.

use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, BooleanArray, Date32Array, Float64Array, Int64Array, ListArray, StringArray,
    TimestampMicrosecondArray,
};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::Field as ArrowField;
use gristmill_stage::Result;
use gristmill_stage::option::ColumnType;

use crate::convert::Scalar;
use crate::field::Field;

/// Why a row does not fit, as a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Misfit(pub(crate) String);

/// A value in a reason is cut after this many characters.
const SHOWN: usize = 60;

impl Misfit {
    fn value(field: &str, text: &str, why: &str) -> Self {
        let mut shown: String = text.chars().take(SHOWN).collect();
        if shown.len() < text.len() {
            shown.push('…');
        }
        Self(format!("field `{field}`: {shown:?} {why}"))
    }
}

/// The values of one column, with the offsets of its lists when it is a list.
#[derive(Debug)]
struct Column {
    values: Values,
    valid: Vec<bool>,
    lists: Option<Lists>,
}

/// Where each list ends, in items, and which lists are there.
#[derive(Debug)]
struct Lists {
    ends: Vec<i32>,
    valid: Vec<bool>,
}

#[derive(Debug)]
enum Values {
    Text { bytes: String, ends: Vec<i32> },
    Int(Vec<i64>),
    Float(Vec<f64>),
    Bool(Vec<bool>),
    Timestamp(Vec<i64>),
    Date(Vec<i32>),
}

impl Values {
    fn new(kind: ColumnType) -> Self {
        match kind {
            ColumnType::String | ColumnType::Json => {
                Self::Text { bytes: String::new(), ends: vec![0] }
            }
            ColumnType::Int64 => Self::Int(Vec::new()),
            ColumnType::Float64 => Self::Float(Vec::new()),
            ColumnType::Boolean => Self::Bool(Vec::new()),
            ColumnType::Timestamp => Self::Timestamp(Vec::new()),
            ColumnType::Date => Self::Date(Vec::new()),
        }
    }

    /// Adds a value; anything that is not of the column's type adds the empty value.
    fn push(&mut self, value: Option<Scalar<'_>>) {
        match (self, value) {
            (Self::Text { bytes, ends }, value) => {
                if let Some(Scalar::Text(text)) = value {
                    bytes.push_str(text);
                }
                // `Cells` keeps a batch below 2 GiB; see `Cells::new`.
                ends.push(i32::try_from(bytes.len()).unwrap_or(i32::MAX));
            }
            (Self::Int(all), Some(Scalar::Int(value)))
            | (Self::Timestamp(all), Some(Scalar::Timestamp(value))) => all.push(value),
            (Self::Int(all) | Self::Timestamp(all), _) => all.push(0),
            (Self::Float(all), Some(Scalar::Float(value))) => all.push(value),
            (Self::Float(all), _) => all.push(0.0),
            (Self::Bool(all), Some(Scalar::Bool(value))) => all.push(value),
            (Self::Bool(all), _) => all.push(false),
            (Self::Date(all), Some(Scalar::Date(value))) => all.push(value),
            (Self::Date(all), _) => all.push(0),
        }
    }

    fn truncate(&mut self, len: usize) {
        match self {
            Self::Text { bytes, ends } => {
                ends.truncate(len + 1);
                let end = ends.last().copied().unwrap_or_default();
                bytes.truncate(usize::try_from(end).unwrap_or_default());
            }
            Self::Int(all) | Self::Timestamp(all) => all.truncate(len),
            Self::Float(all) => all.truncate(len),
            Self::Bool(all) => all.truncate(len),
            Self::Date(all) => all.truncate(len),
        }
    }

    fn finish(self, nulls: Option<NullBuffer>) -> Result<ArrayRef> {
        Ok(match self {
            Self::Text { bytes, ends } => Arc::new(StringArray::try_new(
                OffsetBuffer::new(ScalarBuffer::from(ends)),
                Buffer::from_vec(bytes.into_bytes()),
                nulls,
            )?),
            Self::Int(all) => Arc::new(Int64Array::try_new(all.into(), nulls)?),
            Self::Float(all) => Arc::new(Float64Array::try_new(all.into(), nulls)?),
            Self::Bool(all) => Arc::new(BooleanArray::new(BooleanBuffer::from(all), nulls)),
            Self::Timestamp(all) => Arc::new(
                TimestampMicrosecondArray::try_new(all.into(), nulls)?.with_timezone("UTC"),
            ),
            Self::Date(all) => Arc::new(Date32Array::try_new(all.into(), nulls)?),
        })
    }
}

impl Column {
    fn new(field: &Field) -> Self {
        let lists = field.list.then(|| Lists { ends: vec![0], valid: Vec::new() });
        Self { values: Values::new(field.convert.kind), valid: Vec::new(), lists }
    }

    fn push(&mut self, value: Option<Scalar<'_>>) {
        self.values.push(value);
        self.valid.push(value.is_some());
    }

    /// Ends the row of a list.
    fn end_list(&mut self, valid: bool) {
        if let Some(lists) = &mut self.lists {
            lists.ends.push(i32::try_from(self.valid.len()).unwrap_or(i32::MAX));
            lists.valid.push(valid);
        }
    }

    /// Items of the row that is not ended yet.
    fn items(&self) -> usize {
        let ended = self.lists.as_ref().and_then(|l| l.ends.last().copied()).unwrap_or_default();
        self.valid.len().saturating_sub(usize::try_from(ended).unwrap_or_default())
    }

    fn truncate(&mut self, rows: usize) {
        let len = match &mut self.lists {
            None => rows,
            Some(lists) => {
                lists.ends.truncate(rows + 1);
                lists.valid.truncate(rows);
                let end = lists.ends.last().copied().unwrap_or_default();
                usize::try_from(end).unwrap_or_default()
            }
        };
        self.values.truncate(len);
        self.valid.truncate(len);
    }

    fn finish(self) -> Result<ArrayRef> {
        let values = self.values.finish(nulls(self.valid))?;
        let Some(lists) = self.lists else {
            return Ok(values);
        };
        let item = Arc::new(ArrowField::new_list_field(values.data_type().clone(), true));
        let ends = OffsetBuffer::new(ScalarBuffer::from(lists.ends));
        Ok(Arc::new(ListArray::try_new(item, ends, values, nulls(lists.valid))?))
    }
}

fn nulls(valid: Vec<bool>) -> Option<NullBuffer> {
    valid.contains(&false).then(|| NullBuffer::from(valid))
}

/// The growing columns of all fields.
#[derive(Debug)]
pub(crate) struct Cells {
    fields: Arc<[Field]>,
    columns: Vec<Column>,
    /// Which fields have a value in the row at hand.
    seen: Vec<bool>,
    rows: usize,
    /// Bytes of the ended rows, and with the row at hand.
    ended_bytes: usize,
    bytes: usize,
    /// Bytes that one row may take.
    row_limit: usize,
    lenient: bool,
}

impl Cells {
    /// No rows yet. A row may take `row_limit` bytes, of which a third of the 2 GiB that an Arrow
    /// column of text can hold is the most; values that do not fit become null when `lenient`.
    pub(crate) fn new(fields: Arc<[Field]>, row_limit: usize, lenient: bool) -> Self {
        let columns = fields.iter().map(Column::new).collect();
        let seen = vec![false; fields.len()];
        let row_limit = row_limit.min(i32::MAX as usize / 3);
        Self { fields, columns, seen, rows: 0, ended_bytes: 0, bytes: 0, row_limit, lenient }
    }

    /// Rows that are ended.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes that these rows take, about.
    pub(crate) fn size(&self) -> usize {
        self.ended_bytes
    }

    /// Adds a value to the row at hand: the value of a plain field, or an item of a list.
    pub(crate) fn put(&mut self, index: usize, text: &str) -> Result<(), Misfit> {
        let (field, column) = (&self.fields[index], &mut self.columns[index]);
        self.seen[index] = true;
        self.bytes += text.len() + size_of::<u64>();
        let value = if self.bytes - self.ended_bytes > self.row_limit {
            Err("makes the row too large".into())
        } else {
            field.convert.read(text)
        };
        match value {
            Ok(value) => column.push(Some(value)),
            Err(_) if self.lenient => column.push(None),
            Err(why) => return Err(Misfit::value(&field.name, text, &why)),
        }
        Ok(())
    }

    /// Adds a null to a list.
    pub(crate) fn put_null(&mut self, index: usize) {
        self.seen[index] = true;
        self.bytes += size_of::<u64>();
        self.columns[index].push(None);
    }

    /// Says that a list is there, though it may be empty. Without, a list without items is null.
    pub(crate) fn open(&mut self, index: usize) {
        self.seen[index] = true;
    }

    /// A value is there, but of a kind that the field cannot take.
    pub(crate) fn misfit(&mut self, index: usize, text: &str, why: &str) -> Result<(), Misfit> {
        if self.lenient {
            // Stays missing, and a missing value is null: a default would hide the error.
            if !self.fields[index].list {
                self.columns[index].push(None);
                self.seen[index] = true;
            }
            return Ok(());
        }
        Err(Misfit::value(&self.fields[index].name, text, why))
    }

    /// Ends the row at hand: missing values get their default, or are null.
    pub(crate) fn end_row(&mut self) -> Result<(), Misfit> {
        for ((field, column), seen) in self.fields.iter().zip(&mut self.columns).zip(&mut self.seen)
        {
            let missing = if field.list { column.items() == 0 } else { !*seen };
            if missing && field.required && !self.lenient {
                return Err(Misfit(format!("field `{}` is missing", field.name)));
            }
            if field.list {
                column.end_list(*seen);
            } else if missing {
                let default = field.default.as_ref();
                let value = default.and_then(|d| d.convert.read(&d.text).ok());
                column.push(value);
            }
            *seen = false;
        }
        self.rows += 1;
        self.bytes += self.fields.len() * size_of::<u64>();
        self.ended_bytes = self.bytes;
        Ok(())
    }

    /// Takes back what was put since the last row ended.
    pub(crate) fn take_back(&mut self) {
        for column in &mut self.columns {
            column.truncate(self.rows);
        }
        self.seen.fill(false);
        self.bytes = self.ended_bytes;
    }

    /// Adds a row of nulls.
    pub(crate) fn null_row(&mut self) {
        self.take_back();
        for column in &mut self.columns {
            match column.lists {
                Some(_) => column.end_list(false),
                None => column.push(None),
            }
        }
        self.rows += 1;
        self.bytes += self.fields.len() * size_of::<u64>();
        self.ended_bytes = self.bytes;
    }

    /// The columns of all ended rows; none are left.
    pub(crate) fn take(&mut self) -> Result<Vec<ArrayRef>> {
        self.take_back();
        let empty = self.fields.iter().map(Column::new).collect();
        let full: Vec<Column> = std::mem::replace(&mut self.columns, empty);
        (self.rows, self.ended_bytes, self.bytes) = (0, 0, 0);
        full.into_iter().map(Column::finish).collect()
    }
}
