//! Whether a foreign array has the shape of its type. Arrow's import believes the numbers in it; a
//! wrong one would end the process.

use arrow_buffer::bit_chunk_iterator::UnalignedBitChunk;
use arrow_data::layout;
use arrow_schema::DataType;
use gristmill_stage::{Error, Result};

use crate::ArrowArray;
use crate::rows::{rises, stray_key};

/// Checks an array and all that is in it against its type: lengths, numbers of buffers and children,
/// pointers that must be there, offsets, by which texts and lists are found, and keys of dictionaries.
///
/// # Safety
/// Pointers that are not null must lead to what the C Data Interface says.
pub(crate) unsafe fn check(array: &ArrowArray, kind: &DataType) -> Result<()> {
    if array.release.is_none() {
        return Err(wrong(kind, "was released already"));
    }
    // SAFETY: by the contract of this function.
    unsafe { visit(array, kind, 0) }
}

fn wrong(kind: &DataType, what: &str) -> Error {
    Error::internal(format!("the plugin handed over an array that is no {kind}: it {what}"))
}

/// More rows than this no array has: their bits can still be counted.
const MOST_ROWS: i64 = 1 << 40;

unsafe fn visit(array: &ArrowArray, kind: &DataType, least: i64) -> Result<()> {
    crosses(kind)?;
    let end = array.length.checked_add(array.offset);
    let Some(end) = end.filter(|end| array.length >= 0 && array.offset >= 0 && *end < MOST_ROWS)
    else {
        return Err(wrong(kind, &format!("has {} rows from {}", array.length, array.offset)));
    };
    if array.length < least {
        return Err(wrong(
            kind,
            &format!("has {} rows, not the {least} of its parent", array.length),
        ));
    }
    let (buffers, variadic) = buffers(kind);
    let enough = match variadic {
        true => array.n_buffers > buffers,
        false => array.n_buffers == buffers,
    };
    if !enough || (buffers > 0 && array.buffers.is_null()) {
        return Err(wrong(kind, &format!("has {} buffers, not {buffers}", array.n_buffers)));
    }
    // SAFETY: the buffers were counted; by the contract of this function.
    unsafe { nulls(array, kind, buffers, end) }?;
    // SAFETY: the buffers were counted; by the contract of this function.
    let last = unsafe { offsets(array, kind, end) }?;
    // SAFETY: by the contract of this function.
    unsafe { children(array, kind, end, last) }
}

/// Types whose rows are found by numbers that Arrow believes without a look do not cross, nor do widths
/// below zero.
fn crosses(kind: &DataType) -> Result<()> {
    match kind {
        DataType::Union(..) | DataType::RunEndEncoded(..) => {
            Err(wrong(kind, "is of a type that does not cross"))
        }
        DataType::FixedSizeBinary(width) | DataType::FixedSizeList(_, width) if *width < 0 => {
            Err(wrong(kind, "has a width below zero"))
        }
        _ => Ok(()),
    }
}

/// Counts the nulls: Arrow believes their number, and would make values of nulls, or nulls of nothing.
unsafe fn nulls(array: &ArrowArray, kind: &DataType, buffers: i64, end: i64) -> Result<()> {
    if *kind == DataType::Null {
        return Ok(());
    }
    let told = array.null_count;
    let mask = match buffers {
        0 => std::ptr::null(),
        _ => array.buffer(0),
    };
    if mask.is_null() || array.length == 0 {
        return match told > 0 {
            true => Err(wrong(kind, &format!("has {told} nulls, and does not say which"))),
            false => Ok(()),
        };
    }
    let (start, rows, end) = (array.offset as usize, array.length as usize, end as usize);
    // SAFETY: a mask has a bit for each row; by the contract of this function.
    let bits = unsafe { std::slice::from_raw_parts(mask, end.div_ceil(8)) };
    let found = rows - UnalignedBitChunk::new(bits, start, rows).count_ones();
    match told {
        // It was not counted.
        -1 => Ok(()),
        told if told == found as i64 => Ok(()),
        told => Err(wrong(kind, &format!("says that it has {told} nulls, and has {found}"))),
    }
}

/// How many buffers an array has, and whether there may be more of them.
fn buffers(kind: &DataType) -> (i64, bool) {
    match kind {
        DataType::Utf8 | DataType::Binary | DataType::LargeUtf8 | DataType::LargeBinary => {
            (3, false)
        }
        kind if kind.is_primitive() => (2, false),
        kind => {
            let layout = layout(kind);
            let masks = i64::from(layout.can_contain_null_mask);
            (layout.buffers.len() as i64 + masks, layout.variadic)
        }
    }
}

