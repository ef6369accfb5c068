//! What the run has said and the child has not acted on yet.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use event_listener::{Event, EventListener};
use gristmill_stage::Result;
use gristmill_wire::{Decoder, FrameReader, HEADER, Limits, Message};

/// After the end of the connection the stage may take so long to clean up.
const GRACE: Duration = Duration::from_secs(2);

/// Messages in their order, read by a thread of their own. What can pile up is bounded by the credit
/// that the run has.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    mail: Mutex<Mail>,
    came: Event,
}

#[derive(Debug, Default)]
pub(super) struct Mail {
    /// With the bytes that each took on its way.
    pub(super) messages: VecDeque<(Message, u64)>,
    /// Bytes of rows that the run takes from now on. Apart from the others: it counts at once.
    pub(super) credit: u64,
    /// The run is gone, or needs this process no more.
    pub(super) over: bool,
}

impl Inbox {
    /// Starts to read.
    #[expect(clippy::disallowed_methods, reason = "the stage may never come back to `main`")]
    pub(super) fn start(socket: UnixStream) -> Result<Arc<Self>> {
        let inbox = Arc::new(Self::default());
        let own = inbox.clone();
        std::thread::Builder::new().name("inbox".to_owned()).spawn(move || {
            if let Err(error) = own.read(socket) {
                eprintln!("the run says something that is not understood: {error}");
            }
            own.lock().over = true;
            own.came.notify(usize::MAX);
            // Whatever the stage is in the middle of: no process outlives its run.
            std::thread::sleep(GRACE);
            std::process::exit(1);
        })?;
        Ok(inbox)
    }

    fn read(&self, mut socket: UnixStream) -> Result<()> {
        let limit = usize::try_from(Limits::default().frame).unwrap_or(usize::MAX);
        let mut reader = FrameReader::new(limit);
        let mut decoder = Decoder::new();
        loop {
            while let Some(frame) = reader.next()? {
                let bytes = (frame.payload.len() + HEADER) as u64;
                if let Some(message) = decoder.decode(frame)? {
                    let mut mail = self.lock();
                    match message {
                        Message::Credit(bytes) => mail.credit = mail.credit.saturating_add(bytes),
                        message => mail.messages.push_back((message, bytes)),
                    }
                    drop(mail);
                    self.came.notify(usize::MAX);
                }
            }
            match socket.read(reader.space()) {
                Ok(0) => return Ok(()),
                Ok(bytes) => reader.advance(bytes),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Ok(()),
            }
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Mail> {
        self.mail.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Told when something has come. Listen first, then look, then wait.
    pub(super) fn listen(&self) -> EventListener {
        self.came.listen()
    }

    /// The next message; none when the run is gone.
    pub(super) async fn next(&self) -> Option<Message> {
        loop {
            let listener = self.listen();
            {
                let mut mail = self.lock();
                if let Some((message, _)) = mail.messages.pop_front() {
                    return Some(message);
                }
                if mail.over {
                    return None;
                }
            }
            listener.await;
        }
    }

    /// Waits until the run needs this process no more.
    pub(super) async fn over(&self) {
        while self.next().await.is_some() {}
    }
}
