//! Errors that cross: into buffers of the caller, and out of them.

use gristmill_stage::{Error, ErrorKind};

use crate::Failure;
use crate::grown::change_table;
use crate::text::Buffer;

/// Bytes for the message, the path of the option, the column and the help.
const ROOM: [usize; 4] = [4096, 512, 512, 2048];

/// A [`Failure`] with the memory of its texts. One serves all calls of a stage, one after the other.
#[derive(Debug)]
pub struct FailureBuffer {
    failure: Failure,
    // Behind `failure`, which points into it; a box does not move.
    _memory: Box<[u8]>,
}

// SAFETY: the pointers in it lead into its own memory.
unsafe impl Send for FailureBuffer {}

impl Default for FailureBuffer {
    fn default() -> Self {
        Self::new()
    }
}

impl FailureBuffer {
    /// An empty one.
    pub fn new() -> Self {
        let mut memory = vec![0; ROOM.iter().sum()].into_boxed_slice();
        let mut rest = &mut memory[..];
        let mut buffer = |size| {
            let (own, others) = std::mem::take(&mut rest).split_at_mut(size);
            rest = others;
            Buffer::over(own)
        };
        let [message, option, column, help] = ROOM.map(&mut buffer);
        let struct_size = size_of::<Failure>();
        let failure =
            Failure { struct_size, kind: 0, has_option: 0, message, option, column, help };
        Self { failure, _memory: memory }
    }

    /// What to hand to a call: emptied.
    pub fn ready(&mut self) -> *mut Failure {
        let Failure { kind, has_option, message, option, column, help, .. } = &mut self.failure;
        (*kind, *has_option) = (0, 0);
        [message, option, column, help].into_iter().for_each(Buffer::clear);
        &raw mut self.failure
    }

    /// What the call that failed has put in.
    pub fn error(&self) -> Error {
        let Failure { kind, has_option, message, option, column, help, .. } = &self.failure;
        // SAFETY: all memory is that of this buffer.
        let [message, option, column, help] =
            [message, option, column, help].map(|buffer| unsafe { buffer.take() });
        let message = message.unwrap_or_else(|| "the plugin says nothing about it".to_owned());
        let mut error = match column {
            Some(column) => Error::column(column, message),
            None => Error::new(kind_of(*kind), message),
        };
        if *has_option != 0 {
            error = error.at(option.unwrap_or_default());
        }
        match help {
            Some(help) => error.help(help),
            None => error,
        }
    }
}

impl Failure {
    /// Says why a call failed. Nothing happens where nobody wants to know it: at null.
    ///
    /// # Safety
    /// It must be null, or one that a caller has handed over for a call that is going on.
    pub unsafe fn put(failure: *mut Self, error: &Error) {
        if !failure.is_null() {
            // SAFETY: by the contract of this function.
            unsafe { change_table(failure, |failure| failure.fill(error)) };
        }
    }

    fn fill(&mut self, error: &Error) {
        self.kind = number_of(error.kind());
        self.has_option = i32::from(error.option_path().is_some());
        let texts = [
            (&mut self.message, Some(error.message())),
            (&mut self.option, error.option_path()),
            (&mut self.column, error.column_name()),
            (&mut self.help, error.help_text()),
        ];
        for (buffer, text) in texts {
            // SAFETY: the memory is the caller's, who waits for the end of the call.
            unsafe { buffer.put(text.unwrap_or_default()) };
        }
    }
}

const KINDS: [(i32, ErrorKind); 8] = [
    (1, ErrorKind::Options),
    (2, ErrorKind::Schema),
    (3, ErrorKind::Data),
    (4, ErrorKind::Io),
    (5, ErrorKind::Closed),
    (6, ErrorKind::Restore),
    (7, ErrorKind::Panic),
    (8, ErrorKind::Internal),
];

/// The class of error behind a number of `gristmill.h`. What is unknown is a broken promise.
pub fn kind_of(number: i32) -> ErrorKind {
    let found = KINDS.into_iter().find(|(known, _)| *known == number);
    found.map_or(ErrorKind::Internal, |(_, kind)| kind)
}

/// The number in `gristmill.h` of a class of errors.
pub fn number_of(kind: ErrorKind) -> i32 {
    let found = KINDS.into_iter().find(|(_, known)| *known == kind);
    found.map_or(8, |(number, _)| number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_come_out_as_they_went_in() {
        let mut buffer = FailureBuffer::new();
        for error in [
            Error::data("bad"),
            Error::option("", "the whole of it"),
            Error::option("a.b[2]", "no").help("yes"),
            Error::column("price", "there is none").at("column"),
            Error::new(ErrorKind::Panic, "the stage panicked: ouch"),
        ] {
            let failure = buffer.ready();
            // SAFETY: the buffer is there.
            unsafe { Failure::put(failure, &error) };
            assert_eq!(buffer.error(), error);
        }
        buffer.ready();
        assert_eq!(buffer.error().kind(), ErrorKind::Internal);
    }

    #[test]
    fn every_kind_has_a_number() {
        assert!(ErrorKind::ALL.into_iter().all(|kind| kind_of(number_of(kind)) == kind));
    }
}
