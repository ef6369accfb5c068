//! Whatever is said is heard, however the bytes are cut; and no bytes do harm.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a test fails by panicking"
)]

use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder, StringDictionaryBuilder};
use arrow_array::types::Int32Type;
use arrow_array::{
    Array, ArrayRef, BinaryArray, Float64Array, Int64Array, RecordBatch, RecordBatchOptions,
    StringArray, StructArray,
};
use arrow_schema::{DataType, Field, Schema};
use gristmill_stage::{Role, Snapshot};
use gristmill_wire::{
    BatchSize, Called, Commit, Decoder, Encoder, Fault, FrameReader, HEADER, Heartbeat, Hello,
    Limits, Log, Message, Open, Rejected, Side,
};
use proptest::prelude::*;
use serde_json::json;

/// Rows with nulls, empty and large values, lists, structs and a dictionary.
fn rows(numbers: &[Option<i64>], texts: &[String]) -> RecordBatch {
    let n = numbers.len();
    let text = |i: usize| texts.get(i % texts.len().max(1)).filter(|_| i % 5 != 3);
    let mut lists = ListBuilder::new(StringBuilder::new());
    let mut dictionary = StringDictionaryBuilder::<Int32Type>::new();
    for i in 0..n {
        for _ in 0..i % 3 {
            lists.values().append_option(text(i));
        }
        lists.append(i % 4 != 1);
        dictionary.append_option(text(i % 2));
    }
    let pair = StructArray::from(vec![(
        Arc::new(Field::new("x", DataType::Float64, true)),
        Arc::new(Float64Array::from_iter((0..n).map(|i| (i % 2 == 0).then_some(i as f64))))
            as ArrayRef,
    )]);
    RecordBatch::try_from_iter_with_nullable([
        ("n", Arc::new(Int64Array::from(numbers.to_vec())) as ArrayRef, true),
        ("text", Arc::new(StringArray::from_iter((0..n).map(text))) as ArrayRef, true),
        (
            "bytes",
            Arc::new(BinaryArray::from_iter((0..n).map(|i| text(i).map(String::as_bytes)))),
            true,
        ),
        ("list", Arc::new(lists.finish()) as ArrayRef, true),
        ("pair", Arc::new(pair) as ArrayRef, true),
        ("word", Arc::new(dictionary.finish()) as ArrayRef, true),
    ])
    .unwrap()
}

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

fn open() -> Open {
    Open {
        stage: "items".to_owned(),
        kind: "parse".to_owned(),
        options: json!({ "format": "html", "n": 9_007_199_254_740_993_u64 }),
        role: Role::Transform,
        instance: 1,
        instances: 2,
        ordered: true,
        batch: BatchSize { rows: 10, bytes: 1000 },
        clock: 77,
        origins: [("demo".to_owned(), "http://127.0.0.1:1".to_owned())].into(),
        heartbeat: 1.0,
        restored: None,
    }
}

/// One of each, around these rows.
fn messages(batches: &[RecordBatch]) -> Vec<Message> {
    let first = &batches[0];
    let state = Snapshot::parts(
        3,
        vec![("a".to_owned(), first.clone()), (String::new(), first.slice(0, 0))],
    );
    let fault = Fault {
        kind: "data".to_owned(),
        message: "no".to_owned(),
        option: None,
        column: Some("n".to_owned()),
        help: Some("yes".to_owned()),
    };
    let mut all = vec![
        Message::Hello(Hello::new(Limits::default())),
        Message::Schema(Side::Output, first.schema()),
        Message::Schema(Side::Input, first.schema()),
        Message::Open(Box::new(open()), state.clone()),
        Message::Opened,
        Message::Credit(u64::MAX),
        Message::Barrier { epoch: 5, drained: true },
        Message::Committed(5),
        Message::Called(Called { batch: 1, nanos: 99, measured: true, holding: true }),
        Message::Reject(Rejected { reason: "because ✗".to_owned(), rows: first.clone() }),
        Message::Commit(Box::default()),
        Message::Commit(Box::new(Commit { through: 2, epoch: 5, finished: true, snapshot: state })),
        Message::Heartbeat(Heartbeat { cpu: 1, memory: 2, peak_memory: 3, call: 4 }),
        Message::Log(Log { level: "warn".to_owned(), message: "line".to_owned() }),
        Message::Error(fault),
        Message::End,
        Message::Stop,
    ];
    all.extend(batches.iter().enumerate().map(|(i, rows)| Message::Batch(i as u64, rows.clone())));
    all
}

fn bytes_of(messages: &[Message], schema: &Schema) -> Vec<u8> {
    let mut encoder = Encoder::new();
    encoder.sends(schema).unwrap();
    let mut bytes = Vec::new();
    for message in messages {
        let out = encoder.encode(message).unwrap();
        let before = bytes.len();
        out.slices().iter().for_each(|slice| bytes.extend_from_slice(slice));
        assert_eq!(bytes.len() - before, out.len());
    }
    bytes
}

/// Hears what is in these bytes, which come in pieces of these lengths.
fn hear(mut bytes: &[u8], pieces: &[usize], limit: usize) -> Result<Vec<Message>, String> {
    let (mut reader, mut decoder) = (FrameReader::new(limit), Decoder::new());
    let mut heard = Vec::new();
    let mut turn = 0;
    loop {
        while let Some(frame) = reader.next().map_err(|e| e.to_string())? {
            heard.extend(decoder.decode(frame).map_err(|e| e.to_string())?);
        }
        if bytes.is_empty() {
            return if reader.is_amid() { Err("amid a frame".to_owned()) } else { Ok(heard) };
        }
        let space = reader.space();
        let take = pieces[turn % pieces.len()].min(space.len()).min(bytes.len());
        space[..take].copy_from_slice(&bytes[..take]);
        reader.advance(take);
        bytes = &bytes[take..];
        turn += 1;
    }
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
fn another_version_is_refused_by_name() {
    let mut hello = Hello::new(Limits::default());
    assert!(hello.check().is_ok());
    hello.major += 1;
    hello.software = "other 9".to_owned();
    let error = hello.check().unwrap_err().to_string();
    assert_eq!(error, "other 9 speaks gristmill-worker 2.0, this is gristmill-worker 1.0");
}
