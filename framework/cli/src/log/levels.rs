//! What is logged: a level for all, and others for single stages or parts of the program.

use std::str::FromStr;

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Filter};
use tracing_subscriber::registry::LookupSpan;

/// `warn,pages=debug`: levels by the name of a stage, or of a part of the program such as `hyper`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Levels {
    usual: LevelFilter,
    named: Vec<(String, LevelFilter)>,
}

impl FromStr for Levels {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut levels = Self { usual: LevelFilter::WARN, named: Vec::new() };
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (name, level) = match part.split_once('=') {
                Some((name, level)) => (Some(name.trim()), level.trim()),
                None => (None, part),
            };
            let words = ["off", "error", "warn", "info", "debug", "trace"];
            let known = words.iter().any(|word| level.eq_ignore_ascii_case(word));
            let level =
                level.parse().ok().filter(|_| known).ok_or_else(|| {
                    format!("`{level}` is no level; there are {}", words.join(", "))
                })?;
            match name {
                Some("") => return Err(format!("there is no name in `{part}`")),
                Some(name) => levels.named.push((name.to_owned(), level)),
                None => levels.usual = level,
            }
        }
        Ok(levels)
    }
}

/// What a span or an event is about: the stage, and the part of the program if it comes from another.
#[derive(Default)]
struct About {
    stage: Option<String>,
    part: Option<String>,
}

impl Visit for About {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "stage" {
            self.stage = Some(format!("{value:?}"));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "stage" => self.stage = Some(value.to_owned()),
            "part" => self.part = Some(value.to_owned()),
            _ => {}
        }
    }
}

impl Levels {
    /// The highest level that anything is logged at.
    fn most(&self) -> LevelFilter {
        self.named.iter().map(|(_, level)| *level).fold(self.usual, LevelFilter::max)
    }

    /// The levels for a process that does the work of this stage alone, in the words of `--log`.
    pub fn of_child(&self, stage: &str) -> String {
        match self.named.iter().find(|(name, _)| name == stage) {
            // What is said of the stage counts for all that is said there.
            Some((_, level)) => level.to_string(),
            None => {
                let parts = self.named.iter().map(|(name, level)| format!(",{name}={level}"));
                format!("{}{}", self.usual, parts.collect::<String>())
            }
        }
    }

    /// Everything from this level up, and nothing else.
    pub fn from(usual: LevelFilter) -> Self {
        Self { usual, named: Vec::new() }
    }

    /// The level for what comes from a part of the program, and is about a stage. What is said of the
    /// stage counts first, and the longest name.
    fn level(&self, target: &str, stage: Option<&str>) -> LevelFilter {
        let of_stage = self.named.iter().find(|(name, _)| Some(name.as_str()) == stage);
        let within = |name: &str| {
            target.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        };
        let parts = self.named.iter().filter(|(name, _)| within(name));
        let of_part = parts.max_by_key(|(name, _)| name.len());
        of_stage.or(of_part).map_or(self.usual, |(_, level)| *level)
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Filter<S> for Levels {
    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        // Which stage it is about is known only with its fields. Spans say it for what is in them.
        metadata.is_span() || *metadata.level() <= self.most()
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        match metadata.is_span() || *metadata.level() <= self.most() {
            true => Interest::sometimes(),
            false => Interest::never(),
        }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        // Also spans must be let through, whatever is logged.
        Some(self.most().max(LevelFilter::ERROR))
    }

    fn event_enabled(&self, event: &Event<'_>, context: &Context<'_, S>) -> bool {
        let mut about = About::default();
        event.record(&mut about);
        let spans = context.event_scope(event).into_iter().flatten();
        let around = spans.filter_map(|span| span.extensions().get::<About>()?.stage.clone());
        let stage = about.stage.or_else(|| around.into_iter().next());
        // A line of a child process says which part of it the line is from.
        let part = about.part.as_deref().unwrap_or(event.metadata().target());
        *event.metadata().level() <= self.level(part, stage.as_deref())
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut about = About::default();
        attributes.record(&mut about);
        if let Some(span) = context.span(id) {
            span.extensions_mut().replace(about);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_by_stage_then_by_part() {
        let levels: Levels = "info, pages=debug,hyper=off,hyper::client=trace".parse().unwrap();
        assert_eq!(levels.level("other", Some("pages")), LevelFilter::DEBUG);
        assert_eq!(levels.level("hyper", Some("pages")), LevelFilter::DEBUG);
        assert_eq!(levels.level("hyper::server", None), LevelFilter::OFF);
        assert_eq!(levels.level("hyper::client::conn", Some("x")), LevelFilter::TRACE);
        assert_eq!(levels.level("hyperbole", None), LevelFilter::INFO);
        assert_eq!(levels.most(), LevelFilter::TRACE);
        assert_eq!(levels.of_child("pages"), "debug");
        assert_eq!(levels.of_child("items"), "info,pages=debug,hyper=off,hyper::client=trace");
        for wrong in ["loud", "=debug", "pages=", "pages=5"] {
            assert!(wrong.parse::<Levels>().is_err(), "{wrong}");
        }
    }
}
