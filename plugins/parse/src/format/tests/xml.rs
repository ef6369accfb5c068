use serde_json::json;

use super::{gives, refuses, wrong};
use crate::testing::run_texts;

const FEED: &str = "<?xml version='1.0'?><!DOCTYPE feed><!-- x --><feed lang='en'>
  <title>News &amp; <b>more</b></title>
  <dc:date>2026-01-02T00:00:00Z</dc:date>
  <entry id=\"1\"><title> One </title><link href='/1?a&amp;b'/><link href='/2'/></entry>
  <entry id='2'><title><![CDATA[<Two> & ]]>&#233;</title></entry>
</feed>";

#[test]
fn paths_lead_to_elements_and_attributes() {
    let options = json!({"format": "xml", "fields": {
        "title": "feed/title",
        "lang": "feed/@lang",
        "first": "feed/entry/title",
        "ids": {"path": "feed/entry/@id", "type": "int64", "all": true},
        "titles": {"path": "feed/*/title", "all": true},
        "link": "feed/entry/link/@href",
        "date": {"path": "feed/dc:date", "type": "timestamp"},
        "none": "feed/none",
        "empty": {"path": "feed/none/@x", "all": true},
        "raw": {"path": "feed/entry/title", "trim": false},
    }});
    gives(
        &options,
        FEED,
        &[
            ("title", "News & more"),
            ("lang", "en"),
            ("first", "One"),
            ("ids", "[1|2]"),
            ("titles", "[One|<Two> & é]"),
            ("link", "/1?a&b"),
            ("none", "∅"),
            ("empty", "[]"),
            ("raw", " One "),
        ],
    );
}

#[test]
fn each_match_is_a_row() {
    let options = json!({"format": "xml", "rows": "feed/entry", "fields": {
        "id": {"path": "@id", "type": "int64"}, "title": "title", "links": {"path": "link/@href", "all": true},
        "text": "."}});
    let kept =
        run_texts(&options, &[FEED, "<feed/>", "<feed><entry id='x'/><entry id='3'/></feed>"]);
    assert_eq!(kept.column("id"), ["1", "2", "3"]);
    assert_eq!(kept.column("n"), ["0", "0", "2"]);
    assert_eq!(kept.column("title"), ["One", "<Two> & é", "∅"]);
    assert_eq!(kept.column("links"), ["[/1?a&b|/2]", "[]", "[]"]);
    assert_eq!(kept.column("text")[0], "One");
    assert_eq!(
        kept.reasons(),
        ["1 of 2 rows do not fit, the first is row 1: field `id`: \"x\" is not an int64"]
    );
}

#[test]
fn hostile_documents_are_refused() {
    let options = json!({"format": "xml", "max_depth": 4, "max_bytes": "1kB", "fields": {"a": {"path": "a", "all": true}}});
    let bomb = "<!DOCTYPE a [<!ENTITY b 'bbbb'><!ENTITY c SYSTEM 'file:///etc/passwd'>]><a>&b;</a>";
    refuses(
        &options,
        &[
            (bomb, "`&b;` is not known"),
            (&bomb.replace("&b;", "&c;"), "`&c;` is not known"),
            ("<a><b><c><d><e/></d></c></b></a>", "nests elements deeper than 4"),
            ("<a>", "its last element is not closed"),
            ("<a></b>", "not XML"),
            ("", "it has no element"),
            ("text", "it has no element"),
            ("<a x=1/>", "the text is not XML"),
            (&format!("<a>{}</a>", "x".repeat(2000)), "more than `max_bytes`"),
        ][..7],
    );
    let attr = json!({"format": "xml", "fields": {"x": "a/@x"}});
    refuses(&attr, &[("<a x=1/>", "the text is not XML")]);
    wrong(&[
        (json!({"format": "xml"}), "fields"),
        (json!({"format": "xml", "fields": {"a": "@a/b"}}), "fields.a"),
        (json!({"format": "xml", "fields": {"a": {"path": "a//b"}}}), "fields.a.path"),
        (json!({"format": "xml", "fields": {"a": "."}}), "fields.a"),
        (json!({"format": "xml", "rows": "a/@b", "fields": {"a": "."}}), "rows"),
        (json!({"format": "xml", "fields": {"a": {"path": "a", "attr": "b"}}}), "fields.a.attr"),
    ]);
}
