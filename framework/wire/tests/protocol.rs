//! `PROTOCOL.md` says what the code does.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a test fails by panicking"
)]

use std::fmt::Write;
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use gristmill_stage::{Role, Snapshot};
use gristmill_wire::{
    BatchSize, Called, Commit, Encoder, HEADER, Hello, Kind, Limits, Message, Open, Side,
};
use serde_json::json;

const PAGE: &str = include_str!("../PROTOCOL.md");

fn rows(values: [i64; 2]) -> RecordBatch {
    let column: ArrayRef = Arc::new(Int64Array::from_iter_values(values));
    RecordBatch::try_from_iter([("n", column)]).unwrap()
}

fn hello(software: &str) -> Message {
    let limits = Limits { frame: 1 << 30, credit: 1 << 20 };
    Message::Hello(Hello { software: software.to_owned(), ..Hello::new(limits) })
}

/// What the page shows.
fn conversation() -> Vec<(&'static str, Message)> {
    let schema = rows([1, 2]).schema();
    let open = Open {
        stage: "twice".to_owned(),
        kind: "double".to_owned(),
        options: json!({ "column": "n" }),
        role: Role::Transform,
        instance: 0,
        instances: 1,
        ordered: false,
        ports: 0,
        batch: BatchSize { rows: 8192, bytes: 1 << 20 },
        clock: 5_000_000,
        origins: [].into(),
        hints: Vec::new(),
        provider: None,
        log: None,
        heartbeat: 1.0,
        restored: None,
    };
    let commit = |through, epoch, finished| {
        let snapshot = Snapshot::Stateless;
        ("worker", Message::Commit(Box::new(Commit { through, epoch, finished, snapshot })))
    };
    let called = |batch, nanos, measured| {
        ("worker", Message::Called(Called { batch, nanos, start: None, measured, holding: false }))
    };
    vec![
        ("run", hello("gristmill 0.1.0")),
        ("worker", hello("double 1.0")),
        ("run", Message::Schema(Side::Input, schema.clone())),
        ("run", Message::Schema(Side::Output, schema)),
        ("run", Message::Open(Box::new(open), Snapshot::Stateless)),
        ("worker", Message::Opened),
        called(0, 0, false),
        ("run", Message::Batch(1, rows([1, 2]))),
        ("worker", Message::Credit(272)),
        ("worker", Message::Batch(0, rows([2, 4]))),
        called(1, 1000, true),
        commit(1, 0, false),
        ("run", Message::Barrier { epoch: 1, drained: false }),
        commit(1, 1, false),
        ("run", Message::End),
        called(1, 500, false),
        commit(1, 0, true),
    ]
}

fn line(out: &mut String, bytes: &[u8]) {
    let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let text: String = bytes
        .iter()
        .map(|byte| if (b' '..=b'~').contains(byte) { char::from(*byte) } else { '.' })
        .collect();
    writeln!(out, "  {:47}  {text}", hex.join(" ")).unwrap();
}

fn dump() -> String {
    let (mut run, mut worker) = (Encoder::new(), Encoder::new());
    for encoder in [&mut run, &mut worker] {
        encoder.sends(&rows([1, 2]).schema()).unwrap();
    }
    let mut out = String::new();
    for (who, message) in conversation() {
        let encoder = if who == "run" { &mut run } else { &mut worker };
        let bytes = encoder.encode(&message).unwrap();
        let bytes: Vec<u8> = bytes.slices().iter().flat_map(|slice| slice.to_vec()).collect();
        let name = format!("{message:?}");
        let name = name.split(['(', ' ']).next().unwrap();
        writeln!(out, "{who}: {name}").unwrap();
        line(&mut out, &bytes[..HEADER]);
        bytes[HEADER..].chunks(16).for_each(|bytes| line(&mut out, bytes));
    }
    out
}

#[test]
fn the_dump_is_what_is_spoken() {
    let shown = PAGE.split_once("```dump\n").unwrap().1.split_once("```").unwrap().0;
    let spoken = dump();
    assert!(shown == spoken, "PROTOCOL.md should show:\n{spoken}");
}

#[test]
fn the_dump_gives_back_what_it_takes() {
    let schema = rows([1, 2]).schema();
    let mut encoder = Encoder::new();
    encoder.sends(&schema).unwrap();
    let batch = encoder.encode(&Message::Batch(1, rows([1, 2]))).unwrap().len() as u64;
    let credit = conversation().into_iter().find_map(|(_, message)| match message {
        Message::Credit(bytes) => Some(bytes),
        _ => None,
    });
    assert_eq!(credit, Some(batch));
}

#[test]
fn every_kind_is_in_the_table() {
    let kinds = [
        Kind::Hello,
        Kind::Open,
        Kind::Schema,
        Kind::Part,
        Kind::Batch,
        Kind::Credit,
        Kind::End,
        Kind::Stop,
        Kind::Barrier,
        Kind::Committed,
        Kind::Describe,
        Kind::Plan,
        Kind::Trace,
        Kind::Opened,
        Kind::Called,
        Kind::Reject,
        Kind::Commit,
        Kind::Heartbeat,
        Kind::Log,
        Kind::Error,
        Kind::Described,
        Kind::Planned,
    ];
    for kind in kinds {
        let row = format!("| {} | `{kind:?}` | ", kind as u8);
        assert!(PAGE.contains(&row), "PROTOCOL.md has no row {row}");
    }
}
