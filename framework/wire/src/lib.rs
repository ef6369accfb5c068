//! What a run (the *host*) and a child process (a *worker*) say to each other. `PROTOCOL.md` beside this
//! crate is the whole of it for people who write a worker in another language.
//!
//! Nothing here does I/O: [`Encoder`] makes an [`Outgoing`] of a message, ready for a vectored write;
//! [`FrameReader`] says into which bytes to read next and cuts them into [`Frame`]s; [`Decoder`] makes
//! messages of frames. No bytes that come in can make it panic, or allocate more than the limit.

mod beat;
mod check;
mod columns;
mod decode;
mod encode;
mod error;
mod frame;
mod message;
mod planning;
mod reader;
mod shape;
mod table;
mod trace;

pub use beat::{Heartbeat, Told};
pub use decode::Decoder;
pub use encode::{Encoder, Outgoing};
pub use error::WireError;
pub use frame::{Flags, Frame, HEADER, Kind};
pub use message::{
    BatchSize, Called, Commit, Fault, Hello, Limits, Log, MAJOR, MINOR, Message, Open, PROTOCOL,
    Rejected, Side,
};
pub use planning::{Answer, Description, KindDescription, Question};
pub use reader::FrameReader;
pub use trace::SpanContext;
