//! A run that is looked at while it goes on. It follows a file, so it goes on until it is told to stop.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::common::Place;

/// A run under way, with its addresses.
#[allow(dead_code, reason = "each test file uses its part")]
pub struct Live {
    pub place: Place,
    pub child: Child,
    /// `127.0.0.1:…`
    pub addr: String,
    /// What it printed for the live page.
    pub page: String,
    /// All that it had printed until then.
    pub said: String,
}

#[allow(dead_code, reason = "each test file uses its part")]
impl Live {
    /// Runs these stages behind a source that follows a file with `key` and `n`.
    pub fn start(stages: &str, metrics: &str, change: impl FnOnce(&mut Command)) -> Self {
        let place = Place::new();
        place.write("in.jsonl", "");
        place.write(
            "pipeline.yaml",
            &format!(
                "name: watched\nstages:\n  - {{ name: lines, type: read, with: {{ path: in.jsonl, follow: true, \
                 columns: {{ key: string, n: int64 }} }} }}\n{stages}"
            ),
        );
        let mut command = place.command(&["run", "-q", "pipeline.yaml", "--metrics", metrics]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command.env_remove("GRISTMILL_TOKEN");
        change(&mut command);
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut said = String::new();
        let page = loop {
            let line = lines.next().unwrap_or_else(|| panic!("no page in:\n{said}")).unwrap();
            said += &format!("{line}\n");
            if let Some(page) = line.strip_prefix("live page at ") {
                break page.to_owned();
            }
        };
        std::thread::spawn(move || lines.for_each(drop));
        let addr = page.split('/').nth(2).unwrap().to_owned();
        Self { place, child, addr, page, said }
    }

    /// Adds rows to the file that it reads.
    pub fn rows(&self, rows: impl IntoIterator<Item = (String, i64)>) {
        let mut file =
            OpenOptions::new().append(true).open(self.place.path().join("in.jsonl")).unwrap();
        let lines = rows
            .into_iter()
            .map(|(key, n)| format!("{}\n", serde_json::json!({ "key": key, "n": n })));
        file.write_all(lines.collect::<String>().as_bytes()).unwrap();
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.child.id() as i32).unwrap(), signal).unwrap();
    }

    /// The exit code.
    pub fn end(mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }

    /// Asks for something, with these lines in the head.
    pub fn ask(&self, method: &str, path: &str, head: &[&str]) -> Answer {
        let mut stream = self.send(method, path, head);
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        Answer::from(answer.as_str())
    }

    /// Asks for something, and leaves the answer in the connection.
    pub fn send(&self, method: &str, path: &str, head: &[&str]) -> TcpStream {
        let mut stream = TcpStream::connect(&self.addr).unwrap();
        let host = head.iter().any(|line| line.to_lowercase().starts_with("host:"));
        let host = if host { String::new() } else { format!("host: {}\r\n", self.addr) };
        let head: String = head.iter().map(|line| format!("{line}\r\n")).collect();
        write!(stream, "{method} {path} HTTP/1.1\r\n{host}{head}connection: close\r\n\r\n")
            .unwrap();
        stream
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        // It is over already, in most cases.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What was answered.
#[derive(Debug)]
#[allow(dead_code, reason = "each test file uses its part")]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl From<&str> for Answer {
    fn from(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {text}"));
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self { status, head: head.to_lowercase(), body: body.to_owned() }
    }
}
