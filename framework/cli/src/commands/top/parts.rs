//! Parts of the screen, as text.

use std::time::Duration;

use gristmill_runtime::view::{RunView, StageView, Times};
use ratatui::style::{Color, Style};
use ratatui::text::{Line, Span};

use crate::figures::{count, per_second, percent, time};

/// Whether a stage holds the others up.
pub(super) fn is_limit(view: &RunView, id: usize) -> bool {
    view.limit.stage == Some(id)
}

/// The run as a whole.
pub(super) fn head(view: &RunView) -> String {
    let stopping = if view.stopping { "  stopping" } else { "" };
    let rejected = match view.rejected.rows {
        0 => String::new(),
        rows => format!("  {} rejected", count(rows)),
    };
    format!(
        "{}  {:.0}s{stopping}{rejected}  {:.1} of {} processors  {}",
        view.pipeline,
        view.elapsed,
        view.program.recent_processors,
        view.program.processors,
        bytes(view.program.memory as f64)
    )
}

/// The name, with a mark at the one that limits: not colour alone tells.
pub(super) fn stage_name(stage: &StageView, limits: bool) -> String {
    format!("{} {}", if limits { "▶" } else { " " }, stage.name)
}

/// What comes out; of a sink, what comes in.
pub(super) fn rates(stage: &StageView) -> String {
    let sink = stage.role == "sink";
    per_second(if sink { stage.recent.rows_in } else { stage.recent.rows_out })
}

/// Where the time goes, in so many letters.
pub(super) fn bar(times: Times, width: usize) -> Line<'static> {
    let letters = |share: f64| (share * width as f64).round() as usize;
    let busy = letters(times.busy).min(width);
    let blocked = letters(times.blocked).min(width - busy);
    let all = times.busy + times.blocked + times.waiting > 0.0;
    let waiting = if all { width - busy - blocked } else { 0 };
    let part = |letter: &str, many: usize, colour| {
        Span::styled(letter.repeat(many), Style::new().fg(colour))
    };
    Line::from(vec![
        part("█", busy, Color::Blue),
        part("▒", blocked, Color::Yellow),
        part("·", waiting, Color::DarkGray),
    ])
}

/// How full the fullest channel in front of a stage is.
pub(super) fn edges(view: &RunView, id: usize) -> String {
    let before = view.edges.iter().filter(|edge| edge.to == id);
    let fill = before
        .map(|edge| edge.recent_fill)
        .fold(None, |most, fill| Some(f64::max(most.unwrap_or(0.0), fill)));
    fill.map(percent).unwrap_or_default()
}

/// How a stage runs.
pub(super) fn workers(stage: &StageView) -> String {
    let mut text = format!("{} × {}", stage.mode, stage.workers.len());
    let children: Vec<_> = stage.workers.iter().filter_map(|one| one.child.as_ref()).collect();
    if !children.is_empty() {
        let memory: u64 = children.iter().map(|child| child.memory).sum();
        let deaths: u64 = children.iter().flat_map(|child| child.deaths.values()).sum();
        text.push_str(&format!(", {}", bytes(memory as f64)));
        if deaths > 0 {
            text.push_str(&format!(", {deaths} died"));
        }
    }
    if stage.rejected > 0 {
        text.push_str(&format!(", {} rejected", count(stage.rejected)));
    }
    if stage.ending == "complete" {
        text.push_str(", done");
    }
    text
}

/// All that is known of a stage.
pub(super) fn details(view: &RunView, id: usize) -> String {
    let stage = &view.stages[id];
    let Times { busy, waiting, blocked } = stage.recent.times;
    let mut lines = vec![
        format!("{}, {}", stage.kind, workers(stage)),
        format!(
            "in {} rows, out {} rows, {} rejected",
            count(stage.taken.rows),
            count(stage.sent.rows),
            count(stage.rejected)
        ),
        format!(
            "now {}/s in, {}/s out",
            per_second(stage.recent.rows_in),
            per_second(stage.recent.rows_out)
        ),
        format!(
            "busy {}, waiting {}, blocked {}{}",
            percent(busy),
            percent(waiting),
            percent(blocked),
            processors(stage.recent.processors)
        ),
        format!("a call takes {}, 99 of 100 under {}", call(stage.call_p50), call(stage.call_p99)),
    ];
    for edge in view.edges.iter().filter(|edge| edge.to == id) {
        lines.push(format!(
            "from {}: {} of {} rows, {} of {}, {}/s",
            view.stages.get(edge.from).map_or("", |from| from.name.as_str()),
            count(edge.rows as u64),
            count(edge.limit_rows as u64),
            bytes(edge.bytes as f64),
            bytes(edge.limit_bytes as f64),
            per_second(edge.recent_rows)
        ));
    }
    for (number, worker) in stage.workers.iter().enumerate() {
        let child = worker.child.as_ref().map(|child| {
            let pid = child.pid.map_or_else(|| "none".to_owned(), |pid| pid.to_string());
            let deaths: u64 = child.deaths.values().sum();
            format!(", pid {pid}, {}, {deaths} died", bytes(child.memory as f64))
        });
        lines.push(format!(
            "worker {number}: busy {}, {}/s in, {}/s out{}{}",
            percent(worker.recent.times.busy),
            per_second(worker.recent.rows_in),
            per_second(worker.recent.rows_out),
            processors(worker.recent.processors),
            child.unwrap_or_default()
        ));
    }
    for (kind, times) in &stage.errors {
        lines.push(format!("errors: {kind} {times}"));
    }
    let own = view.rejected.samples.iter().filter(|sample| sample.stage == stage.name);
    lines.extend(own.take(3).map(|sample| format!("rejected: {}", sample.reason)));
    lines.join("\n")
}

fn processors(used: Option<f64>) -> String {
    used.map_or_else(String::new, |used| format!(", {used:.2} processors"))
}

fn call(seconds: f64) -> String {
    time(Duration::try_from_secs_f64(seconds).unwrap_or_default())
}

/// `1.2 GiB`.
fn bytes(number: f64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut value, mut unit) = (number, 0);
    while value >= 1024.0 && unit + 1 < units.len() {
        (value, unit) = (value / 1024.0, unit + 1);
    }
    if unit == 0 { format!("{value:.0} B") } else { format!("{value:.1} {}", units[unit]) }
}
