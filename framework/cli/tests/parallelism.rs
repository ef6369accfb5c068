//! Every form of parallelism in `pipelines/parallelism/` truly happens: seen from outside, in the
//! demo site, in the threads of the process and in the files that come out.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use common::{Place, ended};
use gristmill_demo::DemoSite;
use serde_json::Value;

/// The modes that each form must work in.
const MODES: [&str; 3] = ["threaded", "pooled", "process"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../pipelines").canonicalize().unwrap()
}

fn site() -> DemoSite {
    DemoSite::start("127.0.0.1:0".parse().unwrap()).unwrap()
}

/// The arguments of a run of this pipeline.
fn arguments(name: &str, set: &[(&str, String)]) -> Vec<String> {
    let file = folder().join(name).display().to_string();
    let mut arguments = vec!["run".to_owned(), "--quiet".to_owned(), file];
    for (name, value) in set {
        arguments.extend(["--set".to_owned(), format!("{name}={value}")]);
    }
    arguments
}

/// The rows of all files here, by file.
fn rows(place: &Place) -> BTreeMap<String, Vec<Value>> {
    let read = |name: String| {
        let lines = place.read(&name);
        let rows = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        (name, rows)
    };
    place.files().into_iter().map(read).collect()
}

/// A run whose requests all wait at one door of the demo site, with one place left free. So it
/// stands still for as long as the test looks at it.
struct Held {
    place: Place,
    site: DemoSite,
    child: Child,
    waiting: u64,
}

/// A thread of a run.
#[derive(Debug)]
struct Thread {
    name: String,
    /// Nanoseconds that it has had a processor.
    busy: u64,
    /// The processors that it may run on.
    allowed: Vec<usize>,
    /// The processor that it ran on last.
    processor: usize,
    /// Whether it waits for something.
    rests: bool,
}

/// The threads whose names begin like this.
fn named<'t>(threads: &'t [Thread], start: &str) -> Vec<&'t Thread> {
    threads.iter().filter(|thread| thread.name.starts_with(start)).collect()
}

