use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::field::Field;
use crate::options::FieldMap;
use crate::testing::run_texts;

const SELECTORS: [&str; 14] = [
    "h1",
    "p",
    "li",
    ".a",
    "#x",
    "div > p",
    ".a .b",
    "table tr td",
    "ul.a > li, h1",
    "[data-x]",
    "a[href^=\"/i\"]",
    "td.b",
    "title",
    "span",
];

fn fields(tree: bool) -> Value {
    let mut fields = serde_json::Map::new();
    for (n, css) in SELECTORS.iter().enumerate() {
        // The same, but not simple enough to do without a tree.
        let css = match tree {
            true => format!("{}:not(#never)", css.replace(',', ":not(#never),")),
            false => (*css).to_owned(),
        };
        fields.insert(format!("first{n}"), json!({"css": css}));
        fields.insert(format!("all{n}"), json!({"css": css, "all": true, "trim": n % 2 == 0}));
        fields.insert(format!("attr{n}"), json!({"css": css, "all": true, "attr": "data-x"}));
    }
    json!({"format": "html", "keep": [], "fields": fields, "max_depth": 12})
}

/// Whether the page needs no tree.
fn plain(page: &str) -> bool {
    let part = Part::Text { collapse: true };
    let wanted: Vec<_> = SELECTORS.iter().map(|css| (*css, &part, false)).collect();
    let mut stream = Stream::new(&wanted, 12).expect("simple selectors");
    let field = Field::new("x", &FieldMap::default(), true).expect("a field");
    let fields: Arc<[Field]> = vec![field; SELECTORS.len()].into();
    stream.find(page, &mut Cells::new(fields, 1 << 20, true)).is_ok()
}

/// Checks that both ways give the same.
fn same(pages: &[&str]) -> Result<(), TestCaseError> {
    for page in pages {
        let (stream, tree) =
            (run_texts(&fields(false), &[page]), run_texts(&fields(true), &[page]));
        prop_assert_eq!(&stream.batches, &tree.batches, "{}", page);
        prop_assert_eq!(stream.reasons(), tree.reasons(), "{}", page);
    }
    Ok(())
}

#[test]
fn pages_as_people_write_them_need_no_tree() {
    let pages = [
        "<!doctype html>\r\n<html lang=en>\r\n<head><meta charset=utf-8><title>A &amp; B</title>\
         <script>if (a < b) { x = '</p>' }</script><style>p > a {}</style></head>\r\n<body class='page'>\
         <!-- c --><h1 id=x>Hi <b>you</b>\r\n&#233;</h1><p>one<p class=b>two<ul class=a><li>1<li data-x='&quot;'>2</ul>\
         <table><tr><td class=b>x<td>y<tr><th>z</table><div><p>in div<br>x</div><hr>\
         <form><input name=q><button>Go</button></form><a href=/i?a=1&b=2>l</a><img src=a data-x=y></body></html>\n",
        "<title>x</title><h1>a<p>b</h1><dl><dt>a<dd>b<dt>c</dl>",
        "plain text <span data-x>x</span>",
        "<head></head><body><pre>\n\n x</pre><textarea>a</textarea>",
        "<table><thead><tr><th>a</th></tr></thead><tbody><tr><td><p>x</td></tr></tbody></table>",
        "",
    ];
    for page in pages {
        assert!(plain(page), "{page}");
    }
    same(&pages).expect("the same");
}

#[test]
fn pages_that_browsers_repair_go_to_the_tree() {
    let pages = [
        "<b><p>x</b>y</p>",
        "<table><p>out</p><tr><td>in</table>",
        "<a>x<a>y",
        "<p><b>x<div>y</div>",
        "</p><h1>x</h1>",
        "<svg><title>x</title></svg>",
        "<select><option>a<option>b</select>",
        "<div><span></div></span>",
        "<h1>a</h1><body class=a><p>x",
        "<h1>&copy x</h1>",
        "<h1>a\0b</h1>",
        "<body class=a><h1></body><p>x",
        "<p a=1 a=2 'x'>y",
        "<h1>a < b</h1>",
        "<!-- a -- b --!> c --><h1>x",
        "<script><!--<script></script>--></script>",
        "<div>".repeat(14).leak(),
        "<form><form><p>x</form>",
        "<ul><li><p><span><li>x",
        "<span data-x=q><dd><br></span>text",
    ];
    for page in pages {
        assert!(!plain(page), "{page}");
    }
    same(&pages).expect("the same");
}

