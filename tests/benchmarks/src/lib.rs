//! What the benchmarks share: samples, medians, a table, and pipelines run in this process by the
//! same code as the command.

mod python;

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use gristmill_config::{Source, Variables, load};
use gristmill_runtime::{Outcome, Report, Run, RunOptions, WorkerCommand};
use gristmill_stage::Registry;

pub use python::python;

/// One side of a comparison: a name, and how to run it once.
pub struct Side<'a> {
    /// What the table calls it.
    pub name: String,
    /// Runs it once.
    pub run: Box<dyn FnMut() + 'a>,
}

impl<'a> Side<'a> {
    /// A side.
    pub fn new(name: impl Into<String>, run: impl FnMut() + 'a) -> Self {
        Self { name: name.into(), run: Box::new(run) }
    }
}

/// Runs all sides in turn, `repeat` times after one warm-up, and prints for each the median rate of
/// `items`, its spread, and its ratio to the first side.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
pub fn compare(title: &str, items: f64, unit: &str, repeat: usize, mut sides: Vec<Side<'_>>) {
    let mut samples = vec![Vec::new(); sides.len()];
    for round in 0..=repeat {
        for (side, samples) in sides.iter_mut().zip(&mut samples) {
            let start = Instant::now();
            (side.run)();
            if round > 0 {
                samples.push(start.elapsed());
            }
        }
    }
    println!("{title}");
    let base = median(&mut samples[0]);
    for (side, samples) in sides.iter().zip(&mut samples) {
        let middle = median(samples);
        let (fast, slow) = (samples[0], samples[samples.len() - 1]);
        println!(
            "  {:32} {:>10} {unit}/s   {:>8.1} ms ({:.1} to {:.1})   ratio {:.2}",
            side.name,
            figure(items / middle.as_secs_f64()),
            millis(middle),
            millis(fast),
            millis(slow),
            base.as_secs_f64() / middle.as_secs_f64(),
        );
    }
}

fn median(samples: &mut [Duration]) -> Duration {
    samples.sort_unstable();
    samples[samples.len() / 2]
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn figure(rate: f64) -> String {
    match rate {
        rate if rate >= 1e6 => format!("{:.1}M", rate / 1e6),
        rate if rate >= 1e4 => format!("{:.1}k", rate / 1e3),
        rate => format!("{rate:.0}"),
    }
}

/// All built-in kinds.
pub fn built_in() -> Registry {
    let mut registry = Registry::new();
    gristmill_generate::register(&mut registry);
    gristmill_fetch::register(&mut registry);
    gristmill_parse::register(&mut registry);
    gristmill_sql::register(&mut registry);
    gristmill_files::register(&mut registry);
    gristmill_flow::register(&mut registry);
    gristmill_shape::register(&mut registry);
    gristmill_databases::register(&mut registry);
    registry
}

/// Runs a pipeline to its end.
#[expect(clippy::panic, reason = "a benchmark that does not run must not print figures")]
pub fn run(yaml: &str, registry: &Registry) -> Report {
    let report = start(yaml, registry).wait();
    match &report.outcome {
        Outcome::Done => report,
        other => panic!("{other:?}"),
    }
}

/// Starts a pipeline. Its child processes, if it has some, are this very program.
#[expect(clippy::panic, reason = "a benchmark that does not run must not print figures")]
pub fn start(yaml: &str, registry: &Registry) -> Run {
    let source = Source::new("benchmark.yaml", yaml);
    let plan = match load(&source, &Variables::new(), registry) {
        Ok(plan) => plan,
        Err(problems) => panic!("{}", problems.render(false)),
    };
    let worker = Some(WorkerCommand::this_program());
    match Run::start(plan, registry, RunOptions { worker, ..RunOptions::default() }) {
        Ok(run) => run,
        Err(failure) => panic!("{failure}"),
    }
}

/// The demo site in a process of its own, so that its work is not counted as ours.
pub struct Site {
    child: Child,
    /// Its address, without a slash at the end.
    pub base: String,
}

/// The argument that makes a benchmark serve the demo site instead.
pub const SERVE: &str = "serve-demo-site";

impl Site {
    /// Starts this very program again as the demo site.
    #[expect(clippy::expect_used, reason = "without the site there is nothing to measure")]
    pub fn start() -> Self {
        use std::io::{BufRead, BufReader};
        let program = std::env::current_exe().expect("own path");
        let mut child = Command::new(program)
            .arg(SERVE)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the demo site starts");
        let stdout = child.stdout.take().expect("piped");
        let mut base = String::new();
        BufReader::new(stdout).read_line(&mut base).expect("the demo site says its address");
        Self { child, base: base.trim().to_owned() }
    }

    /// Serves if the program was started for that. Call it first in `main`.
    #[expect(clippy::expect_used, reason = "without the site there is nothing to measure")]
    pub fn serve_if_asked() -> bool {
        if std::env::args().nth(1).as_deref() != Some(SERVE) {
            return false;
        }
        let any = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
        let site = gristmill_demo::DemoSite::start(any).expect("a free port");
        println!("{}", site.base());
        // Ends when the benchmark does, even if that is killed.
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        true
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
