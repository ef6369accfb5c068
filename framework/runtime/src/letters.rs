//! The dead letters: rejected rows, each with stage, reason, time and origin, as JSON lines.

use std::borrow::Cow;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use arrow_array::RecordBatch;
use chrono::{DateTime, SecondsFormat, Utc};
use gristmill_config::{RejectedPlan, Secrets};
use gristmill_stage::{Clock, Error, Result, json};
use tokio::sync::{mpsc, oneshot};

use crate::control::{Control, Failure};
use crate::latest::Latest;
use crate::view::RejectedSample;

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

/// What the box takes.
enum Mail {
    Letter(Letter),
    /// Answered when all letters before it are in the file.
    Settle(oneshot::Sender<()>),
}

/// Letters that may wait for the file. Few: a batch can be large.
const WAITING: usize = 4;

/// So many of one batch, so that it leaves others their place.
const SAMPLES_OF_ONE: usize = 3;
/// Bytes of a row that are shown.
const SHOWN: usize = 2000;

/// The box that all workers of a run put letters into.
#[derive(Clone)]
pub struct LetterBox {
    sender: mpsc::Sender<Mail>,
    latest: Latest,
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
        let sent = self.sender.send(Mail::Letter(letter)).await;
        let count = self.latest.add(rows);
        sent.map_err(|_| gone())?;
        match self.limit {
            Some(limit) if count > limit => Err(Error::data(format!(
                "{count} rows were rejected, more than the limit of {limit}; the last because: {reason}"
            ))),
            _ => Ok(()),
        }
    }

    /// Waits until all letters so far are in the file.
    ///
    /// # Errors
    /// When the file failed.
    pub async fn settled(&self) -> Result<()> {
        if self.count() == 0 {
            return Ok(());
        }
        let (settled, wait) = oneshot::channel();
        self.sender.send(Mail::Settle(settled)).await.map_err(|_| gone())?;
        wait.await.map_err(|_| gone())
    }

    /// Rows rejected so far in the whole run.
    pub fn count(&self) -> u64 {
        self.latest.count()
    }

    /// For those who look at the run.
    pub fn latest(&self) -> Latest {
        self.latest.clone()
    }
}

fn gone() -> Error {
    Error::io("the file for rejected rows cannot be written")
}

/// Of a run that is broken off, the letters are waited for so long: their file may be a pipe that
/// nobody reads.
const GRACE: Duration = Duration::from_secs(1);

/// The thread that writes the file.
pub struct Writer {
    thread: JoinHandle<()>,
    /// Closed by its end.
    ended: Receiver<()>,
}

impl Writer {
    /// Waits until all letters are in the file, or the run is broken off and they do not get there.
    /// All boxes must be gone.
    ///
    /// # Errors
    /// When the thread panicked, or was given up.
    pub fn finish(self, control: &Control) -> Result<()> {
        let mut given_up = false;
        while self.ended.recv_timeout(GRACE) == Err(RecvTimeoutError::Timeout) {
            // Seen twice, so that there was all the time of one wait.
            if std::mem::replace(&mut given_up, control.is_aborted()) {
                return Err(Error::io(
                    "not all rejected rows could be written: their file takes none",
                ));
            }
        }
        let ended = self.thread.join();
        ended.map_err(|_| Error::internal("the writer of rejected rows panicked"))
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
) -> Result<(LetterBox, Writer)> {
    let (sender, mut receiver) = mpsc::channel::<Mail>(WAITING);
    let latest = Latest::default();
    let mut file =
        LetterFile { path: plan.path.clone(), secrets, writer: None, latest: latest.clone() };
    let (end, ended) = sync_channel(0);
    let thread = std::thread::Builder::new()
        .name("dead-letters".to_owned())
        .spawn(move || {
            let _end = end;
            while let Some(mail) = receiver.blocking_recv() {
                let letter = match mail {
                    Mail::Letter(letter) => letter,
                    Mail::Settle(settled) => {
                        // Unanswered, it tells that the file failed; who asked may have gone.
                        if file.flush().is_ok() {
                            let _ = settled.send(());
                        }
                        continue;
                    }
                };
                let more = !receiver.is_empty();
                let written = file.write(&letter, clock.wall());
                if let Err(error) = written.and_then(|()| if more { Ok(()) } else { file.flush() })
                {
                    let Letter { worker, batch, .. } = letter;
                    control.fail(Failure { stage: letter.stage.to_string(), worker, batch, error });
                    return;
                }
            }
        })
        .map_err(|e| Error::io(format!("no thread for the rejected rows: {e}")))?;
    let letters = LetterBox { sender, latest, limit: plan.limit };
    Ok((letters, Writer { thread, ended }))
}

/// The file, made with the first letter.
struct LetterFile {
    path: PathBuf,
    secrets: Secrets,
    writer: Option<BufWriter<File>>,
    latest: Latest,
}

impl LetterFile {
    fn wrong(path: &Path) -> impl Fn(std::io::Error) -> Error + use<> {
        let path = path.to_owned();
        move |e| Error::io(format!("rejected rows cannot be written to {}: {e}", path.display()))
    }

