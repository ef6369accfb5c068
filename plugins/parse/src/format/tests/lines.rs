use proptest::prelude::*;
use serde_json::json;

use super::{gives, names, refuses, wrong};
use crate::testing::run_texts;

const LINE: &str =
    "203.0.113.9 - frank [10/Oct/2000:13:55:36 -0700] \"GET /a?b=c d HTTP/1.0\" 200 2326";

#[test]
fn access_logs_give_their_columns() {
    let combined = json!({"format": "combined"});
    let line = format!(
        "{LINE} \"http://x.example/\\\"q\\\"\" \"Mozilla/4.08 \\x22[en]\\x22 \\xc3\\xa9\"\n"
    );
    let micros = (971_211_336_i64 * 1_000_000).to_string();
    gives(
        &combined,
        &line,
        &[
            ("host", "203.0.113.9"),
            ("identity", "∅"),
            ("user", "frank"),
            ("time", &micros),
            ("method", "GET"),
            ("path", "/a?b=c d"),
            ("protocol", "HTTP/1.0"),
            ("status", "200"),
            ("bytes", "2326"),
            ("referer", "http://x.example/\"q\""),
            ("user_agent", "Mozilla/4.08 \"[en]\" é"),
        ],
    );
    let kept = run_texts(&json!({"format": "common"}), &[LINE]);
    assert_eq!(
        names(&kept),
        ["n", "host", "identity", "user", "time", "method", "path", "protocol", "status", "bytes"]
    );
    // A request that is none, a user with spaces, nothing sent, and what other servers add.
    let fields = json!({"format": "combined", "keep": [], "fields": {
        "who": "user", "request": {}, "method": {}, "bytes": {"type": "string"}, "rest": {},
        "status": {"type": "int64"}, "day": {"key": "time", "type": "date"},
        "at": {"key": "time", "type": "string"}}});
    let line = "::1 - John Q [10/Oct/2000:23:55:36 -0700] \"\\x16\\x03\" 400 - \"-\" \"-\" 0.003 x";
    gives(
        &fields,
        line,
        &[
            ("who", "John Q"),
            ("request", "\u{16}\u{3}"),
            ("method", "∅"),
            ("bytes", "∅"),
            ("rest", "0.003 x"),
            ("day", "2000-10-10"),
            ("at", "10/Oct/2000:23:55:36 -0700"),
        ],
    );
    let old = "::1 - - [10/Oct/2000:13:55:36 +0000] \"GET /\" 200 1";
    gives(&json!({"format": "common"}), old, &[("path", "/"), ("protocol", "∅")]);
}

#[test]
fn lines_that_are_no_access_logs_are_refused() {
    let combined = json!({"format": "combined"});
    refuses(
        &combined,
        &[
            ("", "its identity is not where"),
            ("a b", "its user is not where"),
            ("a b c", "its time is not where"),
            ("a b c [x", "its time is not where"),
            ("a b c [x] ", "its request is not where"),
            ("a b c [x] \"GET", "the request has no quote"),
            (LINE, "its referer is not where"),
            (&format!("{LINE} \"a\" \"b\" c"), "a field `rest` would take"),
            (&format!("{LINE} \"a\" \"b\\"), "the user agent has no quote"),
            (&format!("{LINE} \"a\" \"b\"").replace("Oct", "Okt"), "field `time`: \"10/Okt/2000"),
            (&format!("{LINE} \"a\" \"b\"").replace(" 200 ", " 2OO "), "field `status`: \"2OO\""),
        ],
    );
    refuses(&json!({"format": "common"}), &[(&format!("{LINE} \"a\""), "the number of bytes")]);
    wrong(&[
        (json!({"format": "common", "fields": {"a": "referer"}}), "fields.a"),
        (json!({"format": "common", "fields": {"a": {"key": "b"}}}), "fields.a.key"),
        (json!({"format": "common", "fields": {"user": {"all": true}}}), "fields.user.all"),
        (json!({"format": "common", "fields": {"user": {"css": "a"}}}), "fields.user.css"),
        (json!({"format": "common", "pattern": "a"}), "pattern"),
        (json!({"format": "common", "rows": "a"}), "rows"),
        (json!({"format": "common", "zone": "Mars"}), "zone"),
        (
            json!({"format": "common", "keep": "all", "column": "body", "fields": {"n": "user"}}),
            "fields.n",
        ),
    ]);
}

