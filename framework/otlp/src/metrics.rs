//! Metrics as OTLP has them.
//!
//! They have the names of the page for Prometheus, units included. That is how its name for a metric goes
//! through OpenTelemetry and back unchanged: what writes for Prometheus adds a unit or `_total` only where
//! the name does not end in it.

use std::time::SystemTime;

use gristmill_runtime::metrics::{Exemplar, Family, Sample, Type, Value};

use crate::messages::{context, nanos, scope, text};
use crate::protobuf::Message;
use crate::resource::Resource;

/// Sums from the start on.
const CUMULATIVE: u64 = 2;

/// When the counting began, and when it was looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    pub(crate) start: SystemTime,
    pub(crate) now: SystemTime,
}

/// The request (`ExportMetricsServiceRequest`) with these metrics.
pub(crate) fn request(resource: &Resource, families: &[Family], times: Times) -> Vec<u8> {
    let mut request = Message::default();
    request.message(1, |of_resource| {
        of_resource.message(1, |message| resource.write(message));
        of_resource.message(2, |of_scope| {
            of_scope.message(1, scope);
            for family in families {
                of_scope.message(2, |metric| write(metric, family, times));
            }
        });
    });
    request.into_bytes()
}

fn write(metric: &mut Message, family: &Family, times: Times) {
    metric.bytes(1, &family.name);
    metric.bytes(2, &family.help);
    // The codes of UCUM.
    metric.bytes(
        3,
        match family.unit() {
            Some("seconds") => "s",
            Some("bytes") => "By",
            _ => "",
        },
    );
    let points = |data: &mut Message| {
        for sample in &family.samples {
            data.message(1, |point| write_point(point, sample, family.kind, times));
        }
    };
    match family.kind {
        Type::Gauge => metric.message(5, points),
        Type::Counter => metric.message(7, |sum| {
            points(sum);
            sum.number(2, CUMULATIVE);
            sum.number(3, 1);
        }),
        Type::Histogram => metric.message(9, |histogram| {
            points(histogram);
            histogram.number(2, CUMULATIVE);
        }),
    }
}

fn write_point(point: &mut Message, sample: &Sample, kind: Type, times: Times) {
    if kind != Type::Gauge {
        point.fixed(2, nanos(times.start));
    }
    point.fixed(3, nanos(times.now));
    let attributes = match &sample.value {
        Value::Number(number) => {
            point.double(4, *number);
            7
        }
        Value::Histogram { bounds, counts, sum, exemplars } => {
            // A program counts as it likes.
            point.fixed(4, counts.iter().fold(0, |all, count| all.saturating_add(*count)));
            point.double(5, *sum);
            point.packed(6, counts.iter().map(|count| count.to_le_bytes()));
            point.packed(7, bounds.iter().map(|bound| bound.to_le_bytes()));
            for exemplar in exemplars.iter().flatten() {
                point.message(8, |message| write_exemplar(message, exemplar));
            }
            9
        }
    };
    for (name, value) in sample.labels.iter() {
        text(point, attributes, name, value);
    }
}

fn write_exemplar(message: &mut Message, exemplar: &Exemplar) {
    message.fixed(2, nanos(exemplar.at));
    message.double(3, exemplar.value);
    context(message, [5, 4], exemplar.of);
}
