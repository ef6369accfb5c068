//! Traces: which batch came of which, and what each stage did with it.
//!
//! A batch of a source begins a trace, if chance says that the trace is recorded. From there on every
//! batch has with it the span that made it ([`SpanContext`]), and a stage that is given such a batch adds
//! a [`Span`]. A batch whose trace is not recorded has nothing with it, and costs a look whether it has.
//!
//! Spans go into a queue with a bound ([`Tracing`]); who takes them out ([`Spans`]) is the affair of others.

mod dice;
mod queue;
mod span;
mod tracker;
mod trail;

pub use gristmill_wire::SpanContext;
pub(crate) use queue::Told;
pub use queue::{Spans, Tracing};
pub use span::{Span, SpanStage};
pub(crate) use tracker::{Call, Given, Naming, Tracker};
pub(crate) use trail::{Handed, Trail};