#[test]
fn syslog_is_told_apart() {
    let syslog = json!({"format": "syslog"});
    let line = "<165>1 2003-10-11T22:14:15.003Z mymachine.example evntslog - ID47 \
        [x@1 iut=\"3\" src=\"App \\\"l\\\"\"][y] \u{feff}An event\n";
    let micros = 1_065_910_455_003_000_i64.to_string();
    gives(
        &syslog,
        line,
        &[
            ("facility", "local4"),
            ("severity", "notice"),
            ("time", &micros),
            ("host", "mymachine.example"),
            ("app", "evntslog"),
            ("pid", "∅"),
            ("msgid", "ID47"),
            ("data", "{\"x@1\":{\"iut\":\"3\",\"src\":\"App \\\"l\\\"\"},\"y\":{}}"),
            ("message", "An event"),
        ],
    );
    gives(
        &syslog,
        "<0>1 - - - - - -",
        &[("time", "∅"), ("host", "∅"), ("data", "∅"), ("message", "∅")],
    );
    let more = json!({"format": "syslog", "fields": {"priority": {}, "version": {}, "time": {"type": "string"}}});
    gives(
        &more,
        "<34>1 2003-10-11T22:14:15.003Z h a p m - x",
        &[("priority", "34"), ("version", "1")],
    );
    gives(&more, "<34>Oct 11 22:14:15 h su: x", &[("time", "Oct 11 22:14:15"), ("version", "∅")]);
    for (line, app, pid, message) in [
        ("<34>Oct 11 22:14:15 web1 su: 'su root' failed", "su", "∅", "'su root' failed"),
        ("Oct  1 22:14:15 web1 sshd[42]: a: b", "sshd", "42", "a: b"),
        ("<13>Oct  1 22:14:15 web1 no tag here: x", "∅", "∅", "no tag here: x"),
        ("2026-01-02T03:04:05.6+01:00 web1 CRON[7] x", "CRON", "7", "x"),
        ("Oct  1 22:14:15 web1 : x", "∅", "∅", ": x"),
    ] {
        let expected = [("host", "web1"), ("app", app), ("pid", pid), ("message", message)];
        gives(&syslog, line, &expected);
    }
    refuses(
        &syslog,
        &[
            ("", "does not begin with a time"),
            ("hello world", "does not begin with a time"),
            ("<192>1 - - - - - -", "larger than 191"),
            ("<x>1 - - - - - -", "not followed by a priority"),
            ("<1", "not followed by a priority"),
            ("<1>1 - - -", "it ends before or with its app"),
            ("<1>1 - - - - - [a b=\"c\"", "not closed"),
            ("<1>1 - - - - - [a]x", "goes on after its end"),
            ("<1>1 yesterday - - - - -", "field `time`: \"yesterday\""),
            ("Feb 30 22:14:15 h a: b", "does not begin with a time"),
            ("Oct 11 22:14:15 h", "it ends with its host"),
        ],
    );
}

#[test]
fn patterns_cut_and_type() {
    let options = json!({"format": "pattern", "pattern":
        "{ip} - {} [{time:timestamp:%d/%b/%Y:%H:%M:%S %z}] \"{method} {path} {_}\" {{{ms:int64}}} x"});
    let kept =
        run_texts(&options, &["::1 - - [01/Jan/1970:01:00:00 +0100] \"GET /ü HTTP\" {7} x\n"]);
    assert_eq!(names(&kept), ["n", "ip", "time", "method", "path", "ms"]);
    for (name, value) in [("ip", "::1"), ("time", "0"), ("path", "/ü"), ("ms", "7")] {
        assert_eq!(kept.column(name), [value]);
    }
    let narrowed = json!({"format": "pattern", "pattern": "{a:int64},{b}", "nulls": ["?"],
        "fields": {"x": "a", "b": {"type": "float64"}}});
    gives(&narrowed, "1,2.5", &[("x", "1"), ("b", "2.5")]);
    gives(&narrowed, "?,?", &[("x", "∅"), ("b", "∅")]);
    // The text at the end is looked for at the end.
    gives(&json!({"format": "pattern", "pattern": "<{a}>"}), "<b>c>", &[("a", "b>c")]);
    refuses(&narrowed, &[("1", "no \",\" after `a`"), ("x,1", "\"x\" is not an int64")]);
    refuses(
        &json!({"format": "pattern", "pattern": "<{a}>"}),
        &[("a>", "does not begin with \"<\""), ("<a", "no \">\" after `a`")],
    );
    for pattern in ["", "a", "{a", "a}", "{a}{b}", "{a} {a}", "{a:int}", "{a:int64:%Y}", "{}"] {
        wrong(&[(json!({"format": "pattern", "pattern": pattern}), "pattern")]);
    }
    wrong(&[(json!({"format": "pattern"}), "")]);
}

