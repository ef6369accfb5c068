//! A collector that is not ours, and what it was sent.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use serde_json::Value;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

pub struct Collector {
    child: Child,
    /// What it was sent, as it came.
    requests: Receiver<Value>,
    pub url: String,
}

/// A span as it was sent. Identifiers are as the decoder writes them.
#[derive(Debug, Clone)]
pub struct Sent {
    pub trace: String,
    pub id: String,
    pub parent: Option<String>,
    /// Spans that it links to, with their traces.
    pub links: Vec<(String, String)>,
    pub name: String,
    pub attributes: BTreeMap<String, String>,
    pub status: Value,
    pub start: u64,
    pub end: u64,
}

impl Sent {
    pub fn number(&self, attribute: &str) -> u64 {
        self.attributes[attribute].parse().unwrap()
    }
}

#[allow(dead_code, reason = "each test file uses its part")]
impl Collector {
    /// Starts one that answers so.
    pub fn start(how: &str) -> Self {
        Self::start_with("http", &[how])
    }

    /// Starts one on HTTPS, with a certificate for 127.0.0.1.
    pub fn start_tls() -> Self {
        let of_fetch = format!("{ROOT}/plugins/fetch/tests/common");
        let [certificate, key] =
            ["certificate", "key"].map(|name| format!("{of_fetch}/{name}.pem"));
        Self::start_with("https", &["ok", &certificate, &key])
    }

    fn start_with(scheme: &str, arguments: &[&str]) -> Self {
        let mut child = Command::new(format!("{ROOT}/target/python/bin/python"))
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/otlp.py"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect(".ci/python makes it");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = lines.next().unwrap().unwrap();
        let (sender, requests) = channel();
        // It answers only when a line was taken.
        std::thread::spawn(move || {
            for line in lines {
                sender.send(serde_json::from_str(&line.unwrap()).unwrap()).unwrap();
            }
        });
        Self { child, requests, url: format!("{scheme}://127.0.0.1:{port}") }
    }

    /// Ends it, and gives all requests that it was sent.
    pub fn end(mut self) -> Vec<Value> {
        drop(self.child.stdin.take());
        self.child.wait().unwrap();
        self.requests.iter().collect()
    }
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// Attributes by name, each as a text.
fn attributes(value: &Value) -> BTreeMap<String, String> {
    let text = |any: &Value| {
        let (_, value) = any.as_object().unwrap().iter().next().unwrap();
        value.as_str().map_or_else(|| value.to_string(), str::to_owned)
    };
    let pair = |one: &Value| (one["key"].as_str().unwrap().to_owned(), text(&one["value"]));
    items(value).iter().map(pair).collect()
}

/// All spans of some requests.
#[allow(dead_code, reason = "each test file uses its part")]
pub fn spans(requests: &[Value]) -> Vec<Sent> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let mut all = Vec::new();
    for request in requests.iter().filter(|one| one["path"] == "/v1/traces" && one["status"] == 200)
    {
        for span in items(&request["body"]["resourceSpans"][0]["scopeSpans"][0]["spans"]) {
            let nanos = |name: &str| span[name].as_str().unwrap().parse().unwrap();
            all.push(Sent {
                trace: text(&span["traceId"]).unwrap(),
                id: text(&span["spanId"]).unwrap(),
                parent: text(&span["parentSpanId"]),
                links: items(&span["links"])
                    .iter()
                    .map(|link| (text(&link["traceId"]).unwrap(), text(&link["spanId"]).unwrap()))
                    .collect(),
                name: text(&span["name"]).unwrap(),
                attributes: attributes(&span["attributes"]),
                status: span["status"].clone(),
                start: nanos("startTimeUnixNano"),
                end: nanos("endTimeUnixNano"),
            });
        }
    }
    all
}

/// The metrics of one request, by name.
#[allow(dead_code, reason = "each test file uses its part")]
pub fn metrics(request: &Value) -> BTreeMap<String, Value> {
    let all = items(&request["body"]["resourceMetrics"][0]["scopeMetrics"][0]["metrics"]);
    all.iter().map(|one| (one["name"].as_str().unwrap().to_owned(), one.clone())).collect()
}

/// The points of a metric: attributes, and all there is.
#[allow(dead_code, reason = "each test file uses its part")]
pub fn points(metric: &Value) -> Vec<(BTreeMap<String, String>, Value)> {
    let data = ["sum", "gauge", "histogram"].into_iter().find_map(|name| metric.get(name)).unwrap();
    items(&data["dataPoints"])
        .iter()
        .map(|one| (attributes(&one["attributes"]), one.clone()))
        .collect()
}

/// What a run says of itself with everything that it sends.
#[allow(dead_code, reason = "each test file uses its part")]
pub fn resource(request: &Value) -> BTreeMap<String, String> {
    let body = &request["body"];
    let of = [&body["resourceSpans"], &body["resourceMetrics"]];
    let of = of.into_iter().find(|one| one.is_array()).unwrap();
    attributes(&of[0]["resource"]["attributes"])
}
