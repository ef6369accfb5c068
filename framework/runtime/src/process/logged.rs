//! A line that a child process has for the log of the run.

use gristmill_stage::Redact;
use gristmill_wire::Log;

/// Logs a line of this worker of a stage.
pub(super) fn logged(log: &Log, stage: &str, worker: usize, redact: &Redact) {
    let (part, text) = (log.part.as_deref(), redact(&log.message));
    match log.level.as_str() {
        "error" => tracing::error!(stage, worker, part, "{text}"),
        "warn" => tracing::warn!(stage, worker, part, "{text}"),
        "info" => tracing::info!(stage, worker, part, "{text}"),
        "trace" => tracing::trace!(stage, worker, part, "{text}"),
        _ => tracing::debug!(stage, worker, part, "{text}"),
    }
}
