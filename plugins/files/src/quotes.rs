//! Follows the quotes of CSV over text that nobody wants to cut into records.

use crate::records::Place;

/// Where in a record a place of a file is, found out from a place where one begins.
#[derive(Debug, Clone)]
pub(crate) struct Quotes {
    pub(crate) offset: u64,
    pub(crate) place: Place,
    delimiter: u8,
}

impl Quotes {
    pub(crate) fn new(delimiter: u8) -> Self {
        Self { offset: 0, place: Place::Start, delimiter }
    }

    /// Goes on from this place, where a record begins.
    pub(crate) fn pass(&mut self, offset: u64) {
        if offset > self.offset {
            (self.offset, self.place) = (offset, Place::Start);
        }
    }

    /// Follows the text that comes next. Only quotes are looked for, and what stands beside them.
    pub(crate) fn follow(&mut self, text: &[u8]) {
        self.offset += text.len() as u64;
        let mut at = 0;
        while let Some(byte) = text.get(at).copied() {
            let quote = |at: usize| Some(at + memchr::memchr(b'"', text.get(at..)?)?);
            match self.place {
                Place::Quoted => match quote(at) {
                    Some(found) => {
                        self.place = Place::QuoteInQuoted;
                        at = found + 1;
                    }
                    None => return,
                },
                Place::QuoteInQuoted | Place::Start if byte == b'"' => {
                    self.place = Place::Quoted;
                    at += 1;
                }
                _ => match quote(at) {
                    // In the middle of a value a quote is like any other character.
                    Some(found) => {
                        let before = found.checked_sub(1).filter(|before| *before >= at);
                        let starts =
                            before.is_some_and(|before| self.after(text[before]) == Place::Start);
                        self.place = if starts { Place::Quoted } else { Place::Value };
                        at = found + 1;
                    }
                    None => {
                        self.place = self.after(text[text.len() - 1]);
                        return;
                    }
                },
            }
        }
    }

    /// The place after this byte, outside quotes.
    fn after(&self, byte: u8) -> Place {
        match byte {
            b'\r' | b'\n' => Place::Start,
            byte if byte == self.delimiter => Place::Start,
            _ => Place::Value,
        }
    }
}
