//! The table at the end of a run.

use std::time::Duration;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{Cell, CellAlignment, Table};
use gristmill_runtime::{ProcessStatus, Report, StageStatus};
use gristmill_stage::option::ByteSize;
use tracing::Level;

use crate::figures::{count, percent, rate, time};
use crate::say::SAID;

const HEAD: [&str; 12] = [
    "stage",
    "mode",
    "rows in",
    "rows out",
    "rejected",
    "rows/s",
    "busy",
    "waiting",
    "blocked",
    "p50/batch",
    "p99/batch",
    "errors",
];

const PROCESSES: [&str; 6] =
    ["child processes of", "processes", "restarts", "cpu", "peak memory", "died of"];

/// A row for each stage, and a second table for the child processes, if there were some.
pub fn tables(report: &Report) -> String {
    match processes(report) {
        None => table(report),
        Some(processes) => format!("{}\n{processes}", table(report)),
    }
}

/// The same for programs: a line of the log for each stage.
pub fn records(report: &Report) {
    for stage in &report.stages {
        let [busy, waiting, blocked] = [stage.times.busy, stage.times.waiting, stage.times.blocked]
            .map(|time| time.as_secs_f64());
        tracing::event!(
            name: SAID, target: SAID, Level::ERROR,
            stage = stage.name, kind = stage.kind, mode = stage.mode.name(),
            workers = stage.workers as u64,
            rows_in = stage.taken.rows, rows_out = stage.sent.rows, rejected = stage.rejected,
            busy_seconds = busy, waiting_seconds = waiting, blocked_seconds = blocked,
            cpu_seconds = stage.cpu.as_secs_f64(),
            restarts = stage.process.as_ref().map_or(0, ProcessStatus::restarts),
            "the stage has ended",
        );
    }
}

fn processes(report: &Report) -> Option<String> {
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED).set_header(PROCESSES);
    for stage in &report.stages {
        let Some(process) = &stage.process else { continue };
        let causes: Vec<_> = process
            .deaths
            .iter()
            .map(|(class, n)| format!("{} {}", class.name(), count(*n)))
            .collect();
        table.add_row([
            stage.name.clone(),
            count(stage.workers as u64),
            count(process.restarts()),
            time(process.cpu),
            ByteSize(process.peak_memory).to_string(),
            causes.join(", "),
        ]);
    }
    for column in table.column_iter_mut().skip(1).take(4) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    (!table.is_empty()).then(|| table.to_string())
}

fn table(report: &Report) -> String {
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED).set_header(HEAD);
    for stage in &report.stages {
        table.add_row(row(stage, report.took));
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        if index > 1 {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.to_string()
}

fn row(stage: &StageStatus, took: Duration) -> Vec<Cell> {
    let [busy, waiting, blocked] = stage.times.shares().map(percent);
    let errors: u64 = stage.errors.iter().map(|(_, count)| count).sum();
    [
        stage.name.clone(),
        format!("{} ×{}", stage.mode.name(), stage.workers),
        count(stage.taken.rows),
        count(stage.sent.rows),
        count(stage.rejected),
        rate(stage.taken.rows.max(stage.sent.rows), took),
        busy,
        waiting,
        blocked,
        time(stage.call_p50),
        time(stage.call_p99),
        count(errors),
    ]
    .into_iter()
    .map(Cell::new)
    .collect()
}
