//! One HTTP/1 connection. Nothing runs by itself: whoever has a request on it also moves its bytes,
//! so that an answer wakes one task and not two.

use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use gristmill_stage::reading::Held;
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming};
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// What is asked, ready to be written.
pub(crate) type Question = Request<Full<Bytes>>;

type Wire = http1::Connection<TokioIo<TcpStream>, Full<Bytes>>;

/// A connection that is kept.
pub(crate) struct Connection {
    requests: SendRequest<Full<Bytes>>,
    /// `None` when it is closed. What was not answered then is told so by being dropped.
    wire: Option<Wire>,
    /// Counts it for as long as it is kept.
    _open: Held,
}

impl Connection {
    /// A connection without a request on it.
    pub(crate) async fn new(stream: TokioIo<TcpStream>, open: Held) -> hyper::Result<Self> {
        let (requests, wire) = http1::handshake(stream).await?;
        Ok(Self { requests, wire: Some(wire), _open: open })
    }

    /// Whether a request can be put on it: it is open, and the answer before is through.
    pub(crate) fn is_free(&mut self) -> bool {
        // Nobody waits: whoever uses it next looks again.
        drive(&mut self.wire, &mut Context::from_waker(Waker::noop()));
        self.wire.is_some() && self.requests.is_ready()
    }

    /// Sends a request and waits for the head of the answer.
    pub(crate) async fn send(
        &mut self,
        question: Question,
    ) -> Result<Response<Incoming>, TrySendError<Question>> {
        let mut answer = pin!(self.requests.try_send_request(question));
        std::future::poll_fn(|cx| {
            drive(&mut self.wire, cx);
            answer.as_mut().poll(cx)
        })
        .await
    }

    /// The next piece of the body of the answer.
    pub(crate) fn poll_frame(
        &mut self,
        body: &mut Incoming,
        cx: &mut Context<'_>,
    ) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        match Pin::new(&mut *body).poll_frame(cx) {
            Poll::Pending => {
                drive(&mut self.wire, cx);
                Pin::new(body).poll_frame(cx)
            }
            ready => ready,
        }
    }
}

/// Writes and reads as much as can be at once.
fn drive(wire: &mut Option<Wire>, cx: &mut Context<'_>) {
    if let Some(open) = wire
        && Pin::new(open).poll(cx).is_ready()
    {
        *wire = None;
    }
}
