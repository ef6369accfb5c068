//! Metrics and traces on their way to a collector that is not ours, and to one that is not there.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a test fails by panicking"
)]

#[path = "common/collector.rs"]
mod collector;
mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;

use collector::{Collector, Sent, metrics, points, resource, spans};
use common::{Ended, Place, ended};
use serde_json::Value;

/// A source, a stage that holds rows and hands them on later, one that hands them on at once and rejects some, one
/// that keeps them to the end, and a sink. `mode` is that of all in the middle.
fn pipeline(mode: &str, count: u32) -> String {
    let run = format!("run: {{ mode: {mode} }}");
    format!(
        "name: traced\nbatch: {{ rows: 50 }}\nstages:
  - {{ name: requests, type: generate, with: {{ url: 'demo:/item/{{n}}', count: {count} }} }}
  - {{ name: pages, type: fetch, {run}, with: {{ concurrency: 4 }} }}
  - {{ name: items, type: parse, {run}, with: {{ format: html, keep: [url], fields: {{ title: h1, price: {{ css: '.price', type: float64 }} }} }} }}
  - {{ name: odd, type: filter, {run}, with: {{ where: '1 / (cast(price as bigint) % 2) > 0' }} }}
  - {{ name: sums, type: aggregate, {run}, with: {{ group_by: [title], select: {{ n: count(*) }} }} }}
  - {{ name: sorted, type: sort, with: {{ by: title }} }}
  - {{ name: out, type: write, with: {{ path: out.jsonl }} }}
"
    )
}

