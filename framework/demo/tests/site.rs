//! The site over a real socket.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails by panicking")]

use std::io::{Read, Write};
use std::net::TcpStream;

use flate2::read::GzDecoder;
use gristmill_demo::{CATEGORIES, DemoSite, Item};

struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

fn start() -> DemoSite {
    DemoSite::start("127.0.0.1:0".parse().unwrap()).unwrap()
}

fn send(site: &DemoSite, request: &str) -> Answer {
    let mut stream = TcpStream::connect(site.addr()).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    let end = all.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(all[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head, body: all[end + 4..].to_vec() }
}

fn get(site: &DemoSite, path: &str) -> Answer {
    send(site, &format!("GET {path} HTTP/1.1\r\nHost: demo\r\nConnection: close\r\n\r\n"))
}

#[test]
fn the_shop_is_the_same_everywhere() {
    let (one, other) = (start(), start());
    for path in ["/item/1", "/item/1000000", "/item/0.json", "/list/1", "/list/50000", "/"] {
        let answer = get(&one, path);
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.body, get(&other, path).body, "{path}");
        let length = answer.header("content-length").unwrap();
        assert_eq!(length, answer.body.len().to_string(), "{path}");
    }
    assert_eq!(one.requests(), 6);
    let item = Item::new(17);
    let page = get(&one, "/item/17");
    assert!(page.text().contains(&item.title) && page.text().contains(&item.price()));
    assert!((9000..=10240).contains(&page.body.len()));
    let json = get(&one, "/item/17.json");
    assert!(json.text().contains(&format!("\"price\":{}", item.price())));
    assert!(CATEGORIES.contains(&item.category));
}

#[test]
fn what_is_not_there_is_404() {
    let site = start();
    for path in [
        "/item/1000001",
        "/item/x",
        "/item/-1",
        "/item/",
        "/item/1/2",
        "/item/99999999999999999999",
        "/list/0",
        "/list/50001",
        "/status/99",
        "/status/100",
        "/status/600",
        "/status/x",
        "/bytes/1073741825",
        "/charset/ebcdic",
        "/nowhere",
        "/redirect/x",
        "//",
        "/item/1.jsonx",
    ] {
        assert_eq!(get(&site, path).status, 404, "{path}");
    }
}

