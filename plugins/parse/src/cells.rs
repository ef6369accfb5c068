//! The output columns while they grow, row by row. A row that turns out not to fit is taken back.

mod values;

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, ListArray};
use arrow_buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::Field as ArrowField;
use gristmill_stage::Result;

use self::values::Values;
use crate::convert::Scalar;
use crate::field::Field;
use crate::time::Zone;

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
    /// What ended rows and their bytes were before the text at hand.
    before: (usize, usize),
    /// The rows of the text at hand that do not fit.
    misfits: Misfits,
}

/// The rows of one text that do not fit.
#[derive(Debug, Default)]
struct Misfits {
    /// Rows so far, also those that fit.
    rows: usize,
    misfits: usize,
    /// The first of them, from 1, and why.
    first: Option<(usize, String)>,
}

impl Cells {
    /// No rows yet. A row may take `row_limit` bytes, of which a third of the 2 GiB that an Arrow
    /// column of text can hold is the most; values that do not fit become null when `lenient`.
    pub(crate) fn new(fields: Arc<[Field]>, row_limit: usize, lenient: bool) -> Self {
        let columns = fields.iter().map(Column::new).collect();
        let seen = vec![false; fields.len()];
        let row_limit = row_limit.min(i32::MAX as usize / 3);
        Self {
            fields,
            columns,
            seen,
            rows: 0,
            ended_bytes: 0,
            bytes: 0,
            row_limit,
            lenient,
            before: (0, 0),
            misfits: Misfits::default(),
        }
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
        if field.is_null(text) {
            if field.list {
                self.put_null(index);
            }
            return Ok(());
        }
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

    /// Adds a time that stands in the text as `text` and was read by the format, unless the field
    /// says itself how it is written. None when there is no such time.
    pub(crate) fn put_time(
        &mut self,
        index: usize,
        text: &str,
        micros: impl FnOnce(Zone) -> Option<i64>,
    ) -> Result<(), Misfit> {
        let convert = &self.fields[index].convert;
        if !convert.is_own_time() {
            return self.put(index, text);
        }
        let Some(micros) = micros(convert.zone()) else {
            return self.misfit(index, text, "is not a time");
        };
        self.seen[index] = true;
        self.bytes += size_of::<u64>();
        self.columns[index].push(Some(Scalar::Timestamp(micros)));
        Ok(())
    }

    /// Whether the row at hand has a value for the field, or the field takes more than one.
    pub(crate) fn is_set(&self, index: usize) -> bool {
        self.seen[index] && !self.fields[index].list
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

    /// A text begins.
    pub(crate) fn begin_text(&mut self) {
        self.take_back();
        self.before = (self.rows, self.ended_bytes);
        self.misfits = Misfits::default();
    }

    /// Ends the row of a match: one of many in a text. A row that does not fit is noted.
    ///
    /// # Errors
    /// When the rows of the text are too large together.
    pub(crate) fn end_match(&mut self, row: Result<(), Misfit>) -> Result<(), Misfit> {
        self.misfits.rows += 1;
        if let Err(Misfit(why)) = row.and_then(|()| self.end_row()) {
            if self.lenient {
                self.null_row();
            } else {
                self.take_back();
                self.misfits.misfits += 1;
                let row = self.misfits.rows;
                self.misfits.first.get_or_insert((row, why));
            }
        }
        if self.ended_bytes - self.before.1 > self.row_limit {
            return Err(Misfit("the rows of the text are too large together".to_owned()));
        }
        Ok(())
    }

    /// Why not all rows of the text came out, if it is so.
    pub(crate) fn misfits(&self) -> Option<Misfit> {
        let Misfits { rows, misfits, first } = &self.misfits;
        let (row, why) = first.as_ref()?;
        Some(Misfit(format!("{misfits} of {rows} rows do not fit, the first is row {row}: {why}")))
    }

    /// Takes back all rows of the text at hand.
    pub(crate) fn take_back_text(&mut self) {
        (self.rows, self.ended_bytes) = self.before;
        self.take_back();
    }

    /// Bytes that a row may take.
    pub(crate) fn row_limit(&self) -> usize {
        self.row_limit
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
