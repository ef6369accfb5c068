//! Batches come out as they went in, and arrays that are none are told from those that are.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "these are tests")]

use std::sync::Arc;

use arrow_array::builder::{Int32Builder, ListBuilder, MapBuilder, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, BooleanArray, DictionaryArray, FixedSizeListArray, Float64Array, Int64Array,
    LargeStringArray, ListArray, NullArray, RecordBatch, StringArray, StructArray,
    TimestampMicrosecondArray,
};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{DataType, Field, SchemaRef};
use gristmill_abi::{
    ArrowArray, check_rows, export_batch, export_schema, import_batch, import_schema,
};
use gristmill_stage::Result;

fn batch() -> RecordBatch {
    let mut lists = ListBuilder::new(StringBuilder::new());
    let mut maps = MapBuilder::new(None, StringBuilder::new(), Int32Builder::new());
    for n in 0..6 {
        if n != 3 {
            lists.values().append_value(format!("item {n}"));
            lists.values().append_null();
        }
        lists.append(n != 4);
        maps.keys().append_value(format!("key {n}"));
        maps.values().append_value(n);
        maps.append(true).unwrap();
    }
    let numbers: ArrayRef =
        Arc::new(Int64Array::from(vec![Some(1), None, Some(3), None, Some(5), Some(6)]));
    let texts: ArrayRef =
        Arc::new(StringArray::from(vec![Some("a"), Some(""), None, Some("ü"), Some("e"), None]));
    let inner = StructArray::from(vec![
        (Arc::new(Field::new("n", DataType::Int64, true)), numbers.clone()),
        (Arc::new(Field::new("t", DataType::Utf8, true)), texts.clone()),
    ]);
    let keys: DictionaryArray<Int32Type> =
        ["x", "y", "x", "z", "y", "x"].into_iter().map(Some).collect();
    let empty = StringArray::from(vec!["left out"]).slice(1, 0);
    let nothing = ListArray::new(
        Arc::new(Field::new_list_field(DataType::Utf8, true)),
        OffsetBuffer::new_zeroed(6),
        Arc::new(empty),
        None,
    );
    RecordBatch::try_from_iter_with_nullable([
        ("numbers", numbers, true),
        ("texts", texts, true),
        ("large", Arc::new(LargeStringArray::from(vec!["1", "2", "3", "4", "5", "6"])) as _, true),
        (
            "flags",
            Arc::new(BooleanArray::from(vec![true, false, true, true, false, true])) as _,
            true,
        ),
        ("inner", Arc::new(inner) as _, true),
        ("lists", Arc::new(lists.finish()) as _, true),
        ("maps", Arc::new(maps.finish()) as _, true),
        ("keys", Arc::new(keys) as _, true),
        ("none", Arc::new(NullArray::new(6)) as _, true),
        (
            "times",
            Arc::new(TimestampMicrosecondArray::from(vec![1, 2, 3, 4, 5, 6]).with_timezone("UTC"))
                as _,
            true,
        ),
        ("nothing", Arc::new(nothing) as _, true),
        (
            "pairs",
            Arc::new(FixedSizeListArray::new(
                Arc::new(Field::new_list_field(DataType::Float64, true)),
                2,
                Arc::new(Float64Array::from(vec![0.5; 12])),
                None,
            )) as _,
            true,
        ),
    ])
    .unwrap()
}

fn across(batch: &RecordBatch) -> Result<RecordBatch> {
    let schema = export_schema(&batch.schema())?;
    // SAFETY: both come from this crate.
    unsafe { import_batch(export_batch(batch.clone()), &import_schema(&schema)?, true) }
}

#[test]
fn batches_come_out_as_they_went_in() {
    let whole = batch();
    for (from, rows) in [(0, 6), (1, 4), (5, 1), (2, 0), (6, 0)] {
        let part = whole.slice(from, rows);
        assert_eq!(across(&part).unwrap(), part, "{rows} rows from {from}");
    }
    let none = Arc::new(arrow_schema::Schema::empty());
    let rows = arrow_array::RecordBatchOptions::new().with_row_count(Some(3));
    let bare = RecordBatch::try_new_with_options(none, Vec::new(), &rows).unwrap();
    assert_eq!(across(&bare).unwrap(), bare);
}

/// An empty column of texts whose offsets begin further on would panic when it is worked on.
#[test]
fn empty_columns_begin_at_nothing() {
    let whole = batch();
    let inside = across(&whole).unwrap();
    let nothing = inside.column_by_name("nothing").unwrap().as_list::<i32>();
    assert_eq!(nothing.values().as_string::<i32>().value_offsets(), [0]);
    let none = across(&whole.slice(3, 0)).unwrap();
    assert_eq!(none.column_by_name("texts").unwrap().as_string::<i32>().value_offsets(), [0]);
}

/// What is said of an array that was changed.
fn refusal(change: impl FnOnce(&mut ArrowArray)) -> String {
    let batch = batch();
    let schema: SchemaRef = batch.schema();
    let mut array = export_batch(batch);
    /// What was changed cannot be freed in order; it leaks, in a test.
    unsafe extern "C" fn leak(_: *mut ArrowArray) {}
    array.release = Some(leak);
    change(&mut array);
    // SAFETY: what was changed is looked at before anything is believed.
    unsafe { import_batch(array, &schema, true) }.unwrap_err().to_string()
}

fn child(array: &mut ArrowArray, index: usize) -> &mut ArrowArray {
    // SAFETY: there are so many children.
    unsafe { &mut **array.children.add(index) }
}

