//! Metrics as text: in the format of Prometheus, and in that of OpenMetrics, which has exemplars.

use std::fmt::Write;
use std::time::{Duration, UNIX_EPOCH};

use super::family::{Exemplar, Family, Labels, Sample, Value};

/// A format of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// Prometheus's own, version 0.0.4.
    Prometheus,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Format {
    /// What stands in front of a body in this format.
    pub(crate) const fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// What whoever accepts this would rather have. Prometheus's own is for all who say nothing of
    /// OpenMetrics.
    pub(crate) fn accepted<'a>(accept: impl IntoIterator<Item = &'a str>) -> Self {
        let (mut open, mut plain) = (0.0, 0.0);
        for range in accept.into_iter().flat_map(|value| value.split(',')) {
            let mut parts = range.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default().to_ascii_lowercase();
            let (mut weight, mut known) = (1.0, true);
            for (key, value) in parts.filter_map(|part| part.split_once('=')) {
                match key.trim().to_ascii_lowercase().as_str() {
                    "q" => weight = value.trim().parse::<f64>().unwrap_or(0.0),
                    "version" => {
                        known = matches!(value.trim().trim_matches('"'), "1.0.0" | "0.0.4")
                    }
                    _ => {}
                }
            }
            let best = match name.as_str() {
                "application/openmetrics-text" if known => &mut open,
                "text/plain" if known => &mut plain,
                _ => continue,
            };
            *best = weight.max(*best);
        }
        if open > 0.0 && open >= plain { Self::OpenMetrics } else { Self::Prometheus }
    }

    /// The text of metrics.
    pub(crate) fn text(self, families: &[Family]) -> String {
        let mut page = Page { format: self, text: String::new() };
        for family in families {
            page.family(family);
        }
        if self == Self::OpenMetrics {
            page.text.push_str("# EOF\n");
        }
        page.text
    }
}

struct Page {
    format: Format,
    text: String,
}

impl Page {
    fn family(&mut self, family: &Family) {
        let open = self.format == Format::OpenMetrics;
        let name = if open { family.base() } else { &family.name };
        let help = family.help.replace('\\', r"\\").replace('\n', r"\n");
        let help = if open { help.replace('"', "\\\"") } else { help };
        self.line(format_args!("# HELP {name} {help}\n# TYPE {name} {}\n", family.kind.name()));
        if let Some(unit) = family.unit().filter(|_| open) {
            self.line(format_args!("# UNIT {name} {unit}\n"));
        }
        for sample in &family.samples {
            self.sample(&family.name, sample);
        }
    }

    fn sample(&mut self, name: &str, Sample { labels, value }: &Sample) {
        let labels = between_braces(labels);
        let (bounds, counts, sum, exemplars) = match value {
            Value::Number(number) => return self.number(name, &labels, *number, None),
            Value::Histogram { bounds, counts, sum, exemplars } => (bounds, counts, sum, exemplars),
        };
        let (mut all, bucket) = (0_u64, format!("{name}_bucket"));
        let infinite = std::iter::once(f64::INFINITY);
        for (place, bound) in bounds.iter().copied().chain(infinite).enumerate() {
            // A program counts as it likes.
            all = all.saturating_add(counts.get(place).copied().unwrap_or_default());
            let comma = if labels.is_empty() { "" } else { "," };
            let labels = format!("{labels}{comma}le=\"{}\"", self.bound(bound));
            let exemplar = exemplars.get(place).copied().flatten();
            self.number(&bucket, &labels, all as f64, exemplar);
        }
        self.number(&format!("{name}_sum"), &labels, *sum, None);
        self.number(&format!("{name}_count"), &labels, all as f64, None);
    }

    fn number(&mut self, name: &str, labels: &str, value: f64, exemplar: Option<Exemplar>) {
        let (begin, end) = if labels.is_empty() { ("", "") } else { ("{", "}") };
        let value = plain(value);
        self.line(format_args!("{name}{begin}{labels}{end} {value}"));
        if let Some(Exemplar { value, of, at }) = exemplar
            && self.format == Format::OpenMetrics
        {
            let at = at.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs_f64();
            let (trace, span) = (of.trace, of.span);
            let value = plain(value);
            self.line(format_args!(
                " # {{trace_id=\"{trace:032x}\",span_id=\"{span:016x}\"}} {value} {at:.3}"
            ));
        }
        self.text.push('\n');
    }

