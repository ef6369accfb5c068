use std::sync::Arc;

use arrow_array::{BinaryArray, Int64Array};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::testing::{Kept, bodies, plan_error, run, run_texts, with_body};

fn html(fields: Value) -> Value {
    json!({"format": "html", "fields": fields})
}

fn one(fields: Value, page: &str) -> Kept {
    run_texts(&html(fields), &[page])
}

#[test]
fn a_shop_page_gives_typed_columns() {
    let page = "<!doctype html><title>T</title><body><h1> Blue\n  <b>mug</b>! </h1>\
        <p class='x price'>€ 1.234,50</p><div data-category=kitchen></div>\
        <a href=/a>1</a><a>2</a><a href=/b>3</a>";
    let kept = one(
        json!({
            "title": "h1",
            "price": {"css": ".price", "type": "float64", "pick": "[0-9.,]+",
                      "number": {"thousands": ".", "decimal": ","}},
            "category": {"css": "[data-category]", "attr": "data-category"},
            "links": {"css": "a", "attr": "href", "all": true},
            "numbers": {"css": "a", "type": "int64", "all": true},
            "inner": {"css": "h1", "html": "inner"},
            "outer": {"css": "a", "html": "outer"},
            "none": ".nowhere",
            "nothing": {"css": ".nowhere", "all": true},
            "other": {"css": ".nowhere", "type": "int64", "default": 7},
        }),
        page,
    );
    for (name, value) in [
        ("n", "0"),
        ("title", "Blue mug!"),
        ("price", "1234.5"),
        ("category", "kitchen"),
        ("links", "[/a|/b]"),
        ("numbers", "[1|2|3]"),
        ("inner", " Blue\n  <b>mug</b>! "),
        ("outer", "<a href=\"/a\">1</a>"),
        ("none", "∅"),
        ("nothing", "[]"),
        ("other", "7"),
    ] {
        assert_eq!(kept.column(name), [value], "{name}");
    }
    assert!(kept.batches[0].column_by_name("body").is_none());
}

#[test]
fn the_first_match_is_the_first_of_the_page() {
    // The table's stray paragraph is moved in front of it, though it was made later.
    let kept = one(json!({"first": "p"}), "<table><tr><td><p>in</p></td></tr><p>out</p></table>");
    assert_eq!(kept.column("first"), ["out"]);
}

#[test]
fn selectors_of_all_kinds_match() {
    let page =
        "<div id=Main class='a b'><p>1</p><p class=c lang=en-GB>2</p><ul><li>3<li>4</ul></div>";
    for (css, text) in [
        ("#Main > p", "1"),
        (".a.b p.c", "2"),
        ("p:nth-child(2)", "2"),
        ("li:last-child", "4"),
        ("p + p", "2"),
        ("[lang|=en]", "2"),
        ("[LANG]", "2"),
        ("P", "1"),
        ("h9, .c", "2"),
        ("div:has(li) p:not(.c)", "1"),
        ("*|li", "3"),
    ] {
        assert_eq!(one(json!({"x": css}), page).column("x"), [text], "{css}");
    }
    for css in [".A", "#main", "p.missing", "[lang=en]"] {
        assert_eq!(one(json!({"x": css}), page).column("x"), ["∅"], "{css}");
    }
}

#[test]
fn unicode_space_and_malformed_pages() {
    let kept = run_texts(
        &html(json!({"t": "h1"})),
        &[
            "<h1>\u{a0}größe \u{2003} 日本\u{200d}語 🎉</h1>",
            "<h1>a<p>b</h1>c",
            "<h1",
            "",
            "</p></h1>&#0;",
        ],
    );
    assert_eq!(kept.column("t"), ["größe 日本\u{200d}語 🎉", "ab", "∅", "∅", "∅"]);
    let raw = one(json!({"t": {"css": "h1", "trim": false}}), "<h1> a  b </h1>");
    assert_eq!(raw.column("t"), [" a  b "]);
}

