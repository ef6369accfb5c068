//! Sends the metrics and the traces of a run to an OpenTelemetry collector, or to whatever else speaks OTLP
//! over HTTP with Protobuf (Grafana, Tempo, Mimir, Prometheus, Jaeger, most vendors).
//!
//! ```text
//! Settings::find   what the command line and the environment say
//! Exporter::new    before the run: gives the run the queue for its spans
//! Exporter::start  when the run has started: a thread of its own sends, again and again
//! Exporting::finish  when the run is over: sends the rest, but not for long
//! ```
//!
//! Nothing here can slow a run down or change what comes of it: spans that find no place are dropped, and a
//! collector that is gone, slow or full costs a warning. Headers are secrets, and stand in no message.

mod exporter;
mod health;
mod messages;
mod metrics;
mod poster;
mod protobuf;
mod resource;
mod sender;
mod settings;
mod traces;

pub use exporter::{Exporter, Exporting};
pub use settings::{Chosen, Settings};
