//! Access logs in JSON lines, CSV or Parquet: by host and status the count, the bytes and the 95th
//! percentile of the latency, and the share of errors; beside DuckDB, Polars and Bytewax, which are
//! installed from PyPI.
//!
//! `cargo run --release -p gristmill-benchmarks --bin logs [LINES [FORMAT [alone]]]`
//!
//! FORMAT is `jsonl`, `csv` or `parquet`; `alone` leaves the rivals out.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use gristmill_benchmarks::{built_in, python, run};
use serde_json::Value;

const LINES: u64 = 5_000_000;
const REPEAT: usize = 5;
const RIVALS: &str = include_str!("../../rivals_logs.py");
/// The argument that makes this program run the pipeline once: FILE WORKERS.
const ONCE: &str = "once";

/// What one run prints: how long it took, how much memory, and a result to compare.
struct Ran {
    seconds: f64,
    peak: f64,
    result: String,
}

#[expect(clippy::expect_used, reason = "a benchmark that does not run must not print figures")]
fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [once, file, workers] = arguments.as_slice()
        && once == ONCE
    {
        return job(Path::new(file), workers);
    }
    let lines = arguments.first().map_or(LINES, |lines| lines.parse().expect("LINES is a number"));
    let format = arguments.get(1).map_or("jsonl", String::as_str);
    let whole = logs(lines, format);
    let own = std::env::current_exe().expect("own path");
    let gristmill = |workers: &str| {
        let mut command = Command::new(&own);
        command.arg(ONCE).arg(&whole).arg(workers);
        command
    };
    let mut one_core = Command::new("taskset");
    one_core.args(["--cpu-list", "0"]).arg(&own).arg(ONCE).arg(&whole).arg("1");
    let mut sides = vec![
        ("gristmill, all on one core", lines, one_core),
        ("gristmill, 1 read worker", lines, gristmill("1")),
        ("gristmill, 2 read workers", lines, gristmill("2")),
    ];
    let alone = arguments.get(2).is_some_and(|word| word == "alone");
    if !alone && let Some(python) = python(&["duckdb", "polars", "bytewax"]) {
        let rival = |engine: &str, file: &Path| {
            let mut command = Command::new(&python);
            command.args(["-c", RIVALS, engine]).arg(file);
            command
        };
        sides.push(("duckdb", lines, rival("duckdb", &whole)));
        sides.push(("polars", lines, rival("polars", &whole)));
        // Bytewax is so much slower that a tenth of the lines tells its rate.
        if format == "jsonl" {
            let tenth = logs(lines / 10, format);
            sides.push(("bytewax, a tenth", lines / 10, rival("bytewax", &tenth)));
        }
    }
    let size = std::fs::metadata(&whole).map_or(0, |file| file.len());
    println!("{lines} lines of access log as {format}, {} MiB, medians of {REPEAT}", size >> 20);
    let mut ran: Vec<Vec<Ran>> = sides.iter().map(|_| Vec::new()).collect();
    for _ in 0..REPEAT {
        for ((_, _, command), ran) in sides.iter_mut().zip(&mut ran) {
            ran.push(once(command));
        }
    }
    let mut first = None;
    for ((name, lines, _), mut ran) in sides.into_iter().zip(ran) {
        ran.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
        let middle = &ran[REPEAT / 2];
        let rate = lines as f64 / middle.seconds;
        let peak = ran.iter().map(|ran| ran.peak).fold(0.0, f64::max);
        let base = *first.get_or_insert(rate);
        println!(
            "  {name:26} {:>6.2}M lines/s  {:>7.3} s ({:.3} to {:.3})  peak {peak:>6.0} MiB  ratio {:.2}  {}",
            rate / 1e6,
            middle.seconds,
            ran[0].seconds,
            ran[REPEAT - 1].seconds,
            rate / base,
            middle.result,
        );
    }
}

/// Runs a side in a process of its own.
#[expect(clippy::expect_used, reason = "a benchmark that does not run must not print figures")]
fn once(command: &mut Command) -> Ran {
    let output = command.output().expect("the side starts");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let line = text.lines().last().expect("a line of figures");
    let mut words = line.splitn(3, ' ');
    let mut number = || words.next().and_then(|word| word.parse::<f64>().ok()).expect("a number");
    let (seconds, peak) = (number(), number() / 1024.0);
    Ran { seconds, peak, result: words.next().unwrap_or_default().to_owned() }
}

