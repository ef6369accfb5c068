//! Plans of pipelines that are right.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "these are tests")]

mod kinds;

use std::path::PathBuf;
use std::time::Duration;

use gristmill_config::{
    Bound, Distribution, Mode, Pipeline, Plan, StageDef, Variables, json_schema,
};
use serde_json::json;

const SOURCE: &str = "stages:\n  - type: generate\n    with: { url: a }\n";

fn plan(text: &str) -> Plan {
    kinds::load_text(text).unwrap_or_else(|problems| panic!("{problems}"))
}

fn names(plan: &Plan) -> Vec<&str> {
    plan.stages.iter().map(|stage| stage.name.as_str()).collect()
}

#[test]
fn child_processes() {
    let plan = plan(&format!(
        "{SOURCE}  - type: discard\n    run: {{ mode: process, workers: 2, timeout: 5m, restarts: 3, env: [TOKEN], \
         limits: {{ memory: 512MiB, cpu: 60s, open_files: 64 }} }}\n"
    ));
    let stage = &plan.stages[1];
    assert_eq!((stage.mode, stage.workers), (Mode::Process, 2));
    let limits = &stage.process.limits;
    assert_eq!(limits.memory, Some(512 << 20));
    assert_eq!(limits.cpu, Some(Duration::from_secs(60)));
    assert_eq!(limits.open_files, Some(64));
    assert_eq!(stage.process.timeout, Some(Duration::from_secs(300)));
    assert_eq!(
        (stage.process.restarts, stage.process.env.as_slice()),
        (3, &["TOKEN".to_owned()][..])
    );
    // Two batches are under way to each child, and two on their way back.
    assert_eq!(stage.kept_bytes(), 4 * (8 << 20));
    assert_eq!(plan.stages[0].kept_bytes(), 0);
}

#[test]
fn what_means_nothing_in_a_mode_may_stay() {
    let plan =
        plan(&format!("{SOURCE}  - type: discard\n    run: {{ mode: threaded, timeout: 5m }}\n"));
    let [note] = &plan.stages[1].notes[..] else { panic!("{:?}", plan.stages[1].notes) };
    assert_eq!(note, "`timeout` does nothing here: it goes with `mode: process`, not `threaded`");
}

#[test]
fn the_whole_of_it() {
    let plan = plan(
        "name: shop-prices
pools: { heavy: { threads: 2, cpus: [0, 1], nice: 5 }, alone: { cpus: [3] } }
channel: { rows: 4096, bytes: 1MiB }
batch: { rows: 8192, bytes: 10KB }
stages:
  - { name: out, type: write, from: counts, with: { path: out/prices.jsonl } }
  - { name: requests, type: generate, with: { url: 'demo:/{n}' } }
  - name: counts
    type: aggregate
    run: { mode: threaded, workers: 3 }
    channel: { rows: 100 }
    with: { group_by: [category, city] }
  - { name: rest, type: discard, from: requests, run: { pool: heavy, workers: 2, ordered: true } }
",
    );
    assert_eq!(names(&plan), ["requests", "counts", "out", "rest"]);
    assert_eq!(plan.edges.len(), 3);
    let counts = &plan.stages[1];
    assert_eq!((counts.mode, counts.workers, counts.holds), (Mode::Threaded, 3, 1 << 20));
    let edge = &plan.edges[counts.inputs[0]];
    assert_eq!(edge.bound, Bound { rows: 100, bytes: 1 << 20 });
    let keys = vec!["category".to_owned(), "city".to_owned()];
    assert_eq!(edge.distribution, Distribution::Hash(keys));
    assert_eq!(plan.queues(counts.inputs[0]), 3);
    let requests = &plan.stages[0];
    assert_eq!((requests.batch.rows, requests.batch.bytes), (100, 10_000));
    assert_eq!(requests.outputs.len(), 2);
    assert_eq!((plan.stages[3].pool, plan.stages[3].ordered), (2, true));
    assert_eq!(plan.pools[0].name, "default");
    assert_eq!((plan.pools[1].name.as_str(), plan.pools[1].threads), ("alone", 1));
    assert_eq!(plan.rejected.path, PathBuf::from("out/shop-prices.rejected.jsonl"));
}

#[test]
fn defaults() {
    let plan = plan(&format!("{SOURCE}  - type: discard\n"));
    assert_eq!((plan.name.as_str(), plan.pools.len()), ("shop", 1));
    assert_eq!(plan.edges[0].bound, Bound { rows: 65536, bytes: 64 << 20 });
    assert_eq!((plan.stages[0].batch.rows, plan.stages[0].batch.bytes), (8192, 8 << 20));
    assert_eq!(plan.rejected.path, PathBuf::from("shop.rejected.jsonl"));
    assert_eq!(plan.stages[0].options, json!({ "url": "a" }));
    assert_eq!(plan.stages[1].options, json!({}));
}

#[test]
fn rejected_rows_go_where_they_should() {
    let limited =
        plan(&format!("rejected: {{ path: bad.jsonl, limit: 5 }}\n{SOURCE}  - type: discard\n"));
    assert_eq!((limited.rejected.path, limited.rejected.limit), ("bad.jsonl".into(), Some(5)));
    let plain = plan(&format!("rejected: bad.jsonl\n{SOURCE}  - type: discard\n"));
    assert_eq!((plain.rejected.path, plain.rejected.limit), ("bad.jsonl".into(), None));
}