/// Looks at offsets, if the type has some, and returns the last.
unsafe fn offsets(array: &ArrowArray, kind: &DataType, end: i64) -> Result<i64> {
    if array.length == 0 {
        return Ok(0);
    }
    if let DataType::ListView(_) | DataType::LargeListView(_) = kind {
        // SAFETY: by the contract of this function.
        return unsafe { views(array, kind, end) };
    }
    let width = match kind {
        DataType::Utf8 | DataType::Binary | DataType::List(_) | DataType::Map(_, _) => 4,
        DataType::LargeUtf8 | DataType::LargeBinary | DataType::LargeList(_) => 8,
        _ => return Ok(0),
    };
    let buffer = array.buffer(1);
    if buffer.is_null() {
        return Err(wrong(kind, "has no offsets"));
    }
    // SAFETY: an array of `end` rows has `end + 1` offsets.
    let at = |index: i64| unsafe { number(buffer, width, index) };
    let (first, last) = (at(array.offset), at(end));
    if first < 0 || last < first {
        return Err(wrong(kind, &format!("has offsets from {first} to {last}")));
    }
    // SAFETY: as above.
    match unsafe { rises(buffer, width, array.offset as usize, end as usize) } {
        true => Ok(last),
        false => Err(wrong(kind, "has an offset that is less than the one before")),
    }
}

/// A whole number of so many bytes.
unsafe fn number(buffer: *const u8, width: usize, index: i64) -> i64 {
    let index = usize::try_from(index).unwrap_or_default();
    // SAFETY: by the contract of this function.
    unsafe {
        match width {
            4 => i64::from(buffer.cast::<i32>().add(index).read_unaligned()),
            _ => buffer.cast::<i64>().add(index).read_unaligned(),
        }
    }
}

/// Looks at every list of a view, as they are in no order, and returns where the last item is.
unsafe fn views(array: &ArrowArray, kind: &DataType, end: i64) -> Result<i64> {
    let width = if matches!(kind, DataType::ListView(_)) { 4 } else { 8 };
    let (offsets, sizes) = (array.buffer(1), array.buffer(2));
    if offsets.is_null() || sizes.is_null() {
        return Err(wrong(kind, "has no offsets, or no sizes"));
    }
    let mut last = 0;
    for row in array.offset..end {
        // SAFETY: an array of `end` rows has as many offsets, and sizes.
        let (from, items) = unsafe { (number(offsets, width, row), number(sizes, width, row)) };
        match from.checked_add(items) {
            Some(to) if from >= 0 && items >= 0 => last = last.max(to),
            _ => return Err(wrong(kind, &format!("has {items} items from {from}"))),
        }
    }
    Ok(last)
}

unsafe fn children(array: &ArrowArray, kind: &DataType, end: i64, last: i64) -> Result<()> {
    if (kind.is_primitive() || matches!(kind, DataType::Utf8)) && array.n_children == 0 {
        return match array.dictionary.is_null() {
            true => Ok(()),
            false => Err(wrong(kind, "has a dictionary")),
        };
    }
    let kinds: Vec<&DataType> = match kind {
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::ListView(field)
        | DataType::LargeListView(field)
        | DataType::FixedSizeList(field, _)
        | DataType::Map(field, _) => vec![field.data_type()],
        DataType::Struct(fields) => fields.iter().map(|field| field.data_type()).collect(),
        DataType::Union(fields, _) => fields.iter().map(|(_, field)| field.data_type()).collect(),
        DataType::RunEndEncoded(ends, values) => vec![ends.data_type(), values.data_type()],
        _ => Vec::new(),
    };
    if array.n_children != kinds.len() as i64 || (!kinds.is_empty() && array.children.is_null()) {
        let found = array.n_children;
        return Err(wrong(kind, &format!("has {found} columns inside, not {}", kinds.len())));
    }
    let least = match kind {
        DataType::Struct(_) => end,
        DataType::FixedSizeList(_, size) => end.saturating_mul(i64::from(*size)),
        _ => last,
    };
    for (index, kind) in kinds.into_iter().enumerate() {
        // SAFETY: there are so many children, by the lines above.
        let child = unsafe { array.children.add(index).read_unaligned().as_ref() };
        let child = child.ok_or_else(|| wrong(kind, "is missing"))?;
        // SAFETY: by the contract of this function.
        unsafe { visit(child, kind, least) }?;
    }
    match (kind, array.dictionary.is_null()) {
        (DataType::Dictionary(..), true) => Err(wrong(kind, "has no dictionary")),
        (DataType::Dictionary(keys, values), false) => {
            // SAFETY: by the contract of this function.
            let (dictionary, stray) = unsafe {
                let dictionary = &*array.dictionary;
                visit(dictionary, values, 0)?;
                (dictionary, stray_key(array, keys, dictionary.length))
            };
            match stray {
                None => Ok(()),
                Some(key) => {
                    let values = dictionary.length;
                    Err(wrong(kind, &format!("has a key {key}, and {values} values")))
                }
            }
        }
        (_, true) => Ok(()),
        (_, false) => Err(wrong(kind, "has a dictionary")),
    }
}
