//! Who may look at a run, and what they are told.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod common;
#[path = "common/live.rs"]
mod live;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use live::Live;
use rustix::process::Signal;
use serde_json::Value;

const STAGES: &str = "  - { name: parts, type: map, with: { set: { part: 100 / n } } }\n  - { name: out, type: discard }\n";
/// What stands open to all, for Prometheus and probes.
const OPEN: [&str; 3] = ["/metrics", "/healthz", "/readyz"];
/// What shows the run.
const GUARDED: [&str; 7] = [
    "/",
    "/assets/main.js",
    "/api/view",
    "/api/history",
    "/api/plan",
    "/api/pipeline",
    "/api/nothing",
];

fn local() -> Live {
    Live::start(STAGES, "0", |_| ())
}

/// Listens to the events of a run.
struct Events(BufReader<TcpStream>);

impl Events {
    fn of(live: &Live) -> Self {
        let mut events = Self(BufReader::new(live.send("GET", "/api/events", &[])));
        let mut status = String::new();
        events.0.read_line(&mut status).unwrap();
        assert!(status.contains(" 200 "), "{status}");
        events
    }

    /// The next event, if there is one.
    fn next(&mut self) -> Option<(String, Value)> {
        let mut name = None;
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            if let Some(event) = line.strip_prefix("event: ") {
                name = Some(event.trim().to_owned());
            } else if let Some(data) = line.strip_prefix("data: ") {
                return Some((name.unwrap(), serde_json::from_str(data).unwrap()));
            }
        }
    }

    /// Takes events until one is as wanted.
    fn until(&mut self, wanted: impl Fn(&str, &Value) -> bool) -> Value {
        loop {
            let (name, data) = self.next().expect("the events ended");
            if wanted(&name, &data) {
                return data;
            }
        }
    }
}

#[test]
fn a_page_is_there_and_says_what_a_browser_may_do_with_it() {
    let live = local();
    let page = live.ask("GET", "/", &[]);
    assert_eq!(page.status, 200);
    assert!(page.body.contains("<title>Gristmill</title>"));
    for path in ["/", "/api/view", "/assets/page.css", "/nothing", "/metrics"] {
        let head = live.ask("GET", path, &[]).head;
        for line in [
            "x-content-type-options: nosniff",
            "referrer-policy: no-referrer",
            "cache-control: no-store",
            "frame-ancestors 'none'",
            "default-src 'none'",
        ] {
            assert!(head.contains(line), "{path}: no {line} in {head}");
        }
        for line in ["access-control", "unsafe-inline", "unsafe-eval", "set-cookie"] {
            assert!(!head.contains(line), "{path}: {line} in {head}");
        }
    }
    // Every file that the page names is there, and none is elsewhere.
    let mut texts = vec![page.body];
    let mut seen = 0;
    while let Some(text) = texts.pop() {
        assert!(!text.contains("//cdn") && !text.contains("https://"), "{text}");
        let named = text.split(['"', '\'']).filter_map(|part| match part.strip_prefix("./") {
            Some(name) if name.ends_with(".js") => Some(format!("/assets/{name}")),
            _ => part.starts_with("/assets/").then(|| part.to_owned()),
        });
        for path in named {
            let answer = live.ask("GET", &path, &[]);
            assert_eq!(answer.status, 200, "{path}");
            seen += 1;
            // Modules name each other in a tree, so this ends.
            texts.extend(path.ends_with(".js").then_some(answer.body));
        }
    }
    assert!(seen > 10, "{seen}");
    let view: Value = serde_json::from_str(&live.ask("GET", "/api/view", &[]).body).unwrap();
    assert_eq!(view["stages"][1]["name"], "parts");
    assert!(live.ask("GET", "/api/pipeline", &[]).body.contains("name: watched"));
    assert!(live.ask("GET", "/api/plan", &[]).body.contains("parts"));
}

#[test]
fn nothing_can_be_changed() {
    let live = local();
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        for path in ["/", "/metrics", "/api/view", "/api/events"] {
            let answer = live.ask(method, path, &[]);
            assert_eq!(answer.status, 405, "{method} {path}");
            assert!(answer.head.contains("allow: get, head"), "{}", answer.head);
        }
    }
    for path in ["/", "/api/view", "/api/events"] {
        let answer = live.ask("HEAD", path, &[]);
        assert_eq!((answer.status, answer.body.as_str()), (200, ""), "{path}");
    }
}

