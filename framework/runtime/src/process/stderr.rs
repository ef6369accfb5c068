//! What a child process writes to stderr: lines of the log, with stage and worker.

use std::io::{BufRead, BufReader, PipeReader, Read};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A line is cut after so many bytes.
const LONGEST: u64 = 8 << 10;

/// Copies lines into the log until the process is gone.
#[derive(Debug)]
pub(crate) struct Lines {
    last: Arc<Mutex<Option<String>>>,
    ended: Receiver<()>,
}

impl Lines {
    /// Hands each line to `log`, which may blank out what nobody should see.
    ///
    /// # Errors
    /// When the machine gives no thread.
    pub(crate) fn copy(
        from: PipeReader,
        log: impl Fn(&mut String) + Send + 'static,
    ) -> std::io::Result<Self> {
        let last: Arc<Mutex<Option<String>>> = Arc::default();
        let (end, ended) = sync_channel(1);
        let kept = last.clone();
        std::thread::Builder::new().name("stderr".to_owned()).spawn(move || {
            let mut reader = BufReader::new(from);
            while let Some(mut line) = line(&mut reader) {
                log(&mut line);
                if !is_backtrace(&line) {
                    *kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(line);
                }
            }
            // Nobody may be waiting.
            let _ = end.send(());
        })?;
        Ok(Self { last, ended })
    }

    /// The last line that is not part of a backtrace. Waits until the process that wrote it has closed
    /// its end, but not for long: a process of its own making may still have it open.
    pub(crate) fn last(&self) -> Option<String> {
        let _ = self.ended.recv_timeout(Duration::from_millis(200));
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Whether a line tells where something happened, and not what.
fn is_backtrace(line: &str) -> bool {
    let starts = [" ", "note:", "stack backtrace:", "skipping backtrace"];
    starts.iter().any(|start| line.starts_with(start))
}

fn line(reader: &mut impl BufRead) -> Option<String> {
    let mut bytes = Vec::new();
    let read = reader.by_ref().take(LONGEST).read_until(b'\n', &mut bytes).ok()?;
    let line = String::from_utf8_lossy(&bytes).trim_end().to_owned();
    (read > 0).then_some(line)
}