fn run(place: &Place, yaml: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Ended {
    place.write("pipeline.yaml", yaml);
    let arguments = [&["run", "pipeline.yaml"], arguments].concat();
    let mut command = place.command(&arguments);
    ended(command.envs(environment.iter().copied()).output().unwrap())
}

/// What a run says of its stages in the end, by their names.
fn records(ended: &Ended) -> BTreeMap<String, Value> {
    let lines = ended.stderr.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let stages = lines.filter(|line| line["message"] == "the stage has ended");
    stages.map(|line| (line["stage"].as_str().unwrap().to_owned(), line)).collect()
}

/// Each span by itself: whose parents and links are there, in the trace that they say.
fn whole(all: &[Sent]) {
    let by_id: BTreeMap<(&str, &str), &Sent> =
        all.iter().map(|one| ((one.trace.as_str(), one.id.as_str()), one)).collect();
    assert_eq!(by_id.len(), all.len(), "a span has the number of another");
    for span in all {
        assert!(span.start <= span.end, "{span:?}");
        if let Some(parent) = &span.parent {
            let parent = by_id.get(&(&span.trace, parent));
            let parent = parent.unwrap_or_else(|| panic!("no parent of {span:?}"));
            assert!(parent.start <= span.end, "{span:?} is over before {parent:?} began");
        }
        for (trace, id) in &span.links {
            assert!(by_id.contains_key(&(trace.as_str(), id.as_str())), "no other end of {span:?}");
        }
    }
}

/// The spans of a stage.
fn of<'a>(all: &'a [Sent], stage: &'a str) -> impl Iterator<Item = &'a Sent> {
    all.iter().filter(move |span| span.attributes["stage"] == stage)
}

#[test]
fn every_trace_is_whole_in_every_mode() {
    for mode in ["pooled", "threaded", "process"] {
        let (place, collector) = (Place::new(), Collector::start("ok"));
        let arguments = ["--otlp", &collector.url, "--otlp-sample", "1", "--log-format", "json"];
        let ended = run(&place, &pipeline(mode, 200), &arguments, &[]).expect(3);
        let records = records(&ended);
        let requests = collector.end();
        let all = spans(&requests);
        whole(&all);

        let middle = if mode == "process" { "process" } else { "stage" };
        let names: BTreeSet<&str> = all.iter().map(|span| span.name.as_str()).collect();
        let expected = ["stage requests", "stage sorted", "stage out"].map(str::to_owned);
        let inner = ["pages", "items", "odd", "sums"].map(|stage| format!("{middle} {stage}"));
        let expected: BTreeSet<String> = expected.into_iter().chain(inner).collect();
        assert_eq!(names, expected.iter().map(String::as_str).collect(), "{mode}");

        // With all traces recorded, what went in and out of each stage is in its spans, and nothing twice.
        for (stage, record) in &records {
            let own = all.iter().filter(|span| span.attributes["stage"] == *stage);
            let own: Vec<&Sent> = own.collect();
            let sum = |attribute: &str| own.iter().map(|span| span.number(attribute)).sum::<u64>();
            assert_eq!(record["rows_in"], sum("rows_in"), "{mode}: {stage}");
            assert_eq!(record["rejected"], sum("rows_rejected"), "{mode}: {stage}");
            assert_eq!(record["rows_out"], sum("rows_out"), "{mode}: {stage}");
            assert!(own.iter().all(|span| span.attributes["worker"] == "0"));
            let modes: BTreeSet<_> = own.iter().map(|span| &span.attributes["mode"]).collect();
            assert_eq!(modes.len(), 1, "{modes:?}");
        }

        // From the source to the last stage that hands rows on one by one, a batch stays in its trace.
        let of = |stage| of(&all, stage);
        let sources: BTreeSet<&str> = of("requests").map(|span| span.trace.as_str()).collect();
        assert_eq!(sources.len(), 4, "200 rows in batches of 50");
        let linked =
            of("pages").flat_map(|span| span.links.iter().map(|(trace, _)| trace.as_str()));
        let linked: BTreeSet<&str> = linked.collect();
        for stage in ["pages", "items", "odd"] {
            assert!(of(stage).all(|span| span.parent.is_some()), "{mode}: {stage}");
            let traces: BTreeSet<&str> = of(stage).map(|span| span.trace.as_str()).collect();
            assert!(traces.is_subset(&sources), "{mode}: {stage}");
            // Answers to two batches may come out together, and that is below the first of them.
            let reached: BTreeSet<&str> = traces.union(&linked).copied().collect();
            assert_eq!(reached, sources, "{mode}: {stage}");
        }
        // What was kept to the end comes out in a trace of its own, and says of which batches.
        let kept = of("sums").filter(|span| span.parent.is_none()).collect::<Vec<_>>();
        assert_eq!(kept.len(), 1, "{mode}: {kept:?}");
        assert!(!kept[0].links.is_empty() && kept[0].links.len() <= 32);
        let linked = &kept[0].links[0].0;
        assert!(sources.contains(linked.as_str()), "{mode}: {linked}");

        let resource = resource(&requests[0]);
        assert_eq!(resource["service.name"], "gristmill");
        assert_eq!(resource["gristmill.pipeline"], "traced");
    }
}

#[test]
fn metrics_are_those_of_the_page_and_sum_to_what_the_run_says() {
    let (place, collector) = (Place::new(), Collector::start("ok"));
    let arguments = ["--otlp", &collector.url, "--otlp-sample", "1", "--log-format", "json"];
    let environment = [
        ("OTEL_SERVICE_NAME", "shop"),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test%20bed"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "100"),
    ];
    let ended = run(&place, &pipeline("process", 200), &arguments, &environment).expect(3);
    let records = records(&ended);
    let requests = collector.end();
    let of_metrics: Vec<&Value> =
        requests.iter().filter(|request| request["path"] == "/v1/metrics").collect();
    let last = of_metrics.last().unwrap();
    let (all, resource) = (metrics(last), resource(last));
    assert_eq!(resource["service.name"], "shop");
    assert_eq!(resource["deployment.environment"], "test bed");

    for (metric, field) in [
        ("gristmill_stage_rows_in_total", "rows_in"),
        ("gristmill_stage_rows_out_total", "rows_out"),
        ("gristmill_stage_rows_rejected_total", "rejected"),
    ] {
        let sum = &all[metric]["sum"];
        assert_eq!(sum["aggregationTemporality"], "AGGREGATION_TEMPORALITY_CUMULATIVE");
        assert_eq!(sum["isMonotonic"], true);
        for (stage, record) in &records {
            let own =
                points(&all[metric]).into_iter().filter(|(labels, _)| labels["stage"] == *stage);
            let sum: f64 = own.map(|(_, point)| point["asDouble"].as_f64().unwrap()).sum();
            assert_eq!(record[field].as_f64().unwrap(), sum, "{metric} of {stage}");
        }
    }
    let busy = &all["gristmill_stage_busy_seconds_total"];
    assert_eq!(busy["unit"], "s");
    assert_eq!(all["gristmill_stage_in_bytes_total"]["unit"], "By");
    assert!(all["gristmill_queue_rows"]["gauge"].is_object());
    let labels = &points(busy)[0].0;
    let names: Vec<&str> = labels.keys().map(String::as_str).collect();
    assert_eq!(names, ["kind", "mode", "pipeline", "stage", "worker"]);

    // Of the histogram every bucket, and a span for some of what was counted.
    let traced: BTreeSet<String> = spans(&requests).into_iter().map(|span| span.id).collect();
    let durations = points(&all["gristmill_stage_batch_duration_seconds"]);
    let (_, items) = durations.iter().find(|(labels, _)| labels["stage"] == "items").unwrap();
    let counts = items["bucketCounts"].as_array().unwrap();
    assert_eq!(counts.len(), items["explicitBounds"].as_array().unwrap().len() + 1);
    let count = |value: &Value| value.as_str().unwrap().parse::<u64>().unwrap();
    assert_eq!(counts.iter().map(count).sum::<u64>(), count(&items["count"]));
    let exemplar = &items["exemplars"][0];
    assert!(traced.contains(exemplar["spanId"].as_str().unwrap()), "{items}");

    // The start stands still, and what only grows does.
    let start = |request: &Value| {
        let all = metrics(request);
        points(&all["gristmill_stage_busy_seconds_total"])[0].1["startTimeUnixNano"].clone()
    };
    assert!(of_metrics.iter().all(|request| start(request) == start(last)));
}

#[test]
fn of_unrecorded_traces_there_is_nothing_and_of_some_all() {
    let (place, collector) = (Place::new(), Collector::start("ok"));
    let arguments = ["-q", "--otlp", &collector.url, "--otlp-sample", "0"];
    run(&place, &pipeline("pooled", 100), &arguments, &[]).expect(3);
    let requests = collector.end();
    assert!(requests.iter().all(|request| request["path"] == "/v1/metrics"));
    assert!(!metrics(&requests[0]).contains_key("gristmill_trace_spans_total"));

    // With the usual share, the first batch has a trace, and whatever else has one has all of it.
    let collector = Collector::start("ok");
    let arguments = ["-q", "--otlp", &collector.url];
    run(&place, &pipeline("process", 200), &arguments, &[]).expect(3);
    let requests = collector.end();
    let all = spans(&requests);
    whole(&all);
    let sources = all.iter().filter(|span| span.name == "stage requests").count();
    assert!((1..=4).contains(&sources), "{sources}");
    assert!(all.iter().any(|span| span.name == "process odd"), "{all:?}");
    let told = requests.iter().rfind(|request| request["path"] == "/v1/metrics").unwrap();
    let recorded = &metrics(told)["gristmill_trace_spans_total"];
    assert_eq!(points(recorded)[0].1["asDouble"], all.len() as f64);
}

#[test]
fn an_error_is_the_status_of_a_span_without_secrets() {
    let (place, collector) = (Place::new(), Collector::start("ok"));
    // A program that is there, and that no system can start. Its name is a secret.
    let secret = "hunter2-secret";
    place.write(secret, "#!/nothing/is/here\n");
    let program = place.path().join(secret);
    std::fs::set_permissions(program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let yaml = "stages:\n  - { name: numbers, type: generate, with: { url: 'x:{n}', count: 3 } }\n  \
                - { name: fails, type: command, with: { command: ['./${API_TOKEN}'] } }\n  \
                - { name: out, type: discard }\n";
    let set = format!("API_TOKEN={secret}");
    let arguments = ["-q", "--otlp", &collector.url, "--set", &set];
    let ended = run(&place, yaml, &arguments, &[]).expect(4);
    let all = spans(&collector.end());
    let wrong: Vec<&Sent> = all.iter().filter(|span| !span.status.is_null()).collect();
    assert_eq!(wrong.len(), 1, "{all:?}\n{}", ended.stderr);
    assert_eq!(wrong[0].name, "stage fails");
    assert_eq!(wrong[0].status["code"], "STATUS_CODE_ERROR");
    let message = wrong[0].status["message"].as_str().unwrap();
    assert!(message.contains("cannot be started") && !message.contains(secret), "{message}");
}

#[test]
fn https_is_spoken_with_whom_the_machine_trusts() {
    let certificate =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../../plugins/fetch/tests/common/certificate.pem");
    // The certificate is for the one name and not for the other.
    for (host, told) in [("127.0.0.1", 0), ("localhost", 1)] {
        let (place, collector) = (Place::new(), Collector::start_tls());
        let url = collector.url.replace("127.0.0.1", host);
        let trust = [("SSL_CERT_FILE", certificate)];
        let ended = run(&place, &pipeline("pooled", 50), &["-q", "--otlp", &url], &trust).expect(3);
        let warnings = ended.stderr.matches("does not take metrics and traces").count();
        assert_eq!(warnings, told, "{host}: {}", ended.stderr);
        assert_eq!(collector.end().is_empty(), told > 0, "{host}");
    }
    // A machine that trusts nobody.
    let place = Place::new();
    let trust = [("SSL_CERT_FILE", "/dev/null"), ("SSL_CERT_DIR", "/dev/null")];
    let ended = run(&place, &pipeline("pooled", 50), &["--otlp", "https://127.0.0.1:1"], &trust);
    ended.expect(2).says("SSL_CERT_FILE");
}

/// The rows that a run has written.
fn rows(place: &Place) -> Vec<String> {
    let mut rows: Vec<String> = place.read("out.jsonl").lines().map(str::to_owned).collect();
    rows.sort();
    rows
}

#[test]
fn a_collector_that_is_not_well_changes_nothing() {
    let place = Place::new();
    run(&place, &pipeline("pooled", 100), &["-q"], &[]).expect(3);
    let expected = rows(&place);
    let secret = [("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20hunter2")];
    let warnings = |ended: &Ended| ended.stderr.matches("does not take metrics and traces").count();

    // Nobody listens on this port, since it is taken by one who does not listen.
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let gone = format!("http://hunter2:hunter2@{}", taken.local_addr().unwrap());
    for how in ["gone", "silent", "404:1000", "503:1000"] {
        let collector = (how != "gone").then(|| Collector::start(how));
        let url = collector.as_ref().map_or(gone.as_str(), |collector| &collector.url);
        let arguments = ["-q", "--otlp", url, "--otlp-sample", "1"];
        let place = Place::new();
        let ended = run(&place, &pipeline("pooled", 100), &arguments, &secret).expect(3);
        assert_eq!(rows(&place), expected, "{how}");
        assert_eq!(warnings(&ended), 1, "{how}: {}", ended.stderr);
        let told = ended.stderr.lines().filter(|line| line.contains("WARN")).count();
        assert_eq!(told, 1, "{how}: {}", ended.stderr);
        assert!(!ended.stderr.contains("hunter2"), "{how}: {}", ended.stderr);
        if how == "404:1000" {
            assert!(ended.stderr.contains("4318"), "{}", ended.stderr);
        }
        for request in collector.map(Collector::end).into_iter().flatten() {
            assert_eq!(request["headers"]["authorization"], "Bearer hunter2");
        }
    }
}

#[test]
fn what_a_collector_cannot_take_now_it_gets_later() {
    let (place, collector) = (Place::new(), Collector::start("503:2"));
    let arguments = ["-q", "--otlp", &collector.url, "--otlp-sample", "1"];
    run(&place, &pipeline("pooled", 100), &arguments, &[]).expect(3);
    let requests = collector.end();
    let of =
        |path: &str| requests.iter().filter(move |one| one["path"] == path).collect::<Vec<_>>();
    for path in ["/v1/metrics", "/v1/traces"] {
        let statuses: Vec<&Value> = of(path).iter().map(|one| &one["status"]).collect();
        assert_eq!(statuses[..2], [503, 503], "{path}");
        assert_eq!(*statuses[2], 200, "{path}");
    }
    let traces = of("/v1/traces");
    assert_eq!(traces[0]["body"], traces[1]["body"], "the same is sent again");
    whole(&spans(&requests));
}

#[test]
fn what_cannot_be_sent_anywhere_is_refused_before_the_run() {
    let place = Place::new();
    let yaml = pipeline("pooled", 1);
    run(&place, &yaml, &["--otlp", "collector:4318"], &[]).expect(2).says("--otlp: ");
    run(&place, &yaml, &["--otlp-sample", "7"], &[]).expect(2).says("from 0 to 1");
    let grpc = [("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")];
    run(&place, &yaml, &["--otlp", "http://a"], &grpc).expect(2).says("http/protobuf");
    assert!(!place.exists("out.jsonl"));
}