#[test]
fn on_loopback_the_name_that_was_asked_for_is_this_machine() {
    let live = local();
    assert_eq!(live.page, format!("http://{}/", live.addr));
    for host in ["localhost", "localhost:1", "127.0.0.1", "127.3.2.1:80", "[::1]:9100"] {
        let answer = live.ask("GET", "/api/view", &[&format!("host: {host}")]);
        assert_eq!(answer.status, 200, "{host}");
    }
    for host in ["evil.example", "localhost.evil.example", "10.1.2.3", ""] {
        let host = format!("host: {host}");
        for path in GUARDED.into_iter().chain(["/api/events"]) {
            let answer = live.ask("GET", path, &[&host]);
            assert_eq!(answer.status, 403, "{host} {path}");
            assert!(!answer.body.contains("parts"), "{}", answer.body);
        }
        for path in OPEN {
            assert_eq!(live.ask("GET", path, &[&host]).status, 200, "{host} {path}");
        }
    }
    let twice = live.ask("GET", "/api/view", &["host: localhost", "host: evil.example"]);
    assert!(matches!(twice.status, 400 | 403), "{}", twice.status);
}

#[test]
fn pages_of_others_get_nothing() {
    let live = local();
    for site in ["cross-site", "same-site"] {
        let site = format!("sec-fetch-site: {site}");
        for path in ["/api/view", "/api/events", "/assets/main.js"] {
            assert_eq!(live.ask("GET", path, &[&site]).status, 403, "{site} {path}");
        }
        // A link to the page is no harm.
        assert_eq!(live.ask("GET", "/", &[&site]).status, 200, "{site}");
    }
    for site in ["same-origin", "none"] {
        let answer = live.ask("GET", "/api/view", &[&format!("sec-fetch-site: {site}")]);
        assert_eq!(answer.status, 200, "{site}");
    }
}

#[test]
fn whoever_comes_from_elsewhere_needs_the_token() {
    let live = Live::start(STAGES, "0.0.0.0:0", |_| ());
    let (_, token) = live.page.split_once("/?token=").expect("a token in the address");
    assert!(token.len() == 32 && token.bytes().all(|b| b.is_ascii_hexdigit()), "{token}");
    assert_eq!(live.said.matches(token).count(), 1, "{}", live.said);
    let port = live.addr.rsplit(':').next().unwrap();
    let wrong = "0".repeat(32);
    for path in GUARDED.into_iter().chain(["/api/events"]) {
        for head in [
            "x: y".to_owned(),
            format!("authorization: Bearer {wrong}"),
            format!("authorization: Basic {token}"),
            format!("authorization: Bearer {}", &token[1..]),
            format!("cookie: gristmill-{port}={wrong}"),
            format!("cookie: other={token}"),
        ] {
            let answer = live.ask("GET", path, &[&head]);
            assert_eq!(answer.status, 401, "{path} {head}");
            assert!(answer.head.contains("www-authenticate: bearer"), "{}", answer.head);
            assert!(!answer.head.contains("set-cookie"), "{}", answer.head);
        }
        let asked = live.ask("GET", &format!("{path}?token={wrong}"), &[]);
        assert_eq!(asked.status, 401, "{path}");
    }
    for path in OPEN {
        let answer = live.ask("GET", path, &[]);
        assert_eq!(answer.status, 200, "{path}");
        assert!(!answer.body.contains(token));
    }
    let asked = live.ask("GET", &format!("/?token={token}"), &["host: mill.example"]);
    assert_eq!(asked.status, 200);
    let cookie = format!("set-cookie: gristmill-{port}={token}; path=/; httponly; samesite=strict");
    assert!(asked.head.contains(&cookie), "{}", asked.head);
    for head in [
        format!("authorization: Bearer {token}"),
        format!("authorization: bearer {token}"),
        format!("cookie: other=1; gristmill-{port}={token}; more=2"),
    ] {
        assert_eq!(live.ask("GET", "/api/view", &[&head]).status, 200, "{head}");
    }
}

#[test]
fn a_chosen_token_is_kept_and_not_repeated() {
    const CHOSEN: &str = "a-token.that_I-chose~42";
    for by_variable in [true, false] {
        // It also holds on loopback, where a proxy with another name may stand before it.
        let live = Live::start(STAGES, "0", |command| {
            if by_variable {
                command.env("GRISTMILL_TOKEN", CHOSEN);
            } else {
                command.args(["--token", CHOSEN]);
            }
        });
        assert!(!live.said.contains(CHOSEN), "{}", live.said);
        assert_eq!(live.ask("GET", "/api/view", &[]).status, 401);
        let head = format!("authorization: Bearer {CHOSEN}");
        assert_eq!(live.ask("GET", "/api/view", &[&head, "host: mill.example"]).status, 200);
    }
    let place = common::Place::new();
    for wrong in ["short", "with-a-space in-it-somewhere", ""] {
        let args = ["run", "pipeline.yaml", "--metrics", "0", "--token", wrong];
        let said = place.gristmill(&args).expect(2).says("error: --token: a token").stderr;
        assert!(wrong.is_empty() || !said.contains(wrong), "{said}");
    }
    let mut command = place.command(&["run", "pipeline.yaml", "--metrics", "0"]);
    let ended = common::ended(command.env("GRISTMILL_TOKEN", "short").output().unwrap());
    ended.expect(2).says("error: GRISTMILL_TOKEN: a token");
}

