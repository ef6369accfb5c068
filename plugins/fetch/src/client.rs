//! The HTTP client. A request goes in, an answer with its whole body comes out, or the reason why
//! not; redirects, compression, timeouts and bounds are the same whichever way it goes.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use gristmill_stage::{Clock, Error, Readout, Result};
use hyper::Response;
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_LENGTH, HeaderMap, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Method, StatusCode, Url};

use crate::body::{self, ENCODINGS, Meant, Sent};
use crate::failure::Failure;
use crate::hop::{Hop, has_user, without_user};
use crate::options::FetchOptions;
use crate::pool::Pool;
use crate::tls;

/// How long an unused connection stays open. Servers close theirs after 15 s to 75 s mostly; a
/// request on a connection that is just being closed fails.
const IDLE: Duration = Duration::from_secs(15);
/// A stated length is believed up to here when room is made for a body.
const BELIEVED: u64 = 1 << 20;

/// What is asked.
pub(crate) struct Request {
    pub(crate) method: Method,
    /// May hold a user name and password; they are sent as a header.
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// An answer and its body, decompressed.
pub(crate) struct Reply {
    /// Where it came from after redirects.
    pub(crate) url: Url,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// How far an attempt has come, also when it fails.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Progress {
    /// Time from the start of the attempt to the headers of the answer.
    pub(crate) first_byte: Option<Duration>,
    pub(crate) status: Option<StatusCode>,
    /// Bytes of the body so far, decompressed.
    pub(crate) bytes: usize,
}

/// Sends requests over pools of connections.
pub(crate) struct Client {
    /// Plain HTTP; `None` when a proxy takes everything.
    pool: Option<Pool>,
    /// Everything else: TLS, HTTP/2, proxies.
    reqwest: reqwest::Client,
    /// Of every request.
    headers: HeaderMap,
    redirects: usize,
    timeout: Duration,
    connect_timeout: Duration,
    read_timeout: Duration,
    max_body: usize,
    max_body_text: String,
}

impl Client {
    /// A client with a pool of its own, whose connections are told of.
    ///
    /// # Errors
    /// When an option does not work on this machine.
    pub(crate) fn new(options: &FetchOptions, connections: Readout) -> Result<Self> {
        let proxy = options.proxy()?;
        let mut headers = HeaderMap::with_capacity(options.headers.len() + 3);
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        headers.extend(options.header_map()?);
        headers.entry(ACCEPT_ENCODING).or_insert(ENCODINGS);
        let pool = match proxy {
            None => {
                let (timeout, concurrency) = (options.connect_timeout.0, options.concurrency);
                Some(Pool::new(timeout, IDLE, concurrency, connections))
            }
            Some(_) => None,
        };
        Ok(Self {
            pool,
            reqwest: reqwest(options, proxy)?,
            headers,
            redirects: options.redirects,
            timeout: options.timeout.0,
            connect_timeout: options.connect_timeout.0,
            read_timeout: options.read_timeout.0,
            max_body: usize::try_from(options.max_body.0).unwrap_or(usize::MAX),
            max_body_text: options.max_body.to_string(),
        })
    }

    /// Makes one attempt.
    pub(crate) async fn send(
        &self,
        request: &Request,
        clock: &dyn Clock,
        progress: &mut Progress,
    ) -> Result<Reply, Failure> {
        *progress = Progress::default();
        match tokio::time::timeout(self.timeout, self.exchange(request, clock, progress)).await {
            Ok(result) => result,
            Err(_) if progress.first_byte.is_none() => {
                Err(Failure::passing(format!("no answer within {:?}", self.timeout)))
            }
            Err(_) => Err(Failure::passing(format!(
                "the body did not end within {:?}: got {} bytes",
                self.timeout, progress.bytes
            ))),
        }
    }

    async fn exchange(
        &self,
        request: &Request,
        clock: &dyn Clock,
        progress: &mut Progress,
    ) -> Result<Reply, Failure> {
        let started = clock.now();
        let mut hop = self.first(request)?;
        let response = loop {
            let response = self.ask(&hop, clock).await?;
            match hop.next(response.status(), response.headers(), self.redirects)? {
                None => break response,
                Some(next) => hop = next,
            }
            response.into_body().leave();
        };
        progress.first_byte = Some(clock.now().saturating_sub(started));
        progress.status = Some(response.status());
        let is_head = hop.method == Method::HEAD;
        let response = body::decoded(response).await;
        let (head, body) = response.into_parts();
        // The length of a body that was compressed is not told any more.
        let length = if is_head { None } else { length(&head.headers) };
        let body = self.read(body, length, progress).await?;
        Ok(Reply { url: hop.into_url(), status: head.status, headers: head.headers, body })
    }

