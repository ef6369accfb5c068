mod bench;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field, Schema};
use tokio::sync::Semaphore;

use self::bench::{Bench, Sink, batch, calls, values};
use super::*;
use crate::{BuildContext, Error, ErrorKind, Snapshot, SystemClock, Transform};

/// A call that yields a few times, later numbers less often.
async fn dawdle(number: i64) -> Result<i64> {
    for _ in 0..(100 - number % 100) {
        tokio::task::yield_now().await;
    }
    Ok(number)
}

#[test]
fn every_row_comes_out_once() {
    for ordered in [false, true] {
        for concurrency in [1, 2, 7, 100] {
            for size in [1, 3, 250] {
                let bench = Bench { ordered, ..Bench::new() };
                let mut stage = bench.build(calls(dawdle), concurrency);
                let input: Vec<i64> = (0..500).collect();
                let batches = input.chunks(size).map(|rows| batch(rows.iter().copied())).collect();
                let mut sink = Sink::default();
                bench.drive(&mut stage, batches, &mut sink).unwrap();
                let rows = if ordered { sink.rows() } else { sink.sorted() };
                assert_eq!(rows, input, "ordered {ordered}, {concurrency} at once, {size} a batch");
                assert!(sink.batches.iter().all(|batch| batch.len() <= 10));
                assert!(!stage.holding());
            }
        }
    }
}

#[test]
fn no_input_is_no_output() {
    let bench = Bench::new();
    let mut stage = bench.build(calls(dawdle), 4);
    let mut sink = Sink::default();
    bench.drive(&mut stage, vec![batch([])], &mut sink).unwrap();
    assert!(sink.batches.is_empty() && stage.snapshot().unwrap() == Snapshot::Stateless);
}

#[test]
fn an_error_rejects_its_row_only() {
    let bench = Bench { ordered: true, ..Bench::new() };
    let call = |n| async move {
        let error = || Error::data(if n < 50 { "odd" } else { "odd and large" });
        if n % 2 == 0 { Ok(n) } else { Err(error()) }
    };
    let mut stage = bench.build(calls(call), 8);
    let mut sink = Sink::default();
    bench.drive(&mut stage, vec![batch(0..100)], &mut sink).unwrap();
    assert_eq!(sink.rows(), (0..100).step_by(2).collect::<Vec<_>>());
    let rejected: Vec<i64> = sink.rejected.iter().map(|(n, _)| *n).collect();
    assert_eq!(rejected, (1..100).step_by(2).collect::<Vec<_>>());
    assert!(sink.rejected.iter().all(|(n, reason)| (*n < 50) == (reason == "odd")));
}

#[test]
fn panics_and_internal_errors_end_the_stage() {
    for (number, kind) in [(7, ErrorKind::Panic), (8, ErrorKind::Internal)] {
        let bench = Bench::new();
        let call = move |n| async move {
            match (n == number, kind) {
                (false, _) => Ok(n),
                (true, ErrorKind::Panic) => panic!("seven"),
                (true, _) => Err(Error::internal("eight")),
            }
        };
        let mut stage = bench.build(calls(call), 2);
        let error = bench.drive(&mut stage, vec![batch(0..100)], &mut Sink::default()).unwrap_err();
        assert_eq!(error.kind(), kind);
        assert!(error.message().contains("seven") || error.message().contains("eight"));
    }
}

#[test]
fn as_many_calls_run_as_may() {
    let bench = Bench::new();
    let gate = Arc::new(Semaphore::new(0));
    let running = Arc::new(AtomicUsize::new(0));
    let call = {
        let (gate, running) = (gate.clone(), running.clone());
        move |n| {
            let (gate, running) = (gate.clone(), running.clone());
            async move {
                running.fetch_add(1, Ordering::SeqCst);
                let permit = gate.acquire().await;
                running.fetch_sub(1, Ordering::SeqCst);
                drop(permit);
                Ok(n)
            }
        }
    };
    let mut stage = bench.build(calls(call), 5);
    let mut sink = Sink::default();
    assert!(stage.ready());
    stage.process(batch(0..30), &mut sink).unwrap();
    assert!(!stage.ready() && stage.holding());
    bench.pump();
    assert_eq!(running.load(Ordering::SeqCst), 5);
    gate.add_permits(1);
    bench.drive(&mut stage, Vec::new(), &mut sink).unwrap();
    assert_eq!(sink.sorted(), (0..30).collect::<Vec<_>>());
}

