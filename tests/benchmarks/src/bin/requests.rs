//! `pipelines/five-hundred-requests.yaml` by the command as a user runs it, from the start of the
//! process to its end, in every mode, beside the least time that the latency allows.
//!
//! `cargo build --release && cargo run --release -p gristmill-benchmarks --bin requests`

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The modes to measure.
const MODES: [&str; 3] = ["threaded", "pooled", "process"];
/// How many requests are under way at once.
const CONCURRENCY: u32 = 64;

fn main() {
    println!(
        "requests  latency      limit  mode         median  (spread)            over the limit"
    );
    for (count, latency, repeat) in
        [(1, 0, 11), (1, 50, 11), (500, 0, 11), (500, 50, 11), (20_000, 0, 5), (20_000, 50, 3)]
    {
        let limit = Duration::from_millis(latency) * u32::div_ceil(count, CONCURRENCY);
        let mut samples = MODES.map(|_| Vec::new());
        // In turn, so that whatever else the machine does meets all of them; the first is a warm-up.
        for round in 0..=repeat {
            for (mode, samples) in MODES.iter().zip(&mut samples) {
                let time = run(mode, count, latency);
                if round > 0 {
                    samples.push(time);
                }
            }
        }
        for (mode, samples) in MODES.iter().zip(&mut samples) {
            samples.sort_unstable();
            let seconds = |time: Duration| time.as_secs_f64();
            let median = seconds(samples[samples.len() / 2]);
            let (fast, slow) = (seconds(samples[0]), seconds(samples[samples.len() - 1]));
            let over = match seconds(limit) {
                limit if limit > 0.0 => format!("{:+.1}%", (median / limit - 1.0) * 100.0),
                _ => "-".to_owned(),
            };
            println!(
                "{count:>8}  {latency:>4} ms  {:>7.3} s  {mode:10} {median:>7.3} s  ({fast:.3} to {slow:.3})  {over:>8}",
                seconds(limit),
            );
        }
    }
}

/// Runs the pipeline once and says how long the whole process took.
#[expect(clippy::expect_used, reason = "a benchmark that does not run must not print figures")]
#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn run(mode: &str, count: u32, latency: u64) -> Duration {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../pipelines/five-hundred-requests.yaml")
        .canonicalize()
        .expect("the pipeline");
    let gristmill = std::env::current_exe().expect("own path").with_file_name("gristmill");
    let out = std::env::temp_dir().join(format!("gristmill-requests-{}.jsonl", std::process::id()));
    let mut command = Command::new(gristmill);
    command.args(["run", "--quiet"]).arg(file).stdin(Stdio::null());
    let sets = [
        format!("MODE={mode}"),
        format!("COUNT={count}"),
        format!("LATENCY={latency}"),
        format!("CONCURRENCY={CONCURRENCY}"),
        format!("OUT={}", out.display()),
    ];
    for set in &sets {
        command.args(["--set", set]);
    }
    let start = Instant::now();
    let status = command.status().expect("gristmill starts");
    let time = start.elapsed();
    let sums = std::fs::read_to_string(&out).expect("the result");
    std::fs::remove_file(&out).expect("the result goes");
    assert!(status.success(), "{status}");
    assert!(sums.contains(&format!("\"status\":200,\"requests\":{count},")), "{sums}");
    time
}
