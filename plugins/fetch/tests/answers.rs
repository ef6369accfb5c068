//! Requests that are answered, and what the columns say of them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod common;

use std::io::Write;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BinaryArray, Int64Array, RecordBatch, StringArray};
use common::{
    After, Bench, Server, Way, answer, fetch, header_column, ok, raw, strings, urls_batch,
};
use serde_json::json;

common::in_every_way! {
    pages_come_as_rows,
    redirects_are_followed_up_to_a_number,
    redirects_that_lead_nowhere_fail,
    compressed_bodies_are_unpacked,
    text_is_decoded,
    requests_are_made_of_their_columns,
    headers_are_sent_in_one_order,
    a_head_request_has_no_body,
    a_password_goes_into_a_header_and_nowhere_else,
    addresses_of_the_run_are_shown_as_written,
    many_pages_keep_their_order,
}

fn pages_come_as_rows(way: Way) {
    let server = Server::start(way, |asked| match asked.path.as_str() {
        "/a" => answer(200, &[("X-A", "1"), ("Set-Cookie", "b=1"), ("Set-Cookie", "c=2")], "hello"),
        _ => answer(404, &[], "not here"),
    });
    let out = server.fetch(json!({}), [server.url("/a"), server.url("/b")]);
    assert_eq!(out.texts("url"), [server.url("/a"), server.url("/b")]);
    assert_eq!(out.texts("final_url"), out.texts("url"));
    assert_eq!(out.int("status"), [Some(200), Some(404)]);
    assert_eq!(out.texts("body"), ["hello", "not here"]);
    assert_eq!(out.text("error"), [None, None]);
    assert_eq!(out.int("attempts"), [Some(1), Some(1)]);
    assert_eq!(out.long("bytes"), [Some(5), Some(8)]);
    assert_eq!(out.header(0, "x-a"), ["1"]);
    assert_eq!(out.header(0, "set-cookie"), ["b=1", "c=2"]);
    let timings = out.batches[0].column_by_name("timings").unwrap().as_struct();
    assert_eq!((timings.column(0).null_count(), timings.column(1).null_count()), (0, 0));
    let agent = server.asked()[0].headers["user-agent"].clone();
    assert!(agent.starts_with("gristmill/"), "{agent}");
}

#[test]
fn no_input_is_no_output() {
    let out = fetch(json!({}), Vec::<String>::new());
    assert!(out.batches.is_empty() && out.rejected.is_empty());
}

fn redirects_are_followed_up_to_a_number(way: Way) {
    let server = Server::start(way, |asked| {
        let steps: usize = asked.path[1..].parse().unwrap();
        match steps {
            0 => ok("there"),
            n => answer(302, &[("location", &format!("/{}", n - 1))], ""),
        }
    });
    let out = server.fetch(json!({ "redirects": 3 }), [server.url("/3"), server.url("/4")]);
    assert_eq!(out.texts("final_url"), [server.url("/0")]);
    assert_eq!(out.texts("url"), [server.url("/3")]);
    assert_eq!(out.reasons(), ["more than 3 redirects"]);
    let out = server.fetch(json!({ "redirects": 0 }), [server.url("/3")]);
    assert_eq!(out.int("status"), [Some(302)]);
    assert_eq!(out.header(0, "location"), ["/2"]);
}

fn redirects_that_lead_nowhere_fail(way: Way) {
    let server = Server::start(way, |asked| match asked.path.as_str() {
        "/ftp" => answer(302, &[("location", "ftp://127.0.0.1/x")], ""),
        _ => answer(302, &[("location", "/round")], ""),
    });
    let out = server.fetch(json!({}), [server.url("/round"), server.url("/ftp")]);
    let reasons = out.reasons();
    assert_eq!(reasons[0], "more than 10 redirects");
    assert!(reasons[1].contains("redirect to a `ftp:` address"), "{reasons:?}");
    assert_eq!(server.asked().len(), 12, "neither is tried again");
}