#[test]
fn nothing_begins_while_results_are_not_taken() {
    for ordered in [false, true] {
        let bench = Bench { ordered, ..Bench::new() };
        let begun = Arc::new(AtomicUsize::new(0));
        let counter = begun.clone();
        let call = move |n| {
            counter.fetch_add(1, Ordering::SeqCst);
            async move { Ok(n) }
        };
        let mut stage = bench.build(calls(call), 3);
        let mut sink = Sink::default();
        stage.process(batch(0..1000), &mut sink).unwrap();
        bench.pump();
        let held = begun.load(Ordering::SeqCst);
        assert!((20..=23).contains(&held), "two batches and the calls that ran: {held}");
        stage.wake(&mut sink).unwrap();
        assert_eq!(sink.batches.len(), 1, "a call emits one batch");
        bench.drive(&mut stage, Vec::new(), &mut sink).unwrap();
        assert_eq!(sink.sorted(), (0..1000).collect::<Vec<_>>());
    }
}

#[test]
fn a_finished_row_lingers() {
    let bench = Bench::new();
    let call = |n| async move { if n == 1 { std::future::pending().await } else { Ok(n) } };
    let mut stage = bench.build(calls(call), 3);
    let mut sink = Sink::default();
    stage.process(batch(0..3), &mut sink).unwrap();
    bench.pump();
    assert_eq!(bench.bell.0.load(Ordering::SeqCst), 1, "the stage is called to set its alarm");
    assert_eq!(stage.wake_at(), Some(Duration::from_millis(10)));
    stage.wake(&mut sink).unwrap();
    assert!(sink.batches.is_empty(), "it is not time yet");
    *bench.clock.0.lock().unwrap() = Duration::from_millis(10);
    stage.wake(&mut sink).unwrap();
    assert_eq!(sink.batches, [[0, 2]]);
    assert_eq!(stage.wake_at(), None);
}

#[test]
fn a_snapshot_is_what_has_not_left() {
    for ordered in [false, true] {
        let bench = Bench { ordered, ..Bench::new() };
        // Only numbers from 30 on and those below 5 come to an end.
        let call = |n| async move {
            if (5..30).contains(&n) { std::future::pending().await } else { Ok(n) }
        };
        let mut stage = bench.build(calls(call), 30);
        let mut sink = Sink::default();
        stage.process(batch(0..40), &mut sink).unwrap();
        stage.process(batch(40..100), &mut sink).unwrap();
        bench.pump();
        stage.wake(&mut sink).unwrap();
        bench.pump();
        let snapshot = stage.snapshot().unwrap();
        assert_eq!(stage.snapshot().unwrap(), snapshot, "it disturbs nothing");
        drop(stage);

        let context = bench.context().with_restored(snapshot);
        let mut stage = Concurrent::new(calls(dawdle), Limits::new(4), &context).unwrap();
        let mut second = Sink::default();
        assert!(stage.holding());
        bench.drive(&mut stage, Vec::new(), &mut second).unwrap();
        let all: Vec<i64> = [sink.rows(), second.rows()].concat();
        let different: BTreeSet<i64> = all.iter().copied().collect();
        assert_eq!((all.len(), different.len()), (100, 100), "{ordered}: {all:?}");
        if ordered {
            assert_eq!(all, (0..100).collect::<Vec<_>>());
        }
    }
}

#[test]
fn a_snapshot_of_other_columns_is_refused() {
    let bench = Bench::new();
    let other = RecordBatch::new_empty(Arc::new(Schema::new(vec![Field::new(
        "other",
        DataType::Utf8,
        true,
    )])));
    for (version, part) in [(1, "rows"), (1, "x"), (2, "rows")] {
        let snapshot = Snapshot::parts(version, vec![(part.to_owned(), other.clone())]);
        let context = bench.context().with_restored(snapshot);
        let stage = Concurrent::new(calls(dawdle), Limits::new(1), &context);
        assert_eq!(stage.map(drop).unwrap_err().kind(), ErrorKind::Restore);
    }
}

#[test]
fn a_pause_gives_others_the_turn() {
    let bench = Bench::new();
    let mut stage = bench.build(calls(dawdle), 1);
    let mut sink = Sink::default();
    // The first pauses for hours.
    stage.process(batch([100_000_000, 1, 2, 3]), &mut sink).unwrap();
    bench.pump();
    *bench.clock.0.lock().unwrap() = Duration::from_secs(1);
    stage.wake(&mut sink).unwrap();
    assert_eq!(sink.rows(), [1, 2, 3]);
    assert!(stage.holding());
    match stage.snapshot().unwrap() {
        Snapshot::State(state) => assert_eq!(values(state.part("rows").unwrap()), [100_000_000]),
        Snapshot::Stateless => panic!("the row that pauses is held"),
    }
}

