//! Peak memory of the command against the bound that its plan prints, for inputs of two lengths and
//! with the slowest stage last; and the time from the start of the process to its first row.
//!
//! `cargo build --release && cargo run --release -p gristmill-benchmarks --bin memory`

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use gristmill_benchmarks::Site;

#[expect(clippy::expect_used, reason = "a benchmark that does not run must not print figures")]
fn main() {
    if Site::serve_if_asked() {
        return;
    }
    let site = Site::start();
    let folder = std::env::temp_dir().join(format!("gristmill-memory-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    for pages in [5_000, 20_000] {
        // The parser is last and slowest, so every channel before it is full.
        let yaml = format!(
            "channel: {{ rows: 1000, bytes: 16MiB }}\nbatch: {{ bytes: 2MiB }}\nstages:\n  \
             - {{ type: generate, with: {{ url: \"{}/item/{{n}}\", count: {pages} }} }}\n  \
             - {{ type: fetch, with: {{ concurrency: 64, max_body: 64KiB }} }}\n  \
             - {{ type: parse, with: {{ format: html, fields: {{ title: h1 }} }} }}\n  \
             - {{ type: discard }}\n",
            site.base
        );
        measure(&folder, &format!("{pages} pages"), &yaml);
    }
    for rows in [10_000_000, 100_000_000] {
        let yaml = format!(
            "stages:\n  - {{ type: generate, with: {{ count: {rows} }} }}\n  \
             - {{ type: map, with: {{ set: {{ m: n * 2 }} }} }}\n  \
             - {{ type: filter, with: {{ where: m % 3 = 0 }} }}\n  - {{ type: discard }}\n"
        );
        measure(&folder, &format!("{rows} numbers"), &yaml);
    }
    first_row(&folder);
    std::fs::remove_dir_all(&folder).expect("the folder goes");
}

fn gristmill() -> PathBuf {
    let own = std::env::current_exe().unwrap_or_default();
    own.with_file_name("gristmill")
}

/// Runs a pipeline and prints its peak memory beside the bound of its plan.
#[expect(clippy::expect_used, reason = "a benchmark that does not run must not print figures")]
fn measure(folder: &std::path::Path, name: &str, yaml: &str) {
    let file = folder.join("pipeline.yaml");
    std::fs::write(&file, yaml).expect("a file");
    let check = Command::new(gristmill()).arg("check").arg(&file).output().expect("gristmill");
    let plan = String::from_utf8_lossy(&check.stdout).into_owned();
    let bound =
        plan.lines().find(|line| line.starts_with("memory:")).unwrap_or("no bound").to_owned();
    let child = Command::new(gristmill())
        .args(["run", "--quiet"])
        .arg(&file)
        .current_dir(folder)
        .spawn()
        .expect("gristmill");
    println!("{name:20} peak {:>6.1} MiB   {bound}", peak(child) as f64 / 1024.0);
}

/// The most resident memory of a process, in KiB, read until it ends.
fn peak(mut child: Child) -> u64 {
    let status = format!("/proc/{}/status", child.id());
    let mut most = 0;
    while let Ok(None) = child.try_wait() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let now = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        most = most.max(now.unwrap_or(0));
        std::thread::sleep(Duration::from_millis(5));
    }
    most
}

/// The time from the start of the process to the first row on its stdout.
#[expect(clippy::expect_used, reason = "a benchmark that does not run must not print figures")]
#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn first_row(folder: &std::path::Path) {
    let yaml = "stages:\n  - { type: generate, with: { url: \"demo:/item/{n}\", count: 2000 } }\n  \
                - { type: fetch, with: { concurrency: 16 } }\n  \
                - { type: parse, with: { format: html, fields: { title: h1 } } }\n  \
                - { type: write, with: { path: \"-\" } }\n";
    let file = folder.join("first.yaml");
    std::fs::write(&file, yaml).expect("a file");
    let mut times: Vec<Duration> = (0..11)
        .map(|_| {
            let start = Instant::now();
            let mut child = Command::new(gristmill())
                .args(["run", "--quiet"])
                .arg(&file)
                .stdout(Stdio::piped())
                .spawn()
                .expect("gristmill");
            let mut rows = BufReader::new(child.stdout.take().expect("piped"));
            rows.read_line(&mut String::new()).expect("a row");
            let time = start.elapsed();
            let _ = rows.read_to_end(&mut Vec::new());
            let _ = child.wait();
            time
        })
        .collect();
    times.sort_unstable();
    println!(
        "start to first row: {:.1} ms (of 11 runs: {:.1} to {:.1})",
        times[5].as_secs_f64() * 1e3,
        times[0].as_secs_f64() * 1e3,
        times[10].as_secs_f64() * 1e3
    );
}