    fn flush(&mut self) -> Result<()> {
        match &mut self.writer {
            Some(writer) => writer.flush().map_err(Self::wrong(&self.path)),
            None => Ok(()),
        }
    }

    fn write(&mut self, letter: &Letter, time: SystemTime) -> Result<()> {
        let wrong = Self::wrong(&self.path);
        if self.writer.is_none() {
            self.writer = Some(BufWriter::new(open(&self.path).map_err(&wrong)?));
        }
        let Some(writer) = &mut self.writer else { return Ok(()) };
        let time = DateTime::<Utc>::from(time).to_rfc3339_opts(SecondsFormat::Millis, true);
        let head = serde_json::json!({
            "stage": &*letter.stage,
            "reason": letter.reason,
            "time": time,
            "origin": { "worker": letter.worker, "batch": letter.batch },
        });
        // Left open for the row, which is not parsed again: its numbers stay as they are.
        let mut head = head.to_string();
        head.pop();
        for (n, row) in json_rows(&letter.rows)?.lines().enumerate() {
            let line = format!("{head},\"row\":{row}}}");
            writeln!(writer, "{}", redact(&line, &self.secrets)).map_err(&wrong)?;
            if n < SAMPLES_OF_ONE {
                let row = redact(row, &self.secrets);
                self.latest.keep(RejectedSample {
                    stage: letter.stage.to_string(),
                    reason: self.secrets.redact(&letter.reason).into_owned(),
                    time: time.clone(),
                    row: row[..row.floor_char_boundary(SHOWN)].to_owned(),
                });
            }
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

/// The rows as lines of JSON, nulls included.
pub(crate) fn json_rows(rows: &RecordBatch) -> Result<String> {
    if rows.num_columns() == 0 {
        return Ok("{}\n".repeat(rows.num_rows()));
    }
    let mut bytes = Vec::new();
    json::write_lines(rows, &mut bytes)?;
    String::from_utf8(bytes)
        .map_err(|e| Error::internal(format!("a rejected row is no JSON text: {e}")))
}

/// Blanks out secrets in the texts and numbers of a JSON text; names stay. All else is as it was
/// written, so that numbers keep their digits.
pub(crate) fn redact<'a>(json: &'a str, secrets: &Secrets) -> Cow<'a, str> {
    if secrets.is_empty() {
        return Cow::Borrowed(json);
    }
    let mut out = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(start) = rest.find(|c: char| matches!(c, '"' | '-') || c.is_ascii_digit()) {
        out.push_str(&rest[..start]);
        rest = &rest[start..];
        let (value, after) = rest.split_at(value_end(rest));
        rest = after;
        let text = match serde_json::from_str::<String>(value) {
            Ok(_) if after.starts_with(':') => None,
            Ok(text) => Some(Cow::Owned(text)),
            Err(_) => Some(Cow::Borrowed(value)),
        };
        match text.as_deref().map(|text| secrets.redact(text)) {
            // A number without some of its digits is a text.
            Some(Cow::Owned(redacted)) => {
                out.push_str(&serde_json::Value::String(redacted).to_string());
            }
            _ => out.push_str(value),
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Where the text or the number ends that `json` begins with.
fn value_end(json: &str) -> usize {
    let bytes = json.as_bytes();
    if bytes.first() != Some(&b'"') {
        let number = |byte: &u8| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
        return bytes.iter().position(|byte| !number(byte)).unwrap_or(bytes.len());
    }
    let mut escaped = false;
    for (at, byte) in bytes.iter().enumerate().skip(1) {
        match byte {
            b'"' if !escaped => return at + 1,
            _ => escaped = *byte == b'\\' && !escaped,
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_go_and_digits_stay() {
        let mut secrets = Secrets::new();
        secrets.insert("hunter2!");
        secrets.insert("12345678");
        secrets.insert("a\"b\\cdef");
        let number = "98765432109876543210987654321.10";
        let json = format!(
            r#"{{"hunter2!":"x hunter2! y","n":{number},"m":[9123456789,-1e5,true],"é\"":"a\"b\\cdef","z":"\\"}}"#
        );
        let expected = secrets.redact("x hunter2! y");
        assert_ne!(expected, "x hunter2! y");
        let number_of = secrets.redact("9123456789");
        let mark = secrets.redact("a\"b\\cdef");
        assert_eq!(
            redact(&json, &secrets),
            format!(
                r#"{{"hunter2!":"{expected}","n":{number},"m":["{number_of}",-1e5,true],"é\"":"{mark}","z":"\\"}}"#
            )
        );
        assert_eq!(redact(&json, &Secrets::new()), json);
    }
}