#[test]
fn statuses_are_as_asked() {
    let site = start();
    for code in [200, 204, 301, 304, 404, 418, 429, 500, 503, 599] {
        assert_eq!(get(&site, &format!("/status/{code}")).status, code);
    }
    assert_eq!(
        send(&site, "DELETE /item/1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").status,
        405
    );
    let head = send(&site, "HEAD /item/1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert!(head.status == 200 && head.body.is_empty());
}

#[test]
fn flaky_pages_fail_once_for_each_number() {
    let site = start();
    for n in [1, 2] {
        assert_eq!(get(&site, &format!("/flaky/{n}")).status, 503);
        assert_eq!(get(&site, &format!("/flaky/{n}")).status, 200);
        assert_eq!(get(&site, &format!("/flaky/{n}")).status, 200);
    }
    let parked = get(&site, "/retry-after/600");
    assert_eq!((parked.status, parked.header("retry-after")), (429, Some("600")));
    assert_eq!(get(&site, "/retry-after/600").status, 429);
    assert_eq!(get(&site, "/retry-after/0/7").status, 429);
    assert_eq!(get(&site, "/retry-after/0/7").status, 200);
}

#[test]
fn redirects_end_at_the_item() {
    let site = start();
    let mut path = "/redirect/3".to_owned();
    let mut hops = 0;
    loop {
        let answer = get(&site, &path);
        if answer.status == 200 {
            break;
        }
        assert_eq!(answer.status, 302);
        path = answer.header("location").unwrap().to_owned();
        hops += 1;
    }
    assert_eq!((hops, path.as_str()), (3, "/item/3"));
    assert_eq!(get(&site, "/redirect/loop").header("location"), Some("/redirect/loop"));
}

#[test]
fn bodies_are_streamed_and_bombs_unpack() {
    let site = start();
    for count in [0, 1, 65_536, 65_537, 5_000_000] {
        let answer = get(&site, &format!("/bytes/{count}"));
        assert_eq!((answer.status, answer.body.len()), (200, count));
    }
    let bomb = get(&site, "/gzip-bomb");
    assert_eq!(bomb.header("content-encoding"), Some("gzip"));
    assert!(bomb.body.len() < 2 << 20, "{}", bomb.body.len());
    // Reading to the end also checks the length and the checksum.
    let unpacked =
        std::io::copy(&mut GzDecoder::new(&bomb.body[..]), &mut std::io::sink()).unwrap();
    assert_eq!(unpacked, 1 << 30);
}

#[test]
fn a_body_breaks_off() {
    let site = start();
    let answer = get(&site, "/close");
    assert_eq!((answer.status, answer.header("content-length")), (200, Some("10240")));
    assert!(!answer.body.is_empty() && answer.body.len() < 10_240);
}

#[test]
fn charsets_differ() {
    let site = start();
    let latin1 = get(&site, "/charset/latin1");
    assert!(latin1.body.windows(4).any(|w| w == b"Cr\xe8m"));
    assert!(get(&site, "/charset/utf-8").text().contains("Crème"));
    assert!(get(&site, "/charset/utf-16le").body.starts_with(&[0xff, 0xfe]));
    assert!(get(&site, "/charset/utf-16be").body.starts_with(&[0xfe, 0xff]));
    assert_eq!(get(&site, "/charset/none").header("content-type"), Some("text/html"));
    let wrong = get(&site, "/charset/wrong");
    assert!(std::str::from_utf8(&wrong.body).is_err());
    assert_eq!(wrong.header("content-type"), Some("text/html; charset=utf-8"));
}

#[test]
fn a_request_is_echoed() {
    let site = start();
    let answer = send(
        &site,
        "POST /echo?a=1 HTTP/1.1\r\nHost: x\r\nX-Mark: \"q\"\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi",
    );
    assert!(answer.text().contains(r#""method":"POST","path":"/echo?a=1""#));
    assert!(
        answer.text().contains(r#""x-mark":"\"q\"""#) && answer.text().contains(r#""body":"hi""#)
    );
}

#[test]
fn requests_wait_until_enough_wait_at_once() {
    let site = start();
    // Sends a request and does not wait for its answer.
    let ask = |path: &str| {
        let mut stream = TcpStream::connect(site.addr()).unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: demo\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        stream
    };
    let until = |waiting: u64| {
        while site.waiting() != waiting {
            std::thread::yield_now();
        }
    };
    // One that leaves does not count.
    let leaver = ask("/item/1?together=3");
    until(1);
    drop(leaver);
    until(0);
    let mut held: Vec<_> = (1..=2).map(|n| ask(&format!("/item/{n}?together=3"))).collect();
    held.push(ask("/item/3?together=3&door=other"));
    until(3);
    assert_eq!(get(&site, "/item/9?together=1").status, 200, "nobody to wait for");
    assert_eq!(site.waiting(), 3);
    // The third opens the door for all, those of the other door excepted, and it stays open.
    assert_eq!(get(&site, "/item/4?together=3").status, 200);
    assert_eq!(site.waiting(), 1);
    for stream in &mut held[..2] {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    assert_eq!(get(&site, "/item/5?together=3").status, 200);
}

#[test]
fn it_stops_though_requests_hang() {
    let site = DemoSite::builder()
        .threads(2)
        .page_size(4096)
        .start("127.0.0.1:0".parse().unwrap())
        .unwrap();
    assert!(get(&site, "/item/1?delay=1ms").body.len() <= 4096);
    assert_eq!(get(&site, "/delay/1").status, 200);
    let mut hanging = TcpStream::connect(site.addr()).unwrap();
    hanging.write_all(b"GET /hang HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    drop(site);
    let mut rest = Vec::new();
    // The connection ends, one way or the other, without an answer.
    let _ = hanging.read_to_end(&mut rest);
    assert!(rest.is_empty());
}