/// The pipeline, once, in this process.
#[expect(clippy::expect_used, reason = "a benchmark that does not run must not print figures")]
#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn job(file: &Path, workers: &str) {
    let groups =
        std::env::temp_dir().join(format!("gristmill-groups-{}.jsonl", std::process::id()));
    // A Parquet file says itself which columns it has.
    let columns = match file.extension().is_some_and(|ending| ending == "parquet") {
        true => "",
        false => {
            "      columns: { host: string, status: int64, bytes: int64, latency_ms: float64 }"
        }
    };
    let yaml = format!(
        r#"
stages:
  - name: lines
    type: read
    run: {{ mode: pooled, workers: {workers} }}
    with:
      path: {}
{columns}
  - name: groups
    type: aggregate
    run: {{ mode: pooled }}
    with:
      group_by: [host, status]
      select:
        n: count(*)
        bytes: sum(bytes)
        p95: approx_percentile_cont(latency_ms, 0.95)
  - {{ name: out, type: write, with: {{ path: {} }} }}
"#,
        file.display(),
        groups.display()
    );
    let registry = built_in();
    let start = Instant::now();
    drop(run(&yaml, &registry));
    let seconds = start.elapsed().as_secs_f64();
    let text = std::fs::read_to_string(&groups).expect("the groups");
    std::fs::remove_file(&groups).expect("the file goes");
    let (mut rows, mut bytes, mut errors) = (0, 0, 0);
    for line in text.lines() {
        let group: Value = serde_json::from_str(line).expect("a group");
        let number = |name: &str| group[name].as_u64().expect("a number");
        assert!(group["p95"].as_f64().is_some_and(|p95| p95 > 0.0), "{line}");
        rows += number("n");
        bytes += number("bytes");
        errors += if number("status") >= 500 { number("n") } else { 0 };
    }
    let status = std::fs::read_to_string("/proc/self/status").expect("/proc");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    let peak = peak.trim().trim_end_matches(" kB");
    println!("{seconds} {peak} {rows} {bytes} {:.9}", errors as f64 / rows as f64);
}

/// Writes the lines, always the same ones, unless they are there.
#[expect(clippy::expect_used, reason = "a benchmark that does not run must not print figures")]
fn logs(lines: u64, format: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("gristmill-logs-{lines}.{format}"));
    if path.exists() {
        return path;
    }
    if format == "parquet" {
        let jsonl = logs(lines, "jsonl");
        let yaml = format!(
            "stages:\n  - {{ name: lines, type: read, with: {{ path: {} }} }}\n  \
             - {{ name: out, type: write, with: {{ path: {} }} }}\n",
            jsonl.display(),
            path.display()
        );
        drop(run(&yaml, &built_in()));
        return path;
    }
    let part = path.with_extension("part");
    let mut out = BufWriter::new(std::fs::File::create(&part).expect("a file"));
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    const NAMES: [&str; 10] = [
        "timestamp",
        "host",
        "path",
        "status",
        "bytes",
        "latency_ms",
        "user_agent",
        "method",
        "referer",
        "request_id",
    ];
    if format == "csv" {
        writeln!(out, "{}", NAMES.join(",")).expect("written");
    }
    for n in 0..lines {
        let values = random.line(n);
        match format {
            "csv" => {
                let quoted = values.map(|(value, text)| match text {
                    true if value.contains(',') => format!("\"{value}\""),
                    _ => value,
                });
                writeln!(out, "{}", quoted.join(","))
            }
            _ => {
                let members = NAMES.iter().zip(values).map(|(name, (value, text))| match text {
                    true => format!("\"{name}\":\"{value}\""),
                    false => format!("\"{name}\":{value}"),
                });
                writeln!(out, "{{{}}}", members.collect::<Vec<_>>().join(","))
            }
        }
        .expect("written");
    }
    out.flush().expect("written");
    std::fs::rename(part, &path).expect("renamed");
    path
}

/// Marsaglia's xorshift: a benchmark needs the same lines everywhere, and no more.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }

    /// The values of a line, and which of them are texts.
    fn line(&mut self, n: u64) -> [(String, bool); 10] {
        let status =
            [200, 200, 200, 200, 200, 200, 301, 304, 404, 500, 503][self.below(11) as usize];
        let method = ["GET", "GET", "GET", "POST", "HEAD"][self.below(5) as usize];
        // Most answers are quick, a few are very slow.
        let digits = 1 + self.below(40) / 9;
        let latency = 1 + self.below(1 + 10_u64.pow(digits as u32));
        let seconds = n / 60;
        let [hour, minute, second] = [seconds / 3600 % 24, seconds / 60 % 60, seconds % 60];
        let time = format!("2026-11-24T{hour:02}:{minute:02}:{second:02}.{:03}Z", self.below(1000));
        let browser = format!(
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{}.0.0.0 Safari/537.36",
            90 + self.below(40)
        );
        [
            (time, true),
            (format!("web-{:02}.example.com", self.below(50)), true),
            (format!("/products/{}/reviews?page={}", self.below(100_000), self.below(20)), true),
            (status.to_string(), false),
            (self.below(50_000).to_string(), false),
            (format!("{latency}.{:02}", self.below(100)), false),
            (browser, true),
            (method.to_owned(), true),
            (format!("https://www.example.com/category/{}", self.below(500)), true),
            (format!("{:016x}", self.below(u64::MAX)), true),
        ]
    }
}
