//! 20,000 pages of about 10 KiB from a loopback server, concurrency 64: a hand-written reqwest loop
//! beside generate -> fetch -> discard.
//!
//! `cargo run --release -p gristmill-benchmarks --bin fetch`

use futures::StreamExt;
use gristmill_benchmarks::{Side, Site, built_in, compare, run};

const PAGES: usize = 20_000;
const CONCURRENCY: usize = 64;

fn main() {
    if Site::serve_if_asked() {
        return;
    }
    // The client by hand takes its cryptography from here, though it never needs it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let site = Site::start();
    let registry = built_in();
    let pipeline = |mode: &str| {
        format!(
            "stages:\n  \
             - {{ type: generate, with: {{ url: \"{}/item/{{n}}\", count: {PAGES} }} }}\n  \
             - {{ type: fetch, run: {{ mode: {mode} }}, with: {{ concurrency: {CONCURRENCY} }} }}\n  \
             - {{ type: discard }}\n",
            site.base
        )
    };
    let (pooled, threaded) = (pipeline("pooled"), pipeline("threaded"));
    compare(
        "20,000 pages of 10 KiB, concurrency 64",
        PAGES as f64,
        "pages",
        5,
        vec![
            Side::new("reqwest, by hand", || by_hand(&site.base)),
            Side::new("gristmill, pooled", || drop(run(&pooled, &registry))),
            Side::new("gristmill, threaded", || drop(run(&threaded, &registry))),
        ],
    );
}

/// What a person would write: one client, 64 requests at a time, every body read.
#[expect(clippy::expect_used, reason = "a benchmark that does not run must not print figures")]
fn by_hand(base: &str) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("runtime");
    let bytes = runtime.block_on(async {
        let client = reqwest::Client::builder().build().expect("client");
        futures::stream::iter(1..=PAGES)
            .map(|n| {
                let request = client.get(format!("{base}/item/{n}"));
                tokio::spawn(async move {
                    let response = request.send().await.expect("an answer");
                    assert!(response.status().is_success());
                    response.bytes().await.expect("a body").len()
                })
            })
            .buffer_unordered(CONCURRENCY)
            .fold(0, async |sum, bytes| sum + bytes.expect("a task"))
            .await
    });
    assert!(bytes > PAGES * 8 * 1024, "{bytes}");
}
