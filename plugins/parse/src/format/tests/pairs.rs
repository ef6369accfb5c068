use serde_json::json;

use super::{gives, refuses, wrong};

#[test]
fn logfmt_is_read() {
    let options = json!({"format": "logfmt", "fields": {
        "level": "level",
        "message": {"key": "msg", "required": true},
        "took": {"type": "float64"},
        "retry": {"type": "boolean"},
        "tags": {"key": "tag", "all": true},
        "again": "level",
        "all": {"key": "$", "type": "json"},
    }});
    gives(
        &options,
        "retry level=info  msg=\"it \\\"works\\\"\\n\" tag=a took=1.5 level=x tag= tag=\"\"\n",
        &[
            ("level", "info"),
            ("message", "it \"works\"\n"),
            ("took", "1.5"),
            ("retry", "true"),
            ("tags", "[a||]"),
            ("again", "info"),
            (
                "all",
                "{\"retry\":\"true\",\"level\":\"info\",\"msg\":\"it \\\"works\\\"\\n\",\"tag\":\"a\",\
            \"took\":\"1.5\",\"level\":\"x\",\"tag\":\"\",\"tag\":\"\"}",
            ),
        ],
    );
    refuses(
        &options,
        &[
            ("", "no pair of the form `key=value`"),
            ("hello world", "no pair of the form"),
            ("msg=\"a", "the value of `msg` has no quote at its end"),
            ("msg=\"a\"b", "the value of `msg` goes on after its quote"),
            ("level=a", "field `message` is missing"),
            ("msg=a took=long", "field `took`: \"long\""),
        ],
    );
    wrong(&[
        (json!({"format": "logfmt"}), "fields"),
        (json!({"format": "logfmt", "fields": {"a": "$"}}), "fields.a"),
        (json!({"format": "logfmt", "key_separator": ":", "fields": {"a": "a"}}), "key_separator"),
    ]);
}

#[test]
fn separators_are_as_chosen() {
    let options = json!({"format": "keyvalue", "pair_separator": ", ", "key_separator": ": ",
        "nulls": ["n/a"], "fields": {"user": {}, "age": {"type": "int64"}, "note": {}}});
    gives(
        &options,
        "user: Zoë X, age: 7, note:  \"a, b: c\" ",
        &[("user", "Zoë X"), ("age", "7"), ("note", "a, b: c")],
    );
    gives(&options, "age: n/a, , user: x", &[("age", "∅"), ("user", "x"), ("note", "∅")]);
    let spaces = json!({"format": "keyvalue", "key_separator": ":", "fields": {"a": {}, "b": {}}});
    gives(&spaces, "a:1\tb:2=3", &[("a", "1"), ("b", "2=3")]);
    wrong(&[(
        json!({"format": "keyvalue", "pair_separator": "", "fields": {"a": {}}}),
        "pair_separator",
    )]);
}

#[test]
fn query_strings_are_decoded() {
    let options = json!({"format": "query", "fields": {
        "q": {}, "page": {"type": "int64"}, "tag": {"all": true}, "none": {}}});
    gives(
        &options,
        "?q=a+b%20%C3%A9&page=2&tag=x&tag=&page=x",
        &[("q", "a b é"), ("page", "2"), ("tag", "[x|]"), ("none", "∅")],
    );
    gives(&options, "", &[("q", "∅"), ("tag", "∅")]);
}
