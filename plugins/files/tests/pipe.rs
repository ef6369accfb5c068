//! `read` of pipes: nothing is waited for in a call, and nothing is taken that nobody reads.

#![allow(clippy::expect_used, clippy::panic, reason = "tests may")]

mod common;

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::Wake;

use common::{Collected, context, reader};
use flate2::write::GzEncoder;
use gristmill_stage::{Next, Source};
use rustix::fs::{CWD, Mode, mkfifoat};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

struct Bell(Mutex<Sender<()>>);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        // A source that is gone is not listened to.
        let _ = self.0.lock().expect("a bell").send(());
    }
}

/// A source on a named pipe, and what wakes it.
struct Piped {
    source: Box<dyn Source>,
    woken: Receiver<()>,
    out: Collected,
    _runtime: Runtime,
}

impl Piped {
    fn new(options: &Value) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let handle = runtime.handle().clone();
        let (sender, woken) = channel();
        let context = context()
            .with_waker(Arc::new(Bell(Mutex::new(sender))).into())
            .with_runtime(Arc::new(move || Ok(handle.clone())));
        Self {
            source: reader(options, context),
            woken,
            out: Collected::default(),
            _runtime: runtime,
        }
    }

    /// Polls until the source waits or is done.
    fn poll(&mut self) -> Next {
        loop {
            let next = self.source.poll(&mut self.out).expect("poll");
            if next != Next::Now {
                return next;
            }
        }
    }

    /// Waits to be woken until that is followed by rows, rejected rows or the end.
    fn wait(&mut self) -> Next {
        let seen = |out: &Collected| out.batches.len() + out.rejected.len();
        let before = seen(&self.out);
        loop {
            self.woken.recv().expect("woken");
            let next = self.poll();
            if next == Next::Done || seen(&self.out) > before {
                return next;
            }
        }
    }
}

fn pipe(folder: &Path) -> PathBuf {
    let path = folder.join("pipe");
    mkfifoat(CWD, &path, Mode::RUSR | Mode::WUSR).expect("a pipe");
    path
}

fn writer(path: &Path) -> File {
    OpenOptions::new().write(true).open(path).expect("a writer")
}

#[test]
fn rows_are_read_as_they_come() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = pipe(folder.path());
    let columns = json!({ "n": "int64" });
    let mut piped = Piped::new(&json!({ "path": path, "format": "csv", "columns": columns }));
    assert_eq!(piped.poll(), Next::Wait, "nobody writes yet");
    let mut writer = writer(&path);
    assert_eq!(piped.poll(), Next::Wait);
    // A header and a record in two pieces each.
    writer.write_all(b"t,").expect("written");
    assert_eq!(piped.poll(), Next::Wait);
    writer.write_all(b"n\nx,1\ny,").expect("written");
    assert_eq!(piped.wait(), Next::Wait);
    assert_eq!(piped.out.rows(), [json!({ "n": 1 })]);
    assert_eq!(piped.poll(), Next::Wait);
    writer.write_all(b"2\nz,3").expect("written");
    assert_eq!(piped.wait(), Next::Wait);
    drop(writer);
    assert_eq!(piped.wait(), Next::Done);
    assert_eq!(piped.out.rows(), [json!({ "n": 1 }), json!({ "n": 2 }), json!({ "n": 3 })]);
}

#[test]
fn compressed_rows_are_read_as_they_come() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = pipe(folder.path());
    let mut piped = Piped::new(&json!({ "path": path, "format": "lines" }));
    assert_eq!(piped.poll(), Next::Wait);
    let mut writer = writer(&path);
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut text = String::new();
    for n in 0..3 {
        let line = format!("line {n}\n");
        encoder.write_all(line.as_bytes()).expect("written");
        encoder.flush().expect("flushed");
        text += &line;
        // In pieces, the first of which does not tell what it is.
        let bytes = std::mem::take(encoder.get_mut());
        let (first, second) = bytes.split_at(1);
        writer.write_all(first).expect("written");
        assert_eq!(piped.poll(), Next::Wait);
        writer.write_all(second).expect("written");
        assert_eq!(piped.wait(), Next::Wait);
        assert_eq!(piped.out.rows().len(), n + 1);
    }
    writer.write_all(&encoder.finish().expect("written")).expect("written");
    drop(writer);
    while piped.poll() != Next::Done {
        piped.woken.recv().expect("woken");
    }
    let read: Vec<Value> = text.lines().map(|line| json!({ "line": line })).collect();
    assert_eq!(piped.out.rows(), read);
    // A short line that could begin nothing else does not wait for more.
    let path = folder.path().join("other");
    mkfifoat(CWD, &path, Mode::RUSR | Mode::WUSR).expect("a pipe");
    let mut piped = Piped::new(&json!({ "path": path, "format": "lines" }));
    assert_eq!(piped.poll(), Next::Wait);
    let mut writer = OpenOptions::new().write(true).open(&path).expect("a writer");
    writer.write_all(b"a\n").expect("written");
    assert_eq!(piped.wait(), Next::Wait);
    assert_eq!(piped.out.rows(), [json!({ "line": "a" })]);
}