    /// A bound of a histogram as a label. OpenMetrics has one way to write a number there.
    fn bound(&self, bound: f64) -> String {
        if self.format == Format::Prometheus || bound.is_infinite() {
            return plain(bound);
        }
        let short = format!("{bound:e}");
        let Some((digits, power)) = short.split_once('e') else { return short };
        match power.parse::<i32>() {
            Ok(power) if power < -4 => format!("{digits}e-{:02}", -power),
            Ok(power) if power > 5 => format!("{digits}e+{power:02}"),
            _ => format!("{bound:?}"),
        }
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing into a string does not fail.
        let _ = self.text.write_fmt(line);
    }
}

fn plain(number: f64) -> String {
    match number {
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        number => number.to_string(),
    }
}

/// Labels, as they stand between the braces.
fn between_braces(labels: &Labels) -> String {
    let mut text = String::new();
    for (name, value) in labels.iter() {
        let value = value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n");
        let comma = if text.is_empty() { "" } else { "," };
        // Writing into a string does not fail.
        let _ = write!(text, "{comma}{name}=\"{value}\"");
    }
    text
}

#[cfg(test)]
mod tests {
    use std::num::{NonZeroU64, NonZeroU128};

    use gristmill_stage::reading::Figure;

    use super::super::family::{Families, Type};
    use super::*;
    use crate::trace::SpanContext;

    fn families() -> Vec<Family> {
        let mut all = Families::default();
        assert!(all.declare("a_total", Type::Counter, "What \\ it\nsays."));
        assert!(all.declare("b_seconds", Type::Histogram, "How \"long\"."));
        assert!(all.declare("c", Type::Gauge, "Nothing."));
        assert!(!all.declare("c", Type::Counter, "Nothing."));
        let labels = Labels::default().with("stage", "a\"\\\n");
        all.number("a_total", &labels, 1.5);
        all.number("a_total", &Labels::default(), 2.0);
        let of = Figure::Histogram { counts: vec![1, 0, 2], sum: 7.25 };
        let (trace, span) = (NonZeroU128::MIN, NonZeroU64::MAX);
        let at = UNIX_EPOCH + Duration::from_millis(1500);
        let exemplar = Exemplar { value: 5.0, of: SpanContext { trace, span }, at };
        let exemplars = vec![None, None, Some(exemplar)];
        all.histogram("b_seconds", &Labels::default(), &[1e-5, 1.0], &of, exemplars);
        all.into_all()
    }

    #[test]
    fn a_page_is_as_the_format_has_it() {
        let text = "# HELP a_total What \\\\ it\\nsays.\n# TYPE a_total counter\n\
                    a_total{stage=\"a\\\"\\\\\\n\"} 1.5\na_total 2\n\
                    # HELP b_seconds How \"long\".\n# TYPE b_seconds histogram\n\
                    b_seconds_bucket{le=\"0.00001\"} 1\nb_seconds_bucket{le=\"1\"} 1\n\
                    b_seconds_bucket{le=\"+Inf\"} 3\nb_seconds_sum 7.25\nb_seconds_count 3\n";
        assert_eq!(Format::Prometheus.text(&families()), text);
    }

    #[test]
    fn openmetrics_has_units_exemplars_and_an_end() {
        let text = "# HELP a What \\\\ it\\nsays.\n# TYPE a counter\n\
                    a_total{stage=\"a\\\"\\\\\\n\"} 1.5\na_total 2\n\
                    # HELP b_seconds How \\\"long\\\".\n# TYPE b_seconds histogram\n# UNIT b_seconds seconds\n\
                    b_seconds_bucket{le=\"1e-05\"} 1\nb_seconds_bucket{le=\"1.0\"} 1\n\
                    b_seconds_bucket{le=\"+Inf\"} 3 # {trace_id=\"00000000000000000000000000000001\",\
                    span_id=\"ffffffffffffffff\"} 5 1.500\nb_seconds_sum 7.25\nb_seconds_count 3\n# EOF\n";
        assert_eq!(Format::OpenMetrics.text(&families()), text);
    }

    #[test]
    fn who_asks_for_openmetrics_gets_it() {
        let prometheus = "application/openmetrics-text;version=1.0.0,\
                          application/openmetrics-text;version=0.0.1;q=0.75,\
                          text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        for (accept, open) in [
            (prometheus, true),
            ("application/openmetrics-text", true),
            ("Application/OpenMetrics-Text; version=\"1.0.0\"; charset=utf-8", true),
            ("text/plain, application/openmetrics-text;q=0.5", false),
            ("application/openmetrics-text;version=0.0.1", false),
            ("application/openmetrics-text;q=0", false),
            ("*/*", false),
            ("", false),
        ] {
            assert_eq!(Format::accepted([accept]) == Format::OpenMetrics, open, "{accept}");
        }
        assert_eq!(Format::accepted([]), Format::Prometheus);
    }
}