#[test]
fn a_page_that_crosses_chunks_is_one_page() {
    let filler = "ö".repeat(5000);
    let page = format!("<h1>{filler}</h1><p title='{filler}'>&amp;{filler}&lt;</p>");
    let kept = one(json!({"h": "h1", "t": {"css": "p", "attr": "title"}, "p": "p"}), &page);
    assert_eq!(kept.column("h")[0], filler);
    assert_eq!(kept.column("t")[0], filler);
    assert_eq!(kept.column("p"), [format!("&{filler}<")]);
}

#[test]
fn misfits_are_rejected_with_field_value_and_reason() {
    let fields = json!({"title": {"css": "h1", "required": true},
                        "price": {"css": "b", "type": "float64"}});
    let long = format!("<h1>x</h1><b>{}</b>", "é".repeat(100));
    let input = bodies(&[
        Some("<h1>a</h1><b>1</b>"),
        Some("<b>1</b>"),
        None,
        None,
        Some("<h1>a</h1><b>cheap</b>"),
        Some(&long),
        Some("<h1>b</h1><b>2</b>"),
    ]);
    let kept = run(&html(fields.clone()), input.clone());
    assert_eq!(kept.column("title"), ["a", "b"]);
    assert_eq!(kept.column("n"), ["0", "6"]);
    let shortened = format!("field `price`: \"{}…\" is not a float64", "é".repeat(60));
    assert_eq!(
        kept.reasons(),
        [
            "field `title` is missing",
            "column `body` is null",
            "field `price`: \"cheap\" is not a float64",
            &shortened,
        ]
    );
    assert_eq!(kept.rejects[1].0, input.slice(2, 2), "whole rows, neighbours together");

    let lenient = json!({"format": "html", "fields": fields, "on_error": "null"});
    let kept = run(&lenient, input);
    assert_eq!(kept.column("title"), ["a", "∅", "∅", "∅", "a", "x", "b"]);
    assert_eq!(kept.column("price"), ["1.0", "1.0", "∅", "∅", "∅", "∅", "2.0"]);
}

#[test]
fn charsets_are_found_and_wrong_ones_survive() {
    let pages: Vec<&[u8]> = vec![
        b"<meta charset=windows-1252><h1>caf\xe9</h1>",
        b"<h1>caf\xe9</h1>",
        b"\xef\xbb\xbf<meta charset=windows-1252><h1>caf\xc3\xa9</h1>",
        b"<meta charset=shift_jis><h1>\xff\xfe\x80</h1>",
        b"\xff\xfe<\0h\x001\0>\0a\0",
    ];
    let body = BinaryArray::from(pages);
    let input = with_body(Arc::new(Int64Array::from(vec![0, 1, 2, 3, 4])), Arc::new(body));
    let kept = run(&html(json!({"t": "h1"})), input.clone());
    let titles = kept.column("t");
    assert_eq!(titles[..3], ["café", "caf\u{fffd}", "café"]);
    assert_eq!(titles[4], "a");
    let forced = json!({"format": "html", "fields": {"t": "h1"}, "charset": "windows-1252"});
    assert_eq!(run(&forced, input).column("t")[1], "café");
}

#[test]
fn hostile_pages_end_soon() {
    let options = html(json!({"t": "h1", "all": {"css": "div", "html": "outer", "all": true}}));
    let deep = "<div>".repeat(100_000);
    let kept = run_texts(&options, &[&deep]);
    assert_eq!(kept.reasons(), ["the page nests elements deeper than 512"]);

    // Each paragraph opens all of the formatting elements anew.
    let bold: String = (0..400).map(|n| format!("<b id=x{n}>")).collect();
    let multiplying = format!("<p>{bold}{}", "</p><p>x".repeat(200_000));
    let kept = run_texts(&html(json!({"t": "h1"})), &[&multiplying]);
    assert_eq!(kept.reasons(), ["the page takes too long to parse: its open elements multiply"]);

    // 500 elements that all hold the same large text.
    let nested = format!("{}{}", "<div>".repeat(500), "x".repeat(1 << 20));
    let kept = run_texts(&options, &[&nested]);
    assert_eq!(kept.rejected(), 1);
    assert!(kept.reasons()[0].ends_with("makes the row too large"), "{:?}", kept.reasons());

    let attribute = format!("<h1 title='{}'>a</h1>", "y".repeat(3 << 20));
    let title = json!({"t": {"css": "h1", "attr": "title"}});
    assert_eq!(run_texts(&html(title), &[&attribute]).column("t")[0].len(), 3 << 20);

    let small = json!({"format": "html", "fields": {"t": "h1"}, "max_bytes": "10B"});
    let kept = run_texts(&small, &["<h1>a</h1>", "<h1>ab</h1>"]);
    assert_eq!(kept.reasons(), ["the text has 11 bytes, more than `max_bytes` (10)"]);
}

