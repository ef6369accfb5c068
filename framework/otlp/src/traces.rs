//! Spans as OTLP has them.

use gristmill_runtime::trace::{Span, SpanContext};

use crate::messages::{context, nanos, scope, text, whole};
use crate::protobuf::Message;
use crate::resource::Resource;

/// Work within a program, as opposed to what two services say to each other.
const INTERNAL: u64 = 1;
const ERROR: u64 = 2;

/// The request (`ExportTraceServiceRequest`) with these spans.
pub(crate) fn request(resource: &Resource, spans: &[Span]) -> Vec<u8> {
    let mut request = Message::default();
    request.message(1, |of_resource| {
        of_resource.message(1, |message| resource.write(message));
        of_resource.message(2, |of_scope| {
            of_scope.message(1, scope);
            for span in spans {
                of_scope.message(2, |message| write(message, span));
            }
        });
    });
    request.into_bytes()
}

fn write(message: &mut Message, span: &Span) {
    let stage = &span.stage;
    context(message, [1, 2], span.context);
    if let Some(parent) = span.parent {
        message.bytes(4, parent.get().to_be_bytes());
    }
    message.bytes(5, stage.span_name());
    message.number(6, INTERNAL);
    let start = nanos(span.start);
    let took = u64::try_from(span.took.as_nanos()).unwrap_or(u64::MAX);
    message.fixed(7, start);
    message.fixed(8, start.saturating_add(took));
    // Those that metrics have as labels have the same names here.
    text(message, 9, "stage", &stage.name);
    text(message, 9, "kind", &stage.kind);
    text(message, 9, "mode", stage.mode.name());
    whole(message, 9, "worker", stage.worker as u64);
    whole(message, 9, "rows_in", span.rows_in);
    whole(message, 9, "rows_out", span.rows_out);
    whole(message, 9, "rows_rejected", span.rejected);
    for link in &span.links {
        message.message(13, |message| write_link(message, *link));
    }
    if let Some(error) = &span.error {
        message.message(15, |status| {
            status.bytes(2, error);
            status.number(3, ERROR);
        });
    }
}

fn write_link(message: &mut Message, to: SpanContext) {
    context(message, [1, 2], to);
}
