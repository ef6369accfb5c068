//! Workers that die between any two calls, as a child process does: without a word, and the next gets
//! the last snapshot that was heard of, and the batches since.

use std::mem::forget;

use arrow_array::RecordBatch;
use gristmill_stage::{Kind, Snapshot};
use gristmill_testkit::{Collected, Harness, json_rows};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::Value;

/// How one worker after the other fares: what is done after each call.
pub fn fates() -> impl Strategy<Value = Vec<Fate>> {
    let fate = prop_oneof![
        4 => Just(Fate::GoesOn),
        3 => Just(Fate::Commits),
        1 => Just(Fate::Dies),
    ];
    prop::collection::vec(fate, 60)
}

#[derive(Debug, Clone, Copy)]
pub enum Fate {
    GoesOn,
    Commits,
    Dies,
}

/// Gives the batches to workers with these fates. Returns the rows that were rejected for good, with
/// their reasons.
pub fn run(
    kind: &dyn Kind,
    options: &Value,
    harness: &Harness,
    batches: &[RecordBatch],
    fates: &[Fate],
) -> Vec<String> {
    let mut fates = fates.iter().copied().chain(std::iter::repeat(Fate::GoesOn));
    let schema = batches[0].schema();
    let (mut snapshot, mut through) = (Snapshot::Stateless, 0);
    let mut rejected = Collected::default();
    loop {
        let harness = harness.clone().with_restored(snapshot.clone());
        let mut stage = harness.build(kind, options, Some(&schema)).unwrap();
        let (mut given, mut heard) = (through, 0);
        let over = loop {
            let over = match batches.get(given) {
                Some(batch) => {
                    stage.process(batch.clone()).unwrap();
                    given += 1;
                    false
                }
                None => !stage.finish_once().unwrap(),
            };
            // The runner asks for a snapshot after the first batch that a worker takes, and again.
            let first = given == 1 && snapshot == Snapshot::Stateless;
            match fates.next().unwrap() {
                Fate::Dies if !first => break false,
                Fate::GoesOn if !first && !over => {}
                _ => {
                    (snapshot, through) = (stage.snapshot().unwrap(), given);
                    heard = stage.collected().rejected.len();
                }
            }
            if over {
                break true;
            }
        };
        // What it rejected after its last snapshot is lost with it.
        let mut collected = stage.collected().clone();
        collected.rejected.truncate(heard);
        rejected.append(collected);
        match over {
            true => break,
            false => forget(stage),
        }
    }
    let text = |rows: &gristmill_testkit::Rejected| {
        let reason = rows.reason.clone();
        let rows = json_rows([&rows.rows]).unwrap();
        rows.into_iter().map(move |row| format!("{row}: {reason}"))
    };
    rejected.rejected.iter().flat_map(text).collect()
}

/// Tries many fates.
pub fn many(cases: u32, test: impl Fn(Vec<Fate>)) {
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    TestRunner::new(config)
        .run(&fates(), |fates| {
            test(fates);
            Ok(())
        })
        .unwrap_or_else(|e| panic!("{e}"));
}
