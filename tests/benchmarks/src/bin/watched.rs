//! What it costs to be watched: a run whose metrics are scraped every second beside the same run without,
//! and what a worker pays for each batch in any case.
//!
//! `cargo run --release -p gristmill-benchmarks --bin watched [PAIRS [MILLION_ROWS]]`

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
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

/// How long a run took, and how much processor time this process used for it.
struct Took {
    wall: f64,
    cpu: f64,
}

#[expect(clippy::expect_used, clippy::panic, reason = "a failed run must not print figures")]
#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn run(yaml: &str, watched: bool) -> Took {
    let registry = built_in();
    let source = Source::new("benchmark.yaml", yaml);
    let plan = match load(&source, &Variables::new(), &registry) {
        Ok(plan) => plan,
        Err(problems) => panic!("{}", problems.render(false)),
    };
    let metrics = watched.then(|| SocketAddr::from(([127, 0, 0, 1], 0)));
    let worker = Some(WorkerCommand::this_program());
    let (start, used) = (Instant::now(), cpu());
    let run = Run::start(plan, &registry, RunOptions { metrics, worker, ..RunOptions::default() });
    let run = run.unwrap_or_else(|failure| panic!("{failure}"));
    let mut next = SCRAPE;
    while !run.wait_for(next.saturating_sub(start.elapsed())) {
        if let Some(address) = run.metrics_addr() {
            let mut stream = TcpStream::connect(address).expect("the server of the run");
            stream.write_all(b"GET /metrics HTTP/1.0\r\nhost: x\r\n\r\n").expect("a request");
            let mut text = String::new();
            stream.read_to_string(&mut text).expect("an answer");
            assert!(text.contains("gristmill_stage_rows_out_total"), "{text}");
        }
        next += SCRAPE;
    }
    let (wall, cpu) = (start.elapsed().as_secs_f64(), cpu() - used);
    run.wait();
    Took { wall, cpu }
}

/// Processor seconds of this process.
fn cpu() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
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
        run(&yaml, true);
        let (mut wall, mut cpu) = (Vec::new(), Vec::new());
        for pair in 0..pairs {
            // Who goes first changes, so that what grows with time is nobody's.
            let first = run(&yaml, pair % 2 == 0);
            let second = run(&yaml, pair % 2 == 1);
            let (with, without) = if pair % 2 == 0 { (first, second) } else { (second, first) };
            wall.push(with.wall / without.wall);
            cpu.push(with.cpu / without.cpu);
        }
        let (wall, cpu) = (median(wall), median(cpu));
        println!(
            "{mode}: scraped every second, {wall:.4} of the time and {cpu:.4} of the processor time, medians of {pairs} pairs"
        );
    }
    ExitCode::SUCCESS
}
