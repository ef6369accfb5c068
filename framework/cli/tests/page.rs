//! The live page in a real browser.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a test fails by panicking"
)]

#[path = "common/browser.rs"]
mod browser;
mod common;
#[path = "common/live.rs"]
mod live;

use browser::Browser;
use live::Live;
use rustix::process::{Pid, Signal, kill_process};

/// Two branches that come together again; rows with a zero are rejected.
const BRANCHES: &str = concat!(
    "  - { name: parts, type: map, run: { mode: threaded, workers: 2 }, with: { set: { part: 100 / n } } }\n",
    "  - { name: large, type: filter, from: parts, with: { where: part > 10 } }\n",
    "  - { name: small, type: filter, from: parts, with: { where: part <= 10 } }\n",
    "  - { name: out, type: discard, from: [large, small] }\n",
);

/// A row that would do harm as markup.
const HOSTILE: &str = "</pre><script>window.harmed = 1</script><img src=x onerror=\"window.harmed = 1\"><svg onload=harmed()>";

const ENTER: &str = "\u{e007}";
const TAB: &str = "\u{e004}";
const RIGHT: &str = "\u{e014}";
const LEFT: &str = "\u{e012}";

fn rows(count: i64) -> Vec<(String, i64)> {
    (1..=count).map(|n| (format!("row {n}"), n)).collect()
}

#[test]
fn a_person_sees_the_run() {
    let live = Live::start(BRANCHES, "0", |_| ());
    let browser = Browser::start();
    browser.open(&live.page);
    browser.until_says("#status-words", "live");
    browser.until("document.querySelectorAll('.stage').length === 5");

    // All stages and arrows are there, as a picture and as a table.
    assert_eq!(browser.text("h1"), "watched");
    assert_eq!(browser.texts(".stage .name"), ["lines", "parts", "large", "small", "out"]);
    assert_eq!(
        browser.texts("#panel-all th[scope=row]"),
        ["lines", "parts", "large", "small", "out"]
    );
    assert_eq!(browser.texts(".stage .manner")[1], "map · threaded × 2");
    assert_eq!(browser.texts(".link .rate").len(), 5);
    browser.until_says("#yaml", "name: watched");
    browser.until_says("#plan", "parts");

    // The rates move.
    assert_eq!(browser.texts(".link .rate"), vec!["0/s"; 5]);
    live.rows(rows(500));
    browser.until(
        "[...document.querySelectorAll('.link .rate')].every((one) => one.textContent !== '0/s')",
    );
    browser.until("document.querySelectorAll('.stage .rows')[4].textContent === '500 rows'");
    browser.until("document.querySelector('.curve').getAttribute('d').includes('L')");

    // Rows are texts, whatever stands in them.
    live.rows([(HOSTILE.to_owned(), 0)]);
    browser.until_says("#tab-rejected", "(1)");
    browser.run("document.getElementById('tab-rejected').click()");
    browser.until_says("#panel-rejected pre", "window.harmed");
    assert!(browser.text("#panel-rejected .why").contains("parts"));
    assert!(browser.text("#panel-rejected .why").to_lowercase().contains("zero"));
    assert_eq!(browser.run("return typeof window.harmed"), "undefined");
    assert_eq!(browser.run("return document.querySelectorAll('script, img').length"), 2);
    assert!(browser.texts(".stage .bad").contains(&"1 rejected".to_owned()));

    // The end is told, and it is the page that tells it.
    live.signal(Signal::INT);
    browser.until_says("#status-words", "the run is over: stopped");
    browser.until_says("#sentence", "The run is over");
    assert_eq!(live.page.matches('/').count(), 3);
    let page = live.page.clone();
    assert_eq!(live.end(), Some(130));

    assert_eq!(browser.complaints(), Vec::<String>::new());
    let asked = browser.requests();
    assert!(asked.len() > 10, "{asked:?}");
    let elsewhere: Vec<_> = asked.iter().filter(|url| !url.starts_with(&page)).collect();
    assert!(elsewhere.is_empty(), "{elsewhere:?}");
}

