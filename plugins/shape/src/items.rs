//! The items of lists, whatever kind of list they are in.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, OffsetSizeTrait};
use arrow_buffer::ArrowNativeType;
use arrow_schema::{DataType, FieldRef};

/// The items of a column, and which of them each row has.
pub(crate) struct Items {
    pub(crate) values: ArrayRef,
    /// The first item of each row, and how many it has; none of a null.
    pub(crate) ranges: Vec<(usize, usize)>,
}

/// The field of the items, if it is a list. The items of a map are structs of key and value.
pub(crate) fn field(data_type: &DataType) -> Option<&FieldRef> {
    match data_type {
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _)
        | DataType::Map(item, _) => Some(item),
        _ => None,
    }
}

impl Items {
    /// The items of a list column; `None` for another column.
    pub(crate) fn of(column: &dyn Array) -> Option<Self> {
        let items = match column.data_type() {
            DataType::List(_) => {
                let list = column.as_list::<i32>();
                between(list.value_offsets(), list.values())
            }
            DataType::LargeList(_) => {
                let list = column.as_list::<i64>();
                between(list.value_offsets(), list.values())
            }
            DataType::Map(..) => {
                let map = column.as_map();
                let entries: ArrayRef = std::sync::Arc::new(map.entries().clone());
                between(map.value_offsets(), &entries)
            }
            DataType::ListView(_) => viewed::<i32>(column),
            DataType::LargeListView(_) => viewed::<i64>(column),
            DataType::FixedSizeList(_, size) => {
                let size = usize::try_from(*size).unwrap_or(0);
                let ranges = (0..column.len()).map(|row| (row * size, size)).collect();
                Self { values: column.as_fixed_size_list().values().clone(), ranges }
            }
            _ => return None,
        };
        Some(items.without_nulls(column))
    }

    /// Each value of a column as the only item of its row.
    pub(crate) fn single(column: ArrayRef) -> Self {
        Self { ranges: (0..column.len()).map(|row| (row, 1)).collect(), values: column }
    }

    fn without_nulls(mut self, column: &dyn Array) -> Self {
        if let Some(nulls) = column.nulls() {
            let rows = self.ranges.iter_mut().zip(nulls.iter());
            rows.filter(|(_, valid)| !valid).for_each(|(range, _)| range.1 = 0);
        }
        self
    }
}

/// Of a slice, only the items that its rows have.
fn between<O: ArrowNativeType>(offsets: &[O], values: &ArrayRef) -> Items {
    let first = offsets.first().map_or(0, |offset| offset.as_usize());
    let last = offsets.last().map_or(0, |offset| offset.as_usize());
    let range = |pair: &[O]| {
        let (start, end) = (pair[0].as_usize(), pair[1].as_usize());
        (start - first, end - start)
    };
    Items {
        values: values.slice(first, last - first),
        ranges: offsets.windows(2).map(range).collect(),
    }
}

fn viewed<O: OffsetSizeTrait>(column: &dyn Array) -> Items {
    let list = column.as_list_view::<O>();
    let ranges = list.value_offsets().iter().zip(list.value_sizes());
    let ranges = ranges.map(|(start, size)| (start.as_usize(), size.as_usize()));
    Items { ranges: ranges.collect(), values: list.values().clone() }
}
