//! Parsing on one core: megabytes a second of log lines, and pages a second without and with a
//! tree, beside a hand-written scraper loop.
//!
//! `cargo run --release -p gristmill-benchmarks --bin parse`

use std::fmt::Write as _;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, StringArray};
use gristmill_benchmarks::{Side, compare};
use gristmill_demo::DemoSite;
use gristmill_stage::{BuildContext, Output, Registry, Result, Stage, SystemClock, Transform};
use scraper::{Html, Selector};
use serde_json::{Value, json};

const LINES: usize = 400_000;
const BATCH: usize = 8192;
const PAGES: usize = 4000;
const REPEAT: usize = 5;

/// Writes the line of a number.
type Writer = fn(usize, &mut String);

fn main() {
    let sides: [(&str, Value, Writer); 5] = [
        ("combined", json!({ "format": "combined" }), combined),
        (
            "pattern, the same lines",
            json!({ "format": "pattern", "pattern": "{host} {identity} {user} \
                [{time:timestamp:%d/%b/%Y:%H:%M:%S %z}] \"{method} {path} {protocol}\" \
                {status:int64} {bytes:int64} \"{referer}\" \"{user_agent}\"" }),
            combined,
        ),
        (
            "regex, the same lines",
            json!({ "format": "regex", "pattern": "^(?<host>\\S+) (?<identity>\\S+) (?<user>\\S+) \
                \\[(?<time>[^\\]]+)\\] \"(?<method>\\S+) (?<path>\\S+) (?<protocol>[^\"]+)\" \
                (?<status>\\d+) (?<bytes>\\d+) \"(?<referer>[^\"]*)\" \"(?<user_agent>[^\"]*)\"" }),
            combined,
        ),
        (
            "logfmt",
            json!({ "format": "logfmt", "fields": {
                "ts": { "type": "timestamp" }, "level": {}, "msg": {}, "path": {},
                "status": { "type": "int64" }, "took": { "type": "float64" } } }),
            logfmt,
        ),
        ("syslog, RFC 5424", json!({ "format": "syslog" }), syslog),
    ];
    for (name, options, line) in sides {
        let batches = lines(line);
        let bytes: usize = batches.iter().map(text_bytes).sum();
        let run = || assert_eq!(rows(&options, &batches), LINES);
        let title = format!("{LINES} lines of {} bytes, in MB", bytes / LINES);
        compare(&title, bytes as f64, "bytes", REPEAT, vec![Side::new(name, run)]);
    }
    pages();
}

fn pages() {
    let bodies: Vec<String> = demo_pages();
    let fields = |css: [&str; 3]| {
        json!({ "format": "html", "fields": {
            "title": css[0],
            "price": { "css": css[1], "type": "float64" },
            "category": { "css": css[2], "attr": "data-category" } } })
    };
    let simple = fields(["h1", ".price", "[data-category]"]);
    // The same elements, but nothing that is found without a tree.
    let tree = fields(["h1:not(#x)", ".price:not(#x)", "[data-category]:not(#x)"]);
    let column: ArrayRef = Arc::new(StringArray::from(bodies.clone()));
    let batch = body(column);
    let batches: Vec<_> = (0..PAGES).step_by(100).map(|at| batch.slice(at, 100)).collect();
    compare(
        "pages of 10 KiB, three fields",
        PAGES as f64,
        "pages",
        REPEAT,
        vec![
            Side::new("scraper, by hand", || assert_eq!(by_hand(&bodies), PAGES)),
            Side::new("gristmill, with a tree", || assert_eq!(rows(&tree, &batches), PAGES)),
            Side::new("gristmill, without", || assert_eq!(rows(&simple, &batches), PAGES)),
        ],
    );
}

#[expect(clippy::expect_used, reason = "a benchmark that does not run must not print figures")]
fn by_hand(bodies: &[String]) -> usize {
    let select = |css: &str| Selector::parse(css).expect("a selector");
    let (h1, price, category) = (select("h1"), select(".price"), select("[data-category]"));
    let mut found = 0;
    for body in bodies {
        let page = Html::parse_document(body);
        let text = |css| page.select(css).next().map(|e| e.text().collect::<String>());
        let title = text(&h1).map(|title| title.trim().to_owned());
        let price = text(&price).and_then(|price| price.trim().parse::<f64>().ok());
        let category =
            page.select(&category).next().and_then(|e| e.attr("data-category").map(str::to_owned));
        found += usize::from(title.is_some() && price.is_some() && category.is_some());
    }
    found
}