#[test]
fn variables_give_types_only_without_quotes() {
    let text = "stages:\n  - type: generate\n    with:\n      url: \"${N}${TOKEN}\"\n      count: ${N}\n      forever: ${YES:-true}\n      headers: { css: 'a[href$=\".x\"]', re: '^(a)$1$$' }\n  - type: discard\n";
    let plan =
        kinds::load_with(text, &Variables::new().set("N", "5").set("TOKEN", "hush-hush")).unwrap();
    let options = &plan.stages[0].options;
    assert_eq!(options["url"], "5hush-hush");
    assert_eq!(options["count"], 5);
    assert_eq!(options["forever"], true);
    assert_eq!(options["headers"], json!({ "css": "a[href$=\".x\"]", "re": "^(a)$1$" }));
    assert_eq!(plan.stages[0].notes, ["from 5hush-hush"]);
    for shown in [format!("{plan:?}"), format!("{plan:#?}"), format!("{:?}", plan.stages)] {
        assert!(!shown.contains("hush") && shown.contains("generate"), "{shown}");
    }
    assert_eq!(plan.secrets.redact("x hush-hush y"), "x *** y");
}

#[test]
fn set_comes_before_the_environment() {
    let variables = Variables::from_lookup(|_| Some("environment".to_owned())).set("A", "set");
    let plan =
        kinds::load_with(&format!("name: ${{A}}-${{B}}\n{SOURCE}  - type: discard\n"), &variables);
    assert_eq!(plan.unwrap().name, "set-environment");
}

#[test]
fn merge_keys_and_aliases() {
    let text = "stages:\n  - type: generate\n    with: &base { url: a, count: 1, headers: { <<: &h { a: b }, c: d } }\n  - name: second\n    type: generate\n    with:\n      <<: [{ count: 2 }, *base]\n      url: z\n  - { type: discard, from: [generate, second] }\n";
    let plan = plan(text);
    assert_eq!(plan.stages[0].options["headers"], json!({ "c": "d", "a": "b" }));
    let options = &plan.stages[1].options;
    assert_eq!((&options["url"], &options["count"]), (&json!("z"), &json!(2)));
    assert_eq!(options["headers"]["a"], "b");
}

#[test]
fn windows_files_and_byte_order_marks() {
    let text = format!("\u{feff}{SOURCE}  - type: discard\n").replace('\n', "\r\n");
    assert_eq!(names(&plan(&text)), ["generate", "discard"]);
}

#[test]
fn a_pipeline_in_code_is_the_same_as_its_yaml() {
    let values = json!({ "a": "007", "b": "true", "c": "${X} $$ $1", "d": "1e3", "e": "a: b\n- c", "f": "", "g": "~" });
    let pipeline = Pipeline::new("numbers")
        .pool("heavy", 2)
        .pin("heavy", [0])
        .channel(100, 10_000_000)
        .batch(10, 64 << 20)
        .rejected("bad.jsonl", Some(3))
        .whole_rows()
        .stage(StageDef::new("rows", "generate").with(json!({ "url": "a", "headers": values })))
        .stage(
            StageDef::new("counts", "aggregate")
                .from(["rows"])
                .mode(Mode::Pooled)
                .workers(2)
                .pool("heavy")
                .ordered()
                .channel(50, 4096)
                .distribute(&Distribution::Hash(vec!["city".to_owned()]))
                .with(json!({ "group_by": ["city"] })),
        )
        .stage(StageDef::new("out", "discard").mode(Mode::Threaded));
    let plan = pipeline.plan(&kinds::registry()).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(plan.stages[0].options["headers"], values);
    assert_eq!(plan.edges[1].bound, Bound { rows: 100, bytes: 10_000_000 });
    assert_eq!((plan.stages[1].workers, plan.pools[1].cpus.as_slice()), (2, &[0][..]));
    assert_eq!(plan.rejected.limit, Some(3));
    insta::assert_snapshot!(pipeline.to_yaml());
}

#[test]
fn the_schema_for_editors() {
    let schema = json_schema(&kinds::registry());
    insta::assert_snapshot!(serde_json::to_string_pretty(&schema).unwrap());
    let mut open = vec![&schema];
    while let Some(value) = open.pop() {
        if let Some(path) = value.get("$ref").and_then(|path| path.as_str()) {
            assert!(schema.pointer(&path[1..]).is_some(), "{path}");
        }
        open.extend(value.as_object().into_iter().flat_map(|map| map.values()));
        open.extend(value.as_array().into_iter().flatten());
    }
}

#[test]
fn outputs_are_edges_of_their_own() {
    let text = "stages:
  - type: generate
    with: { url: 'demo:/' }
  - { name: part.s, type: part }
  - { name: both, type: discard, from: [part.s.bad, part.s.good] }
  - { name: one, type: discard, from: part.s.bad }
";
    let plan = kinds::load_parting(text).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(plan.stages[1].ports, ["good", "bad"]);
    let ends = plan.edges.iter().map(|edge| (edge.from, edge.port, edge.to));
    assert_eq!(ends.collect::<Vec<_>>(), [(0, 0, 1), (1, 1, 2), (1, 0, 2), (1, 1, 3)]);
    assert_eq!(
        (0..4).map(|edge| plan.origin(edge)).collect::<Vec<_>>(),
        ["generate", "part.s.bad", "part.s.good", "part.s.bad"]
    );
}
