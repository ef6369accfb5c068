//! Which span a batch came of, as far as two processes speak of it.

use std::num::{NonZeroU64, NonZeroU128};

use crate::WireError;

/// A span of a trace that is recorded. A batch whose trace is not recorded has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanContext {
    /// The trace.
    pub trace: NonZeroU128,
    /// The span in it.
    pub span: NonZeroU64,
}

impl SpanContext {
    /// The trace as it goes over a wire: sixteen bytes, the most significant first, as in W3C's trace context.
    pub fn trace_bytes(self) -> [u8; 16] {
        self.trace.get().to_be_bytes()
    }

    /// The span of these bytes and that number.
    pub(crate) fn read(trace: &[u8], span: u64) -> Result<Self, WireError> {
        let bytes = trace.try_into().map_err(|_| {
            WireError::new(format!("a trace has {} bytes and not sixteen", trace.len()))
        })?;
        let trace = NonZeroU128::new(u128::from_be_bytes(bytes));
        trace
            .zip(NonZeroU64::new(span))
            .map(|(trace, span)| Self { trace, span })
            .ok_or_else(|| WireError::new("a trace or a span of zeros is none"))
    }
}
