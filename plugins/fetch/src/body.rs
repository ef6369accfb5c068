//! The body of an answer, whichever way it came, decompressed.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame};
use hyper::header::CONTENT_ENCODING;
use hyper::{Request, Response};
use reqwest::header::HeaderValue;
use tower_http::decompression::{Decompression, DecompressionBody};
use tower_service::Service;

use crate::pool::PooledBody;

/// What [`decoded`] understands, as it is told to servers.
pub(crate) const ENCODINGS: HeaderValue = HeaderValue::from_static("zstd,gzip,deflate,br");

pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A body as it is sent.
pub(crate) enum Sent<'p> {
    Pooled(PooledBody<'p>),
    Reqwest(reqwest::Body),
}

/// A body as it is meant.
pub(crate) enum Meant<'p> {
    Same(Sent<'p>),
    Unpacked(Pin<Box<DecompressionBody<Sent<'p>>>>),
}

impl Sent<'_> {
    /// Nobody wants it.
    pub(crate) fn leave(self) {
        if let Self::Pooled(body) = self {
            body.leave();
        }
    }
}

/// Decompresses the body of an answer, and takes the headers away that speak of its compression.
pub(crate) async fn decoded(response: Response<Sent<'_>>) -> Response<Meant<'_>> {
    if !response.headers().contains_key(CONTENT_ENCODING) {
        return response.map(Meant::Same);
    }
    // The layer sees an exchange, and of it only the answer matters.
    let Ok(response) = Decompression::new(Answered(response)).call(Request::new(())).await;
    response.map(|body| Meant::Unpacked(Box::pin(body)))
}

/// A service that has one answer to give.
struct Answered<B>(Response<B>);

impl<B: Default> Service<Request<()>> for Answered<B> {
    type Response = Response<B>;
    type Error = Infallible;
    type Future = Ready<Result<Response<B>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        ready(Ok(std::mem::take(&mut self.0)))
    }
}

impl Default for Sent<'_> {
    fn default() -> Self {
        Self::Reqwest(reqwest::Body::default())
    }
}

impl Body for Sent<'_> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.get_mut() {
            Self::Pooled(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
            Self::Reqwest(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
        }
    }
}

impl Meant<'_> {
    /// The next piece; `None` at the end.
    pub(crate) async fn piece(&mut self) -> Option<Result<Bytes, BoxError>> {
        loop {
            let frame = match self {
                Self::Same(body) => body.frame().await?,
                Self::Unpacked(body) => body.frame().await?,
            };
            // Anything else is trailers.
            match frame.map(Frame::into_data) {
                Ok(Ok(data)) => return Some(Ok(data)),
                Ok(Err(_)) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }
}
