//! What a child says of its calls, and the spans that are made of it.

use std::num::NonZeroU128;
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use gristmill_config::{Mode, Secrets};
use gristmill_stage::{Clock, Snapshot, SystemClock};
use gristmill_wire::Commit;

use super::super::{Come, Send};
use super::*;
use crate::edge::Parcel;
use crate::trace::{Naming, Span, SpanStage, Spans, Tracing};

fn ledger() -> (Ledger, Spans) {
    let (tracing, spans) = Tracing::new(1.0, 100);
    let stage = SpanStage { name: "a".into(), kind: "k".into(), mode: Mode::Process, worker: 0 };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
    let naming = Naming { stage, source: false, clock, secrets: Secrets::new() };
    let tracker = Tracker::new(tracing, naming);
    (Ledger::new(1 << 20).traced_by(tracker, Role::Transform), spans)
}

fn rows(count: i64) -> RecordBatch {
    let column: ArrayRef = Arc::new(Int64Array::from_iter_values(0..count));
    RecordBatch::try_from_iter([("n", column)]).expect("one column")
}

fn from() -> SpanContext {
    SpanContext { trace: NonZeroU128::MAX, span: NonZeroU64::MAX }
}

fn give(ledger: &mut Ledger, trace: Option<SpanContext>) -> u64 {
    ledger.take(Parcel::new(rows(4), trace));
    match ledger.next() {
        Some(Send::Batch(number, _)) => number,
        other => panic!("{other:?}"),
    }
}

fn call(ledger: &mut Ledger, called: Called) -> Option<SpanContext> {
    let trace = ledger.trace(&called);
    ledger.called(called);
    trace
}

fn told(spans: &mut Spans) -> Vec<Span> {
    let mut all = Vec::new();
    spans.take_now(&mut all, 100);
    all
}

#[test]
fn what_came_before_a_call_returned_is_of_its_batch() {
    let (mut ledger, mut spans) = ledger();
    let (plain, traced) = (give(&mut ledger, None), give(&mut ledger, Some(from())));
    assert_eq!(ledger.awaits(plain), None, "the child hears of recorded traces alone");
    let awaited = ledger.awaits(traced).unwrap();
    assert_eq!(awaited.trace, from().trace);

    let called = |batch| Called { batch, nanos: 1, measured: true, ..Called::default() };
    ledger.came(Come::new(Outcome::Emit(0, rows(4)), 0));
    assert_eq!(call(&mut ledger, called(plain)), None);
    ledger.came(Come::new(Outcome::Emit(0, rows(3)), 0));
    ledger.came(Come::new(Outcome::Reject(rows(1), gristmill_stage::Cause::Data, "no".into()), 0));
    assert_eq!(call(&mut ledger, called(traced)), Some(awaited));
    ledger.commit(Commit { through: traced, ..Commit::default() });
    let traces: Vec<_> = std::iter::from_fn(|| ledger.pop()).map(|come| come.trace).collect();
    assert_eq!(traces, [None, Some(awaited), Some(awaited)]);

    let spans = told(&mut spans);
    assert_eq!(spans.len(), 1);
    assert_eq!((spans[0].context, spans[0].parent), (awaited, Some(from().span)));
    assert_eq!([spans[0].rows_in, spans[0].rows_out, spans[0].rejected], [4, 3, 1]);
    assert_eq!(spans[0].took, Duration::from_nanos(1));
    assert_eq!(spans[0].stage.span_name(), "process a");
}

#[test]
fn a_death_is_an_error_of_the_batch_at_work_and_the_next_child_is_given_it_anew() {
    let (mut ledger, mut spans) = ledger();
    let number = give(&mut ledger, Some(from()));
    let first = ledger.awaits(number).unwrap();
    ledger.came(Come::new(Outcome::Emit(0, rows(4)), 0));
    ledger.broke_off(&Error::internal("the child process died: killed"));
    ledger.died("it died");
    let Some(Send::Batch(number, _)) = ledger.next() else { panic!("it is sent again") };
    let second = ledger.awaits(number).unwrap();
    assert_ne!(first, second);
    ledger.came(Come::new(Outcome::Emit(0, rows(4)), 0));
    let called = Called { batch: number, measured: true, ..Called::default() };
    assert_eq!(call(&mut ledger, called), Some(second));
    ledger.commit(Commit { through: number, snapshot: Snapshot::Stateless, ..Commit::default() });
    assert_eq!(ledger.pop().unwrap().trace, Some(second));

    let spans = told(&mut spans);
    let errors: Vec<_> = spans.iter().map(|span| span.error.as_deref()).collect();
    assert_eq!(errors, [Some("internal: the child process died: killed"), None]);
    assert_eq!([spans[0].context, spans[1].context], [first, second]);
    assert!(spans.iter().all(|span| span.parent == Some(from().span)));
}
