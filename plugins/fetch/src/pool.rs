//! Plain HTTP/1 without a proxy: connections that are opened, kept and used again.

use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use gristmill_stage::{Clock, Readout};
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming};
use hyper::header::{HOST, HeaderValue};
use hyper::http::uri::{Authority, Parts};
use hyper::{Response, Uri};
use hyper_util::client::legacy::connect::HttpConnector;
use tower_service::Service;

use crate::connection::{Connection, Question};
use crate::failure::{Failure, Lacking, find, is_closed};
use crate::hop::Hop;
use crate::resolve::{Resolver, UnknownName};

/// How long nothing may come before the other side is asked whether it is still there.
const PROBE: Duration = Duration::from_secs(15);
/// So many connections are kept, of all servers together, even with a smaller concurrency.
const KEPT: usize = 256;

/// The connections of one client.
pub(crate) struct Pool {
    connector: HttpConnector<Resolver>,
    connect_timeout: Duration,
    idle: Mutex<Idle>,
    /// Told how many connections are open.
    connections: Readout,
}

/// Connections without a request on them.
struct Idle {
    /// By server; the longest unused first.
    kept: HashMap<Box<str>, Vec<Kept>>,
    count: usize,
    most: usize,
    timeout: Duration,
    /// When all were looked through last.
    swept: Duration,
}

struct Kept {
    connection: Box<Connection>,
    since: Duration,
}

impl Pool {
    /// A pool without connections. `idle`: how long an unused one is kept.
    pub(crate) fn new(
        connect_timeout: Duration,
        idle: Duration,
        concurrency: usize,
        connections: Readout,
    ) -> Self {
        let mut connector = HttpConnector::new_with_resolver(Resolver::default());
        connector.set_connect_timeout(Some(connect_timeout));
        connector.set_nodelay(true);
        // As reqwest does: a server that is gone is noticed though nothing is written.
        connector.set_keepalive(Some(PROBE));
        connector.set_keepalive_interval(Some(PROBE));
        connector.set_keepalive_retries(Some(3));
        #[cfg(target_os = "linux")]
        connector.set_tcp_user_timeout(Some(2 * PROBE));
        let idle = Idle {
            kept: HashMap::new(),
            count: 0,
            most: concurrency.max(KEPT),
            timeout: idle,
            swept: Duration::ZERO,
        };
        Self { connector, connect_timeout, idle: Mutex::new(idle), connections }
    }

    /// Sends a request and waits for the head of the answer.
    pub(crate) async fn send<'p>(
        &'p self,
        hop: &Hop<'_>,
        clock: &'p dyn Clock,
    ) -> Result<Response<PooledBody<'p>>, Failure> {
        loop {
            let kept = self.take(server(&hop.uri), clock.now());
            let reused = kept.is_some();
            let mut connection = match kept {
                Some(connection) => connection,
                None => Box::new(self.connect(&hop.uri).await?),
            };
            let error = match connection.send(question(hop)?).await {
                Ok(response) => {
                    let lease = Lease {
                        connection,
                        server: hop.uri.authority().cloned(),
                        pool: self,
                        clock,
                    };
                    return Ok(response.map(|incoming| PooledBody { incoming, lease: Some(lease) }));
                }
                Err(error) => error,
            };
            // The server closes connections that it does not use for long. If that is what happened,
            // it has not seen the request, or may see it twice.
            let unseen = error.message().is_some();
            let again = unseen || hop.method.is_idempotent() && is_closed(error.error());
            if !(reused && again) {
                return Err(Failure::of_wire(error.error(), Lacking::Answer));
            }
        }
    }

    async fn connect(&self, uri: &Uri) -> Result<Connection, Failure> {
        let late = || Failure::no_connection_within(self.connect_timeout);
        let connecting = self.connector.clone().call(uri.clone());
        let stream = match tokio::time::timeout(self.connect_timeout, connecting).await {
            Err(_) => return Err(late()),
            Ok(Err(error)) => {
                if find::<UnknownName>(&error).is_some() {
                    return Err(Failure::unknown_name(uri.host().unwrap_or_default()));
                }
                let io = find::<io::Error>(&error).map(io::Error::kind);
                return Err(match io {
                    Some(io::ErrorKind::TimedOut) => late(),
                    _ => Failure::of_wire(&error, Lacking::Connection),
                });
            }
            Ok(Ok(stream)) => stream,
        };
        let open = self.connections.hold();
        let connection = Connection::new(stream, open).await;
        connection.map_err(|e| Failure::of_wire(&e, Lacking::Connection))
    }

    fn lock(&self) -> MutexGuard<'_, Idle> {
        // Nothing under the lock can leave it half changed.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection that can be used again, the one that was used last.
    fn take(&self, server: &str, now: Duration) -> Option<Box<Connection>> {
        loop {
            let mut connection = self.lock().take(server, now)?;
            if connection.is_free() {
                return Some(connection);
            }
        }
    }
}