#[test]
fn arrays_that_are_none_are_refused() {
    for (name, said, change) in [
        (
            "a negative length",
            "-1 rows",
            &(|a: &mut ArrowArray| a.length = -1) as &dyn Fn(&mut ArrowArray),
        ),
        ("a length beyond all", "rows from", &|a| a.offset = i64::MAX),
        ("longer than its columns", "not the 7 of its parent", &|a| a.length = 7),
        ("a column too few", "11 columns inside, not 12", &|a| a.n_children -= 1),
        ("no columns", "columns inside", &|a| a.children = std::ptr::null_mut()),
        ("a column that is missing", "is missing", &|a| {
            // SAFETY: there is a first child.
            unsafe { *a.children = std::ptr::null_mut() };
        }),
        ("a buffer too few", "has 1 buffers, not 2", &|a| child(a, 0).n_buffers = 1),
        ("no buffers", "has 2 buffers", &|a| child(a, 0).buffers = std::ptr::null_mut()),
        ("no offsets", "has no offsets", &|a| {
            // SAFETY: texts have three buffers.
            unsafe { *child(a, 1).buffers.add(1) = std::ptr::null() };
        }),
        ("texts for numbers", "buffers", &|a| {
            a.children = {
                // SAFETY: there are two children; their order changes.
                unsafe { std::ptr::swap(a.children, a.children.add(1)) };
                a.children
            }
        }),
        ("more nulls than there are", "says that it has 100 nulls", &|a| {
            child(a, 0).null_count = 100
        }),
        ("nulls that are not told", "says that it has 0 nulls", &|a| child(a, 0).null_count = 0),
        ("nulls without a mask", "does not say which", &|a| {
            // SAFETY: numbers have two buffers.
            unsafe { *child(a, 0).buffers = std::ptr::null() };
        }),
        ("no dictionary", "no dictionary", &|a| child(a, 7).dictionary = std::ptr::null_mut()),
        ("released", "released", &|a| a.release = None),
    ] {
        let refused = refusal(change);
        assert!(refused.contains(said), "{name}: {refused}");
    }
}

#[test]
fn offsets_that_lead_beyond_are_refused() {
    let offsets = |offsets: [i32; 7]| {
        let offsets: &'static [i32; 7] = Box::leak(Box::new(offsets));
        move |array: &mut ArrowArray| {
            // SAFETY: lists have two buffers.
            unsafe { *child(array, 5).buffers.add(1) = offsets.as_ptr().cast() };
        }
    };
    for (how, said) in [
        ([0, 1, 2, 3, 4, 5, 400], "not the 400 of its parent"),
        ([-1, 1, 2, 3, 4, 5, 6], "offsets from -1 to 6"),
        ([5, 1, 2, 3, 4, 5, 4], "offsets from 5 to 4"),
        ([0, 1, 5, 3, 4, 5, 6], "an offset that is less than the one before"),
        ([0, 1, 2, 3, 4, 7, 6], "an offset that is less than the one before"),
    ] {
        let refused = refusal(offsets(how));
        assert!(refused.contains(said), "{refused}");
    }
}

#[test]
fn keys_without_a_value_are_refused() {
    let keys = |keys: [i32; 6], valid: Option<u8>| {
        let keys: &'static [i32; 6] = Box::leak(Box::new(keys));
        let valid: Option<&'static [u8; 8]> =
            valid.map(|bits| &*Box::leak(Box::new([bits, 0, 0, 0, 0, 0, 0, 0])));
        move |array: &mut ArrowArray| {
            let column = child(array, 7);
            // SAFETY: keys have two buffers.
            unsafe {
                *column.buffers.add(1) = keys.as_ptr().cast();
                if let Some(valid) = valid {
                    *column.buffers = valid.as_ptr().cast();
                    column.null_count = -1;
                }
            }
        }
    };
    for (how, valid, said) in [
        ([0, 1, 2, 3, 1, 0], None, "has a key 3, and 3 values"),
        ([0, 1, 2, 0, 1, -1], None, "has a key -1, and 3 values"),
        ([0, i32::MAX, 2, 0, 1, 0], Some(0b11_1110), "has a key 2147483647, and 3 values"),
    ] {
        let refused = refusal(keys(how, valid));
        assert!(refused.contains(said), "{refused}");
    }
    // In the place of a null stands whatever is there.
    let batch = batch();
    let mut array = export_batch(batch.clone());
    keys([0, 900, 2, 0, 1, 0], Some(0b11_1101))(&mut array);
    // SAFETY: it is an array of that schema.
    let taken = unsafe { import_batch(array, &batch.schema(), true) }.unwrap();
    assert_eq!(taken.column(7).null_count(), 1);
}

/// They are found where somebody looks for them.
#[test]
fn texts_that_are_no_utf8_cross_and_are_found() {
    let batch = batch();
    let mut array = export_batch(batch.clone());
    let bytes: &'static [u8; 64] = &[0xff; 64];
    // SAFETY: texts have three buffers.
    unsafe { *child(&mut array, 1).buffers.add(2) = bytes.as_ptr().cast() };
    // SAFETY: it is an array of that schema.
    let taken = unsafe { import_batch(array, &batch.schema(), true) }.unwrap();
    let error = check_rows(&taken).unwrap_err();
    assert!(error.message().contains("broken column `texts`"), "{error}");
    check_rows(&batch).unwrap();
}
