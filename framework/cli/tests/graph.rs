//! `gristmill graph`, from outside.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod common;
#[path = "common/served.rs"]
mod served;

use common::Place;
use served::Served;

const PIPELINE: &str = "\
name: shop
stages:
  - { name: numbers, type: generate, with: { count: 9 } }
  - name: parts
    type: route
    with: { routes: { odd: 'n % 2 = 1' } }
  - name: sum
    type: aggregate
    from: parts.odd
    run: { mode: threaded, workers: 2 }
    with: { group_by: [n], select: { rows: count(*) } }
  - { name: out, type: discard, from: [sum] }
  - { name: others, type: discard, from: parts.rest }
";

#[test]
fn a_pipeline_is_drawn() {
    let place = Place::new();
    place.write("pipeline.yaml", PIPELINE);
    let mermaid = place.gristmill(&["graph", "pipeline.yaml"]).expect(0).stdout;
    let dot = place.gristmill(&["graph", "pipeline.yaml", "--format", "dot"]).expect(0).stdout;
    for line in [
        "flowchart LR",
        "s0([\"numbers<br/><small>generate, pooled</small>\"])",
        "s2[\"sum<br/><small>aggregate, threaded × 2</small>\"]",
        "s0 --> s1",
        "s1 -->|\"odd, hash(n)\"| s2",
    ] {
        assert!(mermaid.contains(line), "{line}\n{mermaid}");
    }
    for line in [
        "digraph \"shop\" {",
        "s2 [label=\"sum\\naggregate, threaded × 2\"];",
        "s1 -> s2 [label=\"odd, hash(n)\"];",
        "[label=\"out\\ndiscard, pooled\", shape=cylinder];",
    ] {
        assert!(dot.contains(line), "{line}\n{dot}");
    }
}

#[test]
fn a_picture_needs_nothing_else() {
    let place = Place::new();
    place.write("pipeline.yaml", PIPELINE);
    let svg = place.gristmill(&["graph", "pipeline.yaml", "--format", "svg"]).expect(0).stdout;
    let root = svg.trim_start();
    assert!(root.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\""), "{svg}");
    for text in [">numbers<", ">aggregate, threaded × 2<", ">odd, hash(n)<", ">others<"] {
        assert!(svg.contains(text), "{text}\n{svg}");
    }
    assert_eq!(svg.matches("class=\"arrow\"").count(), 4, "{svg}");
    assert!(
        !svg.contains("href") && !svg.contains("<script") && !svg.contains("url(http"),
        "{svg}"
    );
    // As a program that reads XML sees it.
    place.write("graph.svg", &svg);
    let python = "import xml.dom.minidom as m; print(len(m.parse('graph.svg').getElementsByTagName('rect')))";
    let mut command = std::process::Command::new("python3");
    let output = command.args(["-c", python]).current_dir(place.path()).output().unwrap();
    let ended = common::ended(output).expect(0);
    assert_eq!(ended.stdout.trim(), "6");
}

#[test]
fn a_run_is_drawn_with_its_rates() {
    let place = Place::new();
    let yaml = PIPELINE
        .replace("count: 9", "count: 1000000000")
        .replace("group_by: [n]", "group_by: [n], memory: 64MiB");
    let run = Served::start(&place, &yaml, &[]);
    for format in ["mermaid", "dot", "svg"] {
        let drawn = run.asked(&place, "graph", &["--format", format]).expect(0).stdout;
        assert!(drawn.contains("odd, hash(n), "), "{drawn}");
        assert!(drawn.contains(" rows/s"), "{drawn}");
        assert!(drawn.contains("busy"), "{drawn}");
    }
}
