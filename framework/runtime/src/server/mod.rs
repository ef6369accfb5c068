//! The HTTP server for `/metrics`, `/healthz` and `/readyz`, and for those who look at a run: the
//! live page, and what it shows as JSON.

mod access;
mod answer;
mod events;
mod page;
mod patience;
mod tap;

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener as StdListener};
use std::pin::pin;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use gristmill_stage::{Error, Result};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinHandle;

use self::access::Access;
pub use self::access::Token;
use self::answer::{Answers, too_many};
use self::events::Events;
use self::patience::Patient;
pub(crate) use self::tap::Taps;
use crate::metrics::Metrics;
use crate::view::{EndView, Observer};

/// How long a client may take for the head of a request.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a client may take no byte of what it asked for.
const STALLED: Duration = Duration::from_secs(30);
/// So many connections at once.
const CONNECTIONS: u32 = 100;
/// So many more are told that there are too many; beyond them, nobody is told anything.
const REFUSALS: usize = 8;
/// How much of an answer waits for a slow client.
const BUFFER: usize = 64 * 1024;
/// How long the end of a run waits until those who look at it were told.
const FAREWELL: Duration = Duration::from_millis(500);

/// Where to serve, and to whom.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) addr: SocketAddr,
    pub(crate) token: Option<Token>,
}

/// The server; ends when dropped.
pub(crate) struct Server {
    addr: SocketAddr,
    /// What those who look must say; made up here if `true`.
    token: Option<(Token, bool)>,
    io: Handle,
    events: Events,
    doors: Doors,
    closing: watch::Sender<bool>,
    tasks: [JoinHandle<()>; 2],
}

impl Server {
    /// Listens on an address. Where others than this machine can reach it, those who look at the run
    /// need a token: the given one, or one that is made up.
    pub(crate) fn start(
        place: Place,
        io: &Handle,
        metrics: Metrics,
        observer: Arc<Observer>,
        taps: Taps,
    ) -> Result<Self> {
        let addr = place.addr;
        let wrong =
            |e: std::io::Error| Error::io(format!("metrics cannot be served on {addr}: {e}"));
        let listener = StdListener::bind(addr).map_err(wrong)?;
        listener.set_nonblocking(true).map_err(wrong)?;
        let addr = listener.local_addr().map_err(wrong)?;
        let _context = io.enter();
        let listener = TcpListener::from_std(listener).map_err(wrong)?;
        let token = match place.token {
            Some(token) => Some((token, false)),
            None if addr.ip().is_loopback() => None,
            None => Some((Token::random()?, true)),
        };
        let access = Access::new(addr, token.as_ref().map(|(token, _)| token.clone()));
        let (events, ticks) = Events::of(observer.clone());
        let answers = Answers { access, metrics, observer, events: events.clone(), taps };
        let closing = watch::Sender::new(false);
        let doors = Doors::default();
        let tasks = [
            io.spawn(accept(listener, answers, doors.clone(), closing.subscribe())),
            io.spawn(ticks),
        ];
        Ok(Self { addr, token, io: io.clone(), events, doors, closing, tasks })
    }

    /// Where it listens.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The address of the live page, with the token in it if it was made up here.
    pub(crate) fn page(&self) -> String {
        // Every address is no address to go to, but this machine is one of them.
        let ip = match self.addr.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        let addr = SocketAddr::new(ip, self.addr.port());
        match &self.token {
            Some((token, true)) => format!("http://{addr}/?token={}", token.reveal()),
            _ => format!("http://{addr}/"),
        }
    }

    /// Tells all who look how the run ended, and closes. Waits for them, but not for long.
    pub(crate) fn finish(self, end: &EndView) {
        self.tasks[0].abort();
        self.events.end(end);
        self.closing.send_replace(true);
        // The caller may be a thread of some runtime, which must not block on another one.
        let (over, all) = sync_channel(1);
        let served = self.doors.served.clone();
        self.io.spawn(async move {
            let _all = served.acquire_many(CONNECTIONS).await;
            let _ = over.send(());
        });
        let _ = all.recv_timeout(FAREWELL);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// How many may come in.
#[derive(Clone)]
struct Doors {
    served: Arc<Semaphore>,
    refused: Arc<Semaphore>,
}

impl Default for Doors {
    fn default() -> Self {
        let served = Arc::new(Semaphore::new(CONNECTIONS as usize));
        Self { served, refused: Arc::new(Semaphore::new(REFUSALS)) }
    }
}

async fn accept(
    listener: TcpListener,
    answers: Answers,
    doors: Doors,
    closing: watch::Receiver<bool>,
) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors, most likely: give others the time to close some.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        // An event is one small write that should not wait for the next.
        let _ = stream.set_nodelay(true);
        if let Ok(place) = doors.served.clone().try_acquire_owned() {
            tokio::spawn(serve(stream, Some(answers.clone()), closing.clone(), place));
        } else if let Ok(place) = doors.refused.clone().try_acquire_owned() {
            tokio::spawn(serve(stream, None, closing.clone(), place));
        }
    }
}

/// Answers on one connection; without answers, that there are too many.
async fn serve(
    stream: TcpStream,
    answers: Option<Answers>,
    mut closing: watch::Receiver<bool>,
    _place: OwnedSemaphorePermit,
) {
    let service = service_fn(move |request| {
        let answers = answers.clone();
        async move {
            Ok::<_, Infallible>(match answers {
                Some(answers) => answers.to(&request).await,
                None => too_many(),
            })
        }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(Patient::new(stream, STALLED)), service);
    let mut connection = pin!(connection);
    tokio::select! {
        // A client that breaks off is its own affair.
        _ = connection.as_mut() => return,
        _ = closing.wait_for(|closing| *closing) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = connection.await;
}
