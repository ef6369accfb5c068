//! Numbers of values of up to 64 bits: integers, floating-point numbers, times, truth values.

use std::hash::BuildHasher;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, BooleanArray, PrimitiveArray, make_array};
use arrow_buffer::{NullBuffer, ScalarBuffer};
use arrow_schema::DataType;
use gristmill_stage::Result;
use hashbrown::{DefaultHashBuilder, HashTable};

use super::{VACANT, all_but};

/// Values that lie this close together are looked up in a table, not by a hash. Such a table stays
/// in the cache of a processor.
const CLOSE: u64 = 1 << 16;

/// The sign of a number of 64 bits.
const SIGN: u64 = 1 << 63;

/// The numbers of the values of a column, whose bits tell them apart.
pub(crate) struct NumberKeys {
    data_type: DataType,
    layout: Layout,
    /// The values as 64 bits each, in the order of the numbers.
    values: Vec<u64>,
    /// The number of null.
    null: Option<u32>,
    places: Places,
    hasher: DefaultHashBuilder,
}

/// How values lie in memory.
#[derive(Clone, Copy)]
enum Layout {
    Bit,
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
}

/// Where to find the number of a value.
enum Places {
    /// That of `base + n` is the `n`th.
    Table { base: u64, numbers: Vec<u32> },
    /// Values with their numbers.
    Hashed(HashTable<(u64, u32)>),
}

/// A value as 64 bits that are ordered as the values are.
trait Word: Copy {
    fn widen(self) -> u64;
    fn narrow(wide: u64) -> Self;
}

macro_rules! words {
    ($($word:ty, $flip:expr);*) => {
        $(impl Word for $word {
            #[inline]
            fn widen(self) -> u64 {
                (self as i64 as u64) ^ $flip
            }

            #[inline]
            fn narrow(wide: u64) -> Self {
                (wide ^ $flip) as Self
            }
        })*
    };
}

words!(i8, SIGN; i16, SIGN; i32, SIGN; i64, SIGN; u8, 0; u16, 0; u32, 0; u64, 0);

