//! Cuts a file into records without reading more of it than is asked for.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read};
use std::ops::Range;

/// The byte order mark of UTF-8.
pub(crate) const MARK: &[u8] = b"\xEF\xBB\xBF";
/// How much is read at once.
const CHUNK: usize = 256 << 10;
/// How much of a record that is too long is shown.
const HEAD: usize = 1024;

/// Where in a record of CSV the scan is. The same rules as the CSV decoder's: a quote opens only at
/// the start of a value, and `\r`, `\n` and `\r\n` end a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Start,
    Value,
    Quoted,
    QuoteInQuoted,
}

/// What ends a record.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ends {
    /// A line end.
    Lines,
    /// A line end outside quotes.
    Csv { delimiter: u8 },
}

/// The next part of a file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Whole records, as ranges of [`Records::text`], with their line ends.
    Records { records: Vec<Range<usize>>, line: u64 },
    /// A record longer than allowed; only its beginning is here. Its length is with its line end.
    TooLong { head: Vec<u8>, length: u64, line: u64 },
    /// Nothing yet: the input has to be waited for.
    Wait,
    /// The end.
    End,
}

/// Reads records.
pub(crate) struct Records {
    input: Box<dyn Read + Send>,
    ends: Ends,
    /// Of a record without its line end.
    max: usize,
    text: Vec<u8>,
    /// The first byte of `text` that was not handed out.
    start: usize,
    scanned: usize,
    place: Place,
    /// Ends of whole records in `text`.
    found: VecDeque<usize>,
    at_end: bool,
    /// The record that is being passed over, when its end has to be waited for.
    skipped: Option<Skipped>,
    /// Bytes and lines handed out.
    offset: u64,
    line: u64,
    /// No record that begins here or later is handed out.
    until: u64,
}

/// The beginning of a record that is too long, and where it begins.
struct Skipped {
    head: Vec<u8>,
    offset: u64,
    line: u64,
}

impl Records {
    /// Reads on from `offset`, which is in line `line` (from 1).
    pub(crate) fn new(input: Box<dyn Read + Send>, ends: Ends, max: u64) -> Self {
        Self {
            input,
            ends,
            max: usize::try_from(max).unwrap_or(usize::MAX),
            text: Vec::new(),
            start: 0,
            scanned: 0,
            place: Place::Start,
            found: VecDeque::new(),
            at_end: false,
            skipped: None,
            offset: 0,
            line: 1,
            until: u64::MAX,
        }
    }

    /// Says where in its file the input begins: bytes before it, and the number of its first line.
    pub(crate) fn at(mut self, offset: u64, line: u64) -> Self {
        (self.offset, self.line) = (offset, line);
        self
    }

    /// Ends before the first record that begins at this place of the file or later.
    pub(crate) fn until(mut self, offset: u64) -> Self {
        self.until = offset;
        self
    }

    /// Says where in a record of CSV the input begins.
    pub(crate) fn in_place(mut self, place: Place) -> Self {
        self.place = place;
        self
    }

    /// Passes over the rest of the record that the input begins in. Lines count from the next one.
    pub(crate) fn align(&mut self) -> std::io::Result<()> {
        while self.found.is_empty() && !self.at_end && self.offset < self.until {
            self.hand_out(self.scanned);
            self.compact();
            self.fill()?;
        }
        let end = self.found.pop_front().unwrap_or(self.scanned);
        self.hand_out(end);
        self.line = 1;
        Ok(())
    }

    /// The text that the ranges of the last part are of.
    pub(crate) fn text(&self) -> &[u8] {
        &self.text
    }

    /// Whether the record handed out last is the end of the input, within a quote that never ends.
    pub(crate) fn unclosed(&self) -> bool {
        self.at_end && self.place == Place::Quoted && self.start == self.text.len()
    }

    /// What is left of a record whose end was not read, if anything is.
    pub(crate) fn rest(&self) -> &[u8] {
        match &self.skipped {
            Some(skipped) => &skipped.head,
            None => &self.text[self.start..],
        }
    }

    /// Bytes before, and number of, the next line.
    pub(crate) fn position(&self) -> (u64, u64) {
        (self.offset, self.line)
    }

