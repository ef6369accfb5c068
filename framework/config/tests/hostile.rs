//! Input that was made to do harm, or was not made by anyone.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "these are tests")]

mod kinds;

use std::fmt::Write;

use proptest::prelude::*;

const VALID: &str = r#"name: shop
pools: { heavy: { threads: 2, cpus: [0], nice: 5 } }
rejected: { path: bad.jsonl, limit: 3 }
stages:
  - type: generate
    with: &w { url: "${SITE:-demo:}/{n}", count: 5, headers: { a: 'it''s' } }
  - name: more
    type: generate
    with: { <<: *w, count: 6 }
  - type: fetch
    from: [generate, more]
    run: { mode: pooled, workers: 2, pool: heavy }
    channel: { rows: 10, bytes: 8MiB, distribute: hash(city) }
    with:
      timeout: 10s # note
      on_error: reject
  - type: parse
    with: { fields: { ü: { css: '.p$' } } }
  - type: shape
    with: { size: { from: 1, to: 2 }, form: { kind: circle, radius: 1.5 } }
  - type: write
    with:
      path: |
        out.jsonl
"#;

#[test]
fn what_is_mutated_is_right_at_first() {
    let plan = kinds::load_text(VALID).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(plan.stages.len(), 6);
}

#[test]
fn an_alias_bomb_is_refused() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..20 {
        let last = level - 1;
        let items = vec![format!("*a{last}"); 10].join(", ");
        writeln!(text, "a{level}: &a{level} [{items}]").unwrap();
    }
    let problems = kinds::load_text(&text).unwrap_err();
    assert!(problems.render(false).contains("more than 1000000 values"), "{problems}");
    let mut text = "a0: &a0 { k: v }\n".to_owned();
    for level in 1..80 {
        writeln!(text, "a{level}: &a{level} {{ k: *a{} }}", level - 1).unwrap();
    }
    let problems = kinds::load_text(&text).unwrap_err();
    assert!(problems.render(false).contains("more than 64 levels"), "{problems}");
}

#[test]
fn ten_thousand_stages() {
    let mut text = "stages:\n  - { name: s0, type: generate, with: { url: a } }\n".to_owned();
    for index in 1..10_000 {
        writeln!(text, "  - {{ name: s{index}, type: shape, with: {{ size: 5 }} }}").unwrap();
    }
    text.push_str("  - type: discard\n");
    let plan = kinds::load_text(&text).unwrap();
    assert_eq!((plan.stages.len(), plan.edges.len()), (10_001, 10_000));
    // And as many that are all wrong.
    let wrong = text.replace("size: 5", "syze: 5").replace("s0, type", "s0, from: x, type");
    let problems = kinds::load_text(&wrong).unwrap_err();
    assert_eq!(problems.len(), 10_000);
    assert!(problems.render(false).len() > 1_000_000);
    let lost = text.replace("type: shape", "from: nowhere-near, type: shape");
    assert_eq!(kinds::load_text(&lost).unwrap_err().len(), 9_999);
    let circle = text.replacen("type: shape", "from: s9999, type: shape", 1);
    assert!(kinds::load_text(&circle).unwrap_err().render(false).contains("form a circle"));
}

#[test]
fn a_pipeline_on_one_long_line() {
    let many = vec!["{ typ: ü }"; 5_000].join(", ");
    let problems = kinds::load_text(&format!("{{ stages: [{many}] }}")).unwrap_err();
    let rendered = problems.render(false);
    assert!(rendered.contains("shop.yaml:1:15"), "{}", &rendered[..500]);
    assert!(rendered.len() < 10_000_000);
}

fn no_panic(text: &str) {
    match kinds::load_text(text) {
        Ok(plan) => assert!(!format!("{plan:?}").is_empty()),
        Err(problems) => {
            assert!(!problems.is_empty());
            assert!(problems.render(false).contains("error"));
            assert!(!problems.render(true).is_empty());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_panics(text in any::<String>()) {
        no_panic(&text);
    }

    #[test]
    fn no_yaml_like_text_panics(text in "([a-c*&!<>|{}\\[\\]:,$\"'#% \t\r\nü-]|type: |stages:\n|- |\\$\\{){0,80}") {
        no_panic(&text);
    }

    #[test]
    fn no_mutation_panics(
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0..4_usize, "[ -~\n\tü😀]{0,3}"), 1..6)
    ) {
        let mut chars: Vec<char> = VALID.chars().collect();
        for (at, cut, put) in edits {
            let at = at.index(chars.len());
            let end = (at + cut).min(chars.len());
            chars.splice(at..end, put.chars());
        }
        no_panic(&chars.into_iter().collect::<String>());
    }
}
