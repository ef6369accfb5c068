//! Numbers of texts and of strings of bytes.

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{BinaryType, ByteArrayType, LargeBinaryType, LargeUtf8Type, Utf8Type};
use arrow_array::{Array, ArrayRef, GenericByteArray};
use arrow_buffer::{ArrowNativeType, Buffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::DataType;
use gristmill_stage::{Error, Result};
use hashbrown::{DefaultHashBuilder, HashTable};

use super::{VACANT, all_but};

/// The numbers of the texts of a column.
pub(crate) struct BytesKeys {
    data_type: DataType,
    /// All texts, one after the other, in the order of their numbers.
    bytes: Vec<u8>,
    /// Where each text ends. That of null is empty.
    ends: Vec<usize>,
    /// The number of null.
    null: Option<u32>,
    places: HashTable<Place>,
    hasher: DefaultHashBuilder,
}

/// A text, found by its hash.
struct Place {
    hash: u64,
    start: usize,
    end: usize,
    number: u32,
}

impl BytesKeys {
    /// Keys of this type, if it is one of those.
    pub(crate) fn new(data_type: &DataType) -> Option<Self> {
        let known = matches!(
            data_type,
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Binary | DataType::LargeBinary
        );
        known.then(|| Self {
            data_type: data_type.clone(),
            bytes: Vec::new(),
            ends: Vec::new(),
            null: None,
            places: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The bytes that they take.
    pub(crate) fn size(&self) -> usize {
        let ends = self.ends.capacity() * size_of::<usize>();
        self.bytes.capacity() + ends + self.places.allocation_size()
    }

    /// Appends the number of each text; false when there would be more than `limit`.
    pub(crate) fn find(&mut self, column: &ArrayRef, limit: usize, numbers: &mut Vec<u32>) -> bool {
        match &self.data_type {
            DataType::Utf8 => self.find_each(column.as_bytes::<Utf8Type>(), limit, numbers),
            DataType::LargeUtf8 => {
                self.find_each(column.as_bytes::<LargeUtf8Type>(), limit, numbers)
            }
            DataType::Binary => self.find_each(column.as_bytes::<BinaryType>(), limit, numbers),
            _ => self.find_each(column.as_bytes::<LargeBinaryType>(), limit, numbers),
        }
    }

    fn find_each<T: ByteArrayType>(
        &mut self,
        column: &GenericByteArray<T>,
        limit: usize,
        numbers: &mut Vec<u32>,
    ) -> bool {
        numbers.reserve(column.len());
        let bytes = column.value_data();
        let nulls = column.nulls().filter(|nulls| nulls.null_count() > 0);
        for (row, ends) in column.value_offsets().windows(2).enumerate() {
            let number = if nulls.is_some_and(|nulls| nulls.is_null(row)) {
                self.null_number(limit)
            } else {
                self.number(&bytes[ends[0].as_usize()..ends[1].as_usize()], limit)
            };
            numbers.push(number);
        }
        // A text beyond the limit has no number; looked for once, not for each row.
        self.ends.len() < limit || !numbers.contains(&VACANT)
    }

    #[inline]
    fn number(&mut self, text: &[u8], limit: usize) -> u32 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(text);
        let hash = hasher.finish();
        let bytes = &self.bytes;
        let same = |place: &Place| place.hash == hash && bytes[place.start..place.end] == *text;
        match self.places.find(hash, same) {
            Some(place) => place.number,
            None => self.add(text, hash, limit),
        }
    }

    #[cold]
    fn add(&mut self, text: &[u8], hash: u64, limit: usize) -> u32 {
        let start = self.bytes.len();
        let Some(number) = self.next(text, limit) else { return VACANT };
        let place = Place { hash, start, end: self.bytes.len(), number };
        self.places.insert_unique(hash, place, |place| place.hash);
        number
    }

    fn null_number(&mut self, limit: usize) -> u32 {
        if let Some(null) = self.null {
            return null;
        }
        self.null = self.next(&[], limit);
        self.null.unwrap_or(VACANT)
    }

    fn next(&mut self, text: &[u8], limit: usize) -> Option<u32> {
        if self.ends.len() >= limit {
            return None;
        }
        self.bytes.extend_from_slice(text);
        self.ends.push(self.bytes.len());
        u32::try_from(self.ends.len() - 1).ok()
    }

    /// All texts, at their numbers.
    pub(crate) fn values(&self) -> Result<ArrayRef> {
        match &self.data_type {
            DataType::Utf8 => self.array::<Utf8Type>(),
            DataType::LargeUtf8 => self.array::<LargeUtf8Type>(),
            DataType::Binary => self.array::<BinaryType>(),
            _ => self.array::<LargeBinaryType>(),
        }
    }

    fn array<T: ByteArrayType>(&self) -> Result<ArrayRef> {
        let ends = self.ends.iter().map(|end| <T::Offset as ArrowNativeType>::from_usize(*end));
        let offsets: Option<Vec<T::Offset>> =
            std::iter::once(Some(T::Offset::default())).chain(ends).collect();
        let offsets = offsets.ok_or_else(|| {
            Error::data("the keys of the groups are larger than 2 GiB together")
                .help("use several workers, or group by a shorter text")
        })?;
        let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
        let bytes = Buffer::from_slice_ref(&self.bytes);
        let nulls = all_but(self.null, self.ends.len());
        Ok(Arc::new(GenericByteArray::<T>::try_new(offsets, bytes, nulls)?))
    }
}