#[test]
fn events_tell_the_past_then_the_present_then_the_end() {
    let live = local();
    let mut events = Events::of(&live);
    let (name, history) = events.next().unwrap();
    assert_eq!(name, "history");
    assert_eq!(history["stages"].as_array().unwrap().len(), 3);
    assert_eq!(events.next().unwrap().0, "view");
    live.rows((1..=50).map(|n| (format!("row {n}"), n)));
    let view =
        events.until(|name, view| name == "view" && view["stages"][2]["taken"]["rows"] == 50);
    assert_eq!(view["pipeline"], "watched");
    // Who comes later hears of what was before.
    let mut later = Events::of(&live);
    let (_, history) = later.next().unwrap();
    let seconds = history["at"].as_array().unwrap().len();
    let known = history["stages"][2]["recent"].as_array().unwrap();
    assert!(seconds > 0 && known.len() == seconds, "{history}");
    assert_eq!(history["fill"][0].as_array().unwrap().len(), seconds);

    live.signal(Signal::INT);
    for events in [&mut events, &mut later] {
        let end = events.until(|name, _| name == "end");
        assert_eq!(end["outcome"], "stopped");
        assert_eq!(end["error"], Value::Null);
        assert_eq!(end["view"]["stages"][2]["taken"]["rows"], 50);
        assert_eq!(end["view"]["stages"][2]["ending"], "complete");
        assert!(events.next().is_none());
    }
    assert_eq!(live.end(), Some(130));
}

#[test]
fn events_tell_why_a_run_failed() {
    let live =
        Live::start("  - { name: out, type: write, with: { path: out.jsonl } }\n", "0", |_| ());
    let mut events = Events::of(&live);
    std::fs::write(live.place.path().join("in.jsonl"), "{\"key\": \"a\", \"n\": 1}\n").unwrap();
    events.until(|name, view| name == "view" && view["stages"][1]["taken"]["rows"] == 1);
    // What was to be published has no folder any more.
    std::fs::remove_dir_all(live.place.path()).unwrap();
    live.signal(Signal::INT);
    let end = events.until(|name, _| name == "end");
    assert_eq!(end["outcome"], "failed", "{end}");
    assert!(end["error"].as_str().unwrap().contains("out"), "{end}");
    assert_eq!(live.end(), Some(4));
}

#[test]
fn many_may_listen_but_not_too_many() {
    let live = local();
    let mut listeners: Vec<Events> = (0..32).map(|_| Events::of(&live)).collect();
    for events in &mut listeners {
        assert_eq!(events.next().unwrap().0, "history");
    }
    // Were there a place, the answer would not end.
    let answer = || {
        let mut head = String::new();
        let mut stream = BufReader::new(live.send("GET", "/api/events", &[]));
        while !head.ends_with("\r\n\r\n") {
            stream.read_line(&mut head).unwrap();
        }
        head
    };
    let refused = answer();
    assert!(refused.contains(" 503 ") && refused.contains("retry-after: 5"), "{refused}");
    assert_eq!(live.ask("GET", "/api/view", &[]).status, 200);
    live.rows([("a".to_owned(), 1)]);
    for events in &mut listeners {
        events.until(|name, view| name == "view" && view["stages"][2]["taken"]["rows"] == 1);
    }
    // Who goes makes room.
    drop(listeners.pop());
    while answer().contains(" 503 ") {
        std::thread::yield_now();
    }
}

#[test]
fn connections_beyond_a_hundred_are_refused() {
    let live = local();
    let asked = "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";
    let held: Vec<TcpStream> = (0..100)
        .map(|_| {
            let mut stream = TcpStream::connect(&live.addr).unwrap();
            stream.write_all(asked.as_bytes()).unwrap();
            let mut answer = [0; 12];
            stream.read_exact(&mut answer).unwrap();
            assert_eq!(&answer, b"HTTP/1.1 200");
            stream
        })
        .collect();
    assert_eq!(live.ask("GET", "/healthz", &[]).status, 503);
    drop(held);
    while live.ask("GET", "/healthz", &[]).status == 503 {
        std::thread::yield_now();
    }
}

#[test]
fn who_does_not_read_holds_nobody_up() {
    let live = local();
    // They ask, and never take a byte of the answer.
    let asleep: Vec<TcpStream> = (0..20).map(|_| live.send("GET", "/api/events", &[])).collect();
    let stuck: Vec<TcpStream> = (0..20).map(|_| live.send("GET", "/metrics", &[])).collect();
    let mut events = Events::of(&live);
    live.rows((1..=1000).map(|n| ("k".repeat(500), n)));
    events.until(|name, view| name == "view" && view["stages"][2]["taken"]["rows"] == 1000);
    live.signal(Signal::INT);
    assert_eq!(events.until(|name, _| name == "end")["outcome"], "stopped");
    assert_eq!(live.end(), Some(130));
    drop((asleep, stuck));
}
