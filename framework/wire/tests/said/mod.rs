//! What the tests say, and how they hear it.

#![allow(dead_code, reason = "each test program uses a part")]

use std::num::{NonZeroU64, NonZeroU128};
use std::sync::Arc;

use arrow_array::builder::{
    FixedSizeListBuilder, Int32Builder, ListBuilder, MapBuilder, StringBuilder,
    StringDictionaryBuilder, StringViewBuilder,
};
use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Decimal256Array, DictionaryArray, FixedSizeBinaryArray,
    Float64Array, Int32Array, Int64Array, LargeStringArray, ListViewArray, NullArray, RecordBatch,
    RunArray, StringArray, StructArray, TimestampMicrosecondArray, UnionArray,
};
use arrow_schema::{DataType, Field, Schema, UnionFields};
use gristmill_stage::reading::{Declared, Unit};
use gristmill_stage::{Cause, Comparison, Constant, Reading, Relation, Role, Snapshot, Test};
use gristmill_wire::{
    Answer, BatchSize, Called, Commit, Decoder, Description, Encoder, Fault, FrameReader,
    Heartbeat, Hello, KindDescription, Limits, Log, Message, Open, Question, Rejected, Side,
    SpanContext, Told,
};
use serde_json::json;

/// Rows with nulls, empty and large values, lists, structs and a dictionary.
pub fn rows(numbers: &[Option<i64>], texts: &[String]) -> RecordBatch {
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

/// Three rows with a column of runs. Apart from the others: the format's writer makes something that its
/// reader refuses of none of them.
pub fn runs() -> RecordBatch {
    let runs = RunArray::<Int32Type>::try_new(
        &Int32Array::from(vec![1, 3]),
        &StringArray::from(vec![Some("a"), None]),
    );
    RecordBatch::try_from_iter([("runs", Arc::new(runs.unwrap()) as ArrayRef)]).unwrap()
}

/// Three rows with a column of nearly every layout that the Arrow IPC format has.
pub fn many_types() -> RecordBatch {
    let mut views = StringViewBuilder::new();
    let mut pairs = FixedSizeListBuilder::new(Int32Builder::new(), 2);
    let mut maps = MapBuilder::new(None, StringBuilder::new(), Int32Builder::new());
    for text in [Some("short"), None, Some("one that does not stand in the view itself")] {
        views.append_option(text);
        pairs.values().append_slice(&[1, 2]);
        pairs.append(text.is_some());
        maps.keys().append_value("key");
        maps.values().append_option(text.map(|text| text.len() as i32));
        maps.append(true).unwrap();
    }
    let ints: ArrayRef = Arc::new(Int32Array::from(vec![1, 2, 3]));
    let item = Arc::new(Field::new_list_field(DataType::Int32, true));
    let list_views =
        ListViewArray::new(item, vec![2, 0, 1].into(), vec![1, 3, 0].into(), ints.clone(), None);
    let fields = UnionFields::try_new(
        [0, 1],
        [Field::new("i", DataType::Int32, true), Field::new("n", DataType::Null, true)],
    );
    let fields = fields.unwrap();
    let union = |offsets: Option<Vec<i32>>| {
        let ids = vec![0_i8, 1, 0].into();
        let children = vec![ints.clone(), Arc::new(NullArray::new(3)) as ArrayRef];
        UnionArray::try_new(fields.clone(), ids, offsets.map(Into::into), children).unwrap()
    };
    let words: ArrayRef = Arc::new(StringArray::from(vec!["x", "y"]));
    let dictionary =
        DictionaryArray::try_new(Int32Array::from(vec![Some(0), None, Some(1)]), words);
    let fixed = FixedSizeBinaryArray::try_from_iter([*b"abc", *b"def", *b"ghi"].iter());
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("view", Arc::new(views.finish())),
        ("pair", Arc::new(pairs.finish())),
        ("map", Arc::new(maps.finish())),
        ("list_view", Arc::new(list_views)),
        ("dense", Arc::new(union(Some(vec![0, 0, 1])))),
        ("sparse", Arc::new(union(None))),
        ("word", Arc::new(dictionary.unwrap())),
        ("fixed", Arc::new(fixed.unwrap())),
        ("flag", Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)]))),
        ("large", Arc::new(LargeStringArray::from(vec![Some("a"), None, Some("")]))),
        ("decimal", Arc::new(Decimal256Array::from(vec![None, None, None]))),
        ("time", Arc::new(TimestampMicrosecondArray::from(vec![1, 2, 3]).with_timezone("UTC"))),
        ("nothing", Arc::new(NullArray::new(3))),
    ];
    let columns = columns.into_iter().map(|(name, column)| (name, column, true));
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

