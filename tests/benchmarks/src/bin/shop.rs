//! The whole quickstart on 20,000 pages: fetch, three fields by CSS, mean and 95th percentile by
//! category; beside a hand-written reqwest + scraper + HashMap program with two parser threads, and
//! beside Scrapy, which is installed from PyPI.
//!
//! `cargo run --release -p gristmill-benchmarks --bin shop`

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use futures::StreamExt;
use gristmill_benchmarks::{Side, Site, built_in, compare, python, run};
use scraper::{Html, Selector};

const PAGES: usize = 20_000;
const CONCURRENCY: usize = 64;
const SPIDER: &str = include_str!("../../scrapy_shop.py");

fn main() {
    if Site::serve_if_asked() {
        return;
    }
    // The client by hand takes its cryptography from here, though it never needs it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let site = Site::start();
    let registry = built_in();
    let pipeline = |mode: &str, more: &str| {
        format!(
            r#"
stages:
  - {{ name: requests, type: generate, with: {{ url: "{}/item/{{n}}", count: {PAGES} }} }}
  - {{ name: pages, type: fetch, with: {{ concurrency: {CONCURRENCY} }} }}
  - name: items
    type: parse
    run: {{ mode: {mode}, workers: 2 }}
    with:
      format: html
      fields:
        title: {{ css: "h1{more}" }}
        price: {{ css: ".price{more}", type: float64 }}
        category: {{ css: "[data-category]{more}", attr: data-category }}
  - name: prices
    type: aggregate
    with:
      group_by: [category]
      select: {{ n: count(*), mean: avg(price), p95: "approx_percentile_cont(price, 0.95)" }}
  - {{ name: out, type: discard }}
"#,
            site.base
        )
    };
    // The same elements, but nothing that is found without a tree.
    let tree = pipeline("pooled", ":not(#x)");
    let (pooled, threaded) = (pipeline("pooled", ""), pipeline("threaded", ""));
    compare(
        "20,000 pages of 10 KiB: fetch, three fields, group by category",
        PAGES as f64,
        "pages",
        3,
        vec![
            Side::new("reqwest + scraper, by hand", || by_hand(&site.base)),
            Side::new("gristmill, with a tree", || drop(run(&tree, &registry))),
            Side::new("gristmill, parse pooled", || drop(run(&pooled, &registry))),
            Side::new("gristmill, parse threaded", || drop(run(&threaded, &registry))),
        ],
    );
    if let Some(python) = python(&["scrapy"]) {
        // Scrapy is so much slower that a tenth of the pages tells its rate.
        let pages = PAGES / 10;
        compare(
            "the same with Scrapy, 2,000 pages",
            pages as f64,
            "pages",
            1,
            vec![Side::new("scrapy", || scrapy(&python, &site.base, pages))],
        );
    }
}

/// What a person would write: 64 requests at a time, two threads that parse, a map that sums up.
#[expect(clippy::expect_used, reason = "a benchmark that does not run must not print figures")]
fn by_hand(base: &str) {
    let groups = Arc::new(Mutex::new(HashMap::<String, Vec<f64>>::new()));
    let (sender, receiver) = async_channel::bounded::<String>(256);
    let parsers: Vec<_> = (0..2)
        .map(|_| {
            let (receiver, groups) = (receiver.clone(), groups.clone());
            std::thread::spawn(move || {
                let css = |text| Selector::parse(text).expect("a selector");
                let (title, price, category) = (css("h1"), css(".price"), css("[data-category]"));
                let mut own = HashMap::<String, Vec<f64>>::new();
                while let Ok(page) = receiver.recv_blocking() {
                    let page = Html::parse_document(&page);
                    let first = |selector| page.select(selector).next().expect("an element");
                    let title: String = first(&title).text().collect();
                    let price: String = first(&price).text().collect();
                    let price = price.trim().parse().expect("a price");
                    let category = first(&category).attr("data-category").expect("a category");
                    assert!(!title.is_empty());
                    own.entry(category.to_owned()).or_default().push(price);
                }
                let mut groups = groups.lock().expect("no panic");
                for (category, prices) in own {
                    groups.entry(category).or_default().extend(prices);
                }
            })
        })
        .collect();
    drop(receiver);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("runtime");
    runtime.block_on(async {
        let client = reqwest::Client::builder().build().expect("client");
        futures::stream::iter(1..=PAGES)
            .for_each_concurrent(CONCURRENCY, async |n| {
                let request = client.get(format!("{base}/item/{n}"));
                let text = async { request.send().await?.text().await };
                let page = tokio::spawn(text).await.expect("a task").expect("a page");
                sender.send(page).await.expect("parsers listen");
            })
            .await;
    });
    drop(sender);
    for parser in parsers {
        parser.join().expect("no panic");
    }
    let mut groups = groups.lock().expect("no panic");
    let rows: usize = groups.values().map(Vec::len).sum();
    assert_eq!(rows, PAGES);
    for prices in groups.values_mut() {
        prices.sort_by(f64::total_cmp);
        let mean = prices.iter().sum::<f64>() / prices.len() as f64;
        let p95 = prices[prices.len() * 95 / 100];
        assert!(mean > 0.0 && p95 >= mean / 2.0);
    }
}

#[expect(clippy::expect_used, reason = "a benchmark that does not run must not print figures")]
fn scrapy(python: &Path, base: &str, pages: usize) {
    let status = Command::new(python)
        .args(["-c", SPIDER, base, &pages.to_string(), &CONCURRENCY.to_string()])
        .status()
        .expect("python starts");
    assert!(status.success());
}
