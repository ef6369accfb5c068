//! Children made of values: they work, hold, commit and die as a seed says.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use proptest::prelude::*;

use super::*;

fn batch(values: impl IntoIterator<Item = i64>) -> RecordBatch {
    let column: ArrayRef = Arc::new(Int64Array::from_iter_values(values));
    RecordBatch::try_from_iter([("n", column)]).expect("one column")
}

fn values(batch: &RecordBatch) -> Vec<i64> {
    batch.column(0).as_primitive::<Int64Type>().values().to_vec()
}

/// A child that hands on what it is given, a few rows at a time, and dies of some rows.
#[derive(Default)]
struct Child {
    inbox: VecDeque<Send>,
    held: VecDeque<i64>,
    taken: u64,
}

impl Child {
    fn restored(snapshot: &Snapshot) -> Self {
        let Snapshot::State(state) = snapshot else { return Self::default() };
        let held = state.parts.iter().flat_map(|(_, rows)| values(rows)).collect();
        Self { held, ..Self::default() }
    }

    fn snapshot(&self) -> Snapshot {
        match self.held.is_empty() {
            true => Snapshot::Stateless,
            false => {
                let rows = batch(self.held.iter().copied());
                Snapshot::parts(1, vec![(State::ROWS.to_owned(), rows)])
            }
        }
    }

    fn commit(&self, ledger: &mut Ledger, epoch: u64) {
        let (through, snapshot) = (self.taken, self.snapshot());
        ledger.commit(Commit { through, epoch, finished: false, snapshot });
    }

    /// One step. False when it dies.
    fn step(&mut self, ledger: &mut Ledger, dice: u8, deadly: &[i64]) -> bool {
        if let Some(n) = self.held.pop_front() {
            if deadly.contains(&n) {
                return false;
            }
            ledger.came(Come::new(Outcome::Emit(0, batch([n])), 1));
            if dice.is_multiple_of(3) {
                self.commit(ledger, 0);
            }
        } else {
            match self.inbox.pop_front() {
                Some(Send::Batch(number, rows)) => {
                    self.taken = number;
                    self.held.extend(values(&rows));
                }
                Some(Send::Barrier { epoch, .. }) => self.commit(ledger, epoch),
                None => self.commit(ledger, 0),
            }
        }
        let holding = !self.held.is_empty();
        ledger.called(Called { batch: self.taken, nanos: 1, measured: true, holding, start: None });
        true
    }
}

/// Runs batches through children that die at these steps, and of these rows.
fn run(lengths: &[usize], dice: &[u8], deadly: &[i64]) -> (BTreeMap<i64, u64>, BTreeMap<i64, u64>) {
    let mut next = 0;
    let mut batches: VecDeque<RecordBatch> = lengths
        .iter()
        .map(|&length| {
            next += length as i64;
            batch(next - length as i64..next)
        })
        .collect();
    let (mut emitted, mut rejected) = (BTreeMap::new(), BTreeMap::new());
    let mut ledger = Ledger::new(200);
    let mut child = Child::default();
    let mut turn = 0;
    while !batches.is_empty() || ledger.is_holding() {
        turn += 1;
        assert!(turn < 200_000, "it does not come to an end");
        let dice = dice[turn % dice.len()];
        while ledger.has_room()
            && let Some(batch) = batches.pop_front()
        {
            let bytes = Parcel::measure(&batch);
            ledger.take(Parcel { batch, bytes, trace: None });
        }
        if let Some(send) = ledger.next() {
            child.inbox.push_back(send);
        }
        // Killed from outside, now and then, until it has been often enough.
        let killed = dice > 240 && turn < 2_000;
        if killed || !child.step(&mut ledger, dice, deadly) {
            ledger.died("it died");
            child = Child::restored(ledger.snapshot());
            let holding = !child.held.is_empty();
            ledger.called(Called { batch: 0, nanos: 0, measured: false, holding, start: None });
        }
        while let Some(come) = ledger.pop() {
            let (counts, rows) = match &come.outcome {
                Outcome::Emit(_, rows) => (&mut emitted, rows),
                Outcome::Reject(rows, ..) => (&mut rejected, rows),
            };
            values(rows).into_iter().for_each(|n| *counts.entry(n).or_default() += 1);
        }
    }
    (emitted, rejected)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn every_row_comes_out_once_or_is_rejected(
        lengths in prop::collection::vec(1usize..40, 1..12),
        dice in prop::collection::vec(any::<u8>(), 1..400),
        deadly in prop::collection::btree_set(0i64..200, 0..4),
    ) {
        let deadly: Vec<i64> = deadly.into_iter().collect();
        let (emitted, rejected) = run(&lengths, &dice, &deadly);
        let all = lengths.iter().sum::<usize>() as i64;
        for n in 0..all {
            let counts = (emitted.get(&n).copied(), rejected.get(&n).copied());
            // A row may be blamed for kills from outside, if they come each time it is alone.
            prop_assert!(
                counts == (None, Some(1)) || counts == (Some(1), None) && !deadly.contains(&n),
                "row {n}: {counts:?}"
            );
        }
    }

    #[test]
    fn only_the_deadly_rows_are_rejected(
        lengths in prop::collection::vec(1usize..300, 1..6),
        deadly in prop::collection::btree_set(0i64..400, 0..4),
    ) {
        let all = lengths.iter().sum::<usize>() as i64;
        let deadly: Vec<i64> = deadly.into_iter().filter(|n| *n < all).collect();
        let (emitted, rejected) = run(&lengths, &[1], &deadly);
        prop_assert_eq!(rejected.into_keys().collect::<Vec<_>>(), deadly.clone());
        let others: Vec<i64> = (0..all).filter(|n| !deadly.contains(n)).collect();
        prop_assert_eq!(emitted.into_keys().collect::<Vec<_>>(), others);
    }
}

#[test]
fn a_state_is_asked_for_when_much_is_kept() {
    let mut ledger = Ledger::new(1000);
    let mut asked = false;
    for _ in 0..100 {
        if !ledger.has_room() {
            break;
        }
        ledger.take(Parcel { batch: batch(0..40), bytes: 320, trace: None });
        while let Some(send) = ledger.next() {
            match send {
                Send::Batch(batch, _) => {
                    ledger.called(Called {
                        batch,
                        nanos: 1,
                        measured: true,
                        holding: false,
                        start: None,
                    });
                }
                Send::Barrier { drained, .. } => asked = !drained,
            }
        }
    }
    assert!(asked && ledger.kept() < 2000, "{} bytes are kept", ledger.kept());
    assert!(!ledger.is_holding(), "state that waits for the end is not under way");
}

#[test]
fn deaths_count_until_something_gets_on() {
    let mut ledger = Ledger::new(1000);
    assert_eq!((ledger.died(""), ledger.died("")), (1, 2));
    ledger.commit(Commit::default());
    assert_eq!(ledger.died(""), 3, "an empty commit is no progress");
    ledger.came(Come::new(Outcome::Emit(0, batch([1])), 0));
    ledger.commit(Commit::default());
    assert_eq!(ledger.died(""), 1);
}
