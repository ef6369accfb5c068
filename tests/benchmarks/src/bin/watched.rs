//! What it costs to be watched: a run whose metrics are scraped every second, whose live page is open or
//! whose rows are tapped, beside the same run without; and what a worker pays for each batch in any case.
//!
//! `cargo run --release -p gristmill-benchmarks --bin watched [PAIRS [MILLION_ROWS]]`

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use gristmill_benchmarks::built_in;
use gristmill_config::{Source, Variables, load};
use gristmill_runtime::{Run, RunOptions, WorkerCommand, worker};
use rustix::time::{ClockId, clock_gettime};

/// How often a run is scraped.
const SCRAPE: Duration = Duration::from_secs(1);

/// A pipeline whose stages do little, so that what is counted shows.
fn pipeline(mode: &str, millions: usize) -> String {
    let rows = millions * 1_000_000 / if mode == "process" { 3 } else { 1 };
    format!(
        "stages:\n  - {{ type: generate, with: {{ count: {rows} }} }}\n  \
         - {{ name: a, type: map, run: {{ mode: {mode} }}, with: {{ set: {{ m: n + 1 }} }} }}\n  \
         - {{ name: b, type: filter, run: {{ mode: {mode} }}, with: {{ where: m % 2 = 0 }} }}\n  \
         - {{ type: discard }}\n"
    )
}

/// Who looks on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Watcher {
    Nobody,
    /// Prometheus, every second.
    Scraper,
    /// A browser with the live page.
    Page,
    /// `gristmill tap` of a stage in the middle, all that it can get.
    Tap,
}

impl Watcher {
    const ALL: [Self; 3] = [Self::Scraper, Self::Page, Self::Tap];

    fn words(self) -> &'static str {
        match self {
            Self::Nobody => "watched by nobody",
            Self::Scraper => "scraped every second",
            Self::Page => "with the live page open",
            Self::Tap => "with a stage tapped",
        }
    }

    /// The address that it reads to the end, if it reads one.
    fn stream(self) -> Option<&'static str> {
        match self {
            Self::Nobody | Self::Scraper => None,
            Self::Page => Some("/api/events"),
            Self::Tap => Some("/api/tap?stage=a"),
        }
    }
}

/// How long a run took, and how much processor time this process used for it: all, and the threads that
/// serve whoever looks on.
struct Took {
    wall: f64,
    cpu: f64,
    serving: f64,
}

/// Asks the server of a run.
#[expect(clippy::expect_used, reason = "a failed run must not print figures")]
fn ask(address: SocketAddr, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("the server of the run");
    let request = format!("GET {path} HTTP/1.0\r\nhost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("a request");
    stream
}

/// Reads what comes until it ends, and says how much it was.
fn read_on(mut stream: TcpStream) -> JoinHandle<usize> {
    std::thread::spawn(move || {
        let (mut buffer, mut all) = (vec![0; 1 << 16], 0);
        while let Ok(read @ 1..) = stream.read(&mut buffer) {
            all += read;
        }
        all
    })
}

#[expect(clippy::expect_used, clippy::panic, reason = "a failed run must not print figures")]
#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn run(yaml: &str, watcher: Watcher) -> Took {
    let registry = built_in();
    let source = Source::new("benchmark.yaml", yaml);
    let plan = match load(&source, &Variables::new(), &registry) {
        Ok(plan) => plan,
        Err(problems) => panic!("{}", problems.render(false)),
    };
    let metrics = (watcher != Watcher::Nobody).then(|| SocketAddr::from(([127, 0, 0, 1], 0)));
    let worker = Some(WorkerCommand::this_program());
    let (start, used) = (Instant::now(), cpu());
    let run = Run::start(plan, &registry, RunOptions { metrics, worker, ..RunOptions::default() });
    let run = run.unwrap_or_else(|failure| panic!("{failure}"));
    let reader = run.metrics_addr().zip(watcher.stream());
    let reader = reader.map(|(address, path)| read_on(ask(address, path)));
    let mut next = SCRAPE;
    while !run.wait_for(next.saturating_sub(start.elapsed())) {
        if let Some(address) = run.metrics_addr().filter(|_| watcher == Watcher::Scraper) {
            let mut text = String::new();
            ask(address, "/metrics").read_to_string(&mut text).expect("an answer");
            assert!(text.contains("gristmill_stage_rows_out_total"), "{text}");
        }
        next += SCRAPE;
    }
    let (wall, cpu, serving) = (start.elapsed().as_secs_f64(), cpu() - used, serving());
    run.wait();
    if let Some(reader) = reader {
        let bytes = reader.join().expect("a reader");
        assert!(bytes > 1000, "{watcher:?} has seen {bytes} bytes");
    }
    Took { wall, cpu, serving }
}