    /// The next records: at the most so many, in about so many bytes, and no more than there are
    /// without a wait.
    pub(crate) fn next(&mut self, rows: usize, bytes: usize) -> std::io::Result<Part> {
        if let Some(skipped) = self.skipped.take() {
            return self.skip(skipped);
        }
        if self.offset >= self.until {
            return Ok(Part::End);
        }
        self.compact();
        loop {
            let whole = !self.found.is_empty();
            let full = self.found.len() >= rows
                || self.text.len() >= bytes
                || self.offset + self.text.len() as u64 >= self.until;
            if self.at_end || (whole && full) {
                break;
            }
            // Two more bytes may be a line end, or look like one at the end of a quote that is never closed.
            if !whole && self.text.len() > self.max.saturating_add(2) {
                let head = self.text[..HEAD.min(self.text.len())].to_vec();
                return self.skip(Skipped { head, offset: self.offset, line: self.line });
            }
            match (self.fill(), whole) {
                (Ok(true), _) => {}
                // Whole records first; whoever asks again meets the error again.
                (Ok(false) | Err(_), true) => break,
                (Ok(false), false) => return Ok(Part::Wait),
                (Err(error), false) => return Err(error),
            }
        }
        let Some(first) = self.found.front().copied() else { return Ok(Part::End) };
        if self.too_long(0..first) {
            let head = self.text[..HEAD.min(first)].to_vec();
            let line = self.line;
            self.found.pop_front();
            self.hand_out(first);
            return Ok(Part::TooLong { head, length: first as u64, line });
        }
        let (line, mut records) = (self.line, Vec::with_capacity(rows.min(self.found.len())));
        let mut from = 0;
        while let Some(end) = self.found.front().copied() {
            let stop = records.len() >= rows
                || end > bytes
                || self.offset + from as u64 >= self.until
                || self.too_long(from..end);
            if stop && from > 0 {
                break;
            }
            self.found.pop_front();
            records.push(from..end);
            from = end;
        }
        match self.ends {
            // Each line but half a one at the end has its line end.
            Ends::Lines => {
                self.line += (records.len() - usize::from(self.text[from - 1] != b'\n')) as u64;
                self.start = from;
                self.offset += from as u64;
            }
            Ends::Csv { .. } => self.hand_out(from),
        }
        Ok(Part::Records { records, line })
    }

    /// Whether the record is longer than allowed; its line end does not count.
    fn too_long(&self, record: Range<usize>) -> bool {
        let record = &self.text[record];
        let bare = record.strip_suffix(b"\n").unwrap_or(record);
        bare.strip_suffix(b"\r").unwrap_or(bare).len() > self.max
    }

    fn hand_out(&mut self, to: usize) {
        self.line += memchr::memchr_iter(b'\n', &self.text[self.start..to]).count() as u64;
        self.offset += (to - self.start) as u64;
        self.start = to;
    }

    /// Moves what was not handed out to the front.
    fn compact(&mut self) {
        let gone = std::mem::take(&mut self.start);
        self.text.drain(..gone);
        // A single long record should not keep its memory for the rest of the file.
        if self.text.capacity() > 64 * CHUNK {
            self.text.shrink_to(16 * CHUNK);
        }
        self.scanned -= gone;
        self.found.iter_mut().for_each(|end| *end -= gone);
    }