fn compressed_bodies_are_unpacked(way: Way) {
    let server = Server::start(way, |asked| {
        let body = match asked.path.as_str() {
            "/gzip" => {
                let mut gzip = flate2::write::GzEncoder::new(Vec::new(), Default::default());
                gzip.write_all(b"hello").unwrap();
                gzip.finish().unwrap()
            }
            "/deflate" => {
                let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), Default::default());
                zlib.write_all(b"hello").unwrap();
                zlib.finish().unwrap()
            }
            // Neither is compressed, only wrapped: five bytes as they are.
            "/br" => b"\x0b\x02\x80hello\x03".to_vec(),
            _ => b"\x28\xb5\x2f\xfd\x20\x05\x29\x00\x00hello".to_vec(),
        };
        answer(200, &[("content-encoding", &asked.path[1..])], body)
    });
    let urls = ["/gzip", "/deflate", "/br", "/zstd"].map(|path| server.url(path));
    let out = server.fetch(json!({}), urls);
    assert_eq!(out.reasons(), [""; 0]);
    assert_eq!(out.texts("body"), ["hello"; 4]);
    assert_eq!(out.long("bytes"), [Some(5); 4]);
    let accepted = &server.asked()[0].headers["accept-encoding"];
    assert!(["gzip", "deflate", "br", "zstd"].iter().all(|name| accepted.contains(name)));
}

fn text_is_decoded(way: Way) {
    let server = Server::start(way, |asked| match asked.path.as_str() {
        "/header" => answer(200, &[("content-type", "text/html; charset=latin1")], b"caf\xe9"),
        "/meta" => answer(200, &[("content-type", "text/html")], b"<meta charset=latin1>caf\xe9"),
        "/mark" => answer(200, &[], b"\xff\xfec\0a\0f\0\xe9\0"),
        _ => answer(200, &[("content-type", "text/html; charset=utf-8")], b"caf\xe9"),
    });
    let urls = ["/header", "/meta", "/mark", "/wrong"].map(|path| server.url(path));
    let out = server.fetch(json!({}), urls.clone());
    assert_eq!(out.texts("body"), ["café", "<meta charset=latin1>café", "café", "caf\u{fffd}"]);
    assert_eq!(out.long("bytes"), [Some(4), Some(25), Some(10), Some(4)]);

    let out = server.fetch(json!({ "body": "bytes" }), urls);
    let columns = out.batches.iter().map(|batch| batch.column_by_name("body").unwrap());
    let bodies: Vec<&[u8]> =
        columns.flat_map(|column| column.as_binary::<i32>().iter().flatten()).collect();
    assert_eq!(bodies[3], b"caf\xe9");
    assert_eq!(bodies[2], b"\xff\xfec\0a\0f\0\xe9\0");
}

fn requests_are_made_of_their_columns(way: Way) {
    let server = Server::start(way, |asked| ok([&asked.body[..], b"!"].concat()));
    let body: ArrayRef = Arc::new(BinaryArray::from_opt_vec(vec![Some(&b"\x00\x01"[..]), None]));
    let input = RecordBatch::try_from_iter([
        ("id", Arc::new(Int64Array::from(vec![7, 8])) as ArrayRef),
        ("url", strings([server.url("/1"), server.url("/2")])),
        ("method", Arc::new(StringArray::from(vec![Some("post"), None])) as ArrayRef),
        ("headers", header_column(&[&[("X-One", "1"), ("Accept", "b")], &[]])),
        ("body", body),
        ("tag", strings(["x", "y"])),
    ])
    .unwrap();
    let out = server.run(json!({ "headers": { "accept": "a" } }), input);
    assert_eq!(out.long("id"), [Some(7), Some(8)]);
    assert_eq!(out.texts("tag"), ["x", "y"]);
    assert_eq!(out.texts("body"), ["\0\u{1}!", "!"]);
    let schema = out.batches[0].schema();
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let expected = "id method tag url final_url status headers body error attempts timings bytes";
    assert_eq!(names.join(" "), expected);
    let mut asked = server.asked();
    asked.sort_by(|a, b| a.path.cmp(&b.path));
    let of = |n: usize, name: &str| asked[n].headers.get(name).cloned().unwrap_or_default();
    assert_eq!((asked[0].method.as_str(), asked[1].method.as_str()), ("POST", "GET"));
    assert_eq!((of(0, "x-one"), of(0, "accept")), ("1".to_owned(), "b".to_owned()));
    assert_eq!((of(1, "x-one"), of(1, "accept")), (String::new(), "a".to_owned()));
    assert_eq!(asked[0].body, [0, 1]);
}