#[test]
fn who_paused_waits_for_a_turn() {
    let bench = Bench::new();
    let running = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let call = {
        let most = most.clone();
        move |n| {
            let (running, most) = (running.clone(), most.clone());
            async move {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                let result = dawdle(n).await;
                running.fetch_sub(1, Ordering::SeqCst);
                result
            }
        }
    };
    let mut stage = bench.build(calls(call), 2);
    let mut sink = Sink::default();
    let input: Vec<i64> = (0..50).map(|n| if n % 2 == 0 { n } else { 1001 + n % 5 }).collect();
    bench.drive(&mut stage, vec![batch(input.clone())], &mut sink).unwrap();
    let mut input = input;
    input.sort_unstable();
    assert_eq!(sink.sorted(), input);
    assert_eq!(most.load(Ordering::SeqCst), 2);
}

/// The first pauses for a moment, the second works for longer than that and then pauses for hours.
struct TwoPauses;

impl AsyncRows for TwoPauses {
    type Out = i64;

    async fn call(&self, row: Row, turn: &mut Turn) -> Result<i64> {
        let number = values(row.batch())[row.index()];
        match number {
            0 => turn.pause(Duration::from_millis(1)).await,
            1 => {
                tokio::time::sleep(Duration::from_millis(20)).await;
                turn.pause(Duration::from_secs(10_000)).await;
            }
            _ => {}
        }
        Ok(number)
    }

    fn size(&self, _: &i64) -> usize {
        8
    }

    fn collect(&self, rows: Vec<(Row, i64)>) -> Result<RecordBatch> {
        Ok(batch(rows.into_iter().map(|(_, out)| out)))
    }
}

#[test]
fn a_turn_that_is_given_up_goes_to_who_waits_for_one() {
    let bench = Bench::new();
    let mut stage = bench.build(TwoPauses, 1);
    let mut sink = Sink::default();
    stage.process(batch([0, 1, 2]), &mut sink).unwrap();
    // Timers ring in their order, however late.
    bench.runtime.block_on(async { tokio::time::sleep(Duration::from_millis(50)).await });
    bench.pump();
    *bench.clock.0.lock().unwrap() = Duration::from_secs(1);
    stage.wake(&mut sink).unwrap();
    // And before a row that has not begun.
    assert_eq!(sink.rows(), [0, 2]);
}

#[test]
fn dropping_the_stage_cancels_its_calls() {
    let bench = Bench::new();
    let held = Arc::new(());
    let call = {
        let held = held.clone();
        move |n| {
            let held = held.clone();
            async move {
                std::future::pending::<()>().await;
                drop(held);
                Ok(n)
            }
        }
    };
    let mut stage = bench.build(calls(call), 4);
    stage.process(batch(0..100), &mut Sink::default()).unwrap();
    bench.pump();
    assert_eq!(Arc::strong_count(&held), 6);
    drop(stage);
    bench.pump();
    assert_eq!(Arc::strong_count(&held), 1);
}

#[test]
fn a_runtime_that_is_gone_is_an_error() {
    let bench = Bench::new();
    let context = bench.context();
    let call = |_| std::future::pending::<Result<i64>>();
    let mut running = Concurrent::new(calls(call), Limits::new(2), &context).unwrap();
    let mut later = Concurrent::new(calls(call), Limits::new(2), &context).unwrap();
    let mut sink = Sink::default();
    running.process(batch(0..3), &mut sink).unwrap();
    bench.pump();
    drop(bench);
    assert_eq!(running.wake_at(), Some(Duration::ZERO));
    assert_eq!(running.wake(&mut sink).unwrap_err().kind(), ErrorKind::Internal);
    let _ = later.process(batch(0..3), &mut sink);
    assert_eq!(later.wake(&mut sink).unwrap_err().kind(), ErrorKind::Internal);
    let without = BuildContext::new("calls", Arc::new(SystemClock::start()));
    assert!(Concurrent::new(calls(call), Limits::new(2), &without).is_err());
}

#[cfg(feature = "rows")]
#[test]
fn a_closure_over_structs_is_a_stage() {
    #[derive(serde::Deserialize)]
    struct In {
        n: Option<i64>,
    }
    #[derive(serde::Serialize)]
    struct Out {
        n: i64,
    }
    let bench = Bench { ordered: true, ..Bench::new() };
    let stage = super::map(&bench.context(), Limits::new(4), |row: In| async move {
        match row.n {
            Some(13) | None => Err(Error::data("unlucky")),
            Some(n) => Ok(Out { n: n * 2 }),
        }
    });
    let crate::Stage::Transform(mut stage) = stage.unwrap() else { panic!("a transform") };
    let mut sink = Sink::default();
    bench.drive(&mut *stage, vec![batch(10..15)], &mut sink).unwrap();
    assert_eq!(sink.rows(), [20, 22, 24, 28]);
    assert_eq!(sink.rejected, [(13, "unlucky".to_owned())]);
}
