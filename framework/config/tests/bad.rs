//! What people see when a pipeline is wrong: one snapshot for each kind of mistake.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "these are tests")]

mod kinds;

use gristmill_config::{Source, Variables};

/// A working pipeline around the lines of one stage.
fn around(stage: &str) -> String {
    format!(
        "stages:\n  - type: generate\n    with: {{ url: 'demo:/' }}\n{stage}\n  - type: discard\n"
    )
}

fn check(name: &str, text: &str) {
    let variables =
        Variables::new().set("SITE", "demo:").set("N", "five").set("API_TOKEN", "t0psecret");
    let problems = kinds::load_with(text, &variables).expect_err(name);
    let rendered = problems.render(false);
    assert!(!rendered.contains("t0psecret"), "{name}: {rendered}");
    assert!(!format!("{problems:?}").contains("t0psecret"), "{name}");
    insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(name, rendered);
    });
}

fn check_all(cases: &[(&str, &str)]) {
    for (name, text) in cases {
        check(name, text);
    }
}

#[test]
fn text() {
    check_all(&[
        ("empty", ""),
        ("comment_only", "# nothing yet\n"),
        ("not_a_mapping", "- a\n- b\n"),
        ("scalar", "hello"),
        ("tab", "stages:\n\t- type: discard\n"),
        ("unclosed_quote", "name: \"shop\nstages: []\n"),
        ("unclosed_bracket", "stages: [{ type: generate }\n"),
        ("colon_in_value", "name: a: b\n"),
        ("second_document", "name: a\n---\nname: b\n"),
        ("unknown_anchor", "name: *shop\n"),
        ("alias_in_itself", "stages: &a [*a]\n"),
        ("duplicate_key", "name: a\nstages: []\nname: b\n"),
        ("duplicate_key_far", &format!("name: a\n{}name: b\nstages: []\n", "# more\n".repeat(40))),
        ("custom_tag", "name: !secret shop\nstages: []\n"),
        ("wrong_core_tag", "name: !!int shop\nstages: []\n"),
        ("complex_key", "? [a, b]\n: c\nstages: []\n"),
        ("missing_key", ": c\nstages: []\n"),
        ("merge_of_a_text", "<<: here\nstages: []\n"),
        ("too_deep", &format!("name: {}{}\n", "[".repeat(70), "]".repeat(70))),
        ("unicode_column", "name: \"äöü→😀 ${NOPE}\"\nstages: []\n"),
        ("carriage_returns", "name: shop\r\nstagess: []\r\n"),
    ]);
}

#[test]
fn variables() {
    check_all(&[
        ("undefined_variable", &around("  - type: fetch\n    with: { column: \"${COLUMN}\" }")),
        ("undefined_variable_near", "name: x${SITTE}\nstages: []\n"),
        ("unclosed_variable", "name: shop-${SITE\nstages: []\n"),
        ("variable_name", "name: ${a b}\nstages: []\n"),
        ("variable_in_flow", "pools: { a: { threads: ${N} } }\nstages: []\n"),
        ("variable_in_block_text", "name: |\n  one\n  two ${NOPE} $1\nstages: []\n"),
        ("variable_of_wrong_type", "batch:\n  rows: ${N}\nstages: []\n"),
        ("secret_of_wrong_type", "batch:\n  rows: ${API_TOKEN}\nstages: []\n"),
        (
            "secret_in_kind_error",
            &around("  - type: fetch\n    with: { column: \"${API_TOKEN}\" }"),
        ),
        (
            "secret_in_name",
            &format!(
                "name: shop-${{API_TOKEN}}\n{}",
                around("  - { type: fetch, name: \"${DB_PASSWORD:-abc}\" }")
            ),
        ),
        ("secret_as_type", "stages:\n  - type: ${API_TOKEN}\n"),
        ("secret_in_the_file", "stages:\n  - { type: t0psecret, name: \"${API_TOKEN}\" }\n"),
    ]);
}

