//! Servers with certificates, HTTP/2, and proxies.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod common;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{CERTIFICATE, Server, Way, answer, fetch, ok, tls};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;

#[test]
fn only_certificates_that_are_trusted_will_do() {
    let server = Server::start(Way::Tls, |_| ok("secret"));
    let url = server.url("/");
    let out = fetch(json!({}), [&url]);
    let reasons = out.reasons().concat();
    assert_eq!(reasons, "no secure connection: the certificate is bad: UnknownIssuer");
    // The certificate is for the address only.
    let named = url.replace("127.0.0.1", "localhost");
    let reasons = server.fetch(json!({}), [&named]).reasons().concat();
    assert!(reasons.starts_with("no secure connection: the certificate is bad"), "{reasons}");
    assert!(reasons.contains("localhost"), "{reasons}");
    assert!(server.asked().is_empty());
    for options in [json!({ "ca_file": *CERTIFICATE }), json!({ "verify_tls": false })] {
        assert_eq!(fetch(options, [&url]).texts("body"), ["secret"]);
    }
    assert_eq!(fetch(json!({ "verify_tls": false }), [named]).texts("body"), ["secret"]);
}

/// A server of HTTP/2 and HTTP/1 over TLS that answers with the version of the request.
struct Modern {
    base: String,
    connections: Arc<AtomicUsize>,
    _runtime: Runtime,
}

impl Modern {
    fn start() -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let base = format!("https://{}", listener.local_addr().unwrap());
        let connections = Arc::new(AtomicUsize::new(0));
        let (count, acceptor) = (connections.clone(), tls(&["h2", "http/1.1"]));
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(talk(stream, acceptor.clone()));
            }
        });
        Self { base, connections, _runtime: runtime }
    }
}

async fn talk(stream: TcpStream, acceptor: tokio_rustls::TlsAcceptor) {
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let modern = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let service = service_fn(|request: Request<Incoming>| async move {
        let text = format!("{:?} {}", request.version(), request.uri().path());
        let answer = Response::builder();
        let body = Full::new(Bytes::from(text));
        // Only HTTP/1 speaks of connections.
        Ok::<_, Infallible>(match request.version() {
            Version::HTTP_2 => answer.body(body).unwrap(),
            _ => answer.header("connection", "close").body(body).unwrap(),
        })
    });
    let stream = TokioIo::new(stream);
    // Clients that leave are no error here.
    let _ = match modern {
        true => {
            let http2 = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            http2.serve_connection(stream, service).await
        }
        false => hyper::server::conn::http1::Builder::new().serve_connection(stream, service).await,
    };
}

#[test]
fn http2_is_used_where_it_is_offered() {
    let server = Modern::start();
    let urls: Vec<String> = (0..50).map(|n| format!("{}/{n}", server.base)).collect();
    let options = json!({ "ca_file": *CERTIFICATE, "concurrency": 5 });
    let out = fetch(options, urls.clone());
    assert_eq!(out.reasons(), [""; 0]);
    assert_eq!(out.texts("final_url"), urls);
    for (n, body) in out.texts("body").iter().enumerate() {
        assert_eq!(*body, format!("HTTP/2.0 /{n}"));
    }
    // Those that begin at once each open one, and all but one of them are given up.
    assert!(server.connections.load(Ordering::SeqCst) <= 5);

    let options = json!({ "ca_file": *CERTIFICATE, "http2": false });
    assert_eq!(fetch(options, [&urls[7]]).texts("body"), ["HTTP/1.1 /7"]);
}

#[test]
fn redirects_lead_from_plain_to_secure_and_back() {
    let last = Server::start(Way::Plain, |asked| match asked.path.as_str() {
        "/first" => answer(302, &[("location", "/second")], ""),
        _ => ok("there"),
    });
    let to = last.url("/first");
    let secure = Server::start(Way::Tls, move |_| answer(302, &[("location", &to)], ""));
    let to = secure.url("/");
    let plain = Server::start(Way::Plain, move |_| answer(302, &[("location", &to)], ""));
    let url = plain.url("/").replace("://", "://me:password@");
    let options = json!({ "redirects": 3, "headers": { "cookie": "a=b", "x-mine": "1" } });
    let out = secure.fetch(options, [url]);
    assert_eq!(
        (out.texts("body"), out.texts("final_url")),
        (vec!["there".to_owned()], vec![last.url("/second")])
    );
    // What was meant for the first server goes to no other, not even after a redirect there.
    let all = [plain.asked(), secure.asked(), last.asked()].concat();
    let has = |name: &str| -> Vec<bool> {
        all.iter().map(|asked| asked.headers.contains_key(name)).collect()
    };
    assert_eq!(has("authorization"), [true, false, false, false]);
    assert_eq!(has("cookie"), [true, false, false, false]);
    assert_eq!(has("x-mine"), [true; 4]);
}

/// A proxy that makes tunnels to wherever it is asked, and shows the heads of what it was asked.
fn proxy() -> (String, mpsc::Receiver<String>, Runtime) {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    let (heads, seen) = mpsc::channel(16);
    runtime.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (mut stream, heads) = (BufStream::new(stream), heads.clone());
            tokio::spawn(async move {
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") {
                    stream.read_line(&mut head).await.unwrap();
                }
                heads.send(head.clone()).await.unwrap();
                let to = head.split(' ').nth(1).unwrap();
                let mut server = TcpStream::connect(to).await.unwrap();
                stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
                stream.flush().await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut stream, &mut server).await;
            });
        }
    });
    (addr, seen, runtime)
}

#[test]
fn a_proxy_makes_a_tunnel_to_a_secure_server() {
    let server = Server::start(Way::Tls, |asked| ok(&asked.path));
    let (addr, mut heads, _runtime) = proxy();
    let options = json!({
        "proxy": format!("http://me:password@{addr}"),
        "ca_file": *CERTIFICATE,
        "user_agent": "test",
    });
    let out = fetch(options, [server.url("/a")]);
    assert_eq!(out.texts("body"), ["/a"]);
    let head = heads.try_recv().unwrap().to_ascii_lowercase();
    let host = server.base.strip_prefix("https://").unwrap();
    assert!(head.starts_with(&format!("connect {host} http/1.1\r\n")), "{head}");
    assert!(head.contains("user-agent: test\r\n"), "{head}");
    assert!(head.contains("proxy-authorization: basic bwu6cgfzc3dvcmq=\r\n"), "{head}");
    assert!(!server.asked()[0].headers.contains_key("proxy-authorization"));
}

#[test]
fn a_proxy_is_told_whom_it_speaks_for() {
    let server = Server::start(Way::Proxied, |asked| ok(&asked.path));
    let mut options = server.with(json!({}));
    options["proxy"] = json!(server.base.replace("://", "://me:password@"));
    let out = fetch(options, ["http://no-such-name.invalid/a?b"]);
    assert_eq!(
        (out.texts("body"), out.texts("final_url")),
        (vec!["/a?b".to_owned()], out.texts("url"))
    );
    let asked = &server.asked()[0];
    assert_eq!(asked.headers["proxy-authorization"], "Basic bWU6cGFzc3dvcmQ=");
    assert_eq!(asked.headers["host"], "no-such-name.invalid");
}