impl Held {
    /// Starts a pipeline and waits until so many of its requests wait at once.
    fn start(name: &str, waiting: u64, set: &[(&str, String)]) -> Self {
        let (place, site) = (Place::new(), site());
        let mut set = set.to_vec();
        set.extend([("SITE", site.base()), ("TOGETHER", (waiting + 1).to_string())]);
        let arguments = arguments(&format!("parallelism/{name}.yaml"), &set);
        let mut command = place.command(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        while site.waiting() != waiting {
            if child.try_wait().unwrap().is_some() {
                let ended = ended(child.wait_with_output().unwrap());
                panic!("{name} {set:?}: never {waiting} at once: {}", ended.stderr);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Self { place, site, child, waiting }
    }

    /// All threads of the process but the first, once each has begun and come to rest: a new one
    /// bears the name of the first until it runs.
    fn threads(&mut self) -> Vec<Thread> {
        let first = self.child.id().to_string();
        let folder = PathBuf::from(format!("/proc/{first}/task"));
        loop {
            let started = Thread::read(&folder.join(&first)).name;
            let tasks = fs::read_dir(&folder).unwrap().map(|task| task.unwrap().path());
            let threads: Vec<_> =
                tasks.filter(|task| !task.ends_with(&first)).map(|t| Thread::read(&t)).collect();
            if threads.iter().all(|thread| thread.name != started && thread.rests) {
                return threads;
            }
            assert!(self.child.try_wait().unwrap().is_none(), "it never rests: {threads:?}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Takes the free place, lets the run end and gives what it wrote.
    fn release(mut self) -> BTreeMap<String, Vec<Value>> {
        let mut stream = TcpStream::connect(self.site.addr()).unwrap();
        let together = self.waiting + 1;
        let request = format!("GET /item/0?together={together} HTTP/1.0\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        stream.read_to_end(&mut Vec::new()).unwrap();
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert!(self.child.wait().unwrap().success(), "{said}");
        rows(&self.place)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // A test that fails leaves no run behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Thread {
    fn read(task: &Path) -> Self {
        let read = |file: &str| fs::read_to_string(task.join(file)).unwrap();
        let (status, stat) = (read("status"), read("stat"));
        // The name stands in parentheses and may hold blanks; the processor is the 39th field.
        let fields = stat.rsplit_once(") ").unwrap().1;
        Self {
            name: read("comm").trim().to_owned(),
            busy: read("schedstat").split(' ').next().unwrap().parse().unwrap(),
            allowed: allowed(&status),
            processor: fields.split(' ').nth(36).unwrap().parse().unwrap(),
            rests: fields.starts_with('S'),
        }
    }
}

/// The processors in `Cpus_allowed_list`, such as `0-3,6`.
fn allowed(status: &str) -> Vec<usize> {
    let line = status.lines().find(|line| line.starts_with("Cpus_allowed_list:")).unwrap();
    let number = |text: &str| text.trim().parse::<usize>().unwrap();
    let ranges = line.split_once(':').unwrap().1.split(',');
    let ranges = ranges.flat_map(|range| match range.split_once('-') {
        Some((first, last)) => number(first)..=number(last),
        None => number(range)..=number(range),
    });
    ranges.collect()
}

/// Runs a pipeline to its end in a mode, on a site of its own: what it wrote and how many requests
/// the site had.
fn run(name: &str, mode: &str) -> (BTreeMap<String, Vec<Value>>, u64) {
    let (place, site) = (Place::new(), site());
    let arguments = arguments(name, &[("SITE", site.base()), ("MODE", mode.to_owned())]);
    place.gristmill(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).expect(0);
    (rows(&place), site.requests())
}

fn sorted(mut rows: BTreeMap<String, Vec<Value>>) -> BTreeMap<String, Vec<Value>> {
    rows.values_mut().for_each(|rows| rows.sort_by_key(Value::to_string));
    rows
}

#[test]
fn branches_overlap() {
    for mode in MODES {
        // It ends well only if both branches ask for each address at once.
        let (rows, requests) = run("parallelism/tasks.yaml", mode);
        assert_eq!(requests, 40, "{mode}");
        let pairs = &rows["tasks.jsonl"];
        assert!(pairs.len() == 20 && pairs.iter().all(|row| row["answers"] == 2), "{pairs:?}");
    }
}

#[test]
fn a_stage_and_the_next_overlap() {
    for mode in MODES {
        // It ends well only if `first` is at row n + 1 while `second` is at row n, for each n.
        let (rows, requests) = run("parallelism/stages.yaml", mode);
        assert_eq!(requests, 40, "{mode}");
        let rows = &rows["stages.jsonl"];
        let all = rows.iter().all(|row| row["first"] == 200 && row["second"] == 200);
        assert!(rows.len() == 20 && all, "{mode}: {rows:?}");
    }
}

#[test]
fn workers_that_share_a_channel_overlap() {
    for mode in MODES {
        // Each of the four workers makes one request at a time.
        let rows = Held::start("shared", 4, &[("MODE", mode.to_owned())]).release();
        let sums = &rows["shared.jsonl"][..];
        assert!(sums.len() == 1 && sums[0]["addresses"] == 100, "{mode}: {sums:?}");
    }
}

#[test]
fn workers_with_keys_of_their_own_overlap() {
    let mut all = Vec::new();
    for mode in MODES {
        let rows = Held::start("hash", 3, &[("MODE", mode.to_owned())]).release();
        assert_eq!(rows.len(), 3, "{mode}: a file for each worker");
        let mut owners = BTreeMap::new();
        for (file, rows) in &rows {
            assert!(!rows.is_empty(), "{mode}: {file}");
            let mut last = BTreeMap::new();
            for row in rows {
                let shelf = row["shelf"].as_str().unwrap();
                let owner = owners.entry(shelf.to_owned()).or_insert(file);
                assert_eq!(*owner, file, "{mode}: {shelf} has one worker");
                let before = last.insert(shelf, row["n"].as_u64());
                assert!(before < Some(row["n"].as_u64()), "{mode}: {shelf} keeps its order");
            }
        }
        assert_eq!((owners.len(), rows.values().map(Vec::len).sum()), (9, 90), "{mode}");
        all.push(sorted(rows));
    }
    assert!(all.iter().all(|rows| *rows == all[0]), "keys have the same worker in every mode");
}

#[test]
fn workers_branches_and_stages_overlap_at_once() {
    for mode in MODES {
        // Two workers with four requests each, two branches after them with two each.
        let rows = Held::start("hybrid", 12, &[("MODE", mode.to_owned())]).release();
        let sums = &rows["hybrid.jsonl"][..];
        assert!(sums.len() == 1 && sums[0]["answers"] == 160, "{mode}: {sums:?}");
    }
}

#[test]
fn user_level_is_many_requests_on_one_thread() {
    let mut held = Held::start("user-level", 64, &[]);
    let threads = held.threads();
    let (stages, io) = (named(&threads, "one-stage"), named(&threads, "one-io"));
    assert!(stages.len() == 1 && io.len() == 1 && threads.len() < 64, "{threads:?}");
    // It is this thread that made the requests: no other for async work has even started.
    assert!(io[0].busy > 0 && named(&threads, "default-io").is_empty(), "{threads:?}");
    assert_eq!(held.release()["user-level.jsonl"][0]["addresses"], 200);
}

#[test]
fn kernel_level_is_a_thread_for_each_worker() {
    let mut held = Held::start("kernel-level", 8, &[]);
    let threads = held.threads();
    let mut names: Vec<_> = named(&threads, "answers-").iter().map(|t| &t.name[..]).collect();
    names.sort_unstable();
    assert_eq!(names, (0..8).map(|n| format!("answers-{n}")).collect::<Vec<_>>());
    assert_eq!(held.release()["kernel-level.jsonl"][0]["addresses"], 200);
}

#[test]
fn processes_are_one_for_each_worker() {
    let held = Held::start("processes", 4, &[]);
    let parent = held.child.id();
    let children = fs::read_dir("/proc").unwrap().filter(|entry| {
        let stat = fs::read_to_string(entry.as_ref().unwrap().path().join("stat"));
        let parent = format!(" {parent} ");
        stat.is_ok_and(|stat| stat.rsplit_once(')').unwrap().1[2..].starts_with(&parent))
    });
    assert_eq!(children.count(), 4);
    assert_eq!(held.release()["processes.jsonl"][0]["addresses"], 200);
}

#[test]
fn many_to_many_is_more_workers_than_threads() {
    let mut held = Held::start("many-to-many", 16, &[]);
    let threads = held.threads();
    let (stages, io) = (named(&threads, "few-stage"), named(&threads, "few-io"));
    assert!(stages.len() == 2 && io.len() == 2 && threads.len() < 16, "{threads:?}");
    assert!(named(&threads, "answers").is_empty(), "no worker has a thread: {threads:?}");
    assert_eq!(held.release()["many-to-many.jsonl"][0]["addresses"], 200);
}

#[test]
fn two_level_is_many_tasks_on_threads_of_their_own() {
    let mut held = Held::start("two-level", 64, &[]);
    let threads = held.threads();
    let own = named(&threads, "answers-");
    // Each has made 32 requests, which the threads of the pool had no part in.
    let others = named(&threads, "default-io").iter().map(|thread| thread.busy).max().unwrap_or(0);
    assert!(own.len() == 2 && own.iter().all(|thread| thread.busy > others), "{threads:?}");
    assert_eq!(held.release()["two-level.jsonl"][0]["addresses"], 200);
}

/// Two processors that this machine lets us use; the same one twice if there is only one.
fn processors() -> [usize; 2] {
    let all = allowed(&fs::read_to_string("/proc/self/status").unwrap());
    [all[0], all[all.len() - 1]]
}

#[test]
fn symmetric_is_every_thread_on_every_processor() {
    let [first, second] = processors();
    let set = [("FIRST", first.to_string()), ("SECOND", second.to_string())];
    let mut held = Held::start("symmetric", 16, &set);
    let threads = held.threads();
    assert_eq!((named(&threads, "all-stage").len(), named(&threads, "all-io").len()), (2, 2));
    let mut both = vec![first, second];
    both.dedup();
    for thread in named(&threads, "all-") {
        assert_eq!(thread.allowed, both, "{thread:?}");
        assert!(both.contains(&thread.processor), "{thread:?}");
    }
    assert_eq!(held.release()["symmetric.jsonl"].len(), 12);
}

#[test]
fn asymmetric_is_a_job_for_each_processor() {
    let [net, compute] = processors();
    let set = [("NET", net.to_string()), ("COMPUTE", compute.to_string())];
    let mut held = Held::start("asymmetric", 16, &set);
    let threads = held.threads();
    for (pool, processor) in [("net-stage", net), ("net-io", net), ("compute-stage", compute)] {
        let own = named(&threads, pool);
        assert_eq!(own.len(), 1, "{pool}: {threads:?}");
        assert_eq!((&own[0].allowed[..], own[0].processor), (&[processor][..], processor));
        assert!(own[0].busy > 0, "{pool} has done its part: {own:?}");
    }
    assert_eq!(held.release()["asymmetric.jsonl"].len(), 12);
}

#[test]
fn five_hundred_requests_are_made_in_every_mode() {
    for mode in MODES {
        let (rows, requests) = run("five-hundred-requests.yaml", mode);
        assert_eq!(requests, 500, "{mode}");
        let sums = &rows["five-hundred-requests.jsonl"][..];
        assert!(sums.len() == 1 && sums[0]["addresses"] == 500, "{mode}: {sums:?}");
    }
}

#[test]
fn every_pipeline_stands_in_the_table() {
    let table = fs::read_to_string(folder().join("parallelism/README.md")).unwrap();
    for entry in fs::read_dir(folder().join("parallelism")).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        assert!(name == "README.md" || table.contains(&format!("({name})")), "{name}");
    }
}