#[test]
fn a_line_that_is_too_long_is_passed_over_however_it_comes() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = pipe(folder.path());
    let options = json!({ "path": path, "format": "lines", "max_line": 10 });
    let mut piped = Piped::new(&options);
    assert_eq!(piped.poll(), Next::Wait);
    let mut writer = writer(&path);
    for part in ["a\n123", "45678901234", "5678", "90"] {
        writer.write_all(part.as_bytes()).expect("written");
        assert_eq!(piped.poll(), Next::Wait);
    }
    writer.write_all(b"\r\nb\n").expect("written");
    piped.wait();
    drop(writer);
    while piped.poll() != Next::Done {
        piped.wait();
    }
    assert_eq!(piped.out.rows(), [json!({ "line": "a" }), json!({ "line": "b" })]);
    let (rows, reason) = &piped.out.rejected[0];
    assert!(reason.contains("has 22 bytes"), "{reason}");
    assert_eq!(common::json(rows)[0]["line_number"], 2);
}

#[test]
fn what_a_dropped_source_has_not_read_stays_in_the_pipe() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = pipe(folder.path());
    let options = json!({ "path": path, "format": "lines" });
    // Holds the pipe open, and what is in it.
    let _both = OpenOptions::new().read(true).write(true).open(&path).expect("both ends");
    let mut first = Piped::new(&options);
    assert_eq!(first.poll(), Next::Wait);
    let Piped { source, woken, _runtime: runtime, .. } = first;
    drop(source);
    // The wait ends with the source, not with a byte: the runtime has nothing to wait for. In a library it is
    // one of its own, which ends by itself.
    drop(runtime);
    woken.recv().expect("over");
    writer(&path).write_all(b"kept\n").expect("written");
    let mut second = Piped::new(&options);
    assert_eq!(second.poll(), Next::Wait);
    assert_eq!(second.out.rows(), [json!({ "line": "kept" })]);
}

#[test]
fn what_was_taken_comes_out_after_a_stop_and_no_more_is_taken() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = pipe(folder.path());
    let _both = OpenOptions::new().read(true).write(true).open(&path).expect("both ends");
    let mut piped = Piped::new(&json!({ "path": path, "format": "lines", "max_line": 9 }));
    assert_eq!(piped.poll(), Next::Wait);
    writer(&path).write_all(b"a\nb\nhal").expect("written");
    assert_eq!(piped.source.poll(&mut piped.out).expect("poll"), Next::Now);
    assert!(piped.source.stop().expect("stopped"), "half a line is still in its hand");
    writer(&path).write_all(b"f\nc\n").expect("written");
    assert_eq!(piped.poll(), Next::Done);
    assert_eq!(piped.out.rows(), [json!({ "line": "a" }), json!({ "line": "b" })]);
    let (rows, reason) = &piped.out.rejected[0];
    assert!(reason.contains(":3: the run was stopped in the middle of this line"), "{reason}");
    assert_eq!(common::json(rows)[0]["line"], "hal");
    let mut next = Piped::new(&json!({ "path": path, "format": "lines" }));
    assert_eq!(next.poll(), Next::Wait);
    assert_eq!(next.out.rows(), [json!({ "line": "f" }), json!({ "line": "c" })]);
}

#[test]
fn what_was_taken_and_is_still_compressed_comes_out_after_a_stop() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = pipe(folder.path());
    let _both = OpenOptions::new().read(true).write(true).open(&path).expect("both ends");
    let options = json!({ "path": path, "format": "lines", "compression": "gzip" });
    let mut piped = Piped::new(&options);
    assert_eq!(piped.poll(), Next::Wait);
    let mut encoder = GzEncoder::new(writer(&path), flate2::Compression::fast());
    let long = "x".repeat(1 << 20);
    encoder.write_all(format!("{long}\n{long}\nhal").as_bytes()).expect("written");
    encoder.flush().expect("flushed");
    assert_eq!(piped.source.poll(&mut piped.out).expect("poll"), Next::Now);
    assert_eq!(piped.out.rows().len(), 1);
    assert!(piped.source.stop().expect("stopped"), "the decoder still holds a line");
    assert_eq!(piped.poll(), Next::Done);
    assert_eq!(piped.out.rows().len(), 2);
    assert_eq!(common::json(&piped.out.rejected[0].0)[0]["line"], "hal");
}

#[test]
fn the_rest_of_a_file_is_left_in_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("lines");
    std::fs::write(&path, "a\nb\n").expect("written");
    let mut source = reader(&json!({ "path": path, "format": "lines" }), context());
    assert!(!source.stop().expect("stopped"));
}
