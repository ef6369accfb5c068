//! The values of one key column, each under a number in the order of first appearance. Null is a
//! value like any other.

mod bytes;
mod numbers;
mod pairs;
mod rows;

use arrow_array::builder::BooleanBufferBuilder;
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, UInt32Array};
use arrow_buffer::NullBuffer;
use arrow_schema::DataType;
use gristmill_stage::keys::canonical;
use gristmill_stage::{Error, Result};

use crate::columns::cast_to;
use bytes::BytesKeys;
use numbers::NumberKeys;
pub(crate) use pairs::Pairs;
use rows::RowKeys;

/// No number.
const VACANT: u32 = u32::MAX;

/// How many values a column can have at the most, whatever the options say.
const MOST: usize = VACANT as usize;

/// A dictionary of more values than this for each row is cast: to look at it costs more.
const VALUES_PER_ROW: usize = 4;

/// The numbers of the values of one column.
pub(crate) enum KeyColumn {
    /// Values of up to 64 bits.
    Numbers(NumberKeys),
    /// Texts and bytes.
    Bytes(BytesKeys),
    /// All else.
    Rows(RowKeys),
}

impl KeyColumn {
    /// A column of plain values of this type.
    pub(crate) fn new(data_type: &DataType) -> Result<Self> {
        Ok(if let Some(numbers) = NumberKeys::new(data_type) {
            Self::Numbers(numbers)
        } else if let Some(bytes) = BytesKeys::new(data_type) {
            Self::Bytes(bytes)
        } else {
            Self::Rows(RowKeys::new(data_type)?)
        })
    }

    /// Whether a column can be of this type.
    pub(crate) fn supports(data_type: &DataType) -> bool {
        RowKeys::supports(data_type)
    }

    /// How many values there are.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Numbers(numbers) => numbers.len(),
            Self::Bytes(bytes) => bytes.len(),
            Self::Rows(rows) => rows.len(),
        }
    }

    /// The bytes that they take.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::Numbers(numbers) => numbers.size(),
            Self::Bytes(bytes) => bytes.size(),
            Self::Rows(rows) => rows.size(),
        }
    }

    /// Writes the number of each row's value to `numbers`, in place of what was there.
    ///
    /// # Errors
    /// When there would be more than `limit` values.
    pub(crate) fn find(
        &mut self,
        column: &ArrayRef,
        limit: usize,
        numbers: &mut Vec<u32>,
    ) -> Result<()> {
        if let Some(dictionary) = column.as_any_dictionary_opt() {
            return self.find_dictionary(column, dictionary.values(), limit, numbers);
        }
        numbers.clear();
        let column = canonical(column)?;
        let found = match self {
            Self::Numbers(keys) => keys.find(&column, limit.min(MOST), numbers),
            Self::Bytes(keys) => keys.find(&column, limit.min(MOST), numbers),
            Self::Rows(keys) => keys.find(&column, limit.min(MOST), numbers)?,
        };
        if found { Ok(()) } else { Err(too_many(limit)) }
    }

    /// Looks up each value of the dictionary once, if a row has it.
    fn find_dictionary(
        &mut self,
        column: &ArrayRef,
        values: &ArrayRef,
        limit: usize,
        numbers: &mut Vec<u32>,
    ) -> Result<()> {
        let plain = values.as_any_dictionary_opt().is_none();
        if !plain || values.len() / VALUES_PER_ROW > column.len() {
            let plain = crate::columns::key_type(values.data_type());
            return self.find(&cast_to(ArrayRef::clone(column), &plain)?, limit, numbers);
        }
        let dictionary = column.as_any_dictionary();
        let keys =
            if values.is_empty() { vec![0; column.len()] } else { dictionary.normalized_keys() };
        // Which values there are, in the order of first appearance, and the place of each there.
        // The last place is that of null.
        let null = values.len();
        let nulls = column.nulls();
        let key_of = |(row, key): (usize, &usize)| match nulls {
            Some(nulls) if nulls.is_null(row) => null,
            _ => *key,
        };
        let mut places = vec![VACANT; values.len() + 1];
        let mut used: Vec<Option<u32>> = Vec::new();
        for key in keys.iter().enumerate().map(key_of) {
            if places[key] == VACANT {
                places[key] = u32::try_from(used.len()).unwrap_or(VACANT);
                used.push((key != null).then_some(u32::try_from(key).unwrap_or(VACANT)));
            }
        }
        let used = arrow_select::take::take(values, &UInt32Array::from(used), None)?;
        let mut found = Vec::new();
        self.find(&used, limit, &mut found)?;
        numbers.clear();
        let places = keys.iter().enumerate().map(|key| places[key_of(key)]);
        numbers.extend(places.map(|place| found[place as usize]));
        Ok(())
    }

    /// All values, at their numbers.
    pub(crate) fn values(&self) -> Result<ArrayRef> {
        match self {
            Self::Numbers(numbers) => numbers.values(),
            Self::Bytes(bytes) => bytes.values(),
            Self::Rows(rows) => rows.values(),
        }
    }
}

/// The error for more groups than there may be.
pub(crate) fn too_many(limit: usize) -> Error {
    Error::data(format!("there are more than {} groups", limit.min(MOST)))
        .help("group by fewer or coarser columns, use several workers, or raise `max_groups`")
}

/// All valid but the value with the number `null`.
fn all_but(null: Option<u32>, len: usize) -> Option<NullBuffer> {
    let null = null?;
    let mut valid = BooleanBufferBuilder::new(len);
    valid.append_n(len, true);
    valid.set_bit(null as usize, false);
    Some(NullBuffer::new(valid.finish()))
}
