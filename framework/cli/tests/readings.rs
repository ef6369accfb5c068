//! What stages tell of their work, as `/metrics` has it, in every mode.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "a test fails by panicking, and takes times from outside"
)]

mod common;
#[path = "common/library.rs"]
mod library;
#[path = "common/watched.rs"]
mod watched;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::time::Instant;

use common::Place;
use library::{compile, libraries, root};
use watched::{Sample, Watched, sum};

const MODES: [&str; 3] = ["pooled", "threaded", "process"];

/// What stands before a kind that is built in, and before one that is loaded.
const BUILT_IN: &str = "";
const LOADED: &str = "lib.";

/// Every mode, with kinds that are built in and with the same ones loaded from the libraries of their crates.
fn ways() -> impl Iterator<Item = (&'static str, &'static str)> {
    [BUILT_IN, LOADED].into_iter().flat_map(|from| MODES.into_iter().map(move |mode| (from, mode)))
}

/// The beginning of a pipeline that may have both.
fn head() -> String {
    let folder = libraries();
    let library = |name: &str| {
        let file = folder.join(format!("libgristmill_{name}.so"));
        format!("  - {{ path: '{}', namespace: lib }}\n", file.display())
    };
    let libraries: String = ["fetch", "sql", "shape", "command"].map(library).concat();
    format!("name: told\nplugins:\n{libraries}stages:\n")
}

/// The name of a metric of a kind.
fn metric(from: &str, name: &str) -> String {
    format!("gristmill_{}{name}", from.replace('.', "_"))
}

/// Keeps the run from its end for as long as its stdin is open.
const OPEN: &str = "  - { name: open, type: read, with: { path: '-', format: lines } }\n  - { name: end, type: discard }\n";

#[test]
fn requests_are_told_of_in_every_mode() {
    for (from, mode) in ways() {
        let place = Place::new();
        let mut run = Watched::run(
            &place,
            &format!(
                "{}  - {{ name: requests, type: generate, with: {{ urls: \
                 ['demo:/item/1', 'demo:/item/2', 'demo:/status/404', 'demo:/flaky/7', 'demo:/redirect/2'] }} }}\n  \
                 - {{ name: pages, type: {from}fetch, run: {{ mode: {mode} }}, with: {{ retries: 2, backoff: {{ initial: 1ms }} }} }}\n  \
                 - {{ name: out1, type: discard }}\n{OPEN}",
                head()
            ),
        );
        let of = |samples: &[Sample], name: &str, labels: &[&str]| {
            let stage = ["stage=\"pages\"", &format!("mode=\"{mode}\"")];
            sum(samples, &metric(from, &format!("fetch_{name}")), &[&stage[..], labels].concat())
        };
        let told = run.wait_for("all is fetched", |samples| {
            of(samples, "responses_total", &[]) >= 6.0 && of(samples, "in_flight", &[]) == 0.0
        });
        // The flaky page fails once, and is asked for again; a redirect is part of one attempt.
        for (status, attempts) in [("2xx", 4.0), ("4xx", 1.0), ("5xx", 1.0), ("none", 0.0)] {
            let label = format!("status=\"{status}\"");
            assert_eq!(of(&told, "responses_total", &[&label]), attempts, "{mode} {status}");
        }
        assert_eq!(of(&told, "retries_total", &[]), 1.0, "{mode}");
        assert_eq!(of(&told, "request_duration_seconds_count", &[]), 6.0, "{mode}");
        assert_eq!(of(&told, "request_duration_seconds_bucket", &["le=\"+Inf\""]), 6.0, "{mode}");
        assert!(of(&told, "request_duration_seconds_sum", &[]) > 0.0, "{mode}");
    }
}

#[test]
fn requests_under_way_are_seen_and_gone_when_they_fail() {
    for (from, mode) in ways() {
        let place = Place::new();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = listener.local_addr().unwrap();
        let mut run = Watched::run(
            &place,
            &format!(
                "{}  - {{ type: generate, with: {{ url: 'http://{base}/{{n}}', count: 3 }} }}\n  \
                 - {{ name: pages, type: {from}fetch, run: {{ mode: {mode} }}, with: {{ retries: 0, timeout: 1h, read_timeout: 1h }} }}\n  \
                 - {{ name: out2, type: discard }}\n{OPEN}",
                head()
            ),
        );
        let held: Vec<_> = (0..3).map(|_| listener.accept().unwrap().0).collect();
        let both = |samples: &[Sample]| {
            ["fetch_in_flight", "fetch_connections"]
                .map(|name| sum(samples, &metric(from, name), &[]))
        };
        run.wait_for("three are under way", |samples| both(samples) == [3.0; 2]);
        drop(held);
        let told = run.wait_for("none is under way", |samples| both(samples) == [0.0; 2]);
        let none = sum(&told, &metric(from, "fetch_responses_total"), &["status=\"none\""]);
        assert_eq!(none, 3.0, "{from}{mode}");
    }
}

