//! A real Prometheus scrapes a run, and answers all that the dashboards and the alerts ask.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod common;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use common::Place;
use serde_json::Value;

/// Every mode, rows that are rejected, every kind that tells of its work, and a stage that limits: each
/// page takes a while.
const PIPELINE: &str = "\
name: watched
channel: { rows: 64 }
batch: { rows: 16 }
stages:
  - { name: requests, type: generate, with: { url: 'demo:/item/{n}?delay=20ms', count: 100000000 } }
  - { name: pages, type: fetch, run: { mode: threaded }, with: { concurrency: 2 } }
  - name: items
    type: parse
    run: { mode: process }
    with: { format: html, fields: { title: h1, price: { css: '.price', type: float64 } } }
  - { name: odd, type: filter, with: { where: '1 / (cast(price as bigint) % 2) > 0' } }
  - { name: out, type: discard, run: { mode: threaded } }
  - { name: timed, type: map, from: items, with: { set: { at: 'to_timestamp(1000000000)' } } }
  - { name: sums, type: aggregate, with: { group_by: [title], window: { time: at, size: 1m } } }
  - { name: new, type: dedupe, from: items, with: { by: [title] } }
  - { name: ordered, type: sort, with: { by: title } }
  - { name: rest, type: discard }
  - { name: rest2, type: discard, from: sums }
";

/// Enough to take rates from, seconds apart.
const SCRAPES: f64 = 12.0;

/// A process that ends with the test.
struct Ends(Child);

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The run, and where it serves its metrics.
fn run(place: &Place) -> (Ends, String) {
    place.write("pipeline.yaml", PIPELINE);
    // Nobody listens there: traces are recorded for the exemplars alone.
    let traced = ["--otlp", "http://127.0.0.1:1", "--otlp-sample", "1"];
    let command = ["run", "pipeline.yaml", "--metrics", "0"];
    let mut command = place.command(&[&command[..], &traced].concat());
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut run = Ends(child);
    let mut lines = BufReader::new(run.0.stderr.take().unwrap()).lines();
    let line = lines.find(|line| line.as_ref().unwrap().contains("metrics at")).unwrap().unwrap();
    std::thread::spawn(move || lines.for_each(drop));
    let address = line.split("http://").nth(1).unwrap().split('/').next().unwrap().to_owned();
    (run, address)
}

/// A Prometheus that scrapes the run as the command says, and where it listens.
fn prometheus(place: &Place, target: &str) -> (Ends, String) {
    let job = place.gristmill(&["dashboard", "--prometheus", "--target", target]).expect(0).stdout;
    let job: String = job.lines().map(|line| format!("  {line}\n")).collect();
    let job = job.replace("scrape_interval: 5s", "scrape_interval: 1s");
    let rules = place.gristmill(&["dashboard", "--rules"]).expect(0).stdout;
    place.write("rules.yml", &rules);
    place.write(
        "prometheus.yml",
        &format!(
            "global: {{ evaluation_interval: 1s }}\nrule_files: [rules.yml]\nscrape_configs:\n{job}"
        ),
    );
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let child = Command::new("prometheus")
        .args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"])
        .arg("--enable-feature=exemplar-storage")
        .arg(format!("--web.listen-address={free}"))
        .current_dir(place.path())
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(place.path().join("prometheus.log")).unwrap())
        .spawn()
        .expect("Prometheus comes with Debian's package; .ci/test installs it");
    (Ends(child), free)
}

/// What a server answers; `None` while it does not listen.
fn get(address: &str, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\nhost: x\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned())
}

/// The series that a query gives: labels and value.
fn ask(address: &str, query: &str) -> Option<Vec<(BTreeMap<String, String>, f64)>> {
    let plain = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    let encoded: String = query.bytes().map(plain).collect();
    let answer: Value =
        serde_json::from_str(&get(address, &format!("/api/v1/query?query={encoded}"))?).ok()?;
    assert_eq!(answer["status"], "success", "{query}: {answer}");
    let series = answer["data"]["result"].as_array().unwrap().iter();
    Some(
        series
            .map(|one| {
                let labels = serde_json::from_value(one["metric"].clone()).unwrap();
                (labels, one["value"][1].as_str().unwrap().parse().unwrap())
            })
            .collect(),
    )
}

