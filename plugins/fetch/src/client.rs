//! The HTTP client: the only part that knows the library. A request goes in, an answer with its
//! whole body comes out, or the reason why not.

use std::time::Duration;

use gristmill_stage::{Clock, Error, Result};
use reqwest::header::{CONTENT_LENGTH, HeaderMap};
use reqwest::redirect::Policy;
use reqwest::{Method, StatusCode, Url};

use crate::failure::Failure;
use crate::options::FetchOptions;
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
    pub(crate) body: Option<Vec<u8>>,
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

/// Sends requests over a pool of connections.
pub(crate) struct Client {
    http: reqwest::Client,
    timeout: Duration,
    connect_timeout: Duration,
    read_timeout: Duration,
    max_body: usize,
    max_body_text: String,
}

impl Client {
    /// A client with a pool of its own.
    ///
    /// # Errors
    /// When an option does not work on this machine.
    pub(crate) fn new(options: &FetchOptions) -> Result<Self> {
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls::config(options)?)
            .default_headers(options.header_map()?)
            .redirect(redirects(options.redirects))
            .referer(false)
            .no_proxy()
            .connect_timeout(options.connect_timeout.0)
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(options.concurrency)
            .tcp_nodelay(true);
        if !options.http2 {
            builder = builder.http1_only();
        }
        if let Some(proxy) = options.proxy()? {
            builder = builder.proxy(proxy);
        }
        let http = builder
            .build()
            .map_err(|e| Error::internal(format!("the HTTP client cannot be set up: {e}")))?;
        Ok(Self {
            http,
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
        let mut builder = self.http.request(request.method.clone(), request.url.clone());
        if !request.headers.is_empty() {
            builder = builder.headers(request.headers.clone());
        }
        if let Some(body) = &request.body {
            builder = builder.body(body.clone());
        }
        let response = builder
            .send()
            .await
            .map_err(|error| Failure::of_request(&error, self.connect_timeout))?;
        progress.first_byte = Some(clock.now().saturating_sub(started));
        progress.status = Some(response.status());
        self.read(response, &request.method, progress).await
    }

    /// Reads the body.
    async fn read(
        &self,
        mut response: reqwest::Response,
        method: &Method,
        progress: &mut Progress,
    ) -> Result<Reply, Failure> {
        // A header that is still there tells the length as it is sent: that of a compressed body is
        // taken away.
        let length = match *method {
            Method::HEAD => None,
            _ => length(response.headers()),
        };
        if length.is_some_and(|length| length > self.max_body as u64) {
            return Err(self.too_large());
        }
        let room = length.unwrap_or(0).min(BELIEVED);
        let mut body = Vec::with_capacity(usize::try_from(room).unwrap_or(0));
        loop {
            let chunk = match tokio::time::timeout(self.read_timeout, response.chunk()).await {
                Ok(Ok(Some(chunk))) => chunk,
                Ok(Ok(None)) => break,
                Ok(Err(error)) => return Err(Failure::of_body(&error, body.len(), length)),
                Err(_) => {
                    return Err(Failure::passing(format!(
                        "the server was silent for {:?} in the middle of the body: got {} bytes",
                        self.read_timeout,
                        body.len()
                    )));
                }
            };
            if chunk.len() > self.max_body - body.len() {
                return Err(self.too_large());
            }
            grow(&mut body, chunk.len(), self.max_body);
            body.extend_from_slice(&chunk);
            progress.bytes = body.len();
        }
        Ok(Reply {
            url: response.url().clone(),
            status: response.status(),
            headers: std::mem::take(response.headers_mut()),
            body,
        })
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

fn redirects(most: usize) -> Policy {
    if most == 0 {
        return Policy::none();
    }
    Policy::custom(move |attempt| {
        let scheme = attempt.url().scheme();
        if scheme != "http" && scheme != "https" {
            let text = format!("redirect to a `{scheme}:` address");
            return attempt.error(text);
        }
        // The first of these is the request itself.
        if attempt.previous().len() > most {
            let plural = if most == 1 { "" } else { "s" };
            return attempt.error(format!("more than {most} redirect{plural}"));
        }
        attempt.follow()
    })
}
