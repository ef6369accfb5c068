//! Numbers of values of any type, by the bytes of a row.

use std::hash::BuildHasher;

use arrow_array::{ArrayRef, new_empty_array};
use arrow_row::{RowConverter, Rows, SortField};
use arrow_schema::DataType;
use gristmill_stage::{Error, Result};
use hashbrown::{DefaultHashBuilder, HashTable};

use super::VACANT;

/// The numbers of the values of a column of any type.
pub(crate) struct RowKeys {
    data_type: DataType,
    converter: RowConverter,
    /// All values, at their numbers.
    known: Rows,
    /// The values of the batch in hand; kept for its memory.
    batch: Rows,
    /// Hash and number of every value.
    places: HashTable<(u64, u32)>,
    hasher: DefaultHashBuilder,
}

impl RowKeys {
    pub(crate) fn new(data_type: &DataType) -> Result<Self> {
        let converter = RowConverter::new(vec![SortField::new(data_type.clone())])?;
        Ok(Self {
            data_type: data_type.clone(),
            known: converter.empty_rows(0, 0),
            batch: converter.empty_rows(0, 0),
            converter,
            places: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
        })
    }

    pub(crate) fn supports(data_type: &DataType) -> bool {
        RowConverter::supports_fields(&[SortField::new(data_type.clone())])
    }

    pub(crate) fn len(&self) -> usize {
        self.known.num_rows()
    }

    /// The bytes that they take.
    pub(crate) fn size(&self) -> usize {
        self.known.size() + self.batch.size() + self.places.allocation_size()
    }

    /// Appends the number of each value; false when there would be more than `limit`.
    pub(crate) fn find(
        &mut self,
        column: &ArrayRef,
        limit: usize,
        numbers: &mut Vec<u32>,
    ) -> Result<bool> {
        self.batch.clear();
        self.converter.append(&mut self.batch, std::slice::from_ref(column))?;
        let Self { known, batch, places, hasher, .. } = self;
        for row in batch.iter() {
            let hash = hasher.hash_one(row.data());
            let same =
                |(other, number): &(u64, u32)| *other == hash && known.row(*number as usize) == row;
            if let Some((_, number)) = places.find(hash, same) {
                numbers.push(*number);
                continue;
            }
            if known.num_rows() >= limit {
                return Ok(false);
            }
            let number = u32::try_from(known.num_rows()).unwrap_or(VACANT);
            known.push(row);
            places.insert_unique(hash, (hash, number), |(hash, _)| *hash);
            numbers.push(number);
        }
        Ok(true)
    }

    /// All values, at their numbers.
    pub(crate) fn values(&self) -> Result<ArrayRef> {
        if self.known.num_rows() == 0 {
            return Ok(new_empty_array(&self.data_type));
        }
        let columns = self.converter.convert_rows(&self.known)?;
        columns.into_iter().next().ok_or_else(|| Error::internal("a column of keys got lost"))
    }
}
