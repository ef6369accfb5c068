//! Log lines, what is said to people, and panics, on stderr, without secrets.

mod child;
mod json;
mod levels;

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, OnceLock};

use clap::ValueEnum;
use gristmill_config::Secrets;
use serde_json::{Map, Value};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::filter::{FilterExt, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Context, Filter, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use crate::held::Held;
use crate::say::{SAID, gravity};

pub use child::of_child;
pub use levels::Levels;

/// How lines on stderr look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Text,
    /// An object per line, for programs
    Json,
}

/// The log. It blanks out secrets as soon as it knows them.
#[derive(Debug, Clone)]
pub struct Log {
    secrets: Arc<OnceLock<Secrets>>,
    format: Format,
    held: Held,
    /// What child processes are to say.
    levels: Levels,
}

impl Log {
    /// Starts the log. Without levels it has warnings and worse, unless `RUST_LOG` says otherwise.
    pub fn start(levels: Option<Levels>, format: Format, verbose: bool) -> Self {
        let usual = if verbose { "info" } else { "warn" };
        let of_children = levels.clone().unwrap_or_else(|| {
            Levels::from(if verbose { LevelFilter::INFO } else { LevelFilter::WARN })
        });
        let (secrets, held) = (Arc::default(), Held::default());
        let log = Self { secrets, format, held, levels: of_children };
        let filter: Box<dyn Filter<Registry> + Send + Sync> = match levels {
            Some(levels) => Box::new(levels),
            None => Box::new(
                EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(usual)),
            ),
        };
        let lines: Box<dyn Layer<Registry> + Send + Sync> = match format {
            Format::Text => Box::new(
                tracing_subscriber::fmt::layer()
                    .with_writer(log.clone())
                    .with_ansi(io::stderr().is_terminal())
                    .with_filter(filter.and(filter_fn(|metadata| !is_said(metadata)))),
            ),
            Format::Json => Box::new(
                json::Json(log.clone())
                    .with_filter(filter.and(filter_fn(|metadata| !is_said(metadata)))),
            ),
        };
        let said = Said(log.clone())
            .with_filter(filter_fn(is_said).with_max_level_hint(LevelFilter::ERROR));
        let layers: Vec<Box<dyn Layer<Registry> + Send + Sync>> = vec![lines, Box::new(said)];
        tracing_subscriber::registry().with(layers).init();
        let hook = log.clone();
        std::panic::set_hook(Box::new(move |panic| {
            // The runtime makes an error of it, which is reported; this adds where it was.
            hook.put(&panic.to_string(), Map::new());
        }));
        log
    }

    /// Where its lines go.
    pub fn held(&self) -> &Held {
        &self.held
    }

    /// What the child processes of each of these stages are to say. RUST_LOG is for this process alone.
    pub fn of_children<'a>(
        &self,
        stages: impl IntoIterator<Item = &'a str>,
    ) -> BTreeMap<String, String> {
        stages.into_iter().map(|stage| (stage.to_owned(), self.levels.of_child(stage))).collect()
    }

    /// Whether what is on stderr is for programs.
    pub fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// From now on these values do not appear.
    pub fn hide(&self, secrets: Secrets) {
        // A second pipeline in one run of the command would be new; the first stays hidden.
        let _ = self.secrets.set(secrets);
    }

    fn redact(&self, text: &str) -> String {
        match self.secrets.get() {
            Some(secrets) => secrets.redact(text).into_owned(),
            None => text.to_owned(),
        }
    }

    /// Blanks out secrets in all texts of an object. In the line itself they would not be found: quotes
    /// and backslashes look otherwise there.
    fn without_secrets(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.redact(&text)),
            Value::Object(fields) => {
                let fields = fields.into_iter();
                Value::Object(fields.map(|(name, v)| (name, self.without_secrets(v))).collect())
            }
            // A number may be a secret, too.
            Value::Number(number) => match self.redact(&number.to_string()) {
                text if text == number.to_string() => Value::Number(number),
                text => Value::String(text),
            },
            other => other,
        }
    }

    /// Writes what is said to people, with what programs may want to know besides. Whoever has closed
    /// stderr does not want to know.
    fn put(&self, text: &str, mut fields: Map<String, Value>) {
        let line = match self.format {
            Format::Text => self.redact(text),
            Format::Json => {
                let text = without_colour(text);
                let level = gravity(&text);
                fields.insert("message".to_owned(), text.into());
                self.without_secrets(json::object(level, SAID, fields)).to_string()
            }
        };
        let _ = self.held.put(&format!("{line}\n"));
    }
}

/// The text without what colours it on a terminal.
fn without_colour(text: &str) -> String {
    let mut parts = text.split('\u{1b}');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.split_once('m').map_or("", |(_, rest)| rest))
}

/// Takes what is said to people out of the way of the log.
struct Said(Log);

impl<S: Subscriber> Layer<S> for Said {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = json::Fields::default();
        event.record(&mut fields);
        let message = fields.0.get("message").and_then(Value::as_str).unwrap_or_default();
        let message = message.to_owned();
        self.0.put(&message, fields.0);
    }
}

fn is_said(metadata: &Metadata<'_>) -> bool {
    metadata.name() == SAID && metadata.target() == SAID
}

/// Writes one line of the log.
#[derive(Debug)]
pub struct Line(Log);

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // The formatter hands over whole lines.
        let text = self.0.redact(&String::from_utf8_lossy(bytes));
        self.0.held.put(&text)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line(self.clone())
    }
}
