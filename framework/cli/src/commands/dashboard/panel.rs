//! The panels.

use gristmill_runtime::metric::{self, of_reading};
use gristmill_stage::Reading;
use gristmill_stage::reading::{Measure, Unit};
use serde_json::{Value, json};

use super::query::{
    Selector, buckets, fill, fresh, increase, least, level, most, rate, rejected_share as rejected,
    share_of_time,
};

/// Where the figures come from: what is chosen at the top of the page.
pub(super) fn datasource() -> Value {
    json!({ "type": "prometheus", "uid": "${datasource}" })
}

/// A query and what its series are called.
fn target(at: usize, (expression, legend): &(String, &str)) -> Value {
    let letter = char::from(b'A' + u8::try_from(at).unwrap_or_default());
    json!({
        "refId": letter.to_string(),
        "datasource": datasource(),
        "expr": expression,
        "legendFormat": legend,
        "range": true,
    })
}

fn panel(kind: &str, title: &str, tells: &str, unit: &str, queries: &[(String, &str)]) -> Value {
    let targets: Vec<Value> = queries.iter().enumerate().map(|(at, q)| target(at, q)).collect();
    json!({
        "type": kind,
        "title": title,
        "description": tells,
        "datasource": datasource(),
        "fieldConfig": { "defaults": { "unit": unit, "min": 0 }, "overrides": [] },
        "targets": targets,
    })
}

fn lines(title: &str, tells: &str, unit: &str, queries: &[(String, &str)]) -> Value {
    let mut panel = panel("timeseries", title, tells, unit, queries);
    panel["fieldConfig"]["defaults"]["custom"] = json!({ "lineWidth": 1, "fillOpacity": 8 });
    panel["options"] = json!({
        "legend": { "displayMode": "list", "placement": "bottom", "showLegend": true },
        "tooltip": { "mode": "multi", "sort": "desc" },
    });
    panel
}

/// One number, with the colours that it has from which value on.
fn number(
    title: &str,
    tells: &str,
    unit: &str,
    query: (String, &str),
    colours: &[(f64, &str)],
) -> Value {
    let mut panel = panel("stat", title, tells, unit, &[query]);
    let steps = colours.iter().map(|(from, colour)| json!({ "value": from, "color": colour }));
    let first = std::iter::once(json!({ "value": null, "color": "green" }));
    let steps: Vec<Value> = first.chain(steps).collect();
    panel["fieldConfig"]["defaults"]["thresholds"] = json!({ "mode": "absolute", "steps": steps });
    panel["options"] = json!({ "reduceOptions": { "calcs": ["lastNotNull"] } });
    panel
}

/// The stage that works the most: to make it faster makes the pipeline faster.
pub(super) fn bottleneck(of: &Selector) -> Value {
    let query = format!("topk(1, {})", share_of_time(metric::BUSY, of));
    let tells = "The stage whose workers are busy for the greatest share of their time. \
        More workers for it, or another mode, make the whole pipeline faster; \
        below about 80% nothing in the pipeline limits it, but what it waits for outside.";
    let mut panel =
        number("Bottleneck", tells, "percentunit", (query, "{{stage}}"), &[(0.8, "orange")]);
    panel["targets"][0]["instant"] = json!(true);
    panel["targets"][0]["range"] = json!(false);
    panel["options"]["textMode"] = json!("value_and_name");
    panel
}

pub(super) fn rows_per_second(of: &Selector) -> Value {
    let tells = "Rows a second that came out of the pipeline's sources in the last five minutes.";
    number("Rows a second", tells, "cps", (fresh(of), ""), &[])
}

pub(super) fn rejected_share(of: &Selector) -> Value {
    let tells = "Of the rows that stages take in, which share they reject. The rejected rows, and why, \
        are in the file for rejected rows.";
    let colours = [(0.001, "orange"), (0.05, "red")];
    number("Rejected", tells, "percentunit", (rejected(of), ""), &colours)
}

pub(super) fn deaths(of: &Selector) -> Value {
    let tells =
        "Child processes that died in the time shown, and were replaced. No row is lost by that.";
    let query = increase(metric::DEATHS, of, "pipeline");
    number(
        "Deaths of child processes",
        tells,
        "short",
        (query, ""),
        &[(1.0, "orange"), (10.0, "red")],
    )
}

pub(super) fn throughput_by_stage(of: &Selector) -> Value {
    let query = rate(metric::ROWS_OUT, of, "stage");
    lines(
        "Rows out by stage",
        "Rows a second that each stage hands on.",
        "cps",
        &[(query, "{{stage}}")],
    )
}

pub(super) fn utilisation_by_stage(of: &Selector) -> Value {
    let tells = "Which share of their time the workers of each stage are busy. The highest line is the bottleneck.";
    let query = share_of_time(metric::BUSY, of);
    let mut panel = lines("Busy by stage", tells, "percentunit", &[(query, "{{stage}}")]);
    panel["fieldConfig"]["defaults"]["max"] = json!(1);
    panel
}

pub(super) fn throughput(of: &Selector) -> Value {
    let queries =
        [(rate(metric::ROWS_IN, of, "stage"), "in"), (rate(metric::ROWS_OUT, of, "stage"), "out")];
    lines("Throughput", "Rows a second.", "cps", &queries)
}

pub(super) fn time_split(of: &Selector) -> Value {
    let tells = "What the workers do with their time: work, wait for input, or wait for room further on. \
        Much `busy`: this stage limits. Much `waiting`: one before it does. Much `blocked`: one behind it does.";
    let queries = [
        (share_of_time(metric::BUSY, of), "busy"),
        (share_of_time(metric::WAITING, of), "waiting"),
        (share_of_time(metric::BLOCKED, of), "blocked"),
    ];
    let mut panel = lines("Time", tells, "percentunit", &queries);
    panel["fieldConfig"]["defaults"]["max"] = json!(1);
    panel["fieldConfig"]["defaults"]["custom"] = json!({ "lineWidth": 0, "fillOpacity": 70, "stacking": { "mode": "normal", "group": "A" } });
    panel
}

