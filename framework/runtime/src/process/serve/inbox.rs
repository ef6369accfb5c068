//! What the run has said and the child has not acted on yet.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arrow_array::RecordBatch;
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

/// What stands in front of the mail.
#[derive(Debug, PartialEq)]
pub(super) enum Front {
    /// Rows, which were taken; their number, and the bytes that they took on their way.
    Rows {
        number: u64,
        rows: RecordBatch,
        bytes: u64,
    },
    /// A word of the run, which comes before the rows behind it. It may have come only just now.
    Word,
    Nothing,
}

impl Mail {
    /// Takes the rows in front. A word stays where it is.
    pub(super) fn rows(&mut self) -> Front {
        match self.messages.pop_front() {
            Some((Message::Batch(number, rows), bytes)) => Front::Rows { number, rows, bytes },
            Some(word) => {
                self.messages.push_front(word);
                Front::Word
            }
            None => Front::Nothing,
        }
    }
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_schema::Schema;

    use super::*;

    #[test]
    fn a_word_keeps_its_place_before_rows() {
        let rows = RecordBatch::new_empty(Arc::new(Schema::empty()));
        let mut mail = Mail::default();
        assert_eq!(mail.rows(), Front::Nothing);
        let barrier = Message::Barrier { epoch: 3, drained: false };
        mail.messages.push_back((Message::Batch(1, rows.clone()), 10));
        mail.messages.push_back((barrier, 1));
        mail.messages.push_back((Message::Batch(2, rows.clone()), 20));
        assert_eq!(mail.rows(), Front::Rows { number: 1, rows: rows.clone(), bytes: 10 });
        // It is for whoever acts on words, however often rows are asked for.
        assert_eq!(mail.rows(), Front::Word);
        assert_eq!(mail.rows(), Front::Word);
        mail.messages.pop_front();
        assert_eq!(mail.rows(), Front::Rows { number: 2, rows, bytes: 20 });
    }
}
