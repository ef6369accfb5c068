//! The bodies of answers: whole, streamed, or cut off.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::time::Sleep;

/// The body of an answer.
pub(crate) enum Body {
    /// All of it at once.
    Whole(Bytes),
    /// The same piece many times over, between a head and a tail.
    Repeat { head: Bytes, piece: Bytes, times: u64, tail: Bytes },
    /// Declares more than it sends, waits for the start to be on its way, and fails.
    Cut { start: Bytes, declared: u64, pause: Pin<Box<Sleep>> },
}

impl Body {
    /// `piece`, `times` over, after `head` and before `tail`.
    pub(crate) fn repeat(head: Bytes, piece: Bytes, times: u64, tail: Bytes) -> Self {
        Self::Repeat { head, piece, times, tail }
    }

    /// `count` bytes.
    pub(crate) fn bytes(count: u64) -> Self {
        static PIECE: [u8; 1 << 16] = [b'.'; 1 << 16];
        let size = PIECE.len() as u64;
        let rest = Bytes::from_static(&PIECE[..(count % size) as usize]);
        Self::repeat(Bytes::new(), Bytes::from_static(&PIECE), count / size, rest)
    }

    /// Sends `start` and fails, as if there were `declared` bytes.
    pub(crate) fn cut(start: &'static [u8], declared: u64) -> Self {
        let pause = Box::pin(tokio::time::sleep(Duration::from_millis(5)));
        Self::Cut { start: Bytes::from_static(start), declared, pause }
    }

    fn left(&self) -> u64 {
        match self {
            Self::Whole(bytes) => bytes.len() as u64,
            Self::Repeat { head, piece, times, tail } => {
                head.len() as u64 + piece.len() as u64 * times + tail.len() as u64
            }
            Self::Cut { declared, .. } => *declared,
        }
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Self::Whole(text.into())
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let next = match &mut *self {
            Self::Whole(bytes) => std::mem::take(bytes),
            Self::Repeat { head, piece, times, tail } => {
                if !head.is_empty() {
                    std::mem::take(head)
                } else if *times > 0 {
                    *times -= 1;
                    piece.clone()
                } else {
                    std::mem::take(tail)
                }
            }
            Self::Cut { start, pause, declared } => {
                if start.is_empty() {
                    // The pause lets the start go out, so that the client sees a body that breaks
                    // off and not an answer that never came.
                    return pause
                        .as_mut()
                        .poll(cx)
                        .map(|()| Some(Err(io::Error::other("cut off on purpose"))));
                }
                *declared -= start.len() as u64;
                std::mem::take(start)
            }
        };
        Poll::Ready((!next.is_empty()).then(|| Ok(Frame::data(next))))
    }

    fn is_end_stream(&self) -> bool {
        self.left() == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left())
    }
}