impl NumberKeys {
    /// Keys of this type, if it is one of those.
    pub(crate) fn new(data_type: &DataType) -> Option<Self> {
        let layout = layout(data_type)?;
        Some(Self {
            data_type: data_type.clone(),
            layout,
            values: Vec::new(),
            null: None,
            places: if data_type.is_floating() {
                Places::Hashed(HashTable::new())
            } else {
                Places::Table { base: 0, numbers: Vec::new() }
            },
            hasher: DefaultHashBuilder::default(),
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    /// The bytes that they take.
    pub(crate) fn size(&self) -> usize {
        let places = match &self.places {
            Places::Table { numbers, .. } => numbers.capacity() * size_of::<u32>(),
            Places::Hashed(places) => places.allocation_size(),
        };
        self.values.capacity() * size_of::<u64>() + places
    }

    /// Appends the number of each value; false when there would be more than `limit`.
    pub(crate) fn find(&mut self, column: &ArrayRef, limit: usize, numbers: &mut Vec<u32>) -> bool {
        match self.layout {
            Layout::Bit => {
                let bits = column.as_boolean().values().iter().map(u64::from);
                self.find_each(bits, column.nulls(), limit, numbers)
            }
            Layout::I8 => self.find_words::<i8>(column, limit, numbers),
            Layout::I16 => self.find_words::<i16>(column, limit, numbers),
            Layout::I32 => self.find_words::<i32>(column, limit, numbers),
            Layout::I64 => self.find_words::<i64>(column, limit, numbers),
            Layout::U8 => self.find_words::<u8>(column, limit, numbers),
            Layout::U16 => self.find_words::<u16>(column, limit, numbers),
            Layout::U32 => self.find_words::<u32>(column, limit, numbers),
            Layout::U64 => self.find_words::<u64>(column, limit, numbers),
        }
    }

    fn find_words<W: Word + arrow_buffer::ArrowNativeType>(
        &mut self,
        column: &ArrayRef,
        limit: usize,
        numbers: &mut Vec<u32>,
    ) -> bool {
        let data = column.to_data();
        let words = ScalarBuffer::<W>::new(data.buffers()[0].clone(), data.offset(), data.len());
        self.find_each(words.iter().map(|word| word.widen()), column.nulls(), limit, numbers)
    }

    fn find_each(
        &mut self,
        values: impl ExactSizeIterator<Item = u64>,
        nulls: Option<&NullBuffer>,
        limit: usize,
        numbers: &mut Vec<u32>,
    ) -> bool {
        numbers.reserve(values.len());
        match nulls.filter(|nulls| nulls.null_count() > 0) {
            None => {
                for value in values {
                    let number = self.number(value, limit);
                    numbers.push(number);
                }
            }
            Some(nulls) => {
                for (value, valid) in values.zip(nulls.iter()) {
                    let number =
                        if valid { self.number(value, limit) } else { self.null_number(limit) };
                    numbers.push(number);
                }
            }
        }
        // A value beyond the limit has no number; looked for once, not for each row.
        self.values.len() < limit || !numbers.contains(&VACANT)
    }

    /// The number of a value, a new one if need be.
    #[inline]
    fn number(&mut self, value: u64, limit: usize) -> u32 {
        if let Places::Table { base, numbers } = &self.places
            && let Some(number) = numbers.get(value.wrapping_sub(*base) as usize)
            && *number != VACANT
        {
            return *number;
        }
        self.number_by_hash(value, limit)
    }

    fn number_by_hash(&mut self, value: u64, limit: usize) -> u32 {
        if let Places::Hashed(places) = &self.places {
            let hash = self.hasher.hash_one(value);
            if let Some((_, number)) = places.find(hash, |(other, _)| *other == value) {
                return *number;
            }
        }
        self.add(value, limit)
    }

    #[cold]
    fn add(&mut self, value: u64, limit: usize) -> u32 {
        let Some(number) = self.next(value, limit) else { return VACANT };
        if let Places::Table { base, numbers } = &mut self.places
            && !make_room(base, numbers, value)
        {
            self.leave_table();
        }
        match &mut self.places {
            Places::Table { base, numbers } => numbers[value.wrapping_sub(*base) as usize] = number,
            Places::Hashed(places) => {
                let hasher = &self.hasher;
                let hash = hasher.hash_one(value);
                places.insert_unique(hash, (value, number), |(value, _)| hasher.hash_one(value));
            }
        }
        number
    }

    fn null_number(&mut self, limit: usize) -> u32 {
        if let Some(null) = self.null {
            return null;
        }
        self.null = self.next(0, limit);
        self.null.unwrap_or(VACANT)
    }

    fn next(&mut self, value: u64, limit: usize) -> Option<u32> {
        if self.values.len() >= limit {
            return None;
        }
        self.values.push(value);
        u32::try_from(self.values.len() - 1).ok()
    }

    /// From a table to hashes. The last value is not in the table yet.
    fn leave_table(&mut self) {
        let mut places = HashTable::with_capacity(self.values.len());
        let hasher = &self.hasher;
        let known = self.values.len() - 1;
        for (number, value) in (0..).zip(&self.values[..known]) {
            if self.null != Some(number) {
                let entry = (*value, number);
                places.insert_unique(hasher.hash_one(value), entry, |(value, _)| {
                    hasher.hash_one(value)
                });
            }
        }
        self.places = Places::Hashed(places);
    }

    /// All values, at their numbers.
    pub(crate) fn values(&self) -> Result<ArrayRef> {
        match self.layout {
            Layout::Bit => {
                let bits = self.values.iter().map(|value| *value != 0).collect();
                Ok(Arc::new(BooleanArray::new(bits, all_but(self.null, self.values.len()))))
            }
            Layout::I8 => self.words::<Int8Type>(),
            Layout::I16 => self.words::<Int16Type>(),
            Layout::I32 => self.words::<Int32Type>(),
            Layout::I64 => self.words::<Int64Type>(),
            Layout::U8 => self.words::<UInt8Type>(),
            Layout::U16 => self.words::<UInt16Type>(),
            Layout::U32 => self.words::<UInt32Type>(),
            Layout::U64 => self.words::<UInt64Type>(),
        }
    }

    fn words<T: ArrowPrimitiveType<Native: Word>>(&self) -> Result<ArrayRef> {
        let words = self.values.iter().map(|value| T::Native::narrow(*value)).collect();
        let nulls = all_but(self.null, self.values.len());
        let words = PrimitiveArray::<T>::new(words, nulls).into_data();
        Ok(make_array(words.into_builder().data_type(self.data_type.clone()).build()?))
    }
}

fn layout(data_type: &DataType) -> Option<Layout> {
    Some(match data_type {
        DataType::Boolean => Layout::Bit,
        DataType::Int8 => Layout::I8,
        DataType::Int16 => Layout::I16,
        DataType::Int32 | DataType::Date32 | DataType::Time32(_) | DataType::Decimal32(..) => {
            Layout::I32
        }
        DataType::Int64
        | DataType::Date64
        | DataType::Time64(_)
        | DataType::Timestamp(..)
        | DataType::Duration(_)
        | DataType::Decimal64(..) => Layout::I64,
        DataType::UInt8 => Layout::U8,
        DataType::UInt16 | DataType::Float16 => Layout::U16,
        DataType::UInt32 | DataType::Float32 => Layout::U32,
        DataType::UInt64 | DataType::Float64 => Layout::U64,
        _ => return None,
    })
}

/// Makes the table wide enough for a value; false if it would get too wide.
fn make_room(base: &mut u64, numbers: &mut Vec<u32>, value: u64) -> bool {
    let width = numbers.len() as u64;
    if width == 0 {
        *base = value;
    }
    if value.wrapping_sub(*base) < width {
        return true;
    }
    let (low, high) = ((*base).min(value), base.saturating_add(width.saturating_sub(1)).max(value));
    let needed = high - low;
    if needed >= CLOSE {
        return false;
    }
    let wide = (needed + 1).next_power_of_two();
    // Room for more on the side on which it was too narrow.
    let start = if value < *base { high.saturating_sub(wide - 1) } else { low };
    // It ends before the numbers do.
    let start = start.min(u64::MAX - (wide - 1));
    let mut wider = vec![VACANT; wide as usize];
    if width > 0 {
        let shift = (*base - start) as usize;
        wider[shift..shift + numbers.len()].copy_from_slice(numbers);
    }
    (*base, *numbers) = (start, wider);
    true
}