/// Processor seconds of this process.
fn cpu() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Processor seconds of the threads for I/O. A run answers requests on them, and turns rows into JSON.
#[expect(clippy::expect_used, reason = "a failed run must not print figures")]
fn serving() -> f64 {
    let threads = std::fs::read_dir("/proc/self/task").expect("Linux");
    let of = |thread: std::io::Result<std::fs::DirEntry>| {
        let path = thread.ok()?.path();
        let name = std::fs::read_to_string(path.join("comm")).ok()?;
        let told = std::fs::read_to_string(path.join("schedstat")).ok()?;
        let nanos: f64 = told.split(' ').next()?.parse().ok()?;
        (name.trim() == "default-io").then_some(nanos / 1e9)
    };
    threads.filter_map(of).sum()
}

/// Median and quartiles.
fn spread(mut values: Vec<f64>) -> (f64, f64, f64) {
    values.sort_unstable_by(f64::total_cmp);
    let at = |quarter| values[(values.len() - 1) * quarter / 4];
    (at(2), at(1), at(3))
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn reading_the_clock() {
    let (times, start) = (1_000_000, Instant::now());
    for _ in 0..times {
        std::hint::black_box(clock_gettime(ClockId::ThreadCPUTime));
    }
    let each = start.elapsed().as_secs_f64() / f64::from(times);
    println!("the clock of a thread is read in {:.0} ns; twice for a poll of a worker", each * 1e9);
}

fn main() -> ExitCode {
    if let Some(exit) = worker(&built_in()) {
        return exit;
    }
    let argument = |at: usize| std::env::args().nth(at).and_then(|n| n.parse::<usize>().ok());
    let (pairs, millions) = (argument(1).unwrap_or(9), argument(2).unwrap_or(120));
    reading_the_clock();
    for mode in ["pooled", "threaded", "process"] {
        let yaml = pipeline(mode, millions);
        run(&yaml, Watcher::Scraper);
        for watcher in Watcher::ALL {
            let (mut wall, mut cpu, mut serving) = (Vec::new(), Vec::new(), Vec::new());
            for pair in 0..pairs {
                // Who goes first changes, so that what grows with time is nobody's.
                let one = |odd| run(&yaml, if pair % 2 == odd { watcher } else { Watcher::Nobody });
                let (first, second) = (one(0), one(1));
                let (with, without) = if pair % 2 == 0 { (first, second) } else { (second, first) };
                wall.push(with.wall / without.wall);
                cpu.push(with.cpu / without.cpu);
                serving.push(100.0 * (with.serving - without.serving) / with.cpu);
            }
            let ((wall, low, high), (cpu, ..), (serving, ..)) =
                (spread(wall), spread(cpu), spread(serving));
            println!(
                "{mode}, {}: {wall:.3} of the time ({low:.3} to {high:.3}), {cpu:.3} of the processor time; the threads that serve use {serving:.2}% of it; medians of {pairs} pairs, with quartiles",
                watcher.words()
            );
        }
    }
    ExitCode::SUCCESS
}