#[test]
fn real_nesting_is_no_offence() {
    let page = format!("{}<h1>deep</h1>", "<div>".repeat(500));
    assert_eq!(one(json!({"t": "h1"}), &page).column("t"), ["deep"]);
    // Unclosed tags of every kind in one long flat page.
    let page = format!("{}<h1>end</h1>", "<p class=a>x <a href=/y>z</a><br><li>w".repeat(20_000));
    assert_eq!(one(json!({"t": "h1"}), &page).column("t"), ["end"]);
}

#[test]
fn wrong_options_name_their_place() {
    let input = bodies(&[]).schema();
    for (fields, place, message) in [
        (json!({}), "fields", "no fields"),
        (json!({"x": {"css": "h1..a"}}), "fields.x.css", "a class needs a name"),
        (json!({"x": "h1 >"}), "fields.x", "nothing follows the combinator"),
        (json!({"x": {"css": "a[href=]"}}), "fields.x.css", "is not a CSS selector"),
        (json!({"x": {"css": "a:hover"}}), "fields.x.css", "not supported"),
        (json!({"x": {"css": ""}}), "fields.x.css", "is not a CSS selector"),
        (json!({"x": {"path": "a"}}), "fields.x.path", "`path` is for `format: json`"),
        (json!({"x": {"type": "int64"}}), "fields.x", "where it is found"),
        (json!({"x": {"css": "a", "type": "int"}}), "fields.x.type", "unknown variant"),
        (json!({"x": {"css": "a", "attr": "b", "html": "inner"}}), "fields.x.html", "exclude"),
        (json!({"x": {"css": "a", "default": "y", "type": "int64"}}), "fields.x.default", "`y`"),
        (json!({"x": {"css": "a", "default": "y", "all": true}}), "fields.x.default", "`all`"),
        (json!({"x": {"css": "a", "sort": 1}}), "fields.x.sort", "unknown field"),
        (json!({"n": "h1"}), "fields.n", "kept already"),
    ] {
        let error = plan_error(&html(fields.clone()), &input);
        assert_eq!(error.option_path(), Some(place), "{fields}: {error}");
        assert!(error.to_string().contains(message), "{fields}: {error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_text_is_a_page(pages in prop::collection::vec(soup(), 0..5)) {
        let options = html(json!({
            "a": {"css": "b, p > i", "all": true},
            "b": {"css": "td", "html": "outer"},
            "c": {"css": ":nth-child(2)", "type": "int64"},
        }));
        let texts: Vec<&str> = pages.iter().map(String::as_str).collect();
        run_texts(&options, &texts);
    }
}

/// Tags, in an order that no page has, and any text.
fn soup() -> impl Strategy<Value = String> {
    let tag = prop::sample::select(vec![
        "<b>",
        "</b>",
        "<p>",
        "</p>",
        "<i x=1>",
        "</i>",
        "<table>",
        "</table>",
        "<td>",
        "<tr>",
        "<template>",
        "</template>",
        "<svg>",
        "<math>",
        "<select>",
        "<option>",
        "</select>",
        "<script>",
        "</script>",
        "<!--",
        "-->",
        "<a>",
        "</a>",
        "<form>",
        "</form>",
        "<frameset>",
        "<html y>",
        "<body z>",
        "<!doctype x>",
        "<title>",
        "</title>",
        "<caption>",
        "&amp",
        "<foreignObject>",
        "<annotation-xml encoding=text/html>",
        "<button>",
        "</body>",
        "</br>",
    ]);
    let piece = prop_oneof![4 => tag.prop_map(str::to_owned), 1 => any::<String>()];
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}