#[test]
fn one_line_of_csv() {
    let options = json!({"format": "csv", "columns": ["id", "name", "price"]});
    gives(
        &options,
        "1,\"a \"\"b\"\", c\",\r\n",
        &[("id", "1"), ("name", "a \"b\", c"), ("price", "∅")],
    );
    let typed = json!({"format": "csv", "delimiter": ";", "quote": "'", "fields": {
        "id": {"type": "int64"}, "name": {"required": true}, "price": {"type": "float64"}}});
    let long = "x".repeat(5000);
    gives(&typed, &format!("1;'{long};';2.5"), &[("id", "1"), ("price", "2.5")]);
    refuses(
        &typed,
        &[
            ("1;;2", "field `name` is missing"),
            ("1;a", "2 values instead of 3"),
            ("1;a;2;3;4", "or more values instead of 3"),
            ("", "the text is empty"),
            ("1;a;2\n3;b;4", "more than one line"),
        ],
    );
    wrong(&[
        (json!({"format": "csv"}), ""),
        (json!({"format": "csv", "fields": {"a": "b"}}), "fields.a"),
        (json!({"format": "csv", "columns": ["a", "a"]}), "columns[1]"),
        (json!({"format": "csv", "columns": ["a"], "delimiter": "é"}), "delimiter"),
        (json!({"format": "csv", "columns": ["a"], "delimiter": "\""}), "quote"),
        (json!({"format": "csv", "columns": ["n"]}), "columns"),
    ]);
}

#[test]
fn urls_are_taken_apart() {
    let url = json!({"format": "url"});
    gives(
        &url,
        " HTTPS://u:p@Exämple.org/a%20b/../c?q=1&r#f",
        &[
            ("scheme", "https"),
            ("host", "xn--exmple-cua.org"),
            ("port", "443"),
            ("path", "/c"),
            ("query", "q=1&r"),
            ("fragment", "f"),
        ],
    );
    let secret = json!({"format": "url", "fields": {"user": {}, "password": {}}});
    gives(&secret, "http://u:p@h:81/", &[("user", "u"), ("password", "p")]);
    gives(&url, "mailto:a@b", &[("host", "∅"), ("port", "∅"), ("path", "a@b")]);
    refuses(&url, &[("/a", "not an absolute URL"), ("http://h:99999/", "invalid port")]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_line_is_parsed_or_rejected(lines in prop::collection::vec(soup(), 0..4)) {
        let texts: Vec<&str> = lines.iter().map(String::as_str).collect();
        for options in [
            json!({"format": "combined"}),
            json!({"format": "syslog", "zone": "America/New_York"}),
            json!({"format": "logfmt", "fields": {"a": {"all": true}, "x": {"key": "$", "type": "json"}}}),
            json!({"format": "keyvalue", "pair_separator": "; ", "key_separator": "[", "fields": {"a": {}}}),
            json!({"format": "query", "fields": {"a": {}}}),
            json!({"format": "csv", "columns": ["a", "b"]}),
            json!({"format": "url"}),
            json!({"format": "pattern", "pattern": "{a} \"{b}\""}),
            json!({"format": "xml", "fields": {"a": "a/b", "b": {"path": "a/@x", "all": true}}}),
            json!({"format": "xml", "rows": "a/*", "fields": {"a": ".", "b": "b/@x"}}),
        ] {
            run_texts(&options, &texts);
        }
    }
}

fn soup() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        " ",
        "\"",
        "\\",
        "\\x",
        "[",
        "]",
        "<",
        ">",
        "=",
        "a",
        "a=",
        "=\"",
        "é",
        "-",
        "<34>",
        "1 ",
        ",",
        "\n",
        "Oct 11 22:14:15 ",
        "2003-10-11T22:14:15Z ",
        "[10/Oct/2000:13:55:36 -0700]",
        "GET / HTTP/1.0",
        " 200 12",
        "; ",
        "&",
        "%ff",
        "?",
        "<a>",
        "</a>",
        "<b x='1'>",
        "</b>",
        "<b/>",
        "&amp;",
        "&x;",
        "<![CDATA[",
        "]]>",
        "<!--",
        "-->",
        "<?x?>",
        "http://",
        ":99",
        "\u{feff}",
        "x: ",
    ]);
    prop::collection::vec(
        prop_oneof![6 => piece.prop_map(str::to_owned), 1 => any::<String>()],
        0..16,
    )
    .prop_map(|pieces| pieces.concat())
}