    /// Reads a chunk and finds the ends in it. False when it would have to be waited for.
    fn fill(&mut self) -> std::io::Result<bool> {
        let before = self.text.len();
        // Behind the end only the rest of a record is wanted.
        let left = self.until.saturating_sub(self.offset + before as u64 - self.start as u64);
        let chunk = usize::try_from(left).unwrap_or(CHUNK).clamp(CHUNK / 16, CHUNK);
        self.text.resize(before + chunk, 0);
        let read = loop {
            match self.input.read(&mut self.text[before..]) {
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        self.text.truncate(before + *read.as_ref().unwrap_or(&0));
        match read {
            Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(false),
            read => self.at_end = read? == 0,
        }
        if !self.unmark() {
            return Ok(true);
        }
        match self.ends {
            Ends::Lines => {
                let new = &self.text[self.scanned..];
                let ends = memchr::memchr_iter(b'\n', new).map(|at| self.scanned + at + 1);
                self.found.extend(ends);
                self.scanned = self.text.len();
            }
            Ends::Csv { delimiter } => self.scan(delimiter),
        }
        // Half a line at the end is a line.
        let last = self.found.back().copied().unwrap_or(self.start);
        if self.at_end && last < self.text.len() {
            self.found.push_back(self.text.len());
        }
        Ok(true)
    }

    /// Takes a byte order mark away: it belongs to no record. False while it may still come.
    fn unmark(&mut self) -> bool {
        if self.offset > 0 || self.scanned > 0 || self.text.is_empty() {
            return true;
        }
        if self.text.starts_with(MARK) {
            self.text.drain(..MARK.len());
            self.offset = MARK.len() as u64;
        }
        self.at_end || self.offset > 0 || !MARK.starts_with(&self.text)
    }

    fn scan(&mut self, delimiter: u8) {
        let text = &self.text;
        let mut at = self.scanned;
        while at < text.len() {
            let byte = text[at];
            match (self.place, byte) {
                (Place::Quoted, _) => match memchr::memchr(b'"', &text[at..]) {
                    None => at = text.len() - 1,
                    Some(quote) => {
                        at += quote;
                        self.place = Place::QuoteInQuoted;
                    }
                },
                (Place::QuoteInQuoted | Place::Start, b'"') => self.place = Place::Quoted,
                (_, b'\r') if at + 1 == text.len() && !self.at_end => break,
                (_, b'\r') if text.get(at + 1) == Some(&b'\n') => {}
                (_, b'\r' | b'\n') => {
                    self.found.push_back(at + 1);
                    self.place = Place::Start;
                }
                (_, byte) if byte == delimiter => self.place = Place::Start,
                _ => {
                    self.place = Place::Value;
                    let rest = &text[at..];
                    at += memchr::memchr3(delimiter, b'\n', b'\r', rest).unwrap_or(rest.len()) - 1;
                }
            }
            at += 1;
        }
        self.scanned = at;
    }

    /// Passes over a record that is too long, keeping its beginning only.
    fn skip(&mut self, skipped: Skipped) -> std::io::Result<Part> {
        while self.found.is_empty() && !self.at_end {
            // A `\r` at the end may wait for its `\n`.
            self.hand_out(self.scanned);
            self.compact();
            if !self.fill()? {
                self.skipped = Some(skipped);
                return Ok(Part::Wait);
            }
        }
        let end = self.found.pop_front().unwrap_or(self.text.len());
        self.hand_out(end);
        let Skipped { head, offset, line } = skipped;
        Ok(Part::TooLong { head, length: self.offset - offset, line })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(input: &str, ends: Ends, rows: usize, bytes: usize, max: u64) -> Vec<String> {
        let mut records = Records::new(Box::new(std::io::Cursor::new(input.to_owned())), ends, max);
        let mut all = Vec::new();
        loop {
            match records.next(rows, bytes).expect("read") {
                Part::End => return all,
                Part::Wait => panic!("there is nothing to wait for"),
                Part::TooLong { length, line, .. } => all.push(format!("<{length} in {line}>")),
                Part::Records { records: ranges, .. } => {
                    assert!(ranges.len() <= rows && !ranges.is_empty());
                    let text = records.text();
                    all.extend(
                        ranges.iter().map(|r| String::from_utf8_lossy(&text[r.clone()]).into()),
                    );
                }
            }
        }
    }

    const CSV: Ends = Ends::Csv { delimiter: b',' };

    #[test]
    fn lines_end_at_line_ends_and_at_the_end() {
        assert_eq!(
            texts("a\n\nb\r\nhalf", Ends::Lines, 2, 100, 100),
            ["a\n", "\n", "b\r\n", "half"]
        );
        assert!(texts("", Ends::Lines, 2, 100, 100).is_empty());
    }

    #[test]
    fn quotes_hold_a_record_of_csv_together() {
        let text = "a,\"x\ny\"\r\nb\"c,\"\"\"\n\"\nd\re,\"f\"g\n";
        let records = texts(text, CSV, 10, 100, 100);
        assert_eq!(records, ["a,\"x\ny\"\r\n", "b\"c,\"\"\"\n\"\n", "d\r", "e,\"f\"g\n"]);
    }

    #[test]
    fn a_long_record_is_passed_over() {
        let long = "x".repeat(CHUNK * 3);
        let text = format!("a\n{long}\nb\n{}\nc", "y".repeat(50));
        let records = texts(&text, Ends::Lines, 10, 1000, 20);
        assert_eq!(
            records,
            ["a\n", &format!("<{} in 2>", long.len() + 1), "b\n", "<51 in 4>", "c"]
        );
        assert_eq!(
            texts(&format!("\"{long}"), CSV, 1, 1, 9),
            [format!("<{} in 1>", long.len() + 1)]
        );
    }

    #[test]
    fn a_line_end_does_not_count() {
        for line in ["abcd\n", "abcd\r\n", "abcd"] {
            for ends in [Ends::Lines, CSV] {
                let text = format!("a\n{line}");
                assert_eq!(texts(&text, ends, 9, 100, 4), ["a\n", line], "{ends:?}");
                let long = format!("<{} in 2>", line.len());
                assert_eq!(texts(&text, ends, 9, 100, 3), ["a\n", &long], "{ends:?}");
            }
        }
        // A line end that is cut by the end of a chunk.
        let line = format!("{}\r\n", "x".repeat(CHUNK - 1));
        for ends in [Ends::Lines, CSV] {
            assert_eq!(texts(&line, ends, 9, 100, CHUNK as u64 - 1), [&*line]);
            let long = format!("<{} in 1>", line.len());
            assert_eq!(texts(&line, ends, 9, 100, CHUNK as u64 - 2), [long]);
        }
    }

    #[test]
    fn a_block_stays_within_its_bytes() {
        let text = "12345\n".repeat(100);
        let mut records = Records::new(Box::new(std::io::Cursor::new(text)), Ends::Lines, 99);
        let Part::Records { records: ranges, line } = records.next(50, 20).expect("read") else {
            panic!("records were expected");
        };
        assert_eq!((ranges.len(), line, records.position()), (3, 1, (18, 4)));
    }
}
