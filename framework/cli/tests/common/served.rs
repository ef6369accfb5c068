//! A run that serves its metrics, and is ended with its test.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::common::{Ended, Place};

/// A run under way.
pub struct Served {
    child: Child,
    /// `http://127.0.0.1:PORT`.
    pub url: String,
}

impl Served {
    /// Starts a pipeline that does not end by itself.
    pub fn start(place: &Place, yaml: &str, args: &[&str]) -> Self {
        place.write("pipeline.yaml", yaml);
        let all = [&["run", "pipeline.yaml", "-q", "--metrics", "0"], args].concat();
        let mut command = place.command(&all);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut seen = String::new();
        let url = lines.by_ref().find_map(|line| {
            let line = line.unwrap();
            seen.push_str(&line);
            let (_, rest) = line.split_once("http://")?;
            Some(format!("http://{}", rest.split('/').next()?))
        });
        std::thread::spawn(move || lines.for_each(drop));
        let url = url.unwrap_or_else(|| panic!("no address in {seen}"));
        Self { child, url }
    }

    /// Whether it still runs.
    #[allow(dead_code, reason = "each test file uses its part")]
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Tells it to stop in order, and waits for its end.
    #[allow(dead_code, reason = "each test file uses its part")]
    pub fn stop(&mut self) -> i32 {
        kill_process(Pid::from_raw(self.child.id() as i32).unwrap(), Signal::INT).unwrap();
        self.child.wait().unwrap().code().unwrap_or(-1)
    }

    /// What a command says of it.
    #[allow(dead_code, reason = "each test file uses its part")]
    pub fn asked(&self, place: &Place, command: &str, args: &[&str]) -> Ended {
        place.gristmill(&[&[command, &self.url], args].concat())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