    /// The request before any redirect.
    fn first<'r>(&'r self, request: &'r Request) -> Result<Hop<'r>, Failure> {
        let mut url = Cow::Borrowed(&request.url);
        let mut own = Cow::Borrowed(&request.headers);
        if has_user(&url) {
            // reqwest makes a header of them.
            let parts = self.reqwest.request(request.method.clone(), request.url.clone()).build();
            let mut parts = parts.map_err(|e| Failure::of_request(&e, self.connect_timeout))?;
            parts.headers_mut().extend(request.headers.clone());
            own = Cow::Owned(std::mem::take(parts.headers_mut()));
            url = Cow::Owned(without_user(parts.url().clone()));
        }
        let headers = match own.is_empty() {
            true => Cow::Borrowed(&self.headers),
            false => {
                let mut headers = own.into_owned();
                for (name, value) in &self.headers {
                    headers.entry(name).or_insert_with(|| value.clone());
                }
                Cow::Owned(headers)
            }
        };
        Hop::new(request.method.clone(), url, headers, request.body.clone())
    }

    /// Sends one request; the answer may be a redirect.
    async fn ask<'c>(
        &'c self,
        hop: &Hop<'_>,
        clock: &'c dyn Clock,
    ) -> Result<Response<Sent<'c>>, Failure> {
        if let (Some(pool), "http") = (&self.pool, hop.url().scheme()) {
            return Ok(pool.send(hop, clock).await?.map(Sent::Pooled));
        }
        let mut request = reqwest::Request::new(hop.method.clone(), hop.url().clone());
        *request.headers_mut() = hop.headers.clone().into_owned();
        if !hop.body.is_empty() {
            *request.body_mut() = Some(hop.body.clone().into());
        }
        let response = self.reqwest.execute(request).await;
        let response = response.map_err(|e| Failure::of_request(&e, self.connect_timeout))?;
        Ok(Response::from(response).map(Sent::Reqwest))
    }

    /// Reads the body. `length`: how many bytes the server has promised.
    async fn read(
        &self,
        mut from: Meant<'_>,
        length: Option<u64>,
        progress: &mut Progress,
    ) -> Result<Vec<u8>, Failure> {
        if length.is_some_and(|length| length > self.max_body as u64) {
            return Err(self.too_large());
        }
        let room = length.unwrap_or(0).min(BELIEVED);
        let mut body = Vec::with_capacity(usize::try_from(room).unwrap_or(0));
        loop {
            let piece = match tokio::time::timeout(self.read_timeout, from.piece()).await {
                Ok(Some(Ok(piece))) => piece,
                Ok(None) => return Ok(body),
                Ok(Some(Err(error))) => return Err(Failure::of_body(&*error, body.len(), length)),
                Err(_) => {
                    return Err(Failure::passing(format!(
                        "the server was silent for {:?} in the middle of the body: got {} bytes",
                        self.read_timeout,
                        body.len()
                    )));
                }
            };
            if piece.len() > self.max_body - body.len() {
                return Err(self.too_large());
            }
            grow(&mut body, piece.len(), self.max_body);
            body.extend_from_slice(&piece);
            progress.bytes = body.len();
        }
    }

    fn too_large(&self) -> Failure {
        Failure::lasting(format!("body larger than {}", self.max_body_text))
    }
}

/// Makes room for `more` bytes: twice the room, but never more than the largest body takes.
fn grow(body: &mut Vec<u8>, more: usize, most: usize) {
    let needed = body.len() + more;
    if needed > body.capacity() {
        let room = needed.max(body.capacity().saturating_mul(2).min(most));
        body.reserve_exact(room - body.len());
    }
}

fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The client for what the pool does not carry. Redirects and compression are the same for both, so
/// they are not left to it.
fn reqwest(options: &FetchOptions, proxy: Option<reqwest::Proxy>) -> Result<reqwest::Client> {
    let mut builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls::config(options)?)
        // It tells the proxy, too.
        .user_agent(options.user_agent.as_str())
        .redirect(Policy::none())
        .no_gzip()
        .no_brotli()
        .no_zstd()
        .no_deflate()
        .no_proxy()
        .connect_timeout(options.connect_timeout.0)
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(options.concurrency)
        .tcp_nodelay(true);
    if !options.http2 {
        builder = builder.http1_only();
    }
    if let Some(proxy) = proxy {
        builder = builder.proxy(proxy);
    }
    builder.build().map_err(|e| Error::internal(format!("the HTTP client cannot be set up: {e}")))
}
