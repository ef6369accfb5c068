//! Calls made of numbers: what is recorded, and of what.

use gristmill_config::Mode;
use gristmill_stage::SystemClock;

use super::super::Spans;
use super::*;

fn tracker(source: bool, share: f64) -> (Tracker, Spans) {
    let (tracing, spans) = Tracing::new(share, 1000);
    let stage = SpanStage { name: "a".into(), kind: "k".into(), mode: Mode::Pooled, worker: 0 };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
    let naming = Naming { stage, source, clock, secrets: Secrets::default() };
    (Tracker::new(tracing, naming), spans)
}

fn told(spans: &mut Spans) -> Vec<Span> {
    let mut all = Vec::new();
    spans.take_now(&mut all, 1000);
    all
}

/// A batch of a source, whose trace is recorded.
fn batch() -> SpanContext {
    let (mut source, _spans) = tracker(true, 1.0);
    source.made(&Call { rows_out: 10, ..Call::default() }).expect("all are recorded")
}

/// A call that is given ten rows of this span.
fn given(from: Option<SpanContext>, rows_out: u64, holding: bool) -> Call {
    let given = Some(Given { rows: 10, from, span: None });
    Call { given, rows_out, holding, ..Call::default() }
}

fn later(rows_out: u64, holding: bool) -> Call {
    Call { rows_out, holding, ..Call::default() }
}

#[test]
fn a_source_begins_traces_and_the_first_in_any_case() {
    let (mut source, mut spans) = tracker(true, 1e-9);
    assert!(source.made(&later(0, false)).is_none(), "nothing came");
    assert!(source.made(&later(10, false)).is_some());
    assert!((0..100).all(|_| source.made(&later(10, false)).is_none()));
    let spans = told(&mut spans);
    assert_eq!(spans.len(), 1);
    assert_eq!(spans[0].parent, None);
    assert!(tracker(true, 0.0).0.made(&later(10, false)).is_none());
}

#[test]
fn what_comes_of_a_batch_is_below_it() {
    let (mut stage, mut spans) = tracker(false, 1.0);
    assert!(stage.made(&given(None, 10, false)).is_none());
    let from = batch();
    let made = stage.made(&given(Some(from), 10, false)).unwrap();
    assert_eq!(made.trace, from.trace);
    assert!(stage.made(&given(None, 10, false)).is_none());
    let spans = told(&mut spans);
    assert_eq!(spans.len(), 1);
    assert_eq!((spans[0].context, spans[0].parent), (made, Some(from.span)));
    assert_eq!((spans[0].rows_in, spans[0].rows_out), (10, 10));
}

#[test]
fn rows_that_come_out_later_are_below_the_batches_that_they_may_be_of() {
    let (mut stage, mut spans) = tracker(false, 1.0);
    let [first, second] = [batch(), batch()];
    assert!(stage.made(&given(None, 0, true)).is_none());
    let first = stage.made(&given(Some(first), 0, true)).unwrap();
    let second = stage.made(&given(Some(second), 0, true)).unwrap();
    assert!(stage.made(&given(None, 0, true)).is_none());
    // The first ten rows are of a batch whose trace is not recorded.
    assert!(stage.made(&later(10, true)).is_none());
    assert_eq!(stage.made(&later(10, true)).unwrap().trace, first.trace);
    assert_eq!(stage.made(&later(5, true)).unwrap().trace, second.trace);
    assert_eq!(stage.made(&later(5, true)).unwrap().trace, second.trace);
    assert!(stage.made(&later(10, false)).is_none());
    let spans = told(&mut spans);
    let parents: Vec<_> = spans[2..].iter().map(|span| span.parent.unwrap()).collect();
    assert_eq!(parents, [first.span, second.span, second.span]);
    assert!(spans.iter().all(|span| span.links.is_empty()));
}

#[test]
fn one_batch_may_become_many_and_one_may_be_of_several() {
    let (mut stage, mut spans) = tracker(false, 1.0);
    let of_one = stage.made(&given(Some(batch()), 100, true)).unwrap();
    assert!((0..5).all(|_| stage.made(&later(100, true)).unwrap().trace == of_one.trace));
    assert_eq!(stage.made(&later(100, false)).unwrap().trace, of_one.trace);
    told(&mut spans);
    let first = stage.made(&given(Some(batch()), 0, true)).unwrap();
    let second = stage.made(&given(Some(batch()), 0, true)).unwrap();
    stage.made(&later(20, false));
    let both = told(&mut spans).pop().unwrap();
    assert_eq!((both.parent, both.links), (Some(first.span), vec![second]));
    assert!(stage.made(&later(10, false)).is_none(), "nothing is under way any more");
}

#[test]
fn what_was_kept_comes_out_in_a_trace_of_its_own_with_links() {
    let (mut stage, mut spans) = tracker(false, 1.0);
    let kept: Vec<_> =
        (0..40).map(|_| stage.made(&given(Some(batch()), 0, false)).unwrap()).collect();
    let made = stage.made(&later(1, false)).unwrap();
    let last = told(&mut spans).pop().unwrap();
    assert_eq!(last.parent, None);
    assert!(kept.iter().all(|one| one.trace != made.trace));
    assert_eq!(last.links, kept[8..], "the latest, as far as there is place");
    assert!(stage.made(&later(1, false)).is_none());

    // When it comes out bit by bit, the rest is below the beginning.
    stage.made(&given(Some(batch()), 0, false));
    let begin = stage.made(&later(1, true)).unwrap();
    assert_eq!(stage.made(&later(1, true)).unwrap().trace, begin.trace);
    assert_eq!(stage.made(&later(1, false)).unwrap().trace, begin.trace);
    assert!(stage.made(&later(1, false)).is_none());
    let spans = told(&mut spans);
    assert!(spans[2..].iter().all(|span| span.parent == Some(begin.span)));
}

#[test]
fn an_error_is_recorded_though_its_batch_is_not() {
    let (mut stage, mut spans) = tracker(false, 0.0);
    let error = Some(Error::data("seven is no price"));
    stage.made(&Call { error, ..given(None, 0, false) });
    let spans = told(&mut spans);
    assert_eq!(spans[0].error.as_deref(), Some("data: seven is no price"));
    assert_eq!(spans[0].parent, None);
}