#[test]
fn windows_tell_how_far_they_are_and_what_was_late() {
    for (from, mode) in ways() {
        let place = Place::new();
        let rows = |times: &[u32]| -> String {
            times.iter().map(|t| format!("{{\"t\":{t},\"k\":\"k{}\"}}\n", t % 7)).collect()
        };
        // A minute each: the fourth row closes the first window, and the last is late for it.
        place.write("rows.jsonl", &rows(&[10, 20, 30, 130, 11]));
        let mut run = Watched::run(
            &place,
            &format!(
                "{}  - {{ type: read, with: {{ path: rows.jsonl, columns: {{ t: int64, k: string }} }} }}\n  \
                 - {{ type: map, with: {{ set: {{ t: to_timestamp(t) }} }} }}\n  \
                 - {{ name: both, type: filter, from: [map, lines] , with: {{ where: 't is not null' }} }}\n  \
                 - {{ name: sums, type: {from}aggregate, run: {{ mode: {mode} }}, with: {{ group_by: [k], select: {{ n: count(*) }}, window: {{ time: t, size: 1m }} }} }}\n  \
                 - {{ name: out3, type: discard }}\n  \
                 - {{ name: raw, type: read, with: {{ path: '-', format: jsonl, columns: {{ t: int64, k: string }} }} }}\n  \
                 - {{ name: lines, type: map, with: {{ set: {{ t: to_timestamp(t) }} }} }}\n",
                head()
            ),
        );
        let of = |samples: &[Sample], name: &str| {
            sum(samples, &metric(from, &format!("aggregate_{name}")), &["stage=\"sums\""])
        };
        let told = run.wait_for("a row was late", |samples| of(samples, "late_rows_total") == 1.0);
        assert_eq!(of(&told, "watermark_timestamp_seconds"), 130.0, "{mode}");
        assert_eq!(of(&told, "groups"), 1.0, "{mode}");
        let late = ["stage=\"sums\"", "reason=\"late\""];
        run.wait_for("it was rejected", |samples| {
            sum(samples, "gristmill_stage_rows_rejected_total", &late) == 1.0
        });
    }
}

#[test]
fn rejected_rows_are_counted_by_the_class_of_the_reason() {
    for (from, mode) in ways() {
        let place = Place::new();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let nobody = listener.local_addr().unwrap();
        drop(listener);
        let mut run = Watched::run(
            &place,
            &format!(
                "{}  - {{ name: requests, type: generate, with: {{ url: 'http://{nobody}/{{n}}', count: 4 }} }}\n  \
                 - {{ name: pages, type: {from}fetch, run: {{ mode: {mode} }}, with: {{ retries: 0, on_error: reject }} }}\n  \
                 - {{ name: out4, type: discard }}\n  \
                 - {{ name: bad, type: {from}filter, from: requests, run: {{ mode: {mode} }}, with: {{ where: '1 / (length(url) - length(url)) = 1' }} }}\n  \
                 - {{ name: out5, type: discard }}\n  \
                 - {{ name: none, type: {from}command, from: requests, run: {{ mode: {mode} }}, with: {{ command: ['false'], columns: {{ a: string }} }} }}\n  \
                 - {{ name: out6, type: discard }}\n{OPEN}",
                head()
            ),
        );
        for (stage, reason) in [("pages", "io"), ("bad", "data"), ("none", "refused")] {
            let labels = [&*format!("stage=\"{stage}\""), &format!("reason=\"{reason}\"")];
            run.wait_for(&format!("{stage} rejects"), |samples| {
                sum(samples, "gristmill_stage_rows_rejected_total", &labels[..1]) == 4.0
            });
            let right = run.sum("gristmill_stage_rows_rejected_total", &labels);
            assert_eq!(right, 4.0, "{from}{stage} {mode}");
        }
    }
}