fn headers_are_sent_in_one_order(way: Way) {
    let server = Server::start(way, |_| ok(""));
    let input = RecordBatch::try_from_iter([
        ("url", strings([server.url("/"), server.url("/").replace("://", "://me:secret@")])),
        ("method", strings(["GET", "POST"])),
        ("headers", header_column(&[&[], &[("x-b", "1"), ("x-a", "2"), ("accept", "text/html")]])),
        ("body", Arc::new(StringArray::from(vec![None, Some("hello")]))),
    ]);
    let options = json!({ "concurrency": 1, "headers": { "x-d": "1", "x-c": "2" } });
    server.run(options, input.unwrap());
    let asked = server.asked();
    assert_eq!(asked[0].names.join(" "), "accept user-agent x-c x-d accept-encoding host");
    assert_eq!(
        asked[1].names.join(" "),
        "authorization x-b x-a accept user-agent x-c x-d accept-encoding host content-length"
    );
    assert_eq!(asked[1].headers["accept"], "text/html");
}

fn a_head_request_has_no_body(way: Way) {
    let server = Server::start(way, |_| {
        raw("HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n", After::Keep)
    });
    let input = RecordBatch::try_from_iter([
        ("url", strings([server.url("/")])),
        ("method", strings(["HEAD"])),
    ]);
    let out = server.run(json!({}), input.unwrap());
    assert_eq!((out.int("status"), out.texts("body")), (vec![Some(200)], vec![String::new()]));
}

fn a_password_goes_into_a_header_and_nowhere_else(way: Way) {
    let server = Server::start(way, |asked| match asked.path.as_str() {
        "/to" => {
            let to = format!("//other:secret@{}/there", asked.headers["host"]);
            answer(302, &[("location", &to)], "")
        }
        _ => ok(""),
    });
    let with_user = |user: &str, path| server.url(path).replace("://", &format!("://{user}@"));
    // What is no text cannot be sent.
    let urls = [with_user("me:secret", "/"), with_user("%ff:secret", "/"), server.url("/to")];
    let out = server.fetch(json!({ "concurrency": 1 }), urls.clone());
    assert_eq!(out.texts("url"), urls);
    assert_eq!(out.texts("final_url"), ["/", "/", "/there"].map(|path| server.url(path)));
    let asked = server.asked();
    let sent: Vec<_> = asked.iter().map(|asked| asked.headers.get("authorization")).collect();
    assert_eq!(sent, [Some(&"Basic bWU6c2VjcmV0".to_owned()), None, None, None]);
    assert!(asked.iter().all(|asked| !asked.headers["host"].contains('@')));
}

fn addresses_of_the_run_are_shown_as_written(way: Way) {
    let server = Server::start(way, |asked| match asked.path.as_str() {
        "/old" => answer(301, &[("location", "/new?x=1")], ""),
        _ => ok(&asked.path),
    });
    let mut bench = Bench::new();
    bench.origins.add("demo", server.base.clone());
    let out = bench.run(server.with(json!({})), urls_batch(["demo:/a", "demo:old"]));
    assert_eq!(out.texts("url"), ["demo:/a", "demo:old"]);
    assert_eq!(out.texts("final_url"), ["demo:/a", "demo:/new?x=1"]);
    assert_eq!(out.texts("body"), ["/a", "/new?x=1"]);
}

fn many_pages_keep_their_order(way: Way) {
    let server = Server::start(way, |asked| ok(asked.path.repeat(100)));
    let urls: Vec<String> = (0..2000).map(|n| server.url(&format!("/{n}"))).collect();
    let out = server.fetch(json!({ "concurrency": 64 }), urls.clone());
    assert_eq!(out.texts("url"), urls);
    for (n, body) in out.texts("body").iter().enumerate() {
        assert_eq!(*body, format!("/{n}").repeat(100));
    }
}