#[test]
fn keys_go_through_the_graph_and_the_tabs() {
    let live = Live::start(BRANCHES, "0", |_| ());
    let browser = Browser::start();
    browser.width(1600);
    browser.open(&live.page);
    browser.until("document.querySelectorAll('.stage').length === 5");
    let focused = || {
        browser.run(
            "return document.activeElement.closest('.stage')?.querySelector('.name').textContent",
        )
    };
    while focused().is_null() {
        browser.press(TAB);
    }
    for _ in 0..4 {
        browser.press(LEFT);
    }
    assert_eq!(focused(), "lines");
    browser.press(RIGHT);
    assert_eq!(focused(), "parts");
    browser.press(ENTER);
    assert_eq!(browser.text("#panel-stage h2"), "parts");
    assert_eq!(browser.texts(".stage[aria-pressed=true] .name"), ["parts"]);
    browser.press(RIGHT);
    let branch = focused();
    assert!(branch == "large" || branch == "small", "{branch}");
    browser.press(RIGHT);
    browser.press(" ");
    assert_eq!(browser.text("#panel-stage h2"), "out");
    browser.until("document.querySelectorAll('#panel-stage tbody tr').length >= 3");

    // A reload comes back to the chosen stage, and the next stop is the tabs.
    browser.open(browser.run("return location.href").as_str().unwrap());
    browser
        .until("document.querySelector('.stage[aria-pressed=true] .name')?.textContent === 'out'");
    while browser.run("return document.activeElement.id") != "tab-stage" {
        browser.press(TAB);
    }
    for open in ["panel-all", "panel-rejected", "panel-plan", "panel-yaml", "panel-stage"] {
        browser.press(RIGHT);
        let shown = browser.run(
            "return [...document.querySelectorAll('[role=tabpanel]')].filter((one) => !one.hidden).map(({ id }) => id).join()",
        );
        assert_eq!(shown, open);
    }
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn it_fits_into_every_window() {
    let live = Live::start(BRANCHES, "0", |_| ());
    let browser = Browser::start();
    browser.open(&live.page);
    browser.until("document.querySelectorAll('.stage').length === 5");
    for width in [400, 700, 1000, 1600] {
        browser.width(width);
        browser.until(&format!("innerWidth === {width}"));
        browser.until(
            "document.querySelector('#graph > svg').getBoundingClientRect().width <= innerWidth",
        );
        for tab in ["all", "rejected", "plan", "yaml", "stage"] {
            browser.run(&format!("document.getElementById('tab-{tab}').click()"));
            let wide = browser.run("return document.documentElement.scrollWidth");
            assert!(wide.as_u64().unwrap() <= u64::from(width), "{tab} at {width}: {wide}");
        }
        // No box stands on another.
        let apart = browser.run(
            "const all = [...document.querySelectorAll('.stage .back')].map((one) => one.getBoundingClientRect());
             return all.every((a, n) => all.every((b, m) => n === m
                 || a.right <= b.left || b.right <= a.left || a.bottom <= b.top || b.bottom <= a.top));",
        );
        assert_eq!(apart, true, "at {width}");
    }
}

#[test]
fn child_processes_are_there_with_their_deaths() {
    let stages = "  - { name: parts, type: map, run: { mode: process, workers: 2 }, with: { set: { part: 100 / n } } }\n  - { name: out, type: discard }\n";
    let live = Live::start(stages, "0", |_| ());
    let browser = Browser::start();
    browser.open(&format!("{}#parts", live.page));
    let pids = "[...document.querySelectorAll('#panel-stage tr td:nth-child(8)')].map((one) => Number(one.textContent))";
    let pids = format!("{pids}.filter((pid) => pid > 0)");
    browser.until(&format!("{pids}.length === 2"));
    let pid = browser.run(&format!("return {pids}[0]")).as_i64().unwrap();
    kill_process(Pid::from_raw(pid as i32).unwrap(), Signal::KILL).unwrap();
    // A child is replaced when it is needed.
    live.rows(rows(100));
    browser.until("document.querySelectorAll('.stage .bad')[1].textContent === '1 death'");
    browser.until_says("#panel-stage", "killed 1");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn a_lost_run_is_told_and_found_again() {
    let live = Live::start(BRANCHES, "0", |_| ());
    let browser = Browser::start();
    browser.open(&live.page);
    browser.until_says("#status-words", "live");
    let addr = live.addr.clone();
    live.signal(Signal::KILL);
    browser.until_says("#status-words", "connection lost");
    assert_eq!(live.end(), None);
    // Another run takes its place, with other stages.
    let next = Live::start("  - { name: other, type: discard }\n", &addr, |_| ());
    browser.until_says("#status-words", "live");
    browser.until("document.querySelectorAll('.stage').length === 2");
    assert_eq!(browser.texts(".stage .name"), ["lines", "other"]);
    browser.until_says("#yaml", "name: other");
    next.signal(Signal::INT);
    browser.until_says("#status-words", "the run is over");
}

#[test]
fn a_browser_remembers_the_token() {
    let live = Live::start(BRANCHES, "0.0.0.0:0", |_| ());
    let browser = Browser::start();
    browser.open(&live.page);
    browser.until_says("#status-words", "live");
    let address = browser.run("return location.href");
    let address = address.as_str().unwrap();
    assert!(!address.contains("token"), "{address}");
    assert_eq!(browser.run("return document.cookie"), "");
    browser.open(address);
    browser.until_says("#status-words", "live");
    assert_eq!(browser.complaints(), Vec::<String>::new());
    browser.chromium("Network.clearBrowserCookies", &serde_json::json!({}));
    browser.open(address);
    assert!(browser.text("body").contains("needs the token"));
}
