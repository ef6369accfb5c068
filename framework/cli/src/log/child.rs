//! The log of a child process: its lines go to the run, which writes them among its own.

use gristmill_runtime::LogLines;
use serde_json::Value;
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use super::json::Fields;
use super::levels::Levels;

/// Starts the log of a child process, which is told in the words of `--log` what to say.
pub fn of_child(levels: &str, lines: LogLines) {
    let usual = || Levels::from(LevelFilter::WARN);
    let levels = levels.parse().unwrap_or_else(|_| usual());
    let layer = ToRun(lines).with_filter(levels);
    // There is one log in a process, and this is the first.
    let _ = tracing_subscriber::registry().with(layer).try_init();
}

struct ToRun(LogLines);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for ToRun {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let message = match fields.0.shift_remove("message") {
            Some(Value::String(text)) => text,
            _ => String::new(),
        };
        let more = fields.0.into_iter().map(|(name, value)| format!(" {name}={value}"));
        let message = format!("{message}{}", more.collect::<String>());
        let metadata = event.metadata();
        let level = metadata.level().as_str().to_ascii_lowercase();
        self.0.put(&level, metadata.target(), message);
    }
}
