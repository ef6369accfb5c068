//! The dead letters: rejected rows, each with stage, reason, time and origin, as JSON lines.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::SystemTime;

use arrow_array::RecordBatch;
use arrow_json::{WriterBuilder, writer::LineDelimited};
use chrono::{DateTime, SecondsFormat, Utc};
use gristmill_config::{RejectedPlan, Secrets};
use gristmill_stage::{Clock, Error, Result};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::control::{Control, Failure};

/// Rejected rows on their way to the file.
#[derive(Debug)]
pub struct Letter {
    /// The stage that rejected them.
    pub stage: Arc<str>,
    /// Which of its workers.
    pub worker: usize,
    /// How many batches that worker had taken.
    pub batch: u64,
    /// Why.
    pub reason: String,
    /// The rows as they came in.
    pub rows: RecordBatch,
}

/// Letters that may wait for the file. Few: a batch can be large.
const WAITING: usize = 4;

/// The box that all workers of a run put letters into.
#[derive(Clone)]
pub struct LetterBox {
    sender: mpsc::Sender<Letter>,
    count: Arc<AtomicU64>,
    limit: Option<u64>,
}

impl LetterBox {
    /// Hands rows over; waits while the file is slow.
    ///
    /// # Errors
    /// When more rows were rejected than the pipeline allows, or the file failed.
    pub async fn send(&self, letter: Letter) -> Result<()> {
        let rows = letter.rows.num_rows() as u64;
        let reason = letter.reason.clone();
        let sent = self.sender.send(letter).await;
        let count = self.count.fetch_add(rows, Ordering::Relaxed) + rows;
        sent.map_err(|_| Error::io("the file for rejected rows cannot be written"))?;
        match self.limit {
            Some(limit) if count > limit => Err(Error::data(format!(
                "{count} rows were rejected, more than the limit of {limit}; the last because: {reason}"
            ))),
            _ => Ok(()),
        }
    }

    /// Rows rejected so far in the whole run.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }
}

/// Starts the thread that writes the file. It ends when all boxes are dropped.
///
/// # Errors
/// When the thread cannot be started.
pub fn start(
    plan: &RejectedPlan,
    secrets: Secrets,
    clock: Arc<dyn Clock>,
    control: Arc<Control>,
) -> Result<(LetterBox, JoinHandle<()>)> {
    let (sender, mut receiver) = mpsc::channel::<Letter>(WAITING);
    let mut file = LetterFile { path: plan.path.clone(), secrets, writer: None };
    let thread = std::thread::Builder::new()
        .name("dead-letters".to_owned())
        .spawn(move || {
            while let Some(letter) = receiver.blocking_recv() {
                let more = !receiver.is_empty();
                if let Err(error) = file.write(&letter, clock.wall(), more) {
                    let Letter { worker, batch, .. } = letter;
                    control.fail(Failure { stage: letter.stage.to_string(), worker, batch, error });
                    return;
                }
            }
        })
        .map_err(|e| Error::io(format!("no thread for the rejected rows: {e}")))?;
    let letters = LetterBox { sender, count: Arc::default(), limit: plan.limit };
    Ok((letters, thread))
}

/// The file, made with the first letter.
struct LetterFile {
    path: PathBuf,
    secrets: Secrets,
    writer: Option<BufWriter<File>>,
}

impl LetterFile {
    fn write(&mut self, letter: &Letter, time: SystemTime, more: bool) -> Result<()> {
        let wrong = |e: std::io::Error| {
            Error::io(format!("rejected rows cannot be written to {}: {e}", self.path.display()))
        };
        if self.writer.is_none() {
            self.writer = Some(BufWriter::new(open(&self.path).map_err(wrong)?));
        }
        let Some(writer) = &mut self.writer else { return Ok(()) };
        let time = DateTime::<Utc>::from(time).to_rfc3339_opts(SecondsFormat::Millis, true);
        for row in json_rows(&letter.rows)? {
            let line = json!({
                "stage": &*letter.stage,
                "reason": letter.reason,
                "time": time,
                "origin": { "worker": letter.worker, "batch": letter.batch },
                "row": row,
            })
            .to_string();
            let line = self.secrets.redact(&line);
            writer.write_all(line.as_bytes()).map_err(wrong)?;
            writer.write_all(b"\n").map_err(wrong)?;
        }
        if !more {
            writer.flush().map_err(wrong)?;
        }
        Ok(())
    }
}

fn open(path: &Path) -> std::io::Result<File> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder)?;
    }
    // Appended to, as a queue of dead letters is: what an earlier run left is not thrown away.
    OpenOptions::new().create(true).append(true).open(path)
}

/// The rows as JSON objects, nulls included.
fn json_rows(rows: &RecordBatch) -> Result<Vec<Value>> {
    if rows.num_columns() == 0 {
        return Ok(vec![json!({}); rows.num_rows()]);
    }
    let mut text = Vec::new();
    let mut writer =
        WriterBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(&mut text);
    writer.write(rows)?;
    writer.finish()?;
    text.split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| {
            serde_json::from_slice(line)
                .map_err(|e| Error::internal(format!("a rejected row is no JSON: {e}")))
        })
        .collect()
}