#[test]
fn words() {
    check_all(&[
        ("no_stages_key", "name: shop\n"),
        ("no_stages", "name: shop\nstages: []\n"),
        ("stages_not_a_list", "stages: { type: discard }\n"),
        ("unknown_word", "nmae: shop\nstages: []\n"),
        ("bad_name", "name: my shop\nstages: []\n"),
        ("long_name", &format!("name: {}\nstages: []\n", "n".repeat(101))),
        ("number_as_name", "name: 5\nstages: []\n"),
        ("stage_not_a_mapping", "stages: [generate]\n"),
        ("unknown_stage_word", &around("  - type: fetch\n    wiht: {}")),
        ("no_type", &around("  - name: pages")),
        ("unknown_type", &around("  - type: fecth")),
        ("unknown_type_far", &around("  - type: quux")),
        ("bad_mode", &around("  - type: fetch\n    run: { mode: thread }")),
        ("workers_zero", &around("  - type: fetch\n    run: { workers: 0 }")),
        ("workers_too_many", &around("  - type: fetch\n    run: { workers: 5000 }")),
        ("workers_text", &around("  - type: fetch\n    run: { workers: '2' }")),
        ("unknown_pool", &around("  - type: fetch\n    run: { pool: hevy }")),
        (
            "pool_with_threads",
            &around("  - type: fetch\n    run: { mode: threaded, pool: default }"),
        ),
        (
            "process_with_pool",
            &around("  - type: fetch\n    run: { mode: process, pool: default }"),
        ),
        (
            "limit_unknown",
            &around("  - type: fetch\n    run: { mode: process, limits: { ram: 1GiB } }"),
        ),
        (
            "limit_is_no_size",
            &around("  - type: fetch\n    run: { mode: process, limits: { memory: much } }"),
        ),
        ("nice", "pools: { a: { nice: 20 } }\nstages: []\n"),
        ("bad_size", "channel: { bytes: 12 parsecs }\nstages: []\n"),
        ("size_zero", "channel: { bytes: 0 }\nstages: []\n"),
        ("rejected_shape", "rejected: [a]\nstages: []\n"),
        ("bad_distribute", &around("  - type: fetch\n    channel: { distribute: brodcast }")),
        ("empty_hash", &around("  - type: fetch\n    channel: { distribute: hash() }")),
    ]);
}

#[test]
fn options() {
    let shape = |with: &str| around(&format!("  - type: shape\n    with: {with}"));
    check_all(&[
        ("unknown_option", &around("  - type: fetch\n    with: { concurency: 5 }")),
        (
            "no_options_taken",
            "stages:\n  - type: generate\n    with: { url: a }\n  - type: discard\n    with: { x: 1 }\n",
        ),
        ("missing_option", "stages:\n  - type: generate\n  - type: discard\n"),
        (
            "wrong_type",
            &around("  - type: fetch\n    with:\n      concurrency: many\n      column: 5"),
        ),
        ("too_large", &around("  - type: fetch\n    with: { concurrency: 1001 }")),
        ("bad_enum", &around("  - type: fetch\n    with: { on_error: rejct }")),
        ("bad_time", &around("  - type: fetch\n    with: { timeout: 5 fortnights }")),
        ("time_as_list", &around("  - type: fetch\n    with: { timeout: [1] }")),
        ("with_not_a_mapping", &around("  - type: fetch\n    with: 5")),
        (
            "nested_missing",
            &around(
                "  - type: fetch\n  - type: parse\n    with: { fields: { price: { attr: x } } }",
            ),
        ),
        (
            "kind_error_path",
            &around(
                "  - type: fetch\n  - type: parse\n    with:\n      fields:\n        price:\n          css: \"[data\"",
            ),
        ),
        (
            "kind_error_index",
            "stages:\n  - type: generate\n    with: { url: a, urls: [a, 'b c'] }\n  - type: discard\n",
        ),
        (
            "kind_error_dotted_key",
            "stages:\n  - type: generate\n    with: { url: a, headers: { x: ok, x.y: bad } }\n  - type: discard\n",
        ),
        ("tagged_option", &shape("{ form: { kind: circel, radius: 1 } }")),
        ("tagged_option_missing", &shape("{ form: { kind: square, radius: 1 } }")),
        ("untagged_option", &shape("{ size: { from: 1 } }")),
        ("untagged_type", &shape("{ size: [1, 2] }")),
        ("kind_panics", &around("  - type: broken")),
        ("pattern", &shape("{ code: abcd }")),
        ("pattern_of_a_secret", &shape("{ code: \"${API_TOKEN}\" }")),
    ]);
}