pub fn open() -> Open {
    Open {
        stage: "items".to_owned(),
        kind: "parse".to_owned(),
        options: json!({ "format": "html", "n": 9_007_199_254_740_993_u64 }),
        role: Role::Transform,
        instance: 1,
        instances: 2,
        ordered: true,
        ports: 3,
        batch: BatchSize { rows: 10, bytes: 1000 },
        clock: 77,
        origins: [("demo".to_owned(), "http://127.0.0.1:1".to_owned())].into(),
        hints: vec![Comparison {
            column: "status".to_owned(),
            test: Test::Is(Relation::GreaterOrEqual, Constant::Integer(500)),
        }],
        provider: Some(json!({ "library": "/lib/libacme.so" })),
        log: Some("debug".to_owned()),
        heartbeat: 1.0,
        restored: None,
    }
}

fn description() -> Description {
    let kind = KindDescription {
        name: "k".to_owned(),
        summary: "what it does".to_owned(),
        role: Role::Sink,
        input: "any".to_owned(),
        output: "none".to_owned(),
        example: "type: k".to_owned(),
        options: json!({ "type": "object" }),
        readings: vec![
            Declared::of(&Reading::counter("answers", "How many.").by("status", &["2xx", "5xx"])),
            Declared::of(
                &Reading::histogram("latency", &[0.1, 1.0], "How long.").unit(Unit::Seconds),
            ),
        ],
    };
    Description { kinds: vec![kind] }
}

/// One of each, around these rows.
pub fn messages(batches: &[RecordBatch]) -> Vec<Message> {
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
        Message::Called(Called { batch: 1, nanos: 99, start: None, measured: true, holding: true }),
        Message::Called(Called { batch: 2, nanos: 1, start: Some(7), ..Called::default() }),
        Message::Trace(SpanContext { trace: NonZeroU128::MAX, span: NonZeroU64::MIN }),
        Message::Reject(Rejected {
            reason: "because ✗".to_owned(),
            cause: Cause::Io,
            rows: first.clone(),
        }),
        Message::Commit(Box::default()),
        Message::Commit(Box::new(Commit { through: 2, epoch: 5, finished: true, snapshot: state })),
        Message::Heartbeat(Heartbeat { cpu: 1, ..Heartbeat::default() }),
        Message::Heartbeat(Heartbeat {
            cpu: 1,
            memory: 2,
            peak_memory: 3,
            call: 4,
            readings: vec![
                Told { name: "in_flight".to_owned(), value: Some(3.0), ..Told::default() },
                Told {
                    name: "latency".to_owned(),
                    of: Some("2xx".to_owned()),
                    counts: vec![1, 0, 2],
                    sum: Some(0.25),
                    ..Told::default()
                },
            ],
        }),
        Message::Log(Log { level: "warn".to_owned(), message: "line".to_owned(), part: None }),
        Message::Error(fault),
        Message::End,
        Message::Stop,
        Message::Describe,
        Message::Plan(Box::new(Question { kind: "k".to_owned(), options: json!({ "n": 1 }) })),
        Message::Described(Box::new(description())),
        Message::Planned(Box::new(Answer { keyed: vec!["n".to_owned()], ..Answer::default() })),
    ];
    all.extend(batches.iter().enumerate().map(|(i, rows)| Message::Batch(i as u64, rows.clone())));
    all
}

pub fn bytes_of(messages: &[Message], schema: &Schema) -> Vec<u8> {
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
pub fn hear(mut bytes: &[u8], pieces: &[usize], limit: usize) -> Result<Vec<Message>, String> {
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