/// Asks until the answer is this. Those that it takes must live.
fn wait_for(address: &str, query: &str, living: &mut [&mut Ends], is: impl Fn(f64) -> bool) {
    loop {
        if ask(address, query).is_some_and(|found| found.iter().any(|(_, value)| is(*value))) {
            return;
        }
        for process in &mut *living {
            let ended = process.0.try_wait().unwrap();
            assert!(ended.is_none(), "{query} waits for a process that has ended: {ended:?}");
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Title of a row, title of a panel, and a query of it, as Grafana would send it.
fn queries(dashboard: &Value) -> Vec<(String, String, String)> {
    let (mut row, mut queries) = (String::new(), Vec::new());
    for panel in dashboard["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap().to_owned();
        if panel["type"] == "row" {
            row = title;
            continue;
        }
        for target in panel["targets"].as_array().unwrap() {
            let query = target["expr"].as_str().unwrap();
            let sent = query
                .replace("$__rate_interval", "10s")
                .replace("$__range", "1m")
                .replace("$instance", ".*")
                .replace("$pipeline", "watched")
                .replace("\"$stage\"", "\"items\"");
            assert!(!sent.contains('$'), "{sent}");
            queries.push((row.clone(), title.clone(), sent));
        }
    }
    queries
}

/// Panels that have nothing to show for a stage: a source has no channel in front, and a stage that
/// runs in this process no processes of its own.
fn has_nothing(row: &str, panel: &str, query: &str) -> bool {
    let child = row.contains("process") || row == "$stage";
    match panel {
        "Channel fill" => row.starts_with("requests"),
        "Memory" => !child,
        // Nothing dies here, and no stage fails; `odd` alone rejects rows.
        "Rejected, deaths, errors" => !(query.contains("_rejected_") && row.starts_with("odd")),
        _ => false,
    }
}

#[test]
fn prometheus_answers_every_panel_and_every_rule() {
    let place = Place::new();
    let (mut run, target) = run(&place);
    let (mut server, address) = prometheus(&place, &target);
    let both = &mut [&mut run, &mut server];
    let rows = "gristmill_stage_rows_out_total{stage=\"odd\"}";
    wait_for(&address, &format!("count_over_time({rows}[1m])"), both, |n| n >= SCRAPES);
    wait_for(&address, &format!("rate({rows}[10s])"), both, |rate| rate > 0.0);

    for arguments in [&["dashboard"][..], &["dashboard", "pipeline.yaml"]] {
        let text = place.gristmill(arguments).expect(0).stdout;
        let queries = queries(&serde_json::from_str(&text).unwrap());
        assert!(queries.len() > 15, "{queries:?}");
        for (row, panel, query) in queries {
            let found = ask(&address, &query).unwrap();
            let empty = has_nothing(&row, &panel, &query);
            assert_eq!(found.is_empty(), empty, "{row}, {panel}: {query}\n{found:?}");
            assert!(found.iter().all(|(_, value)| value.is_finite()), "{query}: {found:?}");
            if panel == "Rows a second" {
                // A row counts once, however many stages it passes. What was before the first scrape is missing.
                let from = "rate(gristmill_stage_rows_out_total{stage=\"requests\"}[10s])";
                let (all, source) = (found[0].1, ask(&address, from).unwrap()[0].1);
                assert!(source > 1.0, "{source} rows a second come out of the source");
                assert!((0.5..1.2).contains(&(all / source)), "{all} of {source} rows a second");
            }
        }
    }
    figures_are_right(&address);
    exemplars_are_kept(&address);
    rules_are_well(&address);

    // What the run itself says in the end is no less than what was scraped last.
    let scraped = ask(&address, "gristmill_stage_rows_out_total{stage=\"pages\"}").unwrap()[0].1;
    let now = get(&target, "/metrics").unwrap();
    let line = now.lines().find(|line| {
        line.starts_with("gristmill_stage_rows_out_total") && line.contains("\"pages\"")
    });
    let now: f64 = line.unwrap().rsplit_once(' ').unwrap().1.parse().unwrap();
    assert!(scraped > 0.0 && scraped <= now, "{scraped} {now}");
    run.0.kill().unwrap();
    run.0.wait().unwrap();
    wait_for(&address, "up{job=\"gristmill\"}", &mut [&mut server], |up| up == 0.0);
}

/// The shares of a stage's time sum to one, rows are neither made nor lost on their way, and the stage
/// that limits by construction is not taken for an idle one.
fn figures_are_right(address: &str) {
    let at_once = "{stage=\"items\"}[10s]";
    let times = ["busy", "waiting", "blocked"]
        .map(|what| format!("rate(gristmill_stage_{what}_seconds_total{at_once})"));
    let all = ask(address, &times.join(" + ")).unwrap()[0].1;
    assert!((0.9..1.1).contains(&all), "of a second, {all} is told");
    let rate = |metric: &str, stage: &str| {
        let query = format!("rate(gristmill_stage_{metric}_total{{stage=\"{stage}\"}}[10s])");
        ask(address, &query).unwrap()[0].1
    };
    let (pages, items) = (rate("rows_out", "pages"), rate("rows_in", "items"));
    assert!((pages / items - 1.0).abs() < 0.2, "{pages} rows a second go out, {items} come in");
    // Two requests at a time, of 20 ms each: a hundred a second at the most.
    assert!((10.0..101.0).contains(&pages), "{pages}");
    // One query for every mode: each stage has used some of the processors, and none more than there are.
    let used = "sum by (mode, stage) (rate(gristmill_stage_cpu_seconds_total[10s]))";
    let used = ask(address, used).unwrap();
    let modes: std::collections::BTreeSet<&str> =
        used.iter().map(|(labels, _)| labels["mode"].as_str()).collect();
    assert_eq!(modes.into_iter().collect::<Vec<_>>(), ["pooled", "process", "threaded"]);
    let most = std::thread::available_parallelism().unwrap().get() as f64;
    assert!(used.iter().all(|(_, rate)| (0.0..=most * 1.5).contains(rate)), "{used:?}");
    assert!(used.iter().any(|(labels, rate)| labels["stage"] == "items" && *rate > 0.0));
    // Of the two requests that may be under way, and of those that were answered.
    let in_flight = ask(address, "max_over_time(gristmill_fetch_in_flight[10s])").unwrap()[0].1;
    assert!((1.0..=2.0).contains(&in_flight), "{in_flight}");
    let answered = "sum(rate(gristmill_fetch_responses_total{status=\"2xx\"}[10s]))";
    let answered = ask(address, answered).unwrap()[0].1;
    assert!((answered / pages - 1.0).abs() < 0.2, "{answered} are answered, {pages} go out");
    let median = "histogram_quantile(0.5, sum by (le) (rate(gristmill_fetch_request_duration_seconds_bucket[10s])))";
    let median = ask(address, median).unwrap()[0].1;
    assert!(median > 0.01, "each page takes 20 ms, and the median is {median}");
    let watermark = ask(address, "gristmill_aggregate_watermark_timestamp_seconds").unwrap();
    assert_eq!(watermark[0].1, 1e9);
    let busiest = ask(address, "topk(1, gristmill:stage_busy:share)").unwrap();
    assert_eq!(busiest.len(), 1);
}

/// Of the durations of every stage that was called, Prometheus has traces in which such a call was.
fn exemplars_are_kept(address: &str) {
    let query = "/api/v1/query_exemplars?query=gristmill_stage_batch_duration_seconds_bucket";
    let found = get(address, &format!("{query}&start=0&end=32503680000")).unwrap();
    let found: Value = serde_json::from_str(&found).unwrap();
    let series = found["data"].as_array().unwrap();
    for mode in ["pooled", "threaded", "process"] {
        let of = series.iter().find(|one| one["seriesLabels"]["mode"] == mode);
        let exemplar = &of.unwrap_or_else(|| panic!("{mode}: {found}"))["exemplars"][0];
        let length = |label: &str| exemplar["labels"][label].as_str().unwrap().len();
        assert_eq!([length("trace_id"), length("span_id")], [32, 16], "{exemplar}");
        let value: f64 = exemplar["value"].as_str().unwrap().parse().unwrap();
        let bound = of.unwrap()["seriesLabels"]["le"].as_str().unwrap();
        let bound = bound.parse().unwrap_or(f64::INFINITY);
        assert!(value > 0.0 && value <= bound, "{mode}: {value} is above {bound}");
    }
}

fn rules_are_well(address: &str) {
    let rules: Value = serde_json::from_str(&get(address, "/api/v1/rules").unwrap()).unwrap();
    let rules = rules["data"]["groups"][0]["rules"].as_array().unwrap();
    assert_eq!(rules.len(), 9);
    for rule in rules {
        assert_eq!(rule["health"], "ok", "{rule}");
        assert_ne!(rule["state"], "firing", "{rule}");
    }
}

#[test]
fn every_alert_fires_on_what_it_is_for() {
    let place = Place::new();
    let rules = place.gristmill(&["dashboard", "--rules"]).expect(0).stdout;
    let alerts = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: "));
    let tests = include_str!("rules_test.yml");
    for alert in alerts {
        let fires =
            format!("        alertname: {alert}\n        exp_alerts:\n          - exp_labels");
        assert!(tests.contains(&fires), "no test says when {alert} fires");
    }
    place.write("rules.yml", &rules);
    place.write("rules_test.yml", tests);
    for check in [&["check", "rules", "rules.yml"][..], &["test", "rules", "rules_test.yml"]] {
        let told = promtool(place.path(), check);
        assert!(told.0, "{}", told.1);
    }
}

fn promtool(folder: &Path, arguments: &[&str]) -> (bool, String) {
    let output = Command::new("promtool").args(arguments).current_dir(folder).output().unwrap();
    let both = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&both).into_owned())
}

#[test]
fn the_example_is_what_the_command_prints() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/grafana");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let place = Place::new();
    let printed = |arguments: &[&str]| place.gristmill(arguments).expect(0).stdout;
    let stale = "stale: `gristmill dashboard` prints it anew";
    assert_eq!(read("grafana/dashboards/gristmill.json"), printed(&["dashboard"]), "{stale}");
    assert_eq!(read("prometheus/rules.yml"), printed(&["dashboard", "--rules"]), "{stale}");
    let job = printed(&["dashboard", "--prometheus", "--target", "gristmill:9100"]);
    let job: String = job.lines().skip(1).map(|line| format!("  {line}\n")).collect();
    assert!(read("prometheus/prometheus.yml").ends_with(&job), "{job}");
    place.write("pipeline.yaml", &read("shop.yaml"));
    place.gristmill(&["check", "pipeline.yaml"]).expect(0);
    let (ok, told) = promtool(&folder.join("prometheus"), &["check", "config", "prometheus.yml"]);
    assert!(ok, "{told}");
}
