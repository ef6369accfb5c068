//! Whatever is said is heard, however the bytes are cut; and no bytes do harm.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod said;

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, RecordBatchOptions};
use arrow_schema::Schema;
use gristmill_wire::{Encoder, HEADER, Hello, Limits, Message, Side};
use proptest::prelude::*;

use said::{bytes_of, hear, many_types, messages, rows, runs};

fn batch() -> impl Strategy<Value = RecordBatch> {
    let numbers = prop::collection::vec(any::<Option<i64>>(), 1..60);
    let texts = prop::collection::vec("(?s).{0,12}", 1..4);
    let cut = (any::<prop::sample::Index>(), any::<bool>());
    (numbers, texts, cut).prop_map(|(numbers, texts, (at, sliced))| {
        let rows = rows(&numbers, &texts);
        let at = at.index(rows.num_rows());
        if sliced { rows.slice(at, rows.num_rows() - at) } else { rows }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn what_is_said_is_heard(
        batches in prop::collection::vec(batch(), 1..4),
        pieces in prop::collection::vec(1usize..5000, 1..8),
    ) {
        let said = messages(&batches);
        let bytes = bytes_of(&said, &batches[0].schema());
        prop_assert_eq!(hear(&bytes, &pieces, 1 << 30).unwrap(), said);
    }

    /// A bounded run of what `fuzz/` does without end: bytes that were changed, cut or made up give an
    /// error or messages, and nothing else.
    #[test]
    fn no_bytes_do_harm(
        batches in prop::collection::vec(batch(), 1..3),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
        end in any::<prop::sample::Index>(),
        made_up in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut bytes = bytes_of(&messages(&batches), &batches[0].schema());
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let end = end.index(bytes.len());
        let _ = hear(&bytes, &[4096], 1 << 20);
        let _ = hear(&bytes[..end], &[4096], 1 << 20);
        let _ = hear(&made_up, &[7], 1 << 20);
    }
}

#[test]
fn rows_are_not_copied_and_come_out_aligned() {
    let column: ArrayRef = Arc::new(Int64Array::from_iter_values(0..200_000));
    let rows = RecordBatch::try_from_iter([("n", column)]).unwrap();
    let mut encoder = Encoder::new();
    encoder.sends(&rows.schema()).unwrap();
    let out = encoder.encode(&Message::Batch(1, rows.clone())).unwrap();
    let source = rows.column(0).to_data().buffers()[0].as_ptr();
    assert!(out.slices().iter().any(|slice| slice.as_ptr() == source), "the column was copied");

    let said = [Message::Schema(Side::Input, rows.schema()), Message::Batch(1, rows.clone())];
    let heard = hear(&bytes_of(&said, &rows.schema()), &[1 << 20], 1 << 30).unwrap();
    assert_eq!(heard, said);
}

#[test]
fn columns_of_every_layout_are_heard() {
    let rows = many_types();
    let said = messages(&[rows.clone(), rows.slice(1, 2), rows.clone()]);
    assert_eq!(hear(&bytes_of(&said, &rows.schema()), &[1000], 1 << 30).unwrap(), said);
    let said = [Message::Schema(Side::Input, runs().schema()), Message::Batch(1, runs())];
    assert_eq!(hear(&bytes_of(&said, &runs().schema()), &[1000], 1 << 30).unwrap(), said);
}

#[test]
fn rows_without_columns_are_rows() {
    let options = RecordBatchOptions::new().with_row_count(Some(7));
    let rows =
        RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &options).unwrap();
    let said = [
        Message::Schema(Side::Input, rows.schema()),
        Message::Batch(1, rows.clone()),
        Message::Batch(2, rows.clone()),
    ];
    assert_eq!(hear(&bytes_of(&said, &rows.schema()), &[3], 1 << 30).unwrap(), said);
}

#[test]
fn what_is_too_large_is_refused_before_it_comes() {
    let mut head = [0; HEADER];
    head[..4].copy_from_slice(&u32::MAX.to_le_bytes());
    head[4] = 5;
    let error = hear(&head, &[16], 1 << 20).unwrap_err();
    assert!(error.contains("larger than the limit of 1048576"), "{error}");
}

#[test]
fn rows_of_another_schema_are_refused() {
    let said = many_types();
    for column in 0..said.num_columns() {
        let other = said.project(&[column]).unwrap();
        let bytes = bytes_of(
            &[Message::Schema(Side::Input, other.schema()), Message::Batch(1, other.clone())],
            &other.schema(),
        );
        assert!(hear(&bytes, &[1 << 16], 1 << 30).is_ok());
        // One column of text more.
        let text: ArrayRef = Arc::new(arrow_array::StringArray::from(vec!["a"; 3]));
        let wide = [other.columns(), &[text]].concat();
        let names = ["x", "y"].map(str::to_owned);
        let wide = RecordBatch::try_from_iter(names.into_iter().zip(wide)).unwrap();
        let announced = Message::Schema(Side::Input, other.schema());
        let mut lie = bytes_of(std::slice::from_ref(&announced), &other.schema());
        lie.extend(bytes_of(&[Message::Batch(1, wide.clone())], &wide.schema()));
        let error = hear(&lie, &[1 << 16], 1 << 30).unwrap_err();
        assert!(error.contains("other columns than were announced"), "{column}: {error}");
    }
}

#[test]
fn another_version_is_refused_by_name() {
    let mut hello = Hello::new(Limits::default());
    assert!(hello.check().is_ok());
    hello.major += 1;
    hello.software = "other 9".to_owned();
    let error = hello.check().unwrap_err().to_string();
    assert_eq!(error, "other 9 speaks gristmill-worker 2.5, this is gristmill-worker 1.5");
}

#[test]
fn a_worker_that_knows_one_output_gets_no_stage_with_several() {
    let mut hello = Hello::new(Limits::default());
    assert!(hello.check_ports(3).is_ok());
    hello.minor = 0;
    assert!(hello.check().is_ok() && hello.check_ports(0).is_ok() && hello.check_ports(1).is_ok());
    let error = hello.check_ports(2).unwrap_err().to_string();
    assert!(error.contains("speaks 1.0") && error.contains("need 1.1"), "{error}");
}

#[test]
fn what_the_other_side_does_not_take_is_not_sent() {
    let rows = rows(&[Some(1); 2000], &["text".to_owned()]);
    let mut encoder = Encoder::new();
    encoder.sends(&rows.schema()).unwrap();
    encoder.limit(1 << 10);
    let error = encoder.encode(&Message::Batch(1, rows)).unwrap_err();
    assert!(error.message().ends_with("bytes are too many for a frame `Batch`"), "{error}");
    assert_eq!(error.help_text(), Some("the other side takes 1024 at once; make batches smaller"));
}