/// All series of kinds, without what tells the two ways apart: the name of the stage and of the kind.
fn series(samples: &[Sample], from: &str) -> BTreeMap<(String, String), f64> {
    let of_stage = |sample: &&Sample| {
        let kind = format!("kind=\"{from}");
        let own = sample.labels.split(',').find(|label| label.starts_with("kind="));
        let other = from.is_empty() && own.is_some_and(|own| own.contains(LOADED));
        own.is_some_and(|own| own.starts_with(&kind)) && !other
    };
    let kinds = ["fetch_", "aggregate_", "sort_", "dedupe_"];
    let own = samples.iter().filter(of_stage).filter_map(|sample| {
        let name = sample.name.strip_prefix(&metric(from, ""))?.to_owned();
        kinds.iter().any(|kind| name.starts_with(kind)).then(|| {
            let labels = sample.labels.split(',');
            let labels =
                labels.filter(|one| !["stage=", "kind="].iter().any(|key| one.starts_with(key)));
            ((name, labels.collect::<Vec<_>>().join(",")), sample.value)
        })
    });
    own.collect()
}

/// The names of all series of the four kinds, without what all begin with.
const SERIES: [&str; 13] = [
    "aggregate_groups",
    "aggregate_late_rows_total",
    "aggregate_watermark_timestamp_seconds",
    "dedupe_remembered",
    "fetch_connections",
    "fetch_in_flight",
    "fetch_request_duration_seconds_bucket",
    "fetch_request_duration_seconds_count",
    "fetch_request_duration_seconds_sum",
    "fetch_responses_total",
    "fetch_retries_total",
    "sort_held_bytes",
    "sort_spilled_bytes_total",
];

#[test]
fn loaded_kinds_have_the_series_of_the_built_in_ones() {
    for mode in MODES {
        let place = Place::new();
        let times = [10, 20, 30, 130, 11];
        let rows: Vec<_> =
            times.iter().map(|t| format!("{{\"t\":{t},\"k\":\"k{}\"}}\n", t % 7)).collect();
        place.write("rows.jsonl", &rows.concat());
        let of = |(number, from): (usize, &str)| {
            let stages = [
                ("fetch", "requests", "retries: 0"),
                (
                    "aggregate",
                    "rows",
                    "group_by: [k], select: { n: count(*) }, window: { time: t, size: 1m }",
                ),
                ("sort", "rows", "by: [k]"),
                ("dedupe", "rows", "by: [k]"),
            ];
            let stage = |(kind, input, with): &(&str, &str, &str)| {
                format!(
                    "  - {{ name: {kind}{number}, type: {from}{kind}, from: {input}, run: {{ mode: {mode} }}, with: {{ {with} }} }}\n  \
                     - {{ name: end{kind}{number}, type: discard }}\n"
                )
            };
            stages.iter().map(stage).collect::<String>()
        };
        let both: String = [BUILT_IN, LOADED].into_iter().enumerate().map(of).collect();
        // Its stdin stays open, so all but `fetch` go on.
        let mut run = Watched::run(
            &place,
            &format!(
                "{}  - {{ name: requests, type: generate, with: {{ urls: ['demo:/item/1', 'demo:/status/404'] }} }}\n  \
                 - {{ name: file, type: read, with: {{ path: rows.jsonl, columns: {{ t: int64, k: string }} }} }}\n  \
                 - {{ name: open, type: read, with: {{ path: '-', format: jsonl, columns: {{ t: int64, k: string }} }} }}\n  \
                 - {{ name: rows, type: map, from: [file, open], with: {{ set: {{ t: to_timestamp(t) }} }} }}\n{both}",
                head()
            ),
        );
        let told = run.wait_for("both ways tell all", |samples| {
            let tells = |from: &&str| {
                let of = |name: &str| sum(samples, &metric(from, name), &[]);
                [
                    ("fetch_responses_total", 2.0),
                    ("aggregate_groups", 1.0),
                    ("aggregate_late_rows_total", 1.0),
                    ("aggregate_watermark_timestamp_seconds", 130.0),
                    ("dedupe_remembered", 4.0),
                ]
                .iter()
                .all(|(name, value)| of(name) == *value)
                    && of("sort_held_bytes") > 0.0
            };
            [BUILT_IN, LOADED].iter().all(tells)
        });
        let (built_in, loaded) = (series(&told, BUILT_IN), series(&told, LOADED));
        let names: BTreeSet<&str> = built_in.keys().map(|(name, _)| &**name).collect();
        assert_eq!(names.into_iter().collect::<Vec<_>>(), SERIES, "{mode}");
        assert_eq!(
            built_in.keys().collect::<Vec<_>>(),
            loaded.keys().collect::<Vec<_>>(),
            "{mode}"
        );
        // How long requests took, and how many connections that needed, is never the same.
        let differs = [
            "fetch_connections",
            "fetch_request_duration_seconds_bucket",
            "fetch_request_duration_seconds_sum",
        ];
        for (key, value) in built_in.iter().filter(|((name, _), _)| !differs.contains(&&**name)) {
            assert_eq!(loaded[key], *value, "{mode} {key:?}");
        }
    }
}