impl Idle {
    fn take(&mut self, server: &str, now: Duration) -> Option<Box<Connection>> {
        let all = self.kept.get_mut(server)?;
        let Kept { connection, since } = all.pop()?;
        self.count -= 1;
        if now.saturating_sub(since) <= self.timeout {
            return Some(connection);
        }
        // The others have waited for longer.
        self.count -= all.len();
        all.clear();
        None
    }

    fn put(&mut self, connection: Box<Connection>, server: &str, now: Duration) {
        if now.saturating_sub(self.swept) > self.timeout / 8 {
            self.swept = now;
            self.drop_unused_since(now.saturating_sub(self.timeout));
        }
        if self.count >= self.most {
            // Half of them, so that this is rare.
            let mut times: Vec<Duration> =
                self.kept.values().flatten().map(|kept| kept.since).collect();
            let (_, middle, _) = times.select_nth_unstable(self.count / 2);
            self.drop_unused_since(*middle);
        }
        let kept = Kept { connection, since: now };
        match self.kept.get_mut(server) {
            Some(all) => all.push(kept),
            None => drop(self.kept.insert(server.into(), vec![kept])),
        }
        self.count += 1;
    }

    /// Closes what has not been used after `time`.
    fn drop_unused_since(&mut self, time: Duration) {
        self.kept.retain(|_, all| {
            all.retain(|kept| kept.since > time);
            !all.is_empty()
        });
        self.count = self.kept.values().map(Vec::len).sum();
    }
}

/// Host and port.
fn server(uri: &Uri) -> &str {
    uri.authority().map_or("", Authority::as_str)
}

/// The request as it is written.
fn question(hop: &Hop<'_>) -> Result<Question, Failure> {
    let wrong =
        |error: hyper::http::Error| Failure::lasting(format!("the URL cannot be sent: {error}"));
    let mut target = Parts::default();
    target.path_and_query = hop.uri.path_and_query().cloned();
    let mut question = Question::new(Full::new(hop.body.clone()));
    *question.method_mut() = hop.method.clone();
    *question.uri_mut() = Uri::from_parts(target).map_err(|e| wrong(e.into()))?;
    let mut headers = hop.headers.clone().into_owned();
    if !headers.contains_key(HOST) {
        let host = HeaderValue::from_str(server(&hop.uri)).map_err(|e| wrong(e.into()))?;
        headers.insert(HOST, host);
    }
    *question.headers_mut() = headers;
    Ok(question)
}

/// The body of an answer. When it is through, its connection goes back to the pool; when it is
/// dropped before, the connection is closed.
pub(crate) struct PooledBody<'p> {
    incoming: Incoming,
    lease: Option<Lease<'p>>,
}

struct Lease<'p> {
    connection: Box<Connection>,
    server: Option<Authority>,
    pool: &'p Pool,
    clock: &'p dyn Clock,
}

impl PooledBody<'_> {
    /// Nobody wants the rest. If it is here already, the connection can be used again.
    pub(crate) fn leave(self) {
        let Self { incoming, lease } = self;
        drop(incoming);
        if let Some(lease) = lease {
            lease.end();
        }
    }
}

impl Lease<'_> {
    fn end(mut self) {
        if self.connection.is_free()
            && let Some(server) = self.server
        {
            self.pool.lock().put(self.connection, server.as_str(), self.clock.now());
        }
    }
}

impl Body for PooledBody<'_> {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        let Self { incoming, lease } = self.get_mut();
        let Some(Lease { connection, .. }) = lease else { return Poll::Ready(None) };
        let frame = connection.poll_frame(incoming, cx);
        match &frame {
            Poll::Pending | Poll::Ready(Some(Ok(_))) => {}
            Poll::Ready(Some(Err(_))) => *lease = None,
            Poll::Ready(None) => {
                if let Some(lease) = lease.take() {
                    lease.end();
                }
            }
        }
        frame
    }
}
