//! The server: its threads, its start and its end.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::watch;

use crate::route::Shop;

/// Connections that the system keeps until they are accepted. A fetcher opens hundreds at once, and
/// one that does not fit waits a second for its next try.
const BACKLOG: u32 = 4096;

/// A running demo site. It stops when it is dropped.
pub struct DemoSite {
    addr: SocketAddr,
    shop: Arc<Shop>,
    stop: watch::Sender<bool>,
    threads: Vec<JoinHandle<()>>,
}

/// How a demo site should be. Made by [`DemoSite::builder`].
#[derive(Debug, Clone)]
pub struct DemoSiteBuilder {
    threads: usize,
    page_size: usize,
}

impl DemoSite {
    /// Starts a site with one thread and pages of 10 KiB. Port 0 takes a free one.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub fn start(addr: SocketAddr) -> io::Result<Self> {
        Self::builder().start(addr)
    }

    /// A site with settings of its own.
    pub fn builder() -> DemoSiteBuilder {
        DemoSiteBuilder { threads: 1, page_size: 10 << 10 }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The start of every address: `http://127.0.0.1:4711`, without a slash at the end.
    pub fn base(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// How many requests it has had so far.
    pub fn requests(&self) -> u64 {
        self.shop.requests()
    }

    /// How many requests wait at this moment for others, because of `?together={n}`.
    pub fn waiting(&self) -> u64 {
        self.shop.waiting()
    }

    /// Waits for as long as the site runs: until the program ends.
    pub fn wait(mut self) {
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Serves the site on `addr` until the program ends.
///
/// # Errors
/// When the address cannot be listened on.
pub fn serve_forever(addr: SocketAddr) -> io::Result<()> {
    DemoSite::start(addr)?.wait();
    Ok(())
}

impl DemoSiteBuilder {
    /// The number of threads that serve, 1 or more.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads.max(1);
        self
    }

    /// About how many bytes the page of an item has. What belongs to the item (about 2 KiB) is
    /// always there.
    #[must_use]
    pub fn page_size(mut self, bytes: usize) -> Self {
        self.page_size = bytes;
        self
    }

    /// Starts the site.
    ///
    /// # Errors
    /// When the address cannot be listened on or a thread cannot be started.
    pub fn start(self, addr: SocketAddr) -> io::Result<DemoSite> {
        // A runtime of one thread for each: requests are short, and never moving them between
        // threads is what makes them fast.
        let runtimes: Vec<Runtime> = (0..self.threads)
            .map(|_| Builder::new_current_thread().enable_all().build())
            .collect::<io::Result<_>>()?;
        let handles: Vec<Handle> =
            runtimes.iter().map(|runtime| runtime.handle().clone()).collect();
        let listener = {
            let _context = handles[0].enter();
            listen(addr)?
        };
        let addr = listener.local_addr()?;
        let shop = Arc::new(Shop::new(self.page_size));
        let (stop, stopped) = watch::channel(false);
        handles[0].spawn(accept(listener, Arc::clone(&shop), handles.clone()));

        let mut site = DemoSite { addr, shop, stop, threads: Vec::new() };
        for runtime in runtimes {
            let mut stopped = stopped.clone();
            let thread =
                std::thread::Builder::new().name("demo-site".to_owned()).spawn(move || {
                    // An error means that the sender is gone, which ends the site as well. Dropping
                    // the runtime drops every connection.
                    let _ = runtime.block_on(stopped.wait_for(|stop| *stop));
                })?;
            site.threads.push(thread);
        }
        Ok(site)
    }
}

impl Drop for DemoSite {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for DemoSite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DemoSite").field("addr", &self.addr).finish_non_exhaustive()
    }
}

fn listen(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = if addr.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A site that is started again on its port need not wait for old connections to be forgotten.
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    socket.listen(BACKLOG)
}

/// Accepts connections and deals them out to the threads in turn.
async fn accept(listener: TcpListener, shop: Arc<Shop>, threads: Vec<Handle>) {
    let mut turn = threads.iter().cycle();
    loop {
        let stream = match listener.accept().await.and_then(|(stream, _)| stream.into_std()) {
            Ok(stream) => stream,
            Err(_) => {
                // Out of file descriptors, or the client has left already. Accepting again at once
                // would spin.
                tokio::time::sleep(Duration::from_millis(5)).await;
                continue;
            }
        };
        if let Some(thread) = turn.next() {
            thread.spawn(serve(stream, Arc::clone(&shop)));
        }
    }
}

async fn serve(stream: std::net::TcpStream, shop: Arc<Shop>) {
    let Ok(stream) = TcpStream::from_std(stream) else {
        return;
    };
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let shop = Arc::clone(&shop);
        async move { shop.answer(request).await }
    });
    // Errors are clients that leave and the pages that break off on purpose.
    let _ = http1::Builder::new()
        .pipeline_flush(true)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}
