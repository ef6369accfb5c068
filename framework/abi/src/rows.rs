//! What takes a look at every row of a foreign array, and must: what Arrow finds by a number that is out of
//! range is memory of somebody else. It costs 0.5 to 1 µs a column of 8192 rows.

use arrow_schema::DataType;

use crate::ArrowArray;

/// Whether no offset from `start` to `end` is less than the one before.
///
/// # Safety
/// There must be so many offsets, of 4 or of 8 bytes.
pub(crate) unsafe fn rises(buffer: *const u8, width: usize, start: usize, end: usize) -> bool {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has what is needed; by the contract of this function.
        return unsafe { rises_by_avx2(buffer, width, start, end) };
    }
    // SAFETY: by the contract of this function.
    unsafe { rises_of_width(buffer, width, start, end) }
}

/// The same for processors that compare eight offsets at once; no other code is written for them.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn rises_by_avx2(buffer: *const u8, width: usize, start: usize, end: usize) -> bool {
    // SAFETY: by the contract of `rises`.
    unsafe { rises_of_width(buffer, width, start, end) }
}

#[inline(always)]
unsafe fn rises_of_width(buffer: *const u8, width: usize, start: usize, end: usize) -> bool {
    /// Without a way out in the middle: that is what makes it fast.
    #[inline(always)]
    unsafe fn all<T: Copy + PartialOrd>(buffer: *const T, start: usize, end: usize) -> bool {
        // SAFETY: by the contract of the function around this one.
        let at = |index: usize| unsafe { buffer.add(index).read_unaligned() };
        (start..end).fold(true, |rises, index| rises & (at(index) <= at(index + 1)))
    }
    // SAFETY: by the contract of `rises`.
    unsafe {
        match width {
            4 => all::<i32>(buffer.cast(), start, end),
            _ => all::<i64>(buffer.cast(), start, end),
        }
    }
}

/// The first key of a dictionary that has no value, if there is one. What stands in the place of a null is
/// no key.
///
/// # Safety
/// The array must be one of keys of that type, with as many of them as it says.
pub(crate) unsafe fn stray_key(array: &ArrowArray, keys: &DataType, values: i64) -> Option<String> {
    // SAFETY: by the contract of this function.
    unsafe {
        match keys {
            DataType::Int8 => stray::<i8>(array, values),
            DataType::Int16 => stray::<i16>(array, values),
            DataType::Int32 => stray::<i32>(array, values),
            DataType::Int64 => stray::<i64>(array, values),
            DataType::UInt8 => stray::<u8>(array, values),
            DataType::UInt16 => stray::<u16>(array, values),
            DataType::UInt32 => stray::<u32>(array, values),
            DataType::UInt64 => stray::<u64>(array, values),
            other => Some(format!("of the type {other}")),
        }
    }
}

unsafe fn stray<T>(array: &ArrowArray, values: i64) -> Option<String>
where
    T: Copy + PartialOrd + Default + TryFrom<i64> + std::fmt::Display,
{
    if array.length == 0 {
        return None;
    }
    let (start, end) = (array.offset as usize, (array.offset + array.length) as usize);
    let (mask, keys) = (array.buffer(0), array.buffer(1).cast::<T>());
    if keys.is_null() {
        return Some("that is missing".to_owned());
    }
    // SAFETY: there are so many keys; by the contract of the function that calls this.
    let at = |index: usize| unsafe { keys.add(index).read_unaligned() };
    // All keys of a type that has none beyond the values are in range, but for those below zero.
    let (least, most) = (T::default(), T::try_from(values).ok());
    let is_stray = |key: T| key < least || most.is_some_and(|most| key >= most);
    let none = !(start..end).fold(false, |found, index| found | is_stray(at(index)));
    if none {
        return None;
    }
    let is_null = |index: usize| {
        // SAFETY: a mask has a bit for each row.
        !mask.is_null() && unsafe { mask.add(index / 8).read() } >> (index % 8) & 1 == 0
    };
    let found = (start..end).find(|index| is_stray(at(*index)) && !is_null(*index));
    found.map(|index| at(index).to_string())
}
