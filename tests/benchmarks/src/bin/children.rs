//! Child processes: how long a run with eight of them takes, and one long run whose children are killed
//! a thousand times: rows lost and doubled, time until another child works, memory of the run.
//!
//! `cargo run --release -p gristmill-benchmarks --bin children`

use std::process::ExitCode;
use std::time::{Duration, Instant};

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use gristmill_benchmarks::{built_in, run, start};
use gristmill_runtime::{Collect, worker};
use rustix::process::{Pid, Signal, kill_process};

/// Children to kill.
const KILLS: usize = 1000;

fn main() -> ExitCode {
    if let Some(exit) = worker(&built_in()) {
        return exit;
    }
    starting();
    killing();
    ExitCode::SUCCESS
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn starting() {
    for mode in ["threaded", "process"] {
        let yaml = format!(
            "stages:\n  - {{ type: generate, with: {{ count: 1 }} }}\n  \
             - {{ type: map, run: {{ mode: {mode}, workers: 8 }}, with: {{ set: {{ m: n + 1 }} }} }}\n  \
             - {{ type: discard }}\n"
        );
        let mut samples: Vec<Duration> = (0..11)
            .map(|_| {
                let start = Instant::now();
                run(&yaml, &built_in());
                start.elapsed()
            })
            .collect();
        samples.sort_unstable();
        let (fast, slow) = (samples[0], samples[10]);
        println!(
            "one row through 8 workers, {mode}: {:.1?} ({fast:.1?} to {slow:.1?})",
            samples[5]
        );
    }
}

#[expect(clippy::expect_used, reason = "a benchmark that does not run must not print figures")]
fn killing() {
    let mut registry = built_in();
    let collect = Collect::new("collect");
    registry.add_kind(collect.kind());
    let yaml = "batch: { rows: 1024 }\nchannel: { rows: 8192 }\nstages:\n  \
        - { name: numbers, type: generate, with: { count: 1000000000000 } }\n  \
        - { name: work, type: map, run: { mode: process, workers: 2 }, with: { set: { m: n * 2 } } }\n  \
        - { name: sums, type: aggregate, run: { mode: process }, with: { select: { rows: count(*), sum: sum(m) } } }\n  \
        - { type: collect }\n";
    let run = start(yaml, &registry);
    let mut random = 1_u64;
    let mut next = || {
        random =
            random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as usize
    };
    for kill in 1..=KILLS {
        std::thread::sleep(Duration::from_millis(10 + next() as u64 % 60));
        let children = children();
        if let Some(pid) =
            children.get(next() % children.len().max(1)).and_then(|pid| Pid::from_raw(*pid))
        {
            // It may have gone a moment ago.
            let _ = kill_process(pid, Signal::KILL);
        }
        if kill % (KILLS / 5) == 0 {
            println!("after {kill} kills the run has {} MiB", memory() >> 20);
        }
    }
    run.stopper().stop();
    let report = run.wait();
    let numbers = report.stages[0].sent.rows;
    let batch = collect.take().pop().expect("one row");
    let value = |column: usize| batch.column(column).as_primitive::<Int64Type>().value(0) as u64;
    println!("rows made {numbers}, summed up {}; rejected {}", value(0), report.rejected);
    // The numbers begin with 1, and each was doubled.
    let right = numbers * (numbers + 1);
    println!("the sum is {}", if value(1) == right { "right" } else { "WRONG" });
    for stage in &report.stages {
        if let Some(process) = &stage.process {
            let (name, restarts) = (&stage.name, process.restarts());
            println!("{name}: {restarts} restarts, each in {:.1?} at p99", process.restart_p99);
        }
    }
}

/// The child processes of this one.
fn children() -> Vec<i32> {
    let own = std::process::id().to_string();
    let all = std::fs::read_dir("/proc").into_iter().flatten().filter_map(|entry| {
        let pid: i32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        (stat.rsplit_once(") ")?.1.split(' ').nth(1)? == own).then_some(pid)
    });
    all.collect()
}

/// Resident bytes of this process.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_ascii_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0)
        << 10
}
