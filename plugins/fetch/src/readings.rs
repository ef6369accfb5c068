//! What is told of the requests besides their rows.

use std::time::Duration;

use gristmill_stage::reading::{Held, Unit};
use gristmill_stage::{BuildContext, Reading, Readout, Result};

/// What came of an attempt: the class of the status, or no answer.
const CLASSES: [&str; 6] = ["1xx", "2xx", "3xx", "4xx", "5xx", "none"];
/// 1 ms to a minute, about three bounds to a decade.
const BOUNDS: [f64; 15] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// Open connections of the pool. Those of reqwest, which carries TLS, HTTP/2 and proxies, are not told.
pub(crate) const CONNECTIONS: &str = "connections";

pub(crate) const READINGS: &[Reading] = &[
    Reading::gauge("in_flight", "Requests under way; those that pause before a retry are not."),
    Reading::gauge(CONNECTIONS, "Connections that are open for http: without a proxy."),
    Reading::counter(
        "responses",
        "Attempts by the class of the status that the server answered; `none` without an answer.",
    )
    .by("status", &CLASSES),
    Reading::counter("retries", "Attempts after the first of a request."),
    Reading::histogram(
        "request_duration",
        &BOUNDS,
        "Seconds from the start of an attempt to the end of the body, or to the failure.",
    )
    .unit(Unit::Seconds),
];

/// Where attempts are told of.
pub(crate) struct Readings {
    in_flight: Readout,
    responses: Vec<Readout>,
    retries: Readout,
    duration: Readout,
}

impl Readings {
    pub(crate) fn new(context: &BuildContext) -> Result<Self> {
        let responses = context.reading("responses")?;
        Ok(Self {
            in_flight: context.reading("in_flight")?,
            responses: CLASSES.iter().map(|class| responses.of(class)).collect::<Result<_>>()?,
            retries: context.reading("retries")?,
            duration: context.reading("request_duration")?,
        })
    }

    /// An attempt begins; it is under way for as long as what is returned lives.
    pub(crate) fn begin(&self, attempt: u32) -> Held {
        if attempt > 1 {
            self.retries.add(1);
        }
        self.in_flight.hold()
    }

    /// It has ended.
    pub(crate) fn end(&self, status: Option<u16>, took: Duration) {
        self.duration.record(took.as_secs_f64());
        let class = status.map_or(0, |status| usize::from(status / 100));
        let known = class.checked_sub(1).filter(|place| *place < CLASSES.len() - 1);
        if let Some(readout) = self.responses.get(known.unwrap_or(CLASSES.len() - 1)) {
            readout.add(1);
        }
    }
}
