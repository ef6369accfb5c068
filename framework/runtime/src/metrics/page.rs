//! The text format of Prometheus.

use std::collections::HashMap;
use std::fmt::{Display, Write};

use gristmill_stage::reading::Figure;

/// The type of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Counter,
    Gauge,
    Histogram,
}

impl Type {
    const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A metric and all its samples.
struct Family {
    name: String,
    kind: Type,
    help: String,
    samples: String,
}

/// What is scraped, metric by metric.
#[derive(Default)]
pub(super) struct Page {
    families: Vec<Family>,
    places: HashMap<String, usize>,
}

impl Page {
    /// Says what there is to know of a metric. The first to say it counts; false if it was said
    /// otherwise before, and the two cannot be one metric.
    pub(super) fn declare(&mut self, name: &str, kind: Type, help: &str) -> bool {
        if let Some(&place) = self.places.get(name) {
            return self.families[place].kind == kind;
        }
        self.places.insert(name.to_owned(), self.families.len());
        let (name, help) = (name.to_owned(), help.replace('\\', r"\\").replace('\n', r"\n"));
        self.families.push(Family { name, kind, help, samples: String::new() });
        true
    }

    /// Adds a number of a metric that was declared.
    pub(super) fn number(&mut self, name: &str, labels: &Labels, value: f64) {
        if let Some(family) = self.family(name) {
            sample(&mut family.samples, name, "", labels, value);
        }
    }

    /// Adds a histogram of a metric that was declared.
    pub(super) fn histogram(&mut self, name: &str, labels: &Labels, bounds: &[f64], of: &Figure) {
        let Figure::Histogram { counts, sum } = of else { return };
        let Some(Family { samples, .. }) = self.family(name) else { return };
        let mut all = 0_u64;
        let infinite = std::iter::once(f64::INFINITY);
        for (bound, count) in bounds.iter().copied().chain(infinite).zip(counts) {
            all = all.saturating_add(*count);
            let bound = if bound.is_finite() { bound.to_string() } else { "+Inf".to_owned() };
            sample(samples, name, "_bucket", &labels.clone().with("le", bound), all as f64);
        }
        sample(samples, name, "_sum", labels, *sum);
        sample(samples, name, "_count", labels, all as f64);
    }

    fn family(&mut self, name: &str) -> Option<&mut Family> {
        self.places.get(name).map(|place| &mut self.families[*place])
    }

    /// The text; metrics without a sample are not in it.
    pub(super) fn text(self) -> String {
        let mut text = String::new();
        for Family { name, kind, help, samples } in self.families {
            if !samples.is_empty() {
                let kind = kind.name();
                // Writing into a string does not fail.
                let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{samples}");
            }
        }
        text
    }
}

fn sample(text: &mut String, name: &str, part: &str, labels: &Labels, value: f64) {
    // Writing into a string does not fail.
    let _ = match labels.0.as_str() {
        "" => writeln!(text, "{name}{part} {value}"),
        labels => writeln!(text, "{name}{part}{{{labels}}} {value}"),
    };
}

/// Labels, as they stand between the braces.
#[derive(Debug, Clone, Default)]
pub(super) struct Labels(String);

impl Labels {
    /// The same and one more.
    #[must_use]
    pub(super) fn with(mut self, name: &str, value: impl Display) -> Self {
        let value = value.to_string();
        let value = value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n");
        let comma = if self.0.is_empty() { "" } else { "," };
        // Writing into a string does not fail.
        let _ = write!(self.0, "{comma}{name}=\"{value}\"");
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_as_the_format_has_it() {
        let mut page = Page::default();
        assert!(page.declare("a_total", Type::Counter, "What \\ it\nsays."));
        assert!(page.declare("b_seconds", Type::Histogram, "How long."));
        assert!(page.declare("c", Type::Gauge, "Nothing."));
        assert!(!page.declare("c", Type::Counter, "Nothing."));
        let labels = Labels::default().with("stage", "a\"\\\n");
        page.number("a_total", &labels, 1.5);
        page.number("a_total", &Labels::default(), 2.0);
        let of = Figure::Histogram { counts: vec![1, 0, 2], sum: 7.25 };
        page.histogram("b_seconds", &Labels::default(), &[0.1, 1e-5], &of);
        let text = "# HELP a_total What \\\\ it\\nsays.\n# TYPE a_total counter\n\
            a_total{stage=\"a\\\"\\\\\\n\"} 1.5\na_total 2\n\
            # HELP b_seconds How long.\n# TYPE b_seconds histogram\n\
            b_seconds_bucket{le=\"0.1\"} 1\nb_seconds_bucket{le=\"0.00001\"} 1\n\
            b_seconds_bucket{le=\"+Inf\"} 3\nb_seconds_sum 7.25\nb_seconds_count 3\n";
        assert_eq!(page.text(), text);
    }
}