pub(super) fn queue_fill(of: &Selector) -> Value {
    let tells = "How full the channels in front of the stage are. A source has none.";
    let queries = [
        (fill(metric::QUEUE_ROWS, metric::QUEUE_ROWS_LIMIT, of), "rows, from {{from}}"),
        (fill(metric::QUEUE_BYTES, metric::QUEUE_BYTES_LIMIT, of), "bytes, from {{from}}"),
    ];
    let mut panel = lines("Channel fill", tells, "percentunit", &queries);
    panel["fieldConfig"]["defaults"]["max"] = json!(1);
    panel
}

pub(super) fn latency(of: &Selector) -> Value {
    let tells = "How long a batch takes in the stage.";
    heatmap("Time for a batch", tells, "s", buckets(metric::BATCH_DURATION, of))
}

fn heatmap(title: &str, tells: &str, unit: &str, query: String) -> Value {
    let mut panel = panel("heatmap", title, tells, unit, &[(query, "{{le}}")]);
    panel["targets"][0]["format"] = json!("heatmap");
    panel["options"] = json!({
        "calculate": false,
        "yAxis": { "unit": unit },
        "color": { "mode": "scheme", "scheme": "Oranges", "steps": 64 },
        "cellGap": 1,
    });
    panel
}

pub(super) fn errors(of: &Selector) -> Value {
    let tells = "Rows that were rejected and child processes that died, a second, and errors, each of which ends a run.";
    // Most causes and kinds never occur.
    let some = |metric, by| format!("{} > 0", rate(metric, of, by));
    let queries = [
        (some(metric::REJECTED, "reason"), "rejected rows, {{reason}}"),
        (some(metric::DEATHS, "cause"), "deaths, {{cause}}"),
        (some(metric::ERRORS, "error"), "errors, {{error}}"),
    ];
    lines("Rejected, deaths, errors", tells, "cps", &queries)
}

pub(super) fn processors_by_stage(of: &Selector) -> Value {
    let tells = "Processors that each stage uses, its child processes included.";
    let query = rate(metric::CPU, of, "stage");
    lines("Processors by stage", tells, "short", &[(query, "{{stage}}")])
}

pub(super) fn memory_of_all(of: &Selector) -> Value {
    let tells = "Memory of the program, in which all stages are that have no processes of their own, \
        and of the child processes of the others.";
    let queries = [
        (level(metric::OWN_MEMORY, &Selector::any(), "instance"), "program, {{instance}}"),
        (level(metric::PROCESS_MEMORY, of, "stage"), "child processes, {{stage}}"),
    ];
    lines("Memory by mode", tells, "bytes", &queries)
}

pub(super) fn processor(of: &Selector) -> Value {
    let tells = "Processors that the stage uses. Of a pooled stage, async work (requests under way) is not in it: it runs on \
        threads that all stages of a pool share.";
    lines("Processors", tells, "short", &[(rate(metric::CPU, of, "mode"), "{{mode}}")])
}

pub(super) fn by_worker(of: &Selector) -> Value {
    let tells = "Rows a second that each worker takes in; of a source, hands on. One far above the others: rows are dealt out by a \
        column with few values.";
    let by = "worker";
    let (taken, sent) = (rate(metric::ROWS_IN, of, by), rate(metric::ROWS_OUT, of, by));
    let query = format!("({taken}) > 0 or ({sent})");
    lines("Rows by worker", tells, "cps", &[(query, "{{worker}}")])
}

pub(super) fn memory(of: &Selector) -> Value {
    let tells = "Memory of the stage's child processes, and the most that one of them ever had. In the other modes, memory is that \
        of the whole program.";
    let queries = [
        (level(metric::PROCESS_MEMORY, of, "stage"), "resident"),
        (most(metric::PROCESS_PEAK, of, "stage"), "peak of one"),
    ];
    lines("Memory", tells, "bytes", &queries)
}

/// What stages of a kind tell of their work.
pub(super) fn reading(of: &Selector, kind: &str, reading: &Reading) -> Value {
    let Reading { name, measure, unit, help, label } = reading;
    let metric = of_reading(kind, reading);
    let title = format!("{kind}: {}", name.replace('_', " "));
    let (by, legend) = match label {
        Some((label, _)) => (format!("stage, {label}"), format!("{{{{stage}}}}, {{{{{label}}}}}")),
        None => ("stage".to_owned(), "{{stage}}".to_owned()),
    };
    let shown = match unit {
        Some(Unit::Seconds) => "s",
        Some(Unit::Bytes) => "bytes",
        None => "short",
    };
    match measure {
        Measure::Counter => {
            let shown = if unit.is_none() { "cps" } else { "Bps" };
            lines(&title, help, shown, &[(rate(&metric, of, &by), &legend)])
        }
        // The time of something is shown as how long ago that is.
        Measure::Lowest if name.ends_with("timestamp") => {
            let lag = format!("time() - {}", least(&metric, of, &by));
            lines(&format!("{title}, behind now"), help, shown, &[(lag, &legend)])
        }
        Measure::Lowest => lines(&title, help, shown, &[(least(&metric, of, &by), &legend)]),
        Measure::Gauge => lines(&title, help, shown, &[(level(&metric, of, &by), &legend)]),
        Measure::Histogram(_) => heatmap(&title, help, shown, buckets(&metric, of)),
    }
}
