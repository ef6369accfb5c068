//! What limits a pipeline is found: pipelines whose bottleneck is known by construction, in every
//! mode. Each runs until its view looks back long enough; how fast the machine is plays no part.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod bench;

use std::time::Duration;

use gristmill_runtime::view::{Cause, RunView};

use bench::{MODES, Place, expect};

/// Much work for a processor, and none for anything else.
const WORK: &str = "levenshtein(repeat(cast(n AS varchar), 40), repeat('7', 200))";

fn numbers() -> &'static str {
    "- { name: numbers, type: generate, run: { RUN }, with: { count: 1000000000 } }"
}

#[test]
fn a_stage_that_computes() {
    let yaml = format!(
        "batch: {{ rows: 256 }}
stages:
  {}
  - {{ name: slow, type: map, run: {{ RUN }}, with: {{ set: {{ x: \"{WORK}\" }} }} }}
  - {{ name: out, type: discard, run: {{ RUN }} }}",
        numbers()
    );
    for view in Place::new().expect(&MODES, &yaml, "slow", Cause::Computes) {
        assert!(view.limit.words.contains("run: { workers: "), "{}", view.limit.words);
        assert!(view.limit.starved.is_empty(), "{}", view.limit.words);
    }
}

#[test]
fn a_source_that_computes() {
    let yaml = "
stages:
  - name: numbers
    type: generate
    run: { RUN }
    with:
      count: 1000000000
      url: 'http://example.com/{n}/{n}/{n}/{n}/{n}/{n}/{n}/{n}/{n}'
      headers: { a: '{n}{n}{n}{n}', b: '{n}{n}{n}{n}', c: '{n}{n}{n}{n}{n}' }
  - { name: out, type: discard, run: { RUN } }";
    Place::new().expect(&MODES, yaml, "numbers", Cause::Computes);
}

#[test]
fn a_stage_behind_requests_that_computes() {
    let yaml = "
batch: { rows: 256 }
channel: { rows: 256 }
stages:
  - name: requests
    type: generate
    run: { RUN }
    with: { count: 1000000000, url: 'demo:/item/1' }
  - { name: pages, type: fetch, run: { RUN }, with: { concurrency: 8 } }
  - name: slow
    type: map
    run: { RUN }
    with: { set: { x: \"levenshtein(repeat(url, 40), repeat('7', 900))\" } }
  - { name: out, type: discard, run: { RUN } }";
    Place::new().expect(&MODES, yaml, "slow", Cause::Computes);
}

#[test]
fn servers_that_answer_slowly() {
    let yaml = "
stages:
  - name: requests
    type: generate
    run: { RUN }
    with: { count: 1000000000, url: 'demo:/delay/100' }
  - { name: pages, type: fetch, run: { RUN }, with: { concurrency: 2 } }
  - { name: out, type: discard, run: { RUN } }";
    for view in Place::new().expect(&MODES, yaml, "pages", Cause::Outside) {
        assert!(view.limit.words.contains("concurrency"), "{}", view.limit.words);
    }
}

#[test]
fn a_program_that_takes_its_time() {
    let yaml = format!(
        "batch: {{ rows: 100 }}
stages:
  {}
  - {{ name: program, type: command, run: {{ RUN }}, with: {{ command: [sh, -c, 'sleep 0.2; cat'] }} }}
  - {{ name: out, type: discard, run: {{ RUN }} }}",
        numbers()
    );
    Place::new().expect(&MODES, &yaml, "program", Cause::Outside);
}

#[test]
fn a_reader_that_takes_little() {
    let mut place = Place::new();
    for mode in MODES {
        let pipe = place.slow_reader(mode);
        let yaml = format!(
            "stages:
  {}
  - {{ name: out, type: write, run: {{ RUN }}, with: {{ path: {}, format: jsonl }} }}",
            numbers(),
            pipe.display()
        );
        place.expect(&[mode], &yaml, "out", Cause::Sink);
    }
}

fn reads(place: &mut Place, mode: &str, pause: Option<Duration>, cause: Cause) {
    let pipe = place.slow_writer(mode, pause);
    let yaml = format!(
        "stages:
  - {{ name: lines, type: read, run: {{ RUN }}, with: {{ path: {}, format: lines }} }}
  - {{ name: upper, type: map, run: {{ RUN }}, with: {{ set: {{ x: upper(line) }} }} }}
  - {{ name: out, type: discard, run: {{ RUN }} }}",
        pipe.display()
    );
    place.expect(&[mode], &yaml, "lines", cause);
}

#[test]
fn input_that_comes_slowly() {
    let mut place = Place::new();
    for mode in MODES {
        reads(&mut place, mode, Some(Duration::from_millis(20)), Cause::SlowInput);
    }
}

#[test]
fn no_input() {
    let mut place = Place::new();
    for mode in MODES {
        reads(&mut place, mode, None, Cause::NoInput);
    }
}

#[test]
fn rows_that_are_all_dealt_to_one_worker() {
    let yaml = format!(
        "batch: {{ rows: 256 }}
stages:
  {}
  - {{ name: keys, type: map, run: {{ RUN }}, with: {{ set: {{ key: \"n * 0\" }} }} }}
  - name: slow
    type: map
    channel: {{ distribute: hash(key) }}
    run: {{ RUN, workers: 3 }}
    with: {{ set: {{ x: \"{WORK}\" }} }}
  - {{ name: out, type: discard, run: {{ RUN }} }}",
        numbers()
    );
    for view in Place::new().expect(&MODES, &yaml, "slow", Cause::Skew) {
        let worker = view.limit.worker.unwrap();
        let stage = view.stages.iter().find(|stage| stage.name == "slow").unwrap();
        let idle = stage.workers.iter().enumerate().filter(|(id, _)| *id != worker);
        idle.for_each(|(_, worker)| assert_eq!(worker.rows_in, 0));
    }
}

/// Of four workers, one has a batch that takes long; the others are done with theirs and wait. The
/// first batch of `generate` has 64 rows, so every fifth after it begins with such a number.
#[test]
fn workers_that_wait_for_their_turn() {
    let yaml = format!(
        "batch: {{ rows: 100 }}
channel: {{ rows: 100 }}
stages:
  {}
  - name: program
    type: command
    run: {{ RUN, workers: 4, ordered: true }}
    with:
      command: [sh, -c, 'IFS= read -r row; case $row in *[05]65}}) sleep 1;; esac; echo \"$row\"; cat']
  - {{ name: out, type: discard, run: {{ RUN }} }}",
        numbers()
    );
    let place = Place::new();
    for mode in MODES {
        let view = place.view(&yaml, mode, |view| view.window >= 4.0);
        expect(&view, mode, "program", Cause::Order);
        assert!(view.limit.words.contains("ordered"), "{}", view.limit.words);
    }
}

#[test]
fn a_pool_with_too_few_threads() {
    let yaml = format!(
        "batch: {{ rows: 256 }}
pools: {{ small: {{ threads: 1 }} }}
stages:
  {}
  - {{ name: one, type: map, run: {{ RUN, pool: small, workers: 2 }}, with: {{ set: {{ x: \"{WORK}\" }} }} }}
  - {{ name: out, type: discard }}",
        numbers()
    );
    let view = &Place::new().expect(&["pooled"], &yaml, "one", Cause::Pool)[0];
    assert!(view.limit.words.contains("pools: { small: { threads: "), "{}", view.limit.words);
}

/// Two stages of which neither is busy most of the time, as they share one thread.
#[test]
fn a_pool_that_stages_share() {
    let yaml = format!(
        "batch: {{ rows: 256 }}
pools: {{ small: {{ threads: 1 }} }}
stages:
  {}
  - {{ name: one, type: map, run: {{ RUN, pool: small }}, with: {{ set: {{ x: \"{WORK}\" }} }} }}
  - {{ name: two, type: map, run: {{ RUN, pool: small }}, with: {{ set: {{ y: \"{WORK}\" }} }} }}
  - {{ name: three, type: map, run: {{ RUN, pool: small }}, with: {{ set: {{ z: \"{WORK}\" }} }} }}
  - {{ name: out, type: discard }}",
        numbers()
    );
    let view = Place::new().view(&yaml, "pooled", |view| view.window >= 3.0);
    assert_eq!(view.limit.cause, Cause::Pool, "{}", view.limit.words);
    assert!(view.limit.words.contains("The pool `small`"), "{}", view.limit.words);
}

#[test]
fn more_workers_than_processors() {
    let workers = 2 * std::thread::available_parallelism().map_or(1, usize::from);
    let yaml = format!(
        "batch: {{ rows: 256 }}
stages:
  {}
  - {{ name: slow, type: map, run: {{ RUN, workers: {workers} }}, with: {{ set: {{ x: \"{WORK}\" }} }} }}
  - {{ name: out, type: discard, run: {{ RUN }} }}",
        numbers()
    );
    Place::new().expect(&MODES, &yaml, "slow", Cause::Machine);
}

#[test]
fn a_branch_that_holds_another_back() {
    let yaml = format!(
        "batch: {{ rows: 256 }}
stages:
  {}
  - {{ name: slow, type: map, run: {{ RUN }}, with: {{ set: {{ x: \"{WORK}\" }} }} }}
  - {{ name: out, type: discard, run: {{ RUN }} }}
  - {{ name: fast, type: map, from: numbers, run: {{ RUN }}, with: {{ set: {{ x: n }} }} }}
  - {{ name: all, type: discard, run: {{ RUN }} }}",
        numbers()
    );
    for view in Place::new().expect(&MODES, &yaml, "slow", Cause::Computes) {
        let starved: Vec<_> =
            view.limit.starved.iter().map(|&id| view.stages[id].name.as_str()).collect();
        assert_eq!(starved, ["fast"], "{}", view.limit.words);
        assert!(
            view.limit.words.contains("`fast` on another branch waits"),
            "{}",
            view.limit.words
        );
    }
}

#[test]
fn batches_of_one_row() {
    let sets: Vec<_> = (0..12).map(|n| format!("x{n}: \"n + {n}\"")).collect();
    let yaml = format!(
        "batch: {{ rows: 1 }}
stages:
  {}
  - {{ name: sums, type: map, run: {{ RUN }}, with: {{ set: {{ {} }} }} }}
  - {{ name: out, type: discard, run: {{ RUN }} }}",
        numbers().replace("RUN", "mode: pooled"),
        sets.join(", ")
    );
    for view in Place::new().expect(&MODES, &yaml, "sums", Cause::Batches) {
        assert!(view.limit.words.contains("batch: { rows: 8192 }"), "{}", view.limit.words);
    }
}

#[test]
fn children_that_die_again_and_again() {
    let yaml = format!(
        "batch: {{ rows: 10 }}
stages:
  {}
  - name: broken
    type: broken
    run: {{ RUN, restarts: 1000000 }}
    with: {{ column: n, how: kill, at: [{}] }}
  - {{ name: out, type: discard, run: {{ RUN }} }}",
        numbers(),
        (1..2000).map(|n| format!("'{n}'")).collect::<Vec<_>>().join(", ")
    );
    let died = |view: &RunView| {
        let children = view.stages.iter().flat_map(|stage| &stage.workers);
        children
            .filter_map(|worker| worker.child.as_ref())
            .flat_map(|child| child.deaths.values())
            .sum::<u64>()
    };
    let view = Place::new().view(&yaml, "process", |view| {
        view.window >= 2.0 && (died(view) >= 20 || view.stages[1].recent.deaths * view.window > 5.0)
    });
    expect(&view, "process", "broken", Cause::Deaths);
    assert!(view.limit.words.contains("killed"), "{}", view.limit.words);
}

#[test]
fn rejected_rows_whose_file_is_slow() {
    let mut place = Place::new();
    for mode in MODES {
        let pipe = place.slow_reader(mode);
        let yaml = format!(
            "batch: {{ rows: 100 }}
rejected: {}
stages:
  {}
  - {{ name: parts, type: map, run: {{ RUN }}, with: {{ set: {{ x: \"1 / (n - n)\" }} }} }}
  - {{ name: out, type: discard, run: {{ RUN }} }}",
            pipe.display(),
            numbers()
        );
        place.expect(&[mode], &yaml, "parts", Cause::Rejected);
    }
}