/// What is misspelt does not hide what is wrong besides, and nothing is told that only follows.
#[test]
fn misspelt() {
    let fetch = |with: &str| around(&format!("  - type: fetch\n    with: {with}"));
    check_all(&[
        ("misspelt_and_out_of_range", &fetch("{ concurency: 5000, colum: url }")),
        ("misspelt_and_wrong_for_the_kind", &fetch("{ concurency: 5, column: ulr }")),
        ("misspelt_is_what_is_wrong", &fetch("{ colum: ulr }")),
        ("unknown_and_wrong_for_the_kind", &fetch("{ nonsense: 5, column: ulr }")),
        ("misspelt_twice", &fetch("{ colum: url, columm: ulr }")),
        (
            "unknown_may_explain_the_rest",
            &around("  - type: sort\n  - type: parse\n    with: { nonsense: body, fields: {} }"),
        ),
        (
            "misspelt_inside",
            &around(
                "  - type: fetch\n  - type: parse\n    with: { feilds: { price: { ccs: '[data' } } }",
            ),
        ),
        (
            "misspelt_and_wrong_below",
            &around(
                "  - name: one\n    type: aggregate\n    with: { groupby: [city] }\n  - name: two\n    type: aggregate\n    with: { group_by: [citty] }",
            ),
        ),
        (
            "misspelt_words",
            "stagess:\n  - { type: generate, wiht: { ulr: a, cuont: many } }\n  - { type: discard, rnu: { wrokers: 0 } }\n",
        ),
    ]);
}