/// Pages of the demo site.
#[expect(clippy::expect_used, reason = "a benchmark that does not run must not print figures")]
fn demo_pages() -> Vec<String> {
    use std::io::{Read, Write};
    let any = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let site = DemoSite::start(any).expect("a free port");
    let address = site.base().trim_start_matches("http://").to_owned();
    let page = |n: usize| {
        let mut socket = std::net::TcpStream::connect(&address).expect("the demo site");
        let head = format!("GET /item/{n} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        socket.write_all(head.as_bytes()).expect("a request");
        let mut answer = String::new();
        socket.read_to_string(&mut answer).expect("an answer");
        answer.split_once("\r\n\r\n").expect("a body").1.to_owned()
    };
    let some: Vec<String> = (1..=200).map(page).collect();
    (0..PAGES).map(|n| some[n % some.len()].clone()).collect()
}

/// Drops what comes, and counts it.
#[derive(Default)]
struct Count(usize);

impl Output for Count {
    fn emit(&mut self, batch: RecordBatch) -> Result<()> {
        self.0 += batch.num_rows();
        Ok(())
    }

    fn reject(&mut self, _: RecordBatch, _: &str) -> Result<()> {
        Ok(())
    }
}

/// Runs batches through the stage, on this thread, and counts the rows that come out.
#[expect(clippy::expect_used, reason = "a benchmark that does not run must not print figures")]
fn rows(options: &Value, batches: &[RecordBatch]) -> usize {
    let mut registry = Registry::new();
    gristmill_parse::register(&mut registry);
    let kind = registry.get("parse").expect("parse is registered");
    let schema = batches[0].schema();
    let planned = kind.plan(options, Some(&schema)).expect("a plan");
    let context = BuildContext::new("parse", Arc::new(SystemClock::start()))
        .with_schemas(schema, planned.output);
    let mut stage: Box<dyn Transform> = match kind.build(options, context).expect("a stage") {
        Stage::Transform(stage) => stage,
        Stage::Source(_) => return 0,
    };
    let mut count = Count::default();
    for batch in batches {
        stage.process(batch.clone(), &mut count).expect("process");
        while stage.holding() {
            stage.wake(&mut count).expect("wake");
        }
    }
    count.0
}

#[expect(clippy::expect_used, reason = "a benchmark that does not run must not print figures")]
fn body(column: ArrayRef) -> RecordBatch {
    RecordBatch::try_from_iter([("body", column)]).expect("a batch")
}

fn text_bytes(batch: &RecordBatch) -> usize {
    batch.column(0).get_buffer_memory_size()
}

fn lines(line: fn(usize, &mut String)) -> Vec<RecordBatch> {
    let mut batches = Vec::new();
    let mut text = String::new();
    for start in (0..LINES).step_by(BATCH) {
        let some = (start..(start + BATCH).min(LINES)).map(|n| {
            text.clear();
            line(n, &mut text);
            text.clone()
        });
        batches.push(body(Arc::new(StringArray::from_iter_values(some))));
    }
    batches
}

fn combined(n: usize, line: &mut String) {
    // Writing into a String does not fail.
    let _ = write!(
        line,
        "203.0.{}.{} - user{} [{:02}/Oct/2026:{:02}:{:02}:{:02} +0200] \"GET /shop/item/{n}?ref=list&page={} \
         HTTP/1.1\" {} {} \"https://www.example.com/list/{}\" \"Mozilla/5.0 (X11; Linux x86_64) \
         AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36\"",
        n % 256,
        n / 7 % 256,
        n % 1000,
        1 + n % 28,
        n % 24,
        n % 60,
        n / 3 % 60,
        n % 90,
        if n.is_multiple_of(50) { 500 } else { 200 },
        500 + n * 37 % 90_000,
        n % 300,
    );
}

fn logfmt(n: usize, line: &mut String) {
    let _ = write!(
        line,
        "ts=2026-10-{:02}T{:02}:{:02}:{:02}.{:03}Z level=info msg=\"request done\" method=GET \
         path=/shop/item/{n} status=200 took={}.{} user=user{}",
        1 + n % 28,
        n % 24,
        n % 60,
        n / 3 % 60,
        n % 1000,
        n % 90,
        n % 10,
        n % 1000,
    );
}

fn syslog(n: usize, line: &mut String) {
    let _ = write!(
        line,
        "<134>1 2026-10-{:02}T{:02}:{:02}:{:02}.{:03}Z web{}.example.com nginx {} access \
         [req@32473 id=\"{n}\" peer=\"10.0.0.{}\"] request for /shop/item/{n} done in {} ms",
        1 + n % 28,
        n % 24,
        n % 60,
        n / 3 % 60,
        n % 1000,
        n % 16,
        100 + n % 900,
        n % 256,
        n % 90,
    );
}
