//! `gristmill graph`, from outside.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod common;

use common::Place;

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