/// A plugin in C declares a reading and counts by its number.
#[test]
fn what_a_plugin_in_c_counts_is_a_metric_in_every_mode() {
    for mode in MODES {
        let place = Place::new();
        compile(&place, &root().join("examples/c-transform/ratio.c"), "libratio.so");
        let mut run = Watched::run(
            &place,
            &format!(
                "name: told\nplugins: [{{ path: ./libratio.so, namespace: acme }}]\nstages:\n  \
                 - {{ name: numbers, type: generate, with: {{ range: 0..20 }} }}\n  \
                 - {{ name: ratios, type: acme.ratio, run: {{ mode: {mode}, workers: 2 }}, with: {{ of: n, by: n }} }}\n  \
                 - {{ name: out8, type: discard }}\n{OPEN}"
            ),
        );
        // 0 by 0 is none.
        let labels = [&*format!("mode=\"{mode}\""), "kind=\"acme.ratio\"", "stage=\"ratios\""];
        run.wait_for("it is counted", |samples| {
            sum(samples, "gristmill_acme_ratio_nulls_total", &labels) == 1.0
        });
    }
}

#[test]
fn the_hash_of_the_file_is_told() {
    let place = Place::new();
    let run = Watched::run(&place, &format!("name: told\nstages:\n{OPEN}"));
    let output = Command::new("sha256sum").arg("pipeline.yaml").current_dir(place.path()).output();
    let digits = String::from_utf8(output.unwrap().stdout).unwrap();
    let digits = digits.split(' ').next().unwrap();
    let line =
        format!("gristmill_pipeline_info{{pipeline=\"told\",config_sha256=\"{digits}\"}} 1\n");
    let text = run.text();
    assert!(text.contains(&line), "{line}{text}");
}

/// The three parts of a worker's time.
const TIMES: [&str; 3] = ["busy", "waiting", "blocked"];

#[test]
fn the_times_of_each_worker_sum_to_the_time_that_passes() {
    let place = Place::new();
    let stages: String = MODES
        .iter()
        .map(|mode| {
            format!(
                "  - {{ name: {mode}, type: map, run: {{ mode: {mode}, workers: 2 }}, with: {{ set: {{ x: \"regexp_count(url, '[0-9]+')\" }} }} }}\n"
            )
        })
        .collect();
    let mut run = Watched::run(
        &place,
        &format!(
            "name: told\nstages:\n  - {{ name: requests, type: generate, with: {{ url: 'x:{{n}}', count: 100000000000 }} }}\n{stages}  - {{ name: out7, type: discard }}\n"
        ),
    );
    run.wait_for("rows have come through", |samples| {
        sum(samples, "gristmill_stage_rows_in_total", &["kind=\"discard\""]) > 100_000.0
    });
    // When a scrape was made is known only to lie between two moments.
    let scrape = || {
        let before = Instant::now();
        let samples = run.samples();
        (before, samples, Instant::now())
    };
    let first = scrape();
    while first.0.elapsed().as_secs() < 5 {
        std::thread::yield_now();
        run.text();
    }
    let last = scrape();
    let least = last.0.duration_since(first.2).as_secs_f64();
    let most = last.2.duration_since(first.0).as_secs_f64();
    for mode in MODES {
        for worker in 0..2 {
            let labels = [&*format!("stage=\"{mode}\""), &format!("worker=\"{worker}\"")];
            let all = |samples: &[Sample]| -> f64 {
                let names = TIMES.map(|what| format!("gristmill_stage_{what}_seconds_total"));
                names.iter().map(|name| sum(samples, name, &labels)).sum()
            };
            let told = all(&last.1) - all(&first.1);
            let right = least * 0.98 <= told && told <= most * 1.02;
            assert!(right, "{mode} {worker}: {told} s of {least} to {most} s");
        }
    }
}

