//! How many bytes each row of a batch takes, so that batches can be cut by bytes.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_buffer::ArrowNativeType;
use arrow_schema::DataType;

/// The bytes of each row, about; never 0.
pub(crate) fn weigh(batch: &RecordBatch) -> Vec<usize> {
    let mut weights = vec![1; batch.num_rows()];
    batch.columns().iter().for_each(|column| add(column.as_ref(), &mut weights));
    weights
}

/// The bytes of each value, about; never 0.
pub(crate) fn weigh_array(array: &dyn Array) -> Vec<usize> {
    let mut weights = vec![1; array.len()];
    add(array, &mut weights);
    weights
}

/// The bytes of all rows, about.
pub(crate) fn total(batch: &RecordBatch) -> usize {
    weigh(batch).iter().sum()
}

fn add(array: &dyn Array, weights: &mut [usize]) {
    match array.data_type() {
        DataType::Utf8 => add_lengths(array.as_string::<i32>().value_offsets(), weights),
        DataType::LargeUtf8 => add_lengths(array.as_string::<i64>().value_offsets(), weights),
        DataType::Binary => add_lengths(array.as_binary::<i32>().value_offsets(), weights),
        DataType::LargeBinary => add_lengths(array.as_binary::<i64>().value_offsets(), weights),
        DataType::Utf8View => add_views(array.as_string_view().views(), weights),
        DataType::BinaryView => add_views(array.as_binary_view().views(), weights),
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            add_items(list.value_offsets(), list.values(), weights);
        }
        DataType::LargeList(_) => {
            let list = array.as_list::<i64>();
            add_items(list.value_offsets(), list.values(), weights);
        }
        DataType::Map(..) => {
            let map = array.as_map();
            let offsets = map.value_offsets();
            for column in map.entries().columns() {
                add_items(offsets, column, weights);
            }
        }
        DataType::FixedSizeList(_, size) => {
            let size = usize::try_from(*size).unwrap_or(0);
            let items = weigh_array(array.as_fixed_size_list().values().as_ref());
            for (row, weight) in weights.iter_mut().enumerate() {
                let range = items.get(row * size..(row + 1) * size).unwrap_or(&[]);
                *weight += range.iter().sum::<usize>();
            }
        }
        DataType::Struct(_) => {
            let columns = array.as_struct().columns();
            columns.iter().for_each(|column| add(column.as_ref(), weights));
        }
        other => {
            let each = other.primitive_width().unwrap_or_else(|| {
                // Of what is left, only bits are small; the others count by what they keep alive.
                let bytes = array.get_array_memory_size();
                bytes / array.len().max(1)
            });
            weights.iter_mut().for_each(|weight| *weight += each);
        }
    }
}

fn add_lengths<O: ArrowNativeType>(offsets: &[O], weights: &mut [usize]) {
    for (weight, pair) in weights.iter_mut().zip(offsets.windows(2)) {
        *weight += pair[1].as_usize().saturating_sub(pair[0].as_usize()) + size_of::<O>();
    }
}

fn add_views(views: &[u128], weights: &mut [usize]) {
    for (weight, view) in weights.iter_mut().zip(views) {
        *weight += size_of::<u128>() + *view as u32 as usize;
    }
}

/// Only the items that these rows have are looked at: the column may be a slice of a larger one.
fn add_items<O: ArrowNativeType>(offsets: &[O], items: &ArrayRef, weights: &mut [usize]) {
    let (Some(first), Some(last)) = (offsets.first(), offsets.last()) else { return };
    let (first, last) = (first.as_usize(), last.as_usize());
    let items = weigh_array(items.slice(first, last.saturating_sub(first)).as_ref());
    for (weight, pair) in weights.iter_mut().zip(offsets.windows(2)) {
        let range = pair[0].as_usize() - first..pair[1].as_usize() - first;
        let bytes: usize = items.get(range).unwrap_or(&[]).iter().sum();
        *weight += bytes + size_of::<O>();
    }
}

/// How many of the next rows make a batch: no more than `rows`, about `bytes` together, at least one.
pub(crate) fn fit(weights: impl Iterator<Item = usize>, rows: usize, bytes: usize) -> usize {
    let mut sum = 0_usize;
    let fits = weights.take(rows.max(1)).take_while(|weight| {
        sum = sum.saturating_add(*weight);
        sum <= bytes
    });
    fits.count().max(1)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::builder::{ListBuilder, StringBuilder};
    use arrow_array::{Int64Array, StringArray};

    use super::*;

    #[test]
    fn rows_weigh_what_is_in_them_also_in_slices() {
        let mut lists = ListBuilder::new(StringBuilder::new());
        for length in [0_usize, 3, 1] {
            for _ in 0..length {
                lists.values().append_value("x".repeat(100));
            }
            lists.append(true);
        }
        let batch = RecordBatch::try_from_iter([
            ("n", Arc::new(Int64Array::from(vec![1, 2, 3])) as ArrayRef),
            ("s", Arc::new(StringArray::from(vec!["", "four", "1234567890"]))),
            ("l", Arc::new(lists.finish())),
        ])
        .expect("batch");
        // A number, and an offset for the text and the list each; an item has one, too.
        let each = 1 + 8 + 4 + 4;
        assert_eq!(weigh(&batch), [each, each + 4 + 3 * 105, each + 10 + 105]);
        assert_eq!(weigh(&batch.slice(1, 2)), weigh(&batch)[1..]);
        assert_eq!(fit(weigh(&batch).into_iter(), 10, 400), 2);
        assert_eq!(fit(weigh(&batch).into_iter(), 1, 400), 1);
        assert_eq!(fit(weigh(&batch).into_iter(), 10, 1), 1);
    }
}