#[test]
fn selectors_are_simple_or_need_the_tree() {
    let part = Part::Text { collapse: true };
    let simple = |css: &str| Stream::new(&[(css, &part, false)], 9).is_some();
    for css in SELECTORS {
        assert!(simple(css), "{css}");
    }
    for css in [
        "*",
        "a:hover",
        "p + p",
        "p ~ p",
        "body p",
        "html",
        "[TYPE]",
        "[type=a]",
        "a|b",
        "a[b=c i]",
        "p:nth-child(2)",
        "#a\\:b",
        "[data-x=\"a]b\"]",
        "tbody tr",
        "[class=\"\"]",
        "é",
        "a,,b",
    ] {
        assert!(!simple(css), "{css}");
    }
    let many = vec!["a b"; 40].join(",");
    assert!(!simple(&many));
    assert!(Stream::new(&[("a", &Part::Inner, false)], 9).is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_page_gives_the_same_both_ways(page in soup()) {
        same(&[&page])?;
    }

    #[test]
    fn pages_with_few_mistakes_give_the_same_both_ways(page in tidy(), at in any::<prop::sample::Index>(), how in 0..4) {
        let mut page = page;
        // One tag left out, or some other mistake.
        let cuts: Vec<usize> = page.match_indices('<').map(|(at, _)| at).collect();
        if how > 0 && !cuts.is_empty() {
            let start = cuts[at.index(cuts.len())];
            let end = page[start..].find('>').map_or(page.len(), |end| start + end + 1);
            match how {
                1 => page.replace_range(start..end, ""),
                2 => {
                    let tag = page[start..end].to_owned();
                    page.insert_str(start, &tag);
                }
                _ => page.insert_str(end, "</p>"),
            }
        }
        same(&[&page])?;
    }
}

/// Tags in any order.
fn soup() -> impl Strategy<Value = String> {
    const PIECES: &str = "<p>~</p>~<div class=a>~</div>~<b>~</b>~<a href=/i>~</a>~<ul class=a>~</ul>~<li>~</li>~\
        <li class=\"b a\">~<table>~</table>~<tr>~</tr>~<td class=b>~</td>~<tbody>~</tbody>~<h1>~</h1>~\
        <span id=x data-x='1'>~</span>~text~ ~\r\n~&amp;~&nbsp;~&copy;~<br>~<br/>~<img data-x=2>~<hr>~<title>~\
        </title>~<script>x</script>~<html>~<head>~</head>~<body class=a>~</body>~</html>~<!doctype html>~\
        <!-- c -->~<form>~</form>~<button>~</button>~<pre>\n~</pre>~<dl><dt>~<dd>~</dl>~<textarea>~</textarea>~\
        <style>~</style>~<h2>~</h2>~<svg>~<select>~<x-y>~</x-y>~<P CLASS='A a'>~<meta>~<input>~&~<section>~\
        </section>~<em>~</em>~<td>~<th>~<!--~-->~<a~ x=~'~\"~/>~</span x>~<p/>~<option>~<iframe>~</iframe>~</br>";
    let piece = prop::sample::select(PIECES.split('~').collect::<Vec<_>>());
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

/// A page whose tags are where they should be.
fn tidy() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "text",
        " a b ",
        "<br>",
        "<img data-x=1>",
        "&lt;",
        "<!-- c -->",
        "<input>",
        "é",
        "\n",
    ])
    .prop_map(str::to_owned);
    let name = prop::sample::select(vec![
        ("div class=a", "</div>"),
        ("p", "</p>"),
        ("p", ""),
        ("ul class=a", "</ul>"),
        ("li class=b", "</li>"),
        ("li", ""),
        ("b", "</b>"),
        ("a href=/i/1", "</a>"),
        ("h1", "</h1>"),
        ("span data-x='q'", "</span>"),
        ("table", "</table>"),
        ("tr", "</tr>"),
        ("td class='b'", "</td>"),
        ("tbody", "</tbody>"),
        ("tr", ""),
        ("td", ""),
        ("section id=x", "</section>"),
        ("dl", "</dl>"),
        ("dt", "</dt>"),
        ("dd", ""),
        ("form", "</form>"),
        ("button", "</button>"),
        ("pre", "</pre>"),
        ("title", "</title>"),
        ("em", "</em>"),
    ]);
    let node = leaf.prop_recursive(5, 40, 4, move |inner| {
        (name.clone(), prop::collection::vec(inner, 0..4))
            .prop_map(|((start, end), inside)| format!("<{start}>{}{end}", inside.concat()))
    });
    let head = prop::sample::select(vec![
        "",
        "<!doctype html>",
        "<html><head><title>t</title></head><body>",
        "<!doctype html><meta><body class=a>",
    ]);
    (head, prop::collection::vec(node, 0..4))
        .prop_map(|(head, nodes)| format!("{head}{}", nodes.concat()))
}
