//! What metrics and traces have in common in OTLP. The numbers are those of the fields in its `.proto` files.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gristmill_runtime::trace::SpanContext;

use crate::protobuf::{Field, Fields, Message};

/// The name and version of what measured.
pub(crate) fn scope(scope: &mut Message) {
    scope.bytes(1, "gristmill");
    scope.bytes(2, env!("CARGO_PKG_VERSION"));
}

/// An attribute with a text.
pub(crate) fn text(message: &mut Message, field: u32, key: &str, value: &str) {
    message.message(field, |attribute| {
        attribute.bytes(1, key);
        // An empty text is a value, too, so the field is said in any case.
        attribute.message(2, |any| any.some_bytes(1, value));
    });
}

/// An attribute with a whole number.
pub(crate) fn whole(message: &mut Message, field: u32, key: &str, value: u64) {
    message.message(field, |attribute| {
        attribute.bytes(1, key);
        attribute.message(2, |any| any.whole(3, value));
    });
}

/// The numbers of a span, each in a field.
pub(crate) fn context(message: &mut Message, [trace, span]: [u32; 2], of: SpanContext) {
    message.bytes(trace, of.trace_bytes());
    message.bytes(span, of.span.get().to_be_bytes());
}

/// Nanoseconds since 1970.
pub(crate) fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// How many of what was sent the collector has refused, and why, as its answer says.
pub(crate) fn refused(answer: &[u8]) -> Option<(u64, String)> {
    let partial = Fields(answer).find_map(|field| match field {
        (1, Field::Bytes(bytes)) => Some(bytes),
        _ => None,
    })?;
    let (mut count, mut why) = (0, String::new());
    for field in Fields(partial) {
        match field {
            (1, Field::Number(number)) => count = number,
            (2, Field::Bytes(text)) => why = String::from_utf8_lossy(text).into_owned(),
            _ => {}
        }
    }
    (count > 0).then_some((count, why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_collector_refuses_is_understood() {
        let mut answer = Message::default();
        assert_eq!(refused(b""), None);
        answer.message(1, |partial| {
            partial.number(1, 3);
            partial.bytes(2, "too old");
        });
        assert_eq!(refused(&answer.into_bytes()), Some((3, "too old".to_owned())));
    }
}
