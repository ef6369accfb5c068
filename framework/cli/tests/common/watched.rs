//! A run that is watched through its metrics.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::time::Duration;

use super::Place;

/// A run, killed when dropped. Its stdin stays open, so that a pipeline with `read -` does not end.
pub struct Watched {
    pub child: Child,
    pub address: String,
}

impl Drop for Watched {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Something that was scraped: name, labels, value.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    pub name: String,
    pub labels: String,
    pub value: f64,
}

#[allow(dead_code, reason = "each test file uses its part")]
impl Watched {
    /// Starts a pipeline.
    pub fn run(place: &Place, yaml: &str) -> Self {
        Self::run_with(place, &[], yaml)
    }

    /// Starts a pipeline with these arguments.
    pub fn run_with(place: &Place, arguments: &[&str], yaml: &str) -> Self {
        place.write("pipeline.yaml", yaml);
        let mut child = place
            .command(&[&["run", "pipeline.yaml", "--metrics", "0"], arguments].concat())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut said = String::new();
        let line = loop {
            let line = lines.next().unwrap_or_else(|| panic!("no metrics:\n{said}")).unwrap();
            if line.contains("metrics at") {
                break line;
            }
            said.push_str(&format!("{line}\n"));
        };
        std::thread::spawn(move || lines.for_each(drop));
        let address = line.split("http://").nth(1).unwrap().split('/').next().unwrap().to_owned();
        Self { child, address }
    }

    /// The text of a scrape.
    pub fn text(&self) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(stream, "GET /metrics HTTP/1.0\r\nhost: x\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    pub fn samples(&self) -> Vec<Sample> {
        samples(&self.text())
    }

    /// The sum of a metric over all series with these labels.
    pub fn sum(&self, name: &str, labels: &[&str]) -> f64 {
        sum(&self.samples(), name, labels)
    }

    /// Scrapes until this holds of what was scraped. The run must live.
    pub fn wait_for(&mut self, what: &str, holds: impl Fn(&[Sample]) -> bool) -> Vec<Sample> {
        loop {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "the run ended before {what}: {ended:?}");
            let samples = self.samples();
            if holds(&samples) {
                return samples;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

pub fn samples(text: &str) -> Vec<Sample> {
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines
        .map(|line| {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            let labels = labels.trim_end_matches('}').to_owned();
            Sample { name: name.to_owned(), labels, value: value.parse().unwrap() }
        })
        .collect()
}

#[allow(dead_code, reason = "each test file uses its part")]
pub fn sum(samples: &[Sample], name: &str, labels: &[&str]) -> f64 {
    let has = |sample: &&Sample| {
        let all: Vec<&str> = sample.labels.split(',').collect();
        sample.name == name && labels.iter().all(|label| all.contains(label))
    };
    samples.iter().filter(has).map(|sample| sample.value).sum()
}
