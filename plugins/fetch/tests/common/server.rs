//! A small HTTP server that misbehaves on command, to be reached in several ways.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex};

use arrow_array::RecordBatch;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio_rustls::TlsAcceptor;

use super::{Bench, Collected, urls_batch};

/// How requests come to a server. The first goes over connections of our own, the others are
/// reqwest's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Plain,
    /// The server is its own proxy.
    Proxied,
    /// With a certificate that it made itself.
    Tls,
}

/// Makes a test of each function for every [`Way`].
#[allow(unused_macros, reason = "each test file uses a part of this")]
macro_rules! in_every_way {
    ($($test:ident),* $(,)?) => {
        common::in_every_way! { @ plain Plain $($test)* }
        common::in_every_way! { @ proxied Proxied $($test)* }
        common::in_every_way! { @ tls Tls $($test)* }
    };
    (@ $module:ident $way:ident $($test:ident)*) => {
        mod $module {
            $(#[test] fn $test() { super::$test(super::common::Way::$way); })*
        }
    };
}
pub(crate) use in_every_way;

/// A request, as the server saw it.
#[derive(Debug, Clone)]
pub struct Asked {
    pub method: String,
    pub path: String,
    /// The number of its connection, from 0.
    pub connection: usize,
    /// Names in lower case, as they came.
    pub names: Vec<String>,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

/// What the server sends, byte for byte, and what it does then.
pub struct Said {
    pub bytes: Vec<u8>,
    pub after: After,
}

#[derive(Clone, Copy)]
pub enum After {
    Keep,
    Close,
    Hang,
}

pub fn answer(status: u16, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Said {
    let body = body.as_ref();
    let mut head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    Said { bytes: [head.as_bytes(), b"\r\n", body].concat(), after: After::Keep }
}

pub fn ok(body: impl AsRef<[u8]>) -> Said {
    answer(200, &[], body)
}

pub fn raw(bytes: impl AsRef<[u8]>, after: After) -> Said {
    Said { bytes: bytes.as_ref().to_vec(), after }
}

pub struct Server {
    pub base: String,
    pub asked: Arc<Mutex<Vec<Asked>>>,
    /// What has to be said under `with` to reach it.
    with: Value,
    runtime: Runtime,
}

/// Linux has many addresses of its own.
const HOST: &str = if cfg!(target_os = "linux") { "0.0.0.0" } else { "127.0.0.1" };

/// A certificate for 127.0.0.1 that signs itself, good from 2020 to 2120.
///
/// It lies beside this file, of whichever package this is a part.
pub static CERTIFICATE: LazyLock<String> = LazyLock::new(|| {
    let folders = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let mut paths = folders.map(|folder| folder.join("plugins/fetch/tests/common/certificate.pem"));
    paths.find(|path| path.exists()).expect("it is in the repository").display().to_string()
});

/// A server of that certificate that speaks these protocols.
pub fn tls(protocols: &[&str]) -> TlsAcceptor {
    let certificate = CertificateDer::from_pem_slice(include_bytes!("certificate.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("key.pem")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    TlsAcceptor::from(Arc::new(config))
}

impl Server {
    pub fn start(way: Way, say: impl Fn(&Asked) -> Said + Send + Sync + 'static) -> Self {
        Self::start_async(way, move |asked| {
            let said = say(&asked);
            async move { said }
        })
    }

    pub fn start_async<F, Fut>(way: Way, say: F) -> Self
    where
        F: Fn(Asked) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Said> + Send + 'static,
    {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind((HOST, 0))).unwrap();
        let addr = format!("127.0.0.1:{}", listener.local_addr().unwrap().port());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (say, log) = (Arc::new(say), asked.clone());
        let (mut base, mut with) = (format!("http://{addr}"), json!({}));
        let mut acceptor = None;
        match way {
            Way::Plain => {}
            Way::Proxied => with["proxy"] = json!(base),
            Way::Tls => {
                base = format!("https://{addr}");
                with["ca_file"] = json!(*CERTIFICATE);
                acceptor = Some(tls(&["http/1.1"]));
            }
        }
        runtime.spawn(async move {
            let mut connections = 0..;
            while let (Ok((stream, _)), Some(number)) =
                (listener.accept().await, connections.next())
            {
                let (acceptor, say, log) = (acceptor.clone(), say.clone(), log.clone());
                tokio::spawn(async move {
                    match acceptor {
                        None => talk(stream, number, say, log).await,
                        Some(acceptor) => {
                            if let Ok(stream) = acceptor.accept(stream).await {
                                talk(stream, number, say, log).await;
                            }
                        }
                    }
                });
            }
        });
        Self { base, asked, with, runtime }
    }

    /// These options and those without which it cannot be reached.
    pub fn with(&self, mut options: Value) -> Value {
        for (name, value) in self.with.as_object().unwrap() {
            options[name] = value.clone();
        }
        options
    }

    /// Fetches these addresses.
    pub fn fetch<U: Into<String>>(
        &self,
        options: Value,
        urls: impl IntoIterator<Item = U>,
    ) -> Collected {
        self.run(options, urls_batch(urls))
    }

    pub fn run(&self, options: Value, input: RecordBatch) -> Collected {
        Bench::new().run(self.with(options), input)
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

async fn talk<S, F, Fut>(mut stream: S, number: usize, say: Arc<F>, log: Arc<Mutex<Vec<Asked>>>)
where
    S: AsyncRead + AsyncWrite + Unpin,
    F: Fn(Asked) -> Fut,
    Fut: Future<Output = Said>,
{
    let mut buffer = Vec::new();
    while let Some(asked) = listen(&mut stream, &mut buffer).await {
        let asked = Asked { connection: number, ..asked };
        log.lock().unwrap().push(asked.clone());
        let said = say(asked).await;
        // A TLS stream keeps the last of it until it is flushed.
        if stream.write_all(&said.bytes).await.is_err() || stream.flush().await.is_err() {
            return;
        }
        match said.after {
            After::Keep => {}
            After::Close => return,
            After::Hang => std::future::pending().await,
        }
    }
}

async fn listen<S: AsyncRead + Unpin>(stream: &mut S, buffer: &mut Vec<u8>) -> Option<Asked> {
    let end = loop {
        if let Some(end) = buffer.windows(4).position(|w| w == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
    buffer.drain(..end + 4);
    let mut lines = head.lines();
    let mut first = lines.next()?.split(' ');
    let (method, target) = (first.next()?.to_owned(), first.next()?);
    // A proxy is told the whole address.
    let path = match target.strip_prefix("http://") {
        Some(rest) => rest[rest.find('/')?..].to_owned(),
        None => target.to_owned(),
    };
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let names = headers.iter().map(|(name, _)| name.clone()).collect();
    let headers: BTreeMap<String, String> = headers.into_iter().collect();
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    while buffer.len() < length {
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
    let body = buffer.drain(..length).collect();
    Some(Asked { method, path, connection: 0, names, headers, body })
}
