//! Pipelines whose bottleneck is known, run until there is enough to say.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use gristmill_config::{Source, Variables, load};
use gristmill_demo::DemoSite;
use gristmill_runtime::view::{Cause, RunView};
use gristmill_runtime::{Run, RunOptions, WorkerCommand};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use tempfile::TempDir;

pub const MODES: [&str; 3] = ["threaded", "pooled", "process"];

/// How often a run is looked at.
const TICK: Duration = Duration::from_millis(100);
/// A view that looks back this many seconds says enough.
const ENOUGH: f64 = 2.0;
/// Seconds after which an answer must be right, whatever else the machine does.
const PLENTY: f64 = 9.0;

/// A folder with what a pipeline needs from outside.
pub struct Place {
    folder: TempDir,
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    _alone: MutexGuard<'static, ()>,
}

/// The processors that a run uses are told of the whole program, so there is one run at a time.
static ALONE: Mutex<()> = Mutex::new(());

impl Place {
    pub fn new() -> Self {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let (over, threads) = Default::default();
        Self { folder: tempfile::tempdir().unwrap(), over, threads, _alone: alone }
    }

    fn pipe(&self, name: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        mknodat(CWD, &path, FileType::Fifo, Mode::RWXU, 0).unwrap();
        path
    }

    /// A pipe whose reader takes a little now and then.
    pub fn slow_reader(&mut self, name: &str) -> PathBuf {
        let path = self.pipe(name);
        let (opened, over) = (path.clone(), self.over.clone());
        self.threads.push(std::thread::spawn(move || {
            let mut pipe = File::open(opened).unwrap();
            let mut taken = [0; 1024];
            while !over.load(Ordering::Relaxed) && pipe.read(&mut taken).is_ok_and(|n| n > 0) {
                std::thread::sleep(Duration::from_millis(20));
            }
        }));
        path
    }

    /// A pipe into which a line is written now and then, or never.
    pub fn slow_writer(&mut self, name: &str, pause: Option<Duration>) -> PathBuf {
        let path = self.pipe(name);
        // To read as well, so that it opens at once, and the pipe has an end for as long as it lasts.
        let mut pipe = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let over = self.over.clone();
        self.threads.push(std::thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                if pause.is_some() {
                    pipe.write_all(b"a line\n").unwrap();
                }
                std::thread::sleep(pause.unwrap_or(TICK));
            }
        }));
        path
    }

    /// Runs a pipeline, `RUN` put in as told, until `enough`.
    pub fn view(&self, yaml: &str, mode: &str, enough: impl Fn(&RunView) -> bool) -> RunView {
        let yaml = yaml.replace("RUN", &format!("mode: {mode}"));
        let rejected = self.folder.path().join("rejected.jsonl");
        let yaml = match yaml.contains("rejected:") {
            true => yaml,
            false => format!("{yaml}\nrejected: {}", rejected.display()),
        };
        let registry = gristmill_tests::registry();
        let source = Source::new("limits.yaml", format!("name: limits\n{yaml}"));
        let plan = load(&source, &Variables::new(), &registry);
        let plan = plan.unwrap_or_else(|problems| panic!("{}", problems.render(false)));
        let site = DemoSite::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let worker = env!("CARGO_BIN_EXE_gristmill-test-worker");
        let mut options =
            RunOptions { worker: Some(WorkerCommand::program(worker)), ..RunOptions::default() };
        options.origins.add("demo", site.base());
        let run = Run::start(plan, &registry, options).unwrap_or_else(|error| panic!("{error}"));
        loop {
            assert!(!run.wait_for(TICK), "the run ended by itself, in mode {mode}:\n{yaml}");
            let view = run.view();
            if enough(&view) {
                run.stopper().abort();
                // Threads of this run must not take part in the next.
                run.wait();
                return view;
            }
        }
    }

    /// Says whether a pipeline is limited by this stage for this cause, in these modes.
    #[track_caller]
    pub fn expect(&self, modes: &[&str], yaml: &str, stage: &str, cause: Cause) -> Vec<RunView> {
        let look = |mode: &&str| {
            // Other work on the machine can spoil a few seconds; not many.
            let view = self.view(yaml, mode, |view| {
                view.window >= PLENTY || view.window >= ENOUGH && is_right(view, stage, cause)
            });
            expect(&view, mode, stage, cause);
            view
        };
        modes.iter().map(look).collect()
    }
}

/// The stage that limits.
fn found<'v>(view: &'v RunView, stage: &'v str, cause: Cause) -> Option<&'v str> {
    match cause {
        // None does, and the words name it all the same.
        Cause::NoInput => Some(stage),
        _ => view.limit.stage.map(|id| view.stages[id].name.as_str()),
    }
}

fn is_right(view: &RunView, stage: &str, cause: Cause) -> bool {
    found(view, stage, cause) == Some(stage) && view.limit.cause == cause
}

#[track_caller]
pub fn expect(view: &RunView, mode: &str, stage: &str, cause: Cause) {
    let limit = &view.limit;
    let found = found(view, stage, cause);
    println!("{mode}: {}", limit.words);
    assert!(
        is_right(view, stage, cause),
        "{mode}: {found:?} {:?}, not {stage} {cause:?}: {}\n{}",
        limit.cause,
        limit.words,
        serde_json::to_string_pretty(view).unwrap()
    );
    assert!(limit.words.contains(&format!("`{stage}`")), "{}", limit.words);
    assert!(limit.evidence.contains_key("busy"));
}

impl Drop for Place {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}
