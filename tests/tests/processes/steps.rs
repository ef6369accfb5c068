//! Aggregates that several workers do in two steps give what one gives, in every mode.

use gristmill_config::{Distribution, Plan};
use gristmill_runtime::Outcome;

use crate::kept::killing;
use crate::mill::{Mill, lines};

const QUERIES: [&str; 3] = [
    "select: { n: count(*), sum: sum(n), low: min(text), keys: count(DISTINCT key), mean: avg(n), \
     even: 'sum(n) FILTER (WHERE n % 2 = 0) * 2' }",
    "group_by: { band: n % 11, key: upper(key) }, select: { n: count(*), high: max(text), \
     texts: count(DISTINCT text) }",
    // So many that they do not fit into memory.
    "group_by: { id: n % 2500, text: \"concat(text, '!')\" }, memory: 1MiB, select: { n: count(*), \
     mid: median(n), longest: 'max(repeat(text, 50))' }",
];

fn plan(mill: &Mill, query: &str, run: &str, rows: usize) -> Plan {
    let sums = format!("{{ name: sums, type: aggregate, run: {{ {run} }}, with: {{ {query} }} }}");
    mill.plan(&format!("batch: {{ rows: {rows} }}"), &[sums])
}

fn output(mill: &Mill, plan: Plan) -> Vec<String> {
    let report = Mill::start(plan).wait();
    assert!(matches!(report.outcome, Outcome::Done), "{:?}", report.outcome);
    let rows = lines(&mill.path("out.jsonl")).into_iter();
    let mut rows: Vec<String> = rows.map(|row| row.to_string()).collect();
    rows.sort_unstable();
    rows
}

#[test]
fn several_workers_give_what_one_gives() {
    let mill = Mill::new(5000);
    for query in QUERIES {
        let expected = output(&mill, plan(&mill, query, "mode: threaded", 1000));
        for (mode, workers, rows) in [
            ("threaded", 2, 1000),
            ("threaded", 4, 70),
            ("pooled", 3, 70),
            ("pooled", 4, 1000),
            ("process", 2, 70),
            ("process", 3, 1000),
        ] {
            let run = format!("mode: {mode}, workers: {workers}");
            let found = output(&mill, plan(&mill, query, &run, rows));
            assert!(found == expected, "{query}, {run}: {found:?} instead of {expected:?}");
        }
    }
}

#[test]
fn several_workers_that_are_killed_do_as_well() {
    let mill = Mill::new(5000);
    let query = QUERIES[1];
    let expected = output(&mill, plan(&mill, query, "mode: threaded", 1000));
    let run = "mode: process, workers: 2, limits: { open_files: 1008 }";
    let found = killing(1008, || output(&mill, plan(&mill, query, run, 100)));
    assert!(found == expected, "{found:?} instead of {expected:?}");
}

#[test]
fn the_plan_shows_both_steps() {
    let mill = Mill::new(1);
    let shape = |query: &str, run: &str| -> Vec<(String, usize, Distribution)> {
        let plan = plan(&mill, query, run, 100);
        let stages = plan.stages.iter().skip(1);
        let shape = stages.map(|stage| {
            let distribution = plan.edges[stage.inputs[0]].distribution.clone();
            (stage.name.clone(), stage.workers, distribution)
        });
        shape.collect()
    };
    let (shared, hash) = (Distribution::Shared, Distribution::Hash);
    let write = || ("write".to_owned(), 1, shared.clone());
    let alone = [("sums".to_owned(), 1, shared.clone()), write()];
    assert_eq!(shape(QUERIES[0], "workers: 1"), alone);
    let one_group = [
        ("sums".to_owned(), 3, shared.clone()),
        ("sums.merge".to_owned(), 1, shared.clone()),
        write(),
    ];
    assert_eq!(shape(QUERIES[0], "workers: 3"), one_group);
    let keys = hash(vec!["band".to_owned(), "key".to_owned()]);
    let groups =
        [("sums".to_owned(), 3, shared.clone()), ("sums.merge".to_owned(), 3, keys), write()];
    assert_eq!(shape(QUERIES[1], "workers: 3"), groups);
}
