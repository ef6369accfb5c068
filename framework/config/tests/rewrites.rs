//! Other `run` words in a text that stays as its author wrote it.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "these are tests")]

mod kinds;

use gristmill_config::{Mode, RunChoice, Source, Variables, load_with, rewrite};

fn choice(stage: &str, mode: Mode, workers: usize) -> RunChoice {
    RunChoice { stage: stage.to_owned(), mode, workers }
}

fn rewritten(text: &str, choices: &[RunChoice]) -> Result<String, String> {
    let variables = Variables::new().set("W", "2");
    rewrite(&Source::new("shop.yaml", text), &variables, &kinds::registry(), choices)
}

/// A pipeline whose second stage has this text in front of its options.
fn with_stage(head: &str) -> String {
    format!(
        "# the shop\nname: shop\npools: {{ heavy: {{ threads: 1 }} }}\nstages:\n  - type: generate\n    \
         with: {{ url: 'demo:/{{n}}' }}  # all\n{head}\n  - type: discard   # the end\n"
    )
}

#[test]
fn only_the_words_change() {
    let threaded = [choice("rest", Mode::Threaded, 3)];
    for (before, after) in [
        (
            "  - name: rest   # why\n    type: discard  # what",
            "  - name: rest   # why\n    type: discard  # what\n    run: { mode: threaded, workers: 3 }",
        ),
        (
            "  - { name: rest, type: discard } # what",
            "  - { name: rest, type: discard, run: { mode: threaded, workers: 3 } } # what",
        ),
        (
            "  - name: rest\n    type: discard\n    run: {  mode: pooled,   workers: 1 }  # slow",
            "  - name: rest\n    type: discard\n    run: {  mode: threaded,   workers: 3 }  # slow",
        ),
        (
            "  - name: rest\n    type: discard\n    run:\n      # many\n      workers: 2  # two",
            "  - name: rest\n    type: discard\n    run:\n      # many\n      mode: threaded\n      workers: 3  # two",
        ),
        (
            "  - name: rest\n    type: discard\n    run: { pool: heavy, workers: 3 }",
            "  - name: rest\n    type: discard\n    run: { mode: threaded, workers: 3 }",
        ),
        (
            "  - name: rest\n    type: discard\n    run: { mode: pooled, pool: heavy, ordered: true }",
            "  - name: rest\n    type: discard\n    run: { workers: 3, mode: threaded, ordered: true }",
        ),
        (
            "  - name: rest\n    type: discard\n    run:\n      mode: \"pooled\"\n      pool: heavy\n      workers: 3",
            "  - name: rest\n    type: discard\n    run:\n      mode: threaded\n      workers: 3",
        ),
    ] {
        let (before, after) = (with_stage(before), with_stage(after));
        let discard = |text: &str| text.replace("  - type: discard   # the end\n", "");
        assert_eq!(rewritten(&discard(&before), &threaded), Ok(discard(&after)));
    }
}

#[test]
fn a_text_that_already_says_so_stays() {
    let text =
        with_stage("  - { name: rest, type: parse, run: { workers: 2 }, with: { fields: {} } }");
    let text = text.replace("parse", "fetch").replace(", with: { fields: {} }", "");
    assert_eq!(rewritten(&text, &[choice("rest", Mode::Pooled, 2)]), Ok(text));
}

#[test]
fn what_cannot_be_changed_alone_is_refused() {
    let threaded = [choice("rest", Mode::Threaded, 3)];
    for (stage, why) in [
        ("  - name: rest\n    type: discard\n    run:\n      workers: ${W}", "from a variable"),
        ("  - name: rest\n    type: discard\n    run: {}", "is empty"),
        (
            "  - &one { name: rest, type: discard, run: { workers: 2 } }\n  - { <<: *one, name: other, from: generate }",
            "shared with other parts",
        ),
    ] {
        let text = with_stage(stage).replace("  - type: discard   # the end\n", "");
        let refused = rewritten(&text, &threaded).unwrap_err();
        assert!(refused.contains(why), "{refused}");
    }
}

#[test]
fn choices_go_before_the_words() {
    let text = "stages:\n  - { type: generate, with: { url: a } }\n  \
                - { type: discard, run: { pool: default } }\n";
    let source = Source::new("shop.yaml", text);
    let choices = [choice("discard", Mode::Threaded, 4)];
    let plan = load_with(&source, &Variables::new(), &kinds::registry(), &choices).unwrap();
    assert_eq!((plan.stages[1].mode, plan.stages[1].workers), (Mode::Threaded, 4));
    assert!(plan.stages[1].scales);
}
