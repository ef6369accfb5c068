//! The HTTP server for `/metrics`, `/healthz` and `/readyz`, and for those who look at a run.

mod answer;
mod events;
mod tap;

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::Duration;

use gristmill_stage::{Error, Result};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use self::answer::Answers;
use self::events::Events;
pub(crate) use self::tap::Taps;
use crate::metrics::Source;
use crate::view::Observer;

/// How often recorded durations are tidied away when nobody scrapes.
const TIDY: Duration = Duration::from_secs(5);
/// How long a client may take for the head of a request.
const PATIENCE: Duration = Duration::from_secs(10);

/// The server; ends when dropped.
pub(crate) struct Server {
    addr: SocketAddr,
    tasks: [JoinHandle<()>; 3],
}

impl Server {
    /// Listens on an address.
    pub(crate) fn start(
        addr: SocketAddr,
        io: &Handle,
        source: Source,
        observer: Arc<Observer>,
        taps: Taps,
    ) -> Result<Self> {
        let wrong =
            |e: std::io::Error| Error::io(format!("metrics cannot be served on {addr}: {e}"));
        let listener = StdListener::bind(addr).map_err(wrong)?;
        listener.set_nonblocking(true).map_err(wrong)?;
        let bound = listener.local_addr().map_err(wrong)?;
        let _context = io.enter();
        let listener = TcpListener::from_std(listener).map_err(wrong)?;
        let tidied = source.clone();
        let (events, ticks) = Events::of(observer.clone());
        let answers = Answers { source, observer, events, taps };
        let tasks = [
            io.spawn(accept(listener, answers)),
            io.spawn(ticks),
            io.spawn(async move {
                loop {
                    tokio::time::sleep(TIDY).await;
                    tidied.tidy();
                }
            }),
        ];
        Ok(Self { addr: bound, tasks })
    }

    /// Where it listens.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

async fn accept(listener: TcpListener, answers: Answers) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors, most likely: give others the time to close some.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let answers = answers.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let answers = answers.clone();
                async move { Ok::<_, Infallible>(answers.to(&request).await) }
            });
            // A client that breaks off is its own affair.
            let _ = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(PATIENCE)
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}
