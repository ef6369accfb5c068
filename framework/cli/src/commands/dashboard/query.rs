//! What is asked of Prometheus.

use std::fmt::Write;

use gristmill_runtime::metric;

/// Which series are meant.
pub(super) struct Selector {
    labels: Vec<(&'static str, String)>,
}

impl Selector {
    /// Those of every pipeline.
    pub(super) const fn any() -> Self {
        Self { labels: Vec::new() }
    }

    /// Those of a pipeline.
    pub(super) fn pipeline(name: &str) -> Self {
        Self { labels: vec![("pipeline", name.to_owned())] }
    }

    /// Those of a stage of it.
    pub(super) fn stage(pipeline: &str, name: &str) -> Self {
        Self { labels: vec![("pipeline", pipeline.to_owned()), ("stage", name.to_owned())] }
    }

    /// The series of a metric, on the instances that are chosen.
    fn series(&self, metric: &str) -> String {
        let mut text = format!("{metric}{{instance=~\"$instance\"");
        for (label, value) in &self.labels {
            // Writing into a string does not fail.
            let _ = write!(text, ",{label}=\"{}\"", escaped(value));
        }
        text + "}"
    }
}

/// A value as it stands in quotes.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// How fast a counter grows, a second.
pub(super) fn rate(metric: &str, of: &Selector, by: &str) -> String {
    format!("sum by ({by}) (rate({}[$__rate_interval]))", of.series(metric))
}

/// How many rows a second come out of sources, which are the stages that take none in. Over minutes, as a
/// source in front of a slow stage hands on a batch now and then; and over no more than the program has run.
pub(super) fn fresh(of: &Selector) -> String {
    let (rows_out, rows_in) = (of.series(metric::ROWS_OUT), of.series(metric::ROWS_IN));
    let start = Selector::any().series(metric::OWN_START);
    format!(
        "sum by (pipeline) (sum by (pipeline, instance) (increase({rows_out}[5m]) unless ({rows_in} > 0)) \
         / on (instance) group_left () clamp_max(time() - max by (instance) ({start}), 300))"
    )
}

/// How often a counter grew in the time that is shown.
pub(super) fn increase(metric: &str, of: &Selector, by: &str) -> String {
    format!("sum by ({by}) (increase({}[$__range]))", of.series(metric))
}

/// A level, summed up.
pub(super) fn level(metric: &str, of: &Selector, by: &str) -> String {
    format!("sum by ({by}) ({})", of.series(metric))
}

/// The highest of several levels.
pub(super) fn most(metric: &str, of: &Selector, by: &str) -> String {
    format!("max by ({by}) ({})", of.series(metric))
}

/// The lowest of several levels.
pub(super) fn least(metric: &str, of: &Selector, by: &str) -> String {
    format!("min by ({by}) ({})", of.series(metric))
}

/// Which share of their time the workers of a stage spend so: busy, waiting or blocked.
pub(super) fn share_of_time(metric: &str, of: &Selector) -> String {
    let all = [metric::BUSY, metric::WAITING, metric::BLOCKED].map(|each| rate(each, of, "stage"));
    format!("{} / ({})", rate(metric, of, "stage"), all.join(" + "))
}

/// How full the channels in front of a stage are, in rows or in bytes.
pub(super) fn fill(level: &str, limit: &str, of: &Selector) -> String {
    let by = "stage, from";
    format!("{} / {}", self::level(level, of, by), self::level(limit, of, by))
}

/// Of all rows that came in, which share was rejected.
pub(super) fn rejected_share(of: &Selector) -> String {
    let taken = rate(metric::ROWS_IN, of, "pipeline");
    let taken = format!("clamp_min({taken}, 1)");
    format!("{} / {taken}", rate(metric::REJECTED, of, "pipeline"))
}

/// Numbers of a histogram.
pub(super) fn buckets(metric: &str, of: &Selector) -> String {
    rate(&format!("{metric}_bucket"), of, "le")
}

/// A query for the values of a variable.
pub(super) fn label_values(label: &str, of: &Selector) -> String {
    let labels: Vec<String> =
        of.labels.iter().map(|(label, value)| format!("{label}=\"{}\"", escaped(value))).collect();
    format!("label_values({}{{{}}}, {label})", metric::WORKERS, labels.join(","))
}