#[test]
fn graph() {
    let source = "stages:\n  - type: generate\n    with: { url: a }\n";
    let then = |rest: &str| format!("{source}{rest}");
    check_all(&[
        (
            "duplicate_name",
            &then("  - { name: a, type: fetch }\n  - { name: a, type: sort }\n  - type: discard\n"),
        ),
        ("duplicate_type", &then("  - type: sort\n  - type: sort\n  - type: discard\n")),
        ("from_nowhere", &then("  - { type: discard, from: genrate }\n")),
        ("from_nowhere_far", &then("  - { type: discard, from: [x] }\n")),
        (
            "from_sink",
            &then("  - type: discard\n  - { type: write, from: discard, with: { path: a } }\n"),
        ),
        ("from_itself", &then("  - { type: sort, from: sort }\n  - type: discard\n")),
        ("from_twice", &then("  - { type: discard, from: [generate, generate] }\n")),
        (
            "source_with_from",
            &then(
                "  - { name: g, type: generate, from: generate, with: { url: a } }\n  - type: discard\n",
            ),
        ),
        (
            "source_with_channel",
            "stages:\n  - { type: generate, channel: { rows: 5 }, with: { url: a } }\n  - type: discard\n",
        ),
        ("first_without_input", "stages:\n  - type: discard\n"),
        ("after_a_sink", &then("  - type: discard\n  - type: write\n    with: { path: a }\n")),
        ("unused_output", &then("  - type: discard\n  - { type: sort, from: generate }\n")),
        (
            "circle",
            &then(
                "  - { name: a, type: shape, from: [generate, c] }\n  - { name: b, type: shape }\n  - { name: c, type: shape }\n  - type: discard\n",
            ),
        ),
        (
            "inputs_differ",
            &then(
                "  - { name: g, type: generate, with: { url: a, also: price } }\n  - { type: discard, from: [generate, g] }\n",
            ),
        ),
        (
            "missing_column",
            &then("  - { type: fetch, with: { column: ulr } }\n  - type: discard\n"),
        ),
        (
            "missing_column_index",
            &then(
                "  - { type: aggregate, with: { group_by: [city, categry] } }\n  - type: discard\n",
            ),
        ),
        (
            "missing_column_no_option",
            &then("  - { type: parse, with: { fields: {} } }\n  - type: discard\n"),
        ),
        (
            "hash_column",
            &then(
                "  - { type: fetch, run: { workers: 2 }, channel: { distribute: hash(citty) } }\n  - type: discard\n",
            ),
        ),
        (
            "single_with_workers",
            &then("  - { type: sort, run: { workers: 2 } }\n  - type: discard\n"),
        ),
        (
            "keyed_to_nothing_with_workers",
            &then("  - { type: aggregate, run: { workers: 2 } }\n  - type: discard\n"),
        ),
        (
            "keyed_but_shared",
            &then(
                "  - { type: aggregate, run: { workers: 2 }, channel: { distribute: shared }, with: { group_by: [city] } }\n  - type: discard\n",
            ),
        ),
        (
            "same_file",
            &then(
                "  - { name: a, type: write, with: { path: x } }\n  - { name: b, type: write, from: generate, with: { path: x } }\n",
            ),
        ),
        (
            "several_at_once",
            &then(
                "  - { type: fetch, with: { colum: a } }\n  - { type: parse, with: { fields: 5 } }\n  - { type: agregate }\n  - { type: discard, run: { workers: 0 } }\n",
            ),
        ),
    ]);
}

#[test]
fn files() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let read = |name: &str, bytes: &[u8]| {
        std::fs::write(path(name), bytes).unwrap();
        Source::read(&path(name))
            .map_err(|problems| problems.iter().next().unwrap().message().to_owned())
    };
    assert_eq!(read("bom", b"\xef\xbb\xbfname: a").unwrap().text(), "name: a");
    assert!(read("latin", b"a: 1\nb: \xe4\n").unwrap_err().contains("line 2"));
    assert!(read("utf16", b"\xff\xfea\0").unwrap_err().contains("UTF-16"));
    assert!(read("large", &vec![b' '; (16 << 20) + 1]).unwrap_err().contains("16 MiB"));
    assert!(read("full", &vec![b' '; 16 << 20]).is_ok());
    let missing = Source::read(&path("missing")).unwrap_err().render(false);
    assert!(missing.contains("there is no such file") && missing.contains("missing"), "{missing}");
    assert!(Source::read(&path("")).unwrap_err().render(false).contains("folder"));
}

#[test]
fn outputs() {
    let head = "stages:\n  - type: generate\n    with: { url: 'demo:/' }\n  - type: part\n";
    for (name, stages) in [
        ("output_unknown", "  - { type: discard, from: [part.good, part.bat] }"),
        ("output_unlike_any", "  - { type: discard, from: [part.good, part.third] }"),
        ("output_unnamed", "  - type: discard"),
        ("output_of_one", "  - { type: discard, from: [part.good, part.bad, generate.good] }"),
        ("output_unused", "  - { type: discard, from: part.good }"),
        ("output_twice", "  - { type: discard, from: [part.bad, part.good, part.bad] }"),
        ("output_of_no_stage", "  - { type: discard, from: [part.good, pard.bad] }"),
    ] {
        let rendered = kinds::load_parting(&format!("{head}{stages}\n")).expect_err(name);
        insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!(name, rendered.render(false));
        });
    }
}
