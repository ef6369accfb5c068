use std::sync::Arc;

use arrow_array::{Int64Array, RecordBatch, StringArray};
use gristmill_stage::{BatchTarget, Snapshot, State};
use serde_json::{Value, json};

use super::wrong;
use crate::testing::{Kept, build, run, run_texts};

fn shop() -> Value {
    json!({"format": "html", "rows": ".product", "fields": {
        "sku": {"css": ":scope", "attr": "data-sku"},
        "name": {"css": "h2", "required": true},
        "price": {"css": ".price", "type": "float64"},
        "tags": {"css": "li", "all": true},
        "shop": {"css": "h1", "outside": true},
    }})
}

fn product(n: usize) -> String {
    let price = if n % 7 == 3 { "free".to_owned() } else { format!("{n}.5") };
    format!(
        "<div class=product data-sku=s{n}><h2>p{n}</h2><i class=price>{price}</i><li>{n}<li>x</div>"
    )
}

#[test]
fn each_match_is_a_row_with_fields_of_its_own() {
    let page = format!("<h1>Shop</h1><h2>no</h2>{}{}", product(1), product(2));
    let kept = run_texts(&shop(), &[&page, "<p>nothing here"]);
    for (name, values) in [
        ("n", ["0", "0"]),
        ("sku", ["s1", "s2"]),
        ("name", ["p1", "p2"]),
        ("price", ["1.5", "2.5"]),
        ("tags", ["[1|x]", "[2|x]"]),
        ("shop", ["Shop", "Shop"]),
    ] {
        assert_eq!(kept.column(name), values, "{name}");
    }
    assert_eq!(kept.rejected(), 0);
}

#[test]
fn rows_that_do_not_fit_are_told_once_and_the_others_come_out() {
    let page = format!("{}<div class=product></div>{}", product(3), product(4));
    let input = crate::testing::bodies(&[Some(&page), None]);
    let kept = run(&shop(), input.clone());
    assert_eq!(kept.column("name"), ["p4"]);
    assert_eq!(
        kept.reasons(),
        [
            "2 of 3 rows do not fit, the first is row 1: field `price`: \"free\" is not a float64",
            "column `body` is null",
        ]
    );
    let mut lenient = shop();
    lenient["on_error"] = json!("null");
    let kept = run(&lenient, input);
    assert_eq!(kept.column("name"), ["p3", "∅", "p4", "∅"]);
    assert_eq!(kept.column("price"), ["∅", "∅", "4.5", "∅"]);
}

/// Pages of a few products, some of which do not fit, and rows that are rejected as a whole.
fn pages() -> RecordBatch {
    let page = |n: usize| match n % 5 {
        2 => None,
        4 => Some("<p>none".to_owned()),
        _ => Some((0..3 + n * 3).map(product).collect::<String>()),
    };
    let n = Arc::new((0..9).collect::<Int64Array>());
    let body = Arc::new((0..9).map(page).collect::<StringArray>());
    crate::testing::with_body(n, body)
}

#[test]
fn a_place_within_a_page_survives_a_snapshot() {
    let (input, mut options) = (pages(), shop());
    options["keep"] = json!("all");
    let whole = run(&options, input.clone());
    assert!(whole.rejected() > 4);
    for target in [
        BatchTarget { rows: 1, bytes: 1 << 20 },
        BatchTarget { rows: 4, bytes: 1 << 20 },
        BatchTarget { rows: 8192, bytes: 1000 },
    ] {
        let (schema, mut kept) = (input.schema(), Kept::default());
        let mut stage = build(&options, &schema, target, Snapshot::Stateless);
        let mut waiting = vec![input.clone()];
        let mut calls = 0;
        while stage.holding() || !waiting.is_empty() {
            calls += 1;
            match waiting.pop_if(|_| stage.ready()) {
                Some(batch) => stage.process(batch, &mut kept).expect("process"),
                None => stage.wake(&mut kept).expect("wake"),
            }
            assert!(kept.batches.len() <= calls, "one batch a call");
            let mut snapshot = stage.snapshot().expect("snapshot");
            // Rows that were not begun may come again as input.
            if let Snapshot::State(state) = &mut snapshot
                && calls % 2 == 0
            {
                let part = state.parts.iter().position(|(name, _)| name == State::ROWS);
                waiting.extend(part.map(|at| state.parts.remove(at).1));
            }
            stage = build(&options, &schema, target, snapshot);
        }
        for name in ["n", "name", "body", "tags"] {
            assert_eq!(kept.column(name), whole.column(name), "{name}, {target:?}");
        }
        assert_eq!(kept.reasons(), whole.reasons(), "{target:?}");
        assert!(kept.batches.iter().all(|batch| batch.num_rows() <= target.rows));
    }
}

#[test]
fn a_page_of_many_rows_comes_in_small_batches() {
    let page: String = (0..20_000).map(|n| format!("<i>{n}</i>")).collect();
    let options = json!({"format": "html", "rows": "i", "keep": "all", "fields": {
        "n_": {"css": ":scope", "type": "int64"}}});
    let input = crate::testing::bodies(&[Some(&page)]);
    let target = BatchTarget { rows: 8192, bytes: 1 << 20 };
    let mut stage = build(&options, &input.schema(), target, Snapshot::Stateless);
    let mut kept = Kept::default();
    stage.process(input, &mut kept).expect("process");
    while stage.holding() {
        stage.wake(&mut kept).expect("wake");
    }
    assert_eq!(kept.rows(), 20_000);
    // The page itself is in each row: a batch has as many rows as go into its bytes.
    let most = (1 << 20) / page.len() + 2;
    assert!(kept.batches.iter().all(|batch| batch.num_rows() <= most), "{most}");
}

#[test]
fn rows_within_rows_cannot_take_for_ever() {
    let options = json!({"format": "html", "rows": "div", "fields": {"x": "b"}});
    let page = format!("{}{}", "<div>".repeat(400), "<i></i>".repeat(40_000));
    let reason = "the elements that `rows` finds lie in each other too often";
    assert_eq!(run_texts(&options, &[&page]).reasons(), [reason]);
    let small =
        json!({"format": "html", "rows": "div", "max_bytes": "10kB", "fields": {"x": ":scope"}});
    let page = format!("{}{}", "<div>".repeat(100), "x".repeat(4000));
    let reason = "the rows of the text are too large together";
    assert_eq!(run_texts(&small, &[&page]).reasons(), [reason]);
}

#[test]
fn wrong_options_name_their_place() {
    wrong(&[
        (json!({"format": "html", "rows": "a..", "fields": {"a": "b"}}), "rows"),
        (
            json!({"format": "html", "fields": {"a": {"css": "b", "outside": true}}}),
            "fields.a.outside",
        ),
        (json!({"format": "json", "rows": "a", "fields": {"a": "b"}}), "rows"),
        (
            json!({"format": "xml", "fields": {"a": {"path": "b", "outside": true}}}),
            "fields.a.outside",
        ),
    ]);
}
