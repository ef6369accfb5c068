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

/// The stage that a span or an event is about.
#[derive(Default)]
struct Stage(Option<String>);

impl Visit for Stage {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "stage" {
            self.0 = Some(format!("{value:?}"));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "stage" {
            self.0 = Some(value.to_owned());
        }
    }
}

impl Levels {
    /// The highest level that anything is logged at.
    fn most(&self) -> LevelFilter {
        self.named.iter().map(|(_, level)| *level).fold(self.usual, LevelFilter::max)
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
        let mut stage = Stage::default();
        event.record(&mut stage);
        let spans = context.event_scope(event).into_iter().flatten();
        let around = spans.filter_map(|span| span.extensions().get::<Stage>()?.0.clone());
        let stage = stage.0.or_else(|| around.into_iter().next());
        *event.metadata().level() <= self.level(event.metadata().target(), stage.as_deref())
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut stage = Stage::default();
        attributes.record(&mut stage);
        if let Some(span) = context.span(id) {
            span.extensions_mut().replace(stage);
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
        for wrong in ["loud", "=debug", "pages=", "pages=5"] {
            assert!(wrong.parse::<Levels>().is_err(), "{wrong}");
        }
    }
}
