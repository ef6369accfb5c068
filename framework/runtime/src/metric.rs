//! The names of the metrics, which dashboards and alerts ask for. They follow the conventions of
//! Prometheus: base units, and `_total` for what only grows.

use gristmill_stage::reading::{Measure, Reading};

/// Rows that the stage took in.
pub const ROWS_IN: &str = "gristmill_stage_rows_in_total";
/// Rows that the stage handed on.
pub const ROWS_OUT: &str = "gristmill_stage_rows_out_total";
/// Batches that the stage took in.
pub const BATCHES_IN: &str = "gristmill_stage_batches_in_total";
/// Batches that the stage handed on.
pub const BATCHES_OUT: &str = "gristmill_stage_batches_out_total";
/// Bytes of Arrow buffers that the stage took in.
pub const BYTES_IN: &str = "gristmill_stage_in_bytes_total";
/// Bytes of Arrow buffers that the stage handed on.
pub const BYTES_OUT: &str = "gristmill_stage_out_bytes_total";
/// Rows that the stage rejected, by the class of the reason.
pub const REJECTED: &str = "gristmill_stage_rows_rejected_total";
/// Errors of the stage by kind; an error ends the run.
pub const ERRORS: &str = "gristmill_stage_errors_total";
/// Seconds that the stage's workers worked.
pub const BUSY: &str = "gristmill_stage_busy_seconds_total";
/// Seconds that the stage's workers waited for input.
pub const WAITING: &str = "gristmill_stage_waiting_seconds_total";
/// Seconds that the stage's workers waited for room downstream.
pub const BLOCKED: &str = "gristmill_stage_blocked_seconds_total";
/// Seconds that the stage took for a batch.
pub const BATCH_DURATION: &str = "gristmill_stage_batch_duration_seconds";
/// Workers of the stage.
pub const WORKERS: &str = "gristmill_stage_workers";
/// Rows in the channel in front of the stage.
pub const QUEUE_ROWS: &str = "gristmill_queue_rows";
/// Bytes in the channel in front of the stage.
pub const QUEUE_BYTES: &str = "gristmill_queue_bytes";
/// Rows that the channel in front of the stage can hold.
pub const QUEUE_ROWS_LIMIT: &str = "gristmill_queue_limit_rows";
/// Bytes that the channel in front of the stage can hold.
pub const QUEUE_BYTES_LIMIT: &str = "gristmill_queue_limit_bytes";
/// Child processes of the stage that died and were replaced, by cause.
pub const DEATHS: &str = "gristmill_stage_process_deaths_total";
/// Processor seconds of the worker, its child processes included, the dead ones as well.
pub const CPU: &str = "gristmill_stage_cpu_seconds_total";
/// Bytes resident in the stage's child processes.
pub const PROCESS_MEMORY: &str = "gristmill_stage_process_resident_memory_bytes";
/// The most bytes that one child process of the stage had resident.
pub const PROCESS_PEAK: &str = "gristmill_stage_process_resident_memory_peak_bytes";
/// Always one; its labels say which pipeline runs, and the hash of its file.
pub const PIPELINE: &str = "gristmill_pipeline_info";
/// Always one; its label `version` says which Gristmill runs.
pub const BUILD: &str = "gristmill_build_info";
/// Spans of traces that were recorded.
pub const SPANS: &str = "gristmill_trace_spans_total";
/// Spans that were recorded and did not get to the collector.
pub const SPANS_DROPPED: &str = "gristmill_trace_spans_dropped_total";
/// Processor seconds of the whole program, its child processes apart.
pub const OWN_CPU: &str = "process_cpu_seconds_total";
/// Bytes resident in the whole program, its child processes apart.
pub const OWN_MEMORY: &str = "process_resident_memory_bytes";
/// When the program was started, in seconds since 1970.
pub const OWN_START: &str = "process_start_time_seconds";
/// Files that the program has open.
pub const OWN_FILES: &str = "process_open_fds";
/// Files that it may have open.
pub const OWN_FILES_LIMIT: &str = "process_max_fds";

/// Words after `gristmill_` that are the framework's; a kind of such a name keeps out of their way.
const TAKEN: [&str; 5] = ["stage", "queue", "pipeline", "build", "trace"];

/// The metric that a reading of a kind is.
pub fn of_reading(kind: &str, reading: &Reading) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
    let own: String = kind.chars().map(plain).collect();
    let before = if TAKEN.contains(&own.as_str()) { "kind_" } else { "" };
    let unit = reading.unit.map(|unit| format!("_{}", unit.name())).unwrap_or_default();
    let total = if reading.measure == Measure::Counter { "_total" } else { "" };
    format!("gristmill_{before}{own}_{}{unit}{total}", reading.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use gristmill_stage::reading::Unit;

    #[test]
    fn names_of_readings_follow_the_conventions() {
        let spilled = Reading::counter("spilled", "").unit(Unit::Bytes);
        assert_eq!(of_reading("sort", &spilled), "gristmill_sort_spilled_bytes_total");
        assert_eq!(of_reading("acme.So-rt", &spilled), "gristmill_acme_so_rt_spilled_bytes_total");
        assert_eq!(of_reading("x", &Reading::gauge("held", "")), "gristmill_x_held");
    }
}
