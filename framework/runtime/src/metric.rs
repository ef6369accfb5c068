//! The names of the metrics, which dashboards and alerts ask for. They follow the conventions of
//! Prometheus: base units, and `_total` for what only grows.

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
/// Rows that the stage rejected.
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
/// Processor seconds of the stage's child processes, the dead ones included.
pub const PROCESS_CPU: &str = "gristmill_stage_process_cpu_seconds_total";
/// Bytes resident in the stage's child processes.
pub const PROCESS_MEMORY: &str = "gristmill_stage_process_resident_memory_bytes";
/// The most bytes that one child process of the stage had resident.
pub const PROCESS_PEAK: &str = "gristmill_stage_process_resident_memory_peak_bytes";