#[test]
fn processor_time_is_that_of_the_stage_that_computes() {
    for mode in MODES {
        let place = Place::new();
        let mut run = Watched::run(
            &place,
            &format!(
                "name: told\nstages:\n  - {{ name: requests, type: generate, with: {{ url: 'x:{{n}}', count: 100000000000 }} }}\n  \
                 - {{ name: computes, type: map, run: {{ mode: {mode} }}, with: {{ set: {{ x: \"regexp_count(repeat(url, 200), '[0-9]+')\" }} }} }}\n  \
                 - {{ name: rests, type: discard, run: {{ mode: {mode} }} }}\n"
            ),
        );
        let cpu = |samples: &[Sample], stage: &str| {
            sum(samples, "gristmill_stage_cpu_seconds_total", &[&format!("stage=\"{stage}\"")])
        };
        let told =
            run.wait_for("it has computed for a second", |samples| cpu(samples, "computes") > 1.0);
        let (computes, rests) = (cpu(&told, "computes"), cpu(&told, "rests"));
        assert!(rests < computes / 4.0, "{mode}: {rests} {computes}");
        // A stage in this process cannot have used more than all of it.
        let whole = sum(&told, "process_cpu_seconds_total", &[]);
        let own = sum(&told, "gristmill_stage_cpu_seconds_total", &[]);
        match mode {
            "process" => assert!(whole < own, "{whole} {own}"),
            _ => assert!(own < run.sum("process_cpu_seconds_total", &[]), "{mode}"),
        }
    }
}

/// Different requests in all, most of which fail before they reach any server.
const MANY: usize = 1_000_000;
/// Of them, so many are answered.
const ANSWERED: usize = 2_000;

#[test]
fn a_million_urls_hosts_and_errors_make_no_series() {
    let place = Place::new();
    // Every address of 127.0.0.0/8 is this machine, and each is another host.
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let Ok(mut stream) = stream else { return };
            let status = 200 + number % 400;
            let _ = stream.read(&mut [0; 4096]);
            let head = format!("HTTP/1.1 {status} Reason {number}\r\nconnection: close\r\n");
            let _ = write!(stream, "{head}content-length: 0\r\n\r\n");
        }
    });
    let answered: String = (0..ANSWERED)
        .map(|n| format!("http://127.{}.{}.{}:{port}/{n}\n", n % 7, n / 7 % 250, 1 + n % 200))
        .collect();
    place.write("urls.txt", &answered);
    let refused = MANY - ANSWERED;
    let mut run = Watched::run(
        &place,
        &format!(
            "name: many\nrejected: {{ path: /dev/null }}\nstages:\n  \
             - {{ name: hosts, type: generate, with: {{ file: urls.txt }} }}\n  \
             - {{ name: schemes, type: generate, with: {{ url: 'x{{n}}://host{{n}}.example/{{n}}', count: {refused} }} }}\n  \
             - {{ name: pages, type: fetch, from: [hosts, schemes], run: {{ workers: 2 }}, with: {{ retries: 0 }} }}\n  \
             - {{ name: errors, type: parse, with: {{ format: json, fields: {{ x: {{ path: $.x, type: int64 }} }}, on_error: reject }} }}\n  \
             - {{ name: out, type: discard }}\n{OPEN}"
        ),
    );
    let names = |samples: &[Sample]| -> BTreeSet<String> {
        samples.iter().map(|one| format!("{}{{{}}}", one.name, one.labels)).collect()
    };
    let taken = |samples: &[Sample], stage: &str| {
        sum(samples, "gristmill_stage_rows_in_total", &[&format!("stage=\"{stage}\"")])
    };
    let before = names(&run.samples());
    let rejected = |samples: &[Sample], stage: &str| {
        sum(samples, "gristmill_stage_rows_rejected_total", &[&format!("stage=\"{stage}\"")])
    };
    let after = run.wait_for("all have come through", |samples| {
        let parsed = rejected(samples, "errors");
        parsed > 0.0 && rejected(samples, "pages") + parsed >= MANY as f64
    });
    assert_eq!(taken(&after, "pages"), MANY as f64);
    let attempts = sum(&after, "gristmill_fetch_responses_total", &[]);
    assert_eq!(attempts, ANSWERED as f64);
    assert_eq!(before, names(&after));
}
